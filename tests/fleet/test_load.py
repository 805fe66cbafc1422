"""The load generator: what it pushes is taken, like that of real agents; and it counts right."""

from __future__ import annotations

import json
from collections import Counter

import grpc
import numpy as np
import pytest

from aperture_tui.profile.kinds import Kind
from bench.fleet import load
from bench.fleet.made_up import SERVICES, Service, runtime_of
from tests.fleet.agent.taking import Serving, Taker, forgetful, refusing, sparing

OPTIONS = ["--agents", "12", "--interval", "0.5", "--services", "3", "--stacks", "300", "--rows", "40", "--json"]


def reported(capsys: pytest.CaptureFixture[str], taker: Taker, *options: str) -> dict[str, object]:
    with Serving(taker) as server:
        status = load.main(["--remote", server.address, *OPTIONS, *options])
    report = json.loads(capsys.readouterr().out)
    assert status == int(bool(report["lost"]))
    return report


def test_all_that_is_acknowledged_was_stored_once_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    taker = Taker()
    taker.plan.extend([forgetful, refusing(grpc.StatusCode.UNAVAILABLE, "x"), sparing(0.1)] * 3)
    report = reported(capsys, taker, "--duration", "2.2")
    assert report["acknowledged"] == len(taker.pushes) >= 4 * 12
    assert report["refused"] == {"unavailable": 9}
    assert (report["lost"], report["given_up"]) == (0, 0)
    for key, last in taker.stored.items():
        seqs = [push.head.seq for push in taker.pushes if (push.head.agent, push.head.boot) == key]
        assert seqs == list(range(1, last + 1))
    rows = Counter(push.head.agent for push in taker.pushes for _ in range(len(push.events)))
    assert rows.total() == 40 * len(taker.pushes)
    assert len(rows) == 12


def test_most_pushes_have_no_stacks_and_those_that_are_asked_for_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    taker = Taker()

    def forgets(taker: Taker, request: object, context: object) -> None:
        if len(taker.tried) == 60:
            taker.stacks = {0}

    taker.always = forgets
    report = reported(capsys, taker, "--duration", "4", "--churn", "0")
    assert report["asked_for_stacks"] > 0
    assert report["acknowledged"] == len(taker.pushes)
    unsent = [push for push in taker.pushes[-24:] if not push.nodes.any()]
    assert len(unsent) > 3
    for push in unsent:
        assert set(push.hashes.tolist()) <= taker.stacks


def test_a_push_is_like_that_of_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    taker = Taker()
    reported(capsys, taker, "--duration", "2")
    kinds = {int(kind) for push in taker.pushes for kind in np.unique(push.events["kind"])}
    assert kinds == {Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK}
    for push in taker.pushes:
        times = push.events["time_ns"].astype(np.int64)
        assert times.max() - times.min() <= 500_000_000
        (process,) = np.unique(push.events["process"])
        named = push.symbols.process_at(int(process))
        assert push.head.agent.startswith(push.head.service)
        assert named.cgroup == f"/system.slice/{push.head.service}.service"
        assert set(push.events["pid"].tolist()) == {named.pid}
        assert push.hosts[0].name == push.head.agent
        assert len(push.gauges) >= 1
        assert abs(push.gauges[-1].time_ns - times.max()) < 2e9
    by_service = {push.head.service for push in taker.pushes}
    assert by_service == set(SERVICES[:3])


def test_what_is_never_taken_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    taker = Taker()
    taker.plan.append(refusing(grpc.StatusCode.INVALID_ARGUMENT, "x"))
    report = reported(capsys, taker, "--duration", "1")
    assert (report["lost"], report["refused"]) == (1, {"invalid_argument": 1})


def test_services_are_what_they_are_called() -> None:
    one, again = Service("orders-db", 200, 3), Service("orders-db", 200, 3)
    assert one.process_name == "postgres"
    assert one.shape(50).tobytes() == again.shape(50).tobytes()
    paths = [[one.symbols.frame_at(frame) for frame in one.symbols.trie.path(int(node))] for node in one.nodes[:50]]
    assert all(path[0].function == "postgres" for path in paths)
    assert any(frame.function == "exec_simple_query" for path in paths for frame in path)
    assert len(set(map(tuple, paths))) > 45
    assert len({runtime_of(name).process for name in SERVICES}) >= 6
