"""Call trees that are small enough to be sent and shown: the smallest branches of each node become one. Pure.

A fleet has millions of nodes, and a question about all of it touches every one. So what does not depend on the question
is found once (`Outline`): in the order of a walk through the tree, a node's weight with all below it is the difference
of two running sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.profile.trie import Trie

SMALLER: Final = Frame("(smaller stacks)", kind=FrameKind.UNKNOWN)
"""What stands for the branches that were left out."""
_DEEPEST: Final = 65_535
_LIGHTEST: Final = 16
"""Of the heaviest nodes the lightest is seldom this many times lighter than if all were alike."""

_Ids = NDArray[np.int64]
_Weights = NDArray[np.int64]


class Pruned(NamedTuple):
    """What is left of a tree: (n,) nodes, (n,) weights that add up to its own.

    smaller: (n,) bool, where the weight is of what is below the node and was left out. late: how much of the whole was
    left out only because its stacks came after the outline was made.
    """

    nodes: _Ids
    weights: _Weights
    smaller: NDArray[np.bool_]
    late: int


class _Ends(NamedTuple):
    """(n,) stacks; (n,) the segment in which each ends, -1 for none. late: (m,) those that end within one or in none.
    left_at: (m,) the lowest segment that each of these passes through wholly.
    """

    stacks: NDArray[np.integer]
    place: NDArray[np.int32]
    late: _Ids
    left_at: _Ids


class Outline:
    """The nodes of a trie that have a stack at or below them, as segments: chains in which no stack ends or parts.

    Segments are numbered as a walk meets them, so that all from the next one to `last` are below a segment. Immutable.
    of_node: (n,) int32, the segment of each node, -1 for none. For each segment: bottom, its last node; above, the one
    that it comes out of, -1 for the root's; length, how many nodes it has, but the root.
    """

    def __init__(self, trie: Trie, ends: NDArray[np.integer]) -> None:
        """ends: the nodes at which stacks end, in any order."""
        n = len(trie)
        is_end = np.zeros(n, bool)
        is_end[ends] = True
        used = _with_below(trie, is_end) > 0
        used[ROOT] = True
        kids = trie.kids[used[trie.kids]]  # those of each node together
        above = trie.parent[kids]
        parting = is_end | (np.bincount(above, minlength=n) != 1)
        parting[ROOT] = True
        is_top = np.zeros(n, bool)
        is_top[ROOT] = True
        is_top[kids] = parting[above]
        within = _with_below(trie, is_top)
        self.of_node = np.where(used, _met_before(trie, kids, within, is_top) + is_top - 1, -1).astype(np.int32)
        tops = np.flatnonzero(is_top)
        order = self.of_node[tops]
        self.last = np.empty(len(tops), np.int32)
        self.last[order] = order + within[tops] - 1
        self.above = np.empty(len(tops), np.int32)
        self.above[order] = self.of_node[trie.parent[tops]]
        self.above[0] = -1
        nodes = np.flatnonzero(used)
        self.bottom = np.empty(len(tops), np.int32)
        self.bottom[self.of_node[nodes]] = nodes  # of several the last one stays, and children come after their parents
        self.length = np.bincount(self.of_node[nodes], minlength=len(tops))
        self.length[0] = 0  # nobody counts the root

    def __len__(self) -> int:
        return len(self.last)

    @property
    def parting(self) -> _Ids:
        """(m,): the nodes below which something may be left out."""
        return self.bottom[self.last > np.arange(len(self))].astype(np.int64)

    def pruned(
        self, trie: Trie, stacks: Sequence[NDArray[np.integer]], weights: Sequence[_Weights], most: int
    ) -> list[Pruned]:
        """Trees, (n,) nodes each with (n,) weights, with no more than `most` nodes in all: the heaviest of them.

        A node counts by its share of each tree. trie: as it is now. Of stacks that came after the outline was made the
        weight is where they leave it. Trees of the very same array of stacks cost less.
        """
        trees, ends = [], None
        for nodes, values in zip(stacks, weights, strict=True):
            ends = ends if ends is not None and ends.stacks is nodes else self._ends(trie, nodes)
            trees.append(self._summed(ends, values))
        shares = np.zeros(len(self))
        for _, total, _ in trees:
            shares += np.abs(total) / max(1, abs(int(total[0])))
        kept = self._heaviest(shares, most)
        return [self._rows(kept, *tree) for tree in trees]

    def _ends(self, trie: Trie, stacks: NDArray[np.integer]) -> _Ends:
        place = np.where(stacks < len(self.of_node), self.of_node[np.minimum(stacks, len(self.of_node) - 1)], -1)
        late = np.flatnonzero((place < 0) | (self.bottom[place] != stacks))
        return _Ends(stacks, place, late, self._left_at(trie, stacks[late]))

    def _summed(self, ends: _Ends, weights: _Weights) -> tuple[_Weights, _Weights, int]:
        """(s,): of the stacks that end in each segment; (s,): with all below it; and how much was late."""
        place, late = ends.place, ends.late
        sums = np.zeros(len(self) + 1, np.int64)
        np.add.at(sums, place + 1, weights)
        sums[0] = 0
        np.subtract.at(sums, place[late] + 1, np.where(place[late] < 0, 0, weights[late]))
        own = sums[1:].copy()
        np.add.at(sums, ends.left_at + 1, weights[late])
        np.cumsum(sums, out=sums)
        return own, sums[self.last + 1] - sums[:-1], int(np.abs(weights[late]).sum())

    def _left_at(self, trie: Trie, ends: NDArray[np.integer]) -> _Ids:
        """(m,): the lowest segments that are wholly at or above these nodes."""
        at = ends.astype(np.int64)
        out = np.full(len(at), -1, np.int64)
        while len(rows := np.flatnonzero(out < 0)):
            nodes = at[rows]
            place = np.where(nodes < len(self.of_node), self.of_node[np.minimum(nodes, len(self.of_node) - 1)], -1)
            whole = (place >= 0) & (self.bottom[place] == nodes)
            out[rows[whole]] = place[whole]
            at[rows] = trie.parent[nodes]
        return out

    def _heaviest(self, shares: NDArray[np.float64], most: int) -> _Ids:
        """(k,): the segments that are kept, sorted; with each those above it, which are met before and no lighter."""
        some = np.flatnonzero(shares > 1 / (_LIGHTEST * most))
        if len(some) <= most:  # of which one may be the root's, which is not counted
            some = np.flatnonzero(shares)
        if len(some) > most + 1:
            least = np.partition(shares[some], len(some) - most - 1)[len(some) - most - 1]
            some = some[shares[some] >= least]
        order = some[np.argsort(-shares[some], kind="stable")]
        fits = np.cumsum(self.length[order]) <= most
        return np.union1d(order[: int(np.argmin(np.append(fits, False)))], [0])

    def _rows(self, kept: _Ids, own: _Weights, total: _Weights, late: int) -> Pruned:
        rest = total[kept] - own[kept]
        np.subtract.at(rest, np.searchsorted(kept, self.above[kept[1:]]), total[kept[1:]])
        nodes = np.tile(self.bottom[kept].astype(np.int64), 2)
        weights = np.concatenate([own[kept], rest])
        some = weights != 0
        return Pruned(nodes[some], weights[some], np.repeat([False, True], len(kept))[some], late)


def left_out(symbols: Symbols, nodes: NDArray[np.integer]) -> NDArray[np.int32]:
    """(n,): below each of these nodes the one that stands for what was left out. The caller holds what guards them."""
    frames = np.full(len(nodes), symbols.frame(SMALLER), np.uint32)
    return symbols.graft(-1 - nodes.astype(np.int64), frames, _DEEPEST)


def _with_below(trie: Trie, marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(n,): how many nodes at or below each are marked."""
    out = marked.astype(np.int32)
    for nodes in trie.levels[:0:-1]:
        np.add.at(out, trie.parent[nodes], out[nodes])
    return out


def _met_before(
    trie: Trie, kids: NDArray[np.int32], within: NDArray[np.int32], is_top: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """(n,): how many tops a walk through the tree meets before each node; of those that it does not go to, anything.

    kids: all nodes but the root that it goes to, those of each parent together. within: (n,) tops at or below each.
    """
    parents = trie.parent[kids]
    running = np.cumsum(within[kids]) - within[kids]
    first = np.append(True, np.diff(parents) != 0)[: len(kids)]
    before = np.zeros(len(trie), np.int64)
    before[kids] = running - running[first][np.cumsum(first) - 1] + is_top[parents]  # of the parent, siblings before
    for nodes in trie.levels[1:]:
        before[nodes] += before[trie.parent[nodes]]
    return before.astype(np.int32)
