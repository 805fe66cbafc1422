"""What several readers need of the collectors, together."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Wants:
    """tell: given the names of all collectors that somebody needs, whenever one says anew what they need."""

    def __init__(self, tell: Callable[[frozenset[str]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._each: dict[int, frozenset[str]] = {}
        self._readers = 0

    def reader(self) -> Reader:
        """One more, who needs nothing yet."""
        with self._lock:
            self._readers += 1
            return Reader(self, self._readers)

    def note(self, reader: int, events: frozenset[str] | None) -> None:
        """What one needs now; None: it has gone. Any thread."""
        with self._lock:
            if events is None:
                self._each.pop(reader, None)
            else:
                self._each[reader] = events
            self._tell(frozenset().union(*self._each.values()))


class Reader:
    """One who needs something. Any thread."""

    def __init__(self, wants: Wants, number: int) -> None:
        self._wants, self._number = wants, number

    def want(self, events: frozenset[str]) -> None:
        """Need these from now on."""
        self._wants.note(self._number, events)

    def leave(self) -> None:
        """Need nothing any more."""
        self._wants.note(self._number, None)
