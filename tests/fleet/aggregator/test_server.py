"""The aggregator from outside: who is let in, what is refused with which status, how it begins and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aperture_tui.fleet.aggregator import tokens
from aperture_tui.fleet.aggregator.certificates import Certificates
from aperture_tui.fleet.aggregator.logs import OneLine
from aperture_tui.fleet.aggregator.refusal import RefusalLog
from aperture_tui.fleet.aggregator.tokens import Access, Role
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2_grpc import FleetStub, IngestStub
from tests.fleet.aggregator.kept import Kept
from tests.fleet.aggregator.program import Program
from tests.fleet.aggregator.pushing import push
from tests.fleet.aggregator.serving import Authority, code_of, serving

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Tokens:
    """A file with one of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.push, self.read, self.admin, self.other = (tokens.drawn() for _ in range(4))
        self.lines = [
            tokens.line(self.push, "shop", Role.PUSH),
            tokens.line(self.read, "shop", Role.READ),
            tokens.line(self.admin, "shop", Role.ADMIN),
            tokens.line(self.other, "bank", Role.ADMIN),
        ]
        self.write()

    def write(self) -> None:
        self.path.write_text("\n".join(self.lines) + "\n")
        self.path.chmod(0o600)


@pytest.fixture
def known(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens")


# -- who may what


async def test_each_token_may_what_its_role_says_in_its_tenant(tmp_path: Path, known: Tokens) -> None:
    async with serving(tmp_path, access=Access(str(known.path))) as served:
        assert (await served.push(push(1), known.push)).stored == 1
        assert (await served.push(push(2), known.admin)).stored == 2
        assert (await served.push(push(1), known.other)).stored == 1
        code, words = await code_of(served.push(push(3), known.read))
        assert (code, words) == (grpc.StatusCode.PERMISSION_DENIED, "this token may read, and not push")
        for name, request in (
            ("Hosts", wire.HostsRequest()),
            ("Describe", wire.DescribeRequest()),
            ("Query", wire.QueryRequest()),
        ):
            assert (await code_of(served.ask(name, request, known.push)))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert len((await served.ask("Hosts", wire.HostsRequest(), known.read)).hosts) == 2
        assert len((await served.ask("Hosts", wire.HostsRequest(), known.other)).hosts) == 1
        assert served.kept["shop"].seqs() == [1, 2]


async def test_without_a_good_token_nothing_is_done_or_even_read(tmp_path: Path, known: Tokens) -> None:
    known.lines.append(tokens.line(late := tokens.drawn(), "shop", Role.ADMIN, time.time() - 1))
    known.write()
    async with serving(tmp_path, access=Access(str(known.path))) as served:
        for token in ("", "x", known.push[:-1], late, "Bearer " + known.push):
            for call in (
                served.push(push(1), token),
                served.ask("Hosts", wire.HostsRequest(), token),
                served.watch(wire.WatchRequest(), token).read(),
            ):
                assert (await code_of(call))[0] is grpc.StatusCode.UNAUTHENTICATED
        huge = push(1)
        huge.body = bytes(50 << 20)  # past every limit: it is not read
        assert (await code_of(served.push(huge, "x")))[0] is grpc.StatusCode.UNAUTHENTICATED
        assert not served.kept.tenants


async def test_health_and_reflection_are_for_everybody(tmp_path: Path, known: Tokens) -> None:
    async with serving(tmp_path, access=Access(str(known.path))) as served:
        health = health_pb2_grpc.HealthStub(served.channel)
        for name in ("", "aperture.v1.Ingest", "aperture.v1.Fleet"):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflection_pb2_grpc.ServerReflectionStub(served.channel).ServerReflectionInfo(iter([asked]))
        names = {one.name for one in (await stream.read()).list_services_response.service}
        assert {"aperture.v1.Ingest", "aperture.v1.Fleet", "grpc.health.v1.Health"} <= names


async def test_the_file_of_tokens_is_followed(tmp_path: Path, known: Tokens) -> None:
    async with serving(tmp_path, access=Access(str(known.path))) as served:
        assert (await served.push(push(1), known.push)).stored == 1
        stream = aiter(served.watch(wire.WatchRequest(), known.read))
        await anext(stream)
        new = tokens.drawn()
        known.lines = [tokens.line(new, "shop", Role.PUSH)]
        known.write()
        async with asyncio.timeout(10):
            while True:  # it is looked at each second
                try:
                    await served.push(push(2), new)
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.1)
        assert (await code_of(served.push(push(3), known.push)))[0] is grpc.StatusCode.UNAUTHENTICATED
        code, _ = await code_of(_all_of(stream))  # what came wakes it, and it finds that it may not any more
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def _all_of(stream: AsyncIterator[object]) -> None:
    async for _ in stream:
        pass


