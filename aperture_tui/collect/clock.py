"""The kernel's clocks against Unix time."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Offsets taken once, so that the times of a session stay in order when the wall clock is set.

    monotonic_ns, boottime_ns: what to add to CLOCK_MONOTONIC and CLOCK_BOOTTIME to have Unix nanoseconds.
    """

    monotonic_ns: int
    boottime_ns: int

    @classmethod
    def now(cls) -> Clock:
        """The offsets of this moment, good to about a microsecond."""
        wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
        return cls(
            wall - time.clock_gettime_ns(time.CLOCK_MONOTONIC),
            wall - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )
