"""Programs that are run in columns: the rows that one after the other has, and no others."""

from __future__ import annotations

import struct
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize import unwind_columns
from aperture_tui.symbolize.unwind_encoding import ABSOLUTE_8, DAMAGE, Addresses
from aperture_tui.symbolize.unwind_program import Rulebook, run

from .call_frames import USUAL, leb, sleb

BOOK = Rulebook(1, -8, Addresses(ABSOLUTE_8, 0), False, False).started(USUAL, 0, len(USUAL))
SAVED = BOOK.started(USUAL + b"\x86\x02", 0, len(USUAL) + 2)
SPACE = 0x1000


def one_by_one(program: bytes, start: int, book: Rulebook = BOOK) -> list[int] | None:
    """The rows of a program; None if it is damaged."""
    rows = array("Q")
    try:
        run(program, 0, len(program), book, start, rows.append)
    except DAMAGE:
        return None
    return list(rows)


def together(programs: list[bytes], book: Rulebook = BOOK) -> list[list[int]]:
    """The rows of each program, empty for those that were left over. There is rubbish between them."""
    data = b"\x0b" + b"\x0a\x0b\xff".join(programs) + b"\x40" * unwind_columns.SLACK
    begin = np.cumsum([1, *(len(program) + 3 for program in programs[:-1])])
    n = len(programs)
    _cfa, base, offset, rbp, _instead = book.initial
    given = unwind_columns.Programs(
        begin,
        begin + [len(program) for program in programs],
        SPACE * np.arange(n),
        *(np.full(n, value) for value in (base, offset, rbp)),
    )
    rows, counts = unwind_columns.run_all(np.frombuffer(data, np.uint8), given)
    return [part.tolist() for part in np.split(rows, np.cumsum(counts)[:-1])]


opcodes = st.one_of(
    st.integers(0x40, 0x7F).map(lambda op: bytes((op,))),
    st.integers(0, 255).map(lambda n: bytes((2, n))),
    st.integers(0, 65_535).map(lambda n: b"\x03" + struct.pack("<H", n)),
    st.integers(0, 70_000).map(lambda n: b"\x04" + struct.pack("<I", n)),
    st.tuples(st.sampled_from([6, 7, 3, 10, 200]), st.integers(0, 300_000)).map(
        lambda x: b"\x0c" + leb(x[0]) + leb(x[1])
    ),
    st.sampled_from([6, 7, 3, 10, 127, 128]).map(lambda r: b"\x0d" + leb(r)),
    st.integers(0, 1 << 40).map(lambda n: b"\x0e" + leb(n)),
    st.integers(0, 40_000).map(lambda n: b"\x0e" + leb(n)),
    st.tuples(st.sampled_from([6, 3, 12]), st.integers(0, 200)).map(lambda x: bytes((0x80 | x[0],)) + leb(x[1])),
    st.sampled_from([0xC6, 0xC3]).map(lambda op: bytes((op,))),
    st.sampled_from([b"\x0a", b"\x0b", b"\x00", b"\x2e\x81\x01", b"\x0a\x0b", b"\x0a\x44\x0e\x10\x0b"]),
)
rare = st.one_of(
    st.sampled_from([b"\x07\x10", b"\x08\x06", b"\x09\x06\x09", b"\x90\x02", b"\xd0", b"\x90\x01", b"\x3f", b"\x0e"]),
    st.integers(-5000, 5000).map(lambda n: b"\x13" + sleb(n)),
    st.binary(max_size=6),
)
usual_programs = st.lists(st.lists(opcodes, max_size=40).map(b"".join), min_size=1, max_size=12)


@settings(max_examples=300)
@given(usual_programs, st.sampled_from([BOOK, SAVED]))
def test_they_have_the_rows_that_one_by_one_has(programs: list[bytes], book: Rulebook) -> None:
    for i, (program, rows) in enumerate(zip(programs, together(programs, book), strict=True)):
        assert rows in ([], one_by_one(program, SPACE * i, book))


@settings(max_examples=300)
@given(st.lists(st.lists(opcodes | rare, max_size=20).map(b"".join), min_size=1, max_size=12))
def test_what_is_unusual_or_damaged_is_left_over_and_spoils_no_other(programs: list[bytes]) -> None:
    for i, (program, rows) in enumerate(zip(programs, together(programs), strict=True)):
        assert rows in ([], one_by_one(program, SPACE * i))


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
def test_any_bytes(programs: list[bytes]) -> None:
    for i, (program, rows) in enumerate(zip(programs, together(programs), strict=True)):
        assert rows in ([], one_by_one(program, SPACE * i))


@pytest.mark.parametrize(
    "program",
    [
        b"\x0a\x44\x0e\x20" * 64 + b"\x44\x0b" * 64,
        b"\x41\x0e\x10\x86\x02\x43\x0d\x06" + b"\x44\x0a\xc6\x0c\x07\x08\x41\x0b" * 150,
        b"\x41\x0e\x10" + bytes(7),
        b"",
    ],
    ids=["nested", "epilogues", "padded", "empty"],
)
def test_what_compilers_write_is_not_left_over(program: bytes) -> None:
    assert together([b"", program, program]) == [
        one_by_one(part, SPACE * i) for i, part in enumerate((b"", program, program))
    ]


def test_states_remembered_beyond_the_limit_are_left_to_the_other() -> None:
    assert together([b"\x0a" * 65, b"\x0b", b"\x41"]) == [[], [], one_by_one(b"\x41", 2 * SPACE)]
