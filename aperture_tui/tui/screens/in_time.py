"""Moving through time: what the keys of `time_keys` do, and the prompt for a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aperture_tui.tui.density.grid import zoomed
from aperture_tui.tui.density.model import Scale
from aperture_tui.tui.density.render import TimelineFacts, between_words, columns_of, length_words
from aperture_tui.tui.density.widget import Timeline
from aperture_tui.tui.looking import LONG_WINDOWS
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.words import NOUNS
from aperture_tui.tui.wall_clock import short
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.time_line import TimeLine
from aperture_tui.tui.widgets.time_prompt import TimeInput, TimePrompt

if TYPE_CHECKING:
    from textual.events import Resize
    from textual.timer import Timer

    from aperture_tui.tui.looking import Looking
    from aperture_tui.tui.model import ViewRequest, ViewSnapshot
    from aperture_tui.tui.playhead import Playhead

_TIMELINE_FROM: Final = 24
"""Rows of the screen from which on the timeline is always there; else while it has the focus."""


_SOON_S: Final = 0.05


class InTime(BaseScreen):
    """A screen that shows something of a window of time."""

    def __init__(self) -> None:
        super().__init__()
        self._unsaid: Timer | None = None

    def look(self, looking: Looking) -> None:
        """Look at something else.

        What is live is answered in a moment, and to paint the heading before would take most of that.
        """
        app = self.aperture
        app.look(looking)
        if app.recording or app.remote is not None:
            self.show_heading()
        elif self._unsaid is None:
            self._unsaid = self.set_timer(_SOON_S, self.show_heading)

    def said(self) -> None:
        """The heading is shown."""
        if self._unsaid is not None:
            self._unsaid.stop()
            self._unsaid = None

    def on_time_line_chosen(self, message: TimeLine.Chosen) -> None:
        """The moment that was clicked at."""
        self.at(self.aperture.looking.time.to(message.at_ns, self.aperture.held))

    def on_time_line_toggled(self) -> None:
        """A click at the mark of a recording."""
        self.action_play()

    async def on_time_line_asked(self) -> None:
        """A click at its time."""
        await self.action_go_to()

    def at(self, time: Playhead) -> None:
        """Look at another moment. A timeline that lay about one of its own goes along when that is beside it."""
        app = self.aperture
        density = app.snapshot.density if app.snapshot is not None else None
        scale, there = app.looking.scale, time.place(app.held)
        if time.at_ns is None or density is None or not density.grid.has(there):
            scale = scale._replace(about_ns=None)
        self.look(replace(app.looking, time=time, scale=scale))

    # -- the timeline

    def on_resize(self, event: Resize) -> None:
        """There may be room for it, or none any more."""
        self.set_class(event.size.height >= _TIMELINE_FROM, "-timed")
        super().on_resize(event)
        self.aperture.ask()

    def timed(self, request: ViewRequest) -> ViewRequest:
        """The same with the timeline, in the columns that there is room for."""
        shown = self.size.height >= _TIMELINE_FROM or self.has_class("-pointing")
        columns = columns_of(self.size.width) if shown else 0
        return replace(request, scale=self.aperture.looking.scale._replace(columns=columns) if columns else Scale())

    def show_timeline(self, snapshot: ViewSnapshot | None) -> None:
        """Show it, with what is looked at. snapshot: of this view, None while there is none."""
        app = self.aperture
        start_ns, end_ns = self._range(None if app.looking.past or snapshot is None else snapshot.end_ns)
        density = None if snapshot is None else snapshot.density
        facts = TimelineFacts(density, start_ns, end_ns, app.held, noun=NOUNS.get(self.VIEW.kind, "events"))
        self.query_one(Timeline).show(facts)

    def range_words(self) -> tuple[str, str]:
        """The window and a shorter form: "14:02:11 to 14:02:37, 26 s"; "" where its length says enough."""
        app, looking, held = self.aperture, self.aperture.looking, self.aperture.held
        is_usual = looking.window_s in LONG_WINDOWS
        if not held.end_ns or (is_usual and (app.recording or not looking.past)):
            return "", ""
        if not (looking.past or app.recording):
            return f"last {length_words(round(looking.window_of(held) * 1e9))}", ""
        start_ns, end_ns = self._range()
        if start_ns == end_ns < held.start_ns:
            return f"{short(end_ns, app.now_ns())}, not held any more", "not held any more"
        length = length_words(end_ns - start_ns)
        return f"{between_words(start_ns, end_ns, app.now_ns())}, {length}", length

    def _range(self, newest_ns: int | None = None) -> tuple[int, int]:
        """From when to when the picture is, or will be: what it shows stays there when the store has let it go.

        newest_ns: where the newest window ends, if that is what is looked at. Unix nanoseconds, of no negative length.
        """
        app, looking, shown = self.aperture, self.aperture.looking, self.aperture.snapshot
        end_ns = looking.time.place(app.held) if newest_ns is None else newest_ns
        if shown is not None and looking.past and self._is_of(shown.request) and shown.end_ns == end_ns:
            return end_ns - shown.range_ns, end_ns
        start_ns = max(app.held.start_ns, end_ns - round(looking.window_of(app.held) * 1e9))
        return min(start_ns, end_ns), end_ns

    def _is_of(self, request: ViewRequest) -> bool:
        """Whether an answer is of this view, and of a window as long as the one that is wanted."""
        looking = self.aperture.looking
        wanted = self.VIEW.kind, looking.time.at_ns, looking.window_s
        return (request.kind, request.end_ns, request.window_s) == wanted

    def describe_chosen(self) -> bool:
        """Say what is under the cursor of the timeline; False if nothing is."""
        timeline = self.query_one(Timeline)
        chosen = timeline.facts.chosen
        if chosen is None:
            return False
        self.query_one(Details).show_words(between_words(*chosen, self.aperture.now_ns()), timeline.chosen_words)
        return True

    def describe_selection(self) -> None:
        """Say what is selected."""
        raise NotImplementedError

    def action_timeline(self) -> None:
        """Point into the timeline, or no more."""
        timeline = self.query_one(Timeline)
        if timeline.has_focus:
            self.on_timeline_left()
            return
        if not self.aperture.held.end_ns:
            return
        self.add_class("-pointing")
        timeline.point()
        self.aperture.ask()

    def on_timeline_left(self) -> None:
        """Back to what it is about."""
        if self.query_one(Timeline).has_focus:
            self.set_focus(self.main_part)
        self.remove_class("-pointing")
        self.describe_selection()
        self.aperture.ask()

    def on_timeline_moved(self) -> None:
        """Something else is under the cursor."""
        if not self.describe_chosen():
            self.describe_selection()

    def on_timeline_chosen(self, message: Timeline.Chosen) -> None:
        """A moment, or a range: all views answer for exactly that, and stand still there."""
        app = self.aperture
        held, looking = app.held, app.looking
        if not message.is_range:
            self.at(looking.time.to(message.end_ns, held))
        else:
            start, end = max(message.start_ns, held.start_ns), min(message.end_ns, held.end_ns)
            if end > start:
                window_s = (end - start) / 1e9
                self.look(replace(looking, window_s=window_s, time=looking.time.frozen(end), stretch=None))
            else:
                self.notify("nothing is held of that time", severity="warning", timeout=3)
        self.on_timeline_left()

    def on_timeline_stepped(self, message: Timeline.Stepped) -> None:
        """Later, or earlier."""
        app = self.aperture
        by_s = message.by_ns / 1e9 + message.by_windows * app.looking.window_of(app.held)
        self.at(app.looking.time.stepped(by_s, app.held))

    def on_timeline_zoomed(self, message: Timeline.Zoomed) -> None:
        """A longer or a shorter timeline, or the same elsewhere."""
        app = self.aperture
        density = app.snapshot.density if app.snapshot is not None else None
        if density is None:
            return
        now_s = (density.grid.end_ns - density.grid.start_ns) / 1e9
        reach_s = zoomed(now_s, message.step) if message.step else app.looking.scale.reach_s
        self.look(replace(app.looking, scale=Scale(reach_s=reach_s, about_ns=message.about_ns)))

    # -- keys

    def action_freeze(self) -> None:
        """Stop or resume time on the screen; collecting goes on."""
        app = self.aperture
        time = app.looking.time
        shown_ns = app.snapshot.end_ns if app.snapshot else 0
        self.at(time.newest() if app.looking.past else time.frozen(shown_ns))

    def action_play(self) -> None:
        """Let time pass, or stand still."""
        self.at(self.aperture.looking.time.toggled(self.aperture.held))

    def action_step(self, seconds: int) -> None:
        """So many seconds later, or earlier."""
        self.at(self.aperture.looking.time.stepped(seconds, self.aperture.held))

    def action_beginning(self) -> None:
        """The first that is held."""
        held = self.aperture.held
        self.at(self.aperture.looking.time.to(held.first_ns, held))

    def action_newest(self) -> None:
        """The end of a recording; live, follow the time that passes."""
        self.at(self.aperture.looking.time.newest())

    def action_speed(self, step: int) -> None:
        """Play faster or slower."""
        self.aperture.play_on()
        self.at(self.aperture.looking.time.faster(step))

    async def action_go_to(self) -> None:
        """Type a time."""
        if not self.query(TimePrompt):
            await self.mount(TimePrompt(self.aperture.held, self.aperture.now_ns()), before="#keys")
            self.add_class("-going")
        self.set_focus(self.query_one(TimeInput))

    def action_end_go_to(self) -> None:
        """No other time."""
        for prompt in self.query(TimePrompt):
            self.set_focus(self.main_part)
            prompt.remove()
            self.remove_class("-going")

    def on_time_prompt_chosen(self, message: TimePrompt.Chosen) -> None:
        """The time that was typed."""
        self.action_end_go_to()
        if message.at_ns is not None:
            self.at(self.aperture.looking.time.to(message.at_ns, self.aperture.held))

    def action_window(self, step: int) -> None:
        """A longer or a shorter window."""
        self.look(self.aperture.looking.longer(step, long=self.aperture.remote is not None))
