"""`aperture agent`: what it takes, what it says, and that what a machine does arrives."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from aperture_tui import __version__
from aperture_tui.cli import agent
from aperture_tui.collect import requirements
from aperture_tui.fleet.agent.spool import Spool
from aperture_tui.profile.kinds import Kind
from tests.collect.collecting import FRAME_POINTERS, run
from tests.fleet.agent.running import ended, started
from tests.fleet.agent.taking import Serving, Taker
from tests.programs import build

TO = ("--remote", "127.0.0.1:50051")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: --remote"),
        (("--remote", "host:70000"), "'host:70000' is no address: give HOST:PORT"),
        ((*TO, "--tls-cert", "x"), "--tls-cert and --tls-key need each other"),
        ((*TO, "--insecure", "--tls-ca", "x"), "--insecure does without TLS"),
        ((*TO, "--low-overhead", "--events", "all"), "--low-overhead collects CPU samples alone"),
        ((*TO, "--interval", "0"), "'0' is not a duration"),
        ((*TO, "--interval", "900"), "--interval is at most 300 seconds"),
        ((*TO, "--name", "a\x1bb"), "is not a name"),
        ((*TO, "--service", "x" * 256), "is not a name"),
        ((*TO, "--spool-mb", "0"), "'0' is not a number"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        agent.run([*arguments])
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_low_overhead_is_what_nobody_asked_for_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = agent._parser()
    for given, expected in (
        ((), (99, ("cpu",), 10.0)),
        (("--low-overhead",), (49, ("cpu",), 10.0)),
        (("--low-overhead", "-F", "19", "--interval", "60"), (19, ("cpu",), 60.0)),
        (("--events", "cpu,lock"), (99, ("cpu", "lock"), 10.0)),
    ):
        chosen = parser.parse_args([*TO, *given])
        agent._settle(parser, chosen)
        assert (chosen.hz, chosen.events, chosen.interval) == expected


def test_what_cannot_be_used_is_said_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "first_problem", lambda *_: None)
    spool = tmp_path / "spool"
    holder = Spool(spool, 1 << 30)
    empty = tmp_path / "empty"
    empty.write_text("")
    for options, words in (
        (("--token-file", str(tmp_path / "absent")), "absent: No such file or directory"),
        (("--token-file", str(empty)), "not a token: that is one word"),
        (("--tls-ca", str(tmp_path / "ca")), "ca: No such file or directory"),
        ((), "another agent is using this spool"),
    ):
        assert agent.run([*TO, "--spool", str(spool), *options]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    holder.close()


def test_where_nothing_can_be_collected_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(requirements, "first_problem", lambda *_: "user 7 lacks CAP_BPF: run with sudo")
    assert agent.run([*TO, "--spool", str(tmp_path / "spool")]) == 1
    assert capsys.readouterr().err == "aperture agent: user 7 lacks CAP_BPF: run with sudo\n"
    assert not (tmp_path / "spool").exists()


def test_the_spool_is_where_state_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert agent._spool() == "/var/lib/aperture/spool"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert agent._spool() == "/home/x/state/aperture/spool"


# -- the real thing


@pytest.mark.bpf
def test_what_a_machine_does_arrives_with_its_name(tmp_path: Path) -> None:
    taker = Taker()
    with Serving(taker) as server:
        running = started(
            server.address, tmp_path / "spool", "--interval", "1", "--name", "build-7", "--service", "checkout",
            "--events", "all",
        )  # fmt: skip
        taker.until(lambda: len(taker.pushes) > 0, 30)
        pid, used = run(build("ratio", *FRAME_POINTERS), "3")
        status, said = ended(running)
    assert status == 0
    assert said == [f"aperture agent: connected to {server.address}"]
    heads = {(push.head.agent, push.head.service, push.head.version) for push in taker.pushes}
    assert heads == {("build-7", "checkout", __version__)}
    assert [push.head.seq for push in taker.pushes] == list(range(1, len(taker.pushes) + 1))
    assert {host.name for push in taker.pushes for host in push.hosts} == {"build-7"}
    samples = sum(int(push.events["weight"][of(push.events, pid)].sum()) for push in taker.pushes)
    # how exact samples are is the collectors' matter; here one interval less would be a third less
    assert abs(samples / (99 * float(used)) - 1) < 0.2, "the last interval as well"
    kinds = {int(kind) for push in taker.pushes for kind in np.unique(push.events["kind"])}
    assert kinds == {Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK}
    last = {health.name: health for health in taker.pushes[-1].health}
    assert {"cpu", "offcpu", "syscall", "lock", "spool", "push"} <= set(last)
    assert last["spool"].lost_total == last["push"].lost_total == 0


def of(events: np.ndarray, pid: int) -> np.ndarray:
    return (events["pid"] == pid) & (events["kind"] == Kind.CPU)


@pytest.mark.bpf
def test_what_happens_while_the_aggregator_is_away_arrives_later(tmp_path: Path) -> None:
    taker = Taker()
    with Serving(taker) as server:
        address, port = server.address, server.port
    running = started(address, tmp_path / "spool", "--interval", "0.5", "--low-overhead")
    waiting = (tmp_path / "spool").glob
    taker.until(lambda: any(waiting("interval-*.aperture")), 30)  # it collects
    pid, used = run(build("ratio", *FRAME_POINTERS), "2")
    time.sleep(1)
    assert running.poll() is None
    with Serving(taker, port):
        taker.until(lambda: len(taker.pushes) > 6 and not any(waiting("interval-*.aperture")), 30)  # all that waited
        status, said = ended(running)
    assert status == 0
    assert len(said) == 2
    assert "connection refused" in said[0]
    assert f"connected to {address}, " in said[1]
    samples = sum(int(push.events["weight"][of(push.events, pid)].sum()) for push in taker.pushes)
    assert abs(samples / (49 * float(used)) - 1) < 0.2
    times = sorted(sample.time_ns for push in taker.pushes for sample in push.gauges)
    assert times
    assert all(later - one > 9e9 for one, later in itertools.pairwise(times)), "one in ten seconds"


@pytest.mark.bpf
def test_what_could_not_be_pushed_stays_and_the_second_agent_of_a_spool_ends(tmp_path: Path) -> None:
    with Serving(Taker()) as server:
        address = server.address
    spool = tmp_path / "spool"
    running = started(address, spool, "--interval", "0.5")
    assert running.stderr is not None
    line = running.stderr.readline()
    assert "connection refused" in line
    second = started(address, spool)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said.count("\n") == 1
    assert "another agent is using this spool" in said
    status, lines = ended(running)
    assert status == 0
    assert "intervals stay in" in lines[-1]
    held = Spool(spool, 1 << 30)
    assert held.waiting > 0
    held.close()
