"""The timeline on the screen: shows it, takes keys and the mouse."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Blur, Click, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.message import Message

from aperture_tui.tui.density.model import Grid
from aperture_tui.tui.density.render import LABEL, TimelineFacts, chosen_facts, timeline_rows
from aperture_tui.tui.widgets.rows import RowsView

_END: Final = 1_000_000
"""More columns than there are."""


class Timeline(RowsView):
    """How many events there were, over time. Its cursor is a moment, and stays there while columns move on.

    It has the focus only when it is asked for (`T`): Tab goes on between the other parts.
    """

    KEYS_TITLE = "the timeline above"
    DEFAULT_CSS = "Timeline { height: 1; display: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "cursor(-1)", "earlier", show=False),
        Binding("right,l", "cursor(1)", "later", show=False),
        Binding("shift+left", "cursor(-1, True)", "choose earlier", show=False, id="timeline.range.earlier"),
        Binding("shift+right", "cursor(1, True)", "choose later", show=False, id="timeline.range.later"),
        Binding("home", f"cursor(-{_END})", "left end", show=False),
        Binding("end", f"cursor({_END})", "right end", show=False),
        Binding(
            "shift+home", f"cursor(-{_END}, True)", "choose to the left end", show=False, id="timeline.range.first"
        ),
        Binding("shift+end", f"cursor({_END}, True)", "choose to the right end", show=False, id="timeline.range.last"),
        Binding("up,k", "zoom(-1)", "a shorter timeline", show=False),
        Binding("down,j", "zoom(1)", "a longer timeline", show=False),
        Binding("pageup", "window(-1)", "a window earlier", show=False),
        Binding("pagedown", "window(1)", "a window later", show=False),
        Binding("enter", "choose", "look at this", key_display="enter"),
        Binding("escape,backspace", "give_up", "give it up"),
    ]

    class Chosen(Message):
        """A range was chosen, or a moment, both half-open, Unix nanoseconds. is_range: it is a range."""

        def __init__(self, start_ns: int, end_ns: int, is_range: bool) -> None:
            super().__init__()
            self.start_ns, self.end_ns, self.is_range = start_ns, end_ns, is_range

    class Stepped(Message):
        """So many nanoseconds later, or earlier. by_windows: so many windows instead."""

        def __init__(self, by_ns: int = 0, by_windows: int = 0) -> None:
            super().__init__()
            self.by_ns, self.by_windows = by_ns, by_windows

    class Zoomed(Message):
        """The next longer (1) or shorter (-1) timeline, or (0) the same elsewhere, about a moment."""

        def __init__(self, step: int, about_ns: int) -> None:
            super().__init__()
            self.step, self.about_ns = step, about_ns

    class Moved(Message):
        """Something else is under the cursor."""

    class Left(Message):
        """Nobody points at anything any more."""

    def __init__(self) -> None:
        super().__init__(id="timeline")
        self._facts = TimelineFacts()
        self._held = False
        """Whether the mouse holds it."""

    @property
    def facts(self) -> TimelineFacts:
        """What it says now."""
        return self._facts

    @property
    def chosen_words(self) -> list[str]:
        """What is said of the column under the cursor, or of the range that is being chosen."""
        return chosen_facts(self._facts)

    def show(self, facts: TimelineFacts) -> None:
        """Say this. The cursor stays where it is."""
        self._say(replace(facts, cursor_ns=self._facts.cursor_ns, anchor_ns=self._facts.anchor_ns))

    def _say(self, facts: TimelineFacts) -> None:
        self._facts = facts
        self.draw(lambda: timeline_rows(self._facts, self.size.width, self.size.height, not self.palette.rich))

    # -- the cursor

    @property
    def _grid(self) -> Grid | None:
        density = self._facts.density
        return density.grid if density is not None and density.weights else None

    def point(self) -> None:
        """Begin, at the end of the window."""
        self.can_focus = True
        self.focus()
        self._point(self._facts.end_ns - 1)

    def _point(self, at_ns: int | None, anchor_ns: int | None = None) -> None:
        self._say(replace(self._facts, cursor_ns=at_ns, anchor_ns=anchor_ns))
        self.post_message(self.Moved())

    def on_blur(self, _event: Blur) -> None:
        """Whoever goes elsewhere has chosen nothing."""
        self.can_focus = False
        self._point(None)
        self.post_message(self.Left())

    def action_cursor(self, by: int, choose: bool = False) -> None:
        """So many columns later, or earlier; choose: as the end of a range."""
        grid, at = self._grid, self._facts.cursor_ns
        if grid is None or at is None:
            return
        column = (at - grid.start_ns) // grid.bucket_ns
        to = column + by if abs(by) < _END else (0 if by < 0 else grid.columns - 1)
        held = self._facts.held
        to_ns = max(held.start_ns // grid.bucket_ns * grid.bucket_ns, min(grid.begin_of(to), held.end_ns))
        anchor = self._facts.anchor_ns
        if choose and anchor is None:
            anchor = grid.begin_of(column)
        self._point(to_ns, anchor if choose else None)
        if not grid.start_ns <= to_ns < grid.end_ns:
            self.post_message(self.Zoomed(0, to_ns))

    def action_zoom(self, step: int) -> None:
        """A shorter or a longer timeline, about the cursor."""
        if self._facts.cursor_ns is not None:
            self.post_message(self.Zoomed(step, self._facts.cursor_ns))

    def action_window(self, step: int) -> None:
        """A whole window later, or earlier."""
        self.post_message(self.Stepped(by_windows=step))

    def action_choose(self) -> None:
        """Look at the range that was chosen, or at the window that ends under the cursor."""
        if (chosen := self._facts.chosen) is not None:
            self.post_message(self.Chosen(*chosen, is_range=self._facts.anchor_ns is not None))

    def action_give_up(self) -> None:
        """The range first, then the timeline."""
        if self._facts.anchor_ns is not None:
            self._point(self._facts.cursor_ns)
        else:
            self.post_message(self.Left())

    # -- the mouse

    def _moment(self, x: int) -> int | None:
        grid = self._grid
        return None if grid is None else grid.begin_of(max(0, min(grid.columns - 1, x - LABEL)))

    def on_mouse_down(self, event: MouseDown) -> None:
        """Hold on to a moment."""
        at = self._moment(event.x)
        on_a_column = self._grid is not None and 0 <= event.x - LABEL < self._grid.columns
        if event.button == 1 and at is not None and on_a_column:
            self._held = True
            self.capture_mouse()
            self._point(at)

    def on_mouse_move(self, event: MouseMove) -> None:
        """From there to here."""
        at, grid, begun = self._moment(event.x), self._grid, self._facts.cursor_ns
        if not self._held or at is None or grid is None or begun is None:
            return
        anchor = self._facts.anchor_ns
        if anchor is not None or at // grid.bucket_ns != begun // grid.bucket_ns:
            self._point(at, begun if anchor is None else anchor)

    def on_mouse_up(self, _event: MouseUp) -> None:
        """Look at it."""
        if not self._held:
            return
        self._held = False
        self.release_mouse()
        self.action_choose()
        if not self.has_focus:
            self._point(None)

    def on_click(self, event: Click) -> None:
        """What pressing and letting go has done already."""
        event.stop()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """A column earlier."""
        event.stop()
        self._step(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """A column later."""
        event.stop()
        self._step(1)

    def _step(self, columns: int) -> None:
        if (grid := self._grid) is not None:
            self.post_message(self.Stepped(columns * grid.bucket_ns))
