"""The icicle on the screen: shows a view, takes keys and the mouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.message import Message

from aperture_tui.tui.cells import wrapped
from aperture_tui.tui.icicle import navigate
from aperture_tui.tui.icicle.change import step
from aperture_tui.tui.icicle.navigate import Place
from aperture_tui.tui.icicle.render import icicle_row
from aperture_tui.tui.model import Box, IcicleView, Path
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.search import Search
from aperture_tui.tui.widgets.rows import RowsView


class Icicle(RowsView, can_focus=True):
    """A call tree from the root downwards, or upwards, or both ways from one function.

    The selection is a path of frames: it survives every refresh. What grows upwards stands at the bottom, and stays
    there while rows come and go above it.
    """

    SCROLLS = True
    KEYS_TITLE = "the icicle"
    DEFAULT_CSS = "Icicle { height: 1fr; width: 1fr; overflow-y: auto; scrollbar-size: 0 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "frame above", show=False),
        Binding("down,j", "move(1, 0)", "frame below", show=False),
        Binding("left,h", "move(0, -1)", "frame to the left", show=False),
        Binding("right,l", "move(0, 1)", "frame to the right", show=False),
        Binding("enter", "zoom", "zoom", key_display="enter"),
        Binding("escape,backspace", "out", "out"),
        Binding("home", "top", "everything", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("n", "match(1)", "next match", show=False),
        Binding("N", "match(-1)", "previous match", show=False),
    ]

    class Zoom(Message):
        """Look at this path alone."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Out(Message):
        """One step back."""

    class Resized(Message):
        """Boxes for another width are needed."""

    def __init__(self, selected: Callable[[], None]) -> None:
        """selected: called when another frame is selected, or the selected one has new numbers.

        A call and not a message: what is said of the frame shall be painted together with it, not one frame later.
        """
        super().__init__(id="icicle")
        self._tell_selected = selected
        self._view: IcicleView | None = None
        self._search: Search | None = None
        self._selected: Path = ()
        self._touched = False  # a cursor on the whole says nothing until somebody moves it
        self._place: Place | None = None

    @property
    def view(self) -> IcicleView | None:
        """What is shown; None while it is words."""
        return self._view

    @property
    def selection(self) -> Path:
        """The path that was selected last, whether or not it is in view now."""
        return self._selected

    @property
    def selected_box(self) -> Box | None:
        """The box under the cursor."""
        return None if self._view is None or self._place is None else navigate.box_at(self._view, self._place)

    @property
    def selected_parent(self) -> Box | None:
        """The box above that."""
        if self._view is None or self._place is None:
            return None
        above = navigate.parent_of(self._view, self._place)
        return None if above is None else navigate.box_at(self._view, above)

    @property
    def rows_below(self) -> int:
        """Rows that are out of sight below the last line, or less those above, of what grows upwards."""
        if self._grows_up:
            return -int(self.scroll_offset.y)
        return max(0, len(self.shown_rows) - int(self.scroll_offset.y) - self.size.height)

    @property
    def _grows_up(self) -> bool:
        """Whether the first frame is the lowest."""
        return self._view is not None and 0 < self._view.flip == len(self._view.rows)

    @property
    def _pad(self) -> int:
        """Empty lines above a picture that stands at the bottom."""
        return max(0, self.size.height - len(self._view.rows)) if self._view is not None and self._grows_up else 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say anew what lies below."""
        super().watch_scroll_y(old_value, new_value)
        self._tell_selected()

    def show(self, view: IcicleView, search: Search | None) -> None:
        """Show a view; the selection stays on its path, or on the nearest frame above it."""
        before = self._view
        elsewhere = before is None or before.zoom != view.zoom or bool(before.flip) != bool(view.flip)
        self._view, self._search = view, search
        self._place = navigate.locate(view, self._selected)
        self.draw(self._rows_now)
        if elsewhere:
            self._scroll_home()
            if self._place is not None:
                self._scroll_into_view(self._place.row)
        elif before is not None and before.flip != view.flip:
            self.scroll_to(y=self.scroll_offset.y + view.flip - before.flip, animate=False, immediate=True, force=True)
        self._tell_selected()

    def _scroll_home(self) -> None:
        """To the first frame: at the top, at the bottom, or in the middle between callers and callees."""
        view, height = self._view, self.size.height
        if view is None or not view.flip:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)
        else:
            y = len(view.rows) - height if self._grows_up else view.flip - height // 2
            self.scroll_to(y=max(0, y), animate=False, immediate=True, force=True)

    def on_resize(self, _event: Resize) -> None:
        """Other boxes, and another number of rows out of sight."""
        if self._view is not None and self._view.flip:  # what stands at the bottom or in the middle stays there
            self.redraw()
            self._scroll_home()
            if self._place is not None:
                self._scroll_into_view(self._place.row)
        self.post_message(self.Resized())
        self._tell_selected()

    def say(self, lines: Sequence[tuple[str, str]]) -> None:
        """Words in place of a picture: (text, style key) of each line, wrapped."""
        self._view = self._place = None
        self.draw(lambda: [(), *_said(lines, max(1, self.size.width - 4))])
        self._tell_selected()

    def select(self, path: Path) -> None:
        """Select a frame, as another screen had it."""
        self._selected = path
        if self._view is not None:
            self._go(navigate.locate(self._view, path), keep=True)

    def highlight(self, search: Search | None) -> None:
        """Mark what matches, at once, before the numbers come."""
        self._search = search
        self.redraw()

    def _row(self, y: int) -> Spans:
        assert self._view is not None  # noqa: S101 (callers have looked)
        at = self._place if self._touched else None
        selected = at.box if at is not None and at.row == y else None
        hits = self._search.hits if self._search else None
        view = self._view
        change = None if view.base_total is None else partial(step, view=view)
        marks = self.palette.marks
        return icicle_row(view.rows[y], self.size.width, selected, hits, self.palette.mono, view.waits, change, marks)

    def _rows_now(self) -> list[Spans]:
        if self._view is None:
            return []
        return [((" " * self.size.width, "text"),)] * self._pad + [self._row(y) for y in range(len(self._view.rows))]

    def _go(self, place: Place | None, keep: bool = False) -> None:
        """Select a place; keep: the path stays what it was."""
        if self._view is None or place is None:
            return
        before, self._place = self._place, place
        self._touched = self._touched or not keep or bool(self._selected)
        if not keep:
            self._selected = navigate.path_of(self._view, place)
        for y in {place.row} | ({before.row} if before is not None else set()):
            if y + self._pad < len(self.shown_rows):  # nothing is drawn while it is hidden
                self.show_row(y + self._pad, self._row(y))
        self._scroll_into_view(place.row)
        self._tell_selected()

    def _scroll_into_view(self, y: int) -> None:
        top, height = self.scroll_offset.y, self.size.height
        y += self._pad
        if y < top:
            self.scroll_to(y=y, animate=False, immediate=True, force=True)
        elif y >= top + height:
            self.scroll_to(y=y - height + 1, animate=False, immediate=True, force=True)

    def action_move(self, down: int, across: int) -> None:
        """Walk to a neighbour."""
        if self._view is not None and self._place is not None:
            self._go(navigate.move(self._view, self._place, down, across))

    def action_page(self, pages: int) -> None:
        """Scroll by a page."""
        self.scroll_to(
            y=self.scroll_offset.y + pages * max(1, self.size.height - 1), animate=False, immediate=True, force=True
        )

    def action_top(self) -> None:
        """Select the first frame and scroll to it."""
        if self._view is not None and self._place is not None:
            self._go(Place(self._view.first, 0))
            self._scroll_home()

    def action_zoom(self) -> None:
        """Give the selected frame the full width."""
        if self._view is not None and self._place is not None:
            self.post_message(self.Zoom(navigate.path_of(self._view, self._place)))

    def action_out(self) -> None:
        """One step back."""
        self.post_message(self.Out())

    def action_match(self, step: int) -> None:
        """Select the next frame that matches the search."""
        if self._view is not None and self._search is not None:
            self._go(navigate.next_match(self._view, self._place, self._search.hits, step))

    def on_click(self, event: Click) -> None:
        """Select; a second click zooms. The row of collapsed callers leads out."""
        if self._view is None:
            return
        y = event.y + self.scroll_offset.y - self._pad
        if 0 <= y < len(self._view.rows) and self._view.rows[y].note:
            self.action_out()
            return
        place = navigate.hit(self._view, event.x, y)
        if place is not None:
            self._go(place)
            if event.chain == 2:
                self.action_zoom()


def _said(lines: Sequence[tuple[str, str]], width: int) -> list[Spans]:
    return [((f"  {line}", key),) for text, key in lines for line in wrapped(text, width)]
