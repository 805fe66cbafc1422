"""A program on a pseudo terminal that another process reads: it can be read slowly, and its reader can be stopped."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.terminal import visible
from tests.tui.reading import Drawn, log_of

ROOT = Path(__file__).parents[2]
_STAMP = re.compile(rb"t(\d{5,})")


class Stamp(NamedTuple):
    """A moment that a picture told. of: that moment; drawn: when it was drawn; size: bytes up to the next one;
    ended: when the last of them was drawn. All in CLOCK_MONOTONIC, seconds.
    """

    of: float
    drawn: float
    size: int
    ended: float


class PtyTerminal:
    """rate: bytes a second that are drawn, 0 for all. buffer: bytes that wait on the way. answers: to questions."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        size: tuple[int, int] = (120, 40),
        rate: float = 0,
        buffer: int = 0,
        answers: bool = True,
    ) -> None:
        self._log = folder / "drawn"
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        for name in ("LINES", "COLUMNS", "NO_COLOR"):
            env.pop(name, None)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                _set_size(0, size)
                os.execvpe(command[0], list(command), env)  # noqa: S606  # a list of arguments, on purpose
            finally:
                os._exit(127)
        reader = [sys.executable, "-m", "tests.tui.reading", str(self.fd), str(rate), str(buffer), str(self._log)]
        self.reader = subprocess.Popen(
            [*reader, "answers" if answers else "mute"], pass_fds=[self.fd], env=env, cwd=ROOT
        )
        self._status: int | None = None

    def drawn(self) -> list[Drawn]:
        """All so far."""
        return log_of(self._log)

    def text(self, since: float = 0.0) -> str:
        """All text that was drawn from a moment on."""
        return visible(b"".join(one.data for one in self.drawn() if one.at >= since))

    def stamps(self) -> list[Stamp]:
        """The moments that tests.tui.stamped has told so far, and when the last of their pictures was drawn."""
        drawn = self.drawn()
        whole = b"".join(one.data for one in drawn)
        ends = list(accumulate(len(one.data) for one in drawn))
        found = list(_STAMP.finditer(whole))
        nexts = [*(one.start() for one in found[1:]), len(whole)]
        return [
            Stamp(
                int(one[1]) / 1000,
                drawn[bisect_left(ends, one.end())].at,
                end - one.end(),
                drawn[bisect_left(ends, end)].at,
            )
            for one, end in zip(found, nexts, strict=True)
        ]

    def press(self, keys: str) -> float:
        """-> when: before it, for what comes of it may be drawn before this process runs again."""
        pressed = time.monotonic()
        os.write(self.fd, keys.encode())
        return pressed

    def resize(self, size: tuple[int, int]) -> None:
        """The kernel tells the program by SIGWINCH."""
        _set_size(self.fd, size)

    def signal(self, number: signal.Signals) -> None:
        """To the program."""
        os.kill(self.pid, number)

    def see(self, pattern: str, since: float = 0.0, timeout_s: float = 30.0) -> float:
        """Wait until this is drawn -> when that was seen."""
        self.until(lambda: re.search(pattern, self.text(since)) is not None, pattern, timeout_s)
        return time.monotonic()

    def leave_panel(self) -> None:
        """Escape, and wait for the names of the views, which are dim behind a panel and are drawn anew when it is gone.

        A key that comes before an escape is known to stand alone would be another one.
        """
        left = self.press("\x1b")
        self.see(r"\d Overview", left)

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait for something."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"never seen: {what}\n{self.text()[-500:]}")
            time.sleep(0.02)

    def ended(self, timeout_s: float = 15.0) -> int:
        """Wait for the program's end -> its exit status."""
        deadline = time.monotonic() + timeout_s
        while self._status is None and time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.05)
        if self._status is None:
            pytest.fail(f"it did not end\n{self.text()[-500:]}")
        return self._status

    def hang_up(self) -> None:
        """The terminal is closed."""
        self.reader.kill()
        self.reader.wait()
        os.close(self.fd)
        self.fd = -1

    def close(self) -> None:
        """Leave nothing behind."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        if self.fd >= 0:
            self.hang_up()


def _set_size(fd: int, size: tuple[int, int]) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("=HHHH", size[1], size[0], 0, 0))
