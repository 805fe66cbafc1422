"""Between Textual and the terminal: only what differs is written, and nothing while the line is behind.

A picture that is left out is painted when the line is free again, as everything is then. So what somebody sees over a
slow line is not old, keys are obeyed while it writes, and a terminal that has stopped is given one picture when it
goes on.
"""

from __future__ import annotations

import contextlib
import os
import termios
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from textual.driver import Driver
from textual.events import Key
from textual.messages import TerminalSupportsSynchronizedOutput

from aperture_tui.tui.line import Line
from aperture_tui.tui.terminal import name_thread
from aperture_tui.tui.thin import Thin

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App
    from textual.message import Message

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_ASK: Final = "\x1b[?2026$p"
"""Whether updates are synchronized now (DECRQM): Textual asks it once, and knows what answers look like."""
_LOOK_S: Final = 0.02
_LAST_ANSWER_S: Final = 0.5
_STANDS_S: Final = 0.7
"""A terminal that takes nothing for so long in the end is left as it is."""
_PIECE: Final = 2048
"""Bytes that are written at once: so few that a slow line is seen to take some."""


class _Counting:
    """The terminal's file, of which it is known how much it has taken. One that is gone takes everything.

    It has no buffer and holds no lock: a thread that stands in it keeps nobody from ending.
    """

    def __init__(self, file: TextIO, line: Line) -> None:
        self._file = file
        self._line = line
        self._gone = False
        self._writer: threading.Thread | None = None
        self.taken_bytes = 0

    def write(self, text: str) -> int:
        """All of it, before this returns."""
        if (writer := threading.current_thread()) is not self._writer and writer is not threading.main_thread():
            self._writer = writer  # another one after each time that the terminal was left
            name_thread("ui: output")
        data = memoryview(text.encode("utf-8", "replace"))
        try:
            while data and not self._gone:
                taken = os.write(self.fileno(), data[:_PIECE])
                self.taken_bytes += taken
                data = data[taken:]
        except OSError:  # it was closed: who writes must not stand still, or the app could not end
            self._gone = True
        if self._gone:
            self._line.end()
        self._line.wrote(len(text))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        """The descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """As the file says."""
        return self._file.isatty()


class ThinDriver(Driver):
    """A driver that writes less; made by `thinned`, with the platform's driver behind it."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.thin = Thin()
        self.line: Line = getattr(super(), "made_line", Line)()
        self._in_update = self._left_out = self._is_away = False
        file = getattr(self, "_file", None)
        self._counting = _Counting(file, self.line) if file is not None else None
        if self._counting is not None:
            self._file = self._counting

    def write(self, data: str) -> None:
        """Write what differs, or nothing yet."""
        if data in (_BEGIN, _END):
            self._in_update = data == _BEGIN  # around what is written, in one piece
            return
        if (self._left_out or self.line.is_behind) and self.thin.is_picture(data):
            if not self._left_out:
                self._left_out = True
                self._loop.call_later(_LOOK_S, self._catch_up)
            return
        out = self.thin.write(data)
        asks = self._in_update and self.line.asks
        if self._in_update:
            out = f"{_BEGIN}{out}{_END}{_ASK if asks else ''}"
        self.line.sent(len(out), asks)
        super().write(out)  # type: ignore[safe-super]  # the platform's
        if self._counting is None:
            self.line.wrote(len(out))

    def _catch_up(self) -> None:
        """Paint everything, once the line is free; what has not changed is not written."""
        if self.line.is_behind:
            self._loop.call_later(_LOOK_S, self._catch_up)
            return
        self._left_out = False
        self._app.call_later(lambda: self._app.screen.refresh())

    def process_message(self, message: Message) -> None:
        """Answers are for the line; the first is for Textual as well."""
        if isinstance(message, Key):
            self.line.typed()
        if isinstance(message, TerminalSupportsSynchronizedOutput):
            known = self.line.asks
            self.line.heard()
            if known:
                return
        super().process_message(message)

    def stop_application_mode(self) -> None:
        """An answer that came after the end would be read by the shell, as if it were typed."""
        self.line.asks = False
        until = time.monotonic() + _LAST_ANSWER_S
        while not self.line.is_quiet and time.monotonic() < until:
            time.sleep(_LOOK_S)
        super().stop_application_mode()  # type: ignore[safe-super]  # the platform's

    def close(self) -> None:
        """Write what is left, if the terminal takes it."""
        counting = self._counting
        if counting is None:
            super().close()
            return
        closing = threading.Thread(target=super().close, name="terminal-close", daemon=True)
        closing.start()
        while closing.is_alive():
            before = counting.taken_bytes
            closing.join(_STANDS_S)
            if counting.taken_bytes == before:
                return

    def suspend_application_mode(self) -> None:
        """To the shell, until somebody says `fg`."""
        self._is_away = True
        super().suspend_application_mode()

    def resume_application_mode(self) -> None:
        """Back."""
        self._is_away = False
        self.line.begin()
        super().resume_application_mode()

    # Handlers of signals run wherever the thread of the screens is, with a lock in its hands perhaps: not there.

    def _sigtstp_application(self, *_: object) -> None:
        self._soon(super()._sigtstp_application)  # type: ignore[misc]  # the platform's

    def _sigcont_application(self, *_: object) -> None:
        self._soon(self._go_on)

    def _soon(self, handle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it what was on the terminal
            self._loop.call_soon_threadsafe(handle)

    def _go_on(self) -> None:
        """After a SIGSTOP the terminal was not left, but a shell has used it since: leave it first.

        Textual would begin anew on top of what still runs, and in the end restore what it found then. The kernel says
        this to whoever has lost its terminal, too.
        """
        try:
            termios.tcgetattr(self._file)
        except termios.error:
            return
        if not self._is_away:
            self.suspend_application_mode()
        self.resume_application_mode()


def thinned(driver: type[Driver]) -> type[Driver]:
    """The same driver, as a ThinDriver."""
    return cast("type[Driver]", type(f"Thin{driver.__name__}", (ThinDriver, driver), {}))


def forget(driver: object) -> None:
    """Write the next picture whole, as after a change of size. Nothing where the driver is another, as in tests."""
    if isinstance(driver, ThinDriver):
        driver.thin.forget()


def line_of(driver: object) -> Line:
    """The line to the terminal; where there is none, as in tests, one on which nothing ever is."""
    return driver.line if isinstance(driver, ThinDriver) else Line()
