"""A call tree: the trie of stacks and a weight for each of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.trie import ROOT, StackTable, Trie


@dataclass(frozen=True)
class CallTree:
    """Weights over a trie. Immutable; every operation gives a new tree.

    self_weight: (n,) int64, the weight of the stacks that end in a node, n at most len(trie). Negative weights are
    differences. The unit is that of the query's Measure: events or nanoseconds.
    """

    symbols: Symbols
    trie: Trie
    self_weight: NDArray[np.int64]

    @classmethod
    def of_stacks(cls, symbols: Symbols, stacks: NDArray[np.integer], weights: NDArray[np.integer]) -> CallTree:
        """Sum the weights of equal stacks. stacks, weights: (m,)."""
        trie = symbols.trie
        summed = np.zeros(len(trie), np.int64)
        # not bincount, which adds in float64: a thousand threads that wait for three hours pass 2**53 nanoseconds
        np.add.at(summed, stacks.astype(np.intp), weights.astype(np.int64))
        return cls(symbols, trie, summed)

    @cached_property
    def total(self) -> NDArray[np.int64]:
        """(len(trie),): the weight of the stacks that end in a node or pass through it."""
        total = np.zeros(len(self.trie), np.int64)
        total[: len(self.self_weight)] = self.self_weight
        for nodes in self.trie.levels[:0:-1]:
            active = nodes[total[nodes] != 0]
            np.add.at(total, self.trie.parent[active], total[active])
        return total

    @property
    def weight(self) -> int:
        """The weight of the whole tree."""
        return int(self.self_weight.sum())

    def merge(self, other: CallTree) -> CallTree:
        """Both together. Raises ValueError if they do not share a trie."""
        return self._combine(other, 1)

    def subtract(self, other: CallTree) -> CallTree:
        """This less the other; weights may become negative. Raises ValueError if they do not share a trie."""
        return self._combine(other, -1)

    def _combine(self, other: CallTree, sign: int) -> CallTree:
        if self.trie.lineage != other.trie.lineage:
            raise ValueError("call trees of different symbol generations: rebase one of them first")
        trie = max(self.trie, other.trie, key=len)
        out = np.zeros(len(trie), np.int64)
        out[: len(self.self_weight)] = self.self_weight
        out[: len(other.self_weight)] += sign * other.self_weight
        return CallTree(self.symbols, trie, out)

    def subtree(self, node: int) -> CallTree:
        """Only the stacks that pass through this node, or end in it."""
        on = np.zeros(len(self.trie), bool)
        on[node] = True
        return self._only(self.trie.spread(on))

    def filtered(self, frames: NDArray[np.bool_]) -> CallTree:
        """Only the stacks that contain a frame that is on. frames: bool by frame id, False beyond its end."""
        on = np.zeros(max(int(self.trie.frame.max(initial=0)) + 1, len(frames)), bool)
        on[: len(frames)] = frames
        return self._only(self.trie.spread(on[self.trie.frame]))

    def matching(self, pattern: str) -> CallTree:
        """Only the stacks with a function, module or file that the regular expression matches. Raises re.error."""
        return self.filtered(self.symbols.matching_frames(pattern))

    def _only(self, keep: NDArray[np.bool_]) -> CallTree:
        return CallTree(self.symbols, self.trie, np.where(keep[: len(self.self_weight)], self.self_weight, 0))

    def inverted(self) -> CallTree:
        """The tree of callers: leaves become first frames, and a function's children are who called it."""
        used = np.flatnonzero(self.self_weight)
        used = used[used != ROOT]
        lengths = self.trie.depth[used].astype(np.int64)
        paths = np.zeros((len(used), int(lengths.max(initial=0))), np.uint32)
        at = used.copy()
        for level in range(paths.shape[1]):
            rows = np.flatnonzero(lengths > level)
            paths[rows, level] = self.trie.frame[at[rows]]
            at[rows] = self.trie.parent[at[rows]]
        table = StackTable()
        nodes = table.intern(paths, lengths)
        weights = np.zeros(len(table), np.int64)
        np.add.at(weights, nodes, self.self_weight[used])
        if len(self.self_weight):
            weights[ROOT] += self.self_weight[ROOT]
        return CallTree(self.symbols, table.view(), weights)

    def frame_weights(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Self and total weight by frame id: two (n,) int64. A recursive frame's total counts each stack once."""
        trie = self.trie
        n = int(trie.frame.max(initial=0)) + 1
        own = np.zeros(n, np.int64)
        np.add.at(own, trie.frame[: len(self.self_weight)], self.self_weight)
        total = np.zeros(n, np.int64)
        outermost = self._outermost()
        np.add.at(total, trie.frame[outermost], self.total[outermost])
        return own, total

    def _outermost(self) -> NDArray[np.int64]:
        """The nodes with weight whose frame is not among their ancestors'."""
        trie = self.trie
        nodes = np.flatnonzero(self.total)
        first = np.ones(len(nodes), bool)
        above = trie.parent[nodes]
        while (rows := np.flatnonzero((above > ROOT) & first)).size:
            first[rows] = trie.frame[above[rows]] != trie.frame[nodes[rows]]
            above[rows] = trie.parent[above[rows]]
        return nodes[first]
