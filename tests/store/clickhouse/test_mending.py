"""Whatever part of a batch a table lost, or has twice, when the batch comes again all of it is there once.

That a token is written down and its part is not there cannot be had by killing (once in some thousand kills): rows are
deleted instead, which leaves their token.
"""

from __future__ import annotations

import random
import time

import pytest

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED
from aperture_tui.store.push import Push
from tests.fleet.aggregator.looking import wrong
from tests.store.clickhouse.filling import database, fresh_tenant, push_of
from tests.store.facts import SECOND, Fact, batch_of

NOW = time.time_ns() // SECOND * SECOND
SUMS = [rollup.name for rollup in ROLLUPS]
SAMPLES = [f"events_{n}" for n in SAMPLED]


def pushes(agent: str, seq: int, spread_s: int = 100_000) -> list[Push]:
    """Of events of the last day or so, of every agent in the same minutes: what is compared is what a batch touches."""
    draw, when = random.Random(f"{agent} {seq}"), random.Random(7)
    symbols = Symbols()
    facts = [
        Fact(
            NOW - when.randrange(spread_s) * SECOND - draw.randrange(SECOND),
            Process(draw.randrange(1, 4), NOW - 10**15, "sh"),
            stack=(Frame("sh", kind=FrameKind.PROCESS), Frame(f"f{draw.randrange(5)}")),
            duration_ns=draw.randrange(1, 10**9),
            tid=i,
        )
        for i in range(5000)
    ]
    return [push_of(batch_of(facts, symbols), seq, agent, "web")]


def run(tenant: Tenant, sql: str) -> None:
    database()._connection.command(sql.replace("DB", f"aperture_{tenant.name}"))


def delete(tenant: Tenant, table: str, where: str) -> None:
    run(tenant, f"DELETE FROM DB.{table} WHERE {where}")  # noqa: S608 - a test's own words


def rows(tenant: Tenant, table: str) -> int:
    ((n,),) = database()._connection.rows(f"SELECT count() FROM aperture_{tenant.name}.{table}")  # noqa: S608
    return int(n)


def all_wrong(tenant: Tenant) -> dict[str, int]:
    found = wrong(database()._connection, f"aperture_{tenant.name}")
    return {name: n for name, n in found.items() if n}


@pytest.fixture
def tenant() -> Tenant:
    out = fresh_tenant()
    out.insert("before", pushes("a", 1), NOW)
    out.insert("one", pushes("a", 2) + pushes("b", 1), NOW)
    assert all_wrong(out) == {}
    return out


@pytest.mark.parametrize("table", [*SUMS, *SAMPLES])
def test_what_one_table_lost_is_there_again(tenant: Tenant, table: str) -> None:
    before = rows(tenant, table)
    delete(
        tenant, table, "host = 'b'" if table == "host_hours" else "1" if table in SAMPLES else "cityHash64(stack) % 2"
    )
    assert list(all_wrong(tenant)) == [table]
    tenant.insert("one", pushes("a", 2) + pushes("b", 1), NOW)
    assert list(all_wrong(tenant)) == [table], "the token alone does not mend it: without this the test shows nothing"
    tenant.insert("one", pushes("a", 2) + pushes("b", 1), NOW, again=True)
    assert all_wrong(tenant) == {}
    if table in SAMPLES:
        assert rows(tenant, table) == before


def test_events_that_were_lost_are_there_again_and_in_no_sum_twice(tenant: Tenant) -> None:
    delete(tenant, "events", "host = 'b'")
    tenant.insert("one", pushes("a", 2) + pushes("b", 1), NOW, again=True)
    assert {name for name in all_wrong(tenant) if name not in SAMPLES} == set()
    assert rows(tenant, "events") == 15_000


@pytest.mark.parametrize("table", SUMS)
def test_what_a_sum_has_twice_it_has_once(tenant: Tenant, table: str) -> None:
    run(tenant, f"INSERT INTO DB.{table} SELECT * FROM DB.{table} WHERE cityHash64(stack) % 2")  # noqa: S608
    assert list(all_wrong(tenant)) == [table]
    tenant.insert("one", pushes("a", 2) + pushes("b", 1), NOW, again=True)
    assert all_wrong(tenant) == {}


def test_what_is_whole_is_left_as_it_is(tenant: Tenant) -> None:
    before = {table: rows(tenant, table) for table in ("events", *SUMS, *SAMPLES)}
    tenant.insert("one", pushes("a", 2) + pushes("b", 1), NOW, again=True)
    assert {table: rows(tenant, table) for table in before} == before


def test_a_batch_that_could_not_be_stored_is_compared_when_it_comes_again(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a server that was killed: nobody says that it comes again."""

    insert = tenant._connection.insert

    def fail_at_pushes(table: str, rows: object, token: str) -> None:
        if table.endswith(".pushes"):
            raise OSError("gone")
        insert(table, rows, token)

    batch = pushes("a", 2) + pushes("b", 1)
    with monkeypatch.context() as broken:
        broken.setattr(tenant._connection, "insert", fail_at_pushes)
        with pytest.raises(OSError, match="gone"):
            tenant.insert("two", batch, NOW)
    delete(tenant, "minutes", "cityHash64(stack) % 2")
    tenant.insert("two", batch, NOW)
    assert all_wrong(tenant) == {}


def test_a_batch_that_is_as_old_as_what_is_let_go_of_changes_nothing_there() -> None:
    """Its events are gone, or about to be: nothing is to be taken from sums that outlive them."""
    from aperture_tui.store.clickhouse.database import Tenant as Made
    from aperture_tui.store.clickhouse.schema import Retention
    from aperture_tui.store.clickhouse.sources import Budget

    tenant = Made("kept_briefly", database()._connection, Retention(3, 5, 90, 365), Budget())
    old = pushes("a", 1, spread_s=20 * 86_400)
    tenant.insert("one", old, NOW)
    run(tenant, "OPTIMIZE TABLE DB.events FINAL")
    run(tenant, "OPTIMIZE TABLE DB.minutes FINAL")
    before = {table: rows(tenant, table) for table in ("events", "minutes", "days")}
    assert before["events"] < 2000
    tenant.insert("one", old, NOW, again=True)
    assert {table: rows(tenant, table) for table in before} == before
    tenant.close()
