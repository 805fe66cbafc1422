"""The aggregator when things go wrong: what it acknowledged is there once, what it refuses has one reason."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2 import Body, PushRequest
from aperture_tui.wire.fleet_pb2_grpc import FleetStub, IngestStub
from tests.fleet.aggregator.hostile import cases, changed
from tests.fleet.aggregator.program import Agent, Program, held, held_port
from tests.fleet.aggregator.pushing import push
from tests.store.clickhouse.shimmed import Server

KILLS = 50
AGENTS = 6
SECOND = 1_000_000_000


def maker(name: str, now_ns: int) -> Callable[[int], PushRequest]:
    """Pushes of an agent: of each seq always the same, with stacks of its own and of others."""
    chance = random.Random(name)
    boot = chance.randbytes(16)

    def made(seq: int) -> PushRequest:
        n = 20 + seq % 7
        return push(
            seq,
            name,
            boot=boot,
            n=n,
            time_ns=now_ns + seq * 50_000_000,
            leaf=f"f{seq % 11}",
            service=f"s{len(name) % 2}",
        )

    return made


def check(folder: Path, agents: dict[str, Agent], least: Callable[[Agent], int]) -> int:
    """Everything of all agents is held once, up to `least`; returns how many pushes that are."""
    found = held(folder)
    assert {name: wrong for name, wrong in found["wrong"].items() if wrong} == {}
    total = 0
    for name, agent in agents.items():
        seqs = [seq for host, _, seq, _ in found["pushes"] if host == name]
        assert seqs == list(range(1, len(seqs) + 1)), f"pushes of {name}"
        assert len(seqs) >= least(agent)
        events = [[seq, n] for host, seq, n in found["events"] if host == name]
        assert events == [[seq, 20 + seq % 7] for seq in seqs], f"events of {name}"
        total += len(seqs)
    assert total == len(found["pushes"])
    return total


def acknowledged(agents: dict[str, Agent]) -> int:
    """By all of them."""
    return sum(agent.acknowledged for agent in agents.values())


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes so."""
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.01)
    return true()


@pytest.fixture
def listen() -> Iterator[str]:
    """Where aggregators listen, one after the other."""
    with held_port() as port:
        yield f"127.0.0.1:{port}"


def test_killed_fifty_times_it_has_all_that_it_acknowledged_once(tmp_path: Path, listen: str) -> None:
    chance, now = random.Random(6), time.time_ns() - 3600 * SECOND
    agents = {f"web-{'x' * i}": Agent(listen, maker(f"web-{'x' * i}", now)) for i in range(AGENTS)}
    for agent in agents.values():
        agent.start()
    said = ""
    lives = 0
    try:
        for _ in range(KILLS):
            program = Program(tmp_path, "--batch", "0.1", listen=listen)
            before = acknowledged(agents)
            if chance.random() < 0.7:  # else it dies while it begins
                assert within(60, lambda before=before: acknowledged(agents) > before), program.first
            time.sleep(chance.uniform(0.0, 0.25))
            said += program.kill()
            lives += acknowledged(agents) > before
        for agent in agents.values():
            agent.gone.set()
        program = Program(tmp_path, "--batch", "0.1", listen=listen)
        for agent in agents.values():
            agent.stop()
        # what it is told to end with before it is stored again is in the journal still, for the next run
        assert within(60, lambda: not [*(tmp_path / "journal").glob("*.batch")])
        program.process.terminate()
        status, last = program.ended()
        assert status == 0
        said += last
    finally:
        for agent in agents.values():
            agent.stop()
    total = check(tmp_path, agents, lambda agent: agent.acknowledged)
    print(f"{total} pushes, {lives} lives that stored, {said.count('that the journal had')} journals")
    assert lives > KILLS // 2
    assert "that the journal had are stored" in said, "no kill came in the middle of storing: the test shows nothing"
    assert "Traceback" not in said
    for agent in agents.values():
        assert set(agent.statuses) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.fixture
def started() -> Iterator[list[Program]]:
    """Programs that are ended in the end."""
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.process.kill()
        program.process.communicate()


@pytest.fixture
def pushing() -> Iterator[list[Agent]]:
    """Agents that are stopped in the end."""
    agents: list[Agent] = []
    yield agents
    for agent in agents:
        agent.gone.set()


