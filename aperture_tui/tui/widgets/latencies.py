"""The table of calls or waits: what takes how long, what fails, what goes on right now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import fit
from aperture_tui.tui.model import Latencies, LatencyKey, LatencyLine
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.latency_columns import COLUMNS, ColumnSet, Whole, columns
from aperture_tui.tui.widgets.placing import Placed, headings, table_row

__all__ = ["SORTS", "ColumnSet", "LatencyTable", "Whole", "columns", "heading_row", "ordered"]

SORTS: Final = ("total", "calls", "errors", "p99", "max", "in flight", "name")
"""What `s` goes through. A click on its heading sorts by any other column that has an order as well."""

_OF_COUNT: Final = {"SHARE": "OF COUNT"}
"""What columns are called where the rows are sorted by how many there are."""
_NEAR: Final = 0.1
"""A row keeps the value that it is sorted by until the true one differs by this part of it."""


def heading_row(placed: Sequence[Placed[LatencyLine, Whole]], width: int, sort: str) -> Spans:
    """The names of the columns; ▼ marks what the rows are sorted by."""
    if sort == "calls":
        placed = [
            p._replace(column=p.column._replace(title=_OF_COUNT.get(p.column.title, p.column.title))) for p in placed
        ]
    return headings(placed, width, sort)


def ordered(
    lines: Sequence[LatencyLine], which: ColumnSet, sort: str, held: Mapping[LatencyKey, float]
) -> tuple[list[LatencyLine], dict[LatencyKey, float]]:
    """The rows as they stand, and the values that they are sorted by, to be given here at the next refresh.

    A row keeps its value until the true one has moved away by a tenth. So rows that are nearly equal do not change
    places at every refresh, and none stands more than that from where it should.
    """
    value = next((c.value for c in COLUMNS[which] if c.sort == sort), None)
    if value is None:
        return sorted(lines, key=lambda line: _tie(line, sort)), {}
    now = {line.key: _steady(value(line), held.get(line.key)) for line in lines}
    return sorted(lines, key=lambda line: (-now[line.key], *_tie(line, "name"))), now


def _steady(value: float, held: float | None) -> float:
    return held if held is not None and abs(value - held) <= _NEAR * abs(held) else value


def _tie(line: LatencyLine, sort: str) -> tuple[str, str, int, int, int]:
    """An order that never changes, by name or by process first."""
    key, process = line.key, line.told.process
    words = (process, key.name) if sort == "process" else (key.name, process)
    return (*words, key.value, key.pid, key.tid)


class LatencyTable(CursorTable):
    """Calls or waits, most of what is sorted by first. The selection follows the key, not the row.

    Until somebody has chosen one, the first row is selected, whichever that is; when the selected one is gone, what
    stands in its place, until it comes back.
    """

    KEYS_TITLE = "the table"
    DEFAULT_CSS = "LatencyTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "look into it", key_display="enter"),
        Binding("s", "sort", "sort"),
    ]

    class Selected(Message):
        """Another row is under the cursor."""

        def __init__(self, key: LatencyKey) -> None:
            super().__init__()
            self.key = key

    class Chosen(Message):
        """Enter or a second click: look into this row."""

        def __init__(self, key: LatencyKey) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes=classes)
        self._lines: list[LatencyLine] = []
        self._which = ColumnSet.SYSCALLS
        self._whole = Whole(0, 0, 0)
        self._sort = SORTS[0]
        self._held: dict[LatencyKey, float] = {}
        self._chosen: LatencyKey | None = None
        self._told: LatencyKey | None = None
        self._index = 0
        self._without: frozenset[str] = frozenset()

    def show(self, told: Latencies, range_ns: int, columns: ColumnSet, without: frozenset[str] = frozenset()) -> None:
        """Show these rows. range_ns: what the rates are over. without: titles of columns that would be empty."""
        if columns is not self._which:
            self._which, self._held = columns, {}
        self._whole, self._without = Whole(told.total_ns, told.total_count, range_ns), without
        self._arrange(told.lines)

    @property
    def selected(self) -> LatencyLine | None:
        """The row under the cursor."""
        return self._lines[self._index] if self._lines else None

    @property
    def sort(self) -> str:
        """What the rows are sorted by: the total where the present columns lack what was asked for."""
        return self._sort if any(c.sort == self._sort for c in COLUMNS[self._which]) else SORTS[0]

    def sort_by(self, name: str) -> None:
        """Sort by one of SORTS, or by what any other column says it is sorted by. Raises ValueError for no such."""
        if not any(name == c.sort for which in ColumnSet for c in COLUMNS[which] if c.sort):
            raise ValueError(f"no column is sorted by {name!r}")
        self._sort, self._held = name, {}
        self._arrange(self._lines)

    def _arrange(self, lines: Sequence[LatencyLine]) -> None:
        """Put in order, find the cursor's row again, draw."""
        self._lines, self._held = ordered(lines, self._which, self.sort, self._held)
        found = (i for i, line in enumerate(self._lines) if line.key == self._chosen)
        gone = 0 if self._chosen is None else max(0, min(self._index, len(self._lines) - 1))
        self._index = next(found, gone)
        self._tell()

    def _tell(self) -> None:
        key = self.selected.key if self.selected else None
        if key is not None and key != self._told:
            self.post_message(self.Selected(key))
        self._told = key
        self.draw(self._rows_now)

    def _rows_now(self) -> list[Spans]:
        width = self.size.width
        if self.size.height < 2:
            return []
        placed = self._placed(width)
        whole = self._whole._replace(by_count=self.sort == "calls", mono=self.palette.mono)
        rows = [heading_row(placed, width, self.sort)]
        for i in self.in_sight(self._index, len(self._lines)):
            rows.append(table_row(self._lines[i], placed, width, whole, i == self._index, self.has_focus))
        if not self._lines:
            rows.append(((fit(f" no {self._which.value} in view", width), "muted"),))
        return rows

    def _placed(self, width: int) -> tuple[Placed[LatencyLine, Whole], ...]:
        return columns(width, self._which, self.sort, self._without)

    def action_move(self, by: int) -> None:
        """Select another row."""
        self._choose(self._index + by)

    def _choose(self, index: int) -> None:
        if self._lines:
            self._index = max(0, min(len(self._lines) - 1, index))
            self._chosen = self._lines[self._index].key
            self._tell()

    def action_choose(self) -> None:
        """Look into the selected row."""
        if self.selected is not None:
            self.post_message(self.Chosen(self.selected.key))

    def action_sort(self) -> None:
        """Sort by the next of SORTS."""
        at = SORTS.index(self.sort) if self.sort in SORTS else -1
        self.sort_by(SORTS[(at + 1) % len(SORTS)])

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
