"""The store of a live session or a loaded recording: the newest events of one machine, in memory."""

from __future__ import annotations

import bisect
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Role
from aperture_tui.profile.symbols import FRAME, PROCESS, Remap, Symbols, carry
from aperture_tui.store.base import Span, Timeline
from aperture_tui.store.latencies import latencies
from aperture_tui.store.processes import process_uses
from aperture_tui.store.selection import FrameSearch, event_mask, measured, newest_word, process_rows
from aperture_tui.store.slices import Limits, Slices, joined, taken
from aperture_tui.store.thread_stacks import ThreadStacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse

AHEAD_NS: Final = 10_000_000_000
"""A time further ahead of the clock than this is nonsense."""

_NODE_BYTES: Final = 4 + 4 + 2 + 8 + 4  # a stack node: parent, frame, depth, key, kid
_ROW_BYTES: Final = 150  # measured: what CPython 3.11 takes for a row's tuple of ids and its entry in a dict
_STRING_BYTES: Final = 60  # measured: a string's place in the list, and its entry in a dict


IN_FLIGHT_NS: Final = 2_000_000_000
"""How long a word of what is in flight is believed: it is told again every second."""

_TreeOf = Callable[[NDArray[np.void], NDArray[np.int64]], CallTree]


class _Selected(NamedTuple):
    """The events of a query, (n,) of EVENT, and the tables that their ids point into."""

    symbols: Symbols
    events: NDArray[np.void]


