"""The app: the screens, the presenter between them and the store, and what the user looks at."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ScreenStackError
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.message import Message
from textual.theme import Theme
from textual.widget import MountError

from aperture_tui.profile.where import EVERYTHING, Where
from aperture_tui.tui.driver import forget, line_of, thinned
from aperture_tui.tui.filtering import EVERY_S, Filtering
from aperture_tui.tui.gpu.words import Here, has_gpu
from aperture_tui.tui.habits import Habits, Habitual
from aperture_tui.tui.keys_in_turn import KeysInTurn
from aperture_tui.tui.look import look
from aperture_tui.tui.looking import RATES, Looking, neighbour
from aperture_tui.tui.model import Baseline, ViewRequest, ViewSnapshot
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.presenter import Presenter
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.panel import Panel, health_panel, help_rows
from aperture_tui.tui.stylesheet import OnceParsed
from aperture_tui.tui.switching import Switching
from aperture_tui.tui.taking.taking import Taking
from aperture_tui.tui.terminal import Colours, colours
from aperture_tui.tui.views import ALL, FILTERS, GPU, HOSTS, VIEWS, titles
from aperture_tui.tui.where_history import WhereHistory
from aperture_tui.tui.widgets.keys import live_keys

if TYPE_CHECKING:
    from textual.driver import Driver

    from aperture_tui.filters.told import Controls
    from aperture_tui.store.base import Store
    from aperture_tui.tui.remote import Remote
    from aperture_tui.tui.screens.filters import FiltersScreen

_WAITING_HZ: Final = 5.0
_SLOW_HZ: Final = 1.0
"""Refreshes a second over a line that is at work most of the time."""
_RETRY_S: Final = 0.1
_LONGEST_PLAYED_S: Final = 2.0
"""What takes longer than so many seconds to read plays slower."""
_SWITCH_S: Final = 0.0005
"""How long a thread that is at work keeps another one waiting, a tenth of what is usual: an answer passes through
three of them, and each change of hands took 5 ms while one collects."""
_STARTED_S: Final = 5.0
"""Garbage is not collected before: each time all that was imported would be looked through, while somebody waits for
the first picture."""
_OVERTAKEN_S: Final = 0.25
_LEAVE_S: Final = 0.5
"""How long a recording is waited for in the end: nothing is lost where it is still being read."""
_REMOTE_WINDOW_S: Final = 60.0
"""Agents push every ten seconds: a shorter window would show their turns."""


class ApertureApp(KeysInTurn, Switching, Habitual, Taking):
    """The screens over any store: live, recorded, or an aggregator's.

    connect: gives the store, in a worker thread after the first paint; what it raises is shown as one line.
    window_s: the newest seconds that are shown first, None for all. title_host, pinned: for the header: the machine,
    and the filters that the kernel applies. want: told the events that the view needs, by the names of the collectors,
    whenever that changes, and again when the store is there; must not block. recording: the name of the one that the
    store holds, "" while it is filled. remote: the aggregator that the store asks. clock: monotonic seconds, by which a
    recording plays. filters: gives what controls the filters at work, None while there are none; of a store that can
    have none there is no such function. gpu: what this machine has for GPUs, of a live session. baseline: the name of
    a recording that pictures are compared with, and what opens it. where: the filter line at first. habits: what the
    user has set up. Raises ValueError for a theme that does not exist.

    failure: why nothing could be shown, in one line; of a recording, the app has then ended by itself.
    """

    TITLE = "aperture"
    CSS_PATH = "aperture.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+q", "quit", "quit"),
        Binding(
            "ctrl+c", "quit", "quit", show=False, priority=True, id="app.interrupt"
        ),  # the habit of every other tool
        Binding("ctrl+l", "redraw", "redraw", show=False),
        Binding("ctrl+z", "suspend_process", "to the shell, until fg", show=False),
        Binding("question_mark", "help", "help", key_display="?"),
    ]

    class Answered(Message):
        """An answer waits at the presenter."""

    def __init__(
        self,
        connect: Callable[[], Store],
        *,
        refresh_hz: float = 2.0,
        theme: str | None = None,
        window_s: float | None = 30.0,
        title_host: str = "",
        pinned: str = "",
        want: Callable[[frozenset[str]], None] | None = None,
        recording: str = "",
        remote: Remote | None = None,
        filters: Callable[[], Controls | None] | None = None,
        gpu: Callable[[], Here] | None = None,
        baseline: tuple[str, Callable[[], Store]] | None = None,
        where: Where = EVERYTHING,
        clock: Callable[[], float] = time.monotonic,
        habits: Habits = Habits(),  # noqa: B008 (immutable)
    ) -> None:
        self.habits = habits
        self.colours = colours()
        chosen = look(theme, self.looks)
        super().__init__(ansi_color=None if self.colours is Colours.RGB else True)
        self.stylesheet = OnceParsed(self.get_css_variables())
        self.animation_level = "none"
        self.title_host = title_host
        self.pinned = pinned
        self.wanting = want
        self.recording = recording
        self.remote = remote
        self.failure = ""
        self.filtering = Filtering(filters)
        self._look_for_gpu, self._seen_gpu = gpu, False
        self.baseline, open_baseline = baseline or ("", None)
        base = Baseline(0, 0, recording=self.baseline) if self.baseline else None
        self.looking = Looking(window_s=window_s if remote is None else _REMOTE_WINDOW_S, base=base, where=where)
        self.where_history = WhereHistory()
        self.last_view = "cpu" if habits.sitting is None else self._first_view
        self._clock = clock
        self._played_at = 0.0
        self._asked: ViewRequest | None = None
        self._shown_at = 0.0
        self.snapshot: ViewSnapshot | None = None
        self.refresh_hz = self.paced_hz = refresh_hz
        self._began = time.monotonic()
        self._is_waiting = True
        self._presenter = Presenter(connect, self._tell, refresh_hz, bool(recording), remote is not None, open_baseline)
        self.wear(chosen)
        self.live_with(habits)

    def get_driver_class(self) -> type[Driver]:
        """The platform's driver, which writes only what differs."""
        return thinned(super().get_driver_class())

    @property
    def view_titles(self) -> tuple[tuple[str, str], ...]:
        """(key, title) of each view."""
        here = self.gpu_here if self.snapshot is not None else None  # not before the first paint
        gpu = self._seen_gpu or (here is not None and here.driver)
        there = {HOSTS: self.remote is not None, FILTERS: self.filtering.state is not None, GPU: gpu}
        return titles(
            frozenset(name for name, is_there in there.items() if not (is_there or self.current_mode == name))
        )

    @cached_property
    def gpu_here(self) -> Here | None:
        """What this machine has for GPUs; None if it is not this machine that is looked at."""
        return None if self._look_for_gpu is None else self._look_for_gpu()

    @property
    def store(self) -> Store | None:
        """What is looked at, once it is there."""
        return self._presenter.store

    @property
    def waited_s(self) -> float:
        """Seconds since the start, of us or of what is being waited for."""
        return time.monotonic() - self._began

    @property
    def held(self) -> Held:
        """The time that can be looked at, as far as is known."""
        return self.snapshot.held if self.snapshot else Held()

    @property
    def recorded_host(self) -> str:
        """The machine that the events are from, "" while that is not known."""
        return self.snapshot.hosts[0].name if self.snapshot and self.snapshot.hosts else ""

    @property
    def is_reading(self) -> bool:
        """Whether what is on the screen is not yet what is looked at, of a recording or an aggregator."""
        asked, shown = self._asked, self.snapshot
        return (
            (bool(self.recording) or self.remote is not None)
            and asked is not None
            and shown is not None
            and asked != shown.request
        )

    @property
    def is_answered(self) -> bool:
        """Whether the screen shows what was asked for last; what a line cannot take now is not waited for."""
        shown, asked = self.snapshot, self._asked
        return shown is None or asked is None or shown.request == asked or line_of(self._driver).is_behind

    def now_ns(self) -> int:
        """The wall clock: what day it is."""
        return time.time_ns()

    @property
    def _first_view(self) -> str:
        """That of last time, or the overview."""
        sitting = self.habits.sitting
        return sitting.view if sitting is not None and sitting.view in VIEWS else "overview"

    # -- life

    def on_mount(self) -> None:
        """Show the first view; connect once it is painted."""
        sys.setswitchinterval(_SWITCH_S)
        self.theme_changed_signal.subscribe(self, self._change_look)
        if self.remote is None:
            self.show_view(self._first_view)
        elif self.remote.focus is None:
            self.show_view(HOSTS)
        else:
            self.look_at(self.remote.focus)
        if self.remote is not None:
            self.set_interval(1.0, self._wait)  # what is shown of an aggregator grows old
        if self.filtering.possible:
            self.set_interval(max(EVERY_S, 1 / self.refresh_hz), self._note_filters)
        self._waiting = self.set_interval(1 / _WAITING_HZ, self._wait)
        self._playing = self.set_interval(1 / self.refresh_hz, self.play_on, pause=True)
        self.set_timer(_STARTED_S, self.settle)
        self.call_after_refresh(self._presenter.start)

    def end(self) -> None:
        """As `q` does; for the handler of a signal. It runs while the loop waits, and what it asks for wakes nobody."""
        if self._loop is None:
            self.exit()
        else:
            self._loop.call_soon_threadsafe(self.exit)

    def _handle_exception(self, error: Exception) -> None:
        """An error of ours ends it, but not that something is missed while it ends anyway.

        Textual gives no parts any more to a screen that has just been opened then, and takes it away.
        """
        if not (self._exit and isinstance(error, NoMatches | MountError | ScreenStackError)):
            super()._handle_exception(error)

    def on_resize(self) -> None:
        """Terminals move what stands on them when their size changes."""
        forget(self._driver)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.end_export()
        self._presenter.stop(*([_LEAVE_S] if self.recording or self.remote else []))

    def _note_filters(self) -> None:
        """Whatever is on the screen: what they did in the last seconds is there when they are looked at."""
        self.filtering.note()
        view = self._view
        if view is not None and view.VIEW is ALL[FILTERS]:
            cast("FiltersScreen", view).show_filters()

    def _wait(self) -> None:
        """Move the mark in the header until everything runs, and the ages of what is shown."""
        view = self._view
        if view is not None:
            view.show_heading()

    def _wait_for(self, something: bool) -> None:
        """Whether something is being waited for: at the start, and whenever a view needs another collector."""
        if something and not self._is_waiting:
            self._began = time.monotonic()
            self._waiting.resume()
        elif self._is_waiting and not something:
            self._waiting.pause()
        self._is_waiting = something

    def _tell(self) -> None:
        """In the presenter's thread."""
        self.post_message(self.Answered())

    def on_aperture_app_answered(self) -> None:
        """Show the newest answer, unless the terminal still writes the last ones."""
        line = line_of(self._driver)
        if line.is_behind:
            self.set_timer(_RETRY_S, self.on_aperture_app_answered)
            return
        self.paced_hz = min(self.refresh_hz, _SLOW_HZ) if line.is_slow else self.refresh_hz
        self._presenter.set_rate(self.paced_hz)
        snapshot = self._presenter.take()
        if snapshot is None or self._is_overtaken(snapshot):
            return
        if self.snapshot is None:
            self.tell_wants()  # whoever connects may have missed it
        self.snapshot, self._shown_at = snapshot, time.monotonic()
        self._seen_gpu = self._seen_gpu or has_gpu(snapshot)
        if snapshot.fatal:
            self.failure = snapshot.error  # said again where the terminal keeps it
            if self.recording:  # nothing that could be mended while it is shown
                self.exit(return_code=1)
                return
        is_live = not snapshot.fatal and not self.recording and self.remote is None
        starting = is_live and words.begins(snapshot.health) is not None
        self._wait_for(starting or self.is_reading)
        view = self._view
        if view is not None:
            view.show(snapshot)

    def _is_overtaken(self, snapshot: ViewSnapshot) -> bool:
        """Whether to paint it would only keep the answer to a newer key waiting. Now and then one is painted."""
        live = not self.recording and self.remote is None and not snapshot.fatal
        newer = self._asked is not None and self._asked != snapshot.request
        return live and newer and time.monotonic() - self._shown_at < _OVERTAKEN_S

    def settle(self) -> None:
        """What the start made stays: no collection need look at it again."""
        gc.collect()
        gc.freeze()
        gc.enable()

    # -- looking

    def look(self, looking: Looking) -> None:
        """Look at something else."""
        played, self.looking = self.looking.time.plays, looking
        if looking.time.plays and not played:
            self._played_at = self._clock()
            self._playing.resume()
        elif played and not looking.time.plays:
            self._playing.pause()
        self.ask()

    def play_on(self) -> None:
        """Let as much time pass in a recording that plays as has passed on the clock, times its speed.

        It waits for what is read longer, lest the time that is told runs away from what is shown of it.
        """
        now = self._clock()
        if self.is_reading:
            self._played_at = max(self._played_at, now - _LONGEST_PLAYED_S)
            return
        passed, self._played_at = now - self._played_at, now
        if self.looking.time.plays:
            self.look(replace(self.looking, time=self.looking.time.played(passed, self.held)))
            if self._view is not None:
                self._view.show_heading()

    def ask(self) -> None:
        """Ask for what is looked at, in the size of the icicle."""
        view = self._view
        if view is not None and view.is_mounted and (request := view.request(self.looking)) is not None:
            self._asked = request
            self._presenter.ask(request)
            if self.is_reading:
                self._wait_for(something=True)

    def change_rate(self, step: int) -> None:
        """Refresh more or less often."""
        self.refresh_hz = neighbour(RATES, self.refresh_hz, step) or self.refresh_hz
        self._presenter.set_rate(self.refresh_hz)
        self._playing.stop()
        self._playing = self.set_interval(1 / self.refresh_hz, self.play_on, pause=not self.looking.time.plays)
        self.notify(f"{self.refresh_hz:g} refreshes a second", timeout=2)

    def _change_look(self, theme: Theme) -> None:
        self.palette = self.palette_of(self.looks[theme.name])
        if self._view is not None:  # the others repaint when they are shown again
            self._view.repaint_all()
        for screen in self.screen_stack:
            if isinstance(screen, Panel):
                screen.repaint_all()

    # -- keys

    def action_redraw(self) -> None:
        """The whole screen anew, when something else has written on it."""
        forget(self._driver)
        self.screen.refresh()

    def action_help(self) -> None:
        """All keys."""
        width = min(78, self.size.width - 2)
        self.push_screen(Panel(help_rows(live_keys(self.screen), width, self.palette.marks)))

    def action_health(self) -> None:
        """Every loss with its cause."""
        self.push_screen(health_panel(self.snapshot, min(78, self.size.width - 2), recorded=bool(self.recording)))
