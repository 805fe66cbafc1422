"""Go's own table of functions: names as the symbols have them, and rows as the debugger's tables have them."""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize import unwind_table
from aperture_tui.symbolize.elf import SHT_SYMTAB, BytesSource, Elf, ElfError
from aperture_tui.symbolize.go_table import ASSEMBLY, SIGNAL_RETURN, SP_WRITE, TOP_FRAME, GoTable, go_rows
from aperture_tui.symbolize.go_unwind import GoFrames
from aperture_tui.symbolize.images import read_image
from aperture_tui.symbolize.symbol_index import function_rows
from aperture_tui.symbolize.unwind_layout import (
    CFA_END,
    CFA_NONE,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_SIGNAL,
    CFA_SWITCH,
    RBP_SAVED,
    RBP_UNDEFINED,
    Rules,
    UnwindTable,
)
from aperture_tui.symbolize.unwind_section import CallFrames
from aperture_tui.symbolize.unwind_table import UnwindSource
from tests.truth.programs import NotBuilt, Recipe, build

from .call_frames import FRAMES_AT, Frames, at, cie, elf_at, unwind_rows
from .go_sections import (
    GO_1_18,
    GO_1_20,
    TEXT,
    TEXT_BYTES,
    Function,
    address_of,
    file,
    relocation,
    section,
    steps,
)

PLAIN = Function(0x100, 0x140, b"main.plain", ((4, 0), (40, 24), (1, 0), (10, 24)))
"""Its prologue, its body, a return in the middle, and the rest; then nine bytes of padding."""
FUNCTIONS = [
    Function(0x0, 0x20, b"runtime.goexit", ((0x20, 0),), TOP_FRAME | ASSEMBLY),
    Function(0x20, 0x60, b"runtime.systemstack", ((0x20, 0), (0x20, 8)), SP_WRITE | ASSEMBLY),
    Function(0x60, 0xA0, b"runtime.sigtramp", ((0x10, 0), (0x30, 56)), TOP_FRAME | ASSEMBLY),
    Function(0xA0, 0xC0, b"runtime.sigreturn__sigaction", ((0x20, 0),), ASSEMBLY),
    Function(0xC0, 0xD0, b"runtime.mcall", ((0x10, 0),), SP_WRITE | ASSEMBLY),
    Function(0xD0, 0xE0, b"runtime.gogo", ((0x10, 0),), SP_WRITE | ASSEMBLY),
    Function(0xE0, 0x100, b"main.(*tree[go.shape.int]).insert", ((8, 0), (0x18, 40_000))),
    PLAIN,
]


def program(data: bytes, name: bytes = b".gopclntab") -> Elf:
    return Elf.read(BytesSource(file([(name, 1, 2, data)])))


def table_of(data: bytes) -> UnwindTable:
    return unwind_rows(program(data))


def names_of(elf: Elf) -> dict[int, bytes]:
    rows = go_rows(elf)
    assert rows is not None
    return {int(start): rows.strings.at(int(name)) for start, name in zip(rows.start, rows.name, strict=True)}


# -- written by hand


@pytest.mark.parametrize("magic", [GO_1_18, GO_1_20])
def test_names_and_flags_of_both_layouts(magic: int) -> None:
    elf = program(section(FUNCTIONS, magic))
    early = {one.name: int(b"sigreturn" in one.name) for one in FUNCTIONS}
    assert names_of(elf) == {TEXT + one.start - early[one.name]: one.name for one in FUNCTIONS}
    rows = go_rows(elf)
    assert rows is not None
    assert rows.size.tolist() == [one.end - one.start + early[one.name] for one in FUNCTIONS]
    found = GoTable.find(elf)
    assert found is not None
    frames = GoFrames.read(elf, found, 1 << 20)
    assert frames is not None
    flags = found.read(frames.names, frames.functions).flags
    assert flags.tolist() == [one.flags | SIGNAL_RETURN * early[one.name] for one in FUNCTIONS]


def test_what_a_handler_returns_to_is_looked_for_in_front_of_it() -> None:
    """The kernel puts its address on the stack: a return address, less one, is that of the function before."""
    start = TEXT + next(one.start for one in FUNCTIONS if b"sigreturn" in one.name)
    assert at(table_of(section(FUNCTIONS)), start - 2, start - 1) == [
        Rules(CFA_RSP, 64, RBP_UNDEFINED),
        Rules(CFA_SIGNAL),
    ]
    index = read_image(BytesSource(file([(b".gopclntab", 1, 2, section(FUNCTIONS))]))).index
    rows = index.find(np.array([start - 2, start - 1, start], np.uint64))
    assert [index.name_at(int(row)) for row in rows] == [b"runtime.sigtramp", *[b"runtime.sigreturn__sigaction"] * 2]


