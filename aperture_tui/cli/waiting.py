"""Waiting: for the end of a collection, which signals end early, and for work. A bar for people, silence for pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STEP_S: Final = 0.25
_PATIENCE_S: Final = 1.0
_REDRAW_S: Final = 0.1
_CELLS: Final = 20
_HURRY_S: Final = 2.0


def wait(duration_s: float | None, words: str, done: Callable[[], bool] | None = None) -> None:
    """Return after this time (None: no limit), when `done()` says so, or on SIGINT, SIGTERM or SIGHUP.

    The signals end the waiting, not the program: what was collected is still reported.
    """
    asked = threading.Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in _ENDING}
    try:
        ended_at = None if duration_s is None else time.monotonic() + duration_s
        bar = _Bar(duration_s, words)
        while not asked.is_set() and not (done and done()):
            left = None if ended_at is None else ended_at - time.monotonic()
            if left is not None and left <= 0:
                break
            bar.show(left)
            asked.wait(_STEP_S if left is None else min(_STEP_S, left))
        bar.clear()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """What is written after the waiting is not cut short by a second ctrl+c; by one two seconds later it is."""
    asked: list[float] = []

    def hold(number: int, _frame: object) -> None:
        asked.append(time.monotonic())
        if asked[-1] - asked[0] > _HURRY_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: signal.signal(number, hold) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(words: str) -> Iterator[Callable[[float], None]]:
    """Gives what is to be told how much of the work is done, 0 to 1; after a second there is a bar on a terminal."""
    with _line(lambda share, _: f"{words} {_bar(share)} {100 * share:.0f} %") as show:
        yield show


@contextlib.contextmanager
def asking(whom: str) -> Iterator[Callable[[float], None]]:
    """Gives what is to be called while an answer is waited for; after a second a terminal shows for how long."""
    with _line(lambda _, seconds: f"asking {whom} {seconds:.0f} s") as show:
        yield show


@contextlib.contextmanager
def _line(words: Callable[[float, float], str]) -> Iterator[Callable[[float], None]]:
    """A line on a terminal, from the second second on, while something is waited for.

    words: of the line, by what share of the work is done and how many seconds it has taken.
    """
    began = shown = time.monotonic()
    on = _terminal()

    def show(share: float) -> None:
        nonlocal shown
        now = time.monotonic()
        if on and now - began > _PATIENCE_S and now - shown > _REDRAW_S:
            shown = now
            sys.stderr.write(f"\r{words(share, now - began)}\x1b[K")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if shown != began:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _bar(share: float) -> str:
    full = round(_CELLS * min(1.0, max(0.0, share)))
    return "━" * full + "╌" * (_CELLS - full)


class _Bar:
    """A progress bar on stderr, when that is a terminal and there is more than a second to wait."""

    def __init__(self, duration_s: float | None, words: str) -> None:
        self._duration_s = duration_s
        self._words = words
        self._began = time.monotonic()
        self._on = _terminal() and (duration_s is None or duration_s > 1)

    def show(self, left_s: float | None) -> None:
        if not self._on:
            return
        passed = time.monotonic() - self._began
        if left_s is None or self._duration_s is None:
            text = f"{self._words} {passed:.0f} s (ctrl+c ends)"
        else:
            text = f"{self._words} {_bar(passed / self._duration_s)} {max(0.0, left_s):.0f} s"
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
