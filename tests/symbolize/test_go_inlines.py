"""Functions that Go's compiler inlined, by its own tables: as DWARF has them, and as the runtime tells them."""

from __future__ import annotations

import importlib.util
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.debug_files import DebugInfo
from aperture_tui.symbolize.elf import BytesSource, Elf, ElfError, FileSource
from aperture_tui.symbolize.go_inlines import go_inlines
from aperture_tui.symbolize.images import read_file
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.inlines_child import table_of
from aperture_tui.symbolize.inlines_table import InlineTable
from aperture_tui.symbolize.opening import open_regular
from tests.truth.programs import NotBuilt, Recipe, build

from .call_frames import elf_at
from .conftest import PROGRAMS
from .go_sections import (
    GO_1_18,
    GO_1_20,
    TEXT,
    Function,
    Inlined,
    address_of,
    file,
    module,
    relocation,
    section_and_trees,
)
from .test_go_table import BUILDS, compiled
from .test_inlines import expanded, key, ready, wait
from .test_resolver import Asking

Running = Callable[..., tuple[int, dict[str, int]]]
Parts = list[tuple[bytes, int, int, bytes]]
KEY = bytes(32)

DEEP = Function(
    0x40,
    0x80,
    b"main.deep",
    ((0x40, 8),),
    tree=(Inlined(b"main.first", 0x2), Inlined(b"main.second", 0x12), Inlined(b"main.third", 0x22)),
    innermost=((0x10, -1), (0x10, 0), (0x10, 1), (0x8, 2)),
)
"""Nothing, first, second in first, third in both; then eight bytes of padding."""


def beside(start: int) -> Function:
    """With one function inlined from its fifth byte on."""
    tree = (Inlined(b"main.first", 0),)
    return Function(start, start + 0x10, b"main.beside", ((0x10, 8),), tree=tree, innermost=((4, -1), (12, 0)))


FUNCTIONS = [
    Function(0, 0x40, b"main.plain", ((0x40, 8),)),
    DEEP,
    Function(0x80, 0x90, b"main.other", ((0x10, 8),)),
    *(beside(start) for start in (0x90, 0xA0, 0xB0, 0xC0)),
]
WANTED = {
    0x0: [],
    0x4F: [],
    0x50: [b"main.first"],
    0x60: [b"main.first", b"main.second"],
    0x77: [b"main.first", b"main.second", b"main.third"],
    0x78: [],
    0x80: [],
    0x90: [],
    0x94: [b"main.first"],
    0x9F: [b"main.first"],
    0xA0: [],
    0xA4: [b"main.first"],
    0xC4: [b"main.first"],
    0xD0: [],
}


def parts_of(functions: list[Function], magic: int = GO_1_20, name: bytes = b".noptrdata") -> Parts:
    """The sections of a program with these functions. name: of the one with its description."""
    table, trees = section_and_trees(functions, magic)
    parts = [(b".gopclntab", 1, 2, table), (b".rodata", 1, 2, b"others" + trees + b"others"), (name, 1, 3, bytes(480))]
    at, trees_at = (address_of(b"", one, parts) for one in (b".gopclntab", b".rodata"))
    parts[2] = (name, 1, 3, b"\x11" * 24 + module(table, at, trees_at + 6))
    return parts


def program(parts: Parts) -> Elf:
    return Elf.read(BytesSource(file(parts)))


def chains(table: InlineTable, addresses: list[int]) -> list[list[bytes]]:
    return [table.chain(node) for node in table.find(np.array(addresses, np.uint64)).tolist()]


def chains_of(parts: Parts) -> dict[int, list[bytes]]:
    found = chains(go_inlines(program(parts)), [TEXT + offset for offset in WANTED])
    return dict(zip(WANTED, found, strict=True))


# -- written by hand


