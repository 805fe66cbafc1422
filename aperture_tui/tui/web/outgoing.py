"""Output on its way to a browser: bounded, and what cannot be sent in time is left out.

Of each piece that is sent the browser says that it has it (a ping behind it, whose pong comes back: RFC 6455 5.5.3), so
that the buffers between here and there hold no more than a window. Meanwhile output waits here; past a bound it is
thrown away, and once the browser has all that was sent it gets one whole picture: of now, not of then.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, NamedTuple

_WINDOW: Final = 64 << 10
_KEPT: Final = 64 << 10
"""Bytes; about what a whole picture of a large screen has. One write more may be kept."""
_STUCK: Final = 1 << 10
"""Writes that are said to wait while nothing can be sent: more than anybody waits for."""


class Flight(NamedTuple):
    """A piece that is sent. number: what its ping says."""

    number: int
    data: bytes


class Outgoing:
    """One thread writes, another one sends.

    skipped: writes that were thrown away.
    """

    def __init__(self, window: int = _WINDOW, kept: int = _KEPT) -> None:
        self._window, self._kept = window, kept
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._flying: deque[tuple[int, int]] = deque()
        self._flying_bytes = 0
        self._number = 0
        self._incomplete = False
        self.skipped = 0

    def put(self, data: bytes) -> None:
        """Write. Never waits."""
        with self._lock:
            if self._incomplete or self._waiting_bytes > self._kept:
                self.skipped += 1 + len(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0
                self._incomplete = True
            else:
                self._waiting.append(data)
                self._waiting_bytes += len(data)

    def take(self) -> Flight | None:
        """The next piece to send; None while there is nothing, or too much is on its way."""
        with self._lock:
            if not self._waiting or self._flying_bytes >= self._window:
                return None
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._number += 1
            self._flying.append((self._number, len(data)))
            self._flying_bytes += len(data)
            return Flight(self._number, data)

    def arrived(self, number: int) -> None:
        """The browser has this piece, and all before it."""
        with self._lock:
            while self._flying and self._flying[0][0] <= number:
                self._flying_bytes -= self._flying.popleft()[1]

    def wants_whole(self) -> bool:
        """Whether something was thrown away and the way is free again: then a whole picture must be written next."""
        with self._lock:
            if not self._incomplete or self._flying:
                return False
            self._incomplete = False
            return True

    @property
    def waiting(self) -> int:
        """Writes that wait for the browser."""
        with self._lock:
            stuck = self._incomplete or self._flying_bytes >= self._window
            return _STUCK if stuck else len(self._waiting)
