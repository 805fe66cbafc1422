"""The list of filters, in the order in which they work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import wrapped
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.filter_columns import SWITCH, FilterLine, placed
from aperture_tui.tui.widgets.placing import headings, table_row


def said_rows(said: Sequence[Span], width: int) -> list[Spans]:
    """Words in place of the list, wrapped."""
    return [((f" {line}", key),) for text, key in said for line in wrapped(text, max(1, width - 2))]


class FilterTable(CursorTable):
    """One row a filter. The selection follows the name."""

    KEYS_TITLE = "the list of filters"
    DEFAULT_CSS = "FilterTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "details", key_display="enter"),
    ]

    class Selected(Message):
        """Another row is under the cursor."""

    class Chosen(Message):
        """Enter or a second click: read of this one."""

    class Switched(Message):
        """A click at its switch."""

    def __init__(self) -> None:
        super().__init__(id="filters")
        self._lines: Sequence[FilterLine] = ()
        self._words: Sequence[Span] = ()
        self._index = 0

    def show(self, lines: Sequence[FilterLine]) -> None:
        """Show these."""
        self._lines = lines
        self._index = max(0, min(self._index, len(lines) - 1))
        self.draw(self._rows_now)

    def say(self, words: Sequence[Span]) -> None:
        """Show words in their place: (text, style key) of each line."""
        self._lines, self._words = (), words
        self.draw(self._rows_now)

    @property
    def selected(self) -> FilterLine | None:
        """The row under the cursor."""
        return self._lines[self._index] if self._lines else None

    def _rows_now(self) -> list[Spans]:
        width = self.size.width
        if not self._lines:
            return said_rows(self._words, width)
        columns = placed(width)
        rows = [headings(columns, width, "")]
        for i in self.in_sight(self._index, len(self._lines)):
            rows.append(table_row(self._lines[i], columns, width, None, i == self._index, self.has_focus))
        return rows[: self.size.height]

    # -- keys

    def action_move(self, by: int) -> None:
        """Select another row."""
        index = max(0, min(len(self._lines) - 1, self._index + by))
        if index != self._index:
            self._index = index
            self.redraw()
            self.post_message(self.Selected())

    def action_choose(self) -> None:
        """Read of it."""
        if self._lines:
            self.post_message(self.Chosen())

    def on_click(self, event: Click) -> None:
        """Select; at its switch, switch it; a second click reads."""
        index = self._top + event.y - 1
        if event.y < 1 or index >= len(self._lines):
            return
        self.action_move(index - self._index)
        switch = next((p for p in placed(self.size.width) if p.column.title == SWITCH), None)
        if switch is not None and switch.at <= event.x < switch.at + switch.width:
            self.post_message(self.Switched())
        elif event.chain == 2:
            self.action_choose()