# -- what is refused


async def test_what_is_no_message_is_refused_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as served:
        call = served.channel.unary_unary("/aperture.v1.Ingest/Push")
        chance = random.Random(7)
        for n in (0, 1, 10, 1000):
            code, words = await code_of(call(chance.randbytes(n) + b"\xff"))
            assert (code, words) == (grpc.StatusCode.INVALID_ARGUMENT, "no PushRequest")
        for name in ("Hosts", "Query", "Watch"):
            code, words = await code_of(served.channel.unary_unary(f"/aperture.v1.Fleet/{name}")(b"\xff\xff"))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert (await code_of(served.channel.unary_unary("/aperture.v1.Fleet/None")(b"")))[
            0
        ] is grpc.StatusCode.UNIMPLEMENTED
        assert (await served.push(push(1))).stored == 1
    assert sum("no PushRequest" in record.getMessage() for record in caplog.records) == 1  # the others are counted
    assert "Traceback" not in caplog.text


async def test_a_failure_of_ours_is_told_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as served:
        await served.push(push(1))

        def fails() -> None:
            raise RuntimeError("secret\nwords")

        served.kept["default"].store.before = fails
        code, words = await code_of(served.ask("Query", wire.QueryRequest()))
        assert code is grpc.StatusCode.INTERNAL
        assert "RuntimeError" in words
        assert "secret" not in words  # what goes wrong inside is for the log
    assert "secret" in caplog.text
    assert "Traceback" not in caplog.text


async def test_sizes_are_limited_as_they_come_and_unpacked(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        large = push(1)
        large.body = os.urandom(4 << 20) + b"x"
        code, words = await code_of(served.push(large))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "at most 4,194,304" in words
        large.body = bytes(20 << 20)
        code, words = await code_of(served.push(large))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, words = await code_of(served.push(large, compression=grpc.Compression.Gzip))  # a bomb of gRPC's own
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await served.push(push(1))).stored == 1


def test_the_log_has_a_line_for_each_peer_and_kind_and_is_no_flood(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = RefusalLog(lambda: now)
    for i in range(1000):
        log.note(f"ipv4:10.0.0.7:{i}", "INVALID_ARGUMENT", "no PushRequest")
    assert len(caplog.records) == 1
    log.note("ipv4:10.0.0.8:1", "INVALID_ARGUMENT", "no PushRequest")
    assert "999 more" in caplog.records[-1].getMessage()
    for i in range(1000):
        log.note(f"ipv4:10.1.{i // 256}.{i % 256}:1", "UNAUTHENTICATED", "the token is not known here")
    assert len(caplog.records) == 12
    now = 61.0
    log.note("ipv4:10.0.0.7:5", "UNAUTHENTICATED", "x\x1b[2J")
    assert "990 more" in caplog.records[-1].getMessage()
    assert len(log._told) <= 4096


def test_a_line_of_the_log_is_one_line_whatever_is_in_it() -> None:
    try:
        raise ValueError("a\nb\x1b[31m")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "said\n%s", ("\x9b2J",), sys.exc_info())
    line = OneLine().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\x9b" not in line
    assert "ValueError: a\\nb" in line
    assert "Traceback" not in line


# -- health


async def test_health_follows_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.server._POLL_S", 0.05)
    monkeypatch.setattr("aperture_tui.fleet.aggregator.server._PING_S", 0.1)
    kept = Kept()
    async with serving(tmp_path, kept) as served:
        health = health_pb2_grpc.HealthStub(served.channel)

        async def becomes(status: int) -> None:
            async with asyncio.timeout(10):
                while (await health.Check(health_pb2.HealthCheckRequest())).status != status:
                    await asyncio.sleep(0.02)

        await becomes(SERVING)

        def down(*_: object) -> None:
            raise StorageError("ClickHouse cannot be reached")

        kept.before = down
        await becomes(NOT_SERVING)
        kept.before = lambda: None
        await becomes(SERVING)
        kept["default"].before = down  # it can be reached, but not written to
        assert (await code_of(served.push(push(1))))[0] is grpc.StatusCode.UNAVAILABLE
        await becomes(NOT_SERVING)
        kept["default"].before = lambda _: None
        await becomes(SERVING)
        assert (await served.push(push(1))).stored == 1


# -- TLS