@pytest.mark.parametrize("name", [b".go.module", b".noptrdata", b".data", b".data.rel.ro"])
@pytest.mark.parametrize("magic", [GO_1_18, GO_1_20])
def test_every_address_has_its_chain_in_both_layouts_wherever_the_program_is_described(magic: int, name: bytes) -> None:
    assert chains_of(parts_of(FUNCTIONS, magic, name)) == WANTED


def test_a_program_that_may_lie_anywhere_is_described_by_what_the_loader_puts_there() -> None:
    parts = parts_of(FUNCTIONS)
    words = struct.unpack("<60Q", parts[2][3][24:])
    parts[2] = (b".noptrdata", 1, 3, bytes(480 + 24))
    at = address_of(b"", b".noptrdata", parts) + 24
    moved = [relocation(at + 8 * i, word) for i, word in enumerate(words) if word]
    assert chains_of([*parts, (b".rela.dyn", 4, 2, b"".join(moved))]) == WANTED


@pytest.mark.parametrize("word", [1, 10, 13, 16, 22])
def test_what_only_looks_like_the_description_is_not_believed(word: int) -> None:
    table, trees, (name, kind, flags, data) = parts_of(FUNCTIONS)
    decoy = bytearray(data[24:])
    decoy[8 * word] ^= 1
    assert chains_of([table, trees, (name, kind, flags, data), (b".go.module", 1, 3, bytes(decoy))]) == WANTED
    with pytest.raises(ElfError, match="where Go's functions are described"):
        go_inlines(program([table, trees, (b".noptrdata", 1, 3, bytes(decoy) * 2)]))


def test_nothing_is_inlined_in_a_program_of_another_language() -> None:
    assert len(go_inlines(program([])).start) == 0
    assert len(go_inlines(program(parts_of(FUNCTIONS[:1]))).start) == 0


def changed(parts: Parts, at: int, value: bytes) -> Parts:
    """With other bytes in the trees."""
    name, kind, flags, data = parts[1]
    at += len(b"others")
    return [parts[0], (name, kind, flags, data[:at] + value + data[at + len(value) :]), parts[2]]


DAMAGE = {
    "a bit of the padding": (1, b"\x01"),
    "a name that begins nowhere": (4, b"\x03\0\0\0"),
    "a name far away": (4, b"\xff\xff\xff\x7f"),
    "an instruction behind the function": (16 + 8, b"\x40\0\0\0"),
    "an instruction in front of it": (16 + 8, b"\xff\xff\xff\xff"),
    "inlined into itself": (16 + 8, b"\x20\0\0\0"),
    "inlined into what is inlined into it": (8, b"\x20\0\0\0"),
    "nothing, as in a copy without what is large": (0, bytes(48)),
    "no line": (12, bytes(4)),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=DAMAGE)
def test_a_function_with_a_damaged_tree_has_nothing_inlined_and_the_others_have_theirs(damage: str) -> None:
    found = chains_of(changed(parts_of(FUNCTIONS), *DAMAGE[damage]))
    assert found == {at: names if at >= 0x90 else [] for at, names in WANTED.items()}


def test_a_tree_that_is_cut_short_is_no_tree() -> None:
    parts = parts_of(FUNCTIONS)
    name, kind, flags, data = parts[1]
    cut = chains_of([parts[0], (name, kind, flags, data[: -len(b"others") - 1]), parts[2]])
    assert cut == {at: names if at < 0xC0 else [] for at, names in WANTED.items()}


