"""Symbols of one file as sorted arrays: address to name. Functions and data objects, each in an index of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.aliases import choose, cut_names
from aperture_tui.symbolize.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, Elf, ElfError, FileSource, Section

MAX_SYMBOLS: Final = 2_000_000
"""Per table; a larger one is refused. The index of a million takes 17 MB, and 130 MB for the moment of its making."""
RESIDENT_STRINGS: Final = 256 << 10
"""A larger string table stays in its file and names are read from there one by one; the file is kept open.

Of the thousand libraries and programs of a machine forty have one, and those hold nine tenths of all names.
"""
RANKED_STRINGS: Final = 64 << 20
"""A larger string table is not read to rank aliases: the first in the table is taken."""
MAX_NAME: Final = 4096

SYMBOL: Final = {
    64: np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
    ),
    32: np.dtype(
        [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
    ),
}
_NOTYPE, _OBJECT, _FUNC, _IFUNC = 0, 1, 2, 10
_LOCAL: Final = 0
_CHUNK: Final = 1 << 17  # symbols
_NESTING: Final = 64  # how many symbols back an enclosing one is looked for
_PASSES: Final = 8
_MAX_NESTED: Final = 200_000  # a table with more is not one that a linker made


@dataclass(frozen=True, slots=True)
class Strings:
    """A string table: bytes, or a range of an open file. suffix is added to every name."""

    data: bytes | None
    size: int
    source: FileSource | None = None
    offset: int = 0
    suffix: bytes = b""

    def at(self, offset: int) -> bytes:
        """The NUL-terminated name at an offset, cut at MAX_NAME bytes. Raises ElfError if the file has been changed."""
        if self.data is not None:
            raw = self.data[offset : offset + MAX_NAME]
        elif self.source is not None:
            self.source.check_unchanged()
            raw = self.source.read(self.offset + offset, max(0, min(MAX_NAME, self.size - offset)))
        else:
            raw = b""
        return raw.partition(b"\0")[0] + self.suffix


@dataclass(frozen=True, slots=True)
class Rows:
    """Symbols of one table, functions or objects, in the order of the table: (n,) each.

    start: virtual address. size: bytes, 0 if the table does not say. end: where its section ends. preference: see
    `aliases.choose`. name: offset into strings.
    """

    start: NDArray[np.uint64]
    size: NDArray[np.uint64]
    end: NDArray[np.uint64]
    preference: NDArray[np.uint8]
    name: NDArray[np.uint32]
    strings: Strings


@dataclass(frozen=True, slots=True)
class SymbolIndex:
    """Disjoint ranges of addresses with their names, ascending: (n,) each.

    start: virtual address. size: bytes. name: offset into `tables[table]`. skipped: bytes of the symbol that lie before
    the range, which are some behind a nested symbol; empty if that was not asked for.
    """

    start: NDArray[np.uint64]
    size: NDArray[np.uint32]
    name: NDArray[np.uint32]
    table: NDArray[np.uint8]
    tables: tuple[Strings, ...]
    skipped: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        arrays = self.start.nbytes + self.size.nbytes + self.name.nbytes + self.table.nbytes + self.skipped.nbytes
        held = {id(t.data): len(t.data) for t in self.tables if t.data is not None}
        held |= {id(t.source): t.size for t in self.tables if t.source is not None and t.source.is_copy}
        return arrays + sum(held.values())

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The row of each virtual address, -1 where no symbol covers it: (n,)."""
        if not len(self.start):
            return np.full(len(addresses), -1, np.intp)
        row = np.searchsorted(self.start, addresses, "right") - 1
        covered = (row >= 0) & (addresses - self.start[row] < self.size[row])
        return np.where(covered, row, -1)

    def name_at(self, row: int) -> bytes:
        """The raw name of a row. Raises ElfError if the string table cannot be read any more."""
        return self.tables[int(self.table[row])].at(int(self.name[row]))


EMPTY: Final = SymbolIndex(
    np.zeros(0, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint8), ()
)