@needs_openssl
async def test_with_tls_the_name_is_checked_and_plain_text_is_not_understood(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("agg")
    files = Certificates(authority.path("agg.pem"), authority.path("agg.key"))
    good = grpc.ssl_channel_credentials(authority.pem)
    async with serving(tmp_path, certificates=files, credentials=good) as served:
        assert (await served.push(push(1))).stored == 1
        async with grpc.aio.insecure_channel(served.address) as plain:
            assert (await code_of(IngestStub(plain).Push(push(2), timeout=5)))[0] is grpc.StatusCode.UNAVAILABLE
        (tmp_path / "strangers").mkdir()
        other = grpc.ssl_channel_credentials(Authority(tmp_path / "strangers").pem)
        async with grpc.aio.secure_channel(served.address, other) as wrong:
            assert (await code_of(IngestStub(wrong).Push(push(2), timeout=5)))[0] is grpc.StatusCode.UNAVAILABLE
        assert served.kept["default"].seqs() == [1]


@needs_openssl
async def test_with_a_client_authority_only_its_certificates_are_let_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("agg")
    certificate, key = authority.issue("agent")
    files = Certificates(authority.path("agg.pem"), authority.path("agg.key"), authority.path("ca.pem"))
    good = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    (tmp_path / "strangers").mkdir()
    strange_certificate, strange_key = Authority(tmp_path / "strangers").issue("agent")
    async with serving(tmp_path, certificates=files, credentials=good) as served:
        assert (await served.push(push(1))).stored == 1
        for bad in (
            grpc.ssl_channel_credentials(authority.pem),
            grpc.ssl_channel_credentials(authority.pem, strange_key, strange_certificate),
        ):
            async with grpc.aio.secure_channel(served.address, bad) as channel:
                assert (await code_of(IngestStub(channel).Push(push(2), timeout=5)))[0] is grpc.StatusCode.UNAVAILABLE
        assert served.kept["default"].seqs() == [1]


@needs_openssl
async def test_a_renewed_certificate_needs_no_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path), Authority(tmp_path / "new")
    old.issue("agg")
    new.issue("agg")
    files = Certificates(old.path("agg.pem"), old.path("agg.key"))

    async def pushes(authority: Authority, seq: int) -> bool:
        credentials = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(served.address, credentials) as channel:
            try:
                return (await IngestStub(channel).Push(push(seq), timeout=5)).stored == seq
            except grpc.aio.AioRpcError:
                return False

    async with serving(tmp_path, certificates=files, credentials=grpc.ssl_channel_credentials(old.pem)) as served:
        assert await pushes(old, 1)
        shutil.copy(new.path("agg.pem"), files.certificate)  # half of it: not a pair
        assert await pushes(old, 2)
        assert "stays in use" in caplog.text
        shutil.copy(new.path("agg.key"), files.key)
        assert await pushes(new, 3)
        assert not await pushes(old, 4)


# -- the program


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.process.kill()
        program.process.communicate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "0.0.0.0:0"], "--tokens FILE, or --insecure"),
        (["--listen", "[::]:0"], "--tokens FILE, or --insecure"),
        (["--listen", "example.org:1"], "--tokens FILE, or --insecure"),
        (["--listen", "0.0.0.0:0", "--tokens", "x"], "--tls-cert and --tls-key, or --insecure"),
        (["--tls-cert", "x"], "need each other"),
        (["--client-ca", "x"], "--client-ca needs"),
        (["--listen", "50051"], "HOST:PORT"),
        (["--listen", "::1:5"], "HOST:PORT"),
        (["--listen", "a:65536"], "HOST:PORT"),
        (["--queue-mb", "0"], "not a number"),
        (["--http", "0.0.0.0:9090"], "--http-insecure, or loopback"),
        (["--http", "[::]:9090", "--tokens", "x", "--tls-cert", "x", "--tls-key", "x"], "--http-insecure, or loopback"),
        (["--http", "0.0.0.0:9090", "--insecure"], "--http-insecure, or loopback"),
        (["--http", "9090"], "HOST:PORT"),
        (["--http-insecure"], "--http-insecure needs --http"),
    ],
)
def test_what_would_be_open_by_mistake_is_wrong_usage(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "aperture_tui.cli.main", "aggregator", *arguments]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["aggregator", "token"])
def test_help_needs_nothing_heavy(command: str) -> None:
    code = f"import sys, aperture_tui.cli.{command}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "grpc", "asyncio", "google.protobuf"} & set(loaded)


