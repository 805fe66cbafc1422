"""The Fleet service: every question that screens and commands ask, out of the tenant's store."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc

from aperture_tui.fleet.aggregator.questions import GoneError, Questions
from aperture_tui.fleet.aggregator.refusal import Refused, later
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.packed import words
from aperture_tui.store import exchange
from aperture_tui.store.answers import OTHER_GROUP, of_stacks
from aperture_tui.store.clickhouse.connection import StorageError, TooMuchError
from aperture_tui.store.compaction import WHOLE, TooManyError
from aperture_tui.store.fleet_base import HostState
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.fleet.aggregator.storage import AskedStore, TenantStorage
    from aperture_tui.fleet.aggregator.tenants import Tenants
    from aperture_tui.profile.query import Query
    from aperture_tui.store.clickhouse.store import Found

T = TypeVar("T")

NODES: Final = 16_384
"""Of a tree whose asker has no wish, and the most: more than any screen shows."""
_MOST_NODES: Final = 1 << 20
_MOST_BUCKETS: Final = 10_000
_MOST_BATCHES: Final = 10_000
_MOST_PATTERN: Final = 1_000
STREAMS: Final = 1_000
"""Screens that may be woken when something comes."""
_PAUSE_S: Final = 0.5
_MOST_BYTES: Final = exchange.MAX_REPLY - (1 << 10)


_HOST: Final = tuple(field.name for field in fields(HostState))
_U32, _I64 = (1 << 32) - 1, (1 << 63) - 1


class Call:
    """One call. remaining_s: how long it waits. still: raises Refused if it may not be answered any more."""

    def __init__(self, tenant: str, remaining_s: float | None = None, still: Callable[[], None] = lambda: None) -> None:
        self.tenant = tenant
        self.remaining_s = remaining_s
        self.still = still


class Answering:
    """Each method is a call of fleet.proto, and raises Refused. Belongs to the event loop's thread."""

    def __init__(self, tenants: Tenants, questions: Questions) -> None:
        self._tenants = tenants
        self._questions = questions
        self._streams = 0
        self._end = asyncio.Event()

    @property
    def streams(self) -> int:
        """How many screens are told what comes."""
        return self._streams

    def end(self) -> None:
        """End the streams."""
        self._end.set()

    async def describe(self, call: Call, request: wire.DescribeRequest) -> wire.DescribeReply:
        """What is held of some machines."""
        query = _query(request.selection)
        return await self._of_store(call, lambda store: _described(store, query, request.gauges))

    async def hosts(self, call: Call, request: wire.HostsRequest) -> wire.HostsReply:
        """All machines."""
        return await self.of_storage(call, _hosts)

    async def batches(self, call: Call, request: wire.BatchesRequest) -> wire.BatchesReply:
        """The newest pushes."""
        query, limit = _query(request.selection), min(request.limit or _MOST_BATCHES, _MOST_BATCHES)
        return await self.of_storage(call, lambda storage: _batches(storage, query, limit))

    async def timeline(self, call: Call, request: wire.TimelineRequest) -> wire.TimelineReply:
        """Weights over time."""
        query = _query(request.selection)
        if not 1 <= request.buckets <= _MOST_BUCKETS:
            raise _nonsense(f"a timeline has 1 to {_MOST_BUCKETS:,} buckets")
        return await self._of_store(call, lambda store: _timeline(store, query, request.buckets))

    async def query(self, call: Call, request: wire.QueryRequest) -> wire.RowsReply:
        """Events, alike ones summed."""
        if odd := sorted(set(request.alike).difference(WHOLE)):
            raise _nonsense(f"{odd[0]!r} is no column by which events are told apart")
        return await self._rows(call, [_query(request.selection)], [*dict.fromkeys(request.alike)], 0)

    async def aggregate(self, call: Call, request: wire.AggregateRequest) -> wire.RowsReply:
        """A call tree."""
        query = _query(request.selection)
        return await self._rows(call, [query], of_stacks(query), _nodes(request.nodes))

    async def diff(self, call: Call, request: wire.DiffRequest) -> wire.RowsReply:
        """Two call trees over the same stacks."""
        base, after = _query(request.base), _query(request.after)
        if base.group is not after.group:
            raise _nonsense(OTHER_GROUP)
        return await self._rows(call, [base, after], of_stacks(after), _nodes(request.nodes))

    async def watch(self, call: Call, request: wire.WatchRequest) -> AsyncGenerator[wire.Update, None]:
        """An update at once, and then when something came of the watched machines, at most two a second."""
        if self._streams >= STREAMS:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {STREAMS:,} screens watch already")
        service = request.service if request.HasField("service") else None
        query = _query(wire.Selection(hosts=request.hosts, service=service))
        board = (await self._tenants.opened(call.tenant)).board
        view = board.view(query.hosts, query.service)
        self._streams += 1
        try:
            while not self._end.is_set():
                call.still()
                seen = board.generation
                yield wire.Update(end_ns=view.newest_ns, now_ns=time.time_ns(), hosts=len(view.rows()))
                await self._pause(asyncio.sleep(_PAUSE_S))
                while not view.changed_since(seen) and not self._end.is_set():
                    await self._pause(board.news.wait())
            raise later("the aggregator is ending", 2.0)
        finally:
            self._streams -= 1

    async def _pause(self, other: Coroutine[Any, Any, object]) -> None:
        """Until something else returns, or this is the end."""
        tasks = [asyncio.ensure_future(other), asyncio.ensure_future(self._end.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    # -- finding

    async def _rows(self, call: Call, queries: Sequence[Query], alike: Sequence[str], nodes: int) -> wire.RowsReply:
        def reply(store: AskedStore) -> wire.RowsReply:
            found = store.found(queries, alike, nodes)
            self._questions.watch(1.0)
            return _packed(found, queries)

        return await self._of_store(call, reply)

    async def _of_store(self, call: Call, find: Callable[[AskedStore], T]) -> T:
        return await self.of_storage(call, lambda storage: find(storage.store))

    async def of_storage(self, call: Call, find: Callable[[TenantStorage], T]) -> T:
        """What `find` gives, called in the thread of a question. Raises Refused."""
        tenant = await self._tenants.opened(call.tenant)
        tenant.storage.store.watch = self._questions.watch
        try:
            return await self._questions.answer(lambda: find(tenant.storage), call.remaining_s)
        except (TooManyError, TooMuchError) as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        except StorageError as error:
            raise later(str(error), 2.0) from error
        except GoneError as error:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "nobody waits for this answer any more") from error
        except (re.error, RecursionError, OverflowError) as error:
            raise _nonsense(f"not a regular expression: {error}") from error
        except ValueError as error:
            raise _nonsense(str(error)) from error


def _query(selection: wire.Selection) -> Query:
    """What is asked of; a kind that is not said is CPU. Raises Refused."""
    asked = wire.Selection()
    asked.CopyFrom(selection)
    asked.kind = asked.kind or Kind.CPU
    try:
        query = exchange.from_selection(asked)
    except ValueError as error:
        raise _nonsense(str(error)) from error
    if query.frame is not None and len(query.frame) > _MOST_PATTERN:
        raise _nonsense(f"a regular expression of more than {_MOST_PATTERN:,} characters")
    return query


def _nodes(wish: int) -> int:
    return min(wish or NODES, _MOST_NODES)


def _nonsense(words: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, words)


# -- in a thread


def _described(store: AskedStore, query: Query, gauges: bool) -> wire.DescribeReply:
    span = store.span(query)
    return wire.DescribeReply(
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        events=span.events,
        newest_ns=store.newest_ns(query),
        kinds=sorted(store.kinds(query)),
        hosts=words.from_hosts(store.hosts(query)),
        health=words.from_health(store.health(query)),
        gauges=words.from_gauges(store.gauges(query)) if gauges else b"",
        tags=store.tags(),
    )


def _hosts(storage: TenantStorage) -> wire.HostsReply:
    reply = wire.HostsReply(now_ns=time.time_ns())
    for host in storage.hosts():
        told: dict[str, Any] = {name: _fitting(name, getattr(host, name)) for name in _HOST}
        reply.hosts.add(**told)
    return reply


def _fitting(name: str, value: str | int) -> str | int:
    """A number that the message has room for: some are as agents say them."""
    if isinstance(value, str):
        return value
    return max(0, min(value, _U32 if name in ("cpus", "interval_ms") else _I64))


def _batches(storage: TenantStorage, query: Query, limit: int) -> wire.BatchesReply:
    return wire.BatchesReply(batches=[wire.Batch(**asdict(batch)) for batch in storage.batches(query, limit)])


def _timeline(store: AskedStore, query: Query, buckets: int) -> wire.TimelineReply:
    timeline, estimate = store.timeline_found(query, buckets)
    return wire.TimelineReply(
        start_ns=timeline.start_ns,
        bucket_ns=timeline.bucket_ns,
        weights=timeline.weights.astype("<i8").tobytes(),
        estimate=exchange.to_estimate(estimate),
    )


def _packed(found: Found, queries: Sequence[Query]) -> wire.RowsReply:
    body = exchange.packed_rows(found.rows, queries)
    if len(body) > _MOST_BYTES:
        raise TooManyError(f"an answer of more than {_MOST_BYTES >> 20} MB: choose a shorter range")
    return wire.RowsReply(body=body, estimate=exchange.to_estimate(found.estimate))
