"""When anybody looked: it tells a column in which nothing happened from one of which nothing is known."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.tui.attached import COLLECTORS, health_of

_APART_NS: Final = 5_000_000_000
"""Readings of the host that are further apart have a time between them in which nobody looked."""
_KEPT: Final = 256
"""Stretches of a kind; the oldest go."""


class Stretches(NamedTuple):
    """Stretches of time, Unix nanoseconds, in order: where each begins, and where it ends."""

    starts: list[int]
    ends: list[int]

    def reach(self, start_ns: int, end_ns: int) -> bool:
        """Whether any of them has something in common with this one."""
        at = bisect.bisect_right(self.ends, start_ns)
        return at < len(self.starts) and self.starts[at] < end_ns


def between(times_ns: Sequence[int]) -> Stretches:
    """The time between readings, unless these are much further apart than most. times_ns: sorted."""
    found = Stretches([], [])
    gaps = sorted(b - a for a, b in pairwise(times_ns))
    apart = max(_APART_NS, 3 * gaps[len(gaps) // 2]) if gaps else _APART_NS
    for at in times_ns:
        if found.ends and at - found.ends[-1] <= apart:
            found.ends[-1] = at + 1
        else:
            found.starts.append(at)
            found.ends.append(at + 1)
    return found


class Watched:
    """When each kind's collector ran, as far as it was seen; of a live session."""

    def __init__(self) -> None:
        self._ran: dict[Kind, Stretches] = {}
        self._last: dict[Kind, int] = {}

    def note(self, health: Sequence[Health], now_ns: int) -> None:
        """What runs now. A collector that ran at the last note as well has run since."""
        for kind in COLLECTORS:
            one = health_of(kind, health)
            if one is None or one.state is not State.RUNNING:
                self._last.pop(kind, None)
                continue
            ran = self._ran.setdefault(kind, Stretches([], []))
            if kind in self._last and ran.ends:
                ran.ends[-1] = max(ran.ends[-1], now_ns)
            else:
                ran.starts.append(now_ns)
                ran.ends.append(now_ns)
                del ran.starts[:-_KEPT], ran.ends[:-_KEPT]
            self._last[kind] = now_ns

    def ran(self, kind: Kind, start_ns: int, end_ns: int) -> bool:
        """Whether it ran in some of this time. Samples are taken from the beginning on."""
        return kind is Kind.CPU or (kind in self._ran and self._ran[kind].reach(start_ns, end_ns))
