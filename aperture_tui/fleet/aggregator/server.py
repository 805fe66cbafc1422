"""The aggregator as a server: it listens, follows its tokens, says how it is, and ends in good order."""

from __future__ import annotations

import asyncio
import errno
import signal
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aperture_tui.fleet.aggregator import metrics
from aperture_tui.fleet.aggregator.alerts import telling
from aperture_tui.fleet.aggregator.alerts.rounds import INTERVAL_S, Rounds
from aperture_tui.fleet.aggregator.answering import Answering, Call
from aperture_tui.fleet.aggregator.budget import Budget
from aperture_tui.fleet.aggregator.certificates import CertificatesError, credentials
from aperture_tui.fleet.aggregator.counts import Counts
from aperture_tui.fleet.aggregator.ingest import DECODING, Ingest
from aperture_tui.fleet.aggregator.lane import BatchLimits
from aperture_tui.fleet.aggregator.pages import Page, Pages
from aperture_tui.fleet.aggregator.questions import Questions
from aperture_tui.fleet.aggregator.refusal import LOG, RefusalLog
from aperture_tui.fleet.aggregator.rpc import Calls, Gate, Unary
from aperture_tui.fleet.aggregator.tenants import Tenants, Ways
from aperture_tui.profile.text import clean
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.store.push import PushLimits
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from aperture_tui.fleet.aggregator.alerts.rules import Rule
    from aperture_tui.fleet.aggregator.certificates import Certificates
    from aperture_tui.fleet.aggregator.followed import FollowedFile
    from aperture_tui.fleet.aggregator.journal import Journal
    from aperture_tui.fleet.aggregator.storage import Storage, TenantStorage
    from aperture_tui.fleet.aggregator.tokens import Access, Caller

_SERVICES: Final = wire.DESCRIPTOR.services_by_name
_STORING: Final = 4
"""Tenants into whose stores something is written at the same time."""
_GRACE_S: Final = 5.0
_POLL_S: Final = 1.0
_PING_S: Final = 10.0
_PATIENCE_S: Final = 10.0
"""With a question of our own, of alerts."""
_HEADROOM: Final = 1 << 20
"""Of a message beyond the body of a push: what is too long is refused with words, what is far too long by gRPC."""


class ServerError(RuntimeError):
    """Why it cannot listen, in one clear line."""


@dataclass(frozen=True)
class ServerSettings:
    """listen, http: HOST:PORT, port 0 for any that is free; None: no pages over HTTP. queue_bytes: what may wait in
    memory to be stored. alerts: the rules that are gone through each alerts_s, at times of clock_ns, Unix nanoseconds.
    """

    listen: str = "127.0.0.1:50051"
    http: str | None = None
    certificates: Certificates | None = None
    queue_bytes: int = 256 << 20
    batches: BatchLimits = field(default_factory=BatchLimits)
    pushes: PushLimits = field(default_factory=PushLimits)
    alerts: FollowedFile[tuple[Rule, ...]] | None = None
    alerts_s: float = INTERVAL_S
    clock_ns: Callable[[], int] = time.time_ns


