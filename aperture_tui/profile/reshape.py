"""Call trees in other shapes: without some frames, with recursion folded, by module; callers; both sides of a function.

Each reshaping finds where the weight of every node goes, once, and so it holds for any weights over the same trie: for
both sides of a comparison, and for what a search matches. No weight is lost. Frames and stacks of the new shape are in
Symbols of their own, as only their owner may add to those of a session; these grow from answer to answer, so that a
screen finds again what it has drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.closure import Closure, functions_of
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.shape import NO_FUNCTIONS, Shape
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import ROOT, Trie

SMALLER: Final = Frame("(smaller stacks)", kind=FrameKind.UNKNOWN)
"""What stands for callers that are not followed any further."""
LEAST: Final = 1 / 4096
"""Callers with a smaller share of what is looked at are not followed: no screen shows them."""
_DEEPEST: Final = 65_535
_MOST: Final = 200_000
"""Stacks that may be kept, or twice those of the source: most are then of what is not needed any more."""
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Moved:
    """Where weights go. nodes: (m,) of one trie; to: (m,) nodes of `symbols`.

    below: what moves is the weight of a node with all below it, not its own.
    """

    symbols: Symbols
    nodes: Ints
    to: Ints
    below: bool = False

    def tree(self, tree: CallTree) -> CallTree:
        """The weights of a tree over that trie, or over an earlier view of it, in the other shape."""
        weights = tree.total if self.below else tree.self_weight
        known = self.nodes < len(weights)
        return CallTree.of_stacks(self.symbols, self.to[known], weights[self.nodes[known]])


class Tables:
    """Symbols with the frames of others. Of one thread."""

    def __init__(self, source: Symbols) -> None:
        self.source = source
        self.symbols = Symbols()
        self._own = np.zeros(1, np.uint32)
        self._functions = np.zeros(0, np.int64)

    @property
    def full(self) -> bool:
        """Whether they hold so many stacks that it is better to begin anew."""
        return len(self.symbols.trie) > max(_MOST, 2 * len(self.source.trie))

    def frames(self, frames: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """(n,): the ids here of frames of the others."""
        if frames.max(initial=0) < len(self._own):
            own = self._own[frames]
            if np.count_nonzero(own) == np.count_nonzero(frames):
                return own
        met = np.unique(frames)
        more = int(met[-1]) + 1 - len(self._own) if len(met) else 0
        if more > 0:
            self._own = np.append(self._own, np.zeros(more, np.uint32))
        new = met[(self._own[met] == ROOT) & (met != ROOT)]
        if len(new):
            rows = self.source.frames[new]
            for name in ("function", "module", "file"):
                rows[name] = self._strings(rows[name])
            self._own[new] = self.symbols.frame_rows(rows)
        return self._own[frames]

    def _strings(self, strings: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """(n,): the ids here of strings of the others."""
        met, of = np.unique(strings, return_inverse=True)
        texts, own = self.source.strings, self.symbols.string
        return np.array([own(texts[i]) for i in met.tolist()], np.uint32)[of]

    def functions(self) -> Ints:
        """By frame id of the others: `closure.functions_of`."""
        if len(self._functions) != len(self.source.frames):
            self._functions = functions_of(self.source)
        return self._functions


class Shaper:
    """Moves trees of one lineage into a shape. What it has moved it does not move again. Of one thread."""

    def __init__(self, source: Symbols, shape: Shape) -> None:
        self.shape = shape
        self.tables = Tables(source)
        self._to = np.full(1, -1 if shape.by_module else ROOT, np.int64)  # node -> node; -1 of those not moved yet

    def moved(self, trees: Sequence[CallTree]) -> Moved:
        """Where the weights of these go, which are over one trie."""
        trie = longest(trees)
        used = used_nodes(trees)
        if len(self._to) < len(trie):
            self._to = np.pad(self._to, (0, len(trie) - len(self._to)), constant_values=-1)
        new = used[self._to[used] < 0]
        if len(new):
            self._move(trie, new)
        return Moved(self.tables.symbols, used, self._to[used])

    def _move(self, trie: Trie, new: Ints) -> None:
        closure = Closure.of(trie, new)
        keep = ~_hidden(self.tables.source, self.shape)[closure.frame]
        above = closure.kept_above(keep)
        first = np.arange(len(keep))
        if self.shape.folded:
            first = closure.first_calls(self.tables.functions(), keep)
        shown = np.where(keep, first, np.where(above >= 0, first[above], -1))  # the place that each is counted at
        if self.shape.by_module:
            places = np.minimum(np.searchsorted(closure.nodes, new), max(len(shown) - 1, 0))
            at = np.full(len(new), -1, np.int64)
            at[new != ROOT] = shown[places[new != ROOT]]
            self._to[new] = self._by_module(closure, _shown_above(above, shown), at)
            return
        made = np.flatnonzero(keep & (first == np.arange(len(first))))
        to = np.full(len(keep) + 1, ROOT, np.int64)  # the last is for -1
        to[made] = self._grafted(made, _shown_above(above[made], first), self.tables.frames(closure.frame[made]))
        self._to[closure.nodes] = to[shown]

    def _grafted(self, places: Ints, above: Ints, frames: NDArray[np.uint32]) -> Ints:
        """The new nodes of places, (m,) ascending. above: (m,), the places above them, -1 for none."""
        within = np.where(above >= 0, np.searchsorted(places, above), -1 - ROOT)
        return self.tables.symbols.graft(within, frames, _DEEPEST).astype(np.int64)

    def _by_module(self, closure: Closure, up: Ints, at: Ints) -> Ints:
        """The new nodes of the stacks that are shown to end at these places, each under the module of that frame.

        up: (n,), the places above each. Of -1, both: nothing.
        """
        tables = self.tables
        modules = np.full(len(at), self._module_frame(ROOT), np.uint64)
        inner = np.flatnonzero(at >= 0)
        leaves, of = np.unique(closure.frame[at[inner]], return_inverse=True)
        modules[inner] = np.array([self._module_frame(frame) for frame in leaves.tolist()], np.uint64)[of]
        ends = modules << _HALF | (at + 1).astype(np.uint64)
        pairs = _pairs_above(ends, up)
        place = (pairs & _LOW).astype(np.int64) - 1
        over = np.append(up + 1, 0)[place].astype(np.uint64)
        within = np.where(place >= 0, np.searchsorted(pairs, pairs >> _HALF << _HALF | over), -1 - ROOT)
        own = np.append(tables.frames(closure.frame), np.uint32(ROOT))
        frames = np.where(place >= 0, own[place], pairs >> _HALF).astype(np.uint32)
        nodes = tables.symbols.graft(within, frames, _DEEPEST).astype(np.int64)
        return nodes[np.searchsorted(pairs, ends)]

    def _module_frame(self, frame: int) -> int:
        """The frame that stands for the module of a frame of the others."""
        told = self.tables.source.frame_at(frame)
        place = "" if told.kind in NO_FUNCTIONS else told.module or told.file
        return self.tables.symbols.frame(Frame(f"module: {place or '?'}", kind=FrameKind.TAG))


def _shown_above(above: Ints, shown: Ints) -> Ints:
    """(n,): the places at which those above are shown, -1 for none."""
    out: Ints = np.where(above >= 0, shown[above], -1)
    return out


def _pairs_above(pairs: NDArray[np.uint64], up: Ints) -> NDArray[np.uint64]:
    """Sorted: pairs group << 32 | place + 1, and all above them. up: (n,), the place above each, -1 for none."""
    found = [np.unique(pairs)]
    over = np.append(-1, up).astype(np.int64) + 1
    while len(found[-1]):
        last = found[-1]
        last = last[(last & _LOW) > 0]
        place = over[(last & _LOW).astype(np.int64)].astype(np.uint64)
        found.append(np.unique(last >> _HALF << _HALF | place))
    return np.unique(np.concatenate(found))


def _hidden(symbols: Symbols, shape: Shape) -> NDArray[np.bool_]:
    """(n,): the frames that are not shown, by id."""
    frames = symbols.frames
    out = np.zeros(len(frames), bool)
    if not shape.kernel:
        out |= frames["kind"] == FrameKind.KERNEL
    if shape.without:
        names = [symbols.known_string(name) for name in shape.without]
        place = np.where(frames["module"] > 0, frames["module"], frames["file"])
        out |= np.isin(place.astype(np.int64), names) & (place > 0)
    hidden: NDArray[np.bool_] = out & ~np.isin(frames["kind"], NO_FUNCTIONS)
    return hidden


def longest(trees: Sequence[CallTree]) -> Trie:
    """The latest of the views that trees have of one trie."""
    return max((tree.trie for tree in trees), key=len)


def used_nodes(trees: Sequence[CallTree]) -> Ints:
    """The nodes at which stacks of these trees end."""
    used = np.zeros(max(len(tree.self_weight) for tree in trees), bool)
    for tree in trees:
        used[: len(tree.self_weight)] |= tree.self_weight != 0
    return np.flatnonzero(used)


def shares(trees: Sequence[CallTree], nodes: Ints, below: bool = False) -> NDArray[np.float64]:
    """(m,): what share nodes have of each tree's whole, on average over the trees. below: with all below them."""
    out = np.zeros(len(nodes))
    for tree in trees:
        weights, whole = (tree.total if below else tree.self_weight), tree.weight
        known = nodes < len(weights)
        out[known] += weights[nodes[known]] / (whole * len(trees)) if whole else 0.0
    return out


