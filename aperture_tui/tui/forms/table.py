"""The table of functions: what each has by itself and with all that it calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import fit
from aperture_tui.tui.forms.columns import SORTS, columns, order_of, sort_of
from aperture_tui.tui.forms.model import SHOWN, FunctionLine, FunctionsView
from aperture_tui.tui.model import FrameLabel
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.search import Search
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.placing import Placed, headings, table_row

_TEXTS: Final = {"name": "function", "module": "module"}

Key = tuple[object, ...]


class FunctionTable(CursorTable):
    """Functions, most of what is sorted by first. The selection follows the function, not the row."""

    KEYS_TITLE = "the table of functions"
    DEFAULT_CSS = "FunctionTable { height: 1fr; width: 1fr; display: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "callers and callees", key_display="enter"),
        Binding("s", "sort", "sort"),
    ]

    class Chosen(Message):
        """Enter or a second click: both sides of this function."""

        def __init__(self, label: FrameLabel) -> None:
            super().__init__()
            self.label = label

    def __init__(self, selected: Callable[[], None]) -> None:
        """selected: called when another row is selected, or the selected one has new numbers."""
        super().__init__(id="functions")
        self._tell_selected = selected
        self._view: FunctionsView | None = None
        self._every: list[FunctionLine] = []
        self._lines: list[FunctionLine] = []
        self._hidden = 0
        self._sort = SORTS[0]
        self._chosen: Key | None = None
        self._index = 0

    @property
    def view(self) -> FunctionsView | None:
        """What is shown."""
        return self._view

    @property
    def selected(self) -> FunctionLine | None:
        """The row under the cursor."""
        return self._lines[self._index] if self._lines else None

    @property
    def sort(self) -> str:
        """What the rows are sorted by: the total where what was chosen is not there."""
        return self._sort if self._sort in self._sorts else SORTS[0]

    @property
    def _sorts(self) -> tuple[str, ...]:
        compared = self._view is not None and self._view.base_total is not None
        return tuple(sort for sort in SORTS if compared or "change" not in sort)

    def show(self, view: FunctionsView, search: Search | None) -> None:
        """Show these; those that match the search, or all where none does."""
        self._view = view
        found = [line for line in view.lines if search is not None and search.hits(line.label)]
        self._every = found or list(view.lines)
        self._arrange()

    def _arrange(self) -> None:
        """Put in order, find the cursor's row again, draw."""
        lines, view, sort = self._every, self._view, self.sort
        if view is None:
            return
        if sort in _TEXTS:
            order = sorted(lines, key=lambda line: (getattr(line.label, _TEXTS[sort]), _tie(line)))
        else:
            order = sorted(lines, key=lambda line: (-order_of(line, view, sort), _tie(line)))
        self._lines = order[:SHOWN]
        self._hidden = view.left_out + len(view.lines) - len(self._lines)
        found = (i for i, line in enumerate(self._lines) if line.key == self._chosen)
        gone = 0 if self._chosen is None else max(0, min(self._index, len(self._lines) - 1))
        self._index = next(found, gone)
        self.draw(self._rows_now)
        self._tell_selected()

    def _rows_now(self) -> list[Spans]:
        width, view = self.size.width, self._view
        if self.size.height < 2 or view is None:
            return []
        placed = self._placed(width)
        more = _left_out(self._hidden, view.below)
        rows = [headings(placed, width, self.sort)]
        sight = self.in_sight(self._index, len(self._lines))
        for i in sight:
            rows.append(table_row(self._lines[i], placed, width, view, i == self._index, self.has_focus))
        if not self._lines:
            rows.append(((fit(" no function in view", width), "muted"),))
        if more and self.size.height > 2:
            rows.append(((fit(f" {more}", width), "muted"),))
        return rows

    def in_sight(self, index: int, count: int) -> range:
        """As of every table, less the line that says how many more there are."""
        view = self._view
        if view is None or not self._hidden or self.size.height <= 2:
            return super().in_sight(index, count)
        room = max(1, self.size.height - 2)
        self._top = max(min(self._top, index, max(0, count - room)), index - room + 1, 0)
        return range(self._top, min(self._top + room, count))

    def _placed(self, width: int) -> tuple[Placed[FunctionLine, FunctionsView], ...]:
        compared = self._view is not None and self._view.base_total is not None
        return columns(width, compared, self.sort)

    def action_move(self, by: int) -> None:
        """Select another row."""
        self._choose(self._index + by)

    def _choose(self, index: int) -> None:
        if self._lines:
            self._index = max(0, min(len(self._lines) - 1, index))
            self._chosen = self._lines[self._index].key
            self.redraw()
            self._tell_selected()

    def action_choose(self) -> None:
        """Look at both sides of the selected function."""
        if self.selected is not None:
            self.post_message(self.Chosen(self.selected.label))

    def action_sort(self) -> None:
        """Sort by the next of SORTS."""
        sorts = self._sorts
        self.sort_by(sorts[(sorts.index(self.sort) + 1) % len(sorts)])

    def sort_by(self, name: str) -> None:
        """Sort by one of SORTS."""
        self._sort = name
        self._arrange()

    def on_click(self, event: Click) -> None:
        """Select, a second click chooses; on a heading, sort by it."""
        index = self._top + event.y - 1
        if event.y == 0:
            here = (p for p in self._placed(self.size.width) if p.at <= event.x < p.at + p.width)
            if sort := next((sort_of(p.column) for p in here), ""):
                self.sort_by(sort)
        elif index < len(self._lines):
            self._choose(index)
            if event.chain == 2:
                self.action_choose()


def _tie(line: FunctionLine) -> tuple[str, str, str, int]:
    label = line.label
    return label.function, label.module, label.file, label.kind


def _left_out(hidden: int, below: int) -> str:
    """ "1,234 more functions, 1,000 of them under the threshold"; "" for none."""
    if not hidden:
        return ""
    more = f"{hidden:,} more function{'' if hidden == 1 else 's'}"
    return f"{more}, {below:,} of them under the threshold" if below else more
