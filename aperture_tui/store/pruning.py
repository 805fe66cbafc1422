"""Call trees that are small enough to be sent and shown: the smallest branches of each node become one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.symbols import Symbols

SMALLER: Final = Frame("(smaller stacks)", kind=FrameKind.UNKNOWN)
"""What stands for the branches that were left out."""

_Nodes = NDArray[np.int64]


def pruned(
    symbols: Symbols, stacks: Sequence[NDArray[np.uint32]], weights: Sequence[NDArray[np.int64]], most: int
) -> list[NDArray[np.uint32]]:
    """For the stacks of one or more trees, (n,) nodes each with (n,) weights: those that stand for them, (n,).

    About `most` nodes remain: the heaviest of all trees, each tree's whole weight taken as one. The caller holds
    what guards the tables.
    """
    used, place = np.unique(np.concatenate(stacks).astype(np.int64), return_inverse=True)
    nodes = _with_parents(symbols, used)
    if len(nodes) <= most:
        return list(stacks)
    totals = _totals(symbols, nodes, used, place, _shares(weights))
    kept = np.zeros(len(nodes), bool)
    kept[np.lexsort((symbols.trie.depth[nodes], -totals))[:most]] = True  # a parent weighs as much, and comes first
    kept[0] = True
    nearest = _nearest(symbols, nodes, kept)
    here = np.searchsorted(nodes, used)
    gone = ~kept[here]
    stands_for = used.copy()
    stands_for[gone] = _smaller(symbols, nodes[nearest[here[gone]]])
    edges = np.cumsum([len(part) for part in stacks])[:-1]
    return [part.astype(np.uint32) for part in np.split(stands_for[place], edges)]


def _shares(weights: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """(n,): of all rows of all trees, each as a part of its tree."""
    return np.concatenate([np.abs(part) / max(1, int(np.abs(part).sum())) for part in weights])


def _with_parents(symbols: Symbols, used: _Nodes) -> _Nodes:
    """These nodes and all above them, the root included, sorted."""
    parent = symbols.trie.parent
    seen = np.zeros(len(symbols.trie), bool)
    seen[0] = True
    level = used
    while len(level := level[~seen[level]]):
        seen[level] = True
        level = np.unique(parent[level]).astype(np.int64)
    return np.flatnonzero(seen)


def _totals(
    symbols: Symbols, nodes: _Nodes, used: _Nodes, place: NDArray[np.intp], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,): the weight of each node with all below it."""
    out = np.zeros(len(nodes))
    out[np.searchsorted(nodes, used)] = np.bincount(place, shares, len(used))
    above = np.searchsorted(nodes, symbols.trie.parent[nodes])
    for level in _levels(symbols, nodes)[:0:-1]:
        np.add.at(out, above[level], out[level])
    return out


def _nearest(symbols: Symbols, nodes: _Nodes, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): the place of the nearest node at or above each that is kept."""
    out = np.arange(len(nodes))
    above = np.searchsorted(nodes, symbols.trie.parent[nodes])
    for level in _levels(symbols, nodes)[1:]:
        out[level] = np.where(kept[level], level, out[above[level]])
    return out


def _levels(symbols: Symbols, nodes: _Nodes) -> list[_Nodes]:
    """The places of the nodes of each depth, the root first."""
    depth = symbols.trie.depth[nodes]
    order = np.argsort(depth, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(depth[order])) + 1)


def _smaller(symbols: Symbols, parents: _Nodes) -> _Nodes:
    """(n,): below each of these nodes, the one that stands for what was left out."""
    frame = symbols.frame(SMALLER)
    each, place = np.unique(parents, return_inverse=True)
    made = symbols.graft(-1 - each, np.full(len(each), frame, np.uint32), 65_535)
    return made.astype(np.int64)[place]
