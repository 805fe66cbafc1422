"""Events summed by process, name and value, with their histograms. Pure; nothing is done event by event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import Flag, Kind, Role
from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.store.compaction import BY_BUCKET, NO_BUCKET, shortest
from aperture_tui.store.groups import Groups, buckets_of, grouped
from aperture_tui.store.processes import names_alone
from aperture_tui.store.selection import LONGEST_NS, measured

if TYPE_CHECKING:
    from aperture_tui.profile.symbols import Symbols

_CHUNK: Final = 1 << 15  # groups whose histograms are in memory as an array at the same time: 12 MB

_U64 = NDArray[np.uint64]
_Ints = NDArray[np.int64]


def latencies(symbols: Symbols, events: NDArray[np.void], query: Query) -> list[Latency]:
    """One entry for every (process, name, value), and thread if the query asks for threads; most first by its measure.

    events: (n,) of EVENT, those that the query selects. Equal ones come by pid, start, name, value and thread.
    Processes of which only the name is known are told apart by that.
    """
    if not len(events):
        return []
    pid, name, value, tid = (np.ascontiguousarray(events[column]) for column in ("pid", "name", "value", "tid"))
    start = symbols.processes["start_ns"][events["process"]]
    groups = grouped([pid, start, names_alone(symbols, events), name, value, *[tid] * (query.group is Group.THREAD)])
    weights, times = measured(events, Measure.COUNT), measured(events, Measure.TIME)
    longest = np.minimum(events["maximum_ns"], np.uint64(LONGEST_NS))
    buckets = buckets_of(longest)
    counts, sums = groups.sums(weights), groups.sums(times)
    tids, threads = _threads(groups, tid, times, longest if query.role is Role.IN_FLIGHT else None)
    minima, exact = _shortest(groups, events, query)
    histograms = _histograms(groups, buckets, weights)
    outcomes = _outcomes(groups, events["aux"], weights) if query.kind in BY_BUCKET else {}
    pid, start, name, value = (column[groups.first] for column in (pid, start, name, value))
    by = counts if query.measure is Measure.COUNT else sums
    order = np.lexsort((tids, value, _ranks(symbols, name), start, pid, -by))
    at = order.tolist()
    return list(
        map(
            Latency,
            pid[order].tolist(),
            start[order].tolist(),
            _process_names(symbols, groups, events, order),
            (symbols.strings[i] for i in name[order].tolist()),
            value[order].tolist(),
            tids[order].tolist(),
            threads[order].tolist(),
            counts[order].tolist(),
            sums[order].tolist(),
            minima[order].tolist(),
            exact[order].tolist(),
            groups.most(longest)[order].tolist(),
            (histograms[i] for i in at),
            (outcomes.get(i, {}) for i in at),
            _at_least(groups, events["flags"], query)[order].tolist(),
        )
    )


def _histograms(groups: Groups, buckets: NDArray[np.intp], weights: _Ints) -> list[tuple[int, ...]]:
    """BUCKETS counts for each group; an event counts in the bucket of the longest in it."""
    out: list[tuple[int, ...]] = []
    for begin in range(0, groups.n, _CHUNK):
        n = min(_CHUNK, groups.n - begin)
        of = groups.of - begin
        events = np.flatnonzero((of >= 0) & (of < n)) if n < groups.n else slice(None)
        sums = np.zeros(n * BUCKETS, np.int64)
        np.add.at(sums, of[events] * BUCKETS + buckets[events], weights[events])
        out += map(tuple, sums.reshape(n, BUCKETS).tolist())
    return out


def _shortest(groups: Groups, events: NDArray[np.void], query: Query) -> tuple[_U64, NDArray[np.bool_]]:
    """(g,), (g,): the shortest duration and True, or what it is at least and False."""
    alone, many = shortest(events, query)
    exact = np.full(groups.n, LONGEST_NS, np.uint64)
    np.minimum.at(exact, groups.of, alone)
    least = np.full(groups.n, NO_BUCKET, np.intp)
    np.minimum.at(least, groups.of, many)
    one = np.where(exact < LONGEST_NS, buckets_of(exact), NO_BUCKET)
    known = one + (query.kind is not Kind.LOCK) <= least
    floor = np.where(least > 0, np.int64(1) << np.maximum(least, 0), 0).astype(np.uint64)
    return np.where(known, exact, floor), known


def _threads(groups: Groups, tids: NDArray[np.uint32], times: _Ints, ages: _U64 | None) -> tuple[_Ints, _Ints]:
    """(g,), (g,): the thread with the most time, of ages the one with the greatest; and how many threads there are.

    Of equal ones the lowest.
    """
    main = np.zeros(groups.n, np.int64)
    if not tids.any():
        return main, main
    pairs = grouped([groups.of, tids])
    group, tid = groups.of[pairs.first], tids[pairs.first].astype(np.int64)
    part = pairs.sums(times) if ages is None else pairs.most(ages).astype(np.int64)
    largest = np.zeros(groups.n, np.int64)
    np.maximum.at(largest, group, part)
    main[:] = np.iinfo(np.int64).max
    chosen = part == largest[group]
    np.minimum.at(main, group[chosen], tid[chosen])
    return main, np.bincount(group[tid > 0], minlength=groups.n)


def _outcomes(groups: Groups, errnos: NDArray[np.uint32], weights: _Ints) -> dict[int, dict[int, int]]:
    """Group -> errno -> how many failed with it; nothing for a group without failures."""
    failed = np.flatnonzero(errnos)
    if not len(failed):
        return {}
    of, codes = groups.of[failed], errnos[failed]
    pairs = grouped([of, codes])
    out: dict[int, dict[int, int]] = {}
    for group, errno, n in zip(
        of[pairs.first].tolist(), codes[pairs.first].tolist(), pairs.sums(weights[failed]).tolist(), strict=True
    ):
        if n:
            out.setdefault(group, {})[errno] = n
    return out


def _at_least(groups: Groups, flags: NDArray[np.uint16], query: Query) -> NDArray[np.bool_]:
    """(g,): whether something of it was in flight before anybody looked."""
    out = np.zeros(groups.n, bool)
    if query.role is Role.IN_FLIGHT:
        out[groups.of[flags & np.uint16(Flag.TRUNCATED) > 0]] = True
    return out


def _process_names(
    symbols: Symbols, groups: Groups, events: NDArray[np.void], order: NDArray[np.intp]
) -> Iterator[str]:
    """For the groups in this order: what their newest event calls the process."""
    times = np.ascontiguousarray(events["time_ns"])
    newest = np.flatnonzero(times == groups.most(times)[groups.of])
    rows = np.zeros(groups.n, np.uint32)
    rows[groups.of[newest]] = events["process"][newest]
    names = {row: symbols.process_at(row).name for row in np.unique(rows).tolist()}
    return (names[row] for row in rows[order].tolist())


def _ranks(symbols: Symbols, names: NDArray[np.uint32]) -> NDArray[np.intp]:
    """(g,): the place of each name, a string's id, among all of them in alphabetical order."""
    ids, which = np.unique(names, return_inverse=True)
    texts = [symbols.strings[i] for i in ids.tolist()]
    rank = np.empty(len(texts), np.intp)
    rank[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return rank[which]
