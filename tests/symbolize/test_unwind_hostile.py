"""Unwind tables of files that lie: whatever the bytes, a sound table or one ElfError, within bounds."""

from __future__ import annotations

import random
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize.elf import BytesSource, Elf, ElfError
from aperture_tui.symbolize.unwind_layout import CFA_RSP_WIDE, UnwindTable
from aperture_tui.symbolize.unwind_table import MAX_ROWS

from .call_frames import CODE, Frames, cie, elf_bytes, elf_of, entry, u32, unwind_rows
from .test_elf import own_vdso

SPICE = [0, 1, 0x0A, 0x0B, 0x0F, 0x10, 0x41, 0x7F, 0x80, 0x90, 0xFF]


def check_sound(data: bytes) -> UnwindTable | None:
    """A table whose rows can be searched; None where the file as a whole is refused, in one line."""
    refused = ""
    try:
        table = unwind_rows(Elf.read(BytesSource(data)))
    except ElfError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        return None
    pc, rules = table.rows >> np.uint64(32), table.rows & np.uint64(0xFFFFFFFF)
    assert np.all(pc[1:] > pc[:-1])
    assert np.all(rules[1:] != rules[:-1])
    assert len(table.rows) <= MAX_ROWS
    assert np.all((rules >> np.uint64(8) & np.uint64(0xF)) <= CFA_RSP_WIDE)
    ends = np.array([0, table.base, table.base + (1 << 32), 2**64 - 1], np.uint64)
    assert len(table.find(ends)) == 4
    return table


@given(st.binary(max_size=2048))
def test_random_bytes_as_a_section(data: bytes) -> None:
    check_sound(elf_bytes(data))


@given(st.binary(max_size=2048))
def test_random_bytes_behind_the_header_of_a_stripped_file(data: bytes) -> None:
    check_sound(elf_bytes(data, headers=False, hdr=b"\x01\x1b\x03\x3b" + struct.pack("<i", 0xDFC)))


@given(st.binary(max_size=2048))
def test_random_bytes_as_debug_frame(data: bytes) -> None:
    check_sound(elf_bytes(data, name=b".debug_frame"))


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80), max_size=12), st.binary(max_size=24), st.sampled_from([b"zR", b"zRS"]))
def test_random_programs(programs: list[bytes], common: bytes, augmentation: bytes) -> None:
    frames = Frames(cie(common, augmentation))
    for i, program in enumerate(programs):
        frames.function(CODE + 64 * i, 64, program)
    frames.function(CODE + 0x10000, 64)
    table = check_sound(elf_bytes(frames.end()))
    assert table is not None
    assert table.functions + table.malformed in (len(programs) + 1, len(programs) + 2)
    assert table.functions or table.malformed == len(programs) + 2, "only a bad common entry spoils the good function"


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=30))
def test_random_common_entries(common: bytes, function: bytes) -> None:
    first = entry(bytes(4), common)
    check_sound(elf_bytes(first + entry(u32(len(first) + 4), function) + bytes(4)))


@lru_cache
def program(path: Path) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """A real file, and where what this module reads of it lies: (offset, size)."""
    data = path.read_bytes()
    elf = elf_of(data)
    places = [(s.offset, s.size) for s in elf.sections if s.name in (b".eh_frame", b".eh_frame_hdr")]
    return data, ((0, 64), (64, 56 * len(elf.segments)), *places)


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), places=st.integers(1, 60), headers=st.booleans())
def test_damage_in_a_real_program(calls: Path, seed: int, places: int, headers: bool) -> None:
    original, parts = program(calls)
    rng = random.Random(seed)
    data = bytearray(original)
    if not headers:
        data[40:48], data[58:64] = bytes(8), bytes(6)
    for _ in range(places):
        offset, size = rng.choice(parts) if rng.random() < 0.2 else parts[-1]
        data[offset + rng.randrange(size)] = rng.choice([*SPICE, rng.randrange(256)])
    check_sound(bytes(data))


@settings(max_examples=100)
@given(cut=st.integers(0, 16_384))
def test_a_file_that_is_cut_short(cut: int) -> None:
    data = own_vdso()
    check_sound(data[: max(0, len(data) - cut)])


def test_a_cut_program_is_refused(calls: Path) -> None:
    data, parts = program(calls)
    offset, size = parts[-1]
    cut = bytearray(data[: offset + size // 2])
    cut[40:48], cut[58:64] = bytes(8), bytes(6)
    with pytest.raises(ElfError, match="beyond the end of the file"):
        unwind_rows(elf_of(bytes(cut)))


LIMIT = 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        bytes(LIMIT),  # nothing but terminators
        entry(bytes(4), b"\x01\0\x01\x78\x10") * (LIMIT // 13),  # common entries
        cie() + entry(u32(1), bytes(9)) * (LIMIT // 17),  # functions of a common entry that is elsewhere
        cie() + u32(LIMIT // 2) + u32(len(cie()) + 4) + struct.pack("<iI", 0, 64) + b"\0" + b"\x41" * (LIMIT // 2 - 13),
        cie() + u32(LIMIT // 2) + u32(len(cie()) + 4) + struct.pack("<iI", 0, 64) + b"\0" + b"\x0a" * (LIMIT // 2 - 13),
        cie() + u32(LIMIT // 2) + u32(len(cie()) + 4) + struct.pack("<iI", 0, 64) + b"\0\x0e" + b"\x80" * (LIMIT // 2),
        cie(b"\x41" * LIMIT),
        b"\xff\xff\xff\xff" + b"\xff" * 64,
    ],
    ids=["terminators", "common", "orphans", "advances", "remembered", "long_number", "long_common", "long_entry"],
)
def test_what_is_made_to_keep_us_busy_is_read_once(data: bytes) -> None:
    reads = 0

    class Counted(bytes):
        """Counts the bytes looked at one by one."""

        def __getitem__(self, key: Any) -> Any:
            nonlocal reads
            reads += 1
            return super().__getitem__(key)

    class Source(BytesSource):
        """Hands the section out counted."""

        def read(self, offset: int, size: int) -> bytes:
            found = super().read(offset, size)
            return Counted(found) if size >= len(data) else found

    table = unwind_rows(Elf.read(Source(elf_bytes(data + bytes(4)))))
    assert reads <= 2 * len(data)
    assert len(table.rows) <= MAX_ROWS


def test_too_many_malformed_entries_end_the_reading() -> None:
    data = cie() + entry(u32(1), bytes(9)) * 20_000
    table = unwind_rows(elf_of(elf_bytes(data)))
    assert table.truncated
    assert table.malformed < 11_000


def test_a_program_longer_than_any_compiler_writes_is_not_run() -> None:
    frames = Frames(cie())
    frames.function(CODE, 64, bytes(LIMIT))
    frames.function(CODE + 64, 64)
    table = unwind_rows(elf_of(elf_bytes(frames.end())))
    assert (table.functions, table.malformed) == (1, 1)
