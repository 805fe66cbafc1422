"""The events of an interval as fewer events: alike ones become one. Pure; nothing is done event by event.

Trees, processes, completeness and histograms stay what they were. What is lost: when in the interval each event was,
on which CPU if on several, and in part how long the shortest took (`condensed`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from aperture_tui.profile.query import Measure
from aperture_tui.store.compaction import WHOLE
from aperture_tui.store.groups import Groups, buckets_of, grouped
from aperture_tui.store.selection import LONGEST_NS, measured
from aperture_tui.store.slices import joined, taken

_SUMMED: Final = (Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK)
"""Kinds whose events may be summed; of the others each is an execution of its own."""
_COLUMNS: Final = (*(name for name in WHOLE if name != "bucket"), "kind")
_MOST_WEIGHT: Final = (1 << 32) - 1
_MOST_NS: Final = LONGEST_NS / 2  # half of what is believed of one record: a float64 estimates the sum

# Of the events of equal columns those with the same of these are summed.
_ALIKE, _ONE, _NONE = 0, 1, 2

_Mask = NDArray[np.bool_]


def condensed(events: NDArray[np.void], resolution_ns: int | None = None) -> NDArray[np.void]:
    """The same events, (n,) of EVENT with ids of one Symbols, as (m,) of EVENT, in no particular order.

    Events that are equal in all columns of compaction.WHOLE and in their kind become one, with the time of
    the newest; but those whose sum has no room in a record stay. resolution_ns: only events within the same multiple
    of it.

    Of waits for locks (Role.OWN) a record of one tells the shortest, whatever is beside it (compaction.shortest); so of
    alike ones the shortest stays a record of one, and is exactly known. That of calls, which a record of one does not
    tell beside one of many in its bucket, may from now on be known no better than by its power of two; and that of what
    is not made by bucket not at all. Of what is in flight only the newest word is kept.
    """
    if not len(events):
        return events
    slot = events["time_ns"] // np.uint64(resolution_ns) if resolution_ns else np.zeros(len(events), np.uint64)
    role = events["flags"] >> np.uint16(ROLE_SHIFT) & np.uint16(3)
    going = role == Role.IN_FLIGHT
    summed = np.isin(events["kind"], _SUMMED) & ~going
    kept = taken(events, ~summed & (~going | _newest_words(events, slot, going)))
    if not summed.any():
        return kept
    return joined([_summed(taken(events, summed), slot[summed], role[summed] == Role.OWN), kept])


def _newest_words(events: NDArray[np.void], slot: NDArray[np.uint64], going: _Mask) -> _Mask:
    """(n,): what was told last, by kind and slot, of what is in flight."""
    out = np.zeros(len(events), bool)
    rows = np.flatnonzero(going)
    if len(rows):
        times = events["time_ns"][rows]
        groups = grouped([events["kind"][rows], slot[rows]])
        out[rows[times == groups.most(times)[groups.of]]] = True
    return out


def _summed(events: NDArray[np.void], slot: NDArray[np.uint64], own: _Mask) -> NDArray[np.void]:
    """Alike events, (n,) of EVENT, as one. slot: (n,), what is never summed with another."""
    longest = np.minimum(events["maximum_ns"], np.uint64(LONGEST_NS))
    alike = grouped([*(np.ascontiguousarray(events[name]) for name in _COLUMNS), buckets_of(longest), slot])
    sort = np.full(len(events), _ALIKE, np.intp)
    sort[_shortest(alike, longest, own & (events["kind"] == Kind.LOCK) & (events["weight"] == 1))] = _ONE
    sort[events["weight"] == 0] = _NONE  # or the sum of none and one would pass for one
    groups = grouped([alike.of, sort])
    out = _sums(events, groups)
    # that of all alike ones: a range of time has all of them or none
    newest = alike.most(np.ascontiguousarray(events["time_ns"]))
    out["time_ns"] = newest[alike.of[groups.first]]
    fits = _fits(events, groups)
    return out if fits.all() else joined([taken(out, fits), taken(events, ~fits[groups.of])])


def _shortest(alike: Groups, longest: NDArray[np.uint64], ones: _Mask) -> NDArray[np.intp]:
    """The place of the shortest of these, (n,), in each group that has some: (m,)."""
    rows = np.flatnonzero(ones)
    group = alike.of[rows]
    order = np.lexsort((longest[rows], group))
    first = np.append(True, np.diff(group[order]) != 0)[: len(order)]
    out: NDArray[np.intp] = rows[order[first]]
    return out


def _sums(events: NDArray[np.void], groups: Groups) -> NDArray[np.void]:
    """Each group as one record: (g,) of EVENT; what does not fit is nonsense."""
    out = events[groups.first]
    out["weight"] = groups.sums(events["weight"].astype(np.int64)).astype(np.uint32)
    out["duration_ns"] = groups.sums(_durations(events)).astype(np.uint64)
    out["maximum_ns"] = groups.most(np.ascontiguousarray(events["maximum_ns"]))
    out["cpu"][groups.of[events["cpu"] != out["cpu"][groups.of]]] = 0
    return out


def _fits(events: NDArray[np.void], groups: Groups) -> _Mask:
    """(g,): whether the sums have room in a record."""
    weight = groups.sums(events["weight"].astype(np.int64))
    estimate = np.bincount(groups.of, _durations(events).astype(np.float64), groups.n)
    return (weight <= _MOST_WEIGHT) & (estimate < _MOST_NS)


def _durations(events: NDArray[np.void]) -> NDArray[np.int64]:
    return measured(events, Measure.TIME)
