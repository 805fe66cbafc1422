"""The app: the screens, the presenter between them and the store, and what the user looks at."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.theme import Theme

from aperture_tui.profile.completeness import Completeness
from aperture_tui.tui.look import Look, look, looks
from aperture_tui.tui.looking import RATES, Looking, neighbour
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.palette import Palette
from aperture_tui.tui.presenter import Presenter
from aperture_tui.tui.screens.cpu import CpuScreen
from aperture_tui.tui.screens.overview import OverviewScreen
from aperture_tui.tui.screens.panel import Panel, health_rows, help_rows
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.terminal import Colours, backlog, colours
from aperture_tui.tui.thin import forget, thinned
from aperture_tui.tui.widgets.keys import live_keys

if TYPE_CHECKING:
    from textual.driver import Driver

    from aperture_tui.store.base import Store

_WAITING_HZ: Final = 5.0
_BACKLOG: Final = 3
_RETRY_S: Final = 0.1
_VIEWS: Final[dict[str, type[ViewScreen]]] = {"overview": OverviewScreen, "cpu": CpuScreen}


class ApertureApp(App[None]):
    """The live screens over any store.

    connect: gives the store, in a worker thread after the first paint; what it raises is shown as one line.
    window_s: the newest seconds that are shown first, None for all. title_host, pinned: for the header: the machine,
    and the filters that the kernel applies. Raises ValueError for a theme that does not exist.
    """

    TITLE = "aperture"
    CSS_PATH = "aperture.tcss"
    MODES: ClassVar[dict[str, Any]] = dict(_VIEWS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),  # the habit of every other tool
        Binding("ctrl+l", "redraw", "redraw", show=False),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("1", "view('overview')", "overview", show=False),
        Binding("2", "view('cpu')", "CPU", show=False),
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
    ) -> None:
        self._colours = colours()
        self._ansi = self._colours is not Colours.RGB
        chosen = look(theme)
        super().__init__(ansi_color=True if self._ansi else None)
        self.animation_level = "none"
        self.palette = Palette(chosen, self._colours)
        self.title_host = title_host
        self.pinned = pinned
        self.looking = Looking(window_s=window_s)
        self.snapshot: ViewSnapshot | None = None
        self.refresh_hz = refresh_hz
        self._began = time.monotonic()
        self._presenter = Presenter(connect, self._tell, refresh_hz)
        for one in looks().values():
            self.register_theme(one.theme(self._ansi))
        self.theme = chosen.name

    def get_driver_class(self) -> type[Driver]:
        """The platform's driver, which writes only what differs."""
        return thinned(super().get_driver_class())

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Ours alone: Textual's own have no colours for frames and gauges."""
        known = super().available_themes
        return {name: known[name] for name in looks() if name in known} or known

    @property
    def view_titles(self) -> tuple[tuple[str, str], ...]:
        """(key, title) of each view."""
        return tuple((str(i), view.TITLE_WORD) for i, view in enumerate(_VIEWS.values(), 1))

    @property
    def waited_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    # -- life

    def on_mount(self) -> None:
        """Show the first view; connect once it is painted."""
        self.theme_changed_signal.subscribe(self, self._change_look)
        self.switch_mode("overview")
        self._waiting = self.set_interval(1 / _WAITING_HZ, self._wait)
        self.call_after_refresh(self._presenter.start)

    def on_resize(self) -> None:
        """Terminals move what stands on them when their size changes."""
        forget(self._driver)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self._presenter.stop()

    def _wait(self) -> None:
        """Move the mark in the header until everything runs."""
        view = self._view
        if view is not None:
            view.show_heading()

    def _tell(self) -> None:
        """In the presenter's thread."""
        self.post_message(self.Answered())

    def on_aperture_app_answered(self) -> None:
        """Show the newest answer, unless the terminal still writes the last ones."""
        if backlog(self._driver) >= _BACKLOG:
            self.set_timer(_RETRY_S, self.on_aperture_app_answered)
            return
        snapshot = self._presenter.take()
        if snapshot is None:
            return
        if self.snapshot is None:
            gc.collect()
            gc.freeze()  # what the start made stays: no collection need look at it again
        self.snapshot = snapshot
        if snapshot.fatal or all(one.state.value != "starting" for one in snapshot.health):
            self._waiting.stop()
        view = self._view
        if view is not None:
            view.show(snapshot)

    @property
    def _view(self) -> ViewScreen | None:
        """The view on the screen, below any panel; None while it is being made or taken down."""
        views = (s for s in reversed(self.screen_stack) if isinstance(s, ViewScreen))
        return next((view for view in views if view.is_whole), None)

    # -- looking

    def look(self, looking: Looking) -> None:
        """Look at something else."""
        self.looking = looking
        self.ask()

    def ask(self) -> None:
        """Ask for what is looked at, in the size of the icicle."""
        view = self._view
        if view is not None and view.is_mounted and (width := view.icicle.size.width) > 0:
            self._presenter.ask(self.looking.request(width, view.WANTS_PROCESSES))

    def change_rate(self, step: int) -> None:
        """Refresh more or less often."""
        self.refresh_hz = neighbour(RATES, self.refresh_hz, step) or self.refresh_hz
        self._presenter.set_rate(self.refresh_hz)
        self.notify(f"{self.refresh_hz:g} refreshes a second", timeout=2)

    def _change_look(self, theme: Theme) -> None:
        known: dict[str, Look] = looks()
        self.palette = Palette(known[theme.name], self._colours)
        if self._view is not None:  # the others repaint when they are shown again
            self._view.repaint_all()

    # -- keys

    def action_view(self, name: str) -> None:
        """Another view; the selection goes along."""
        view = self._view
        if isinstance(self.screen, Panel) or self.current_mode == name:
            return
        selection = view.icicle.selection if view is not None else ()
        forget(self._driver)  # what another program wrote on the screen goes away
        self.switch_mode(name)
        self.call_after_refresh(self._select, selection)

    def _select(self, selection: Any) -> None:
        view = self._view
        if view is not None:
            view.icicle.select(selection)

    def action_redraw(self) -> None:
        """The whole screen anew, when something else has written on it."""
        forget(self._driver)
        self.screen.refresh()

    def action_help(self) -> None:
        """All keys."""
        width = min(78, self.size.width - 2)
        self.push_screen(Panel(help_rows(live_keys(self.screen), width)))

    def action_health(self) -> None:
        """Every loss with its cause."""
        health, stacks = (self.snapshot.health, self.snapshot.stacks) if self.snapshot else ((), Completeness())
        self.push_screen(Panel(health_rows(health, stacks, min(78, self.size.width - 2))))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that has a key, then Textual's own."""
        for key in live_keys(screen):
            title = f"{key.does[0].upper()}{key.does[1:]}"
            run = partial(self.run_action, key.action, key.node)
            yield SystemCommand(title, f"{' or '.join(key.keys)}, {key.place}", run)
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Keys"):
                yield command
