"""What an aggregator counts of its own doings, since it began."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper ends of the buckets of durations, each inclusive; what took longer is in one more."""


class Durations:
    """How many took how long, by buckets. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._total_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        with self._lock:
            self._counts[bisect_left(BOUNDS_S, seconds)] += 1
            self._total_s += seconds

    def told(self) -> tuple[list[int], float]:
        """How many are in each bucket, those past the last bound at the end; and the seconds of all together."""
        with self._lock:
            return [*self._counts], self._total_s


class Counts:
    """One aggregator's. Belongs to the event loop's thread, but for `inserts`.

    calls: by method and status. took: of calls that are no streams, by method. repeated, incomplete: pushes that were
    stored before, and that name stacks which are not known. stored, events, bytes: of pushes, when they are stored;
    bytes as they came. stored_at: Unix seconds, when a push was stored last; 0 if none was.
    inserts: how long the store took for each batch. failures: tries at storing a batch that failed.
    """

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.took: defaultdict[str, Durations] = defaultdict(Durations)
        self.stored = self.repeated = self.incomplete = 0
        self.events = self.bytes = 0
        self.stored_at = 0.0
        self.inserts = Durations()
        self.failures = 0

    def called(self, method: str, status: str) -> None:
        """A call has ended, or was not let in."""
        self.calls[method, status] += 1

    def kept(self, pushes: int, events: int, data_bytes: int) -> None:
        """A batch is stored."""
        self.stored += pushes
        self.events += events
        self.bytes += data_bytes
        self.stored_at = time.time()
