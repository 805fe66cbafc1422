"""From view to view, and from machine to machine of a fleet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App
from textual.binding import Binding, BindingType

from aperture_tui.store.remote.link import FLEET
from aperture_tui.tui.driver import forget
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.panel import Panel
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.views import ALL, FILTERS, HOSTS, NUMBERS, VIEW_KEYS, VIEWS

if TYPE_CHECKING:
    from aperture_tui.store.remote.link import Focus
    from aperture_tui.tui.app import ApertureApp


class Switching(App[None]):
    """What of the app shows another view. It knows what is looked at, and belongs to ApertureApp.

    last_view: of those of a window of time, the one that was there last. wanting: told the collectors that a view
    needs.
    """

    MODES: ClassVar[dict[str, Any]] = {name: view.make for name, view in ALL.items()}
    BINDINGS: ClassVar[list[BindingType]] = [*VIEW_KEYS, Binding("f", "fleet", "whole fleet")]
    last_view = "cpu"
    wanting: Callable[[frozenset[str]], None] | None = None

    @property
    def _ours(self) -> ApertureApp:
        return cast("ApertureApp", self)

    @property
    def _view(self) -> BaseScreen | None:
        """The view on the screen, below any panel; None while it is being made or taken down."""
        views = (s for s in reversed(self.screen_stack) if isinstance(s, BaseScreen))
        return next((view for view in views if view.is_whole), None)

    def show_view(self, name: str) -> None:
        """Show a view, and have collected what it shows."""
        if name in VIEWS:
            self.last_view = name
        self.switch_mode(name)
        self.tell_wants(name)

    def tell_wants(self, name: str = "") -> None:
        """Say which collectors a view needs, "" for the one that is there; filters go on at those of the one before."""
        name = name or self.current_mode
        if self.wanting is not None:
            self.wanting(ALL[self.last_view if name == FILTERS else name].screen.needs())

    def look_at(self, focus: Focus) -> None:
        """Look at these machines of an aggregator, in the view that was there last."""
        app = self._ours
        if focus != app.looking.focus:  # nothing of the ones before may be taken for theirs
            kind = VIEWS[self.last_view].kind
            app.looking = app.looking.of(focus)
            app.snapshot = ViewSnapshot(ViewRequest(1, kind, focus=focus), held=app.held)
        if self.current_mode != self.last_view:
            self.show_view(self.last_view)
        elif self._view is not None:
            self._view.show(app.snapshot)
            app.ask()

    # -- keys

    def action_view(self, name: str) -> None:
        """Another view; the selection goes along."""
        app, view = self._ours, self._view
        if isinstance(self.screen, Panel) or self.current_mode == name:
            return
        forget(self._driver)  # what another program wrote on the screen goes away
        if name in VIEWS and VIEWS[self.last_view].kind is not VIEWS[name].kind:
            app.looking = app.looking.elsewhere()
        self.show_view(name)
        if isinstance(view, ViewScreen):
            self.call_after_refresh(self._select, view.icicle.selection)

    def action_numbered(self, number: str) -> None:
        """The view of this number, whatever its keys."""
        self.action_view(NUMBERS[int(number)])

    def _select(self, selection: Any) -> None:
        view = self._view
        if isinstance(view, ViewScreen):
            view.icicle.select(selection)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The list of machines and the fleet are an aggregator's."""
        of_fleet = action == "fleet" or (action == "view" and parameters == (HOSTS,))
        return self._ours.remote is not None or not of_fleet

    def action_fleet(self) -> None:
        """All machines together."""
        if not isinstance(self.screen, Panel):
            self.look_at(FLEET)
