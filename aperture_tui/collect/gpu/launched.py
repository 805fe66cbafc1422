"""Where a GPU's work was launched: calls, by correlation, joined with stacks that were taken of their threads.

A stack is known of a call in one of three ways; the first that there is counts:

- EXACT: it was taken while the call lasted, by a probe in the driver or because a sample of the CPU fell into it.
- ALIKE: that of the nearest launch of the same kernel, shape, stream and thread whose stack is known exactly. Which
  launches are caught is chance, in proportion to the time that they take, so that over many the places that they come
  from have their shares. An estimate.
- NEAR: the functions that the thread was in both at the sample before the call and at that after it. An estimate too:
  whatever returned and was called again in between is not seen.

Pure functions over arrays; what is remembered is bounded, and owned by the collecting thread.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class How(enum.IntEnum):
    """How the stack of a launch is known."""

    UNKNOWN = 0
    EXACT = 1
    ALIKE = 2
    NEAR = 3


LAUNCH: Final = np.dtype(
    [
        *((name, "<u8") for name in ("stack", "other", "call")),
        *((name, "<u4") for name in ("correlation", "tid", "flags", "how")),
    ]
)
"""One call: the hash of its stack, of NEAR that before it, and the other one after it; the number of its name."""
_ROOM: Final = 1 << 16
"""Calls that are remembered of a process: with what is launched and waits, no GPU's queues are that long. 3 MB."""
_ALIKE_NS: Final = 50_000_000
"""How far away a launch may be that is like another one. Where launches take much of a thread's time,
one is caught more often than that; where they take little, the few that are caught must not speak for all."""
_ALIKE_ROOM: Final = 1 << 14
_THREADS: Final = 1 << 22
"""Linux numbers threads below this."""
_SHIFT: Final = np.uint64(42)
_LAST: Final = (1 << 42) - 2
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


class Around(NamedTuple):
    """Of each of n spans the last moment before it, the first in it, the first after it; (n,) indices, -1 for none."""

    before: NDArray[np.intp]
    within: NDArray[np.intp]
    after: NDArray[np.intp]


def around(
    of: NDArray[np.integer],
    times_ns: NDArray[np.uint64],
    whose: NDArray[np.integer],
    start_ns: NDArray[np.uint64],
    end_ns: NDArray[np.uint64],
) -> Around:
    """Moments about spans of the same thread. of, times_ns: (m,), ordered by both; of and whose are below 1 << 22."""
    n, none = len(of), np.full(len(whose), -1, np.intp)
    if not n:
        return Around(none, none, none)
    base = np.int64(times_ns.min()) - 1
    keys = _key(of, times_ns, base)
    first = np.searchsorted(keys, _key(whose, start_ns, base), "left")
    past = np.searchsorted(keys, _key(whose, end_ns, base), "right")
    has_before = (first > 0) & (of[first - 1] == whose)
    has_after = (past < n) & (of[np.minimum(past, n - 1)] == whose)
    return Around(np.where(has_before, first - 1, -1), np.where(first < past, first, -1), np.where(has_after, past, -1))


def _key(of: NDArray[np.integer], times_ns: NDArray[np.uint64], base: np.int64) -> NDArray[np.uint64]:
    since = np.clip(times_ns.astype(np.int64) - base, 0, _LAST).astype(np.uint64)
    out: NDArray[np.uint64] = of.astype(np.uint64) << _SHIFT | since
    return out


def located(calls: NDArray[np.void], moments: NDArray[np.void], near_ns: int) -> NDArray[np.void]:
    """(n,) of LAUNCH: what moments say of calls: EXACT, NEAR or UNKNOWN.

    calls: rows of wire.CALL; moments: of recent.MOMENT, by thread and time; both of one clock. near_ns: how far from a
    call the samples about it may be.
    """
    out = np.zeros(len(calls), LAUNCH)
    out["correlation"], out["tid"], out["call"] = calls["correlation"], calls["tid"], calls["name"]
    if not len(moments):
        return out
    whose = np.where(calls["tid"] < _THREADS, calls["tid"], 0)
    found = around(moments["tid"], moments["time_ns"], whose, calls["start_ns"], calls["end_ns"])
    times = moments["time_ns"].astype(np.int64)
    before_ns = calls["start_ns"].astype(np.int64) - times[found.before]
    after_ns = times[found.after] - calls["end_ns"].astype(np.int64)
    near = (found.before >= 0) & (found.after >= 0) & (before_ns <= near_ns) & (after_ns <= near_ns)
    for how, which, at in ((How.NEAR, near, found.before), (How.EXACT, found.within >= 0, found.within)):
        out["how"][which] = how
        out["stack"][which], out["flags"][which] = moments["stack"][at[which]], moments["flags"][at[which]]
    both = out["how"] == How.NEAR
    out["other"][both] = moments["stack"][found.after[both]]
    return out


