"""The functions that Go's compiler inlined, by the tables that its own runtime expands stacks by.

Format: src/runtime/symtab.go and symtabinl.go of Go. Each function has its tables of what holds from which instruction
on (`go_steps`), of which one tells the innermost function that is inlined there: its place in the function's tree, -1
for none. A place in the tree has a name and an instruction of the function, at which what it is inlined into is the
innermost. The trees lie in go:func.*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import Elf, ElfError
from aperture_tui.symbolize.go_module import function_data
from aperture_tui.symbolize.go_steps import stepped
from aperture_tui.symbolize.go_table import GoFunctions, GoTable, part_of, words
from aperture_tui.symbolize.inlines_table import InlineTable, empty, trie_of

_INDEX_TABLE, _TREE = 2, 3  # internal/abi/symtab.go: PCDATA_InlTreeIndex, FUNCDATA_InlTree
_TABLES_AT: Final = 28  # of a function: how many tables it has
_NONE: Final = 0xFFFFFFFF
_MAX_LINE: Final = 0x7FFFFFFF
_MAX_TREES: Final = 128 << 20
_SOUND: Final = 0.7
"""Of the functions; with fewer these are no trees. Of programs as they are all are sound, of another place that the
program's description names up to 3 in 100, and 16 bytes off up to 56.
"""


@dataclass(frozen=True)
class _Layout:
    """Of a place in a tree: its bytes, and where its name, its instruction and a line are; zero: bits of its first word
    that are.
    """

    size: int
    name: int
    instruction: int
    line: int
    zero: int


_BEFORE_1_20: Final = _Layout(20, 12, 16, 8, 0xFF000000)
_SINCE_1_20: Final = _Layout(16, 4, 8, 12, 0xFFFFFF00)


@dataclass(frozen=True)
class _Rows:
    """(n,) each: the function, the first instruction, ascending, and what is inlined from there on, -1 for nothing.

    Of rows with the same instruction the last holds. whole: (functions,), whether the table of each is not damaged.
    """

    which: NDArray[np.int64]
    pc: NDArray[np.int64]
    index: NDArray[np.int64]
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, tables: bytes, at: NDArray[np.int64], found: GoFunctions) -> _Rows:
        """Of these functions, by the tables that begin there; behind the end of each table nothing is inlined."""
        which, pc, index, reached = stepped(tables, at, found.start, found.end)
        pc = np.concatenate((np.where(reached < 0, found.end, reached), pc))
        order = np.argsort(pc, kind="stable")
        which = np.concatenate((np.arange(len(at)), which))[order]
        return cls(which, pc[order], np.concatenate((np.full(len(at), -1), index))[order], reached >= 0)


def go_inlines(elf: Elf) -> InlineTable:
    """What is inlined in a program of Go; nothing in what is none, or of one before 1.18.

    A function of which something is damaged has nothing inlined. Raises ElfError, also where that is so of many.
    """
    table = GoTable.find(elf)
    if table is None:
        return empty()
    place = function_data(elf, table)
    if place is None:
        raise ElfError("where Go's functions are described is not known")
    names, functions = part_of(elf, table.names), part_of(elf, table.functions)
    found, index_at, tree_at = _with_trees(table, table.read(names, functions), functions)
    if not len(found.start):
        return empty()
    rows = _Rows.of(part_of(elf, table.tables), index_at, found)
    layout = _BEFORE_1_20 if table.is_before_1_20 else _SINCE_1_20
    trees = part_of(elf, (place[0], min(place[1], place[0] + _MAX_TREES))).ljust(layout.size, b"\0")
    into, name = _inlined(rows, found, layout, trees, tree_at, names)
    return _table(rows.pc, into, name, names)


def _with_trees(
    table: GoTable, found: GoFunctions, functions: bytes
) -> tuple[GoFunctions, NDArray[np.int64], NDArray[np.int64]]:
    """The functions into which any are inlined; where the tables and the trees of each begin."""
    fixed = table.flags_at + 3
    tables = words(functions, found.rest + _TABLES_AT)
    index_at, tree_at = found.rest + fixed + 4 * _INDEX_TABLE, found.rest + fixed + 4 * (tables + _TREE)
    has = (tables > _INDEX_TABLE) & (tree_at + 4 <= len(functions))
    has &= np.frombuffer(functions, np.uint8)[found.rest + fixed - 1] > _TREE
    index_at, tree_at = (words(functions, np.where(has, at, 0)) for at in (index_at, tree_at))
    has &= (index_at > 0) & (tree_at != _NONE)
    return found.chosen(has), index_at[has], tree_at[has]


def _inlined(
    rows: _Rows, found: GoFunctions, layout: _Layout, trees: bytes, tree_at: NDArray[np.int64], names: bytes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row that each row is inlined into, len(rows) where nothing is; and where the names have that of each.

    Raises ElfError.
    """
    inside, count = rows.index >= 0, len(rows.pc)
    at = tree_at[rows.which] + layout.size * rows.index
    good = inside & (at + layout.size <= len(trees))
    at = np.where(good, at, 0)
    parts = (0, layout.name, layout.instruction, layout.line)
    first, name, instruction, line = (words(trees, at + part) for part in parts)
    pc = found.start[rows.which] + instruction
    into = np.searchsorted(rows.pc, pc, "right") - 1
    good &= (first & layout.zero == 0) & (line > 0) & (line <= _MAX_LINE)
    good &= _begin_names(names, name) & (pc < found.end[rows.which])
    good &= rows.index[into] < rows.index  # what is inlined stands behind what it is inlined into
    whole = rows.whole.copy()
    whole[rows.which[inside & ~good]] = False
    if np.count_nonzero(whole) < _SOUND * len(whole):
        raise ElfError("Go's functions are not described as is known")
    return np.where(inside & whole[rows.which], into, count), name


def _begin_names(names: bytes, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a name that is not empty begins at each of these places."""
    text = np.frombuffer(b"\0" + names + b"\0", np.uint8)
    at = np.minimum(at, len(names))
    begins: NDArray[np.bool_] = (text[at] == 0) & (text[at + 1] != 0)
    return begins


def _table(start: NDArray[np.int64], into: NDArray[np.int64], name: NDArray[np.int64], names: bytes) -> InlineTable:
    node, parent, name_at = trie_of(into.astype(np.uint32), name.astype(np.uint32))
    last = np.append(start[1:] != start[:-1], True)
    start, node = start[last], node[last]
    changed = np.append(node[:1] != 0, node[1:] != node[:-1])
    start, node, base = start[changed], node[changed], int(start[0])
    used, name_at[1:] = np.unique(name_at[1:], return_inverse=True)
    texts = [names[at : names.find(b"\0", at) % (len(names) + 1)] for at in used.tolist()]
    end = np.cumsum([len(text) for text in texts], dtype=np.uint32)
    return InlineTable(base, (start - base).astype(np.uint32), node, parent, name_at, end, b"".join(texts))
