"""Memory that lies: frames, or one line of error; never another exception, never a hang."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.hotspot import HotSpot, HotSpotError, HotSpotNotReady, binary_cache
from aperture_tui.symbolize.hotspot.binary import SYMBOLS
from aperture_tui.symbolize.process_memory import Memory, ProcessMemory

from .conftest import start

ROUNDS = 60
MOST_BYTES = 1 << 28
SOME = (0, 1, 2, 8, 0x7F, 0xC0, 0xFF)


class Recorded:
    """What was read of a process, to be read again when it stands for nothing any more."""

    def __init__(self, memory: Memory) -> None:
        self.memory: Memory | None = memory
        self.pieces: dict[tuple[int, int], bytes | None] = {}

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        wanted = list(zip(addresses, sizes, strict=True))
        if self.memory is not None:
            self.pieces.update(zip(wanted, self.memory.read_many(addresses, sizes), strict=True))
        return [self.pieces.get(piece) for piece in wanted]


class Lying:
    """A memory in which some of what is read is not so. share: how often a piece is changed."""

    def __init__(self, memory: Memory, seed: int, share: float) -> None:
        self.memory = memory
        self.random = random.Random(seed)
        self.share = share
        self.bytes = 0

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        self.bytes += sum(size for size in sizes if 0 < size <= 8 << 20)
        assert self.bytes < MOST_BYTES, "it does not end"
        known = self.memory.read_many(addresses, sizes)
        return [self._changed(data) for data in known]

    def _changed(self, data: bytes | None) -> bytes | None:
        choose = self.random
        if data is None or choose.random() > self.share:
            return data
        if choose.random() < 0.1:
            return None
        out = bytearray(data)
        for _ in range(choose.choice((1, 1, 4, 64))):
            at = choose.randrange(len(out))
            if choose.random() < 0.5:
                out[at] ^= 1 << choose.randrange(8)
            else:
                size = min(8, len(out) - at)
                out[at : at + size] = bytes(choose.choice(SOME) for _ in range(size))
        return bytes(out)


class Noise:
    """A memory of nothing in particular, everywhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bytes = 0

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        self.bytes += sum(size for size in sizes if 0 < size <= 8 << 20)
        assert self.bytes < MOST_BYTES, "it does not end"
        return [self._piece(size) if 0 < size <= 8 << 20 else None for size in sizes]

    def _piece(self, size: int) -> bytes | None:
        choose = self.random
        if choose.random() < 0.05:
            return None
        if choose.random() < 0.5:
            return bytes(choose.choice(SOME) for _ in range(min(size, 64))).ljust(size, b"\0")
        return choose.randbytes(size)


@pytest.fixture(scope="module")
def recorded(java: str, classes: Path) -> Iterator[tuple[Recorded, list[int], list[int]]]:
    """A VM's memory, the addresses of its tables, and addresses of its code."""
    process = start(java, classes)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        mapping = next(m for m in executable_mappings(process.pid) if m.module == "libjvm.so")
        binary = binary_cache().get(process.pid, mapping)
        memory = Recorded(ProcessMemory(process.pid, HotSpotError))
        symbols = [symbol + binary.loads.load_bias(mapping.start, mapping.offset) for symbol in binary.symbols]
        asked = [int(at) for at in HotSpot(memory, symbols, time.monotonic).blobs.start.tolist()]
        use(memory, symbols, asked)
        use(memory, symbols, asked)
        memory.memory = None
        yield memory, symbols, asked
    finally:
        process.kill()
        process.communicate()


def use(memory: Memory, symbols: Sequence[int], asked: Sequence[int]) -> int:
    """Do all that can be done. How many addresses had a name. Raises HotSpotError alone."""
    hotspot = HotSpot(memory, symbols, time.monotonic)
    starts = np.array(asked, np.uint64)
    found = 0
    for offset in (1, 40):
        for is_return in (False, True):
            frames = hotspot.frames(starts + np.uint64(offset), np.full(len(starts), is_return))
            found += sum(frame is not None for frame in frames)
    hotspot.methods(np.concatenate([hotspot.blobs.method[:1000], starts[:10], np.array([0, 2**64 - 1], np.uint64)]))
    assert all(low < high for low, high in hotspot.refresh())
    return found


def tried(memory: Memory, symbols: Sequence[int], asked: Sequence[int]) -> int:
    """As `use`; -1 for an error, which has to be one line."""
    try:
        return use(memory, symbols, asked)
    except HotSpotError as error:
        one_line(error)
        return -1


def one_line(error: HotSpotError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def test_memory_that_is_changed_here_and_there(recorded: tuple[Recorded, list[int], list[int]]) -> None:
    memory, symbols, asked = recorded
    whole = use(memory, symbols, asked)
    assert whole > 4 * 0.9 * len(asked)
    found = [tried(Lying(memory, seed, 0.002 + 0.0005 * seed), symbols, asked) for seed in range(ROUNDS)]
    assert any(0 < count < whole for count in found)  # some of the lies were met, and some got through the tables
    assert -1 in found


def test_noise() -> None:
    for seed in range(200):
        memory = Noise(seed)
        symbols = [1 << 20 | 8 * i for i in range(len(SYMBOLS))]
        assert tried(memory, symbols, [1 << 30]) <= 0


def test_memory_of_zeros_is_not_ready() -> None:
    class Zeros:
        def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
            return [bytes(size) for size in sizes]

    with pytest.raises(HotSpotNotReady):
        HotSpot(Zeros(), [8] * len(SYMBOLS), time.monotonic)
