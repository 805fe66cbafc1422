"""The keys that take something away, of the whole app: export, copy a frame or a row, copy a stack."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import App
from textual.binding import Binding, BindingType

from aperture_tui.store.remote.link import FLEET
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.taking import clipboard
from aperture_tui.tui.taking.copied import selected_stack
from aperture_tui.tui.taking.job import Export, Order
from aperture_tui.tui.taking.names import default_name
from aperture_tui.tui.taking.panel import ExportPanel
from aperture_tui.tui.taking.pictures import svg_picture, text_picture
from aperture_tui.tui.taking.rows import selected_words
from aperture_tui.tui.taking.subject import PICTURES, SVG_PICTURE, Choice, Subject, choices, inferno, subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp

_SAID_S: Final = 4.0
_TMUX_S: Final = 1.0
"""How long tmux may take for its buffer."""
_LEAVE_S: Final = 2.0
_SHOWN: Final = 48
"""Cells of what was copied that are shown."""

TAKE_KEYS: Final = (
    Binding("e", "export", "export", show=False),
    Binding("y", "copy_selected", "copy", show=False),
    Binding("Y", "copy_stack", "copy the stack", show=False),
)


class Taking(App[None]):
    """What of the app takes something away. It knows the views, and belongs to ApertureApp."""

    BINDINGS: ClassVar[list[BindingType]] = list(TAKE_KEYS)
    _export: Export | None = None
    _last_format = ""
    _focused_before: Widget | None = None

    @property
    def _ours(self) -> ApertureApp:
        return cast("ApertureApp", self)

    @property
    def _shown(self) -> BaseScreen | None:
        """The view on the screen, if nothing lies over it."""
        screen = self.screen
        return screen if isinstance(screen, BaseScreen) and screen.is_whole else None

    @property
    def _panel(self) -> ExportPanel | None:
        """The panel over the view, if it is open, whatever lies over both."""
        view = self._ours._view
        return None if view is None else next(iter(view.query(ExportPanel)), None)

    # -- export

    def _subject(self) -> Subject | None:
        """What the view shows, whatever lies over it; None of views that show no events."""
        app = self._ours
        view = app._view
        snapshot = app.snapshot
        of_view = isinstance(view, ViewScreen) and snapshot is not None and snapshot.request.kind is view.KIND
        return subject(snapshot, app.looking, self._host()) if of_view else None

    def _host(self) -> str:
        app = self._ours
        if app.remote is None:
            return app.recorded_host if app.recording else app.title_host
        focus = app.looking.focus
        return "fleet" if focus == FLEET else focus_words(focus)

    def _offered(self) -> tuple[str, Sequence[Choice]]:
        what = self._subject()
        return what.words if what is not None else "this screen", choices(what, inferno)

    def _file_name(self, suffix: str) -> str:
        what, app = self._subject(), self._ours
        view = app._view
        if what is not None:
            return default_name(what.host, what.event, what.end_ns, suffix)
        word = view.TITLE_WORD.lower() if view is not None else "screen"
        return default_name(self._host(), word, app.now_ns(), suffix)

    async def action_export(self) -> None:
        """Open the panel."""
        view = self._shown
        if view is None:
            return
        panel = self._panel
        if panel is not None:
            panel.take_focus()
            return
        self._focused_before = view.focused
        await view.mount(ExportPanel(self._offered, self._file_name, self._last_format))

    def leave_export(self) -> bool:
        """Close the panel, or cancel what it does, as its own key would -> whether it was open.

        Whoever clicked at the view beside it has the keys there, and could not close it otherwise.
        """
        panel = self._panel
        if panel is None:
            return False
        self._focused_before = panel.screen.focused
        panel.call_later(panel.action_leave)  # as itself: what a parent says through it stops there
        return True

    def on_export_panel_wanted(self, message: ExportPanel.Wanted) -> None:
        """Write it. The panel is no part of a picture."""
        message.stop()
        panel = self._panel
        if panel is None:
            return
        if self._export is not None and self._export.is_at_work:
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
        panel.screen.call_after_refresh(self._picture, panel, typing, form, path, replace)

    def _picture(self, panel: ExportPanel, typing: Widget | None, form: str, path: Path, replace: bool) -> None:
        title = f"{self.title} {self._host()}".strip()
        picture = svg_picture(self, title) if form == SVG_PICTURE else text_picture(self)
        panel.display = True
        panel.screen.set_focus(typing)
        self._begin(panel, Order(form, path, replace, picture=picture.encode()))

    def _begin(self, panel: ExportPanel, order: Order) -> None:
        export = self._export = Export(order, self._ours.store)
        export.start()
        panel.follow(lambda: (export.progress, export.seconds, order.path))

    def on_export_panel_cancelled(self) -> None:
        """Not any more."""
        if self._export is not None:
            self._export.cancel()

    async def on_export_panel_left(self) -> None:
        """Back to the view."""
        panel = self._panel
        if panel is not None:
            self._focus_view()
            await panel.remove()

    def _focus_view(self) -> None:
        """What had the focus before the panel has it again."""
        view, before = self._ours._view, self._focused_before
        if view is not None:
            view.set_focus(before if before is not None and before.is_attached else view.main_part)

    def end_export(self) -> None:
        """Nothing half written is left behind."""
        if self._export is not None:
            self._export.stop(_LEAVE_S)

    # -- copy

    async def action_copy_selected(self) -> None:
        """The selected frame, or the selected row of a table."""
        view = self._shown
        if view is not None:
            await self._copy(selected_words(view, self._part()), "nothing is selected")

    async def action_copy_stack(self) -> None:
        """The stack of the selected frame, from its root."""
        view = self._shown
        if view is None:
            return
        text = ""
        if isinstance(view, ViewScreen) and view.icicle.display:
            text = selected_stack(view.icicle.selection, view.icicle.selected_box)
        await self._copy(text, "no stack is selected: choose a frame of the icicle")

    def _part(self) -> Widget | None:
        """What has the focus, or had it before the panel."""
        return self.screen.focused if self._panel is None else self._focused_before

    async def _copy(self, text: str, nothing: str) -> None:
        if not text:
            self.notify(nothing, severity="warning", timeout=_SAID_S)
            return
        sent = clipboard.capped(text)
        where = await self._send(sent.data)
        amount = figures.size(len(sent.data)) if len(sent.data) > 999 else f"{len(sent.data)} B"
        first = fit(text.split("\n", 1)[0], _SHOWN).rstrip()
        cut = f"the first {len(sent.data):,} of {sent.whole:,} bytes, terminals take no more: " if sent.is_cut else ""
        self.notify(f"{first}\n{cut}{amount} {where}", timeout=_SAID_S, markup=False)

    async def _send(self, data: bytes) -> str:
        """Give it to whatever stands between us and the terminal, else to that -> where it went, in words."""
        through = clipboard.between(os.environ)
        if through is clipboard.Between.TMUX and await _to_tmux(data):
            return "in tmux's buffer, and sent to the terminal's clipboard"
        self._write_beside(clipboard.sequence(data, through))
        if through is clipboard.Between.EITHER:
            self.screen.refresh()  # of a long text screen would show the rest
        return "sent to the terminal's clipboard"

    def copy_to_clipboard(self, text: str) -> None:
        """What Textual itself copies, as of a field that is typed in, takes the same way."""
        self._clipboard = text
        self._write_beside(clipboard.sequence(clipboard.capped(text).data, clipboard.between(os.environ)))

    def _write_beside(self, output: str) -> None:
        """Between two pictures, through the driver: what it knows of the screen it forgets, as others may write it."""
        if self._driver is not None:
            self._driver.write(output)


async def _to_tmux(data: bytes) -> bool:
    """Make it a buffer of the tmux that we are in, and have it sent on to its terminals -> whether that worked.

    tmux of 3.2 and later; without a configuration it takes nothing of what is written (see `clipboard`).
    """
    if not os.environ.get("TMUX"):
        return False
    null = asyncio.subprocess.DEVNULL
    try:
        child = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-", stdin=asyncio.subprocess.PIPE, stdout=null, stderr=null
        )
    except OSError:
        return False
    try:
        await asyncio.wait_for(child.communicate(data), _TMUX_S)
    except (TimeoutError, OSError):
        child.kill()
        return False
    return child.returncode == 0


__all__ = ["TAKE_KEYS", "Taking"]