def test_while_clickhouse_is_away_pushes_are_put_off_and_then_stored_once(
    tmp_path: Path, started: list[Program], pushing: list[Agent]
) -> None:
    (tmp_path / "db").mkdir()
    with Server(tmp_path / "db") as server:
        started.append(program := Program(tmp_path, "--batch", "0.1", store=server.url()))
        now = time.time_ns() - 3600 * SECOND
        agents = {name: Agent(program.address, maker(name, now), pause_s=0.05) for name in ("a", "bb", "c")}
        pushing += agents.values()
        for agent in agents.values():
            agent.start()
        assert within(20, lambda: all(agent.acknowledged > 2 for agent in agents.values()))
        for _ in range(2):
            server.stop()
            stood = stands_still(agents)
            assert health(program) == health_pb2.HealthCheckResponse.NOT_SERVING
            server.start()
            assert within(30, lambda stood=stood: acknowledged(agents) > stood + 3)
        for agent in agents.values():
            agent.stop()
        program.process.terminate()
        status, said = program.ended()
        assert status == 0
    assert said.count("nothing can be stored now: ") <= 6  # what it says at each attempt is said once
    assert said.count("storing again") == 2
    assert "Traceback" not in said
    assert "Retrying" not in said, "what a library says at each attempt"
    for agent in agents.values():
        assert set(agent.statuses) == {grpc.StatusCode.UNAVAILABLE}
        assert min(agent.delays) >= 0.5
    check(tmp_path, agents, lambda agent: agent.acknowledged)


def stands_still(agents: dict[str, Agent]) -> int:
    """All agents are refused and nothing is acknowledged any more; returns how much was."""
    told = {name: len(agent.delays) for name, agent in agents.items()}
    assert within(30, lambda: all(len(agent.delays) > told[name] + 1 for name, agent in agents.items()))
    stood = acknowledged(agents)
    time.sleep(1)
    assert acknowledged(agents) == stood
    return stood


