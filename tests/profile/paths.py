"""Random stacks, and small call trees over them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import StackTable

Path = tuple[int, ...]

paths = st.lists(st.integers(1, 6), max_size=7).map(tuple)
"""A stack of frame ids, root to leaf; few ids, so that stacks share prefixes and recurse."""

path_lists = st.lists(paths, max_size=12)

weighted = st.lists(st.tuples(paths, st.integers(-50, 50)), max_size=12)
"""Stacks and what they weigh; the same stack may come twice."""


def intern(table: StackTable, stacks: list[Path]) -> list[int]:
    """The nodes of these stacks."""
    lengths = np.array([len(p) for p in stacks], np.int64)
    matrix = np.full((len(stacks), int(lengths.max(initial=0))), 0xDEAD, np.uint32)  # what stands beyond is ignored
    for row, path in zip(matrix, stacks, strict=True):
        row[: len(path)] = path
    return [int(node) for node in table.intern(matrix, lengths)]


def symbols_of_six() -> Symbols:
    """Frames with ids 1 to 6."""
    symbols = Symbols()
    for i in range(1, 7):
        assert symbols.frame(Frame(f"f{i}", f"m{i % 2}", f"{i % 3}.py")) == i
    return symbols


def tree_of(symbols: Symbols, stacks: list[tuple[Path, int]]) -> CallTree:
    """A call tree of weighted stacks."""
    nodes = symbols.stacks([path for path, _ in stacks])
    return CallTree.of_stacks(symbols, nodes, np.array([weight for _, weight in stacks], np.int64))


def stacks_of(tree: CallTree) -> dict[Path, int]:
    """The stacks of a call tree that weigh anything by themselves."""
    return {tuple(tree.trie.path(node)): w for node, w in enumerate(tree.self_weight.tolist()) if w}
