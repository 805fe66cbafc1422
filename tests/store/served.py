"""An aggregator in this process that answers out of stores in memory: all that a client can be told, in little."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import grpc

from aperture_tui.profile.packed import words
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.profile.where import OF_MACHINES
from aperture_tui.store import exchange
from aperture_tui.store.answers import Rows, of_stacks
from aperture_tui.store.base import Estimate
from aperture_tui.store.fleet_base import BatchFacts, HostState
from aperture_tui.store.held import HeldAnswers
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2_grpc import FleetServicer, add_FleetServicer_to_server

TOKEN = "read-me"  # noqa: S105 (of a test)


@dataclass
class Aggregator(FleetServicer):  # type: ignore[misc]  # protoc's class has no types
    """What is served, and how badly.

    store: what is answered from, of whatever machines. many: processes are told by their names alone, as those of
    several machines are. hosts, facts: what is told of machines, and of pushes. estimate: of every answer.
    wait_s: before every answer. failing: status and words instead of it. asked: the questions that came, by name.
    answering: questions wait until it is set; see `silent`.
    """

    store: HeldAnswers
    hosts: Sequence[HostState] = ()
    facts: Sequence[BatchFacts] = ()
    now_ns: Callable[[], int] = time.time_ns
    estimate: Estimate = field(default_factory=Estimate)
    many: bool = False
    wait_s: float = 0.0
    failing: tuple[grpc.StatusCode, str] | None = None
    asked: list[tuple[str, object]] = field(default_factory=list)
    updates: threading.Condition = field(default_factory=threading.Condition)
    stored: int = 0
    over: bool = False
    answering: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answering.set()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """No question is answered before the end of this, however long what is looked at meanwhile takes."""
        self.answering.clear()
        try:
            yield
        finally:
            self.answering.set()

    def tell(self) -> None:
        """Something new was stored."""
        with self.updates:
            self.stored += 1
            self.updates.notify_all()

    def end(self) -> None:
        """Let no stream go on."""
        with self.updates:
            self.over = True
            self.updates.notify_all()

    # -- the service

    def Describe(self, request: wire.DescribeRequest, context: grpc.ServicerContext) -> wire.DescribeReply:  # noqa: N802
        query = self._query("Describe", request.selection, context)
        span = self.store.span()
        gauges = [] if self.many else self.store.gauges(query)
        newest = max([span.end_ns, *(one.time_ns + 1 for one in self.store.gauges(Query()))])
        return wire.DescribeReply(
            start_ns=span.start_ns,
            end_ns=span.end_ns,
            events=span.events,
            newest_ns=newest,
            kinds=sorted(self.store.kinds()),
            hosts=words.from_hosts(self.store.hosts() * (2 if self.many else 1)),
            health=words.from_health(self.store.health()),
            gauges=words.from_gauges(gauges) if request.gauges else b"",
            tags=self.store.tags(),
        )

    def Hosts(self, request: wire.HostsRequest, context: grpc.ServicerContext) -> wire.HostsReply:  # noqa: N802
        self._meet("Hosts", request, context)
        hosts = [wire.Host(**{name: getattr(one, name) for name in one.__slots__}) for one in self.hosts]
        return wire.HostsReply(hosts=hosts, now_ns=self.now_ns())

    def Batches(self, request: wire.BatchesRequest, context: grpc.ServicerContext) -> wire.BatchesReply:  # noqa: N802
        query = self._query("Batches", request.selection, context)
        found = [one for one in self.facts if not query.hosts or one.host in query.hosts]
        batches = [wire.Batch(**{name: getattr(one, name) for name in one.__slots__}) for one in found]
        return wire.BatchesReply(batches=batches[: request.limit or None])

    def Timeline(self, request: wire.TimelineRequest, context: grpc.ServicerContext) -> wire.TimelineReply:  # noqa: N802
        told = self.store.timeline(self._query("Timeline", request.selection, context), request.buckets)
        weights, estimate = told.weights.astype("<i8").tobytes(), exchange.to_estimate(self.estimate)
        return wire.TimelineReply(start_ns=told.start_ns, bucket_ns=told.bucket_ns, weights=weights, estimate=estimate)

    def Query(self, request: wire.QueryRequest, context: grpc.ServicerContext) -> wire.RowsReply:  # noqa: N802
        return self._rows([self._query("Query", request.selection, context)], tuple(request.alike))

    def Aggregate(self, request: wire.AggregateRequest, context: grpc.ServicerContext) -> wire.RowsReply:  # noqa: N802
        query = self._query("Aggregate", request.selection, context)
        return self._rows([query], of_stacks(query))

    def Diff(self, request: wire.DiffRequest, context: grpc.ServicerContext) -> wire.RowsReply:  # noqa: N802
        base, after = (self._query("Diff", one, context) for one in (request.base, request.after))
        return self._rows([base, after], of_stacks(after))

    def Watch(self, request: wire.WatchRequest, context: grpc.ServicerContext) -> Iterator[wire.Update]:  # noqa: N802
        self._meet("Watch", request, context)
        told = -1
        while context.is_active() and not self.over:
            if self.stored != told:
                told = self.stored
                yield wire.Update(end_ns=self.store.newest_ns(), now_ns=self.now_ns(), hosts=max(1, len(self.hosts)))
            with self.updates:
                if self.stored == told and not self.over:
                    self.updates.wait(0.1)

    # -- for itself

    def _query(self, name: str, selection: wire.Selection, context: grpc.ServicerContext) -> Query:
        self._meet(name, selection, context)
        try:
            query = exchange.from_selection(selection)
        except exchange.ExchangeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return self._narrowed(query)

    def _narrowed(self, query: Query) -> Query:
        """All machines that are known here have the events of the one store."""
        if not self._chosen(query):
            return query
        return replace(query, hosts=(), service=None, where=query.where.but(OF_MACHINES))

    def _chosen(self, query: Query) -> list[HostState]:
        of_service = (host for host in self.hosts if query.service in (None, host.service))
        named = (host for host in of_service if not query.hosts or host.name in query.hosts)
        return [host for host in named if query.where.takes(host.name, host.service)]

    def _meet(self, name: str, request: object, context: grpc.ServicerContext) -> None:
        self.asked.append((name, request))
        token = dict(context.invocation_metadata()).get("authorization")
        if token != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
        if self.wait_s:
            time.sleep(self.wait_s)
        self.answering.wait()
        if self.failing is not None:
            context.abort(*self.failing)

    def _rows(self, queries: list[Query], alike: tuple[str, ...]) -> wire.RowsReply:
        rows = self.store.rows(queries, alike)
        if self.many:
            rows = _by_name(rows)
        body = exchange.packed_rows(rows, queries)
        return wire.RowsReply(body=body, estimate=exchange.to_estimate(self.estimate))


def _by_name(rows: Rows) -> Rows:
    """The same rows in tables of their own, with processes of which only the name is known."""
    here, there = Symbols(), rows.symbols
    parts = []
    for part in rows.parts:
        out = part.copy()
        for column in ("name", "thread"):
            out[column] = [here.string(there.strings[i]) for i in part[column].tolist()]
        frames = [[here.frame(there.frame_at(f)) for f in there.trie.path(node)] for node in part["stack"].tolist()]
        out["stack"] = here.stacks(frames) if frames else []
        names = [there.process_at(row).name for row in part["process"].tolist()]
        out["process"], out["pid"], out["tid"] = [here.process(Process(0, name=name)) for name in names], 0, 0
        parts.append(out)
    return Rows(here, parts)


class _Late:
    """Passes each question on to what the aggregator's method is by then: a test may have put another in its place."""

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda request, context: getattr(self._aggregator, name)(request, context)


@contextlib.contextmanager
def serving(aggregator: Aggregator, port: int = 0, tls: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """Serve it on a port of loopback -> its address."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    add_FleetServicer_to_server(_Late(aggregator), server)
    where = f"127.0.0.1:{port}"
    bound = server.add_secure_port(where, tls) if tls is not None else server.add_insecure_port(where)
    server.start()
    aggregator.over = False
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        aggregator.end()
        server.stop(None).wait()
