"""What an aggregator says of itself over HTTP, beside what was done to it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aperture_tui import __version__
from aperture_tui.fleet.aggregator import tokens
from aperture_tui.fleet.aggregator.counts import BOUNDS_S, Counts, Durations
from aperture_tui.fleet.aggregator.lane import BatchLimits
from aperture_tui.fleet.aggregator.metrics import State, counted, text
from aperture_tui.fleet.aggregator.tokens import Access, Role
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2_grpc import FleetStub, IngestStub
from tests.fleet.aggregator import over_http
from tests.fleet.aggregator.kept import Kept
from tests.fleet.aggregator.over_http import Samples
from tests.fleet.aggregator.program import Program
from tests.fleet.aggregator.pushing import push
from tests.fleet.aggregator.serving import Served, code_of, serving, until

HTTP = "127.0.0.1:0"
BOUNDED = {"method", "status", "outcome", "version", "le"}
"""The labels that there are; none of them is what agents say of themselves."""


async def got(served: Served, path: str) -> tuple[int, str]:
    found = await asyncio.to_thread(over_http.get, served.aggregator.http_port, path)
    return found.status, found.body.decode()


async def metrics(served: Served) -> Samples:
    return await asyncio.to_thread(over_http.metrics, served.aggregator.http_port)


# -- the program


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    one = Program(tmp_path, "--http", HTTP, "--batch", "0.1")
    yield one
    one.process.kill()
    one.process.communicate()


def test_the_numbers_are_those_of_what_was_pushed_and_asked(program: Program) -> None:
    assert over_http.get(program.http_port, "/healthz").body == b"alive\n"
    assert over_http.get(program.http_port, "/readyz").body == b"serving\n"
    at_first = over_http.metrics(program.http_port)
    assert at_first.of("aperture_stored_events_total") == 0
    assert ("aperture_last_push_timestamp_seconds", ()) not in at_first
    pushes = [push(seq, agent, n=10 * seq) for agent in ("web-1", "web-2") for seq in (1, 2, 3)]
    began = time.time()
    with grpc.insecure_channel(program.address) as channel:
        ingest, fleet = IngestStub(channel), FleetStub(channel)
        for at_once in zip(pushes[:3], pushes[3:], strict=True):
            for waiting in [ingest.Push.future(request, timeout=30) for request in at_once]:
                waiting.result()
        ingest.Push(pushes[0], timeout=30)
        assert ingest.Push(push(1, "web-3", leaf="new", known=True), timeout=30).need_stacks
        with pytest.raises(grpc.RpcError):
            ingest.Push(push(9, "web-1"), timeout=30)
        fleet.Hosts(wire.HostsRequest(), timeout=30)
        fleet.Aggregate(wire.AggregateRequest(), timeout=30)
        with pytest.raises(grpc.RpcError):
            fleet.Timeline(wire.TimelineRequest(buckets=0), timeout=30)
        stream = fleet.Watch(wire.WatchRequest(), timeout=30)
        next(stream)
        found = over_http.metrics(program.http_port)
        stream.cancel()
    assert found.of("aperture_pushes_total", outcome="stored") == 6
    assert found.of("aperture_pushes_total", outcome="repeated") == 1
    assert found.of("aperture_pushes_total", outcome="incomplete") == 1
    assert found.of("aperture_calls_total", method="Push", status="OK") == 8
    assert found.of("aperture_calls_total", method="Push", status="FAILED_PRECONDITION") == 1
    assert found.of("aperture_calls_total", method="Timeline", status="INVALID_ARGUMENT") == 1
    for name, n in (("Push", 9), ("Hosts", 1), ("Aggregate", 1), ("Timeline", 1)):
        assert found.of("aperture_call_seconds_count", method=name) == n
        assert found.of("aperture_call_seconds_bucket", method=name, le="+Inf") == n
    assert found.of("aperture_call_seconds_sum", method="Aggregate") > 0
    assert found.of("aperture_stored_events_total") == 2 * (10 + 20 + 30)
    assert found.of("aperture_stored_bytes_total") == sum(len(one.SerializeToString()) for one in pushes)
    assert 1 <= found.of("aperture_insert_seconds_count") <= 6
    assert found.of("aperture_store_failures_total") == 0
    assert began <= found.of("aperture_last_push_timestamp_seconds") <= time.time()
    assert found.of("aperture_agents") == 2
    assert found.of("aperture_streams") == 1
    assert found.of("aperture_serving") == 1
    assert found.of("aperture_queue_limit_bytes") == 256 << 20
    for idle in ("queue_bytes", "waiting_questions", "journal_waiting_batches", "journal_damaged_batches"):
        assert found.of(f"aperture_{idle}") == 0
    assert found.of("aperture_build_info", version=__version__) == 1
    assert found.of("aperture_process_cpu_seconds_total") > 0
    assert found.of("aperture_process_resident_memory_bytes") > 50 << 20
    assert all(name.startswith("aperture_") for name, _ in found)
    assert found.labels() == BOUNDED
    program.process.send_signal(signal.SIGTERM)
    assert program.ended()[0] == 0


def test_there_are_no_pages_unless_they_are_asked_for(tmp_path: Path) -> None:
    program = Program(tmp_path)
    try:
        connections = psutil.Process(program.process.pid).net_connections("tcp")
        listening = {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
        assert listening == {program.port}
    finally:
        program.kill()


# -- in this process


async def test_series_do_not_grow_with_the_agents(tmp_path: Path) -> None:
    async with serving(tmp_path, http=HTTP) as served:
        await served.push(push(1))
        before = await metrics(served)
        for i in range(50):
            await served.push(push(1, f"host-{i}", service=f"service-{i}"))
        after = await metrics(served)
        assert set(after) == set(before)
        assert after.of("aperture_agents") == 51


async def test_who_is_not_let_in_is_counted_under_names_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token = tokens.drawn()
    file.write_text(tokens.line(token, "shop", Role.READ) + "\n")
    file.chmod(0o600)
    async with serving(tmp_path, access=Access(str(file)), http=HTTP) as served:
        await code_of(served.push(push(1), token))
        await code_of(served.ask("Hosts", wire.HostsRequest(), "x"))
        for i in range(3):
            await code_of(served.channel.unary_unary(f"/aperture.v1.Fleet/Evil{i}")(b""))
        found = await metrics(served)
    assert found.of("aperture_calls_total", method="Push", status="PERMISSION_DENIED") == 1
    assert found.of("aperture_calls_total", method="Hosts", status="UNAUTHENTICATED") == 1
    assert found.of("aperture_calls_total", method="other", status="UNAUTHENTICATED") == 3


async def test_who_leaves_and_what_fails_have_their_status(tmp_path: Path) -> None:
    async with serving(tmp_path, http=HTTP) as served:
        await served.push(push(1))
        store, free = served.kept["default"].store, threading.Event()
        store.before = free.wait
        asked = asyncio.ensure_future(served.ask("Query", wire.QueryRequest()))
        await until(lambda: served.aggregator._questions._free._value < 4)
        asked.cancel()
        async with asyncio.timeout(10):
            while not (await metrics(served)).get(
                ("aperture_calls_total", (("method", "Query"), ("status", "CANCELLED")))
            ):
                await asyncio.sleep(0.01)
        free.set()

        def fails() -> None:
            raise RuntimeError("no")

        store.before = fails
        await code_of(served.ask("Query", wire.QueryRequest()))
        found = await metrics(served)
    assert found.of("aperture_calls_total", method="Query", status="INTERNAL") == 1
    assert found.of("aperture_call_seconds_count", method="Query") == 2


async def test_readiness_is_what_health_says_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.server._POLL_S", 0.05)
    kept = Kept()

    def down(*_: object) -> None:
        raise StorageError("the disk\nis full")

    async with serving(tmp_path, kept, http=HTTP) as served:
        health = health_pb2_grpc.HealthStub(served.channel)
        assert await got(served, "/readyz") == (200, "serving\n")
        kept["default"].before = down
        assert (await code_of(served.push(push(1))))[0] is grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(10):
            while (await got(served, "/readyz"))[0] == 200:
                await asyncio.sleep(0.02)
        assert await got(served, "/readyz") == (503, "not serving: the disk\\nis full\n")
        status = (await health.Check(health_pb2.HealthCheckRequest())).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await got(served, "/healthz") == (200, "alive\n")
        found = await metrics(served)
        assert found.of("aperture_serving") == 0
        assert found.of("aperture_store_failures_total") >= 1
        assert found.of("aperture_journal_waiting_batches") == 1
        assert found.of("aperture_queue_bytes") > 0
        kept["default"].before = lambda _: None
        async with asyncio.timeout(10):
            while (await got(served, "/readyz"))[0] != 200:
                await asyncio.sleep(0.02)


async def test_while_it_ends_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    inside, free = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        inside.set()
        free.wait()

    async with serving(tmp_path, http=HTTP, batches=BatchLimits(seconds=0.01)) as served:
        served.kept["default"].before = slow
        pushing = asyncio.ensure_future(served.push(push(1)))
        await asyncio.to_thread(inside.wait)
        ending = asyncio.ensure_future(served.aggregator.stop())
        await until(lambda: served.aggregator._not_serving)
        assert await got(served, "/readyz") == (503, "not serving: the aggregator is ending\n")
        assert await got(served, "/healthz") == (200, "alive\n")
        free.set()
        assert (await pushing).stored == 1
        await ending
        with pytest.raises(ConnectionRefusedError):
            await got(served, "/healthz")


# -- the page itself


def test_buckets_hold_all_below_them() -> None:
    durations = Durations()
    for seconds in (0.001, 0.005, 0.0051, 29.0, 31.0):
        durations.add(seconds)
    each, total = durations.told()
    assert each == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert total == pytest.approx(60.0111)
    counts = Counts()
    counts.inserts = durations
    page = text(counted(counts), State(True, 0, 1, 0, 0, 0, 0, 0)).decode()
    lines = [line for line in page.splitlines() if line.startswith("aperture_insert_seconds_bucket")]
    assert [line.split()[-1] for line in lines] == ["2.0", *["3.0"] * (len(BOUNDS_S) - 2), "4.0", "5.0"]
    assert lines[-1].startswith('aperture_insert_seconds_bucket{le="+Inf"}')
