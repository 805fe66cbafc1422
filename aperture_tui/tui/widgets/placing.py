"""Columns of the tables on the screens: which a width has room for, and where each stands. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.histogram import exactly

Row = TypeVar("Row")
Of = TypeVar("Of")


class Column(NamedTuple, Generic[Row, Of]):
    """One column. sort: the name of its order, "" if it has none. rank: the highest give way first.

    least, most: cells; part: of the width, what it has at least. cell: what stands there of a row, of what all rows are
    parts of, in so many cells; a single text is aligned. value: what it is sorted by, most first; None: text.
    """

    title: str
    sort: str
    rank: int
    least: int
    most: int
    cell: Callable[[Row, Of, int], list[Span]]
    value: Callable[[Row], float] | None = None
    left: bool = False
    part: float = 0.0


class Placed(NamedTuple, Generic[Row, Of]):
    """A column where it stands: its first cell, and how many it has."""

    column: Column[Row, Of]
    at: int
    width: int


def place(every: Sequence[Column[Row, Of]], width: int, sort: str) -> tuple[Placed[Row, Of], ...]:
    """The columns that a width has room for; the one that is sorted by stays as long as any but the first by rank.

    What is left over goes to those that gain by it, the most important first.
    """
    least = {column.title: max(column.least, int(width * column.part)) for column in every}
    by_rank = sorted(every, key=lambda c: 0.5 if sort and c.sort == sort and c.rank else c.rank)
    room = width - 1
    widths: dict[str, int] = {by_rank[0].title: max(1, min(least[by_rank[0].title], room))}
    room -= least[by_rank[0].title]
    for column in by_rank[1:]:
        if least[column.title] < room:
            widths[column.title] = least[column.title]
            room -= least[column.title] + 1
    for column in by_rank:
        if column.title in widths and room > 0:
            more = max(0, min(room, column.most - widths[column.title]))
            widths[column.title] += more
            room -= more
    placed: list[Placed[Row, Of]] = []
    at = 1
    for column in every:
        if column.title in widths:
            placed.append(Placed(column, at, widths[column.title]))
            at += widths[column.title] + 1
    return tuple(placed)


def headings(placed: Sequence[Placed[Any, Any]], width: int, sort: str) -> Spans:
    """The names of the columns; ▼ marks what the rows are sorted by."""
    spans: list[Span] = [(" ", "muted")]
    for i, (column, _, cells) in enumerate(placed):
        mark = "▼" if column.sort and column.sort == sort else ""
        if i:
            spans.append((" ", "muted"))
        title = column.title
        text = f"{fit(title, min(len(title), cells - len(mark)))}{mark}"
        spans.append((aligned(text, cells, column.left), "accent" if mark else "muted"))
    return exactly(spans, width, "muted")


def aligned(text: str, cells: int, left: bool) -> str:
    """Exactly so many cells of a text."""
    free = cells - width_of(text)
    return fit(text, cells) if left or free <= 0 else " " * free + plain(text)


def table_row(
    row: Row, placed: Sequence[Placed[Row, Of]], width: int, whole: Of, selected: bool = False, focused: bool = False
) -> Spans:
    """One row of a table, exactly `width` cells. whole: what the rows are parts of."""
    ground = "@cursor" if selected and focused else ""
    spans: list[Span] = [("›" if selected else " ", f"text{ground}")]
    for i, (column, _, cells) in enumerate(placed):
        if i:
            spans.append((" ", f"text{ground}"))
        found = column.cell(row, whole, cells)
        if len(found) == 1:
            text, key = found[0]
            strong = "*" if selected and key == "text" else ""
            found = [(aligned(text, cells, column.left), f"{strong}{key}")]
        spans += [(text, f"{key}{ground}") for text, key in found]
    return exactly(spans, width, f"text{ground}")
