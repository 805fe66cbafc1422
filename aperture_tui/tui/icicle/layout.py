"""From a call tree to the boxes that can be seen, lazily from the zoomed node downwards.

The cost depends on what is drawn, not on the size of the tree. All positions are exact: a box's left edge is the sum
of the weights to its left, so siblings meet without gaps, and children never reach beyond their parent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.trie import ROOT, Trie
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.model import Box, FrameLabel, IcicleView, Path, Row

DRAWN_CELLS: Final = 1.0
"""A frame narrower than this is not drawn …"""
KEPT_CELLS: Final = 0.7
"""… unless it was drawn before, so that frames at the limit do not come and go."""
STICKY_CELLS: Final = 0.75
"""An edge stays where it was until it has moved this far: most of a live picture stands still."""
ANCESTORS: Final = 3
"""Rows above a zoom."""
MAX_ROWS: Final = 400

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


class Labels:
    """The labels of the frames of one generation of Symbols, made when they are first drawn."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self._known: dict[int, FrameLabel] = {}

    def __getitem__(self, frame: int) -> FrameLabel:
        label = self._known.get(frame)
        if label is None:
            label = self._known[frame] = make_label(*self.symbols.frame_at(frame))
        return label

    def nodes(self, trie: Trie, path: Path, alive: Ints) -> list[int]:
        """The nodes of a path, as far as they exist and `alive` (weight by node) is not zero there."""
        nodes: list[int] = []
        node = ROOT
        for wanted in path:
            children = trie.children(node)
            children = children[alive[children] > 0]
            frames = trie.frame[children].tolist()
            found = next((i for i, frame in enumerate(frames) if self[frame] == wanted), None)
            if found is None:
                break
            node = int(children[found])
            nodes.append(node)
        return nodes


@dataclass
class Edges:
    """Where the edges of the last picture stood, by node: what makes the next one stand still."""

    drawn: dict[int, tuple[int, int]] = field(default_factory=dict)
    hatch_end: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Frontier:
    """The boxes of one row. Each is (n,): node, start (weight left of it), left and right (cells)."""

    nodes: Ints
    starts: Ints
    left: Ints
    right: Ints


@dataclass(frozen=True)
class Sight:
    """What is looked at. scale: cells per weight. order: sort key of the children of one parent."""

    trie: Trie
    total: Ints
    own: Ints
    scale: float
    order: Callable[[int, int], tuple[int | str, ...]]
    labels: Labels


def lay_out(
    tree: CallTree, labels: Labels, width: int, zoom: Path = (), by_weight: bool = False, last: Edges | None = None
) -> tuple[IcicleView, Edges]:
    """The visible boxes of a tree, and their edges for the next time.

    width: cells, at least 1. zoom: drawn at full width, with what is above it; as far as it is there. last: the
    edges of the previous picture, if that had the same width, zoom and order.
    """
    trie, total = tree.trie, tree.total
    own = np.zeros(len(trie), np.int64)
    own[: len(tree.self_weight)] = tree.self_weight
    chain = [ROOT, *labels.nodes(trie, zoom, total)]
    whole = int(total[chain[-1]])

    def name_order(node: int, frame: int) -> tuple[int | str, ...]:
        label = labels[frame]
        return label.function, label.module, frame

    def weight_order(node: int, frame: int) -> tuple[int | str, ...]:
        return -int(total[node]), frame

    sight = Sight(trie, total, own, width / max(whole, 1), weight_order if by_weight else name_order, labels)
    rows, collapsed = _rows_above(sight, chain, width)
    reached = tuple(labels[int(trie.frame[node])] for node in chain[1:])
    edges = Edges()
    deeper = False
    if whole > 0:
        deeper = _rows_below(sight, chain[-1], width, rows, last or edges, edges)
    view = IcicleView(
        rows=tuple(rows),
        width=width,
        total=int(total[ROOT]),
        zoomed=whole,
        zoom=reached,
        collapsed=reached[:collapsed],
        first=1 if rows and rows[0].note else 0,
        deeper=deeper,
    )
    return view, edges


def _rows_above(sight: Sight, chain: list[int], width: int) -> tuple[list[Row], int]:
    """The last ancestors of the zoom and the zoom itself, at full width; and how many frames are not shown.

    A count of n frames hides the root and n frames of the path; 0 hides nothing.
    """
    hidden = max(0, len(chain) - 1 - ANCESTORS)
    if hidden == 1:
        hidden = 0  # the row that says so would take the place of the one it hides
    rows: list[Row] = []
    if hidden:
        rows.append(Row((), note=f"… {hidden} above"))
    for node in chain[hidden:]:
        parent = 0 if rows and rows[-1].boxes else -1
        box = Box(0, width, parent, _label(sight, node), int(sight.total[node]), int(sight.own[node]))
        rows.append(Row((box,), above=node != chain[-1]))
    return rows, max(0, hidden - 1)


def _label(sight: Sight, node: int) -> FrameLabel:
    return sight.labels[int(sight.trie.frame[node])]


def _rows_below(sight: Sight, top: int, width: int, rows: list[Row], last: Edges, edges: Edges) -> bool:
    """Append the rows under a node -> whether there would have been more."""
    at = Frontier(np.array([top], np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), np.full(1, width, np.int64))
    while len(at.nodes):
        if len(rows) >= MAX_ROWS:
            return True
        at, row = _next_row(sight, at, last, edges)
        if row.boxes or row.hatches:
            rows.append(row)
    return False


