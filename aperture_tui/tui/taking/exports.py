"""What the export key opens: a panel, and what is written meanwhile. Read when the key is first pressed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from aperture_tui.store.remote.link import FLEET
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.taking.job import Export, Order
from aperture_tui.tui.taking.names import default_name
from aperture_tui.tui.taking.panel import ExportPanel
from aperture_tui.tui.taking.pictures import svg_picture, text_picture
from aperture_tui.tui.taking.subject import PICTURES, SVG_PICTURE, Choice, Subject, choices, inferno, subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp
    from aperture_tui.tui.screens.base import BaseScreen

_LEAVE_S: Final = 2.0


class Exports:
    """The exports of an app, one at a time. Belongs to its thread.

    job: the last one; None before. focused_before: what had the keys before the panel has them.
    """

    def __init__(self, app: ApertureApp) -> None:
        self._app = app
        self.job: Export | None = None
        self.focused_before: Widget | None = None
        self._last_format = ""

    @property
    def panel(self) -> ExportPanel | None:
        """The panel over the view, if it is open, whatever lies over both."""
        view = self._app._view
        return None if view is None else next(iter(view.query(ExportPanel)), None)

    # -- what can be taken

    def _subject(self) -> Subject | None:
        """What the view shows, whatever lies over it; None of views that show no events."""
        app = self._app
        view = app._view
        snapshot = app.snapshot
        of_view = isinstance(view, ViewScreen) and snapshot is not None and snapshot.request.kind is view.VIEW.kind
        return subject(snapshot, app.looking, self._host()) if of_view else None

    def _host(self) -> str:
        app = self._app
        if app.remote is None:
            return app.recorded_host if app.recording else app.title_host
        focus = app.looking.focus
        return "fleet" if focus == FLEET else focus_words(focus)

    def _offered(self) -> tuple[str, Sequence[Choice]]:
        what = self._subject()
        return what.words if what is not None else "this screen", choices(what, inferno)

    def _file_name(self, suffix: str) -> str:
        what, app = self._subject(), self._app
        view = app._view
        if what is not None:
            return default_name(what.host, what.event, what.end_ns, suffix)
        word = view.VIEW.title.lower() if view is not None else "screen"
        return default_name(self._host(), word, app.now_ns(), suffix)

    # -- the panel

    async def open(self, view: BaseScreen) -> None:
        """Open the panel over a view, or give it the keys."""
        panel = self.panel
        if panel is not None:
            panel.take_focus()
            return
        self.focused_before = view.focused
        await view.mount(ExportPanel(self._offered, self._file_name, self._last_format))

    def leave(self) -> bool:
        """Close the panel, or cancel what it does, as its own key would -> whether it was open."""
        panel = self.panel
        if panel is None:
            return False
        self.focused_before = panel.screen.focused
        panel.call_later(panel.action_leave)  # as itself: what a parent says through it stops there
        return True

    def wanted(self, message: ExportPanel.Wanted) -> None:
        """Write it. The panel is no part of a picture."""
        panel = self.panel
        if panel is None:
            return
        if self.job is not None and self.job.is_at_work:
            panel.refuse("the last export still ends: try again in a moment")
            return
        form, path, replace = message.choice.form.name, message.path, message.replace
        self._last_format = form
        if message.choice.form not in PICTURES:
            what = self._subject()
            if what is None:
                panel.refuse("there is nothing to export yet")
            else:
                self._begin(panel, Order(form, path, replace, what))
            return
        typing = panel.screen.focused
        panel.display = False
        self._focus_view()
        panel.screen.call_after_refresh(partial(self._picture, panel, typing, form, path, replace))

    def _picture(self, panel: ExportPanel, typing: Widget | None, form: str, path: Path, replace: bool) -> None:
        app = self._app
        title = f"{app.title} {self._host()}".strip()
        picture = svg_picture(app, title) if form == SVG_PICTURE else text_picture(app)
        panel.display = True
        panel.screen.set_focus(typing)
        self._begin(panel, Order(form, path, replace, picture=picture.encode()))

    def _begin(self, panel: ExportPanel, order: Order) -> None:
        export = self.job = Export(order, self._app.store)
        export.start()
        panel.follow(lambda: (export.progress, export.seconds, order.path))

    def cancel(self) -> None:
        """Not any more."""
        if self.job is not None:
            self.job.cancel()

    async def close(self) -> None:
        """Back to the view."""
        panel = self.panel
        if panel is not None:
            self._focus_view()
            await panel.remove()

    def _focus_view(self) -> None:
        """What had the focus before the panel has it again."""
        view, before = self._app._view, self.focused_before
        if view is not None:
            view.set_focus(before if before is not None and before.is_attached else view.main_part)

    def end(self) -> None:
        """Nothing half written is left behind."""
        if self.job is not None:
            self.job.stop(_LEAVE_S)
