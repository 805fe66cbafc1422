"""A signal that comes while what its handler asks for is held by the thread that it interrupts."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from bench.terminal import visible
from tests.tui.pty_terminal import PtyTerminal


def test_it_goes_on_wherever_the_signal_finds_it(tmp_path: Path) -> None:
    terminal = PtyTerminal(tmp_path, [sys.executable, "-m", "tests.tui.signalled", str(tmp_path / "fed")])

    def painted_anew() -> bool:
        drawn = b"".join(one.data for one in terminal.drawn()).partition(b"\x1b[?1049l")[2]
        return re.search(r"on t\d{5,}", visible(drawn)) is not None

    try:
        terminal.until(painted_anew, "that it leaves the terminal, and begins anew")
        since = time.monotonic()
        terminal.until(lambda: any(one.at > since for one in terminal.drawn()), "another picture")
        pressed = terminal.press("?")
        terminal.see(" Keys  ", pressed)
        terminal.leave_panel()
        terminal.press("q")
        assert terminal.ended() == 0
    finally:
        terminal.close()
