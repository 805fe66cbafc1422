"""A real aggregator over chDB whose clock is ours: values that cross their limit, go back, and cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from aperture_tui.fleet.aggregator import tokens
from aperture_tui.fleet.aggregator.alerts.rounds import Rounds
from aperture_tui.fleet.aggregator.alerts.rules import By, Rule, followed
from aperture_tui.fleet.aggregator.alerts.telling import MOST_LABELLED
from aperture_tui.fleet.aggregator.refusal import Refused
from aperture_tui.fleet.aggregator.tokens import Access, Role
from aperture_tui.profile.kinds import Kind
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.store.clickhouse.database import Database, Retention
from aperture_tui.store.fleet_base import AlertState, HostState
from aperture_tui.wire import fleet_pb2 as wire
from tests.fleet.aggregator import over_http
from tests.fleet.aggregator.alerts.minutes import MINUTE, SECOND, minute
from tests.fleet.aggregator.kept import Kept
from tests.fleet.aggregator.serving import Served, code_of, serving, until
from tests.store.clickhouse.shimmed import Server

BASE = time.time_ns() // MINUTE * MINUTE - 60 * MINUTE
"""An hour ago: what is pushed as of the future is not believed."""
UNKNOWN, OK, PENDING, FIRING = "unknown", "ok", "pending", "firing"
HOT = """
[[rule]]
name = "hot"
where = "fn:hot"
above = 0.2
for = "2m"
window = "1m"
"""


class Clock:
    """minutes: since BASE that are over, and as old as they have to be."""

    def __init__(self) -> None:
        self.minutes = 0

    def __call__(self) -> int:
        return BASE + self.minutes * MINUTE + 30 * SECOND


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("clickhouse")) as one:
        yield one


class Watched:
    """An aggregator, its clock, its file of rules, and pushes to it."""

    def __init__(self, served: Served, clock: Clock, path: Path, database: Any) -> None:
        self.served, self.clock, self.path, self.database = served, clock, path, database
        self._seq: dict[tuple[str, str | None], int] = {}

    async def push(self, at: int, agent: str = "web-1", token: str | None = None, **options: Any) -> None:
        """A minute, by its number since BASE."""
        seq = self._seq[agent, token] = self._seq.get((agent, token), 0) + 1
        await self.served.push(minute(seq, BASE + at * MINUTE, agent, **options), token)

    async def after(self, minutes: int, token: str | None = None) -> dict[tuple[str, str], str]:
        """The states when so many minutes are over, by rule and group."""
        self.clock.minutes = minutes
        await self.served.aggregator.alerts.go_round()
        return await self.told(token)

    async def told(self, token: str | None = None) -> dict[tuple[str, str], str]:
        return {
            (rule.name, alert.group): AlertState(alert.state).name.lower()
            for rule in (await self.reply(token)).rules
            for alert in rule.alerts
        }

    async def reply(self, token: str | None = None) -> Any:
        return await self.served.ask("Alerts", wire.AlertsRequest(), token)


@contextlib.asynccontextmanager
async def watched(
    folder: Path, rules: str, server: Server | None = None, kept: Kept | None = None, **options: Any
) -> AsyncIterator[Watched]:
    """Over chDB unless a storage in memory is given. Nothing goes round by itself."""
    clock, path = Clock(), folder / "rules.toml"
    path.write_text(rules)
    database: Any = kept if server is None else Database.open(server.url(), Retention())
    try:
        settings = {"alerts": followed(str(path)), "alerts_s": 1e6, "clock_ns": clock, **options}
        async with serving(folder, database, **settings) as served:
            yield Watched(served, clock, path, database)
    finally:
        database.close()


def tenant_of(rules: str, name: str) -> str:
    return rules.replace("[[rule]]", f'[[rule]]\ntenant = "{name}"')


def file_of(folder: Path, **tenants: Role) -> tuple[Access, dict[str, str]]:
    """Tokens, each for the tenant of its name."""
    drawn = {name: tokens.drawn() for name in tenants}
    path = folder / "tokens"
    path.write_text("".join(tokens.line(drawn[name], name.rstrip("_"), role) + "\n" for name, role in tenants.items()))
    path.chmod(0o600)
    return Access(str(path)), drawn


# -- over chDB


async def test_a_share_that_grows_is_pending_then_fires_and_goes_back(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with watched(tmp_path, HOT, server, http="127.0.0.1:0") as it:
        assert await it.told() == {("hot", ""): UNKNOWN}
        found: list[str] = []
        for at, hot in enumerate((100, 500, 500, 500, 100)):
            await it.push(at, hot=hot, cold=1000 - hot)
            found += (await it.after(at + 1)).values()
            if at == 3:
                page = await asyncio.to_thread(over_http.metrics, it.served.aggregator.http_port)
                assert page.of("aperture_alert_firing", rule="hot", tenant="default") == 1
                assert page.of("aperture_alert_unknown", rule="hot", tenant="default") == 0
        assert found == [OK, PENDING, PENDING, FIRING, OK]
        (rule,) = (await it.reply()).rules
        (alert,) = rule.alerts
        assert alert.value == pytest.approx(0.1)
        assert alert.since_ns == it.clock()
        assert (rule.kind, rule.where, rule.measure, rule.by, rule.above) == (Kind.CPU, "fn:hot", "share", "", 0.2)
        assert (rule.for_s, rule.window_s, rule.measured_ns) == (120, 60, it.clock())
        page = await asyncio.to_thread(over_http.metrics, it.served.aggregator.http_port)
        assert page.of("aperture_alert_firing", rule="hot", tenant="default") == 0
    told = [line for line in caplog.messages if line.startswith("alert ")]
    assert [line.partition(": share")[0] for line in told] == [
        "alert hot of default: pending (was ok)",
        "alert hot of default: firing (was pending)",
        "alert hot of default: ok (was firing)",
    ]
    assert "share 0.5, at least 0.4" in told[1]


async def test_each_service_and_host_has_its_own_state(tmp_path: Path, server: Server) -> None:
    rules = """
        [[rule]]
        name = "service"
        where = "fn:hot"
        by = "service"
        above = 0.5
        window = "1m"
        [[rule]]
        name = "host"
        measure = "cores"
        by = "host"
        above = 0.5
        window = "1m"
        [[rule]]
        name = "some"
        where = "fn:hot service:shop host:*-1"
        above = 0.5
        window = "1m"
    """
    access, drawn = file_of(tmp_path, groups=Role.ADMIN)
    token = drawn["groups"]
    async with watched(tmp_path, tenant_of(rules, "groups"), server, access=access) as it:
        await it.push(0, "web-1", token, service="shop", hot=300, cold=3000)
        await it.push(0, "web-2", token, service="shop", hot=3000, cold=300)
        await it.push(0, "db-1", token, service="bank", hot=900, cold=100)
        assert await it.after(1, token) == {
            ("service", "bank"): FIRING,
            ("service", "shop"): OK,
            ("host", "db-1"): OK,
            ("host", "web-1"): FIRING,
            ("host", "web-2"): FIRING,
            ("some", ""): OK,
        }
        cores = {alert.group: alert.value for alert in (await it.reply(token)).rules[1].alerts}
        assert cores == pytest.approx({"web-1": 0.55, "web-2": 0.55, "db-1": 1000 / 6000})


async def test_waits_and_calls_are_counted_and_timed(tmp_path: Path, server: Server) -> None:
    rules = """
        [[rule]]
        name = "waits"
        kind = "offcpu"
        measure = "ns/s"
        where = ">5ms"
        above = 1e9
        window = "1m"
        [[rule]]
        name = "calls"
        kind = "syscall"
        measure = "calls/s"
        above = 2
        window = "1m"
    """
    access, drawn = file_of(tmp_path, waits=Role.ADMIN)
    token = drawn["waits"]
    async with watched(tmp_path, tenant_of(rules, "waits"), server, access=access) as it:
        await it.push(0, token=token, kind=Kind.OFFCPU, duration_ns=2 * SECOND, futex=60)
        await it.push(0, "web-2", token, kind=Kind.SYSCALL, duration_ns=1000, read=90)
        assert await it.after(1, token) == {("waits", ""): FIRING, ("calls", ""): OK}
        values = [rule.alerts[0].value for rule in (await it.reply(token)).rules]
        assert values == pytest.approx([2e9, 1.5])


async def test_who_is_silent_is_unknown_and_never_well(tmp_path: Path, server: Server) -> None:
    access, drawn = file_of(tmp_path, silent=Role.ADMIN)
    token = drawn["silent"]
    async with watched(tmp_path, tenant_of(HOT, "silent"), server, access=access) as it:
        assert set((await it.after(1, token)).values()) == {UNKNOWN}
        assert (await it.reply(token)).rules[0].alerts[0].why == "nobody that it is about has pushed within a day"
        await it.push(1, token=token, hot=500, cold=500)
        assert set((await it.after(2, token)).values()) == {PENDING}
        assert set((await it.after(4, token)).values()) == {UNKNOWN}
        (alert,) = (await it.reply(token)).rules[0].alerts
        assert not alert.HasField("value")
        assert alert.why == "less than half of the window was pushed"


async def test_a_store_that_cannot_be_reached_makes_all_unknown_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(tmp_path / "db") as server:
        rules = HOT.replace('for = "2m"\n', "")
        async with watched(tmp_path, rules, server) as it:
            await it.push(0, hot=500, cold=500)
            assert await it.after(1) == {("hot", ""): FIRING}
            server.stop()
            assert await it.after(1) == {("hot", ""): UNKNOWN}
            (alert,) = (await it.reply()).rules[0].alerts
            assert alert.why
            assert "\n" not in alert.why
            server.start()
            assert await it.after(1) == {("hot", ""): FIRING}
    assert any("alert hot of default: unknown (was firing): " in line for line in caplog.messages)


# -- over a storage in memory


async def test_each_tenant_sees_its_own_rules_and_the_role_is_asked_for(tmp_path: Path) -> None:
    access, drawn = file_of(tmp_path, shop=Role.READ, bank=Role.ADMIN, shop_=Role.PUSH)
    rules = tenant_of(HOT, "shop") + tenant_of(HOT.replace('"hot"', '"other"', 1), "bank")
    async with watched(tmp_path, rules, kept=Kept(), access=access) as it:
        assert await it.told(drawn["shop"]) == {("hot", ""): UNKNOWN}
        assert await it.told(drawn["bank"]) == {("other", ""): UNKNOWN}
        assert (await code_of(it.told(drawn["shop_"])))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert (await code_of(it.told("x")))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_an_aggregator_without_rules_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, http="127.0.0.1:0") as served:
        reply = await served.ask("Alerts", wire.AlertsRequest())
        assert (reply.follows_rules, len(reply.rules)) == (False, 0)
        names = {name for name, _ in await asyncio.to_thread(over_http.metrics, served.aggregator.http_port)}
        assert not [name for name in names if "alert" in name]


async def test_what_fails_or_is_too_slow_is_unknown_and_the_next_rule_is_measured(tmp_path: Path) -> None:
    kept = Kept()
    access, drawn = file_of(tmp_path, default=Role.ADMIN, other=Role.ADMIN)
    rules = HOT + tenant_of(HOT, "other")
    async with watched(tmp_path, rules, kept=kept, access=access) as it:
        for token in drawn.values():
            await it.push(0, token=token)

        def fails() -> None:
            raise RuntimeError("a mistake")

        def down() -> None:
            raise StorageError("away")

        kept["default"].hosts = fails
        kept["other"].hosts = down
        await it.after(1, drawn["other"])
        first, second = it.served.aggregator.alerts.in_force
        assert first.alerts[""].why == "the aggregator failed at this: RuntimeError"
        assert second.alerts[""].why == "away"


async def test_one_question_is_asked_at_a_time_and_then_others_have_as_long(tmp_path: Path) -> None:
    asked, most, rests = 0, 0, []

    async def ask(tenant: str, find: Any) -> Any:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await asyncio.sleep(0)
        asked -= 1
        raise RuntimeError

    async def rest(seconds: float) -> None:
        assert not asked
        rests.append(seconds)

    rounds = Rounds(ask, rest=rest)
    rounds.take([Rule(f"r{i}") for i in range(5)])
    await rounds.go_round()
    assert (most, len(rests)) == (1, 5)


async def test_a_rule_with_slow_groups_keeps_no_other_waiting_for_long(tmp_path: Path) -> None:
    now = 0.0
    hosts = [HostState(f"h{i}", "", first_ns=1, newest_ns=BASE, seen_ns=BASE) for i in range(9)]

    class Storage:
        def hosts(self) -> list[HostState]:
            return hosts

    async def ask(tenant: str, find: Any) -> Any:
        nonlocal now
        now += 10
        try:
            return find(Storage())
        except AttributeError:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer within 10 s") from None

    async def rest(seconds: float) -> None:
        nonlocal now
        now += seconds

    rounds = Rounds(ask, Clock(), rest, lambda: now)
    rounds.take([Rule("r", by=By.HOST)])
    await rounds.go_round()
    whys = [alert.why for alert in rounds.in_force[0].alerts.values()]
    assert whys[:3] == ["no answer within 10 s"] * 3
    assert whys[3:] == ["its rule took more than 60 s before its turn came"] * 6
    assert rounds.round_s == 80


async def test_rules_that_stay_keep_their_states_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.server._POLL_S", 0.02)
    async with watched(tmp_path, HOT + HOT.replace('"hot"', '"other"', 1), kept=Kept()) as it:
        rounds = it.served.aggregator.alerts
        await it.after(3)
        stays, changes = rounds.in_force
        new = tmp_path / "new"
        new.write_text(HOT + HOT.replace('"hot"', '"other"', 1).replace("0.2", "0.3"))
        os.replace(new, it.path)
        await until(lambda: rounds.in_force[1] is not changes)
        assert rounds.in_force[0] is stays
        assert (stays.measured_ns, rounds.in_force[1].measured_ns) == (it.clock(), 0)
        new.write_text("what?")
        os.replace(new, it.path)
        before = rounds.in_force
        await until(lambda: it.served.aggregator._settings.alerts._complaint)
        assert rounds.in_force is before


async def test_it_goes_round_by_itself_and_ends_with_the_aggregator(tmp_path: Path) -> None:
    inside, free = threading.Event(), threading.Event()
    kept = Kept()

    def waits() -> list[Any]:
        inside.set()
        free.wait()
        return []

    kept["default"].hosts = waits
    async with watched(tmp_path, HOT, kept=kept, alerts_s=0.01) as it:
        opening = asyncio.ensure_future(it.served.push(minute(1, BASE)))
        await asyncio.to_thread(inside.wait)
        free.set()
        await opening
        await until(lambda: it.served.aggregator.alerts.in_force[0].measured_ns)


async def test_groups_have_series_of_their_own_within_a_bound(tmp_path: Path) -> None:
    each = 'name = "r{i}"\nby = "host"\nmeasure = "cores"\nabove = 1\n'
    rules = "".join(f"[[rule]]\n{each.format(i=i)}" for i in range(12))
    async with watched(tmp_path, rules, kept=Kept(), http="127.0.0.1:0") as it:
        for i in range(100):
            await it.push(0, f"host-{i}", cold=1)
        for one in it.served.aggregator.alerts.in_force:
            assert set(one.alerts) == {""}
        await it.after(1)
        page = await asyncio.to_thread(over_http.metrics, it.served.aggregator.http_port)
        groups = [labels for name, labels in page if name == "aperture_alert_group_firing"]
        assert len(groups) == MOST_LABELLED
        assert len([name for name, _ in page if name == "aperture_alert_firing"]) == 12
