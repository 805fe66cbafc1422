"""The file's way into the kernel's rows: cache, child, datagram."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.unwind.table import (
    FileTable,
    NotCachedError,
    file_table,
    packed,
    unpacked,
    without_rows,
)
from aperture_tui.symbolize.elf import BytesSource, Elf, FileSource, Loads
from aperture_tui.symbolize.unwind_cache import UnwindCache
from aperture_tui.symbolize.unwind_layout import UnwindTable
from aperture_tui.symbolize.unwind_table import MAX_ROWS, UnwindSource
from tests.collect.unwind.known_files import libc
from tests.programs import build


def opened(path: str | Path) -> FileSource:
    return FileSource(os.open(path, os.O_RDONLY))


def test_a_large_table_is_left_to_the_child_until_it_is_cached(tmp_path: Path) -> None:
    cache = UnwindCache(tmp_path / "cache")
    with pytest.raises(NotCachedError):
        file_table(opened(libc()), cache, build=False)
    built = file_table(opened(libc()), cache, build=True)
    assert len(built.table.rows) > 10_000
    again = file_table(opened(libc()), cache, build=False)
    assert np.array_equal(again.table.rows, built.table.rows)


def test_a_small_table_is_made_at_once(tmp_path: Path) -> None:
    found = file_table(opened(build("ratio", "-O2")), UnwindCache(tmp_path / "cache"), build=False)
    assert 5 < len(found.table.rows) < 500


def test_the_bias_leads_from_a_mapping_to_the_rows(tmp_path: Path) -> None:
    """Of our own libc: the rows cover the functions that the loader says are there."""
    import ctypes

    found = file_table(opened(libc()), UnwindCache(tmp_path / "cache"), build=True)
    address = ctypes.cast(ctypes.CDLL(None).qsort, ctypes.c_void_p).value
    assert address is not None
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if start <= address < end:
            pc = (address - found.bias(start, int(fields[2], 16))) % 2**64
            break
    (row,) = found.table.find(np.array([pc + found.table.base], np.uint64))
    assert int(row) >> 32 == pc, "a function's first address has a row of its own"


def test_what_is_no_elf_file_says_so(tmp_path: Path) -> None:
    found = file_table(BytesSource(b"#!/bin/sh\n"), UnwindCache(tmp_path / "cache"), build=False)
    assert not found.elf
    damaged = file_table(BytesSource(b"\x7fELF" + bytes(100)), UnwindCache(tmp_path / "cache"), build=False)
    assert damaged.elf
    assert damaged.problem


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=40),
    st.lists(st.tuples(*[st.integers(0, 2**64 - 1)] * 3), max_size=5),
    st.tuples(*[st.integers(0, 2**63)] * 4),
    st.booleans(),
    st.text(max_size=100),
)
def test_an_answer_comes_back_as_it_was(
    rows: list[int], loads: list[tuple[int, int, int]], numbers: tuple[int, ...], flag: bool, problem: str
) -> None:
    columns = np.array(loads, np.uint64).reshape(-1, 3).T
    base, functions, malformed, unsupported = numbers
    table = UnwindTable(np.array(rows, np.uint64), base, functions, malformed, unsupported, flag)
    datagram, fd = packed(FileTable(table, Loads(*columns), not flag, problem))
    try:
        found = unpacked(datagram, fd)
    finally:
        os.close(fd)
    assert found.table.rows.tolist() == rows
    assert (found.table.base, found.table.functions, found.table.malformed, found.table.unsupported) == numbers
    assert (found.table.truncated, found.elf) == (flag, not flag)
    assert np.array_equal(np.stack([found.loads.low, found.loads.high, found.loads.bias]), columns)
    assert found.problem == problem


@given(st.binary(max_size=120), st.binary(max_size=200))
def test_an_answer_that_is_none_is_refused(datagram: bytes, memory: bytes) -> None:
    fd = os.memfd_create("test")
    try:
        os.write(fd, memory)
        with pytest.raises(ValueError, match="answer of the builder"):
            unpacked(datagram[:60] + b"\xff" * 40, fd)
    finally:
        os.close(fd)


def test_an_answer_says_what_it_was_made_of(tmp_path: Path) -> None:
    found = file_table(opened(libc()), None, build=True)
    datagram, fd = packed(found)
    try:
        again = unpacked(datagram, fd)
    finally:
        os.close(fd)
    assert again.key == found.key == UnwindSource.read(Elf.read(opened(libc()))).key


def test_an_answer_of_more_than_fits_is_refused_before_it_is_read() -> None:
    """A file of memory can have any size and take nothing."""
    datagram, fd = packed(without_rows(""))
    try:
        n = MAX_ROWS + 1
        os.truncate(fd, 8 * n)
        with pytest.raises(ValueError, match="answer of the builder"):
            unpacked(datagram[:10] + n.to_bytes(8, "little") + datagram[18:], fd)
    finally:
        os.close(fd)


def test_an_answer_that_is_not_in_memory_is_refused(tmp_path: Path) -> None:
    """To read from it could block us."""
    datagram, fd = packed(without_rows(""))
    os.close(fd)
    with open(tmp_path / "file", "w+b") as file, pytest.raises(OSError, match="Invalid argument"):
        unpacked(datagram, file.fileno())


class Exchanged(BytesSource):
    """One file until its call frames have been read, from then on another."""

    def __init__(self, first: bytes, then: bytes) -> None:
        super().__init__(first)
        self._then = then
        self._frames = Elf.read(BytesSource(first)).section(b".eh_frame")

    def read(self, offset: int, size: int) -> bytes:
        data = super().read(offset, size)
        if self._frames is not None and offset == self._frames.offset:
            self._data = self._then
        return data


def test_a_file_that_is_exchanged_while_it_is_read_does_not_spoil_the_cache(tmp_path: Path) -> None:
    """The key of one content with the rows of another would be handed out for the first for ever."""
    good = build("ratio", "-O2").read_bytes()
    section = Elf.read(BytesSource(good)).section(b".eh_frame")
    assert section is not None
    at, size = section.offset, section.size
    bad = good[:at] + bytes(size) + good[at + size :]
    cache = UnwindCache(tmp_path / "cache")
    exchanged = file_table(Exchanged(good, bad), cache, build=True)
    wanted = file_table(BytesSource(good), None, build=True)
    assert np.array_equal(exchanged.table.rows, wanted.table.rows)
    assert np.array_equal(file_table(BytesSource(good), cache, build=True).table.rows, wanted.table.rows)


def test_without_rows_is_a_table() -> None:
    assert len(without_rows("why").table.rows) == 0
    assert without_rows("why").bias(0x1000, 0x200) == 0x1000 - 0x200