def test_the_return_address_lies_above_what_the_stack_is_deep() -> None:
    table, start = table_of(section([PLAIN])), TEXT + PLAIN.start
    assert at(table, start, start + 3) == [Rules(CFA_RSP, 8)] * 2
    assert at(table, start + 4, start + 43) == [Rules(CFA_RSP, 32, RBP_SAVED, -16)] * 2
    assert at(table, start + 44) == [Rules(CFA_RSP, 8)]
    assert at(table, start + 45, PLAIN.end - 1 + TEXT) == [Rules(CFA_RSP, 32, RBP_SAVED, -16)] * 2
    assert (table.functions, table.malformed) == (1, 0)


def test_functions_that_are_none_like_the_others() -> None:
    table = table_of(section(FUNCTIONS))
    switch = Rules(CFA_SWITCH, 16, RBP_SAVED, -16)
    assert at(table, TEXT + 1) == [Rules(CFA_END)]
    assert at(table, TEXT + 0x20, TEXT + 0x5F) == [Rules(CFA_RSP, 8), switch], "before it has a frame, and then"
    assert at(table, TEXT + 0xC0, TEXT + 0xD0) == [Rules(CFA_END), switch]
    assert at(table, TEXT + 0x60, TEXT + 0x80) == [Rules(CFA_RSP, 8), Rules(CFA_RSP, 64, RBP_UNDEFINED)]
    assert at(table, TEXT + 0xA0) == [Rules(CFA_SIGNAL)]
    assert at(table, TEXT + 0xE8) == [Rules(CFA_RSP_WIDE, 40_008, RBP_SAVED, -16)]


def test_what_is_not_known_has_no_rule() -> None:
    popped = Function(0x0, 0x20, b"syscall.rawVforkSyscall", ((8, 0), (8, -8), (16, 0)), ASSEMBLY)
    odd = Function(0x20, 0x40, b"main.odd", ((8, 0), (24, 12)))
    mark = Function(0x40, 0x60, b"go:textfipsstart", ())
    table = table_of(section([popped, odd, mark, PLAIN]))
    assert [rules.cfa for rules in at(table, TEXT + 8, TEXT + 0x28, TEXT + 0x10)] == [CFA_NONE, CFA_NONE, CFA_RSP]


def test_a_damaged_table_tells_what_it_can() -> None:
    data, table = section([PLAIN]), steps(PLAIN.depths)
    broken = table_of(data.replace(table, table[:2].ljust(len(table), b"\xff")))
    assert (broken.functions, broken.malformed) == (0, 1)
    start = TEXT + PLAIN.start
    assert at(broken, start, start + 4) == [Rules(CFA_RSP, 8), Rules(CFA_NONE)]


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(1, 300), st.integers(0, 12_000).map(lambda words: 8 * words)), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_instruction_has_the_depth_that_was_written(depths: list[list[tuple[int, int]]]) -> None:
    functions, start = [], 0
    for i, one in enumerate(depths):
        end = start + sum(length for length, _ in one)
        functions.append(Function(start, end, b"main.f%d" % i, tuple(one)))
        start = end
    table = table_of(section(functions))
    for function in functions:
        pc = TEXT + function.start
        for length, depth in function.depths:
            for rules in at(table, pc, pc + length - 1):
                assert (rules.cfa, rules.cfa_offset) == (CFA_RSP if depth + 8 < 32_768 else CFA_RSP_WIDE, depth + 8)
            pc += length
    assert table.malformed == 0


@pytest.mark.parametrize("left", [4, 12, 36])
def test_a_table_that_is_cut_behind_its_column_is_refused(left: int) -> None:
    """With no room for what is looked at of one function."""
    data = section([PLAIN])
    (at,) = struct.unpack_from("<Q", data, 64)
    with pytest.raises(ElfError, match="cut short"):
        go_rows(program(data[: at + left]))


