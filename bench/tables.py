"""What a refresh of a screen with 5,000 rows takes, put in order anew each time, at 2 Hz and 120x40."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Final

from bench import procfs
from bench.figures import Figure
from bench.launch import FailedError
from bench.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS: Final = 5000
_BUDGET_MS: Final = 10.0
_HZ: Final = 2
_SIZE: Final = (120, 40)
_READY_S, _SETTLE_S = 20.0, 4.0
_SCREENS: Final = (
    ("processes", b"1", "--processes", "worker-"),
    ("system calls", b"3", "--calls", "call_"),
)
"""Name, key, the option that says how many, and what is on the screen then."""


def measure(seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: that each screen is watched."""
    figures = []
    for name, key, option, seen in _SCREENS:
        tell(f"tables: {_ROWS} {name}")
        why = ""
        drawing: tuple[float, ...] = ()
        asking: tuple[float, ...] = ()
        try:
            drawing, asking = _costs_ms(key, option, seen, seconds)
        except FailedError as error:
            why = str(error)
        told, mine = f"a refresh of {_ROWS:,} {name}, 2 Hz, 120x40", "aperture-top"
        figures.append(Figure(f"{told}: CPU of drawing", mine, "ms", drawing, _BUDGET_MS, why))
        figures.append(Figure(f"{told}: CPU of asking and writing", mine, "ms", asking, None, why))
    return figures


def _costs_ms(key: bytes, option: str, seen: str, seconds: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of drawing and of asking, each in three parts of the time. Raises FailedError."""
    command = (sys.executable, "-m", "bench.synthetic_screen", "--refresh", str(_HZ), "--nodes", "2000")
    terminal = Terminal((*command, option, str(_ROWS)), *_SIZE, cwd=".")
    drawing, asking = [], []
    try:
        terminal.seconds_until(lambda text: re.search(r"of view  [1-9]", text) is not None, _READY_S)
        terminal.press(key)
        terminal.seconds_until(lambda text: seen in text, _READY_S)
        terminal.read_for(_SETTLE_S)
        for _ in range(3):
            before, began = _spent(terminal.pid), time.monotonic()
            terminal.read_for(seconds / 3)
            refreshes = _HZ * (time.monotonic() - began)
            after = _spent(terminal.pid)
            drawing.append((after[0] - before[0]) / 1e6 / refreshes)
            asking.append((after[1] - before[1]) / 1e6 / refreshes)
    finally:
        terminal.end(b"q")
    return tuple(drawing), tuple(asking)


def _spent(pid: int) -> tuple[int, int]:
    """CPU time of the thread that draws, and of the others of the screens, ns."""
    drawing = procfs.thread_cpu_ns(pid).get(pid, 0)
    return drawing, procfs.ui_cpu_ns(pid) - drawing
