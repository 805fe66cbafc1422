"""What our programs take of the kernel's time: part of our own cost.

The kernel times every program while anybody has its statistics on, which costs each run some 48 ns: nothing beside a
stack, as much as the program itself at a system call. While programs of that sort are attached, the statistics are on
for one drain in EVERY, and the time in between is taken to have been like it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aperture_tui.collect import bpf

_READ_S: Final = 0.9
EVERY: Final = 32
"""Drains of which one is timed, where timing is dear."""


@dataclass(slots=True)
class _Followed:
    """Programs under one name. counted_ns: what the kernel had counted when it was last read; ns: in all, part of it
    estimated; rate: ns a second, when they were last timed; None: they were not yet."""

    programs: Sequence[int]
    counted_ns: int
    ns: int = 0
    rate: float | None = None


class RunTimes:
    """Owned by the collecting thread. clock: seconds, only moves forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._statistics: int | None = None
        self._refused = False
        self._followed: dict[str, _Followed] = {}
        self._drains = 0
        self._read_at = clock()

    def follow(self, name: str, programs: Sequence[int]) -> None:
        """Add the time of these programs, by descriptor, from now on to what the name had before."""
        before = self._followed.get(name)
        self._followed[name] = _Followed(programs, _counted(programs), before.ns if before else 0)
        self._drains = 0  # timed at once: nothing is known of them

    def leave(self, name: str) -> None:
        """The programs are going to be closed; what they took stays."""
        if name in self._followed:
            self._read()
            self._followed[name].programs = ()

    def drain(self, dear: bool) -> None:
        """At every drain. dear: programs are attached that are run too often to time all their runs."""
        if not dear and self._statistics is not None and self._clock() - self._read_at < _READ_S:
            return  # all of it is timed: it need not be read more often than it is told
        self._read()
        timed = not dear or self._drains % EVERY == 0
        self._drains += 1
        if timed and self._statistics is None and not self._refused:
            self._statistics = bpf.enable_statistics()
            self._refused = self._statistics is None
            for one in self._followed.values():
                one.counted_ns = _counted(one.programs)  # somebody else may have had them timed meanwhile
        elif not timed:
            self.close()

    def _read(self) -> None:
        """Take in the time since the last reading: as the kernel has timed it, or at the rate of when it last did."""
        now = self._clock()
        passed, self._read_at = now - self._read_at, now
        for one in self._followed.values():
            if not one.programs:
                continue
            timed = self._statistics is not None and passed > 0
            if timed:
                counted = _counted(one.programs)
                one.ns += counted - one.counted_ns
                one.rate, one.counted_ns = (counted - one.counted_ns) / passed, counted
            elif one.rate is not None:
                one.ns += int(one.rate * passed)

    def ns(self, name: str) -> int | None:
        """Run time so far; None where the kernel does not tell, or has not yet."""
        one = self._followed.get(name)
        return one.ns if one is not None and (one.rate is not None or one.ns) else None

    def total_ns(self) -> int | None:
        """Of all of them together; None where nothing is known."""
        known = [ns for name in self._followed if (ns := self.ns(name)) is not None]
        return sum(known) if known else None

    def close(self) -> None:
        """Turn the statistics off."""
        if self._statistics is not None:
            os.close(self._statistics)
            self._statistics = None


def _counted(programs: Sequence[int]) -> int:
    return sum(bpf.run_time_ns(fd)[0] for fd in programs)