@pytest.mark.parametrize("text", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_functions_at_no_address_are_refused(text: int) -> None:
    with pytest.raises(ElfError, match="begin nowhere"):
        go_rows(program(section(FUNCTIONS, text=text)))


def test_a_table_of_many_steps_is_cut_at_the_limit() -> None:
    long = Function(0, 10_000, b"main.long", tuple((2, 8 * (i % 2)) for i in range(5000)))
    table = table_of(section([long]))
    assert table.malformed == 1
    assert [rules.cfa for rules in at(table, TEXT + 8190, TEXT + 8192, TEXT + 9999)] == [CFA_RSP, CFA_NONE, CFA_NONE]


# -- where it is


def test_a_program_that_may_lie_anywhere_has_its_start_in_a_relocation() -> None:
    data = section(FUNCTIONS, text=0)
    for name in (b".gopclntab", b".data.rel.ro.gopclntab"):
        parts = [(name, 1, 2, data), (b".rela.dyn", 4, 2, bytes(72))]
        where = address_of(b"", name, parts) + 24
        parts[1] = (b".rela.dyn", 4, 2, relocation(1, 2) + relocation(where, TEXT) + relocation(3, 4))
        assert names_of(Elf.read(BytesSource(file(parts))))[TEXT + PLAIN.start] == b"main.plain"
    with pytest.raises(ElfError, match="where Go's functions begin"):
        go_rows(program(data))


def test_since_go_1_26_the_start_is_in_the_module() -> None:
    module = bytes(176) + TEXT.to_bytes(8, "little") + bytes(64)
    parts = [(b".gopclntab", 1, 2, section(FUNCTIONS, text=0)), (b".go.module", 1, 3, module)]
    assert names_of(Elf.read(BytesSource(file(parts))))[TEXT + PLAIN.start] == b"main.plain"
    parts = [parts[0], (b".go.module", 1, 3, bytes(256)), (b".rela.dyn", 4, 2, bytes(24))]
    parts[2] = (b".rela.dyn", 4, 2, relocation(address_of(b"", b".go.module", parts) + 176, TEXT))
    assert names_of(Elf.read(BytesSource(file(parts))))[TEXT + PLAIN.start] == b"main.plain"


def test_another_linker_puts_it_between_other_things() -> None:
    data = b"other things" * 20 + section(FUNCTIONS) + b"more of them" * 20
    parts = [(b".data.rel.ro", 1, 3, data), (b".go.buildinfo", 1, 3, b"\xff Go buildinf:")]
    assert names_of(Elf.read(BytesSource(file(parts))))[TEXT + PLAIN.start] == b"main.plain"
    assert go_rows(Elf.read(BytesSource(file(parts[:1])))) is None, "no program of Go"


def test_a_program_of_another_language_has_none() -> None:
    elf = Elf.read(BytesSource(file([])))
    assert go_rows(elf) is None
    source = UnwindSource.read(elf)
    assert (source.go, source.go_problem) == (None, "")


def test_functions_outside_of_the_code_are_left_out() -> None:
    far = Function(TEXT_BYTES + 0x100, TEXT_BYTES + 0x200, b"main.far", ((0x100, 0),))
    assert set(names_of(program(section([*FUNCTIONS, far]))).values()) == {one.name for one in FUNCTIONS}


def test_more_of_it_than_is_read_is_no_table_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    elf = program(section(FUNCTIONS))
    whole = UnwindSource.read(elf)
    monkeypatch.setattr(unwind_table, "MAX_GO_BYTES", 100)
    source = UnwindSource.read(elf)
    assert source.go is None
    table = source.table()
    assert (table.truncated, len(table.rows), source.key != whole.key) == (True, 0, True)


@pytest.mark.parametrize("text", [TEXT, 0], ids=["out of order", "no beginning"])
def test_a_damaged_one_takes_nothing_from_what_c_has(text: int) -> None:
    """Its own functions are counted as damaged, and C's in the same file have their rows."""
    backwards = [PLAIN, FUNCTIONS[0]]
    parts = [(b".gopclntab", 1, 2, section(backwards, text=text)), (b".eh_frame", 1, 2, b"")]
    moved = address_of(b"", b".eh_frame", parts) - FRAMES_AT
    frames = Frames(cie())
    frames.function(TEXT - moved, 64)
    parts[1] = (b".eh_frame", 1, 2, frames.end())
    table = unwind_rows(Elf.read(BytesSource(file(parts))))
    assert at(table, TEXT, TEXT + 63) == [Rules(CFA_RSP, 8, 0, 0)] * 2
    assert (table.functions, table.malformed) == (1, 1)


# -- files that lie


@given(st.data())
def test_whatever_the_bytes_there_is_a_sound_table_or_one_error(data: st.DataObject) -> None:
    raw = bytearray(section(FUNCTIONS))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(raw), len(raw), data.draw(st.integers(0, len(raw)))]))
    image = read_image(BytesSource(file([(b".gopclntab", 1, 2, bytes(raw[:cut]))])))
    for start, size in zip(image.index.start.tolist(), image.index.size.tolist(), strict=True):
        assert TEXT <= start < start + size <= TEXT + TEXT_BYTES
    refused = ""
    try:
        table = table_of(bytes(raw[:cut]))
    except ElfError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        return
    pc = table.rows >> np.uint64(32)
    assert np.all(pc[1:] > pc[:-1])
    assert np.all((table.rows >> np.uint64(8) & np.uint64(0xF)) <= CFA_SWITCH)


