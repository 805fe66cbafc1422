"""The columns of the table of functions, alone and compared. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aperture_tui.tui import figures
from aperture_tui.tui.cells import plain
from aperture_tui.tui.forms.model import FunctionLine, FunctionsView
from aperture_tui.tui.icicle.change import change, strength
from aperture_tui.tui.palette import Span
from aperture_tui.tui.widgets.placing import Column, Placed, place

Cell = Callable[[FunctionLine, FunctionsView, int], list[Span]]


def change_of(line: FunctionLine, view: FunctionsView, own: bool) -> float:
    """How much more or less a function has, as of `change.change`; 0 where nothing is compared."""
    after, was = (line.own, line.own_was) if own else (line.total, line.total_was)
    if was is None or view.base_total is None:
        return 0.0
    return change(after, was, view.whole, view.base_total, view.absolute)


def _function(line: FunctionLine, _view: FunctionsView, _width: int) -> list[Span]:
    label = line.label
    return [(plain(label.function) or label.forms[0], "text")]


def _module(line: FunctionLine, _view: FunctionsView, _width: int) -> list[Span]:
    return [(plain(line.label.module.rsplit("/", 1)[-1]) or "–", "muted")]


def _file(line: FunctionLine, _view: FunctionsView, width: int) -> list[Span]:
    label = line.label
    if not label.file:
        return [("–", "muted")]
    told = f"{plain(label.file)}{f':{label.line}' if label.line else ''}"
    return [(told if len(told) <= width else f"…{told[1 - width :]}", "muted")]


def _weight(weight: Callable[[FunctionLine], int]) -> Cell:
    return lambda line, view, _: [(_amount(weight(line), view), "text" if weight(line) else "muted")]


def _amount(weight: int, view: FunctionsView) -> str:
    return figures.amount(weight, view.unit.timed) if abs(weight) < 10**7 or view.unit.timed else figures.short(weight)


def _share(weight: Callable[[FunctionLine], int]) -> Cell:
    return lambda line, view, _: [(figures.percent(weight(line), view.whole), "text" if weight(line) else "muted")]


def _was(own: bool) -> Cell:
    def cell(line: FunctionLine, view: FunctionsView, _: int) -> list[Span]:
        was = line.own_was if own else line.total_was
        if was is None or not view.base_total:
            return [("?", "muted")]
        return [(_amount(was, view) if view.absolute else figures.percent(was, view.base_total), "muted")]

    return cell


def _now(own: bool) -> Cell:
    def cell(line: FunctionLine, view: FunctionsView, _: int) -> list[Span]:
        weight = line.own if own else line.total
        return [(_amount(weight, view) if view.absolute else figures.percent(weight, view.whole), "text")]

    return cell


def _change(own: bool) -> Cell:
    """Points of share, or weight: what is more than chance has a colour, beside its sign."""

    def cell(line: FunctionLine, view: FunctionsView, _: int) -> list[Span]:
        after, was = (line.own, line.own_was) if own else (line.total, line.total_was)
        if was is None or not view.base_total:
            return [("?", "muted")]
        if view.absolute:
            told = f"{'+' if after > was else '-' if after < was else ''}{_amount(abs(after - was), view)}"
        else:
            told = f"{100 * change_of(line, view, own):+.2f}"
        step = strength(after, was, view.whole, view.base_total, view.absolute, view.unit)
        return [(told, "error" if step > 0 else "good" if step < 0 else "muted")]

    return cell


_NAME: Final = Column("FUNCTION", "name", 0, 12, 44, _function, left=True, part=0.3)
_WHERE: Final = (
    Column("MODULE", "module", 5, 10, 24, _module, left=True),
    Column("FILE", "", 6, 14, 48, _file, left=True),
)
ALONE: Final = (
    _NAME,
    Column("SELF", "", 4, 8, 9, _weight(lambda line: line.own)),
    Column("SELF %", "self", 2, 7, 7, _share(lambda line: line.own)),
    Column("TOTAL", "", 3, 8, 9, _weight(lambda line: line.total)),
    Column("TOTAL %", "total", 1, 8, 8, _share(lambda line: line.total)),
    *_WHERE,
)
COMPARED: Final = (
    _NAME,
    Column("SELF WAS", "", 5, 8, 9, _was(own=True)),
    Column("SELF", "self", 4, 8, 9, _now(own=True)),
    Column("SELF ±", "self change", 2, 8, 9, _change(own=True)),
    Column("WAS", "", 3, 8, 9, _was(own=False)),
    Column("TOTAL", "total", 1, 8, 9, _now(own=False)),
    Column("±", "change", 1, 8, 9, _change(own=False)),
    *(column._replace(rank=column.rank + 2) for column in _WHERE),
)
SORTS: Final = ("total", "self", "change", "self change", "name", "module")
"""What `s` goes through; changes only where something is compared."""


_ALIKE: Final = {"SELF": "self", "TOTAL": "total"}
"""The orders of columns that say the same as the one that has the mark."""


def sort_of(column: Column[Any, Any]) -> str:
    """What a click on its heading sorts by, "" for nothing."""
    return column.sort or _ALIKE.get(column.title, "")


def columns(width: int, compared: bool, sort: str) -> tuple[Placed[FunctionLine, FunctionsView], ...]:
    """The columns that a width has room for."""
    return place(COMPARED if compared else ALONE, width, sort)


def order_of(line: FunctionLine, view: FunctionsView, sort: str) -> float:
    """What a row is sorted by, most first."""
    if sort == "change":
        return abs(change_of(line, view, own=False))
    if sort == "self change":
        return abs(change_of(line, view, own=True))
    return float(line.own if sort == "self" else line.total)
