"""The base of the tables: a cursor that is moved by keys and wheel, and stays in sight."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from aperture_tui.tui.widgets.rows import RowsView


class CursorTable(RowsView, can_focus=True):
    """A heading and rows below it, one of them under the cursor. Subclasses know the rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("home", "move(-100000)", "first", show=False),
        Binding("end", "move(100000)", "last", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
    ]

    _top = 0

    def action_move(self, by: int) -> None:
        """Put the cursor so many rows further down."""
        raise NotImplementedError

    def in_sight(self, index: int, count: int) -> range:
        """The rows that are shown, so that this one is among them, and no more have moved than must."""
        room = max(0, self.size.height - 1)
        self._top = max(min(self._top, index, max(0, count - room)), index - room + 1, 0)
        return range(self._top, min(self._top + room, count))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the cursor, or hide it: the events for that come before it is so."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def action_page(self, pages: int) -> None:
        """A page up or down."""
        self.action_move(pages * max(1, self.size.height - 2))

    def on_mouse_scroll_down(self) -> None:
        """A row further down."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """A row further up."""
        self.action_move(-1)