class Launches:
    """The newest calls of a process, by correlation."""

    def __init__(self) -> None:
        self._rows = np.zeros(_ROOM, LAUNCH)

    def learn(self, launches: NDArray[np.void]) -> None:
        """Remember these: (n,) of LAUNCH."""
        self._rows[launches["correlation"] & np.uint32(_ROOM - 1)] = launches

    def of(self, correlation: NDArray[np.uint32]) -> NDArray[np.void]:
        """(n,) of LAUNCH: zeros where the call has not been told, or so long ago that it is forgotten."""
        out: NDArray[np.void] = self._rows[correlation & np.uint32(_ROOM - 1)]
        out[out["correlation"] != correlation] = np.zeros((), LAUNCH)
        return out


class Likeness:
    """Launches of which the stack is known exactly, by what they have in common with others."""

    def __init__(self) -> None:
        self._known = np.zeros(0, [("likeness", "<u8"), ("time_ns", "<u8"), ("stack", "<u8"), ("flags", "<u4")])

    def lend(
        self, launches: NDArray[np.void], likeness: NDArray[np.uint64], time_ns: NDArray[np.uint64]
    ) -> NDArray[np.void]:
        """The same launches, those without an exact stack with that of the nearest one like them: (n,) of LAUNCH."""
        exact = launches["how"] == How.EXACT
        fresh = np.zeros(int(np.count_nonzero(exact)), self._known.dtype)
        fresh["likeness"], fresh["time_ns"] = likeness[exact], time_ns[exact]
        fresh["stack"], fresh["flags"] = launches["stack"][exact], launches["flags"][exact]
        self._known = np.concatenate((self._known, fresh))
        if len(time_ns):
            newest = int(time_ns.max())
            self._known = self._known[self._known["time_ns"].astype(np.int64) > newest - 2 * _ALIKE_NS][-_ALIKE_ROOM:]
        at = self._nearest(likeness, time_ns)
        lent = ~exact & (at >= 0)
        out = launches.copy()
        out["stack"][lent], out["flags"][lent] = self._known["stack"][at[lent]], self._known["flags"][at[lent]]
        out["how"][lent] = How.ALIKE
        return out

    def _nearest(self, likeness: NDArray[np.uint64], time_ns: NDArray[np.uint64]) -> NDArray[np.intp]:
        """(n,): which of the known is the nearest of each, -1 for none within _ALIKE_NS."""
        names, of = np.unique(self._known["likeness"], return_inverse=True)
        if not len(names):
            return np.full(len(likeness), -1, np.intp)
        order = np.lexsort((self._known["time_ns"], of))
        times = self._known["time_ns"][order]
        place = np.minimum(np.searchsorted(names, likeness), len(names) - 1)
        found = around(of[order], times, place, time_ns, time_ns)
        signed, mine = times.astype(np.int64), time_ns.astype(np.int64)
        far = np.int64(_ALIKE_NS + 1)
        before = np.where(found.before >= 0, mine - signed[found.before], far)
        after = np.where(found.after >= 0, signed[found.after] - mine, far)
        best = np.where(found.within >= 0, found.within, np.where(before <= after, found.before, found.after))
        near = (found.within >= 0) | (np.minimum(before, after) <= _ALIKE_NS)
        return np.where(near & (names[place] == likeness), order[best], -1)


def likeness(rows: NDArray[np.void], tids: NDArray[np.uint32], columns: Sequence[str]) -> NDArray[np.uint64]:
    """(n,): a number that is the same of launches by the same thread with the same in these columns."""
    out = tids.astype(np.uint64)
    for column in columns:
        out = (out ^ (out >> np.uint64(29)) ^ rows[column].astype(np.uint64)) * _ODD
    return out