class Aggregator:
    """One running aggregator. Belongs to the event loop's thread."""

    def __init__(self, settings: ServerSettings, storage: Storage, journal: Journal, access: Access) -> None:
        """Raises OSError if the journal cannot be read."""
        self._settings = settings
        self._storage = storage
        self._access = access
        self._threads = {
            name: ThreadPoolExecutor(n, name) for name, n in (("store", _STORING), ("unpack", DECODING), ("look", 2))
        }
        self._journal = journal
        self._counts = Counts()
        self._budget = Budget(settings.queue_bytes)
        ways = Ways(journal, self._budget, partial(self._run, "store"), settings.batches, self._counts)
        self._tenants = Tenants(storage, ways, settings.pushes)
        self._ingest = Ingest(self._tenants, self._budget, partial(self._run, "unpack"), settings.pushes)
        self._questions = Questions()
        self._answering = Answering(self._tenants, self._questions)
        self.alerts = Rounds(self._ask, settings.clock_ns)
        """What became of the rules of alerts."""
        self._health = health.aio.HealthServicer()
        self._pages = Pages({"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics})
        self._unreachable = self._not_serving = ""
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self._server = self._made()
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises ServerError."""
        settings = self._settings
        try:
            if settings.certificates is None:
                self.port = self._server.add_insecure_port(settings.listen)
            else:
                self.port = self._server.add_secure_port(settings.listen, credentials(settings.certificates))
        except (RuntimeError, CertificatesError) as error:
            why = str(error) if isinstance(error, CertificatesError) else "it cannot listen there: is it in use?"
            raise ServerError(f"{settings.listen}: {why}") from error
        await self._tell_health()
        if settings.http is not None:
            await self._open_pages(settings.http)
        await self._server.start()
        work = [self._follow(), self._tenants.store_what_was_left()]
        if settings.alerts is not None:
            self.alerts.take(settings.alerts.value)
            work.append(self.alerts.run(settings.alerts_s))
        self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """Take no more, store what was taken, answer whoever waits, and end."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tell_health()
        self._answering.end()
        await self._ingest.end()
        await self._server.stop(_GRACE_S)
        await self._pages.stop()
        self._questions.close()
        for pool in self._threads.values():
            pool.shutdown(wait=False)

    @property
    def http_port(self) -> int:
        """Where the pages are; 0 if they are not asked for."""
        return self._pages.port

    # -- for itself

    def _made(self) -> grpc.aio.Server:
        log = RefusalLog()
        server = grpc.aio.server(interceptors=[Gate(self._access, log, self._counts)], options=self._options())
        calls = Calls(log, self._counts)
        ingest = calls.handlers(_SERVICES["Ingest"], {"Push": self._push}, {})
        names = [method.name for method in _SERVICES["Fleet"].methods if method.name not in ("Watch", "Alerts")]
        unary: dict[str, Unary] = {
            name: partial(self._answer, getattr(self._answering, name.lower())) for name in names
        }
        unary["Alerts"] = self._alerts
        fleet = calls.handlers(_SERVICES["Fleet"], unary, {"Watch": self._watch})
        server.add_generic_rpc_handlers((ingest, fleet))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        named = [service.full_name for service in _SERVICES.values()]
        reflection.enable_server_reflection((*named, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 0),  # two aggregators on one port would each have half of the pushes
            ("grpc.max_receive_message_length", self._settings.pushes.stored_bytes + _HEADROOM),
            ("grpc.max_concurrent_streams", 1000),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.keepalive_time_ms", 60_000),  # machines vanish without a word
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]

    async def _push(self, caller: Caller, request: wire.PushRequest, _: Any) -> Message:
        return await self._ingest.push(caller.tenant, request)

    async def _answer(
        self, answer: Callable[[Call, Any], Any], caller: Caller, request: Message, context: Any
    ) -> Message:
        reply: Message = await answer(Call(caller.tenant, context.time_remaining()), request)
        return reply

    def _watch(self, caller: Caller, request: wire.WatchRequest, _: Any) -> AsyncGenerator[Message, None]:
        return self._answering.watch(Call(caller.tenant, still=partial(self._access.still, caller)), request)

    async def _alerts(self, caller: Caller, request: wire.AlertsRequest, _: Any) -> Message:
        settings = self._settings
        return telling.reply(self.alerts.in_force, caller.tenant, settings.clock_ns(), settings.alerts is not None)

    async def _ask(self, tenant: str, find: Callable[[TenantStorage], Any]) -> Any:
        """A question of our own, as all others are asked. Raises Refused."""
        return await self._answering.of_storage(Call(tenant, _PATIENCE_S), find)

    async def _run(self, pool: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads[pool], function, *arguments)

    async def _follow(self) -> None:
        """Each second: the tokens, the rules, and how it is."""
        seconds = 0.0
        while True:
            await self._run("look", self._access.refresh)
            if (alerts := self._settings.alerts) is not None:
                await self._run("look", alerts.refresh)
                self.alerts.take(alerts.value)
            if seconds % _PING_S == 0:
                await self._run("look", self._ping)
            await self._tell_health()
            await asyncio.sleep(_POLL_S)
            seconds += _POLL_S

    def _ping(self) -> None:
        """In a thread."""
        try:
            self._storage.ping()
        except StorageError as error:
            if not self._unreachable:
                LOG.error("the store cannot be reached: %s", error)
            self._unreachable = str(error)
        else:
            self._unreachable = ""

    async def _tell_health(self) -> None:
        ending = "the aggregator is ending" if self._ending else ""
        self._not_serving = why = ending or self._unreachable or self._tenants.trouble
        status = health_pb2.HealthCheckResponse.NOT_SERVING if why else health_pb2.HealthCheckResponse.SERVING
        for name in ("", *(service.full_name for service in _SERVICES.values())):
            await self._health.set(name, status)

    # -- the pages

    async def _open_pages(self, http: str) -> None:
        host, _, port = http.rpartition(":")
        try:
            await self._pages.start(host.strip("[]"), int(port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            why = "it cannot listen there: it is in use" if in_use else f"it cannot listen there: {error.strerror}"
            raise ServerError(f"--http {http}: {why}") from error

    async def _healthz(self) -> Page:
        return Page(b"alive\n")

    async def _readyz(self) -> Page:
        """What health says."""
        if why := self._not_serving:
            return Page(f"not serving: {clean(why)}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Page(b"serving\n")

    async def _metrics(self) -> Page:
        alerts = telling.families(self.alerts.in_force, self.alerts.round_s) if self._settings.alerts else []
        counted = [*metrics.counted(self._counts), *alerts]
        waiting, damaged = await self._run("look", self._journal.waiting)
        state = metrics.State(
            is_serving=not self._not_serving,
            queue_bytes=self._budget.used,
            queue_limit_bytes=self._budget.limit,
            agents=sum(len(tenant.board) for tenant in self._tenants.all()),
            streams=self._answering.streams,
            waiting_questions=self._questions.waiting,
            waiting_batches=waiting,
            damaged_batches=damaged,
        )
        return Page(await self._run("look", metrics.text, counted, state), content=metrics.CONTENT_TYPE)


async def serve(aggregator: Aggregator, listening: Callable[[], None]) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; a second one ends at once. listening: called when its ports are known.

    Raises ServerError.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask(number: int) -> None:
        if asked.is_set():  # what is in the journal is stored at the next start; nothing else was acknowledged
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ask, number)
    await aggregator.start()
    listening()
    await asked.wait()
    await aggregator.stop()
