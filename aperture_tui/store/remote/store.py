"""A Store that an aggregator answers for: its machines as one, or any of them, over gRPC."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.packed import words
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.text import clean
from aperture_tui.store import exchange
from aperture_tui.store.answers import Answers, Rows
from aperture_tui.store.base import Span, Timeline
from aperture_tui.store.fleet_base import BatchFacts, HostState
from aperture_tui.store.remote.connection import Connection
from aperture_tui.store.remote.following import Following
from aperture_tui.store.remote.link import (
    DEADLINE_S,
    FLEET,
    INTERVAL_MS,
    STALE_INTERVALS,
    Fleet,
    Focus,
    Link,
    LinkState,
    RemoteError,
    RemoteSettings,
)
from aperture_tui.store.selection import measured
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

_KEPT_S: Final = 0.5
"""How long what is known of all that is held is believed."""
_UNTOLD_S: Final = 5.0
"""The same where it would have told of anything new; a question now and then shows whether it is there."""
_FLEET_KEPT_S: Final = 30.0
"""How long the list of machines is believed where it is not what is looked at."""
_MOST_HOSTS: Final = 100_000
_MOST_TAGS: Final = 10_000
_LONG_NS: Final = 3_600_000_000_000
_PIECES: Final = 16
_PIECE_NS: Final = 25_000_000_000
"""Of a longer range readings are taken of so many pieces, with two pushes each: months have too many to be sent."""
_LONGEST: Final = 1000
"""Characters of a text about a machine."""
_MOST_NS: Final = (1 << 63) - 1


class RemoteStore(Answers):
    """A Store over a connection to an aggregator. Every question may raise RemoteError.

    focus: the machines that are asked about where a query names none. nodes: about how many a call tree may have, the
    smaller ones together as one; 0: as many as the aggregator likes; None: all of them. kept_s: how long what was told
    of all that is held is believed; commands that ask once say longer.
    """

    def __init__(
        self, connection: Connection, focus: Focus | None = None, nodes: int | None = 0, kept_s: float = _KEPT_S
    ) -> None:
        super().__init__()
        self.connection = connection
        self.focus = focus or FLEET
        self.nodes = nodes
        self._kept_s = kept_s
        self._unpacker = exchange.Unpacker()
        self._following: Following | None = None
        self._lock = threading.Lock()
        self._described: _Kept[wire.DescribeReply] = _Kept()
        self._fleet: _Kept[list[HostState]] = _Kept()
        self._patience: tuple[object, Focus, float] | None = None

    @classmethod
    def open(
        cls, settings: RemoteSettings, focus: Focus | None = None, deadline_s: float = DEADLINE_S, **options: Any
    ) -> RemoteStore:
        """A store with a connection of its own, which is made by the first question."""
        return cls(Connection(settings, deadline_s=deadline_s), focus, **options)

    def of(self, focus: Focus) -> RemoteStore:
        """The same aggregator, asked about other machines; connection, stacks and news are shared."""
        other = RemoteStore(self.connection, focus, self.nodes, self._kept_s)
        other._unpacker, other._fleet, other.watch = self._unpacker, self._fleet, self.watch
        other._following = self._following
        return other

    def follow(self) -> None:
        """Listen for news from now on. A store that does is asked again and again; it is closed in the end."""
        if self._following is None:
            self._following = Following(self.connection, self.focus)
        self._following.look_at(self.focus)

    def close(self) -> None:
        """End the connection."""
        if self._following is not None:
            self._following.stop()
        self.connection.close()

    # -- the connection

    @property
    def news(self) -> int:
        """Grows whenever there is something new, of a store that follows; 0 of others."""
        return self._following.news if self._following is not None else 0

    def link(self) -> Link:
        """How well the aggregator answers, and whether it has news of the machines that are followed."""
        link = self.connection.link()
        if self._following is None:
            return link
        silent_s = self._following.silent_s()
        link = replace(link, now_ns=self._following.now_ns(), hosts=self._following.hosts)
        if (
            link.state is LinkState.CONNECTED
            and silent_s is not None
            and silent_s > self._patience_s(self._following.focus)
        ):
            return replace(link, state=LinkState.STALE, since_s=silent_s)
        return link

    def _patience_s(self, focus: Focus) -> float:
        """How long these machines may be silent. It is asked for far more often than the machines are."""
        fleet, known = self._fleet.value, self._patience
        if known is None or known[0] is not fleet or known[1] != focus:
            mine = (host.interval_ms / 1e3 for host in fleet or () if is_of(host, focus))
            known = fleet, focus, STALE_INTERVALS * min(filter(None, mine), default=INTERVAL_MS / 1e3)
            self._patience = known
        return known[2]

    # -- what there is

    def span(self) -> Span:
        """What is held now."""
        told = self._told()
        start, end = min(told.start_ns, _MOST_NS), min(told.end_ns, _MOST_NS)
        return Span(min(start, end), end, told.events)

    def newest_ns(self) -> int:
        """The newest event or reading."""
        return min(self._told().newest_ns, _MOST_NS)

    def looked_at(self) -> tuple[int, int]:
        """Start and end of all that is known of, Unix nanoseconds: what readings of months would say."""
        span = self.span()
        end = max(span.end_ns, self.newest_ns())
        return span.start_ns or end, end

    def kinds(self) -> frozenset[int]:
        """The kinds of which there are events."""
        return frozenset(self._told().kinds)

    def tags(self) -> tuple[str, ...]:
        """The names of the tags that events may have."""
        return tuple(sorted({_text(name) for name in self._told().tags[:_MOST_TAGS]}))

    def hosts(self) -> list[HostFacts]:
        """The machines that the data comes from."""
        return _read(words.hosts, self._told().hosts)

    def health(self) -> list[Health]:
        """The newest word of every collector, filter and sink."""
        return _read(words.health, self._told().health)

    def gauges(self, query: Query) -> list[HostSample]:
        """Readings of the host in the query's range, oldest first; of a long one some, from all over it.

        Of many machines there are none.
        """
        if len(self.hosts()) > 1:
            return []
        query = self.mine(query)
        first, last = self.looked_at()
        start, end = max(query.start_ns or 0, first), last if query.end_ns is None else min(query.end_ns, last)
        if end - start <= _LONG_NS:
            return self._readings(query)
        steps = ((end - start - _PIECE_NS) * i // (_PIECES - 1) for i in range(_PIECES))
        pieces = (replace(query, start_ns=start + step, end_ns=start + step + _PIECE_NS + 1) for step in steps)
        return [sample for piece in pieces for sample in self._readings(piece)]

    def _readings(self, query: Query) -> list[HostSample]:
        request = wire.DescribeRequest(selection=exchange.to_selection(query), gauges=True)
        payload = self._ask("Describe", request).gauges
        return _read(words.gauges, payload) if len(payload) <= words.MAX_JSON else []

    def fleet(self) -> Fleet:
        """All machines of the aggregator, whatever is looked at."""
        reply = self._ask("Hosts", wire.HostsRequest())
        if len(reply.hosts) > _MOST_HOSTS:
            raise RemoteError(f"{self.connection.settings.address}: more than {_MOST_HOSTS:,} hosts cannot be listed")
        hosts = [_host(host) for host in reply.hosts]
        self._fleet.keep(hosts)
        return Fleet(tuple(hosts), min(reply.now_ns, _MOST_NS))

    def known_fleet(self) -> Sequence[HostState]:
        """Its machines as they were not long ago."""
        known = self._fleet.value if self._fleet.age_s() < _FLEET_KEPT_S else None
        return self.fleet().hosts if known is None else known

    def now_ns(self) -> int:
        """The aggregator's clock, Unix nanoseconds; 0 if it does not say."""
        if self._following is not None and (now := self._following.now_ns()):
            return now
        request = wire.WatchRequest(hosts=self.focus.hosts, service=self.focus.service)
        return next((min(one.now_ns, _MOST_NS) for one in self.connection.updates(request, once=True)), 0)

    def batches(self, query: Query, limit: int) -> list[BatchFacts]:
        """The pushes that are stored of a query's range, newest first."""
        request = wire.BatchesRequest(selection=exchange.to_selection(self.mine(query)), limit=limit)
        return [_batch(batch) for batch in self._ask("Batches", request).batches]

    # -- answers

    def rows(self, queries: Sequence[Query], alike: Sequence[str]) -> Rows:
        """The events of each query, alike ones as one."""
        bodies = []
        for query in map(self._checked, queries):
            request = wire.QueryRequest(selection=exchange.to_selection(query), alike=alike)
            bodies.append(self._rows_reply("Query", request))
        return self._unpacked(bodies, [1] * len(bodies))

    def call_tree(self, query: Query) -> CallTree:
        """The stacks of the query with their weights: pruned where they are, unless all are wanted, or by group."""
        if query.group is not Group.PROCESS or self.nodes is None:
            return super().call_tree(query)
        request = wire.AggregateRequest(selection=exchange.to_selection(self._checked(query)), nodes=self.nodes)
        symbols, (events,) = self._unpacked([self._rows_reply("Aggregate", request)], [1])
        return CallTree.of_stacks(symbols, events["stack"], measured(events, query.measure))

    def compared(self, base: Query, after: Query) -> tuple[CallTree, CallTree]:
        """The call trees of both, over one trie: pruned alike, where they are."""
        if self.nodes is None or {base.group, after.group} != {Group.PROCESS}:
            return super().compared(base, after)
        selections = [exchange.to_selection(self._checked(query)) for query in (base, after)]
        request = wire.DiffRequest(base=selections[0], after=selections[1], nodes=self.nodes)
        symbols, (then, since) = self._unpacked([self._rows_reply("Diff", request)], [2])
        before = CallTree.of_stacks(symbols, then["stack"], measured(then, base.measure))
        return before, CallTree.of_stacks(symbols, since["stack"], measured(since, after.measure))

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The part of the query's range that is held, in equal buckets."""
        if buckets < 1:
            raise ValueError("a timeline has at least one bucket")
        selection = exchange.to_selection(self._checked(query))
        reply = self._ask("Timeline", wire.TimelineRequest(selection=selection, buckets=buckets))
        if len(reply.weights) != 8 * buckets:
            raise RemoteError(f"{self.connection.settings.address}: a timeline of another length")
        self._noted(reply.estimate)
        weights = np.frombuffer(reply.weights, "<i8").astype(np.int64)
        return Timeline(min(reply.start_ns, _MOST_NS), max(1, min(reply.bucket_ns, _MOST_NS)), weights)

    # -- asking

    def mine(self, query: Query) -> Query:
        """The query, of the machines that are looked at where it names none."""
        if query.hosts or query.service is not None:
            return query
        return replace(query, hosts=self.focus.hosts, service=self.focus.service)

    def _checked(self, query: Query) -> Query:
        """The same. Raises re.error."""
        re.compile(query.frame or "")
        return self.mine(query)

    def _ask(self, name: str, request: Any) -> Any:
        return self.connection.ask(name, request, self.watch)

    def _rows_reply(self, name: str, request: Any) -> bytes:
        reply = self._ask(name, request)
        self._noted(reply.estimate)
        return bytes(reply.body)

    def _noted(self, estimate: wire.Estimate) -> None:
        if (told := exchange.from_estimate(estimate)).sampled > 1 or told.missing_ns:
            self.note(told)

    def _unpacked(self, bodies: Sequence[bytes], parts: Sequence[int]) -> Rows:
        """All answers with the same tables. parts: how many each must have."""
        try:
            found = [self._unpacker.rows(body) for body in bodies]
            if any(one.symbols is not found[-1].symbols for one in found):  # new tables have begun in between
                found = [self._unpacker.rows(body) for body in bodies]
        except exchange.ExchangeError as error:
            raise RemoteError(f"{self.connection.settings.address}: {error}") from error
        if [len(one.parts) for one in found] != list(parts):
            raise RemoteError(f"{self.connection.settings.address}: an answer to another question")
        return Rows(found[-1].symbols, [part for one in found for part in one.parts])

    def _told(self) -> wire.DescribeReply:
        """What is held of the machines that are looked at, as it was a moment ago."""
        with self._lock:
            kept_s = self._kept_s
            if self._following is not None:
                kept_s = _UNTOLD_S if self._described.news == self.news else 0.0
            known = self._described.value
            if known is not None and self._described.age_s() < kept_s:
                return known
        news = self.news
        selection = exchange.to_selection(self.mine(Query()))
        reply: wire.DescribeReply = self._ask("Describe", wire.DescribeRequest(selection=selection))
        with self._lock:
            self._described.keep(reply, news)
        return reply


