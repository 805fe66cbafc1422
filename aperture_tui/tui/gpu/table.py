"""A table of what GPUs did: columns that know their cells, rows in the order of one of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Generic, NamedTuple

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import fit
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.filters import said_rows
from aperture_tui.tui.widgets.placing import Column, Placed, Row, headings, place, table_row


class Whole(NamedTuple):
    """What the rows are parts of. total_ns: of all rows. start_ns: when the window begins.

    link_bytes_s: what the link to a GPU carries, None for unknown.
    """

    total_ns: int = 0
    link_bytes_s: float | None = None
    start_ns: int = 0
    mono: bool = False


def ordered(rows: Sequence[Row], columns: Sequence[Column[Row, Whole]], sort: str) -> list[Row]:
    """The rows by one column: the largest first, or by the alphabet. Of equal ones the order is kept."""
    column = next(column for column in columns if column.sort == sort)
    if column.value is not None:
        return sorted(rows, key=lambda row: -column.value(row))  # type: ignore[misc]
    return sorted(rows, key=lambda row: "".join(text for text, _ in column.cell(row, Whole(), 200)))


class GpuTable(CursorTable, Generic[Row]):
    """The selection follows the row's key. Until somebody has chosen one, the first row is selected.

    COLUMNS: from left to right. SORTS: what `s` goes through, the first at the beginning.
    """

    COLUMNS: ClassVar[Sequence[Column]] = ()  # type: ignore[type-arg]
    SORTS: ClassVar[Sequence[str]] = ()
    KEYS_TITLE = "the table"
    DEFAULT_CSS = "GpuTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "look into it", key_display="enter"),
        Binding("s", "sort", "sort"),
    ]

    class Selected(Message):
        """Another row is under the cursor."""

    class Chosen(Message):
        """Enter or a second click: look into the selected row."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._lines: list[Row] = []
        self._whole = Whole()
        self._said: Sequence[Span] = ()
        self._note = ""
        self._chosen: Hashable = None
        self._index = 0
        self.sort = self.SORTS[0]

    def key_of(self, row: Row) -> Hashable:
        """What tells a row apart, from one answer to the next."""
        raise NotImplementedError

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._lines[self._index] if self._lines else None

    def show(self, rows: Sequence[Row], whole: Whole, said: Sequence[Span] = (), note: str = "") -> None:
        """Show these rows. said: what to say where there are none. note: what stands below them, "" for nothing."""
        self._whole, self._said, self._note = whole, said, note
        self._arrange(rows)

    def sort_by(self, name: str) -> None:
        """Sort by what a column says it is sorted by."""
        self.sort = name
        self._arrange(self._lines)

    def _arrange(self, rows: Sequence[Row]) -> None:
        self._lines = ordered(rows, self.COLUMNS, self.sort)
        found = (i for i, row in enumerate(self._lines) if self.key_of(row) == self._chosen)
        gone = 0 if self._chosen is None else max(0, min(self._index, len(self._lines) - 1))
        self._index = next(found, gone)
        self.draw(self._rows_now)
        self.post_message(self.Selected())

    def _rows_now(self) -> list[Spans]:
        width = self.size.width
        if not self._lines:
            return said_rows(self._said, width)[: self.size.height]
        if self.size.height < 2:
            return []
        placed = self._placed(width)
        whole = self._whole._replace(mono=self.palette.mono)
        rows = [headings(placed, width, self.sort)]
        for i in self.in_sight(self._index, len(self._lines)):
            rows.append(table_row(self._lines[i], placed, width, whole, i == self._index, self.has_focus))
        return [*rows, ((fit(f" {self._note}", width), "warning"),)] if self._has_note else rows

    @property
    def _has_note(self) -> bool:
        return bool(self._note) and self.size.height > 3

    def in_sight(self, index: int, count: int) -> range:
        """The last line is the note's."""
        shown = super().in_sight(index, count)
        if not self._has_note or len(shown) < self.size.height - 1:
            return shown
        self._top += index == shown[-1]
        return range(self._top, self._top + len(shown) - 1)

    def _placed(self, width: int) -> tuple[Placed[Row, Whole], ...]:
        return place(self.COLUMNS, width, self.sort)

    # -- keys

    def action_move(self, by: int) -> None:
        """Select another row."""
        self._choose(self._index + by)

    def _choose(self, index: int) -> None:
        if self._lines:
            self._index = max(0, min(len(self._lines) - 1, index))
            self._chosen = self.key_of(self._lines[self._index])
            self.redraw()
            self.post_message(self.Selected())

    def action_choose(self) -> None:
        """Look into the selected row."""
        if self._lines:
            self.post_message(self.Chosen())

    def action_sort(self) -> None:
        """Sort by the next of SORTS."""
        at = self.SORTS.index(self.sort) if self.sort in self.SORTS else -1
        self.sort_by(self.SORTS[(at + 1) % len(self.SORTS)])

    def on_click(self, event: Click) -> None:
        """Select, a second click chooses; on a heading, sort by it."""
        index = self._top + event.y - 1
        if event.y == 0:
            here = (p for p in self._placed(self.size.width) if p.at <= event.x < p.at + p.width)
            sort = next((p.column.sort for p in here), "")
            if sort:
                self.sort_by(sort)
        elif index < len(self._lines):
            self._choose(index)
            if event.chain == 2:
                self.action_choose()
