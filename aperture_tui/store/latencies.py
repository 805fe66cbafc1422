"""Events summed by process, name and value, with their histograms. Pure; nothing is done event by event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import Flag, Kind, Role
from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.selection import LONGEST_NS, measured

if TYPE_CHECKING:
    from aperture_tui.profile.symbols import Symbols

_BY_BUCKET: Final = (Kind.SYSCALL, Kind.LOCK)
"""Kinds whose events of Role.OWN are each of one bucket and of one outcome, whose errno is in `aux`."""
_CHUNK: Final = 1 << 15  # groups whose histograms are in memory as an array at the same time: 12 MB
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)

_U64 = NDArray[np.uint64]
_Ints = NDArray[np.int64]


class _Groups(NamedTuple):
    """Rows in groups. of: (n,), the group of each row. first: (g,), a row of each group."""

    of: NDArray[np.intp]
    first: NDArray[np.intp]

    @property
    def n(self) -> int:
        return len(self.first)

    def sums(self, values: _Ints) -> _Ints:
        """(g,), exact."""
        out = np.zeros(self.n, np.int64)
        np.add.at(out, self.of, values)
        return out

    def most(self, values: _U64) -> _U64:
        """(g,): the greatest of each group."""
        out = np.zeros(self.n, np.uint64)
        np.maximum.at(out, self.of, values)
        return out


def latencies(symbols: Symbols, events: NDArray[np.void], query: Query) -> list[Latency]:
    """One entry for every (process, name, value), and thread if the query asks for threads; most first by its measure.

    events: (n,) of EVENT, those that the query selects. Equal ones come by pid, start, name, value and thread.
    """
    if not len(events):
        return []
    pid, name, value, tid = (np.ascontiguousarray(events[column]) for column in ("pid", "name", "value", "tid"))
    start = symbols.processes["start_ns"][events["process"]]
    groups = _grouped([pid, start, name, value, *[tid] * query.threads])
    weights, times = measured(events, Measure.COUNT), measured(events, Measure.TIME)
    longest = np.minimum(events["maximum_ns"], np.uint64(LONGEST_NS))
    buckets = _buckets(longest)
    counts, sums = groups.sums(weights), groups.sums(times)
    tids, threads = _threads(groups, tid, times, longest if query.role is Role.IN_FLIGHT else None)
    minima, exact = _shortest(groups, longest, buckets, weights, query)
    histograms = _histograms(groups, buckets, weights)
    outcomes = _outcomes(groups, events["aux"], weights) if query.kind in _BY_BUCKET else {}
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


def _grouped(columns: Sequence[NDArray[np.integer]]) -> _Groups:
    """The rows, (n,) in each column, by what stands in all columns.

    Sorting is the slow way: every row is compared with one that fell into the same place of a table, and only those
    that differ, whose whole groups found their place taken, are sorted.
    """
    n = len(columns[0])
    mixed = np.zeros(n, np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _ODD
        mixed ^= mixed >> _HALF
    bits = n.bit_length() + 1
    place = (mixed >> np.uint64(64 - bits)).astype(np.intp)
    table = np.empty(1 << bits, np.intp)
    table[place] = np.arange(n)
    leader = table[place]
    rest = np.flatnonzero(np.logical_or.reduce([column[leader] != column for column in columns]))
    if len(rest):
        rest = rest[np.lexsort([column[rest] for column in columns])]
        first = np.append(True, np.logical_or.reduce([np.diff(column[rest]) != 0 for column in columns]))
        leader[rest] = rest[first][np.cumsum(first) - 1]
    leads = leader == np.arange(n)
    return _Groups((np.cumsum(leads) - 1)[leader], np.flatnonzero(leads))


def _buckets(longest: _U64) -> NDArray[np.intp]:
    """(n,): `profile.latency.bucket` of each."""
    # float64 rounds up to the next power of two from 2**53 on, which is beyond the last bucket
    exponent = np.frexp(np.maximum(longest, 1).astype(np.float64))[1]
    out: NDArray[np.intp] = np.minimum(exponent - 1, BUCKETS - 1).astype(np.intp)
    return out


def _histograms(groups: _Groups, buckets: NDArray[np.intp], weights: _Ints) -> list[tuple[int, ...]]:
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


def _shortest(
    groups: _Groups, longest: _U64, buckets: NDArray[np.intp], weights: _Ints, query: Query
) -> tuple[_U64, NDArray[np.bool_]]:
    """(g,), (g,): the shortest duration and True, or what it is at least and False.

    A record of one event says how long that took. Of waits for locks the shortest is such a record
    (collect/locks.py); of calls a shorter one may be among the many of another record, unless all those are of higher
    buckets; and a record of many that is not made by bucket says nothing of its shortest.
    """
    alone = weights == 1
    none = BUCKETS + 1
    exact = np.full(groups.n, LONGEST_NS, np.uint64)
    np.minimum.at(exact, groups.of[alone], longest[alone])
    one, many = np.full(groups.n, none, np.intp), np.full(groups.n, none, np.intp)
    np.minimum.at(one, groups.of[alone], buckets[alone])
    by_bucket = query.role is Role.OWN and query.kind in _BY_BUCKET
    np.minimum.at(many, groups.of[~alone], buckets[~alone] if by_bucket else -1)
    known = one + (query.kind is not Kind.LOCK) <= many
    floor = np.where(many > 0, np.int64(1) << np.maximum(many, 0), 0).astype(np.uint64)
    return np.where(known, exact, floor), known


def _threads(groups: _Groups, tids: NDArray[np.uint32], times: _Ints, ages: _U64 | None) -> tuple[_Ints, _Ints]:
    """(g,), (g,): the thread with the most time, of ages the one with the greatest; and how many threads there are.

    Of equal ones the lowest.
    """
    main = np.zeros(groups.n, np.int64)
    if not tids.any():
        return main, main
    pairs = _grouped([groups.of, tids])
    group, tid = groups.of[pairs.first], tids[pairs.first].astype(np.int64)
    part = pairs.sums(times) if ages is None else pairs.most(ages).astype(np.int64)
    largest = np.zeros(groups.n, np.int64)
    np.maximum.at(largest, group, part)
    main[:] = np.iinfo(np.int64).max
    chosen = part == largest[group]
    np.minimum.at(main, group[chosen], tid[chosen])
    return main, np.bincount(group[tid > 0], minlength=groups.n)


def _outcomes(groups: _Groups, errnos: NDArray[np.uint32], weights: _Ints) -> dict[int, dict[int, int]]:
    """Group -> errno -> how many failed with it; nothing for a group without failures."""
    failed = np.flatnonzero(errnos)
    if not len(failed):
        return {}
    of, codes = groups.of[failed], errnos[failed]
    pairs = _grouped([of, codes])
    out: dict[int, dict[int, int]] = {}
    for group, errno, n in zip(
        of[pairs.first].tolist(), codes[pairs.first].tolist(), pairs.sums(weights[failed]).tolist(), strict=True
    ):
        if n:
            out.setdefault(group, {})[errno] = n
    return out


def _at_least(groups: _Groups, flags: NDArray[np.uint16], query: Query) -> NDArray[np.bool_]:
    """(g,): whether something of it was in flight before anybody looked."""
    out = np.zeros(groups.n, bool)
    if query.role is Role.IN_FLIGHT:
        out[groups.of[flags & np.uint16(Flag.TRUNCATED) > 0]] = True
    return out


def _process_names(
    symbols: Symbols, groups: _Groups, events: NDArray[np.void], order: NDArray[np.intp]
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