@given(st.binary(max_size=600))
def test_random_bytes_behind_the_mark(data: bytes) -> None:
    mark = GO_1_20.to_bytes(4, "little") + bytes((0, 0, 1, 8))
    read_image(BytesSource(file([(b".gopclntab", 1, 2, mark + data)])))


# -- of Go's own linker


def compiled(name: str, *flags: str, tool: str = "go") -> Path:
    try:
        return build(name, Recipe(("gocalls.go" if tool == "go with C" else "gopher.go",), tool, flags))
    except NotBuilt as reason:
        pytest.skip(str(reason))


BUILDS = pytest.mark.parametrize(
    ("tool", "flags"),
    [
        ("go", ()),
        ("go", ("-buildmode=pie",)),
        ("go with C", ()),
        ("go with C", ("-buildmode=pie",)),
    ],
    ids=["go", "anywhere", "with C", "with C, anywhere"],
)


@BUILDS
def test_names_are_those_of_the_symbols(tool: str, flags: tuple[str, ...]) -> None:
    name = f"go-{tool}-{len(flags)}".replace(" ", "-")
    elf = elf_at(compiled(name, "-ldflags=-compressdwarf=false", *flags, tool=tool))
    names = names_of(elf)
    assert set(names.values()) > {b"main.main", b"runtime.mallocgc"}
    symbols = function_rows(elf, next(one for one in elf.sections if one.type == SHT_SYMTAB))
    theirs: dict[int, set[bytes]] = defaultdict(set)
    for start, at_name in zip(symbols.start.tolist(), symbols.name.tolist(), strict=True):
        theirs[start].add(symbols.strings.at(at_name).partition(b".abi")[0])
    strange = {
        start: (mine, theirs[start])
        for start, mine in names.items()
        if mine.replace("·".encode(), b".") not in theirs[start + (b"sigreturn" in mine)] and b"[" not in mine
    }
    assert not strange
    stripped = elf_at(compiled(f"{name}-stripped", "-ldflags=-s -w", *flags, tool=tool))
    assert sorted(names_of(stripped).values()) == sorted(names.values())


@BUILDS
def test_rows_are_those_of_the_debuggers_tables(tool: str, flags: tuple[str, ...]) -> None:
    """Where both have one, but for functions that change stacks, begin stacks or end signals."""
    name = f"go-{tool}-{len(flags)}".replace(" ", "-")
    elf = elf_at(compiled(name, "-ldflags=-compressdwarf=false", *flags, tool=tool))
    source = UnwindSource.read(elf)
    assert source.go is not None
    debug = elf.section(b".debug_frame")
    assert debug is not None
    frames = CallFrames(elf.source.read(debug.offset, debug.size), debug.address, debug=True)
    theirs = UnwindSource(source.base, source.span, source.entry, frames, source.max_rows).table()
    mine = UnwindSource(source.base, source.span, source.entry, None, source.max_rows, source.go).table()
    assert mine.malformed == 0
    assert mine.functions > 1000
    places = np.unique(np.concatenate((mine.rows, theirs.rows)) >> np.uint64(32)) + np.uint64(source.base)
    cfa = np.uint64(0xFFFF0F00)
    ours, reference = mine.find(places) & cfa, theirs.find(places) & cfa
    rule = ours >> np.uint64(8) & np.uint64(0xF)
    comparable = np.isin(rule, [CFA_RSP, CFA_RSP_WIDE]) & (reference != 0)
    assert np.count_nonzero(comparable) > 5000
    assert np.array_equal(ours[comparable], reference[comparable])
    known = np.isin(reference >> np.uint64(8) & np.uint64(0xF), [CFA_RSP, CFA_RSP_WIDE])
    assert np.count_nonzero(known & (rule == CFA_NONE)) <= 1, "rawVforkSyscall takes its return address off the stack"
