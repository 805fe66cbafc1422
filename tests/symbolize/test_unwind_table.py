"""Unwind tables against readelf, and against what the assembler was told."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize.unwind_layout import (
    CFA_DEREF_RBP,
    CFA_DEREF_RSP,
    CFA_END,
    CFA_NONE,
    CFA_PLT,
    CFA_RBP,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_SIGNAL,
    RBP_SAVED,
    RBP_SAVED_RBP,
    RBP_UNDEFINED,
    Rules,
    UnwindTable,
    rules_of,
)
from aperture_tui.symbolize.unwind_table import UnwindSource

from .call_frames import BASE, CODE, Frames, at, cie, elf_at, elf_bytes, elf_of, leb, sleb, unwind_rows, written
from .conftest import PROGRAMS, need, run
from .readelf_frames import ANY, readelf_frames
from .test_elf import own_vdso

HALF = np.uint64(0xFFFFFFFF)
NONE = Rules(CFA_NONE)


def mapped(part: str) -> Path | None:
    """A file with this in its name that this process has mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        name = line.partition("/")[2]
        if name and part in Path(name).name:
            return Path("/" + name)
    return None


def library(name: str) -> Path:
    """A library of this machine; skips where it is not there."""
    if name == "python":
        return mapped("libpython") or Path(sys.executable).resolve()
    found = mapped(name)
    if found is None:
        need("gcc")
        found = Path(run("gcc", f"-print-file-name={name}.6").strip())
    if not found.is_file():
        pytest.skip(f"{name} is not installed")
    return found


def check_against_readelf(path: Path) -> tuple[UnwindTable, int]:
    """Each of readelf's rows, in front, inside and at the end; and how many rows there were."""
    expected = readelf_frames(path)
    pc, want = expected.arrays()
    table = unwind_rows(elf_at(path))
    got = table.find(pc) & HALF
    wrong = (got != want) & (want != ANY)
    assert not np.any(wrong), [
        (hex(p), hex(g), hex(w)) for p, g, w in zip(pc[wrong], got[wrong], want[wrong], strict=True)
    ][:5]
    assert table.malformed == 0
    assert not table.truncated
    return table, expected.rows


