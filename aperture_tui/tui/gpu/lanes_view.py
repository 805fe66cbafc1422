"""The lanes on the screen: shows them, takes keys and the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Click, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.message import Message

from aperture_tui.tui.gpu.lane_rows import Cursor, column_of, label_width, lanes_rows, moment_of, plot_width
from aperture_tui.tui.gpu.model import Engine, LaneKey, Lanes
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.filters import said_rows
from aperture_tui.tui.widgets.rows import RowsView

_STEP: Final = 2.0
_LEAP: Final = 4.0


class LanesView(RowsView, can_focus=True):
    """What each stream of each GPU did, in time. The cursor stays at its moment and in its lane."""

    KEYS_TITLE = "the timeline"
    DEFAULT_CSS = "LanesView { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "lane(-1)", "lane above", show=False),
        Binding("down,j", "lane(1)", "lane below", show=False),
        Binding("left,h", "column(-1)", "earlier", show=False),
        Binding("right,l", "column(1)", "later", show=False),
        Binding("home", "column(-100000)", "left end", show=False),
        Binding("end", "column(100000)", "right end", show=False),
        Binding("n", "next(1)", "what begins next", show=False),
        Binding("N", "next(-1)", "what began before", show=False),
        Binding("enter", "closer", "closer", key_display="enter"),
        Binding("escape,backspace", "farther", "out"),
    ]

    class Zoomed(Message):
        """So many times closer (below 1: farther), about a moment, Unix nanoseconds."""

        def __init__(self, factor: float, about_ns: int) -> None:
            super().__init__()
            self.factor = factor
            self.about_ns = about_ns

    class Panned(Message):
        """So many columns of the stretch later, or earlier."""

        def __init__(self, columns: int) -> None:
            super().__init__()
            self.columns = columns

    class Out(Message):
        """One step back: if the lanes show a stretch, so many times farther about a moment, Unix nanoseconds."""

        def __init__(self, factor: float, about_ns: int) -> None:
            super().__init__()
            self.factor = factor
            self.about_ns = about_ns

    class Moved(Message):
        """Something else is under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="lanes")
        self._lanes = Lanes()
        self._said: Sequence[Span] = ()
        self._lane: LaneKey | None = None
        self._at_ns = 0
        """Where the cursor was put; 0: nobody has, and it is in the middle."""
        self._top = 0
        self._held: int | None = None
        """Where the mouse holds the lanes: a column."""

    @property
    def lanes(self) -> Lanes:
        """What is shown."""
        return self._lanes

    @property
    def cursor(self) -> Cursor:
        """Where it is now."""
        rows = [lane.key for lane in self._lanes.lanes]
        row = rows.index(self._lane) if self._lane in rows else 0
        columns = self._shown_columns
        return Cursor(row, column_of(self._at_ns, self._lanes.stretch, columns) if self._at_ns else columns // 2)

    @property
    def moment_ns(self) -> int:
        """The moment under the cursor."""
        stretch = self._lanes.stretch
        inside = stretch.start_ns <= self._at_ns < stretch.end_ns
        return self._at_ns if inside else moment_of(self.cursor.column, stretch, self._shown_columns)

    @property
    def _shown_columns(self) -> int:
        return len(self._lanes.lanes[0].busy) if self._lanes.lanes else plot_width(self.size.width)

    def show(self, lanes: Lanes) -> None:
        """Show these."""
        self._lanes, self._said = lanes, ()
        self.draw(self._rows_now)

    def say(self, words: Sequence[Span]) -> None:
        """Words in place of the lanes: (text, style key) of each line."""
        self._lanes, self._said = Lanes(), words
        self.draw(self._rows_now)

    def _rows_now(self) -> list[Spans]:
        width, height = self.size.width, self.size.height
        if not self._lanes.lanes:
            return said_rows(self._said, width)[:height]
        cursor = self.cursor
        room = max(1, height - 2)
        self._top = max(min(self._top, cursor.row, max(0, len(self._lanes.lanes) - room)), cursor.row - room + 1, 0)
        return lanes_rows(self._lanes, width, height, cursor, self._top, self.has_focus, self.palette.mono)

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the cursor, or hide it: the events for that come before it is so."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def _go(self, row: int, column: int) -> None:
        if not self._lanes.lanes:
            return
        row = max(0, min(len(self._lanes.lanes) - 1, row))
        self._lane = self._lanes.lanes[row].key
        self._at_ns = moment_of(column, self._lanes.stretch, self._shown_columns)
        self.redraw()
        self.post_message(self.Moved())

    def go_to(self, device: int, at_ns: int) -> None:
        """Put the cursor at this moment of a GPU."""
        self._lane, self._at_ns = LaneKey(device, Engine.ANY, 0), at_ns
        self.redraw()
        self.post_message(self.Moved())

    # -- keys

    def action_lane(self, by: int) -> None:
        """Another lane."""
        cursor = self.cursor
        self._go(cursor.row + by, cursor.column)

    def action_column(self, by: int) -> None:
        """Another moment; beyond the edge, the lanes move."""
        cursor = self.cursor
        column = cursor.column + by
        inside = max(0, min(self._shown_columns - 1, column))
        if column != inside and abs(by) == 1:
            self.post_message(self.Panned(by * max(1, self._shown_columns // 6)))
        self._go(cursor.row, inside)

    def action_next(self, step: int) -> None:
        """The next column in which something begins in this lane, or the one before."""
        cursor = self.cursor
        if self._lanes.lanes:
            begun = self._lanes.lanes[cursor.row].begun
            columns = range(cursor.column + 1, len(begun)) if step > 0 else range(cursor.column - 1, -1, -1)
            self._go(cursor.row, next((i for i in columns if begun[i]), cursor.column))

    def action_closer(self) -> None:
        """A quarter of the time."""
        self.post_message(self.Zoomed(_LEAP, self.moment_ns))

    def action_farther(self) -> None:
        """Four times as much; from all of it, one step back."""
        self.post_message(self.Out(1 / _LEAP, self.moment_ns))

    # -- the mouse

    def _column_at(self, x: int) -> int:
        return x - label_width(self.size.width)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Closer, about the pointer; over the names, a lane up."""
        self._wheel(event.x, _STEP, -1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Farther; over the names, a lane down."""
        self._wheel(event.x, 1 / _STEP, 1)

    def _wheel(self, x: int, factor: float, lanes: int) -> None:
        column = self._column_at(x)
        if column < 0:
            self.action_lane(lanes)
        elif self._lanes.lanes:
            self.post_message(self.Zoomed(factor, moment_of(column, self._lanes.stretch, self._shown_columns)))

    def on_mouse_down(self, event: MouseDown) -> None:
        """Hold the lanes."""
        if self._column_at(event.x) >= 0 and event.button == 1:
            self._held = event.x
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Take them along."""
        if self._held is not None and event.x != self._held:
            self.post_message(self.Panned(self._held - event.x))
            self._held = event.x

    def on_mouse_up(self, _event: MouseUp) -> None:
        """Let go."""
        self._held = None
        self.release_mouse()

    def on_click(self, event: Click) -> None:
        """Put the cursor there; a second click goes closer."""
        row, column = self._top + event.y, self._column_at(event.x)
        if row < len(self._lanes.lanes):
            self._go(row, min(self._shown_columns - 1, column) if column >= 0 else self.cursor.column)
            if event.chain == 2 and column >= 0:
                self.action_closer()