class MemoryStore:
    """A Store over a bounded ring of one-second slices; also a sink.

    One thread appends; any thread asks. A question copies references to the slices under a lock and computes
    outside of it. Events older than what is held are dropped and counted in `span`; an event whose time is nonsense
    (0, or ahead of the clock) goes into the newest slice and is counted in `health`.

    clock gives the Unix nanoseconds now; the default is the wall clock of this moment, going on steadily. recorded:
    the events are of another time, and none before the year 2262 is too far ahead.
    """

    def __init__(
        self, limits: Limits | None = None, clock: Callable[[], int] | None = None, recorded: bool = False
    ) -> None:
        self._slices = Slices(limits or Limits())
        self._clock = None if recorded else clock or _steady_clock()
        self._lock = threading.Lock()
        self._symbols = Symbols()
        self._search = FrameSearch()
        self._by_thread = ThreadStacks(self._symbols)
        self._strings_seen = self._string_bytes = 0
        self._appended = self._clamped = 0
        self._gauges: list[HostSample] = []
        self._health: list[Health] = []
        self._hosts: list[HostFacts] = []

    # -- appending, by one thread

    def append(self, batch: Batch) -> None:
        """Take the events of a batch. A batch of a newer generation of Symbols moves everything held into it."""
        if not len(batch):
            return
        events = batch.events
        if not self._appended or batch.symbols.generation > self._symbols.generation:
            self.rebase(batch.symbols)
        elif batch.symbols is not self._symbols:
            events = _remapped(events, _carried(batch.symbols, self._symbols, [events]))
        events = self._plausible(events)
        with self._lock:
            self._slices.add(events)
            self._appended += len(events)
        self._weigh_strings()

    def rebase(self, symbols: Symbols) -> None:
        """Move what is held into another generation of Symbols, which this thread alone appends to."""
        held = self._slices
        if held.events:
            remap = _carried(self._symbols, symbols, held.all_views())
            held = held.rewritten(lambda events: _remapped(events, remap))
        with self._lock:
            self._slices, self._symbols, self._by_thread = held, symbols, ThreadStacks(symbols)
            self._strings_seen = self._string_bytes = 0
        self._weigh_strings()

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host."""
        with self._lock:
            bisect.insort(self._gauges, sample, key=lambda s: s.time_ns)
            del self._gauges[: -self._slices.limits.gauges]

    def set_health(self, health: Sequence[Health]) -> None:
        """Replace the word of every collector, filter and sink."""
        with self._lock:
            self._health = list(health)

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Say which machine the events are from."""
        with self._lock:
            self._hosts = list(hosts)

    def _plausible(self, events: NDArray[np.void]) -> NDArray[np.void]:
        times = events["time_ns"]
        now = self._clock() if self._clock else None
        ceiling = now + AHEAD_NS if now is not None else (1 << 63) - 1
        odd = (times == 0) | (times > ceiling)
        if not odd.any():
            return events
        newest = max(self._slices.end_ns - 1, int(times[~odd].max(initial=0))) or now or 1
        fixed = events.copy()
        fixed["time_ns"][odd] = newest
        self._clamped += int(np.count_nonzero(odd))
        return fixed

    def _weigh_strings(self) -> None:
        new = self._symbols.strings[self._strings_seen :]
        self._strings_seen += len(new)
        self._string_bytes += sum(map(sys.getsizeof, new)) + len(new) * _STRING_BYTES

    # -- answering, in any thread

    def span(self) -> Span:
        """What is held now."""
        with self._lock:
            s = self._slices
            return Span(
                s.start_ns, s.end_ns, s.events, s.bytes + self._table_bytes(), s.dropped, s.dropped_until_ns, s.limit
            )

    def hosts(self) -> list[HostFacts]:
        """The machine that the events are from, once it is known."""
        with self._lock:
            return list(self._hosts)

    def health(self) -> list[Health]:
        """The newest word of all, and the store's own once it had to drop or to mend something."""
        with self._lock:
            out, late, clamped, appended = list(self._health), self._slices.late, self._clamped, self._appended
            memory = self._slices.bytes + self._table_bytes()
        if late or clamped:
            lost = {"older than what is held": late} if late else {}
            degraded = {"impossible time": clamped} if clamped else {}
            own = Health("store", State.RUNNING, "", appended - late, lost, degraded, memory_bytes=memory)
            out.append(own)
        return out

    def gauges(self, query: Query) -> list[HostSample]:
        """Readings of the host in the query's range, oldest first; no other field narrows them but the host."""
        with self._lock:
            if not self._is_here(query):
                return []
            low = 0 if query.start_ns is None else self._gauge_index(query.start_ns)
            high = len(self._gauges) if query.end_ns is None else self._gauge_index(query.end_ns)
            return self._gauges[low:high]

    def processes(self, query: Query) -> list[ProcessUse]:
        """Processes with events in the query, most first; equal ones by pid."""
        (selected,) = self._select(self._settled(query))
        return process_uses(*selected, query.measure)

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The part of the query's range that is held in equal buckets; the last may reach beyond its end."""
        if buckets < 1:
            raise ValueError("a timeline has at least one bucket")
        span = self.span()
        start = min(max(span.start_ns, query.start_ns or 0), (1 << 63) - 1)
        end = max(start, span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns))
        width = max(1, -(-(end - start) // buckets))
        (selected,) = self._select(query)
        times = selected.events["time_ns"]
        events = taken(selected.events, (times >= start) & (times < end))
        bucket = ((events["time_ns"] - np.uint64(start)) // np.uint64(width)).astype(np.int64)
        weights = np.zeros(buckets, np.int64)
        np.add.at(weights, bucket, measured(events, query.measure))
        return Timeline(start, width, weights)

    def call_tree(self, query: Query) -> CallTree:
        """The stacks of the query with their weights."""
        (selected,) = self._select(self._settled(query))
        return self._tree_of(selected.symbols, query.threads)(selected.events, measured(selected.events, query.measure))

    def completeness(self, query: Query) -> Completeness:
        """How many of the query's events have a whole user stack."""
        query = self._settled(query)
        ((symbols, views),) = self._held(query)
        if not views:
            return Completeness()
        chosen = self._chooser(symbols, query)
        kept = [(view, chosen(view)) for view in views]  # two columns are copied, not whole records
        flags, weight = (np.concatenate([view[column][keep] for view, keep in kept]) for column in ("flags", "weight"))
        return completeness(flags, weight)

    def latencies(self, query: Query) -> list[Latency]:
        """Calls or waits by process, name and value, most first by the measure."""
        (selected,) = self._select(self._settled(query))
        return latencies(*selected, query)

    def diff(self, base: Query, after: Query) -> CallTree:
        """Weights of `after` less those of `base`."""
        if base.threads != after.threads:
            raise ValueError("stacks by thread differ from all others")
        before, now = self._select(self._settled(base), self._settled(after))
        tree = self._tree_of(now.symbols, after.threads)
        return tree(now.events, measured(now.events, after.measure)).subtract(
            tree(before.events, measured(before.events, base.measure))
        )

    def _tree_of(self, symbols: Symbols, threads: bool) -> _TreeOf:
        """Sums weights, (n,) int64, of the stacks of events, (n,) of EVENT. All its answers share a trie."""
        if not threads:
            return lambda events, weights: CallTree.of_stacks(symbols, events["stack"], weights)
        with self._lock:
            if symbols is not self._symbols:
                return ThreadStacks(symbols).tree
            if self._by_thread.full:
                self._by_thread = ThreadStacks(symbols)
            return self._by_thread.tree

    def _settled(self, query: Query) -> Query:
        """Of what is in flight the newest word alone: the query narrowed to its moment. Other queries as they are."""
        if query.role is not Role.IN_FLIGHT:
            return query
        with self._lock:
            end = max(self._slices.end_ns, self._gauges[-1].time_ns + 1 if self._gauges else 0)
            end = end if query.end_ns is None else min(end, query.end_ns)
            start = max(end - IN_FLIGHT_NS, query.start_ns or 0)
            views = self._slices.views(query.kind, start, end)
        moment = newest_word(views, start, end)
        return replace(query, start_ns=moment, end_ns=moment + 1 if moment else 0)

    def _select(self, *queries: Query) -> list[_Selected]:
        """The events of each query, all as of one moment. Raises re.error."""
        held = zip(self._held(*queries), queries, strict=True)
        return [_Selected(symbols, self._matching(symbols, joined(views), query)) for (symbols, views), query in held]

    def _held(self, *queries: Query) -> list[tuple[Symbols, list[NDArray[np.void]]]]:
        """All events of the seconds that each query touches, as of one moment. Raises re.error."""
        for query in queries:
            re.compile(query.frame or "")
        with self._lock:
            symbols = self._symbols
            views = [self._slices.views(q.kind, q.start_ns, q.end_ns) if self._is_here(q) else [] for q in queries]
        return [(symbols, v) for v in views]

    def _matching(self, symbols: Symbols, events: NDArray[np.void], query: Query) -> NDArray[np.void]:
        return taken(events, self._chooser(symbols, query)(events)) if len(events) else events

    def _chooser(self, symbols: Symbols, query: Query) -> Callable[[NDArray[np.void]], NDArray[np.bool_]]:
        """Gives for events, (n,) of EVENT, which of them the query selects: (n,) bool."""
        nodes = None if query.frame is None else self._search.nodes(symbols, query.frame)
        rows = process_rows(symbols, query)
        name = None if query.name is None else symbols.known_string(query.name)
        return lambda events: event_mask(events, query, rows, nodes, name)

    def _is_here(self, query: Query) -> bool:
        return query.host is None or any(host.name == query.host for host in self._hosts)

    def _gauge_index(self, time_ns: int) -> int:
        return bisect.bisect_left(self._gauges, time_ns, key=lambda s: s.time_ns)

    def _table_bytes(self) -> int:
        s = self._symbols
        frames, processes, nodes = len(s.frames), len(s.processes), len(s.trie)
        rows = frames * (FRAME.itemsize + _ROW_BYTES) + processes * (PROCESS.itemsize + _ROW_BYTES)
        return self._string_bytes + rows + nodes * _NODE_BYTES


def _steady_clock() -> Callable[[], int]:
    """Unix nanoseconds as the collectors' clocks have them: unmoved when the wall clock is set."""
    offset = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return lambda: offset + time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _carried(old: Symbols, new: Symbols, views: Sequence[NDArray[np.void]]) -> Remap:
    """Copy all rows that these events refer to into another generation."""
    used = {
        column: np.unique(np.concatenate([np.unique(view[column]) for view in views]))
        for column in ("thread", "name", "process", "stack")
    }
    strings = np.union1d(used["thread"], used["name"]).tolist()
    return carry(old, new, strings, used["stack"], used["process"].tolist())


def _remapped(events: NDArray[np.void], remap: Remap) -> NDArray[np.void]:
    """The same events, (n,) of EVENT, with ids of another generation."""
    out = joined([events]).copy()
    out["thread"] = remap.strings[events["thread"]]
    out["name"] = remap.strings[events["name"]]
    out["process"] = remap.processes[events["process"]]
    out["stack"] = remap.stacks[events["stack"]]
    return out


__all__ = ["AHEAD_NS", "Limits", "MemoryStore"]
