"""How a store that has events at hand answers: what it selects of them, summed."""

from __future__ import annotations

import abc
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, completeness, together
from aperture_tui.profile.kinds import Role
from aperture_tui.store.base import Span, Timeline
from aperture_tui.store.compaction import WHOLE, gathered
from aperture_tui.store.latencies import latencies
from aperture_tui.store.processes import process_uses
from aperture_tui.store.selection import FrameSearch, event_mask, measured, newest_word, process_rows
from aperture_tui.store.slices import taken
from aperture_tui.store.thread_stacks import ThreadStacks

if TYPE_CHECKING:
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.base import ProcessUse

IN_FLIGHT_NS: Final = 2_000_000_000
"""How long a word of what is in flight is believed: it is told again every second."""

_PARTS: Final = 1000
"""Arrays that are looked at together."""

_TreeOf = Callable[[NDArray[np.void], NDArray[np.int64]], CallTree]


class Held(NamedTuple):
    """Events that a query may select, in arrays of EVENT, and the tables that their ids point into.

    The arrays may be read only when they are asked for, and the tables may grow by that.
    """

    symbols: Symbols
    views: Iterable[NDArray[np.void]]


class Answers(abc.ABC):
    """The questions of a Store, over events that a subclass has. Each method may be called from any thread."""

    def __init__(self) -> None:
        self.watch: Callable[[float], None] = lambda _: None
        self._search = FrameSearch()
        self._by_thread: ThreadStacks | None = None
        self._threads_lock = threading.Lock()

    # -- for subclasses

    @abc.abstractmethod
    def span(self) -> Span:
        """What is held now."""

    @abc.abstractmethod
    def held(self, *queries: Query) -> list[Held]:
        """At least the events of each query's kind and range, all of one moment and with the same tables."""

    @abc.abstractmethod
    def newest_ns(self) -> int:
        """The end of what is known: the newest event or reading."""

    # -- answering

    def processes(self, query: Query) -> list[ProcessUse]:
        """Processes with events in the query, most first; equal ones by pid."""
        symbols, events = self._gathered(query, ("pid", "tid", "process", "flags"))
        return process_uses(symbols, events, query.measure)

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The part of the query's range that is held in equal buckets; the last may reach beyond its end."""
        if buckets < 1:
            raise ValueError("a timeline has at least one bucket")
        span = self.span()
        start = min(max(span.start_ns, query.start_ns or 0), (1 << 63) - 1)
        end = max(start, span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns))
        width = max(1, -(-(end - start) // buckets))
        weights = np.zeros(buckets, np.int64)
        (found,) = self._each(query)
        for part in found.views:
            times = part["time_ns"]
            events = taken(part, (times >= start) & (times < end))
            bucket = ((events["time_ns"] - np.uint64(start)) // np.uint64(width)).astype(np.int64)
            np.add.at(weights, bucket, measured(events, query.measure))
        return Timeline(start, width, weights)

    def call_tree(self, query: Query) -> CallTree:
        """The stacks of the query with their weights."""
        symbols, events = self._gathered(query, _of_stacks(query))
        return self._tree_of(symbols, query.threads)(events, measured(events, query.measure))

    def completeness(self, query: Query) -> Completeness:
        """How many of the query's events have a whole user stack."""
        (found,) = self._each(self._settled(query))
        whole, flags, weights = Completeness(), [np.zeros(0, np.uint16)], [np.zeros(0, np.uint32)]
        for part in found.views:  # two columns are kept, not whole records
            flags.append(part["flags"].copy())
            weights.append(part["weight"].copy())
            if len(flags) > _PARTS:
                whole = together((whole, completeness(np.concatenate(flags), np.concatenate(weights))))
                flags, weights = flags[:1], weights[:1]
        return together((whole, completeness(np.concatenate(flags), np.concatenate(weights))))

    def latencies(self, query: Query) -> list[Latency]:
        """Calls or waits by process, name and value, most first by the measure."""
        of_calls = ("pid", "tid", "process", "name", "value", "aux", "flags", "bucket")
        symbols, events = self._gathered(query, of_calls)
        return latencies(symbols, events, query)

    def diff(self, base: Query, after: Query) -> CallTree:
        """Weights of `after` less those of `base`."""
        if base.threads != after.threads:
            raise ValueError("stacks by thread differ from all others")
        base, after = self._settled(base), self._settled(after)
        before, now = self._each(base, after)
        then, since = (gathered(one.views, of, _of_stacks(of)) for one, of in ((before, base), (now, after)))
        tree = self._tree_of(now.symbols, after.threads)
        return tree(since, measured(since, after.measure)).subtract(tree(then, measured(then, base.measure)))

    def selected(self, query: Query) -> tuple[Symbols, NDArray[np.void]]:
        """The events of a query, (n,) of EVENT; of a range with very many, alike ones as one: of compaction.COMPACT."""
        return self._gathered(query, WHOLE)

    def _gathered(self, query: Query, alike: Sequence[str]) -> tuple[Symbols, NDArray[np.void]]:
        query = self._settled(query)
        (found,) = self._each(query)
        return found.symbols, gathered(found.views, query, alike)

    def _tree_of(self, symbols: Symbols, threads: bool) -> _TreeOf:
        """Sums weights, (n,) int64, of the stacks of events, (n,) of EVENT. All its answers share a trie."""
        if not threads:
            return lambda events, weights: CallTree.of_stacks(symbols, events["stack"], weights)
        with self._threads_lock:
            if self._by_thread is None or self._by_thread.full or self._by_thread.symbols is not symbols:
                self._by_thread = ThreadStacks(symbols)
            return self._by_thread.tree

    def _settled(self, query: Query) -> Query:
        """Of what is in flight the newest word alone: the query narrowed to its moment. Other queries as they are."""
        if query.role is not Role.IN_FLIGHT:
            return query
        end = self.newest_ns() if query.end_ns is None else min(self.newest_ns(), query.end_ns)
        start = max(end - IN_FLIGHT_NS, query.start_ns or 0)
        ((_, views),) = self.held(replace(query, start_ns=start, end_ns=end))
        moment = newest_word(views, start, end)
        return replace(query, start_ns=moment, end_ns=moment + 1 if moment else 0)

    def _each(self, *queries: Query) -> list[Held]:
        """The events of each query, as of one moment. Raises re.error."""
        for query in queries:
            re.compile(query.frame or "")
        held = zip(self.held(*queries), queries, strict=True)
        return [Held(symbols, map(_Chooser(self._search, symbols, query), views)) for (symbols, views), query in held]


def _of_stacks(query: Query) -> tuple[str, ...]:
    """By what the events of a call tree are told apart."""
    return ("stack", "tid", "thread") if query.threads else ("stack",)


class _Chooser:
    """Gives the events that a query selects. The tables may grow from one call to the next."""

    def __init__(self, search: FrameSearch, symbols: Symbols, query: Query) -> None:
        self._search = search
        self._symbols = symbols
        self._query = query
        self._size = -1

    def __call__(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """events: (n,) of EVENT -> (m,)."""
        size = self._symbols.size()
        if size != self._size:
            self._size = size
            query, symbols = self._query, self._symbols
            self._nodes = None if query.frame is None else self._search.nodes(symbols, query.frame)
            self._rows = process_rows(symbols, query)
            self._name = None if query.name is None else symbols.known_string(query.name)
        return taken(events, event_mask(events, self._query, self._rows, self._nodes, self._name))