def function_rows(elf: Elf, table: Section) -> Rows:
    """The functions of a symbol table: FUNC and IFUNC; labels without a type if they are global or have a size.

    Only symbols that are defined and lie in an executable section; sizes are cut at its end. Raises ElfError.
    """
    return _rows(elf, table, _ranges(elf, SHF_EXECINSTR), _is_function)


def object_rows(elf: Elf, table: Section) -> Rows:
    """The data objects of a symbol table that have a size; variables of threads are not among them.

    Only symbols that are defined and lie in a section that is loaded; sizes are cut at its end. Raises ElfError.
    """
    return _rows(elf, table, _ranges(elf, SHF_ALLOC), _is_object)


_Ranges = tuple[NDArray[np.uint64], NDArray[np.uint64]]
_Wanted = Callable[[NDArray[np.void]], NDArray[np.bool_]]


def _rows(elf: Elf, table: Section, ranges: _Ranges, wanted: _Wanted) -> Rows:
    dtype = SYMBOL[elf.bits]
    count = table.size // dtype.itemsize
    if count > MAX_SYMBOLS:
        raise ElfError(f"{count} symbols in one table, the limit is {MAX_SYMBOLS}")
    elf.check(table)
    strings = symbol_strings(elf, table)
    parts = [_placed(np.zeros(0, dtype), 0, ranges, wanted)] if not count else []
    for first in range(0, count, _CHUNK):  # a table of a million symbols would take 100 MB if it were read at once
        n = min(_CHUNK, count - first) * dtype.itemsize
        symbols = np.frombuffer(elf.source.read(table.offset + first * dtype.itemsize, n), dtype)
        parts.append(_placed(symbols, strings.size, ranges, wanted))
    start, end, size, preference, name = (_joined([p[i] for p in parts]) for i in range(5))
    return Rows(start, size, end, preference, name, strings)


def _is_function(symbols: NDArray[np.void]) -> NDArray[np.bool_]:
    kind, binding = symbols["info"] & 15, symbols["info"] >> 4
    label = (kind == _NOTYPE) & ((binding != _LOCAL) | (symbols["size"] > 0))
    function: NDArray[np.bool_] = (kind == _FUNC) | (kind == _IFUNC) | label
    return function


def _is_object(symbols: NDArray[np.void]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (symbols["info"] & 15 == _OBJECT) & (symbols["size"] > 0)
    return found


def _placed(
    symbols: NDArray[np.void], text_size: int, ranges: _Ranges, wanted: _Wanted
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint8], NDArray[np.uint32]]:
    """Those wanted among some symbols: start, end of the section, size, preference, name."""
    symbols = symbols[wanted(symbols) & (symbols["section"] != 0) & (symbols["name"] - 1 < text_size - 1)]
    low, high = ranges
    if not len(low):
        symbols, low, high = symbols[:0], np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    start = symbols["value"].astype(np.uint64)
    section = np.searchsorted(low, start, "right") - 1
    inside = (section >= 0) & (start < high[section])
    symbols, start, end = symbols[inside], start[inside], high[section[inside]]
    size = np.minimum(symbols["size"].astype(np.uint64), end - start)
    preference = ((symbols["info"] & 15 == _NOTYPE) * 2 + (symbols["info"] >> 4 == _LOCAL)).astype(np.uint8)
    return start, end, size, preference, symbols["name"].astype(np.uint32)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array of several, without a copy of a single one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def build(tables: Sequence[Rows], skips: bool = False) -> SymbolIndex:
    """One index of several tables; where they share an address the aliasing rule decides.

    skips: also say how far into its symbol each range begins.
    """
    tables = [rows for rows in tables if len(rows.start)]
    if not tables:
        return EMPTY
    start, size, end, preference, name = (
        _joined([getattr(rows, field) for rows in tables]) for field in ("start", "size", "end", "preference", "name")
    )
    table = np.repeat(np.arange(len(tables), dtype=np.uint8), [len(rows.start) for rows in tables])
    order = np.argsort(start, kind="stable")
    largest = np.maximum.reduceat(size[order], _groups(start[order]))

    def prefixes(rows: NDArray[np.intp]) -> NDArray[np.bytes_]:
        out = np.zeros(len(rows), "S48")
        for i, part in enumerate(tables):
            mine = table[rows] == i
            out[mine] = cut_names(_text(part.strings), name[rows[mine]].astype(np.intp), None)
        return out

    rows = choose(start, order, preference, prefixes)
    start, end = start[rows], end[rows]
    keep, size = _extend(start, largest, end)
    rows, start = rows[keep], start[keep]
    whole = start
    start, size, owner = _flatten(start, size)
    rows, skipped = rows[owner], (start - whole[owner] if skips else start[:0])
    small = np.minimum(size, np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return SymbolIndex(start, small, name[rows], table[rows], tuple(part.strings for part in tables), skipped)


def _groups(ascending: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))


