"""The store of a live session or a loaded recording: the newest events of one machine, in memory."""

from __future__ import annotations

import bisect
import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.symbols import Remap, Symbols, carry
from aperture_tui.profile.tags import in_sets
from aperture_tui.store.base import Span
from aperture_tui.store.held import Held, HeldAnswers
from aperture_tui.store.slices import Limits, Slices, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.query import Query

AHEAD_NS: Final = 10_000_000_000
"""A time further ahead of the clock than this is nonsense."""

_GROWTH: Final = 4  # when tables are carried over, one part in so many of what may be held is kept free for new rows


class MemoryStore(HeldAnswers):
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
        super().__init__()
        self._slices = Slices(limits or Limits())
        self._clock = None if recorded else clock or _steady_clock()
        self._lock = threading.Lock()
        self._symbols = Symbols()
        self._appended = self._clamped = 0
        self._gauges: list[HostSample] = []
        self._health: list[Health] = []
        self._hosts: list[HostFacts] = []

    lost = 0
    """As a sink it takes everything; what it lets go of later stands in its `span` and its health."""

    # -- appending, by one thread

    def append(self, batch: Batch) -> None:
        """Take the events of a batch. A batch of a newer generation of Symbols moves everything held into it."""
        if not len(batch):
            return
        events = in_sets(batch.symbols, batch.events, batch.tags)
        if not self._appended or batch.symbols.generation > self._symbols.generation:
            self.rebase(batch.symbols)
        elif batch.symbols is not self._symbols:
            events = _remapped(events, _carried(batch.symbols, self._symbols, [events]))
        events = self._plausible(events)
        with self._lock:
            self._slices.beside = self._symbols.nbytes
            self._slices.add(events)
            self._appended += len(events)

    def rebase(self, symbols: Symbols) -> None:
        """Move what is held into another generation of Symbols, which this thread alone appends to.

        The oldest seconds are let go where what the tables have to hold for them leaves no room for new ones.
        """
        held = self._slices
        if held.events:
            self._make_room()
            remap = _carried(self._symbols, symbols, held.all_views())
            with self._lock:  # to the end: tables and events are of one generation
                held.rewrite(lambda events: _remapped(events, remap))
                self._symbols = symbols
        else:
            with self._lock:
                self._symbols = symbols

    def _make_room(self) -> None:
        limit = self._slices.limits.bytes
        if limit is None:
            return
        seconds = self._slices.by_second()
        sizes = np.cumsum([nbytes for nbytes, _views in seconds])
        sizes += _carried_bytes(self._symbols, [views for _nbytes, views in seconds])
        kept = int(np.searchsorted(sizes, limit - limit // _GROWTH, "right"))
        with self._lock:
            self._slices.keep_newest(max(1, kept))

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

    # -- answering, in any thread

    def span(self) -> Span:
        """What is held now."""
        with self._lock:
            s = self._slices
            return Span(
                s.start_ns, s.end_ns, s.events, s.bytes + self._symbols.nbytes, s.dropped, s.dropped_until_ns, s.limit
            )

    def kinds(self) -> frozenset[int]:
        """The kinds of which events are held."""
        with self._lock:
            return self._slices.kinds

    def tags(self) -> tuple[str, ...]:
        """The names of the tags that its events may have: those that events had since the tables began."""
        with self._lock:
            symbols = self._symbols
        return tuple(sorted(set(itertools.chain.from_iterable(symbols.tag_sets))))

    def hosts(self) -> list[HostFacts]:
        """The machine that the events are from, once it is known."""
        with self._lock:
            return list(self._hosts)

    def health(self) -> list[Health]:
        """The newest word of all, and the store's own once it had to drop or to mend something."""
        with self._lock:
            out, late, clamped, appended = list(self._health), self._slices.late, self._clamped, self._appended
            memory = self._slices.bytes + self._symbols.nbytes
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

    def held(self, *queries: Query) -> list[Held]:
        """All events of the seconds that each query touches, as of one moment."""
        with self._lock:
            symbols = self._symbols
            views = [self._slices.views(q.kind, q.start_ns, q.end_ns) if self._is_here(q) else [] for q in queries]
        return [Held(symbols, v) for v in views]

    def newest_ns(self) -> int:
        """The end of what is known."""
        with self._lock:
            return max(self._slices.end_ns, self._gauges[-1].time_ns + 1 if self._gauges else 0)

    def _is_here(self, query: Query) -> bool:
        if query.where and not any(query.where.takes(name) for name in [host.name for host in self._hosts] or [""]):
            return False
        return query.service is None and (not query.hosts or any(host.name in query.hosts for host in self._hosts))

    def _gauge_index(self, time_ns: int) -> int:
        return bisect.bisect_left(self._gauges, time_ns, key=lambda s: s.time_ns)


def _steady_clock() -> Callable[[], int]:
    """Unix nanoseconds as the collectors' clocks have them: unmoved when the wall clock is set."""
    offset = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return lambda: offset + time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _carried(old: Symbols, new: Symbols, views: Sequence[NDArray[np.void]]) -> Remap:
    """Copy all rows that these events refer to into another generation."""
    used = {
        column: np.unique(np.concatenate([np.unique(view[column]) for view in views]))
        for column in ("thread", "name", "process", "stack", "tags")
    }
    strings = np.union1d(used["thread"], used["name"]).tolist()
    return carry(old, new, strings, used["stack"], used["process"].tolist(), used["tags"].tolist())


def _carried_bytes(symbols: Symbols, seconds: list[list[NDArray[np.void]]]) -> NDArray[np.int64]:
    """(s,): how much of the tables the first k seconds refer to, for each k from 1; by their stacks, which are most."""
    trie = symbols.trie
    first = np.full(len(trie), len(seconds), np.int64)
    for i in range(len(seconds) - 1, -1, -1):
        for view in seconds[i]:
            first[view["stack"]] = i
    for nodes in trie.levels[:0:-1]:
        np.minimum.at(first, trie.parent[nodes], first[nodes])
    nodes_of = np.cumsum(np.bincount(first, minlength=len(seconds))[: len(seconds)])
    return (nodes_of * (symbols.nbytes / len(trie))).astype(np.int64)


def _remapped(events: NDArray[np.void], remap: Remap) -> NDArray[np.void]:
    """The same events, (n,) of EVENT, with ids of another generation."""
    out = joined([events]).copy()
    out["thread"] = remap.strings[events["thread"]]
    out["name"] = remap.strings[events["name"]]
    out["process"] = remap.processes[events["process"]]
    out["stack"] = remap.stacks[events["stack"]]
    out["tags"] = remap.tag_sets[events["tags"]]
    return out


__all__ = ["AHEAD_NS", "Limits", "MemoryStore"]
