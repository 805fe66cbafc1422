"""How long things took: calls and waits of one process under one name, with a histogram of powers of two.

Free of numpy, so that the screens can hold it before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

BUCKETS: Final = 44
"""Bucket i counts what took 2**i to 2**(i+1) - 1 ns; the first has 0 as well, the last (2.4 hours) all beyond."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Events of one process with one name and value. All durations in nanoseconds.

    tid: the thread with the largest part, of events in flight the one that has waited longest; 0 where events are not
    told apart by thread. threads: how many different ones, 0 likewise.
    count, time_ns, maximum_ns: of all events; of those in flight how many, their ages together, the greatest age.
    minimum_ns: exact where `minimum_exact`, else at least that: the lower end of the shortest event's bucket.
    histogram: BUCKETS counts. outcomes: errno -> how many failed with it. at_least: of events in flight, some began
    before anybody looked, so that their ages, and with them time_ns and maximum_ns, are lower bounds.
    """

    pid: int
    start_ns: int
    process: str
    name: str
    value: int = 0
    tid: int = 0
    threads: int = 0
    count: int = 0
    time_ns: int = 0
    minimum_ns: int = 0
    minimum_exact: bool = False
    maximum_ns: int = 0
    histogram: tuple[int, ...] = (0,) * BUCKETS
    outcomes: Mapping[int, int] = field(default_factory=dict)
    at_least: bool = False

    @property
    def errors(self) -> int:
        """All that failed."""
        return sum(self.outcomes.values())

    def quantile(self, q: float) -> int:
        """What this part of the events (0 to 1) took at most, ns; 0 without events."""
        return quantile(self.histogram, q, self.minimum_ns, self.maximum_ns)


def bucket(duration_ns: int) -> int:
    """The bucket of a duration."""
    return min(max(duration_ns, 1).bit_length() - 1, BUCKETS - 1)


def quantile(histogram: Sequence[int], q: float, minimum_ns: int, maximum_ns: int) -> int:
    """Interpolated within its bucket, on the bucket's logarithmic scale, and never beyond the shortest and longest.

    The true value lies in the same bucket: the answer is off by less than a factor of two, or one nanosecond. The last
    bucket has no end but the longest, so there it may be off by more.
    """
    total = sum(histogram)
    passed = 0
    for i, n in enumerate(histogram):
        if n and passed + n >= q * total:
            inside = max(0.0, (q * total - passed) / n)
            last = (2 << i) - 1 if i < BUCKETS - 1 else maximum_ns
            within = min(last, int((1 << i) * ((last + 1) / (1 << i)) ** inside))
            return max(minimum_ns, min(maximum_ns, within))
        passed += n
    return maximum_ns if total else 0