def callers(
    tables: Tables,
    trie: Trie,
    ends: Ints,
    shares: NDArray[np.float64],
    zoom: Sequence[int] = (),
    first: int | None = None,
    below: bool = False,
) -> Moved:
    """The tree of callers: the frames at `ends` come first, and under each who called it.

    ends: (m,) nodes of `trie`, of which each has a share of the whole, (m,). Callers of less than LEAST of the whole
    are not followed; under `zoom`, frames of the tables, of less than LEAST of what is there. first: a frame of the
    tables that stands for all at `ends`. below: as of `Moved`, with which the shares are given.
    """
    own = tables.frames(trie.frame)
    smaller = tables.symbols.frame(SMALLER)
    fine = LEAST * _share_under(trie, own, ends, shares, zoom, skip=first is not None)
    at, to = ends.astype(np.int64), np.full(len(ends), -1, np.int64)
    within = np.ones(len(ends), bool)
    rows = np.flatnonzero(at != ROOT)
    above: list[Ints] = []
    frames: list[NDArray[np.uint32]] = []
    n = level = 0
    while len(rows):
        frame = own[at[rows]] if first is None or level else np.full(len(rows), first, np.uint32)
        within[rows] &= level >= len(zoom) or frame == zoom[level]
        keys, of = np.unique((to[rows] + 1).astype(np.uint64) << _HALF | frame, return_inverse=True)
        weight = np.bincount(of, shares[rows], len(keys))
        small = weight[of] < np.where(within[rows], fine, LEAST)
        if small.any():
            frame = np.where(small, smaller, frame)
            keys, of = np.unique((to[rows] + 1).astype(np.uint64) << _HALF | frame, return_inverse=True)
        above.append((keys >> _HALF).astype(np.int64) - 1)
        frames.append((keys & _LOW).astype(np.uint32))
        to[rows] = n + of
        n, level = n + len(keys), level + 1
        rows = rows[~small]
        at[rows] = trie.parent[at[rows]]
        rows = rows[at[rows] != ROOT]
    nodes = np.zeros(1, np.int64)  # the last is for what came without a frame
    if n:
        grafted = tables.symbols.graft(np.concatenate(above), np.concatenate(frames), _DEEPEST)
        nodes = np.append(grafted.astype(np.int64), ROOT)
    return Moved(tables.symbols, ends, nodes[to], below)


