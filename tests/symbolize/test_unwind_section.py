"""Call frame sections: where they are found, the kinds of entries, and what is malformed in them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.unwind_layout import CFA_NONE, CFA_RSP, Rules

from .call_frames import (
    BASE,
    CODE,
    FRAMES_AT,
    LOADED,
    USUAL,
    Frames,
    at,
    cie,
    elf_at,
    elf_bytes,
    elf_of,
    entry,
    leb,
    sleb,
    u32,
    unwind_rows,
    written,
)
from .conftest import need, run

NONE = Rules(CFA_NONE)


def test_set_loc_goes_to_an_address() -> None:
    frames = Frames(cie())
    where = FRAMES_AT + len(frames.data) + 17 + 1
    frames.function(CODE, 64, b"\x01" + struct.pack("<i", CODE + 24 - where) + b"\x0e\x30")
    table = unwind_rows(elf_of(elf_bytes(frames.end())))
    assert [found.cfa_offset for found in at(table, CODE + 23, CODE + 24)] == [8, 48]


def test_set_loc_back_into_another_function_is_not_believed() -> None:
    frames = Frames(cie())
    frames.function(CODE, 64)
    where = FRAMES_AT + len(frames.data) + 17 + 1
    frames.function(CODE + 64, 64, b"\x01" + struct.pack("<i", CODE + 24 - where) + b"\x0e\x30")
    table = unwind_rows(elf_of(elf_bytes(frames.end())))
    assert [found.cfa_offset for found in at(table, CODE + 23, CODE + 24, CODE + 64)] == [8, 8, 8]


def test_long_augmentation_data_is_skipped() -> None:
    frames = Frames(cie())
    program = b"\x50\x0e\x10"
    link_at = len(frames.data) + 4
    address = struct.pack("<iI", CODE - (FRAMES_AT + link_at + 4), 64)
    frames.data += entry(u32(link_at), address + leb(200) + b"\x3f" * 200 + program)
    assert at(unwind_rows(elf_of(elf_bytes(frames.end()))), CODE + 16) == [Rules(CFA_RSP, 16)]


@pytest.mark.parametrize("version", [1, 3, 4])
@pytest.mark.parametrize("wide", [False, True])
def test_versions_and_lengths_of_entries(version: int, wide: bool) -> None:
    frames = Frames(cie(version=version, wide=wide))
    frames.function(CODE, 64, b"\x50\x0e\x10", wide=wide)
    table = unwind_rows(elf_of(elf_bytes(frames.end())))
    assert at(table, CODE + 15, CODE + 16) == [Rules(CFA_RSP, 8), Rules(CFA_RSP, 16)]
    assert (table.functions, table.malformed) == (1, 0)


def encoded(encoding: int, address: int, place: int, hdr: int) -> bytes:
    """An address by its DW_EH_PE_ encoding; place: where it is written."""
    value = address - {0x00: 0, 0x10: place, 0x30: hdr}[encoding & 0x70]
    kinds = {0: "<Q", 2: "<H", 3: "<I", 4: "<Q", 10: "<h", 11: "<i", 12: "<q"}
    kind = encoding & 0x0F
    if kind in kinds:
        return struct.pack(kinds[kind], value)
    return leb(value) if kind == 1 else sleb(value)


@pytest.mark.parametrize(
    "encoding", [0x00, 0x01, 0x03, 0x04, 0x09, 0x0B, 0x0C, 0x10, 0x11, 0x13, 0x14, 0x1B, 0x1C, 0x19, 0x33, 0x3B, 0x3C]
)
def test_encodings_of_addresses(encoding: int) -> None:
    common = cie(data=bytes((encoding,)))
    place = FRAMES_AT + len(common) + 8
    address = encoded(encoding, CODE, place, BASE + 0x200)
    size = encoded(encoding & 0x07, 64, 0, 0)
    frames = common + entry(u32(len(common) + 4), address + size + b"\0" + b"\x50\x0e\x10") + bytes(4)
    table = unwind_rows(elf_of(elf_bytes(frames, hdr=b"\x01\xff\xff\xff")))
    assert at(table, CODE - 1, CODE, CODE + 16, CODE + 63, CODE + 64) == [
        NONE, Rules(CFA_RSP, 8), Rules(CFA_RSP, 16), Rules(CFA_RSP, 16), NONE,
    ]  # fmt: skip
    assert table.malformed == 0


@pytest.mark.parametrize("encoding", [0x05, 0x1F, 0x20, 0x40, 0x50, 0x9B, 0xFF])
def test_encodings_that_do_not_occur_are_counted(encoding: int) -> None:
    table = written((CODE, 64, b""), (CODE + 64, 64, b""), common=cie(data=bytes((encoding,))))
    assert (table.functions, table.malformed, len(table.rows)) == (0, 2, 0)


@pytest.mark.parametrize(
    ("augmentation", "data"), [(b"zPLR", b"\x9b\0\0\0\0\x1b\x1b"), (b"zPLR", b"\0\0\0\0\0\0\0\0\0\x1b\x1b")]
)
def test_a_personality_routine_is_skipped(augmentation: bytes, data: bytes) -> None:
    table = written((CODE, 64, b""), common=cie(augmentation=augmentation, data=data))
    assert at(table, CODE) == [Rules(CFA_RSP, 8)]


@pytest.mark.parametrize(
    "common",
    [
        cie(augmentation=b"zRB"),
        cie(augmentation=b"eh", data=b""),
        cie(augmentation=b"zQR"),
        cie(version=2),
        cie(column=30),
        cie(program=USUAL + b"\x41"),
        cie(program=b"\x3f"),
        cie(program=b"\x0c\x07"),
        cie(data=b""),
    ],
)
def test_common_entries_of_no_known_kind_are_counted_with_their_functions(common: bytes) -> None:
    table = written((CODE, 64, b""), (CODE + 64, 64, b""), common=common)
    assert (table.functions, table.malformed, len(table.rows)) == (0, 3, 0)


@pytest.mark.parametrize(
    "program",
    [
        b"\x3f",  # no such opcode
        b"\x0b",  # restore_state without remember_state
        b"\x0a" * 100,
        b"\x0e",  # the operand is in the next entry
        b"\x04\xff\xff\xff\xff",  # beyond 32 bits
        b"\x0e" + b"\x80" * 20 + b"\x01",
        b"\x01" + struct.pack("<i", -0x700000) + b"\x41",  # set_loc below the base
        b"\x0f\xff\xff\xff\xff\x0f",
    ],
)
def test_a_malformed_program_spoils_its_own_function_only(program: bytes) -> None:
    table = written((CODE, 64, b""), (CODE + 64, 64, b"\x41\x0e\x10" + program), (CODE + 128, 64, b""))
    assert (table.functions, table.malformed) == (2, 1)
    assert at(table, CODE, CODE + 64, CODE + 100, CODE + 128) == [Rules(CFA_RSP, 8), NONE, NONE, Rules(CFA_RSP, 8)]


@pytest.mark.parametrize(("start", "size"), [(BASE - 64, 32), (BASE + LOADED, 16), (BASE + LOADED - 16, 32)])
def test_functions_outside_of_what_is_loaded_are_counted(start: int, size: int) -> None:
    table = written((start, size, b""), (CODE, 64, b""))
    assert (table.functions, table.malformed, len(table.rows)) == (1, 1, 2)


def test_an_entry_beyond_the_end_is_counted_and_what_is_before_it_kept() -> None:
    frames = Frames(cie())
    frames.function(CODE, 64)
    table = unwind_rows(elf_of(elf_bytes(frames.data + u32(1 << 20) + bytes(16))))
    assert (table.functions, table.malformed, table.truncated) == (1, 1, False)


def test_the_header_leads_to_the_section_where_there_are_no_section_headers() -> None:
    frames = Frames(cie())
    frames.function(CODE, 64, b"\x50\x0e\x10")
    hdr = b"\x01\x1b\x03\x3b" + struct.pack("<i", FRAMES_AT - (BASE + 0x204)) + bytes(12)
    named = unwind_rows(elf_of(elf_bytes(frames.end())))
    found = unwind_rows(elf_of(elf_bytes(frames.end(), headers=False, hdr=hdr)))
    assert np.array_equal(found.rows, named.rows)
    assert (found.functions, found.malformed) == (1, 0)


def test_a_stripped_program_has_the_same_table_by_its_header(built: Path, calls: Path) -> None:
    need("objcopy")
    try:
        run("objcopy", "--strip-section-headers", calls, built / "bare")
    except subprocess.CalledProcessError:  # binutils before 2.41: take them out by hand
        data = bytearray(calls.read_bytes())
        data[40:48], data[58:64] = bytes(8), bytes(6)
        (built / "bare").write_bytes(data)
    elf = elf_at(built / "bare")
    assert not elf.sections
    assert np.array_equal(unwind_rows(elf).rows, unwind_rows(elf_at(calls)).rows)


@pytest.mark.parametrize(
    ("hdr", "message"),
    [
        (b"\x02\x1b\x03\x3b" + bytes(8), "unknown version"),
        (b"\x01\xff\x03\x3b" + bytes(8), "encoding"),
        (b"\x01\x1b\x03\x3b" + struct.pack("<i", -0x600000), "no segment"),
        (b"\x01", "malformed"),
    ],
)
def test_a_malformed_header_is_an_error_of_one_line(hdr: bytes, message: str) -> None:
    with pytest.raises(ElfError, match=message) as caught:
        unwind_rows(elf_of(elf_bytes(b"", headers=False, hdr=hdr)))
    assert "\n" not in str(caught.value)


def test_debug_frame_serves_where_there_is_no_eh_frame() -> None:
    for mark, wide in ((b"\xff" * 4, False), (b"\xff" * 8, True)):
        common = cie(augmentation=b"", version=4, mark=mark, wide=wide)
        function = entry(bytes(len(mark)), struct.pack("<QQ", CODE, 64) + b"\x50\x0e\x10", wide=wide)
        table = unwind_rows(elf_of(elf_bytes(common + function, name=b".debug_frame", flags=0)))
        assert at(table, CODE, CODE + 16) == [Rules(CFA_RSP, 8), Rules(CFA_RSP, 16)]
        assert (table.functions, table.malformed) == (1, 0)


def test_what_follows_the_terminator_in_the_segment_is_not_missed() -> None:
    frames = Frames(cie())
    frames.function(CODE, 64)
    hdr = b"\x01\x1b\x03\x3b" + struct.pack("<i", FRAMES_AT - (BASE + 0x204))
    elf = elf_of(elf_bytes(frames.end() + b"\xff" * 4096, headers=False, hdr=hdr))
    table = unwind_rows(elf, max_bytes=256)
    assert (table.functions, table.malformed, table.truncated) == (1, 0, False)


def test_a_file_without_call_frame_information_has_an_empty_table() -> None:
    table = unwind_rows(elf_of(elf_bytes(b"", name=b".other")))
    assert (len(table.rows), table.functions, table.truncated) == (0, 0, False)
    assert at(table, CODE) == [NONE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flags": 0x802}, "compressed"),
        ({"kind": 8}, "not in the file"),
        ({"machine": 183}, "x86-64"),
    ],
)
def test_files_that_cannot_be_used_are_an_error_of_one_line(options: dict[str, Any], message: str) -> None:
    frames = Frames(cie())
    frames.function(CODE, 64)
    with pytest.raises(ElfError, match=message):
        unwind_rows(elf_of(elf_bytes(frames.end(), **options)))
