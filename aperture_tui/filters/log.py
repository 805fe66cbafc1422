"""What a filter says: the newest lines, made safe, and no more of them than anybody could read."""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aperture_tui.filters.abi import LOG_LINES_PER_S
from aperture_tui.filters.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT: Final = 200
_LINE: Final = 1024  # characters


class Level(enum.IntEnum):
    """Of a line, as `aperture.log` numbers them; larger numbers are taken for DEBUG."""

    ERROR = 0
    WARNING = 1
    INFO = 2
    DEBUG = 3


@dataclass(frozen=True, slots=True)
class Line:
    """time_ns: Unix. ours: said of the filter by the profiler, not by its program."""

    time_ns: int
    level: Level
    text: str
    ours: bool = False


class Log:
    """The newest lines of one filter. Any thread may write and read.

    said_ever: lines that its program has had. suppressed: those beyond the rate.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.said_ever = 0
        self.suppressed = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=_KEPT)
        self._second = 0
        self._this_second = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        """Oldest first."""
        with self._lock:
            return tuple(self._lines)

    def admits(self) -> bool:
        """Whether there is room for one more line of the program in this second; if not, it is counted."""
        second = int(self._clock())
        with self._lock:
            if second != self._second:
                self._second, self._this_second = second, 0
            self._this_second += 1
            if self._this_second <= LOG_LINES_PER_S:
                return True
            self.suppressed += 1
            return False

    def said(self, level: int, text: bytes | str) -> None:
        """A line of the program, that was admitted."""
        self.said_ever += 1
        self._add(Level(min(level, Level.DEBUG)), text, False)

    def note(self, level: Level, text: str) -> None:
        """A line of our own; there are few, and none is suppressed."""
        self._add(level, text, True)

    def _add(self, level: Level, text: bytes | str, ours: bool) -> None:
        line = Line(time.time_ns(), level, one_line(text, _LINE), ours)
        with self._lock:
            self._lines.append(line)