@pytest.mark.parametrize("name", ["libc.so", "libstdc++.so", "python", "ld-linux"])
def test_a_library_agrees_with_readelf_row_by_row(name: str) -> None:
    table, rows = check_against_readelf(library(name))
    assert rows > 1
    assert table.unsupported <= max(1, len(table.rows) // 100)
    assert len(table.rows) < 1.1 * rows + 2


@pytest.mark.parametrize("flags", ["-O2 -fomit-frame-pointer", "-O0", "-Os -fno-pic -no-pie -mavx2 -ftree-vectorize"])
def test_a_compiled_program_agrees_with_readelf_row_by_row(built: Path, flags: str) -> None:
    need("g++")
    program = built / f"unwind{flags.replace(' ', '')}"
    run("g++", *flags.split(), "-o", program, PROGRAMS / "unwind.cpp")
    table, _ = check_against_readelf(program)
    kinds = {rules_of(int(row)).cfa for row in table.rows}
    assert {CFA_RSP, CFA_RBP, CFA_DEREF_RBP, CFA_END} <= kinds, "a realigned frame is not *(rbp + offset)"
    assert table.base == (0x400000 if "-no-pie" in flags else 0)


def test_the_vdso_agrees_with_readelf_row_by_row(built: Path) -> None:
    image = built / "vdso"
    image.write_bytes(own_vdso())
    check_against_readelf(image)


@pytest.fixture(scope="module")
def rules(built: Path) -> tuple[UnwindTable, dict[str, int]]:
    """The table of rules.s, and where its functions are."""
    need("gcc", "nm")
    out = built / "rules.so"
    run("gcc", "-shared", "-nostdlib", "-o", out, PROGRAMS / "rules.s")
    symbols = [line.split() for line in run("nm", out).splitlines()]
    return unwind_rows(elf_at(out)), {name: int(address, 16) for address, kind, name in symbols if kind == "T"}


AT_16 = (RBP_SAVED, -16)
WRITTEN = {
    "usual": [
        Rules(CFA_RSP, 8), Rules(CFA_RSP, 16, *AT_16), Rules(CFA_RBP, 16, *AT_16), Rules(CFA_RSP, 8),
        Rules(CFA_RBP, 16, *AT_16),
    ],
    "outermost": [Rules(CFA_RSP, 8), Rules(CFA_END), Rules(CFA_END), Rules(CFA_RSP, 64)],
    "elsewhere": [NONE, Rules(CFA_RSP, 16), NONE, NONE],
    "other_register": [NONE, NONE, Rules(CFA_RSP, 24)],
    "too_far": [
        Rules(CFA_RSP, 32767), Rules(CFA_RSP_WIDE, 32768), Rules(CFA_RSP_WIDE, 262136), NONE, NONE, NONE,
        Rules(CFA_RBP, 16), Rules(CFA_RBP, 16, RBP_SAVED, -1024),
        Rules(CFA_RBP, 16, RBP_UNDEFINED), Rules(CFA_RBP, 16, RBP_UNDEFINED),
    ],
    "frame_pointer": [
        Rules(CFA_RSP, 8, *rbp)
        for rbp in [
            (RBP_UNDEFINED,), (), (RBP_UNDEFINED,), (RBP_SAVED_RBP, 16), *[(RBP_UNDEFINED,)] * 4,
            (RBP_SAVED, -32), (RBP_SAVED, 24), (RBP_SAVED, 40),
        ]
    ],
    "signed": [Rules(CFA_RSP, 32), Rules(CFA_RSP, -16), NONE, Rules(CFA_RSP, 40)],
    "expressions": [
        Rules(CFA_PLT, 11), Rules(CFA_DEREF_RBP, -8), Rules(CFA_DEREF_RBP, -8), Rules(CFA_DEREF_RSP, 152), NONE, NONE,
        NONE, Rules(CFA_RSP, 80),
    ],
    "trampoline": [Rules(CFA_SIGNAL)],
    "other_trampoline": [NONE],
    "plain_trampoline": [NONE],
    "wide_advance": [Rules(CFA_RSP, 8), Rules(CFA_RSP, 16), Rules(CFA_RSP, 24)],
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_each_rule_is_what_the_assembler_was_told(rules: tuple[UnwindTable, dict[str, int]], name: str) -> None:
    table, where = rules
    steps = [where[name] + 16 * i for i in range(len(WRITTEN[name]))]
    assert at(table, *steps) == WRITTEN[name]
    assert table.malformed == 0


def test_advances_of_every_width(rules: tuple[UnwindTable, dict[str, int]]) -> None:
    table, where = rules
    far = where["far"]
    edges = [0, 199, 200, 1199, 1200, 71199, 71200]
    assert [found.cfa_offset for found in at(table, *(far + edge for edge in edges))] == [8, 8, 24, 24, 32, 32, 40]


def test_a_table_says_what_its_addresses_count_from() -> None:
    table = written((CODE, 64, b""))
    assert table.base == BASE
    assert (int(table.rows[0]) >> 32) == CODE - BASE
    assert at(table, CODE - 1, CODE, CODE + 63, CODE + 64, BASE - 1, 2**64 - 1) == [
        NONE, Rules(CFA_RSP, 8), Rules(CFA_RSP, 8), NONE, NONE, NONE,
    ]  # fmt: skip


def test_addresses_at_the_top_of_the_address_space() -> None:
    base = 0xFFFFFFFFFF700000 - 0x1000
    frames = Frames(cie())
    frames.function(CODE, 64)
    table = unwind_rows(elf_of(elf_bytes(frames.end(), base=base)))
    assert at(table, base + CODE - BASE + 5) == [Rules(CFA_RSP, 8)]


def test_padding_between_functions_has_no_row_and_a_gap_has_one() -> None:
    table = written((CODE, 50, b""), (CODE + 64, 48, b""), (CODE + 128, 8, b""))
    assert [(int(row) >> 32) + BASE - CODE for row in table.rows] == [0, 64 + 48, 128, 136]
    assert at(table, CODE + 55, CODE + 120, CODE + 130) == [Rules(CFA_RSP, 8), NONE, Rules(CFA_RSP, 8)]


def test_where_functions_overlap_the_one_that_starts_last_is_right() -> None:
    table = written((CODE, 100, b"\x60\x0e\x20"), (CODE + 20, 20, b"\x0e\x10"), (CODE + 20, 20, b"\x0e\x18"))
    assert [found.cfa_offset for found in at(table, CODE, CODE + 19, CODE + 20, CODE + 39)] == [8, 8, 24, 24]
    assert at(table, CODE + 40, CODE + 90) == [NONE, NONE], "the search table of .eh_frame_hdr finds nothing here"


def test_rules_beyond_the_end_of_a_function_do_not_reach_the_next() -> None:
    table = written((CODE, 32, b"\x02\xff\x0e\x20"), (CODE + 200, 100, b""))
    assert [found.cfa for found in at(table, CODE, CODE + 32, CODE + 260)] == [CFA_RSP, CFA_NONE, CFA_RSP]


def test_of_two_rules_at_one_address_the_later_holds() -> None:
    table = written((CODE, 64, b"\x48\x0e\x10\x40\x0e\x18"))
    assert [found.cfa_offset for found in at(table, CODE + 7, CODE + 8)] == [8, 24]


def test_the_outermost_frame_is_known_where_start_up_code_has_no_entry() -> None:
    table = written((CODE, 64, b""), entry_point=CODE + 256)
    assert at(table, CODE + 255, CODE + 256, CODE + 256 + 40, CODE + 256 + 48) == [NONE, *[Rules(CFA_END)] * 2, NONE]
    covered = written((CODE, 64, b""), entry_point=CODE + 16)
    assert at(covered, CODE + 16) == [Rules(CFA_RSP, 8)]
    short = written((CODE + 32, 64, b""), entry_point=CODE)
    assert at(short, CODE + 31, CODE + 32) == [Rules(CFA_END), Rules(CFA_RSP, 8)]


def test_limits_cut_a_table_short_and_it_says_so() -> None:
    frames = Frames(cie())
    for i in range(100):
        frames.function(CODE + 64 * i, 32, b"\x41\x0e\x10\x41\x0e\x18")
    elf = elf_of(elf_bytes(frames.end()))
    whole = unwind_rows(elf)
    assert (len(whole.rows), whole.truncated) == (400, False)
    by_rows, by_bytes = unwind_rows(elf, max_rows=99), unwind_rows(elf, max_bytes=900)
    assert len(by_rows.rows) == 99
    assert by_bytes.functions == (900 - len(cie())) // 23
    for limited in (by_rows, by_bytes):
        assert limited.truncated
        assert limited.malformed == 0
        assert np.array_equal(limited.rows[:-1], whole.rows[: len(limited.rows) - 1])
        assert int(limited.rows[-1]) & 0xFFFFFFFF == 0
    assert len(unwind_rows(elf, max_rows=400).rows) == 400


def test_debug_frame_of_a_compiler_agrees_with_readelf(built: Path) -> None:
    need("gcc")
    out = built / "debug_frame"
    flags = ["-O1", "-g", "-fno-asynchronous-unwind-tables", "-fno-exceptions", "-shared", "-fPIC", "-nostdlib"]
    run("gcc", *flags, "-o", out, PROGRAMS / "calls.c")
    table = unwind_rows(elf_at(out))
    assert table.functions > 3
    check_against_readelf(out)


def test_equal_keys_mean_equal_tables() -> None:
    def key(program: bytes = b"", **options: Any) -> bytes:
        frames = Frames(cie())
        frames.function(CODE, 64, program)
        return UnwindSource.read(elf_of(elf_bytes(frames.end(), **options))).key

    keys = [key(), key(b"\x0e\x10"), key(entry_point=CODE + 256), key(base=BASE * 2), key(name=b".debug_frame")]
    assert len(set(keys)) == len(keys)
    assert key() == key()


opcodes = st.one_of(
    st.integers(0x40, 0x7F).map(lambda op: bytes((op,))),
    st.integers(0, 200).map(lambda n: bytes((2, n))),
    st.integers(0, 2000).map(lambda n: b"\x03" + struct.pack("<H", n)),
    st.tuples(st.sampled_from([6, 7, 3, 10]), st.integers(0, 40000)).map(lambda x: b"\x0c" + leb(x[0]) + leb(x[1])),
    st.sampled_from([6, 7, 3, 10]).map(lambda r: b"\x0d" + leb(r)),
    st.integers(0, 40000).map(lambda n: b"\x0e" + leb(n)),
    st.integers(-5000, 5000).map(lambda n: b"\x13" + sleb(n)),
    st.tuples(st.sampled_from([6, 3, 12, 16]), st.integers(0, 140)).map(lambda x: bytes((0x80 | x[0],)) + leb(x[1])),
    st.tuples(st.sampled_from([6, 3, 16]), st.integers(-140, 140)).map(lambda x: b"\x11" + leb(x[0]) + sleb(x[1])),
    st.sampled_from([0xC6, 0xC3, 0xD0]).map(lambda op: bytes((op,))),
    st.sampled_from([b"\x07\x10", b"\x08\x06", b"\x09\x06\x09", b"\x00", b"\x2e\x81\x01"]),
    st.lists(st.sampled_from([b"\x0e\x10", b"\x86\x02", b"\x44"]), max_size=3).map(
        lambda inner: b"\x0a" + b"".join(inner) + b"\x0b"
    ),
)


@settings(max_examples=40)
@given(st.lists(st.lists(opcodes, max_size=30), min_size=1, max_size=30))
def test_programs_that_no_compiler_writes_agree_with_readelf(
    tmp_path_factory: pytest.TempPathFactory, programs: list[list[bytes]]
) -> None:
    frames = Frames(cie())
    for i, program in enumerate(programs):
        frames.function(CODE + 0x4000 * i, 0x4000, b"".join(program))
    path = tmp_path_factory.mktemp("programs") / "file"
    path.write_bytes(elf_bytes(frames.end()))
    check_against_readelf(path)