def health(program: Program) -> int:
    with grpc.insecure_channel(program.address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        return int(reply.status)


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is made of a small tmpfs, which needs root")
def test_on_a_full_disk_nothing_is_acknowledged_and_when_there_is_room_all_is_stored_once(
    tmp_path: Path, started: list[Program], pushing: list[Agent]
) -> None:
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m", "none", tmp_path], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        started.append(program := Program(tmp_path, "--batch", "0.1"))
        now = time.time_ns() - 3600 * SECOND
        agents = {name: Agent(program.address, maker(name, now), pause_s=0.05) for name in ("a", "bb")}
        pushing += agents.values()
        for agent in agents.values():
            agent.start()
        assert within(20, lambda: all(agent.acknowledged > 2 for agent in agents.values()))
        for _ in range(2):
            fill(tmp_path / "filler")
            stood = stands_still(agents)
            (tmp_path / "filler").unlink()
            assert within(30, lambda stood=stood: acknowledged(agents) > stood + 3)
        for agent in agents.values():
            agent.stop()
        program.process.terminate()
        status, said = program.ended()
        assert status == 0
        assert "No space left" in said or "NOT_ENOUGH_SPACE" in said
        assert "Traceback" not in said
        check(tmp_path, agents, lambda agent: agent.acknowledged)
    finally:
        for program in started:
            program.process.kill()
            program.process.wait()
        subprocess.run(["umount", tmp_path], check=True)


def fill(path: Path) -> None:
    """Leave no byte free where it lies."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_hostile_pushes_are_refused_and_do_no_harm(tmp_path: Path, started: list[Program]) -> None:
    started.append(program := Program(tmp_path, "--batch", "0.1"))
    with grpc.insecure_channel(program.address) as channel:
        stub, raw = IngestStub(channel), channel.unary_unary("/aperture.v1.Ingest/Push")
        assert stub.Push(push(1, "good"), timeout=20).stored == 1
        for seq, (name, (message, status)) in enumerate(cases().items(), 2):
            with pytest.raises(grpc.RpcError) as refused:
                raw(message, timeout=20)
            assert refused.value.code().name == status, f"{name}: {refused.value.details()}"
            assert "\n" not in refused.value.details()
            assert len(refused.value.details()) <= 500
            if seq % 5 == 0:
                assert stub.Push(push(seq // 5 + 1, "good"), timeout=20).stored == seq // 5 + 1
        names = [host.name for host in FleetStub(channel).Hosts(wire.HostsRequest(), timeout=20).hosts]
        assert names == ["good"]
    assert program.peak_mb() < 1000  # chDB alone takes half of it
    program.process.terminate()
    status, said = program.ended()
    assert status == 0
    assert len(said.splitlines()) <= 6, said  # a line for each kind of refusal, the beginning and the end
    assert "Traceback" not in said


def test_odd_names_and_times_are_taken_as_they_are_and_shown_as_they_may_be(
    tmp_path: Path, started: list[Program]
) -> None:
    started.append(program := Program(tmp_path, "--batch", "0.1"))
    now = time.time_ns()
    odd = {
        "at the beginning of time": 0,
        "a nanosecond later": 1,
        "in ten years": now + 3650 * 86400 * SECOND,
        "at the end of signed time": (1 << 63) - 3,
        "at the end of time": (1 << 64) - 4,
        "last year": now - 365 * 86400 * SECOND,
        "now": now,
    }
    ahead = HostSample(now + 10**18, cpu_user=0.5)
    with grpc.insecure_channel(program.address) as channel:
        stub, fleet = IngestStub(channel), FleetStub(channel)
        for name, time_ns in odd.items():
            assert stub.Push(push(1, name, time_ns=time_ns, gauges=(ahead,)), timeout=20).stored == 1
        assert stub.Push(push(1, "a\x1b[2J\u202eb\n", service="", time_ns=now), timeout=20).stored == 1
        assert stub.Push(push(2, "a\x1b[2J\u202eb\n", service="", time_ns=now), timeout=20).stored == 2
        hosts = {host.name: host for host in fleet.Hosts(wire.HostsRequest(), timeout=20).hosts}
        assert set(hosts) == {*odd, "a\\x1b[2J\\u202eb\\n"}
        assert all(host.events in (3, 6) for host in hosts.values())
        told = fleet.Describe(wire.DescribeRequest(), timeout=20)
        assert told.events == 3 * len(hosts) + 3
        assert told.end_ns <= time.time_ns() + 600 * SECOND
        update = next(iter(fleet.Watch(wire.WatchRequest(), timeout=20)))
        assert update.end_ns <= time.time_ns() + 600 * SECOND
        last_hour = wire.Selection(start_ns=now - 3600 * SECOND)
        timeline = fleet.Timeline(wire.TimelineRequest(selection=last_hour, buckets=10), timeout=20)
        assert sum(np.frombuffer(timeline.weights, "<i8")) >= 9
        assert fleet.Aggregate(wire.AggregateRequest(), timeout=20).body
    program.process.terminate()
    status, said = program.ended()
    assert status == 0
    assert "Traceback" not in said


def test_whatever_is_changed_in_a_push_it_is_stored_or_refused(tmp_path: Path, started: list[Program]) -> None:
    """What passes for a push can be stored: none keeps those of others waiting."""
    started.append(program := Program(tmp_path, "--batch", "0.1"))
    chance = random.Random(11)
    good = push(1, "any", n=20, health=(Health("cpu", State.RUNNING, lost={"ring": 3}),), gauges=(HostSample(5),))
    parts = ("columns", "stack_hash", "stack_node", "hosts", "gauges", "health", "symbols")
    statuses: Counter[str] = Counter()

    def spoil(body: Body) -> None:
        for _ in range(chance.randint(1, 3)):
            part = chance.choice(parts)
            data = bytearray(body.symbols[0] if part == "symbols" else getattr(body, part))
            if data:
                data[chance.randrange(len(data))] = chance.choice((0, 1, 255, chance.randrange(256)))
            if part == "symbols":
                body.symbols[0] = bytes(data)
            else:
                setattr(body, part, bytes(data))

    with grpc.insecure_channel(program.address) as channel:
        calls = []
        for i in range(400):
            request = changed(good, spoil)
            request.agent = f"any-{i}"
            calls.append(IngestStub(channel).Push.future(request, timeout=60))
        for call in calls:
            statuses[call.code().name] += 1
        assert IngestStub(channel).Push(push(1, "good"), timeout=20).stored == 1
    program.process.terminate()
    status, said = program.ended()
    assert status == 0
    assert set(statuses) == {"OK", "INVALID_ARGUMENT"}
    assert statuses["OK"] > 20
    assert statuses["INVALID_ARGUMENT"] > 20
    assert "cannot be stored" not in said, said


def test_no_question_stops_the_aggregator(tmp_path: Path, started: list[Program]) -> None:
    """A pattern for which Python would search thirty letters for hours."""
    started.append(program := Program(tmp_path, "--batch", "0.1"))
    with grpc.insecure_channel(program.address) as channel:
        stub, fleet = IngestStub(channel), FleetStub(channel)
        assert stub.Push(push(1, time_ns=time.time_ns(), leaf="a" * 60 + "b"), timeout=20).stored == 1
        for pattern in ("(a+)+$", "(a|aa)+$", "((a*)*)*$"):
            fleet.Aggregate.future(wire.AggregateRequest(selection=wire.Selection(frame=pattern)), timeout=20)
        began = time.monotonic()
        assert stub.Push(push(2, time_ns=time.time_ns()), timeout=20).stored == 2
        found = fleet.Timeline(wire.TimelineRequest(selection=wire.Selection(frame="(a+)+b"), buckets=1), timeout=20)
        assert int.from_bytes(found.weights, "little") == 3
        assert time.monotonic() - began < 10
        with pytest.raises(grpc.RpcError) as refused:
            fleet.Aggregate(wire.AggregateRequest(selection=wire.Selection(frame="(?=a)")), timeout=20)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
