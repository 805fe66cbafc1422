"""Two call trees by function: what each function has on one side and on the other.

Recordings have tables of their own, and another build has other lines and lies in another folder: functions are the
same by their name, their module's or file's name, and their kind (`same_function`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import ROOT, Trie

_ROWS: Final = 1 << 12  # stacks that are carried at once: a matrix of their paths is held


class Pair(NamedTuple):
    """Weights of functions on both sides, each (n,) int64."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @property
    def change(self) -> NDArray[np.int64]:
        """(n,): after less before."""
        return self.after - self.before


@dataclass(frozen=True)
class Functions:
    """The functions with weight on either side; all arrays are (n,), ordered by frame id.

    frame: ids of `symbols`; ROOT stands for what came without a stack. process: the frame of the process whose stacks
    alone have the function, ROOT where there are several. own, total: weights without and with the functions called;
    a recursive function's total counts each stack once.
    """

    symbols: Symbols
    frame: NDArray[np.int64]
    process: NDArray[np.int64]
    own: Pair
    total: Pair


_TOLD_APART: Final = (
    FrameKind.ROOT,
    FrameKind.PROCESS,
    FrameKind.THREAD,
    FrameKind.KERNEL,
    FrameKind.LOCK,
    FrameKind.TAG,
)
"""Kinds that every file tells."""


def same_function(frame: Frame, modules: bool = True) -> Frame:
    """What two frames of one function have in common, as a frame without file and line.

    The module is that of the frame, in its stead the last two parts of its file: `json/decoder.py`. Code of a JIT has
    none, as its module is named after the pid. modules: False where one file has none: then the name has to do.
    """
    if not modules:
        return Frame(frame.function, kind=frame.kind if frame.kind in _TOLD_APART else FrameKind.NATIVE)
    jit = frame.kind is FrameKind.JIT
    place = "" if jit else frame.module or "/".join(frame.file.split("/")[-2:])
    return Frame(frame.function, place, kind=frame.kind)


class Carrier:
    """Moves trees into other symbols, by `same_function`; stacks that are equal there become one.

    What it has moved it does not move again: the slices of a tree cost little after the whole. Of one thread.

    words: which frame stands for all that are the same function, the first that was moved by any carrier that has
    these; None: one without file and line.
    """

    def __init__(self, symbols: Symbols, modules: bool = True, words: dict[Frame, Frame] | None = None) -> None:
        self.symbols = symbols
        self._words = words
        self._modules = modules
        self._source: tuple[int, Frame | None] = -1, None
        self._nodes = np.zeros(0, np.int64)  # node -> node; -1 of those that were not moved yet

    def tree(self, tree: CallTree, leaf: Frame | None = None) -> CallTree:
        """The tree in the other symbols. leaf: a frame that is appended to all its stacks."""
        if self._source != (tree.trie.lineage, leaf):
            self._source, self._nodes = (tree.trie.lineage, leaf), np.zeros(0, np.int64)
        if len(self._nodes) < len(tree.trie):
            self._nodes = np.pad(self._nodes, (0, len(tree.trie) - len(self._nodes)), constant_values=-1)
        used = np.flatnonzero(tree.self_weight)
        new = used[self._nodes[used] < 0]
        if len(new):
            frames = self._carried_frames(tree, new)
            self._nodes[new] = _carried_stacks(tree.trie, new, frames, self.symbols, leaf)
        return CallTree.of_stacks(self.symbols, self._nodes[used], tree.self_weight[used])

    def _carried_frames(self, tree: CallTree, used: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Frame id -> frame id in the new symbols, for the frames of these stacks."""
        trie = tree.trie
        on = np.zeros(len(trie), bool)
        on[used] = True
        for nodes in trie.levels[:0:-1]:
            on[trie.parent[nodes[on[nodes]]]] = True
        out = np.zeros(int(trie.frame.max()) + 1, np.uint32)
        for frame in np.unique(trie.frame[on]).tolist():
            told = tree.symbols.frame_at(frame)
            same = same_function(told, self._modules)
            if self._words is not None:
                same = self._words.setdefault(same, told)
            out[frame] = self.symbols.frame(same) if frame else ROOT
        return out


def _carried_stacks(
    trie: Trie, used: NDArray[np.int64], frames: NDArray[np.uint32], symbols: Symbols, leaf: Frame | None
) -> NDArray[np.int64]:
    """The nodes in the new symbols of these nodes, both (m,)."""
    out = np.zeros(len(used), np.int64)
    last = None if leaf is None else symbols.frame(leaf)
    for start in range(0, len(used), _ROWS):
        at = used[start : start + _ROWS].astype(np.int64)
        lengths = trie.depth[at].astype(np.int64)
        paths = np.zeros((len(at), int(lengths.max()) + 1), np.uint32)
        if last is not None:
            paths[np.arange(len(at)), lengths] = last
        for level in range(int(lengths.max()), 0, -1):
            rows = np.flatnonzero(trie.depth[at] == level)
            paths[rows, level - 1] = frames[trie.frame[at[rows]]]
            at[rows] = trie.parent[at[rows]]
        out[start : start + _ROWS] = symbols.stack_rows(paths, lengths + (last is not None))
    return out


def functions(base: CallTree, after: CallTree) -> Functions:
    """Two trees over one trie by function. Raises ValueError if they do not share it."""
    both = base.merge(after)
    weights = np.stack([*by_function(base, both.trie), *by_function(after, both.trie)])
    frame = np.flatnonzero(weights.any(axis=0))
    own_before, total_before, own_after, total_after = weights[:, frame]
    own, total = Pair(own_before, own_after), Pair(total_before, total_after)
    return Functions(base.symbols, frame, _only_process(both, len(weights[0]))[frame], own, total)


def by_function(tree: CallTree, trie: Trie | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Self and total weight by frame id, (n,) each. trie: a later view of the tree's own, which sets n."""
    own, total = (replace(tree, trie=trie) if trie else tree).frame_weights()
    total[ROOT] = own[ROOT]  # the root is a function of what came without a stack alone
    return own, total


def _only_process(tree: CallTree, n: int) -> NDArray[np.int64]:
    """(n,): of each frame the only process that has it, by their frames; ROOT for several."""
    trie = tree.trie
    top = np.zeros(len(trie), np.int64)
    for depth, nodes in enumerate(trie.levels[1:], 1):
        top[nodes] = trie.frame[nodes] if depth == 1 else top[trie.parent[nodes]]
    nodes = np.flatnonzero(tree.total)
    lowest, highest = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
    np.minimum.at(lowest, trie.frame[nodes], top[nodes])
    np.maximum.at(highest, trie.frame[nodes], top[nodes])
    process = tree.symbols.frames["kind"][highest] == FrameKind.PROCESS
    return np.where((lowest == highest) & process, highest, ROOT)


__all__ = ["Carrier", "Functions", "Pair", "by_function", "functions", "same_function"]
