from __future__ import annotations

import mmap
import os
import struct

import numpy as np
import pytest

from aperture_tui.collect.ring import Ring

PAGE = mmap.PAGESIZE
RECORD = np.dtype([("a", "<u8"), ("b", "<u4"), ("c", "<u4")])


class FakeRing:
    """The pages of a BPF ring in a file: what the kernel does to them is written down here by hand."""

    def __init__(self, size: int = PAGE) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * PAGE + 2 * size)
        self.at = 0

    def place(self, position: int) -> None:
        os.pwrite(self.fd, struct.pack("=Q", position), 0)
        self.at = position

    def write(self, payload: bytes, bits: int = 0) -> None:
        data = (struct.pack("=II", len(payload) | bits, 0) + payload).ljust(8 + (len(payload) + 7) // 8 * 8, b"\0")
        for i in range(0, len(data), 8):
            offset = (self.at + i) % self.size
            for copy in (0, self.size):  # the kernel maps the data twice
                os.pwrite(self.fd, data[i : i + 8], 2 * PAGE + copy + offset)
        self.at += len(data)
        os.pwrite(self.fd, struct.pack("=Q", self.at), PAGE)

    def consumed(self) -> int:
        return int(struct.unpack("=Q", os.pread(self.fd, 8, 0))[0])


@pytest.fixture
def fake() -> FakeRing:
    return FakeRing()


def row(a: int) -> bytes:
    return struct.pack("=QII", a, a + 1, a + 2)


BUSY, DISCARDED = 1 << 31, 1 << 30


def test_records_are_read_once_and_their_space_is_given_back(fake: FakeRing) -> None:
    ring = Ring(fake.fd, fake.size)
    for a in (1, 2, 3):
        fake.write(row(a))
    records = ring.records(RECORD)
    assert records["a"].tolist() == [1, 2, 3]
    assert records["c"].tolist() == [3, 4, 5]
    assert fake.consumed() == fake.at
    assert len(ring.records(RECORD)) == 0


def test_reading_stops_at_a_record_that_is_being_written(fake: FakeRing) -> None:
    ring = Ring(fake.fd, fake.size)
    fake.write(row(1))
    fake.write(row(2), BUSY)
    fake.write(row(3))
    assert ring.records(RECORD)["a"].tolist() == [1]
    assert ring.waiting == 2 * 24


def test_discarded_records_are_passed_over(fake: FakeRing) -> None:
    ring = Ring(fake.fd, fake.size)
    fake.write(row(1), DISCARDED)
    fake.write(row(2))
    assert ring.records(RECORD)["a"].tolist() == [2]
    assert ring.waiting == 0


def test_a_record_that_crosses_the_end_is_whole(fake: FakeRing) -> None:
    ring = Ring(fake.fd, fake.size)
    fake.place(10 * fake.size - 16)
    fake.write(row(7))
    fake.write(row(8))
    assert ring.records(RECORD)["a"].tolist() == [7, 8]


def test_records_of_different_length(fake: FakeRing) -> None:
    ring = Ring(fake.fd, fake.size)
    fake.place(3 * fake.size - 24)
    for payload, bits in ((b"12345", 0), (b"x" * 40, 0), (b"gone", DISCARDED), (b"", 0), (b"later", BUSY)):
        fake.write(payload, bits)
    assert list(ring.payloads()) == [b"12345", b"x" * 40, b""]
    assert list(ring.payloads()) == []
    assert ring.waiting == 16
