"""Events summed by process, name and value, with their histograms. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.profile.query import Measure
from aperture_tui.store.selection import measured

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols

IN_FLIGHT_NS: Final = 2_000_000_000
"""How long a word of what is in flight is believed: it is told again every second."""


def latencies(symbols: Symbols, events: NDArray[np.void], query: Query, end_ns: int) -> list[Latency]:
    """One entry for every (process, name, value), and thread if the query asks for threads; most first by its measure.

    events: (n,) of EVENT, those that the query selects. end_ns: of what is in flight, the moment that is asked about.
    """
    if query.role is Role.IN_FLIGHT:
        events = _newest(events, end_ns)
    if not len(events):
        return []
    starts = symbols.processes["start_ns"][events["process"]]
    columns = [events["value"], events["name"], starts, events["pid"]]
    if query.threads:
        columns.insert(0, events["tid"].astype(np.uint64))
    order = np.lexsort(columns)
    first = np.zeros(len(events), bool)
    first[0] = True
    for column in columns:
        ordered = column[order]
        first[1:] |= ordered[1:] != ordered[:-1]
    edges = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    found = [
        _one(symbols, part, start, histogram)
        for part, start, histogram in zip(
            np.split(events[order], edges[1:]),
            starts[order][edges].tolist(),
            _histograms(events[order], group, len(edges)),
            strict=True,
        )
    ]
    by_count = query.measure is Measure.COUNT
    return sorted(found, key=lambda one: (-(one.count if by_count else one.time_ns), one.pid, one.name, one.value))


def _newest(events: NDArray[np.void], end_ns: int) -> NDArray[np.void]:
    """Each process's and name's newest word, if it is new enough to be true."""
    events = events[events["time_ns"] + np.uint64(IN_FLIGHT_NS) >= np.uint64(max(end_ns, 0))]
    return events[events["time_ns"] == events["time_ns"].max(initial=0)] if len(events) else events


def _histograms(events: NDArray[np.void], group: NDArray[np.intp], groups: int) -> list[tuple[int, ...]]:
    """The bucket of an event is that of the longest in it: a record never has more than one bucket's."""
    bucket = np.frexp(np.maximum(events["maximum_ns"], 1).astype(np.float64))[1] - 1
    # float64 rounds up to the next power of two from 2**53 on, which is beyond the last bucket
    place = group * BUCKETS + np.minimum(bucket, BUCKETS - 1)
    sums = np.bincount(place, weights=events["weight"], minlength=groups * BUCKETS).astype(np.int64)
    return [tuple(row) for row in sums.reshape(groups, BUCKETS).tolist()]


def _one(symbols: Symbols, events: NDArray[np.void], start_ns: int, histogram: tuple[int, ...]) -> Latency:
    weights, times = measured(events, Measure.COUNT), measured(events, Measure.TIME)
    newest = events[int(np.argmax(events["time_ns"]))]
    shortest, exact = _shortest(events)
    tids = np.unique(events["tid"][events["tid"] > 0])
    failed = events["aux"] > 0
    codes, which = np.unique(events["aux"][failed], return_inverse=True)
    counts = np.bincount(which, weights=weights[failed]).astype(np.int64)
    return Latency(
        pid=int(newest["pid"]),
        start_ns=start_ns,
        process=symbols.process_at(int(newest["process"])).name,
        name=symbols.strings[int(newest["name"])],
        value=int(newest["value"]),
        tid=_main_thread(events, times),
        threads=len(tids),
        count=int(weights.sum()),
        time_ns=int(times.sum()),
        minimum_ns=shortest,
        minimum_exact=exact,
        maximum_ns=int(events["maximum_ns"].max()),
        histogram=histogram,
        outcomes=dict(zip(codes.tolist(), counts.tolist(), strict=True)),
    )


def _shortest(events: NDArray[np.void]) -> tuple[int, bool]:
    """The shortest event's duration and True, or the lower end of its bucket and False.

    A record of one event says how long that took. Of waits for locks the shortest is always such a record
    (collect/locks.py); of other kinds a shorter one may be among the many of another record.
    """
    alone = events["weight"] == 1
    exact = int(events["maximum_ns"][alone].min(initial=np.iinfo(np.uint64).max))
    among = int(events["maximum_ns"][~alone].min(initial=np.iinfo(np.uint64).max))
    if alone.any() and (events["kind"][0] == Kind.LOCK or exact.bit_length() < among.bit_length()):
        return exact, True
    return (1 << among.bit_length() - 1 if among else 0), False


def _main_thread(events: NDArray[np.void], times: NDArray[np.int64]) -> int:
    tids, which = np.unique(events["tid"], return_inverse=True)
    if len(tids) == 1:
        return int(tids[0])
    return int(tids[int(np.argmax(np.bincount(which, weights=times)))])
