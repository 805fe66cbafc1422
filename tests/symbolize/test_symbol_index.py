"""Addresses to names against nm and objdump, on the files of this machine."""

from __future__ import annotations

import bisect
import os
import re
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize import symbol_index
from aperture_tui.symbolize.address_space import AddressSpace
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.images import Image
from aperture_tui.symbolize.symbol_index import Rows, Strings, build

from .conftest import image_of, need, run


class Nm:
    """What nm says: for an address, the names of the innermost function that covers it."""

    def __init__(self, path: Path, *options: str) -> None:
        self.starts: dict[int, tuple[int, set[str]]] = {}
        for line in run("nm", "-S", *options, path).splitlines():
            words = line.split()
            if len(words) == 4 and words[2] in "tTwWi":
                start, size = int(words[0], 16), int(words[1], 16)
                old, names = self.starts.get(start, (0, set()))
                self.starts[start] = max(old, size), names | {words[3].split("@")[0]}
        self.order = sorted(self.starts)

    def names(self, address: int) -> set[str]:
        at = bisect.bisect_right(self.order, address) - 1
        for start in reversed(self.order[max(0, at - 100) : at + 1]):
            size, names = self.starts[start]
            if address < start + size:
                return names
        return set()


def mapped(part: str) -> Path:
    """A library that this Python itself has mapped."""
    space = AddressSpace.read(__import__("os").getpid())
    paths = [Path(m.path) for m in space.mappings if part in m.module]
    if not paths:
        pytest.skip(f"this Python maps no {part}")
    return paths[0]


def compare(image: Image, nm: Nm, seed: int) -> int:
    """Compare thousands of random addresses; returns how many had a name."""
    addresses = np.random.default_rng(seed).integers(nm.order[0], nm.order[-1], 5000, dtype=np.uint64)
    rows = image.index.find(addresses)
    for address, row in zip(addresses.tolist(), rows.tolist(), strict=True):
        expected = nm.names(address)
        if expected:
            assert row >= 0, f"{address:#x} is {expected}"
            assert image.index.name_at(row).decode().split("@")[0] in expected
        elif row >= 0:  # a symbol without a size, which nm does not print: it must begin where nm says nothing covers
            assert int(image.index.start[row]) not in nm.starts or image.index.name_at(row).endswith(b"@plt")
    return int((rows >= 0).sum())


@pytest.mark.parametrize("library", ["libc.so", "libpython", "libstdc++", "libm.so"])
def test_names_in_libraries_are_those_of_nm(library: str) -> None:
    need("nm")
    if library == "libpython" and not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("this Python is linked statically")
    path = mapped(library)
    image = image_of(path)
    has_symtab = " .symtab " in run("readelf", "-SW", path)
    assert compare(image, Nm(path, *([] if has_symtab else ["-D"])), 1) > 500
    assert not image.problems


def test_names_in_a_cpp_program_are_those_of_nm(shapes: Path) -> None:
    need("nm")
    assert compare(image_of(shapes), Nm(shapes), 2) > 500


def test_names_in_a_rust_program_are_those_of_nm(rust: Path) -> None:
    need("nm")
    assert compare(image_of(rust), Nm(rust), 3) > 500


def test_plt_entries_are_named_as_objdump_names_them(shapes: Path) -> None:
    need("objdump")
    listing = run("objdump", "-d", "-j", ".plt", "-j", ".plt.sec", "-j", ".plt.got", shapes)
    entries = {int(a, 16): n for a, n in re.findall(r"^([0-9a-f]+) <([^>]+@plt)>:", listing, re.M)}
    if not entries:
        pytest.skip("this linker made no PLT")
    index = image_of(shapes).index
    rows = index.find(np.array(list(entries), np.uint64))
    assert [index.name_at(row).decode() for row in rows.tolist()] == [
        re.sub(r"@\w+@plt", "@plt", n) for n in entries.values()
    ]


def test_inner_symbols_and_what_they_leave_of_the_outer_one(calls: Path) -> None:
    need("nm")
    start = next(a for a, (_, names) in Nm(calls).starts.items() if "outer_code" in names)
    index = image_of(calls).index
    rows = index.find(np.arange(start, start + 7, dtype=np.uint64))
    names = [index.name_at(row).decode().removesuffix("_code") for row in rows.tolist()]
    assert names == ["outer", "outer", "inner", "inner", "outer", "outer", "outer"]


def rows_of(symbols: list[tuple[int, int, str]]) -> Rows:
    text = b"\0" + b"".join(name.encode() + b"\0" for *_, name in symbols)
    at = np.cumsum([1] + [len(name) + 1 for *_, name in symbols])[:-1]
    start, size = (np.array([s[i] for s in symbols], np.uint64) for i in (0, 1))
    return Rows(
        start, size, np.full(len(start), 1000, np.uint64), np.zeros(len(start), np.uint8), at.astype(np.uint32),
        Strings(text, len(text)),
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 300)), min_size=1, max_size=12, unique_by=lambda t: t[0]))
def test_the_innermost_symbol_holds_an_address(ranges: list[tuple[int, int]]) -> None:
    index = build([rows_of([(start, size, f"f{start}") for start, size in ranges])])
    addresses = np.arange(0, 800, dtype=np.uint64)
    found = [index.name_at(row).decode() if row >= 0 else "" for row in index.find(addresses).tolist()]
    expected = [
        max(((start, f"f{start}") for start, size in ranges if start <= a < start + size), default=(0, ""))[1]
        for a in range(800)
    ]
    assert found == expected


@given(st.permutations(["__read", "read", "_read", "readv_alias", "real"]))
def test_the_alias_that_is_shown_does_not_depend_on_the_order(names: list[str]) -> None:
    index = build([rows_of([(16, 8 * i, name) for i, name in enumerate(names)])])
    assert len(index) == 1
    assert index.name_at(0) == b"read"
    assert index.size.tolist() == [32]


def test_symbols_without_a_size_reach_to_the_next_one_and_labels_inside_sized_ones_are_dropped() -> None:
    index = build([rows_of([(10, 0, "open"), (20, 10, "sized"), (25, 0, "label"), (990, 0, "last")])])
    names = [(int(s), int(n), index.name_at(i)) for i, (s, n) in enumerate(zip(index.start, index.size, strict=True))]
    assert names == [(10, 10, b"open"), (20, 10, b"sized"), (990, 10, b"last")]


def test_names_that_stay_in_their_file_are_the_same_and_take_no_room(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = image_of(shapes).index
    monkeypatch.setattr(symbol_index, "RESIDENT_STRINGS", 0)
    image = image_of(shapes)
    assert not image.problems
    assert [image.index.name_at(row) for row in range(len(held))] == [held.name_at(row) for row in range(len(held))]
    assert all(strings.data is None for strings in image.index.tables)
    assert image.index.nbytes < held.nbytes


def test_a_file_that_was_written_to_gives_no_more_names(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shapes"
    path.write_bytes(shapes.read_bytes())
    os.utime(path, ns=(0, 0))
    monkeypatch.setattr(symbol_index, "RESIDENT_STRINGS", 0)
    index = image_of(path).index
    assert index.name_at(0)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ElfError, match="written to"):
        index.name_at(0)