def _share_under(
    trie: Trie, own: NDArray[np.uint32], ends: Ints, shares: NDArray[np.float64], zoom: Sequence[int], skip: bool
) -> float:
    """The share of what ends in this path, from the innermost frame outwards; 1 of nothing. skip: its first frame."""
    at, on = ends.astype(np.int64), np.ones(len(ends), bool)
    for level, frame in enumerate(zoom):
        if level:
            at = np.maximum(trie.parent[at], ROOT).astype(np.int64)
        if level or not skip:
            on &= (own[at] == frame) & (at != ROOT)
    return float(shares[on].sum()) if zoom else 1.0


def calls_of(tables: Tables, trees: Sequence[CallTree], function: Frame) -> tuple[Ints, int]:
    """The outermost calls of a function in these trees' stacks, as nodes; and its frame in the tables.

    Frames that differ from it in the line alone are the same function.
    """
    trie, source = longest(trees), tables.source
    strings = [source.known_string(text) for text in function[:3]]
    frames = source.frames
    same = frames["kind"] == function.kind
    for name, string in zip(("function", "module", "file"), strings, strict=True):
        same &= frames[name] == max(string, 0) if string >= 0 else False
    on = same[trie.frame]
    on[ROOT] = False
    inner = trie.spread(on)
    nodes = np.flatnonzero(on)
    nodes = nodes[~inner[trie.parent[nodes]]]
    used = np.zeros(len(trie), bool)
    for tree in trees:
        used[: len(tree.total)] |= tree.total != 0
    return nodes[used[nodes]], tables.symbols.frame(function)


def callees(tables: Tables, trees: Sequence[CallTree], calls: Ints, first: int) -> Moved:
    """The tree of what was called by these nodes, none of which is above another; first: the frame of them all."""
    trie = longest(trees)
    on = np.zeros(len(trie), bool)
    on[calls] = True
    below = trie.spread(on)
    used = used_nodes(trees)
    closure = Closure.of(trie, used[below[used]])
    inside = np.flatnonzero(below[closure.nodes])
    tops = np.isin(closure.nodes[inside], calls)
    above = np.where(tops, -1 - ROOT, np.searchsorted(inside, closure.above[inside]))
    frames = np.where(tops, first, tables.frames(closure.frame[inside])).astype(np.uint32)
    to = tables.symbols.graft(above, frames, _DEEPEST).astype(np.int64)
    return Moved(tables.symbols, closure.nodes[inside], to)