def _children(trie: Trie, nodes: Ints) -> tuple[Ints, Ints]:
    """All children of these nodes: index of the parent among `nodes`, and the child."""
    begin = trie.first_child[nodes]
    counts = trie.first_child[nodes + 1] - begin
    owner = np.repeat(np.arange(len(nodes)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, trie.kids[begin[owner] + within].astype(np.int64)


def _next_row(sight: Sight, at: Frontier, last: Edges, edges: Edges) -> tuple[Frontier, Row]:
    owner, nodes = _children(sight.trie, at.nodes)
    alive = sight.total[nodes] > 0
    owner, nodes = owner[alive], nodes[alive]
    weight = sight.total[nodes]
    cells = weight * sight.scale
    drawn = cells >= KEPT_CELLS
    for i in np.flatnonzero(drawn & (cells < DRAWN_CELLS)).tolist():
        drawn[i] = int(nodes[i]) in last.drawn
    hidden = np.bincount(owner[~drawn], weight[~drawn], len(at.nodes)).astype(np.int64)
    owner, nodes, weight = owner[drawn], nodes[drawn], weight[drawn]

    frames = sight.trie.frame[nodes].tolist()
    keys = [(o, sight.order(n, f)) for o, n, f in zip(owner.tolist(), nodes.tolist(), frames, strict=True)]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    owner, nodes, weight = owner[order], nodes[order], weight[order]

    sums = np.cumsum(weight)
    drawn_sum = np.bincount(owner, weight, len(at.nodes)).astype(np.int64)
    before = np.cumsum(drawn_sum) - drawn_sum
    starts = at.starts[owner] + sums - weight - before[owner]
    ends = at.starts + drawn_sum
    left, right = _place(sight, at, owner, nodes, starts, ends, last)
    hatches = _hatches(sight, at, owner, right, ends, hidden, last, edges)

    seen = right > left
    below = Frontier(nodes[seen], starts[seen], left[seen], right[seen])
    owner = owner[seen]
    for node, a, b in zip(below.nodes.tolist(), below.left.tolist(), below.right.tolist(), strict=True):
        edges.drawn[node] = a, b
    labels = [sight.labels[frame] for frame in sight.trie.frame[below.nodes].tolist()]
    columns = (below.left, below.right, owner)
    weights = (sight.total[below.nodes], sight.own[below.nodes])
    boxes = tuple(
        Box(a, b, parent, label, total, own)
        for a, b, parent, label, total, own in zip(
            *(column.tolist() for column in columns), labels, *(column.tolist() for column in weights), strict=True
        )
    )
    return below, Row(boxes, hatches)


def _round(x: Floats) -> Ints:
    cells: Ints = np.floor(x + 0.5).astype(np.int64)
    return cells


def _stick(x: Floats, before: Ints) -> Ints:
    """Whole cells: where an edge was before (-1: nowhere) unless it moved too far."""
    near = (before >= 0) & (np.abs(x - before) < STICKY_CELLS)
    edges: Ints = np.where(near, before, _round(x))
    return edges


def _place(
    sight: Sight, at: Frontier, owner: Ints, nodes: Ints, starts: Ints, ends: Ints, last: Edges
) -> tuple[Ints, Ints]:
    """Left and right of each child, (n,) cells: sticky, in order, inside of the parent, without gaps."""
    n = len(nodes)
    before = np.array([last.drawn.get(node, (-1, -1)) for node in nodes.tolist()], np.int64).reshape(n, 2)
    inside_left, inside_right = at.left[owner], at.right[owner]
    left = _stick(starts * sight.scale, before[:, 0])
    first = np.ones(n, bool)
    first[1:] = owner[1:] != owner[:-1]
    left[first] = inside_left[first]
    left = np.maximum.accumulate(np.clip(left, inside_left, inside_right))
    right = np.empty(n, np.int64)
    right[:-1] = left[1:]
    final = np.ones(n, bool)
    final[:-1] = first[1:]
    end = _stick(ends[owner[final]] * sight.scale, before[final, 1])
    whole = ends[owner[final]] == at.starts[owner[final]] + sight.total[at.nodes[owner[final]]]
    end = np.where(whole, inside_right[final], end)
    right[final] = np.clip(end, left[final], inside_right[final])
    return left, right


def _hatches(
    sight: Sight, at: Frontier, owner: Ints, right: Ints, ends: Ints, hidden: Ints, last: Edges, edges: Edges
) -> tuple[tuple[int, int], ...]:
    """Where children hide that are too narrow to draw: behind the drawn ones, as wide as they are together."""
    begin = at.left.copy()
    np.maximum.at(begin, owner, right)
    out = []
    for i in np.flatnonzero(hidden).tolist():
        node = int(at.nodes[i])
        x = float((ends[i] + hidden[i]) * sight.scale)
        was = last.hatch_end.get(node, -1)
        end = was if was >= 0 and abs(x - was) < STICKY_CELLS else int(x + 0.5)
        end = min(end, int(at.right[i]))
        edges.hatch_end[node] = end
        if end > begin[i]:
            out.append((int(begin[i]), end))
    return tuple(out)


def matching_weight(tree: CallTree, frames: NDArray[np.bool_], zoom: Path, labels: Labels) -> int:
    """The weight under a zoom whose stacks hold one of these frames. frames: bool by frame id."""
    total = tree.filtered(frames).total
    nodes = labels.nodes(tree.trie, zoom, tree.total)
    return int(total[nodes[-1] if nodes else ROOT])
