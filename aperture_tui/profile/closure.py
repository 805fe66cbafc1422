"""A part of a trie that holds every node's parent, as arrays: who is above whom, and whose call was the first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.trie import ROOT, Trie

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def functions_of(symbols: Symbols) -> Ints:
    """(n,): the number of the function of each frame: what differs in the line alone is one function."""
    frames = symbols.frames
    columns = [frames[name] for name in ("function", "module", "file", "kind")]
    order = np.lexsort(columns)
    other = np.zeros(len(order), bool)
    for column in columns:
        other[1:] |= np.diff(column[order].astype(np.int64)) != 0
    out = np.empty(len(order), np.int64)
    out[order] = np.cumsum(other)
    return out


@dataclass(frozen=True)
class Closure:
    """Some nodes of a trie and all above them but the root. A place is an index of these.

    nodes: (n,), ascending. above: (n,), the place of each one's parent, -1 where that is the root.
    """

    trie: Trie
    nodes: Ints
    above: Ints

    @classmethod
    def of(cls, trie: Trie, nodes: NDArray[np.integer]) -> Closure:
        """Of these nodes."""
        on = np.zeros(len(trie), bool)
        on[ROOT] = True
        at = np.unique(nodes)
        while len(at := at[~on[at]]):
            on[at] = True
            at = np.unique(trie.parent[at])
        on[ROOT] = False
        found = np.flatnonzero(on)
        place = np.full(len(trie), -1, np.int64)
        place[found] = np.arange(len(found))
        return cls(trie, found, place[trie.parent[found]])

    @property
    def frame(self) -> NDArray[np.uint32]:
        """(n,): the frame of each."""
        return self.trie.frame[self.nodes]

    def kept_above(self, keep: Bools) -> Ints:
        """(n,): the place of the nearest node above each that is kept, -1 for none. keep: (n,)."""
        above = self.above.copy()
        while len(rows := np.flatnonzero((above >= 0) & ~keep[above])):
            above[rows] = above[above[rows]]
        return above

    @cached_property
    def reach(self) -> tuple[Ints, Ints]:
        """(n,), (n,): when a walk through the tree enters each, and the end of what is entered below it."""
        size = self._sizes()
        order = np.argsort(self.above, kind="stable")  # children of one parent stand together
        before = np.cumsum(size[order]) - size[order]
        groups = np.append(True, np.diff(self.above[order]) != 0)[: len(order)]
        first = np.maximum.accumulate(np.where(groups, np.arange(len(order)), 0)) if len(order) else order
        enter = np.empty(len(order), np.int64)
        enter[order] = before - before[first] + 1
        up = self.above.copy()
        while len(rows := np.flatnonzero(up >= 0)):
            enter[rows] += enter[up[rows]]
            up[rows] = up[up[rows]]
        return enter, enter + size

    def _sizes(self) -> Ints:
        """(n,): how many nodes each is with all below it."""
        size = np.ones(len(self.nodes), np.int64)
        depth = self.trie.depth[self.nodes]
        order = np.argsort(depth, kind="stable")
        edges = np.flatnonzero(np.diff(depth[order])) + 1
        for rows in np.split(order, edges)[:0:-1]:
            np.add.at(size, self.above[rows], size[rows])
        return size

    def first_calls(self, function: Ints, keep: Bools) -> Ints:
        """(n,): the place of the outermost kept node with the function of each that is above it, or itself.

        function: by frame id. keep: (n,); of the others it is themselves.
        """
        out = np.arange(len(self.nodes))
        kept = np.flatnonzero(keep)
        if not len(kept):
            return out
        enter, end = (edge[kept] for edge in self.reach)
        of = function[self.frame[kept]]
        order = np.lexsort((enter, of))
        # the calls of one function after those of another, so that no stretch reaches into the next one's
        shift = of[order] * (2 * len(self.nodes) + 2)
        reached = np.maximum.accumulate(end[order] + shift)
        inner = np.append(False, enter[order][1:] + shift[1:] < reached[:-1])
        outer = np.maximum.accumulate(np.where(inner, 0, np.arange(len(order))))
        out[kept[order]] = kept[order[outer]]
        return out
