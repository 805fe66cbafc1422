"""From a call tree to the boxes that can be seen, lazily from the zoomed node downwards.

The cost depends on what is drawn, not on the size of the tree. All positions are exact: a box's left edge is the sum
of the weights to its left, so siblings meet without gaps, and children never reach beyond their parent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.trie import ROOT, Trie
from aperture_tui.tui.icicle.comparison import Compared, Numbers
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
MANY: Final = 64
"""Children of one frame above which numpy is the quicker one to drop those that are too narrow."""
_NOWHERE: Final = (-1, -1)
_MOST: Final = 1_000_000
"""Steps that changes are put in order by."""

Ints = NDArray[np.int64]
Order = Callable[[int, int], tuple[int | str, ...]]
"""Sort key of a node, by itself and its frame."""


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


class Place(NamedTuple):
    """A box of one row, for the row below it. start: the weight left of it; left, right: cells."""

    node: int
    start: int
    left: int
    right: int


@dataclass(frozen=True)
class Sight:
    """What is looked at. scale: cells per weight. least: weight below which nothing is drawn. order: sort key of the
    children of one parent.

    total: the weight of a node, as Python's int; one by one, as a row has few boxes and numpy is slow on few. numbers:
    what its box says of it.
    """

    trie: Trie
    totals: Ints
    total: Callable[[int], int]
    numbers: Callable[[int], Numbers]
    scale: float
    least: float
    order: Order
    labels: Labels


def lay_out(
    tree: CallTree,
    labels: Labels,
    width: int,
    zoom: Path = (),
    by_weight: bool = False,
    last: Edges | None = None,
    compared: Compared | None = None,
    by_change: bool = False,
    least: float = 0.0,
    collapse: bool = True,
) -> tuple[IcicleView, Edges]:
    """The visible boxes of a tree, and their edges for the next time.

    width: cells, at least 1. zoom: drawn at full width, with what is above it; as far as it is there. last: the
    edges of the previous picture, if that had the same width, zoom and order. compared: the tree is the width of these
    two, of which the boxes tell. by_change: the most changed first, where there is something compared. least: the part
    of the whole below which nothing is drawn. collapse: most of what is above the zoom is one row.
    """
    trie = tree.trie
    chain = [ROOT, *labels.nodes(trie, zoom, tree.total)]
    whole = int(tree.total[chain[-1]])
    limit = least * int(tree.total[ROOT])
    sight = _sight(
        tree, labels, width / max(whole, 1), limit, _order(tree, labels, by_weight, by_change, compared), compared
    )
    say = sight.numbers
    rows, collapsed = _rows_above(sight, chain, width, ANCESTORS if collapse else len(chain))
    reached = tuple(labels[trie.frame.item(node)] for node in chain[1:])
    edges = Edges()
    deeper = False
    if whole > 0:
        deeper = _rows_below(sight, chain[-1], width, rows, last or edges, edges)
    view = IcicleView(
        rows=tuple(rows),
        width=width,
        total=say(ROOT).total,
        zoomed=say(chain[-1]).total,
        zoom=reached,
        collapsed=reached[:collapsed],
        first=1 if rows and rows[0].note else 0,
        deeper=deeper,
        base_total=say(ROOT).was,
        absolute=compared is not None and compared.absolute,
        left_out=int(np.count_nonzero((tree.total > 0) & (tree.total < limit))) if least else 0,
    )
    return view, edges


def _sight(
    tree: CallTree, labels: Labels, scale: float, least: float, order: Order, compared: Compared | None
) -> Sight:
    """As of `lay_out`. scale: cells per weight. least: a weight."""
    total: Callable[[int], int] = tree.total.item
    self_weight: Callable[[int], int] = tree.self_weight.item
    known = len(tree.self_weight)

    def numbers(node: int) -> Numbers:
        return Numbers(total(node), self_weight(node) if node < known else 0)

    return Sight(tree.trie, tree.total, total, compared.numbers if compared else numbers, scale, least, order, labels)


def _order(tree: CallTree, labels: Labels, by_weight: bool, by_change: bool, compared: Compared | None) -> Order:
    """As of `lay_out`. What is to be ordered by change, and is compared with nothing, is ordered by weight."""
    total: Callable[[int], int] = tree.total.item

    def name_order(node: int, frame: int) -> tuple[int | str, ...]:
        label = labels[frame]
        return label.function, label.module, frame

    def weight_order(node: int, frame: int) -> tuple[int | str, ...]:
        return -total(node), frame

    def change_order(node: int, frame: int) -> tuple[int | str, ...]:
        much = compared.change(node) if compared else 0.0
        return -round(abs(much) * _MOST), frame

    if by_change and compared is not None:
        return change_order
    return weight_order if by_weight or by_change else name_order


def _rows_above(sight: Sight, chain: list[int], width: int, most: int) -> tuple[list[Row], int]:
    """The last ancestors of the zoom, at most so many, and the zoom itself, at full width; and how many are not shown.

    A count of n frames hides the root and n frames of the path; 0 hides nothing.
    """
    hidden = max(0, len(chain) - 1 - most)
    if hidden == 1:
        hidden = 0  # the row that says so would take the place of the one it hides
    rows: list[Row] = []
    if hidden:
        rows.append(Row((), note=f"… {hidden} above"))
    for node in chain[hidden:]:
        parent = 0 if rows and rows[-1].boxes else -1
        box = Box(0, width, parent, _label(sight, node), *sight.numbers(node))
        rows.append(Row((box,), above=node != chain[-1]))
    return rows, max(0, hidden - 1)


def _label(sight: Sight, node: int) -> FrameLabel:
    return sight.labels[sight.trie.frame.item(node)]


def _rows_below(sight: Sight, top: int, width: int, rows: list[Row], last: Edges, edges: Edges) -> bool:
    """Append the rows under a node -> whether there would have been more."""
    at = [Place(top, 0, 0, width)]
    while at:
        if len(rows) >= MAX_ROWS:
            return True
        at, row = _next_row(sight, at, last, edges)
        if row.boxes or row.hatches:
            rows.append(row)
    return False


def _next_row(sight: Sight, at: list[Place], last: Edges, edges: Edges) -> tuple[list[Place], Row]:
    below: list[Place] = []
    boxes: list[Box] = []
    hatches: list[tuple[int, int]] = []
    first_child = sight.trie.first_child.item
    for i, parent in enumerate(at):
        begin, end = first_child(parent.node), first_child(parent.node + 1)
        if begin == end:
            continue
        nodes, hidden = _drawn_children(sight, begin, end, last)
        places, end_of_drawn = _place(sight, parent, nodes, last)
        if hidden:
            hatch = _hatch(sight, parent, places, end_of_drawn + hidden, last, edges)
            if hatch[0] < hatch[1]:
                hatches.append(hatch)
        for place in places:
            node, _, left, right = place
            if left < right:
                below.append(place)
                edges.drawn[node] = left, right
                boxes.append(Box(left, right, i, _label(sight, node), *sight.numbers(node)))
    return below, Row(tuple(boxes), tuple(hatches))


def _drawn_children(sight: Sight, begin: int, end: int, last: Edges) -> tuple[list[int], int]:
    """Of the children at these places of `trie.kids`: those to draw, in order; and the weight of the others."""
    kids = sight.trie.kids[begin:end]
    hidden = 0
    if len(kids) > MANY:
        kids, hidden = _wide(sight, kids)
    drawn: list[int] = []
    for node in kids.tolist():
        weight = sight.total(node)
        cells = weight * sight.scale
        if weight >= sight.least and (cells >= DRAWN_CELLS or (cells >= KEPT_CELLS and node in last.drawn)):
            drawn.append(node)
        elif weight > 0:
            hidden += weight
    if len(drawn) > 1:
        frame = sight.trie.frame.item
        drawn.sort(key=lambda node: sight.order(node, frame(node)))
    return drawn, hidden


def _wide(sight: Sight, kids: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Those of many children that might be drawn, and the weight of the others."""
    weights = sight.totals[kids]
    wide = weights * sight.scale >= KEPT_CELLS
    return kids[wide], int(weights[~wide & (weights > 0)].sum())


