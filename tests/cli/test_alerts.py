"""`aperture alerts` over an aggregator with rules, over one without, and over one that never heard of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from aperture_tui.cli import alerts
from aperture_tui.fleet.aggregator.alerts.rules import followed
from aperture_tui.profile.kinds import Kind
from aperture_tui.store.memory import MemoryStore
from aperture_tui.wire.fleet_pb2_grpc import IngestStub
from tests.fleet.aggregator.alerts.minutes import MINUTE, SECOND, batch, minute
from tests.fleet.aggregator.kept import Kept
from tests.fleet.aggregator.serving import InThread
from tests.store.conformance import HOST
from tests.store.served import TOKEN, Aggregator, serving

BASE = time.time_ns() // MINUTE * MINUTE - 60 * MINUTE
RULES = """
[[rule]]
name = "quiet"
measure = "cores"
above = 100
window = "1m"
[[rule]]
name = "busy"
kind = "syscall"
measure = "calls/s"
by = "host"
above = 0.5
window = "1m"
[[rule]]
name = "locks"
kind = "lock"
where = "fn:work >5ms"
above = 0.5
"""
Out = Callable[[], tuple[str, str]]


@pytest.fixture
def out(capfdbinary: pytest.CaptureFixture[bytes]) -> Out:
    def read() -> tuple[str, str]:
        captured = capfdbinary.readouterr()
        return captured.out.decode(), captured.err.decode()

    return read


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[list[str]]:
    """The options that reach an aggregator whose rules were gone through: one fires, one is well, one is not known."""
    (tmp_path / "rules.toml").write_text(RULES)
    kept, now_ns = Kept(), BASE + MINUTE + 30 * SECOND
    made = InThread(
        tmp_path, kept, alerts=followed(str(tmp_path / "rules.toml")), alerts_s=1e6, clock_ns=lambda: now_ns
    )
    kept["default"].store.set_hosts([replace(HOST, name="web-1")])
    try:
        with grpc.insecure_channel(made.address) as channel:
            for number, (kind, duration_ns) in enumerate(((Kind.CPU, 10_000_000), (Kind.SYSCALL, 1000)), 1):
                IngestStub(channel).Push(minute(number, BASE, kind=kind, duration_ns=duration_ns, work=60), timeout=30)
                kept["default"].store.append(batch(BASE, kind, duration_ns, work=60))
        made.do(made.aggregator.alerts.go_round())
        yield ["--remote", made.address]
    finally:
        made.close()


def test_all_of_them_as_text_what_is_worst_first(remote: list[str], out: Out) -> None:
    assert alerts.run(remote) == 0
    text, said = out()
    assert said == ""
    lines = text.splitlines()
    assert lines[0].split()[:5] == ["state", "rule", "of", "value", "at"]
    assert lines[1].split()[:5] == ["firing", "busy", "host", "web-1", "1"]
    assert lines[2].split()[:4] == ["unknown", "locks", "all", "?"]
    assert lines[3].strip() == "? less than half of the window was pushed"
    assert lines[4].split()[:4] == ["ok", "quiet", "all", "0.01"]
    assert len(lines) == 5


def test_those_that_fire_alone(remote: list[str], out: Out) -> None:
    assert alerts.run([*remote, "--firing"]) == 0
    assert [line.split()[0] for line in out()[0].splitlines()] == ["state", "firing"]


def test_as_json(remote: list[str], out: Out) -> None:
    assert alerts.run([*remote, "--format", "json"]) == 0
    document = json.loads(out()[0])
    assert (document["schema"], document["follows_rules"]) == (1, True)
    assert document["now_ns"] == BASE + MINUTE + 30 * SECOND
    quiet, busy, locks = document["rules"]
    assert locks["alerts"] == [
        {
            "group": "",
            "state": "unknown",
            "since_ns": document["now_ns"],
            "value": None,
            "at_least": 0.0,
            "why": "less than half of the window was pushed",
        }
    ]
    assert (locks["kind"], locks["where"], locks["measure"], locks["by"]) == ("lock", "fn:work >5ms", "share", "")
    assert (busy["alerts"][0]["state"], busy["alerts"][0]["group"], busy["alerts"][0]["value"]) == (
        "firing",
        "web-1",
        1,
    )
    assert (quiet["above"], quiet["for_s"], quiet["window_s"]) == (100, 0, 60)
    assert alerts.run([*remote, "--format", "json", "--firing"]) == 0
    assert [len(rule["alerts"]) for rule in json.loads(out()[0])["rules"]] == [0, 1, 0]


def test_an_aggregator_without_rules(tmp_path: Path, out: Out) -> None:
    made = InThread(tmp_path)
    try:
        assert alerts.run(["--remote", made.address]) == 0
        assert out() == (
            "no rules\n",
            "aperture alerts: it follows no rules: aperture aggregator --alerts FILE\n",
        )
    finally:
        made.close()


def test_an_older_aggregator_does_not_know_alerts(tmp_path: Path, out: Out) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with serving(Aggregator(MemoryStore(recorded=True))) as address:
        assert alerts.run(["--remote", address, "--token-file", str(tmp_path / "token")]) == 1
        text, said = out()
    assert text == ""
    assert said == (
        f"aperture alerts: {address}: it does not know alerts: it is of an older version, or no aggregator\n"
    )


def test_it_needs_an_aggregator(out: Out) -> None:
    with pytest.raises(SystemExit) as wrong:
        alerts.run([])
    assert wrong.value.code == 2
    assert "--remote" in out()[1]