def test_what_it_cannot_begin_with_is_one_line(tmp_path: Path, started: list[Program]) -> None:
    started.append(first := Program(tmp_path))
    (tmp_path / "broken").write_text("what?\n")
    (tmp_path / "broken").chmod(0o600)
    for program, words in (
        (Program(tmp_path), "another aggregator has it"),
        (Program(tmp_path / "x", store=f"chdb://{tmp_path / 'db'}"), "another process has it open"),
        (Program(tmp_path / "a", "--tokens", str(tmp_path / "broken")), "line 1"),
        (Program(tmp_path / "b", "--tokens", str(tmp_path / "none")), "No such file"),
        (Program(tmp_path / "c", listen=f"127.0.0.1:{first.port}"), "in use"),
        (Program(tmp_path / "f", "--http", f"127.0.0.1:{first.port}"), "--http 127.0.0.1:"),
        (Program(tmp_path / "g", "--http", "no.such.host.invalid:1", "--http-insecure"), "--http no.such.host"),
        (Program(tmp_path / "h", "--alerts", str(tmp_path / "none")), "No such file"),
        (Program(tmp_path / "i", "--alerts", str(tmp_path / "broken")), "broken: no TOML"),
        (Program(tmp_path / "d", "--tls-cert", str(tmp_path / "broken"), "--tls-key", "/x"), "certificate in PEM"),
        (Program(tmp_path / "e", store="http://x"), "is no store"),
    ):
        started.append(program)
        status, said = program.ended()
        assert status == 1
        assert words in said
        assert [line for line in said.splitlines() if "DB::Exception" not in line] == said.splitlines()[-1:]


def test_it_begins_says_so_stores_and_ends(tmp_path: Path, started: list[Program]) -> None:
    started.append(program := Program(tmp_path, "--batch", "3"))
    assert "anybody may push and read" in program.first
    with grpc.insecure_channel(f"127.0.0.1:{program.port}") as channel:
        assert IngestStub(channel).Push(push(1), timeout=30).stored == 1
        began = time.monotonic()
        waiting = IngestStub(channel).Push.future(push(2), timeout=30)
        time.sleep(1)  # it waits for its batch
        program.process.send_signal(signal.SIGTERM)
        assert waiting.result().stored == 2
        assert time.monotonic() - began < 2.9  # which the end does not wait for
    status, said = program.ended()
    assert status == 0
    assert said.splitlines()[-1] == "aperture aggregator: stopped"
    started.append(again := Program(tmp_path))
    with grpc.insecure_channel(f"127.0.0.1:{again.port}") as channel:
        assert IngestStub(channel).Push(push(1), timeout=30).stored == 2
        with pytest.raises(grpc.RpcError) as refused:
            IngestStub(channel).Push(push(4), timeout=30)
        assert refused.value.details() == "push 3 is due"


def test_it_follows_rules(tmp_path: Path, started: list[Program]) -> None:
    (tmp_path / "rules").write_text('[[rule]]\nname = "cores"\nmeasure = "cores"\nabove = 4\n')
    started.append(program := Program(tmp_path, "--alerts", str(tmp_path / "rules")))
    with grpc.insecure_channel(program.address) as channel:
        reply = FleetStub(channel).Alerts(wire.AlertsRequest(), timeout=30)
    assert [(rule.name, rule.above, rule.alerts[0].why) for rule in reply.rules] == [
        ("cores", 4.0, "it was not measured yet")
    ]


def test_a_second_signal_ends_it_at_once(tmp_path: Path, started: list[Program]) -> None:
    started.append(program := Program(tmp_path))
    with grpc.insecure_channel(f"127.0.0.1:{program.port}") as channel:
        stream = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")  # keeps it for the time of grace
        next(stream)
        program.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        began = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        status, _ = program.ended()
        assert status == -signal.SIGINT
        assert time.monotonic() - began < 3


def test_a_thousand_connections_are_nothing(tmp_path: Path, started: list[Program]) -> None:
    """Past the usual limit of 1,024 descriptors."""
    started.append(program := Program(tmp_path))
    connections = []
    try:
        for _ in range(1500):
            connections.append(socket.create_connection(("127.0.0.1", program.port)))
        with grpc.insecure_channel(f"127.0.0.1:{program.port}") as channel:
            assert IngestStub(channel).Push(push(1), timeout=30).stored == 1
    finally:
        for connection in connections:
            connection.close()


async def test_it_ends_while_screens_watch(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        stream = aiter(served.watch(wire.WatchRequest()))
        await anext(stream)
        began = time.monotonic()
        stopping = asyncio.create_task(served.aggregator.stop())
        assert (await code_of(_all_of(stream)))[0] is grpc.StatusCode.UNAVAILABLE
        await stopping
        assert time.monotonic() - began < 3