T = TypeVar("T")


class _Kept(Generic[T]):
    """An answer, and when it was given. news: what was new then."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.news = 0
        self._at = 0.0

    def keep(self, value: T, news: int = 0) -> None:
        self.value, self.news, self._at = value, news, time.monotonic()

    def age_s(self) -> float:
        return time.monotonic() - self._at


def is_of(host: HostState, focus: Focus) -> bool:
    """Whether a machine is one of those that are looked at."""
    return (not focus.hosts or host.name in focus.hosts) and focus.service in (None, host.service)


def _read(how: Callable[[bytes], list[T] | None], payload: bytes) -> list[T]:
    """A list of a reply. Raises RemoteError for what is none."""
    found = how(payload) if payload else []
    if found is None:
        raise RemoteError("the aggregator gave an answer that cannot be read")
    return found


def _host(host: wire.Host) -> HostState:
    return HostState(
        _text(host.name),
        _text(host.service),
        _text(host.version),
        min(host.first_ns, _MOST_NS),
        min(host.newest_ns, _MOST_NS),
        min(host.seen_ns, _MOST_NS),
        host.events,
        host.lost,
        host.interval_ms,
        _text(host.kernel),
        host.cpus,
        host.memory_bytes,
        _text(host.problem),
    )


def _batch(batch: wire.Batch) -> BatchFacts:
    start, end, stored = (min(at, _MOST_NS) for at in (batch.start_ns, batch.end_ns, batch.stored_ns))
    host, service = _text(batch.host), _text(batch.service)
    return BatchFacts(host, service, batch.boot, batch.seq, start, end, stored, batch.events, batch.lost)


def _text(text: str) -> str:
    text = text[:_LONGEST]
    return text if text.isascii() and text.isprintable() else clean(text)
