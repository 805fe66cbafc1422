"""From the call trees of a Store to what the screen draws of them. Of the presenter's thread; imports numpy.

A tree is reshaped once when it was fetched, and again only for another shape or form; zoom, search, order and size are
answered out of what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.closure import Ints, functions_of
from aperture_tui.profile.reshape import (
    Moved,
    Shaper,
    Tables,
    callees,
    callers,
    calls_of,
    longest,
    shares,
    used_nodes,
)
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import ROOT
from aperture_tui.store.selection import FrameSearch
from aperture_tui.tui.forms.functions import function_lines
from aperture_tui.tui.forms.model import Form, FunctionLine, FunctionsView, Which
from aperture_tui.tui.forms.orient import both_sides, flame, is_above, of_callers
from aperture_tui.tui.icicle.comparison import Compared
from aperture_tui.tui.icicle.layout import Edges, Labels, lay_out
from aperture_tui.tui.model import SAMPLES, FrameLabel, IcicleView, Path, Unit, ViewRequest

if TYPE_CHECKING:
    from aperture_tui.tui.answer import Data

_KEPT: Final = 4
"""Symbols whose labels are kept."""
_REUSED: Final = 8
"""Callers are followed further where the zoom has less than such a part of the whole."""


class Shown(NamedTuple):
    """What is drawn: an icicle without rows where it is a table."""

    icicle: IcicleView | None = None
    functions: FunctionsView | None = None


class Sides(NamedTuple):
    """The tree, and what it is compared with, over one trie. moved: how they came of others; None: they did not."""

    trees: tuple[CallTree, ...]
    moved: Moved | None = None

    def of(self, tree: CallTree) -> CallTree:
        """Another tree over the trie that these came of, as these are."""
        return tree if self.moved is None else self.moved.tree(tree)


@dataclass(frozen=True)
class _Sight:
    """What makes two pictures comparable, so that edges may stay where they were."""

    width: int
    zoom: Path
    by_weight: bool
    absolute: bool
    form: Form
    choice: ViewRequest
    lineage: int


class Pictures:
    """Makes the pictures of one store's answers. What was made of the last ones makes the next one cheaper."""

    def __init__(self) -> None:
        self._search = FrameSearch()
        self._labels: dict[int, Labels] = {}
        self._edges: dict[bool, tuple[_Sight, Edges]] = {}
        self._shaper: Shaper | None = None
        self._tables: Tables | None = None
        self._known: dict[str, tuple[tuple[CallTree, ...], Hashable, Sides]] = {}
        self._compared: dict[str, Compared] = {}
        self._lines: tuple[Hashable, tuple[CallTree, ...], tuple[tuple[FunctionLine, ...], int, int]] | None = None
        self._function: tuple[Symbols, Ints] | None = None

    def shown(self, request: ViewRequest, data: Data, unit: Unit = SAMPLES, waits: bool = False) -> Shown:
        """What a request shows of these. unit, waits: as of `IcicleView`."""
        view, table = self._pictured(request, data)
        base_total = None if data.base is None else data.base.weight
        view = replace(view, unit=unit, waits=waits, base_total=base_total)
        return Shown(view, table and replace(table, unit=unit, base_total=base_total))

    def _pictured(self, request: ViewRequest, data: Data) -> tuple[IcicleView, FunctionsView | None]:
        form = request.form
        sides = self._shaped(data, form)
        if form.function is not None:
            return self._both_sides(request, data, sides, form.function), None
        if form.which is Which.FUNCTIONS:
            return self._functions(request, data, sides)
        laid = sides
        if form.which is Which.CALLERS:
            laid = self._callers(sides, request.zoom)
        view = self._lay_out(request, data, laid, request.zoom)
        view = self._matched(view, request, sides.trees[0], laid, request.zoom)
        if form.which is Which.CALLERS:
            view = of_callers(view)
        return flame(view) if form.flame else view, None

    # -- shapes and forms

    def _shaped(self, data: Data, form: Form) -> Sides:
        """The trees that were fetched, in the shape that is wanted."""
        trees = (data.tree,) if data.base is None or not data.base.weight else (data.tree, data.base)
        if form.shape.plain:
            return Sides(trees)
        shaper = self._shaper
        source = data.tree.symbols
        if shaper is None or shaper.shape != form.shape or shaper.tables.source is not source or shaper.tables.full:
            shaper = self._shaper = Shaper(source, form.shape)
            self._known.pop("shape", None)
        made = shaper
        return self._once("shape", trees, form.shape, lambda: made.moved(trees))

    def _once(self, name: str, trees: tuple[CallTree, ...], of: Hashable, make: Callable[[], Moved]) -> Sides:
        """The trees moved, as they were before if they are the very same and `of` is equal."""
        known = self._known.get(name)
        if known is not None and known[1] == of and tuple(map(id, known[0])) == tuple(map(id, trees)):
            return known[2]
        moved = make()
        sides = Sides(tuple(map(moved.tree, trees)), moved)
        self._known[name] = trees, of, sides
        return sides

    def _tables_of(self, symbols: Symbols) -> Tables:
        """Where callers and callees are kept."""
        if self._tables is None or self._tables.source is not symbols or self._tables.full:
            self._tables = Tables(symbols)
            self._known = {name: known for name, known in self._known.items() if name == "shape"}
        return self._tables

    def _callers(self, sides: Sides, zoom: Path) -> Sides:
        """The trees of callers, fine enough for what is under the zoom."""
        trees = sides.trees
        tables = self._tables_of(trees[0].symbols)
        coarse = self._once("callers", trees, (), lambda: _callers(tables, trees))
        path = self._frames(tables, zoom)
        if not path or _is_wide(coarse, self.labels(tables.symbols), zoom):
            return coarse
        return self._once("callers zoomed", trees, zoom, lambda: _callers(tables, trees, path))

    def _frames(self, tables: Tables, zoom: Path) -> list[int]:
        """The frames of a path in tables."""
        return [tables.symbols.frame(frame_of(label)) for label in zoom]

    def _both_sides(self, request: ViewRequest, data: Data, sides: Sides, function: FrameLabel) -> IcicleView:
        """The callers of a function above it, its callees below."""
        trees = sides.trees
        tables = self._tables_of(trees[0].symbols)
        calls, first = calls_of(tables, trees, frame_of(function))
        top = (function,)
        over, under = (request.zoom[1:], ()) if is_above(request.zoom) else ((), request.zoom[1:])
        path = [first, *self._frames(tables, over)]

        def callers_now() -> Moved:
            share = shares(trees, calls, below=True)
            return callers(tables, longest(trees), calls, share, path if over else (), first, below=True)

        above = self._once("above", trees, (function, over), callers_now)
        below = self._once("below", trees, function, lambda: callees(tables, trees, calls, first))
        whole = trees[0].weight
        upper = self._lay_out(request, data, above, (*top, *over), above=True)
        lower = self._lay_out(request, data, below, (*top, *under))
        zoomed, laid = ((*top, *over), above) if over else ((*top, *under), below)
        lower = self._matched(lower, request, trees[0], laid, zoomed)
        return both_sides(upper, replace(lower, total=whole), over, under)

    def _functions(self, request: ViewRequest, data: Data, sides: Sides) -> tuple[IcicleView, FunctionsView]:
        """The table, of what is under the zoom; and an icicle without rows, for its numbers."""
        tree, labels = sides.trees[0], self.labels(sides.trees[0].symbols)
        compared = self._comparison("tree", data, sides, request.absolute)
        nodes = labels.nodes(tree.trie, request.zoom, (compared.width if compared else tree).total)
        trees = tuple(one.subtree(nodes[-1]) for one in sides.trees) if nodes else sides.trees
        wholes = [one.weight for one in sides.trees]
        key = (*map(id, sides.trees), request.zoom, request.form.least)
        if self._lines is None or self._lines[0] != key:
            function = self._functions_of(tree.symbols)
            found = function_lines(trees, labels.__getitem__, request.form.least, wholes, function)
            self._lines = key, sides.trees, found
        lines, left_out, below = self._lines[2]
        zoom = tuple(labels[tree.trie.frame.item(node)] for node in nodes)
        view = IcicleView((), request.width, wholes[0], trees[0].weight, zoom, absolute=request.absolute)
        view = self._matched(view, request, tree, sides, zoom)
        table = FunctionsView(lines, left_out, below, view.total, view.zoomed, SAMPLES, absolute=request.absolute)
        return view, table

    def _functions_of(self, symbols: Symbols) -> Ints:
        """By frame: its function, numbered when frames were added."""
        known = self._function
        if known is None or known[0] is not symbols or len(known[1]) != len(symbols.frames):
            known = self._function = symbols, functions_of(symbols)
        return known[1]

    # -- laying out

    def labels(self, symbols: Symbols) -> Labels:
        """The labels of the frames of these tables."""
        known = self._labels.pop(symbols.generation, None) or Labels(symbols)
        self._labels[symbols.generation] = known
        while len(self._labels) > _KEPT:
            del self._labels[next(iter(self._labels))]
        return known

    def _comparison(self, name: str, data: Data, sides: Sides, absolute: bool) -> Compared | None:
        """Both sides as one, until others are there; None where there is nothing to compare with."""
        if data.base is None or len(sides.trees) < 2:
            return None
        after, base = sides.trees
        known = self._compared.get(name)
        if known is None or known.after is not after or known.base is not base or known.absolute != absolute:
            wholes = data.tree.weight, data.base.weight
            known = self._compared[name] = Compared(after, base, absolute, wholes)
        return known

    def _lay_out(self, request: ViewRequest, data: Data, sides: Sides, zoom: Path, above: bool = False) -> IcicleView:
        tree, form = sides.trees[0], request.form
        compared = self._comparison("above" if above else "tree", data, sides, request.absolute)
        choice = replace(data.choice, window_s=None)
        sight = _Sight(request.width, zoom, request.by_weight, request.absolute, form, choice, tree.trie.lineage)
        known = self._edges.get(above)
        width = compared.width if compared else tree
        whole = compared.whole if compared else data.tree.weight
        view, edges = lay_out(
            width,
            self.labels(tree.symbols),
            request.width,
            zoom,
            request.by_weight,
            known[1] if known is not None and known[0] == sight else None,
            compared,
            form.by_change,
            form.least * whole / max(int(width.total[ROOT]), 1),  # that of all, also where only a part is laid out
            collapse=form.function is None,
        )
        self._edges[above] = sight, edges
        return view

    def _matched(self, view: IcicleView, request: ViewRequest, tree: CallTree, laid: Sides, zoom: Path) -> IcicleView:
        """With the weight that the search finds under the zoom. tree: what the laid ones came of."""
        if not request.search:
            return view
        frames = self._search.frames(tree.symbols, request.search)
        found = laid.of(tree.filtered(frames)) if laid.trees[0] is not tree else tree.filtered(frames)
        shown = laid.trees[0]
        nodes = self.labels(shown.symbols).nodes(shown.trie, zoom, shown.total)
        return replace(view, matching=int(found.total[nodes[-1] if nodes else 0]))


def frame_of(label: FrameLabel) -> Frame:
    """The frame that a label is of."""
    return Frame(label.function, label.module, label.file, label.line, label.kind)


def _callers(tables: Tables, trees: tuple[CallTree, ...], zoom: Sequence[int] = ()) -> Moved:
    nodes = used_nodes(trees)
    return callers(tables, longest(trees), nodes, shares(trees, nodes), zoom)


def _is_wide(sides: Sides, labels: Labels, zoom: Path) -> bool:
    """Whether what is under a zoom is so much that nothing of it was left out that could be seen."""
    tree = sides.trees[0] if len(sides.trees) == 1 else sides.trees[0].merge(sides.trees[1])
    nodes = labels.nodes(tree.trie, zoom, tree.total)
    return len(nodes) == len(zoom) and int(tree.total[nodes[-1]]) * _REUSED >= tree.weight
