"""What all views have: header, icicle, details, health, keys; and the keys that work in each of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import DescendantFocus
from textual.screen import Screen

from aperture_tui.profile.health import State
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.terminal import SMALLEST
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.header import MARK, Header, Heading
from aperture_tui.tui.widgets.health import HealthLine
from aperture_tui.tui.widgets.keys import KeysLine
from aperture_tui.tui.widgets.rows import RowsView
from aperture_tui.tui.widgets.search import PatternInput, SearchLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp

_WIDTHS: Final = [(0, "-no-room"), (SMALLEST[0], "-narrow"), (80, "-normal"), (140, "-wide")]
_HEIGHTS: Final = [(0, "-no-lines"), (SMALLEST[1], "-flat"), (14, "-short"), (20, "-medium"), (32, "-tall")]
"""Classes that the screen has from so many columns and rows on."""


class ViewScreen(Screen[None], inherit_bindings=False):
    """One view. Subclasses name themselves and say what stands between header and details."""

    TITLE_WORD: ClassVar[str] = ""
    WANTS_PROCESSES: ClassVar[bool] = False
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", priority=True),  # or what is typed right after it is lost
        Binding("space", "freeze", "freeze"),
        Binding("left_square_bracket", "window(-1)", "shorter", key_display="["),
        Binding("right_square_bracket", "window(1)", "longer", key_display="]"),
        Binding("tab", "app.focus_next", "other part"),
        Binding("shift+tab", "app.focus_previous", "other part", show=False),
        Binding("s", "sort", "sort"),
        Binding("plus", "rate(1)", "refresh more often", show=False, key_display="+"),
        Binding("minus", "rate(-1)", "refresh less often", show=False, key_display="-"),
        Binding("escape,backspace", "back", "out", show=False),
        Binding("exclamation_mark", "app.health", "health in full", show=False, key_display="!"),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Header(id="header")
        yield from self.body()
        yield Details(id="details")
        yield HealthLine(id="health")
        yield KeysLine()

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
        parts = (Header, Icicle, Details, HealthLine, KeysLine)
        return self.is_running and all(self.query(part) for part in parts)

    @property
    def icicle(self) -> Icicle:
        """The icicle of this view."""
        return self.query_one(Icicle)

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
        self.query_one(HealthLine).show(snapshot.health, newest, snapshot.span, snapshot.stacks, error)

    def _show_icicle(self, snapshot: ViewSnapshot, looking: Looking) -> None:
        view = snapshot.icicle
        self.set_class(snapshot.fatal, "-fatal")
        if view is None:
            if snapshot.error:
                words = [("Nothing can be shown", "*error"), ("", "text"), (snapshot.error, "text"), ("", "text")]
                self.icicle.say([*words, ("q quits", "muted")])
            return
        if view.total > 0:
            self.icicle.show(view, looking.search)
        else:
            self.icicle.say(_nothing_yet(snapshot, looking))
        for line in self.query(SearchLine):
            line.show(view.matching, view.zoomed)

    def show_heading(self) -> None:
        """The header alone, as when only a key was pressed."""
        app = self.aperture
        snapshot, looking = app.snapshot, app.looking
        view = snapshot.icicle if snapshot else None
        frozen = (
            time.strftime("%H:%M:%S", time.localtime(snapshot.end_ns / 1e9)) if snapshot and snapshot.end_ns else ""
        )
        heading = Heading(
            views=app.view_titles,
            current=self.TITLE_WORD,
            host=app.title_host or (snapshot.hosts[0].name if snapshot and snapshot.hosts else ""),
            pinned=app.pinned,
            process=f"{looking.process.name} ({looking.process.pid})" if looking.process else "",
            window_s=looking.window_s,
            range_ns=snapshot.range_ns if snapshot else 0,
            samples=view.total if view else None,
            frozen=frozen or "now" if looking.frozen else "",
            starting=_starting(snapshot, app.waited_s),
        )
        self.query_one(Header).show(heading)

    def describe_selection(self) -> None:
        """Say what is selected."""
        icicle = self.icicle
        total = icicle.view.total if icicle.view else 0
        self.query_one(Details).show(icicle.selected_box, icicle.selected_parent, total, icicle.rows_below)

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

    def action_freeze(self) -> None:
        """Stop or resume time on the screen; collecting goes on."""
        looking = self.aperture.looking
        self.look(replace(looking, frozen=not looking.frozen))

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

    # -- search

    async def action_search(self) -> None:
        """Type a pattern."""
        if not self.query(SearchLine):
            search = self.aperture.looking.search
            await self.mount(SearchLine(search.text if search else ""), before="#keys")
            self.add_class("-searching")
        self.set_focus(self.query_one(PatternInput))  # now, not when the keys that wait have been handled

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a pattern is typed, a slash belongs to it."""
        return action != "search" or not isinstance(self.focused, PatternInput)

    def action_end_search(self) -> None:
        """No search any more."""
        self.end_search_line()
        self.look(replace(self.aperture.looking, search=None))

    def end_search_line(self) -> None:
        """Take the search line away."""
        for line in self.query(SearchLine):
            self.set_focus(self.icicle)
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
        self.set_focus(self.icicle)
        self.icicle.action_match(1)

    def part(self, selector: str) -> Widget | None:
        """A widget of this view, if it has it."""
        return next(iter(self.query(selector)), None)


def _nothing_yet(snapshot: ViewSnapshot, looking: Looking) -> list[tuple[str, str]]:
    starting = any(one.state is State.STARTING for one in snapshot.health)
    if looking.process is not None:
        why = f"{looking.process.name} ({looking.process.pid}) was on no CPU in this window. Esc shows all processes."
    elif starting:
        why = "The collectors are starting."
    elif snapshot.span.events:
        why = "Nothing ran in this window. ] makes it longer."
    else:
        why = "Nothing that is watched has run on a CPU."
    return [
        ("No samples yet" if not snapshot.span.events else "No samples here", "*text"),
        ("", "text"),
        (why, "muted"),
    ]


def _starting(snapshot: ViewSnapshot | None, waited_s: float) -> str:
    """What is being waited for, with a mark that moves; "" when nothing is."""
    mark = MARK[int(waited_s * 5) % len(MARK)]
    if snapshot is None:
        return f"{mark} starting {waited_s:.1f} s"
    if snapshot.fatal:
        return ""
    for one in snapshot.health:
        if one.state is State.STARTING:
            return f"{mark} {one.message or f'{one.name} is starting'} {waited_s:.1f} s"
    return ""