def test_where_most_trees_are_damaged_none_is_believed() -> None:
    parts = parts_of(FUNCTIONS)
    with pytest.raises(ElfError, match="not described as is known"):
        go_inlines(program(changed(parts, 48, bytes(32))))
    name, kind, flags, data = parts[2]
    words = bytearray(data)
    words[24 + 8 * 40] += 16  # as if they began behind the first place
    with pytest.raises(ElfError, match="not described as is known"):
        go_inlines(program([*parts[:2], (name, kind, flags, bytes(words))]))


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Function], dict[int, list[bytes]]]:
    """Functions, and what is inlined at each offset."""
    functions, wanted, start = [], {}, 0
    for i in range(draw(st.integers(1, 5))):
        # each place is inlined into an earlier one, and has four bytes of code of its own
        into = [draw(st.integers(-1, place - 1)) for place in range(draw(st.integers(0, 8)))]
        pieces = [-1, *range(len(into)), *draw(st.lists(st.integers(-1, len(into) - 1), max_size=6))]
        names = [b"main.f%d" % draw(st.integers(0, 3)) for _ in into]
        path: list[list[bytes]] = []
        for name, outer in zip(names, into, strict=True):
            path.append([*(path[outer] if outer >= 0 else []), name])
        tree = tuple(Inlined(name, 4 * (outer + 1)) for name, outer in zip(names, into, strict=True))
        end = start + 4 * len(pieces)
        functions.append(
            Function(start, end, b"main.%d" % i, ((4, 8),), tree=tree, innermost=tuple((4, piece) for piece in pieces))
        )
        for at in range(start, end):
            piece = pieces[(at - start) // 4]
            wanted[at] = path[piece] if piece >= 0 else []
        start = end + draw(st.sampled_from([0, 0, 16]))
    return functions, wanted


@given(programs(), st.sampled_from([GO_1_18, GO_1_20]))
def test_every_instruction_has_what_was_written(
    drawn: tuple[list[Function], dict[int, list[bytes]]], magic: int
) -> None:
    functions, wanted = drawn
    found = chains(go_inlines(program(parts_of(functions, magic))), [TEXT + at for at in wanted])
    assert dict(zip(wanted, found, strict=True)) == wanted


# -- files that lie


@given(st.data(), st.sampled_from([GO_1_18, GO_1_20]))
def test_whatever_the_bytes_there_is_a_sound_table_or_one_error(data: st.DataObject, magic: int) -> None:
    parts = parts_of(FUNCTIONS, magic)
    for _ in range(data.draw(st.integers(1, 6))):
        which = data.draw(st.integers(0, 2))
        name, kind, flags, content = parts[which]
        raw = bytearray(content)
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.sampled_from([len(raw), len(raw), data.draw(st.integers(0, len(raw)))]))
        parts[which] = (name, kind, flags, bytes(raw[:cut]) or b"\0")
    refused = ""
    try:
        table = go_inlines(program(parts))
    except ElfError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        return
    again = InlineTable.unpacked(KEY, table.packed(KEY))
    addresses = [TEXT + at for at in range(0, 0xE0, 3)]
    assert chains(again, addresses) == chains(table, addresses)


# -- of Go's own compiler


@BUILDS
def test_every_address_has_what_dwarf_says(tool: str, flags: tuple[str, ...]) -> None:
    debuginfo = pytest.importorskip("symbolic.debuginfo")
    name = f"go-{tool}-{len(flags)}".replace(" ", "-")
    path = compiled(name, "-ldflags=-compressdwarf=false", *flags, tool=tool)
    whole = elf_at(path)
    (one,) = debuginfo.Archive.open(str(path)).iter_objects()
    dwarf = table_of(one.make_symcache().open_stream().read(), int(whole.load_segments["address"][0]))
    stripped = elf_at(compiled(f"{name}-stripped", "-ldflags=-s -w", *flags, tool=tool))
    code = next(section for section in whole.sections if section.name == b".text")
    addresses = np.arange(code.address, code.address + code.size, dtype=np.uint64)
    for table in (go_inlines(whole), go_inlines(stripped)):
        ours, theirs = table.find(addresses), dwarf.find(addresses)
        assert np.count_nonzero(ours) > 50_000
        pairs = np.unique(np.stack((ours, theirs)), axis=1).T.tolist()
        assert not [(a, b) for a, b in pairs if table.chain(a) != dwarf.chain(b)]


