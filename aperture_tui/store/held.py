"""How a store that has events at hand finds the rows of an answer."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.completeness import Completeness, completeness, together
from aperture_tui.profile.kinds import Role
from aperture_tui.store.answers import Answers, Rows
from aperture_tui.store.base import Span, Timeline
from aperture_tui.store.compaction import gathered
from aperture_tui.store.selection import FrameSearch, event_mask, measured, newest_word, process_rows, tag_set_rows
from aperture_tui.store.slices import taken
from aperture_tui.store.where_masks import Passing, check

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols

IN_FLIGHT_NS: Final = 2_000_000_000
"""How long a word of what is in flight is believed: it is told again every second."""

_PARTS: Final = 1000
"""Arrays that are looked at together."""


class Held(NamedTuple):
    """Events that a query may select, in arrays of EVENT, and the tables that their ids point into.

    The arrays may be read only when they are asked for, and the tables may grow by that.
    """

    symbols: Symbols
    views: Iterable[NDArray[np.void]]


class HeldAnswers(Answers):
    """The questions of a Store, over events that a subclass has. Each method may be called from any thread."""

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

    def rows(self, queries: Sequence[Query], alike: Sequence[str]) -> Rows:
        """The events of each query, as they are, or of very many alike ones as one."""
        queries = [self._settled(query) for query in queries]
        each = self._each(*queries)
        parts = [gathered(one.views, query, alike) for one, query in zip(each, queries, strict=True)]
        return Rows(each[0].symbols, parts)

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The part of the query's range that is held in equal buckets; the last may reach beyond its end."""
        start, end, width = cut(self.span(), query, buckets)
        weights = np.zeros(buckets, np.int64)
        (found,) = self._each(query)
        for part in found.views:
            times = part["time_ns"]
            events = taken(part, (times >= start) & (times < end))
            bucket = ((events["time_ns"] - np.uint64(start)) // np.uint64(width)).astype(np.int64)
            np.add.at(weights, bucket, measured(events, query.measure))
        return Timeline(start, width, weights)

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
            check(self._search, query)
        held = zip(self.held(*queries), queries, strict=True)
        return [Held(symbols, map(_Chooser(self._search, symbols, query), views)) for (symbols, views), query in held]


def cut(span: Span, query: Query, buckets: int) -> tuple[int, int, int]:
    """The part of a query's range that is held, half-open, and the width of a bucket; all in ns. Raises ValueError."""
    if buckets < 1:
        raise ValueError("a timeline has at least one bucket")
    start = min(max(span.start_ns, query.start_ns or 0), (1 << 63) - 1)
    end = max(start, span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns))
    return start, end, max(1, -(-(end - start) // buckets))


class _Chooser:
    """Gives the events that a query selects. The tables may grow from one call to the next."""

    def __init__(self, search: FrameSearch, symbols: Symbols, query: Query) -> None:
        self._search = search
        self._symbols = symbols
        self._query = query
        self._size = (-1, -1)

    def __call__(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """events: (n,) of EVENT -> (m,)."""
        size = self._symbols.size(), len(self._symbols.tag_sets)
        if size != self._size:
            self._size = size
            query, symbols = self._query, self._symbols
            self._nodes = None if query.frame is None else self._search.nodes(symbols, query.frame)
            self._rows = process_rows(symbols, query)
            self._tag_sets = tag_set_rows(symbols, query)
            self._name = None if query.name is None else symbols.known_string(query.name)
            self._where = Passing(self._search, symbols, query.terms) if query.terms else None
        mask = event_mask(events, self._query, self._rows, self._nodes, self._name, self._tag_sets)
        if self._where is not None:
            mask &= self._where.mask(events)
        return taken(events, mask)
