"""What all views have: header, icicle, details, health, keys; and the keys that work in each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import Input

from aperture_tui.profile.kinds import Kind
from aperture_tui.store.remote.link import LinkState
from aperture_tui.tui import figures
from aperture_tui.tui.attached import COLLECTORS
from aperture_tui.tui.density.widget import Timeline
from aperture_tui.tui.forms.crumbs import Crumbs
from aperture_tui.tui.forms.keys import FORM_KEYS, InForms
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import EXACT, ViewRequest, ViewSnapshot
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.filterable import FILTER_KEY, Filterable
from aperture_tui.tui.screens.time_keys import LIVE_ONLY, RECORDED_ONLY, TIME_KEYS
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.header import Header, Heading
from aperture_tui.tui.widgets.health import HealthLine
from aperture_tui.tui.widgets.keys import OF_REMOTE, OF_TIME, KeysLine
from aperture_tui.tui.widgets.remote_line import RemoteFacts, RemoteLine
from aperture_tui.tui.widgets.search import PatternInput, SearchLine
from aperture_tui.tui.widgets.time_line import TimeFacts, TimeLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.remote import Remote


class ViewScreen(InForms, Filterable):
    """One view of a window of time. Subclasses say what stands between header and details."""

    WANTS_PROCESSES: ClassVar[bool] = False
    PARTS = (*BaseScreen.PARTS, Timeline, Crumbs, Icicle, FunctionTable, Details, HealthLine)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", priority=True),  # or what is typed right after it is lost
        FILTER_KEY,
        *TIME_KEYS,
        Binding("left_square_bracket", "window(-1)", "shorter window", key_display="["),
        Binding("right_square_bracket", "window(1)", "longer window", key_display="]"),
        Binding("tab", "app.focus_next", "other part"),
        Binding("shift+tab", "app.focus_previous", "other part", show=False),
        *FORM_KEYS,
        Binding("plus", "rate(1)", "refresh more often", show=False, key_display="+"),
        Binding("minus", "rate(-1)", "refresh less often", show=False, key_display="-"),
        Binding("escape,backspace", "back", "out", show=False),
        Binding("exclamation_mark", "app.health", "health in full", show=False, key_display="!"),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Header(id="header")
        yield TimeLine() if self.aperture.remote is None else RemoteLine()
        yield Timeline()
        yield Crumbs()
        yield from self.body()
        yield Details(id="details")
        yield HealthLine(id="health")
        yield KeysLine(OF_TIME if self.aperture.recording else OF_REMOTE if self.aperture.remote is not None else ())

    def on_mount(self) -> None:
        """A recording has a line of time, an aggregator one of its own."""
        self.set_class(bool(self.aperture.recording) or self.aperture.remote is not None, "-recorded")

    def on_resize(self, event: Resize) -> None:
        """There may be room for the icicle, or none any more."""
        super().on_resize(event)
        self.call_after_refresh(self.show_crumbs)

    def body(self) -> ComposeResult:
        """What stands in the middle; one of it is an Icicle."""
        raise NotImplementedError
        yield

    @classmethod
    def needs(cls) -> frozenset[str]:
        """The collectors that it shows something of."""
        return frozenset({COLLECTORS[Kind.CPU], COLLECTORS[cls.VIEW.kind]})

    @property
    def icicle_width(self) -> int:
        """What to ask boxes for; 0 while that is not known."""
        icicle = self.icicle
        return icicle.size.width if icicle.display else self.size.width

    def request(self, looking: Looking) -> ViewRequest | None:
        """What to ask for, in the size of the icicle."""
        width = self.icicle_width
        return self.timed(looking.request(width, self.WANTS_PROCESSES, self.VIEW.kind)) if width > 0 else None

    @property
    def main_part(self) -> Widget:
        """What has the focus when nothing else has a reason to."""
        return self.tree_part

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot; None: nothing came yet."""
        looking = self.aperture.looking
        self.show_heading()
        if snapshot is None:
            return
        self._show_icicle(snapshot, looking)
        newest = snapshot.gauges[-1] if snapshot.gauges else None
        error = "" if snapshot.fatal or self._is_said_above() else snapshot.error
        recorded, many = snapshot.recorded is not None, snapshot.is_of_many
        self.set_class(many, "-many")
        self.query_one(HealthLine).show(snapshot.health, newest, snapshot.span, snapshot.stacks, error, recorded, many)

    def _is_said_above(self) -> bool:
        """Whether the line of an aggregator says what is wrong: that it is lost."""
        remote = self.aperture.remote
        shown = remote is not None and self.query_one(TimeLine).display
        return shown and remote is not None and remote.link().state is LinkState.LOST

    def _show_icicle(self, snapshot: ViewSnapshot, looking: Looking) -> None:
        view = snapshot.icicle
        self.set_class(snapshot.fatal, "-fatal")
        if view is None:
            self.icicle.say(words.no_picture(snapshot))
            return
        if snapshot.request.kind is not self.VIEW.kind:
            return  # of the view that was here before
        self.show_form(snapshot)
        if view.total > 0 and (view.rows or snapshot.functions is not None):
            self.icicle.show(view, looking.search)
        elif view.total > 0:
            self.icicle.say([("This function is in no stack here", "*text"), ("", "text"), ("Esc goes back.", "muted")])
        else:
            self.icicle.say(words.nothing_yet(snapshot, looking, self.VIEW.kind))
        self.show_matching(snapshot)

    def show_matching(self, snapshot: ViewSnapshot) -> None:
        """How much of what is shown matches the search."""
        view = snapshot.icicle
        for line in self.query(SearchLine):
            line.show(*(words.matching(view.matching, view.zoomed, view.unit) if view else ("…", "")))

    def show_heading(self) -> None:
        """The header and the line of time alone, as when only a key was pressed."""
        self.said()
        if not self.is_whole:
            return
        app = self.aperture
        snapshot, looking = app.snapshot, app.looking
        self.query_one(KeysLine).tell(self._told_of_keys(looking, snapshot))
        mine = snapshot if snapshot and snapshot.request.kind is self.VIEW.kind else None
        live, remote = not app.recording, app.remote
        time_line = self.query_one(TimeLine)
        facts = self._time_facts()
        heading = Heading(
            views=app.view_titles,
            current=self.VIEW.title,
            host=(app.title_host or app.recorded_host) if live and remote is None else "",
            pinned=app.pinned,
            process=looking.process.words if looking.process else "",
            window_s=looking.window_s,
            range_ns=mine.range_ns if mine else 0,
            between=self.range_words(),
            amount=self.amount(mine) if mine else "",
            grouped=words.grouped(looking.group, looking.form.shape.by_module),
            against=self.against(mine),
            frozen=self.since_when(facts.at_ns) if live and looking.past else "",
            past=not live,
            clock=self._said_else() if not time_line.display else "",
            starting=words.starting(snapshot, app.waited_s, app.recording, app.is_reading),
            collectors=words.collectors(snapshot.health) if snapshot and live and remote is None else (),
            filtered=self.filtered,
            slow=f"slow line: {app.paced_hz:g} Hz" if app.paced_hz < app.refresh_hz else "",
            where=self.where_chip(mine.passed if mine and mine.request.where == looking.where else None),
        )
        self.query_one(Header).show(heading)
        self.show_crumbs()
        self.show_timeline(mine)
        if not live:
            time_line.show(facts)
        elif remote is not None and isinstance(time_line, RemoteLine):
            time_line.show_remote(self._remote_facts(remote, mine))

    def _told_of_keys(self, looking: Looking, snapshot: ViewSnapshot | None) -> dict[str, str]:
        """What the keys lead to from here that go on to the next of several things."""
        after = looking.grouped(tags=snapshot is not None and bool(snapshot.tags))
        told = {
            "group": words.grouped(after.group, after.form.shape.by_module) or "by process",
            "wakers": "waiters" if looking.wakers else "wakers",
            "play": "pause" if looking.time.plays else "play",
        }
        return told | {"freeze": "go on"} if looking.past else told

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
            opening=snapshot is None,
        )

    def _said_else(self) -> str:
        """What the line of time would say, in the header's words: "" of what has none."""
        app = self.aperture
        if app.remote is not None:
            return words.short_link(app.remote.link(), focus_words(app.looking.focus))
        return words.short_time(self._time_facts(), app.palette.rich) if app.recording else ""

    def _remote_facts(self, remote: Remote, mine: ViewSnapshot | None) -> RemoteFacts:
        """What the line of an aggregator says. mine: the picture that is shown."""
        app, link = self.aperture, remote.link()
        looking = app.looking
        at_ns = looking.time.place(app.held) if looking.past else mine.end_ns if mine else 0
        looked_at = focus_words(looking.focus, link.hosts)
        range_ns, estimate = (mine.range_ns, mine.estimate) if mine else (0, EXACT)
        return RemoteFacts(
            link, remote.name, looked_at, at_ns, range_ns, app.held, looking.past, estimate, app.now_ns()
        )

    def amount(self, snapshot: ViewSnapshot) -> str:
        """How much is in view, with its unit; "" while that is not known."""
        view = snapshot.icicle
        if view is None:
            return ""
        known = view.total > 0 or words.is_running(self.VIEW.kind, snapshot)
        return f"{figures.amount(view.total, view.unit.timed) if known else '?'} {view.unit.word}"

    def describe_selection(self) -> None:
        """Say what is selected, or pointed at in time."""
        if self.describe_chosen():
            return
        if self.has_class("-functions"):
            self.query_one(Details).show_function(self.functions.selected, self.functions.view)
            return
        icicle = self.icicle
        self.query_one(Details).show(icicle.view, icicle.selected_box, icicle.selected_parent, icicle.rows_below)

    def on_icicle_resized(self) -> None:
        """Ask for boxes of that width."""
        self.aperture.ask()

    # -- keys

    def on_icicle_zoom(self, message: Icicle.Zoom) -> None:
        """Give a frame the full width."""
        self.look(replace(self.aperture.looking, zoom=message.path))

    def on_icicle_out(self) -> None:
        """One step back."""
        self.action_back()

    def action_back(self) -> None:
        """One step back: of the export, the zoom, the search, the process; over an aggregator, to the list of hosts."""
        if self.aperture.leave_export():
            return
        before = self.aperture.looking
        looking = before.back()
        if before.form.function is not None and looking.form.function is None:
            self.left_both_sides()
        if looking.search is None:
            self.end_search_line()
        if looking == before and self.aperture.remote is not None:
            self.aperture.action_view("hosts")
            return
        self.look(looking)

    def action_rate(self, step: int) -> None:
        """Refresh more or less often."""
        self.aperture.change_rate(step)

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
        return action not in ("search", "go_to", "filter") or not isinstance(self.focused, Input)

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
        if self.icicle.view is None or not self.icicle.display:
            self.set_focus(self.main_part)
            return
        self.set_focus(self.icicle)
        self.icicle.action_match(1)

    def part(self, selector: str) -> Widget | None:
        """A widget of this view, if it has it."""
        return next(iter(self.query(selector)), None)
