"""What all views have: header, icicle, details, health, keys; and the keys that work in each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import DescendantFocus, Resize
from textual.screen import Screen
from textual.widgets import Input

from aperture_tui.profile.kinds import Kind
from aperture_tui.tui import figures, wall_clock
from aperture_tui.tui.attached import COLLECTORS
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.playhead import Playhead
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.time_keys import LIVE_ONLY, RECORDED_ONLY, TIME_KEYS
from aperture_tui.tui.terminal import SMALLEST
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.header import Header, Heading
from aperture_tui.tui.widgets.health import HealthLine
from aperture_tui.tui.widgets.keys import KeysLine
from aperture_tui.tui.widgets.rows import RowsView
from aperture_tui.tui.widgets.search import PatternInput, SearchLine
from aperture_tui.tui.widgets.time_line import TimeFacts, TimeLine
from aperture_tui.tui.widgets.time_prompt import TimeInput, TimePrompt

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp

_WIDTHS: Final = [(0, "-no-room"), (SMALLEST[0], "-narrow"), (80, "-normal"), (140, "-wide")]
_HEIGHTS: Final = [(0, "-no-lines"), (SMALLEST[1], "-flat"), (14, "-short"), (20, "-medium"), (32, "-tall")]
"""Classes that the screen has from so many columns and rows on."""
_TIME_LINE_FROM: Final = 8
"""Rows."""


class ViewScreen(Screen[None], inherit_bindings=False):
    """One view. Subclasses name themselves and say what stands between header and details.

    KIND: of the events that it shows.
    """

    TITLE_WORD: ClassVar[str] = ""
    KIND: ClassVar[Kind] = Kind.CPU
    WANTS_PROCESSES: ClassVar[bool] = False
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", priority=True),  # or what is typed right after it is lost
        *TIME_KEYS,
        Binding("left_square_bracket", "window(-1)", "shorter", key_display="["),
        Binding("right_square_bracket", "window(1)", "longer", key_display="]"),
        Binding("tab", "app.focus_next", "other part"),
        Binding("shift+tab", "app.focus_previous", "other part", show=False),
        Binding("s", "sort", "sort"),
        Binding("t", "threads", "by thread"),
        Binding("plus", "rate(1)", "refresh more often", show=False, key_display="+"),
        Binding("minus", "rate(-1)", "refresh less often", show=False, key_display="-"),
        Binding("escape,backspace", "back", "out", show=False),
        Binding("exclamation_mark", "app.health", "health in full", show=False, key_display="!"),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Header(id="header")
        yield TimeLine()
        yield from self.body()
        yield Details(id="details")
        yield HealthLine(id="health")
        yield KeysLine(of_time=bool(self.aperture.recording))

    def on_mount(self) -> None:
        """A recording has a line of time."""
        self.set_class(bool(self.aperture.recording), "-recorded")

    def on_resize(self, event: Resize) -> None:
        """Where the line of time would leave no room for anything else, the header says the time."""
        self.set_class(event.size.height < _TIME_LINE_FROM, "-tiny")
        self.show_heading()

    def body(self) -> ComposeResult:
        """What stands in the middle; one of it is an Icicle."""
        raise NotImplementedError
        yield

    @property
    def aperture(self) -> ApertureApp:
        """The app."""
        return cast("ApertureApp", self.app)

    @property
    def is_whole(self) -> bool:
        """Whether all its parts are there: an answer may come before the first and after the last moment of that."""
        parts = (Header, TimeLine, Icicle, Details, HealthLine, KeysLine)
        return self.is_running and all(self.query(part) for part in parts)

    @classmethod
    def needs(cls) -> frozenset[str]:
        """The collectors that it shows something of."""
        return frozenset({COLLECTORS[Kind.CPU], COLLECTORS[cls.KIND]})

    @property
    def icicle(self) -> Icicle:
        """The icicle of this view."""
        return self.query_one(Icicle)

    @property
    def icicle_width(self) -> int:
        """What to ask boxes for; 0 while that is not known."""
        icicle = self.icicle
        return icicle.size.width if icicle.display else self.size.width

    @property
    def main_part(self) -> Widget:
        """What has the focus when nothing else has a reason to."""
        return self.icicle

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot; None: nothing came yet."""
        looking = self.aperture.looking
        self.show_heading()
        if snapshot is None:
            return
        self._show_icicle(snapshot, looking)
        newest = snapshot.gauges[-1] if snapshot.gauges else None
        error = "" if snapshot.fatal else snapshot.error
        recorded = snapshot.recorded is not None
        self.query_one(HealthLine).show(snapshot.health, newest, snapshot.span, snapshot.stacks, error, recorded)

    def _show_icicle(self, snapshot: ViewSnapshot, looking: Looking) -> None:
        view = snapshot.icicle
        self.set_class(snapshot.fatal, "-fatal")
        if view is None:
            if snapshot.error:
                self.icicle.say(words.nothing_at_all(snapshot.error))
            return
        if snapshot.request.kind is not self.KIND:
            return  # of the view that was here before
        if view.total > 0:
            self.icicle.show(view, looking.search)
        else:
            self.icicle.say(words.nothing_yet(snapshot, looking, self.KIND))
        self.show_matching(snapshot)

    def show_matching(self, snapshot: ViewSnapshot) -> None:
        """How much of what is shown matches the search."""
        view = snapshot.icicle
        for line in self.query(SearchLine):
            line.show(*(words.matching(view.matching, view.zoomed, view.unit) if view else ("…", "")))

    def show_heading(self) -> None:
        """The header and the line of time alone, as when only a key was pressed."""
        if not self.is_whole:
            return
        app = self.aperture
        snapshot, looking = app.snapshot, app.looking
        mine = snapshot if snapshot and snapshot.request.kind is self.KIND else None
        live = not app.recording
        time_line = self.query_one(TimeLine)
        facts = self._time_facts()
        heading = Heading(
            views=app.view_titles,
            current=self.TITLE_WORD,
            host=(app.title_host or app.recorded_host) if live else "",
            pinned=app.pinned,
            process=f"{looking.process.name} ({looking.process.pid})" if looking.process else "",
            window_s=looking.window_s,
            range_ns=mine.range_ns if mine else 0,
            amount=self.amount(mine) if mine else "",
            frozen=wall_clock.clock(facts.at_ns) if live and looking.past else "",
            past=not live,
            clock="" if live or time_line.display else words.short_time(facts, app.palette.rich),
            starting=words.starting(snapshot, app.waited_s, app.recording, app.is_reading),
            collectors=words.collectors(snapshot.health) if snapshot and live else (),
        )
        self.query_one(Header).show(heading)
        if not live:
            time_line.show(facts)

    def _time_facts(self) -> TimeFacts:
        """What the line of time says."""
        app = self.aperture
        snapshot, time = app.snapshot, app.looking.time
        return TimeFacts(
            time.place(app.held),
            snapshot.range_ns if snapshot else 0,
            app.held,
            time.plays,
            time.speed,
            app.recording,
            app.recorded_host,
            app.now_ns(),
        )

    def amount(self, snapshot: ViewSnapshot) -> str:
        """How much is in view, with its unit; "" while that is not known."""
        view = snapshot.icicle
        if view is None:
            return ""
        known = view.total > 0 or words.is_running(self.KIND, snapshot)
        return f"{figures.amount(view.total, view.unit.timed) if known else '?'} {view.unit.word}"

    def describe_selection(self) -> None:
        """Say what is selected."""
        icicle = self.icicle
        self.query_one(Details).show(icicle.view, icicle.selected_box, icicle.selected_parent, icicle.rows_below)

    def on_icicle_resized(self) -> None:
        """Ask for boxes of that width."""
        self.aperture.ask()

    def on_screen_resume(self) -> None:
        """Another view was shown before: what it changed, colours too, holds here as well."""
        self.repaint_all()
        self.query_one(KeysLine).show()
        self.show(self.aperture.snapshot)
        self.aperture.ask()

    def repaint_all(self) -> None:
        """Draw in other colours."""
        for rows in self.query(RowsView):
            rows.repaint_all()

    def on_descendant_focus(self, _event: DescendantFocus) -> None:
        """Other keys work now."""
        self.query_one(KeysLine).show()

    # -- keys

    def look(self, looking: Looking) -> None:
        """Look at something else."""
        self.aperture.look(looking)
        self.show_heading()

    def on_icicle_zoom(self, message: Icicle.Zoom) -> None:
        """Give a frame the full width."""
        self.look(replace(self.aperture.looking, zoom=message.path))

    def on_icicle_out(self) -> None:
        """One step back."""
        self.action_back()

    def action_back(self) -> None:
        """One step back: of the zoom, of the search, of the process."""
        looking = self.aperture.looking.back()
        if looking.search is None:
            self.end_search_line()
        self.look(looking)

    def on_time_line_chosen(self, message: TimeLine.Chosen) -> None:
        """The moment that was clicked at."""
        self.at(self.aperture.looking.time.to(message.at_ns, self.aperture.held))

    def at(self, time: Playhead) -> None:
        """Look at another moment."""
        self.look(replace(self.aperture.looking, time=time))

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
        self.look(self.aperture.looking.longer(step))

    def action_rate(self, step: int) -> None:
        """Refresh more or less often."""
        self.aperture.change_rate(step)

    def action_sort(self) -> None:
        """Order frames by name, or by weight."""
        looking = self.aperture.looking
        self.look(replace(looking, by_weight=not looking.by_weight))

    def action_threads(self) -> None:
        """Stacks of each thread by themselves, or of all of a process together."""
        looking = self.aperture.looking
        self.look(replace(looking, threads=not looking.threads, zoom=()))

    # -- search

    async def action_search(self) -> None:
        """Type a pattern."""
        if not self.query(SearchLine):
            search = self.aperture.looking.search
            await self.mount(SearchLine(search.text if search else ""), before="#keys")
            self.add_class("-searching")
        self.set_focus(self.query_one(PatternInput))  # now, not when the keys that wait have been handled

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Some make sense only live, some only over a recording. What is typed belongs to the line that has it."""
        if action in (LIVE_ONLY if self.aperture.recording else RECORDED_ONLY):
            return False
        return action not in ("search", "go_to") or not isinstance(self.focused, Input)

    def action_end_search(self) -> None:
        """No search any more."""
        self.end_search_line()
        self.look(replace(self.aperture.looking, search=None))

    def end_search_line(self) -> None:
        """Take the search line away."""
        for line in self.query(SearchLine):
            self.set_focus(self.main_part)
            line.remove()
            self.remove_class("-searching")
            self.icicle.highlight(None)

    def on_search_line_changed(self, message: SearchLine.Changed) -> None:
        """Highlight at once; the share comes with the next snapshot."""
        self.icicle.highlight(message.search)
        self.look(replace(self.aperture.looking, search=message.search))

    def on_search_line_done(self) -> None:
        """Back to the icicle, to the first match."""
        if self.aperture.looking.search is None:
            self.end_search_line()
            return
        if self.icicle.view is None:
            self.set_focus(self.main_part)
            return
        self.set_focus(self.icicle)
        self.icicle.action_match(1)

    def part(self, selector: str) -> Widget | None:
        """A widget of this view, if it has it."""
        return next(iter(self.query(selector)), None)
