"""The keys that take something away, of the whole app: export, copy a frame or a row, copy a stack."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import App
from textual.binding import Binding, BindingType

from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.taking import clipboard
from aperture_tui.tui.taking.copied import selected_stack

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp
    from aperture_tui.tui.taking.exports import Exports
    from aperture_tui.tui.taking.panel import ExportPanel

_SAID_S: Final = 4.0
_TMUX_S: Final = 1.0
"""How long tmux may take for its buffer."""
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
    _exports: Exports | None = None

    @property
    def _ours(self) -> ApertureApp:
        return cast("ApertureApp", self)

    @property
    def _shown(self) -> BaseScreen | None:
        """The view on the screen, if nothing lies over it."""
        screen = self.screen
        return screen if isinstance(screen, BaseScreen) and screen.is_whole else None

    # -- export

    @property
    def exports(self) -> Exports:
        """What the export key opens."""
        if self._exports is None:
            from aperture_tui.tui.taking.exports import Exports

            self._exports = Exports(self._ours)
        return self._exports

    async def action_export(self) -> None:
        """Open the panel."""
        view = self._shown
        if view is not None:
            await self.exports.open(view)

    def leave_export(self) -> bool:
        """Close the panel, or cancel what it does, as its own key would -> whether it was open.

        Whoever clicked at the view beside it has the keys there, and could not close it otherwise.
        """
        return self._exports is not None and self._exports.leave()

    def on_export_panel_wanted(self, message: ExportPanel.Wanted) -> None:
        """Write it."""
        message.stop()
        self.exports.wanted(message)

    def on_export_panel_cancelled(self) -> None:
        """Not any more."""
        self.exports.cancel()

    async def on_export_panel_left(self) -> None:
        """Back to the view."""
        await self.exports.close()

    def end_export(self) -> None:
        """Nothing half written is left behind."""
        if self._exports is not None:
            self._exports.end()

    # -- copy

    async def action_copy_selected(self) -> None:
        """The selected frame, or the selected row of a table."""
        from aperture_tui.tui.taking.rows import selected_words

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
        exports = self._exports
        return exports.focused_before if exports is not None and exports.panel is not None else self.screen.focused

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
