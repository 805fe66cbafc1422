"""From a store's latencies to the rows of a table: what ended, what goes on, who held and who woke."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.tui.model import Latencies, LatencyKey, LatencyLine

if TYPE_CHECKING:
    from aperture_tui.store.base import Store
    from aperture_tui.tui.recent import Recent

SHOWN: Final = 500
_BEST: Final = 50
_SIDES: Final = 8
"""Holders and wakers of one lock that are told."""
_KERNEL: Final = 1 << 63
"""Addresses from here on are the kernel's, and the same in all processes."""
_RECENT_NS: Final = 3_000_000_000

Sides = dict[tuple[int, int, int], tuple[tuple[int, int], ...]]
"""By the lock, as `_place` has it: (tid, how often), most first."""


def latencies(store: Store, query: Query, recent: Recent[LatencyKey]) -> Latencies:
    """All rows of a query for events of one's own. Asks the store up to four times."""
    query = replace(query, measure=Measure.TIME)
    told = store.latencies(query)
    in_flight = store.latencies(replace(query, role=Role.IN_FLIGHT))
    holders: Sides = {}
    wakers: Sides = {}
    if query.kind is Kind.LOCK:
        since = min(query.start_ns or 0, min((_began(one, query) for one in in_flight), default=query.start_ns or 0))
        holders = _sides(store, replace(query, role=Role.HOLDER, start_ns=max(0, since)))
        wakers = _sides(store, replace(query, role=Role.WAKER))
    going = {key_of(one): one for one in in_flight}
    shown = _shown(told, going)
    left_out = len(told) - len(shown)
    keys = {key_of(one) for one in shown}
    shown += [_nothing_ended(one) for key, one in going.items() if key not in keys]
    lines = (
        LatencyLine(
            key := key_of(one),
            one,
            going.get(key),
            recent[key],
            holders.get(_place(one), ()),
            wakers.get(_place(one), ()),
        )
        for one in shown
    )
    return Latencies(tuple(lines), sum(one.time_ns for one in told), sum(one.count for one in told), left_out)


def _shown(told: list[Latency], going: dict[LatencyKey, Latency]) -> list[Latency]:
    """Those with the most time, the first ones by whatever else the table may be sorted by, and what goes on."""
    if len(told) <= SHOWN:
        return list(told)
    best = set(range(SHOWN))
    for of in (attrgetter("count"), attrgetter("errors"), attrgetter("maximum_ns")):
        best.update(nlargest(_BEST, range(len(told)), key=lambda i, of=of: of(told[i])))  # type: ignore[misc]
    best.update(i for i, one in enumerate(told) if key_of(one) in going)
    return [told[i] for i in sorted(best)]


def rates(store: Store, query: Query, end_ns: int) -> dict[LatencyKey, float]:
    """How many there were a second, up to a moment and no earlier than the query begins."""
    start = max(query.start_ns or 0, end_ns - _RECENT_NS)
    last = store.latencies(replace(query, start_ns=start, end_ns=end_ns + 1))
    seconds = max(end_ns - start, 1_000_000_000) / 1e9
    return {key_of(one): one.count / seconds for one in last[:SHOWN]}


def key_of(one: Latency) -> LatencyKey:
    """The row that it belongs to, where threads are not told apart."""
    return LatencyKey(one.pid, one.start_ns, one.name, one.value, process="" if one.pid else one.process)


def of_lock(query: Query, lock: LatencyKey) -> Query:
    """The events of one lock alone. Whoever wakes or holds need not be of the process that waits."""
    query = replace(query, value=lock.value, pids=(), process_start_ns=None, process=None)
    query = replace(query, name=lock.name) if query.role is Role.OWN else query.of_anybody()
    if query.role is not Role.OWN and lock.value >= _KERNEL:
        return query
    if not lock.pid:
        return replace(query, process=lock.process)
    return replace(query, pids=(lock.pid,), process_start_ns=lock.start_ns)


def _began(in_flight: Latency, query: Query) -> int:
    """When the oldest of them began to wait: who held the lock was told then."""
    return (query.end_ns or 0) - in_flight.maximum_ns - _RECENT_NS


def _nothing_ended(in_flight: Latency) -> Latency:
    return Latency(in_flight.pid, in_flight.start_ns, in_flight.process, in_flight.name, in_flight.value)


def _place(one: Latency) -> tuple[int, int, int]:
    """Where a lock is: in one process, or in the kernel."""
    return (0, 0, one.value) if one.value >= _KERNEL else (one.pid, one.start_ns, one.value)


def _sides(store: Store, query: Query) -> Sides:
    """Who was on the other side of the waits for each lock."""
    query = query.of_anybody()  # a kernel lock may be held by another
    found: defaultdict[tuple[int, int, int], dict[int, int]] = defaultdict(dict)
    for one in store.latencies(replace(query, group=Group.THREAD, measure=Measure.COUNT)):
        if one.tid:
            threads = found[_place(one)]
            threads[one.tid] = threads.get(one.tid, 0) + one.count
    return {place: _most(threads) for place, threads in found.items()}


def _most(threads: dict[int, int]) -> tuple[tuple[int, int], ...]:
    def order(item: tuple[int, int]) -> tuple[int, int]:
        return -item[1], item[0]

    return tuple(sorted(threads.items(), key=order)[:_SIDES])