def _stick(x: float, before: int) -> int:
    """Whole cells: where an edge was before (-1: nowhere) unless it moved too far. x: not negative."""
    return before if before >= 0 and abs(x - before) < STICKY_CELLS else int(x + 0.5)


def _place(sight: Sight, parent: Place, nodes: list[int], last: Edges) -> tuple[list[Place], int]:
    """The children of one box: sticky, in order, inside of it, without gaps; and where the last one ends (weight)."""
    starts: list[int] = []
    lefts: list[int] = []
    start, left = parent.start, parent.left
    for node in nodes:
        if lefts:  # the first child begins where its parent does
            edge = _stick(start * sight.scale, last.drawn.get(node, _NOWHERE)[0])
            left = max(left, min(edge, parent.right))
        starts.append(start)
        lefts.append(left)
        start += sight.total(node)
    if not nodes:
        return [], start
    if start == parent.start + sight.total(parent.node):
        right = parent.right
    else:
        edge = _stick(start * sight.scale, last.drawn.get(nodes[-1], _NOWHERE)[1])
        right = max(left, min(edge, parent.right))
    return [Place(*one) for one in zip(nodes, starts, lefts, [*lefts[1:], right], strict=True)], start


def _hatch(
    sight: Sight, parent: Place, places: list[Place], end_weight: int, last: Edges, edges: Edges
) -> tuple[int, int]:
    """Where children hide that are too narrow to draw: behind the drawn ones, as wide as they are together.

    end_weight: the weight left of where they end.
    """
    edge = _stick(end_weight * sight.scale, last.hatch_end.get(parent.node, -1))
    edges.hatch_end[parent.node] = end = min(edge, parent.right)
    return places[-1].right if places else parent.left, end