def _extend(
    start: NDArray[np.uint64], size: NDArray[np.uint64], end: NDArray[np.uint64]
) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
    """Symbols without a size reach to the next symbol of their section; inside a sized one they are labels: dropped.

    Returns which rows stay, and the sizes of those.
    """
    reach = np.maximum.accumulate(start + size)
    before = np.concatenate([np.zeros(1, np.uint64), reach[:-1]])
    keep = (size > 0) | (before <= start)
    start, size, end = start[keep], size[keep], end[keep]
    following = np.concatenate([start[1:], end[-1:]])
    open_ended = np.minimum(following, end) - start
    size = np.where(size == 0, open_ended, size)
    return keep, size


def _flatten(
    start: NDArray[np.uint64], size: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.intp]]:
    """Nested symbols made disjoint: an address belongs to the innermost symbol.

    What an inner symbol leaves of the outer one behind it becomes a range of its own; a pass mends one level.
    Returns start, size and the row that owns each range.
    """
    owner = np.arange(len(start))
    whole = start + size
    for _ in range(_PASSES):
        following = np.concatenate([start[1:], [np.uint64(0xFFFFFFFFFFFFFFFF)]])
        end = np.minimum(whole, following)
        gap = np.flatnonzero((np.maximum.accumulate(whole) > end) & (end < following))
        if not 0 < len(gap) <= _MAX_NESTED:
            break
        outer = gap - 1
        for _ in range(_NESTING):
            inner = (outer >= 0) & (whole[outer] <= end[gap])
            if not inner.any():
                break
            outer[inner] -= 1
        found = (outer >= 0) & (whole[outer] > end[gap])
        gap, outer = gap[found], outer[found]
        if not len(gap):
            break
        start = np.insert(start, gap + 1, end[gap])
        whole, owner = np.insert(whole, gap + 1, whole[outer]), np.insert(owner, gap + 1, owner[outer])
    following = np.concatenate([start[1:], [np.uint64(0xFFFFFFFFFFFFFFFF)]])
    return start, np.minimum(whole, following) - start, owner


def _ranges(elf: Elf, flag: int) -> _Ranges:
    """Ranges of the sections with a flag, ascending; without those of threads, which take no room in memory."""
    wanted = [s for s in elf.sections if s.flags & flag and not s.flags & SHF_TLS]
    ranges = np.array(sorted((s.address, min(s.address + s.size, 2**64 - 1)) for s in wanted), np.uint64).reshape(-1, 2)
    return ranges[:, 0], ranges[:, 1]


def symbol_strings(elf: Elf, table: Section) -> Strings:
    if table.link >= len(elf.sections):
        raise ElfError("a symbol table without strings")
    section, source = elf.sections[table.link], elf.source
    if section.size <= RESIDENT_STRINGS or not isinstance(source, FileSource):  # an image in memory would be kept whole
        data = elf.content(section, section.size)
        return Strings(data, len(data))
    elf.check(section)
    source.read(section.offset + section.size - 1, 1)
    return Strings(None, section.size, source.only(section.offset, section.size), section.offset)


def _text(strings: Strings) -> NDArray[np.uint8]:
    if strings.data is not None:
        return np.frombuffer(strings.data, np.uint8)
    if strings.source is None or strings.size > RANKED_STRINGS:
        return np.zeros(0, np.uint8)
    return np.frombuffer(strings.source.read(strings.offset, strings.size), np.uint8)