def built(name: str, *flags: str) -> Path:
    try:
        return build(name, Recipe((str(PROGRAMS / "inlines.go"),), "go", flags))
    except NotBuilt as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("library", [True, False], ids=["", "without symbolic"])
@pytest.mark.parametrize("flags", [("-ldflags=-s -w",), (), ("-ldflags=-s -w", "-buildmode=pie")])
def test_a_running_program_has_the_frames_that_its_runtime_tells(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], library: bool
) -> None:
    """Of the return addresses of calls from what is inlined; DWARF and its library are not asked for."""
    if not library:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    program = built(f"go-inlines-{'-'.join(flags)}".replace(" ", "").replace("=", ""), *flags)
    pid, said = running(program, names=5)
    inlines = Inlines(tmp_path / "cache")
    asking = Asking(pid, inlines=inlines)
    addresses = list(said.values())
    alone = [names.split(",")[0] for names in said]
    assert [[printed(f) for f in frames] for frames in expanded(asking, *addresses, called=True)] == [
        [n] for n in alone
    ]
    assert len(ready(asking)) == 2
    assert asking.resolver.changed == {program.name}
    frames = expanded(asking, *addresses, called=True)
    assert [",".join(map(printed, one)) for one in frames] == list(said)
    assert max(map(len, frames)) == 4
    assert {frame.module for one in frames for frame in one} == {program.name}
    assert not +inlines.counts.degraded()
    asking.resolver.close()


def printed(frame: Frame) -> str:
    """As the runtime says it: without the types that a function is made for."""
    return re.sub(r"\[.*\]", "[...]", frame.function)


def sources_of(path: Path) -> tuple[DebugInfo, ...]:
    return read_file(FileSource(open_regular(str(path))))[1]


def test_of_a_program_with_c_dwarf_tells_more_and_go_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("symbolic.debuginfo")
    sources = sources_of(compiled("go-go-with-C-0", "-ldflags=-compressdwarf=false", tool="go with C"))
    assert [one.is_go for one in sources] == [False, True]
    assert [one.is_go for one in sources_of(compiled("go-go-0", "-ldflags=-compressdwarf=false"))] == [True, False]
    tables = []
    for installed in (True, False):
        inlines = Inlines(tmp_path / str(installed))
        monkeypatch.setattr(inlines, "_installed", installed)
        inlines.want(key(1), sources)
        assert wait(inlines) == [key(1)]
        assert inlines.counts.not_installed == int(not installed)
        table = inlines.table(key(1))
        assert table is not None
        tables.append(table)
    dwarf, go = tables
    addresses = np.arange(go.base, go.base + 0x80000, dtype=np.uint64)
    pairs = np.unique(np.stack((dwarf.find(addresses), go.find(addresses))), axis=1).T.tolist()
    assert len(pairs) > 1000
    assert not [(a, b) for a, b in pairs if dwarf.chain(a) != go.chain(b)]


def test_what_tells_nothing_makes_way_for_the_next(tmp_path: Path) -> None:
    pytest.importorskip("symbolic.debuginfo")
    _, dwarf = sources_of(compiled("go-go-0", "-ldflags=-compressdwarf=false"))
    for name, content, made, failed in (
        ("nothing of Go", file([]), 2, 0),
        ("not described", file(parts_of(FUNCTIONS)[:2]), 1, 1),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        nothing = DebugInfo(FileSource(open_regular(str(path))), len(content), 0, is_go=True)
        for again in (False, True):
            inlines = Inlines(tmp_path / f"cache of {name}")
            inlines.want(key(1), [nothing, dwarf])
            assert wait(inlines) == ([] if again else [key(1)]), "the second time both are read from disk"
            assert (inlines.counts.made, inlines.counts.failed) == ((0, 0) if again else (made, failed))
            table = inlines.table(key(1))
            assert table is not None
            assert len(table.start) > 1000
