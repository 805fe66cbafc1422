"""The tables: made once, brought up to date, kept as long as they say, and what a cluster is told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.connection import Address, Connection
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED, Retention, migrate
from aperture_tui.store.clickhouse.sources import Budget
from aperture_tui.store.clickhouse.upgrades import upgrades
from tests.store.clickhouse.filling import FOR_EVER, database, push_of
from tests.store.conformance import SH
from tests.store.facts import SECOND, Fact, batch_of

DAY = 86_400
VERSION_1 = Path(__file__).with_name("version_1.sql")
NEWEST = max(upgrades(Retention()))
KEPT = Retention(events=3, minutes=5, hours=11, days=17)
TABLES = {
    "events",
    "stacks",
    "processes",
    "tag_sets",
    "pushes",
    *(f"events_{n}" for n in SAMPLED),
    *(r.name for r in ROLLUPS),
}


@dataclass
class Listening:
    """A connection that hears what a server would be told. done: the version that its tables are of."""

    address: Address
    done: int = 0
    told: list[str] = field(default_factory=list)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        self.told.append(" ".join(sql.split()))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[int]]:
        return [(self.done,)] if "migrations" in sql else []


def told(retention: Retention = KEPT, cluster: str = "", done: int = 0) -> list[str]:
    """All statements of making the tables."""
    listening = Listening(Address("", "server", cluster=cluster), done)
    migrate(listening, "aperture_t", retention)  # type: ignore[arg-type]  # as far as it is used
    return listening.told


def created(statements: list[str], pattern: str = r"CREATE TABLE IF NOT EXISTS aperture_t\.(\w+)") -> dict[str, str]:
    """Statements by the name of what they make."""
    found = [(re.match(pattern, statement), statement) for statement in statements]
    return {match[1]: statement for match, statement in found if match}


@pytest.fixture
def connection() -> Connection:
    return database()._connection


@pytest.fixture
def name(connection: Connection) -> Iterator[str]:
    """A database that is not there yet."""
    name = f"aperture_schema_{time.monotonic_ns()}"
    yield name
    connection.command(f"DROP DATABASE IF EXISTS {name} SYNC")


def tables_of(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    sql = """SELECT name, create_table_query, uuid, metadata_modification_time FROM system.tables
        WHERE database = {name:String} ORDER BY name"""
    return connection.rows(sql, {"name": name})


def versions(connection: Connection, name: str) -> list[int]:
    sql = f"SELECT version FROM {name}.migrations ORDER BY version"  # noqa: S608
    return [version for (version,) in connection.rows(sql)]


# -- migrations


def first_version(connection: Connection, name: str) -> None:
    """Make a database's tables as the first version did."""
    connection.command(f"CREATE DATABASE {name}")
    for statement in VERSION_1.read_text("utf-8").split(";\n")[:-1]:
        connection.command(statement.replace("{db}", name))
    connection.command(
        f"CREATE TABLE {name}.migrations (version UInt32, at DateTime) ENGINE = MergeTree ORDER BY version"
    )
    connection.command(f"INSERT INTO {name}.migrations (version) VALUES (1)")  # noqa: S608 - a test's own words


def columns_of(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    sql = """SELECT table, name, type, compression_codec FROM system.columns WHERE database = {name:String}
        AND table != 'migrations' ORDER BY table, name"""
    return connection.rows(sql, {"name": name})


def test_making_the_tables_again_changes_nothing(connection: Connection, name: str) -> None:
    migrate(connection, name, KEPT)
    before = tables_of(connection, name)
    assert {table for table, *_ in before} >= {*TABLES, "migrations"}
    migrate(connection, name, KEPT)
    assert tables_of(connection, name) == before
    assert versions(connection, name) == [NEWEST]


def test_tables_of_the_newest_version_are_told_nothing() -> None:
    assert [statement for statement in told(done=NEWEST) if "migrations" not in statement] == [
        "CREATE DATABASE IF NOT EXISTS aperture_t"
    ]


def test_tables_of_the_first_version_become_those_of_today(connection: Connection, name: str) -> None:
    first_version(connection, name)
    migrate(connection, name, FOR_EVER)
    assert versions(connection, name) == list(range(1, NEWEST + 1))
    today = f"{name}_today"
    migrate(connection, today, FOR_EVER)
    try:
        assert columns_of(connection, name) == columns_of(connection, today)
        for (table, old, *_), (same, new, *_) in zip(
            tables_of(connection, name), tables_of(connection, today), strict=True
        ):
            assert table == same
            if "MATERIALIZED VIEW" in new:
                assert old == new.replace(today, name)
    finally:
        connection.command(f"DROP DATABASE {today} SYNC")


def test_what_was_stored_by_the_first_version_is_kept_has_no_tags_and_is_in_the_new_sample(
    connection: Connection, name: str
) -> None:
    first_version(connection, name)
    now, symbols = time.time_ns() // SECOND * SECOND, Symbols()
    columns = "host, time_ns, tid, draw, weight, kind"
    connection.command(
        f"""INSERT INTO {name}.events ({columns})
        SELECT 'box', {now} - 1 - number, number, 4, 1, 1 FROM numbers(10000)"""  # noqa: S608
    )
    tenant = Tenant(name.removeprefix("aperture_"), connection, FOR_EVER, Budget())
    ((n, draws),) = connection.rows(f"SELECT count(), groupUniqArray(draw) FROM {name}.events_3125")  # noqa: S608
    assert 1800 < n < 2200, "one in five of the sample before it"
    assert draws == [5]
    slow = [Fact(now + i, SH, tags=frozenset({"slow"})) for i in range(1000)]
    tenant.insert("new", [push_of(batch_of([*slow, Fact(now, SH)], symbols))], now)
    for query, weight in ((Query(), 1001), (Query(tags=("slow",)), 1000), (Query(without_tags=("slow",)), 1)):
        assert tenant.store.call_tree(query).weight == weight
    assert connection.rows(f"SELECT count() FROM {name}.events WHERE tags = 0") == [(10_001,)]  # noqa: S608
    for place, table in enumerate((f"events_{n}" for n in SAMPLED), 1):
        ((tagged, drawn),) = connection.rows(
            f"SELECT (SELECT countIf(tags != 0) FROM {name}.{table}),"  # noqa: S608
            f" (SELECT countIf(draw >= {place} AND tags != 0) FROM {name}.events)"
        )
        assert tagged == drawn
    tenant.close()


@pytest.mark.parametrize("first", [False, True], ids=["from nothing", "from the first version"])
def test_what_was_broken_off_is_made_whole(connection: Connection, name: str, first: bool) -> None:
    """The aggregator may end between any two statements, and no version is noted before all of it is there."""

    def until(n: int) -> Callable[..., None]:
        said: list[str] = []

        def command(sql: str, parameters: Mapping[str, Any] | None = None) -> None:
            if len(said) >= n:
                raise KeyboardInterrupt
            said.append(sql)
            connection.command(sql, parameters)

        return command

    if first:
        first_version(connection, name)
    whole = None
    for n in (3, 9, 15, 17, 20, 23, 10_000):
        broken = Listening(connection.address)
        broken.command = until(n)  # type: ignore[method-assign]
        broken.rows = connection.rows  # type: ignore[method-assign]
        try:
            migrate(broken, name, FOR_EVER)  # type: ignore[arg-type]
            whole = n
        except KeyboardInterrupt:
            assert NEWEST not in versions(connection, name)
    assert whole == 10_000
    assert {table for table, *_ in tables_of(connection, name)} >= TABLES
    assert versions(connection, name)[-1] == NEWEST


# -- retention


def test_each_table_says_how_long_it_keeps_what() -> None:
    days = {
        table: int(found[1]) if (found := re.search(r"TTL .* \+ INTERVAL (\d+) DAY", text)) else None
        for table, text in created(told()).items()
    }
    assert days["events"] == 3
    assert days["minutes"] == days["pushes"] == 5
    assert {days[f"events_{n}"] for n in SAMPLED} == {5}
    assert days["hours"] == days["host_hours"] == 11
    assert days["days"] == 17
    assert days["stacks"] >= 17 + 31, "stacks are written again once a month, and outlive all that refers to them"
    assert days["processes"] == days["tag_sets"] > 5, "these are written again once a day"


def test_what_is_kept_for_ever_has_no_end() -> None:
    assert not any("TTL" in text for text in told(FOR_EVER))
    assert "TTL" in created(told(Retention(days=None)))["events"]
    assert "TTL" not in created(told(Retention(days=None)))["days"]
    assert "TTL" not in created(told(Retention(days=None)))["stacks"], "what is for ever needs its stacks"


def test_what_is_too_old_goes_table_by_table(connection: Connection, name: str) -> None:
    tenant = Tenant(name.removeprefix("aperture_"), connection, KEPT, Budget())
    now = time.time_ns()
    ages = [0, 4, 8, 14, 20, 200]
    for i, age in enumerate(ages, 1):
        batch = batch_of([Fact(now - age * DAY * SECOND, SH)], Symbols())
        tenant.insert(f"{i}", [push_of(batch, i)], now)
    left = {}
    for table in ("events", "minutes", "hours", "host_hours", "days"):
        connection.command(f"OPTIMIZE TABLE {name}.{table} FINAL")
        ((left[table],),) = connection.rows(f"SELECT count() FROM {name}.{table}")  # noqa: S608
    assert (left["events"], left["minutes"]) == (1, 2)
    assert 3 <= left["hours"] == left["host_hours"] <= 5, "a month goes when the last of it may"
    assert 4 <= left["days"] <= 5
    told: list[Estimate] = []
    tenant.store.note = told.append
    whole = tenant.store.span()
    tenant.store.call_tree(Query(start_ns=now - 2 * DAY * SECOND))
    assert told == []
    tenant.store.call_tree(Query(process="sh"))
    assert 185 * DAY * SECOND < told[-1].missing_ns < whole.end_ns - whole.start_ns, "events and samples alone have it"
    tenant.store.call_tree(Query(start_ns=now - 14 * DAY * SECOND))
    assert 0 < told[-1].missing_ns < DAY * SECOND, "but for whole days, which are summed"


# -- clusters


def test_a_cluster_is_told_what_it_understands(connection: Connection) -> None:
    statements = told(cluster="fleet")
    for statement in statements:
        connection.command(f"EXPLAIN AST {statement}")
    for statement in statements:
        if statement.startswith(("CREATE", "ALTER")):
            assert "ON CLUSTER 'fleet'" in statement


def test_a_cluster_has_a_replicated_table_on_each_machine_and_one_over_them_all() -> None:
    tables = created(told(cluster="fleet"))
    alone = created(told())
    assert set(tables) == {*(f"{name}_local" for name in TABLES), *TABLES, "migrations"}
    for name in TABLES:
        engine = re.search(r"ENGINE = (\w+)", alone[name])
        assert engine is not None
        assert f"ENGINE = Replicated{engine[1]}" in tables[f"{name}_local"]
        assert "replicated_deduplication_window = 1000" in tables[f"{name}_local"]
        assert f"ENGINE = Distributed('fleet', 'aperture_t', '{name}_local'," in tables[name]
    assert "ENGINE = Replicated" in tables["migrations"]
    assert not any("Replicated" in text or "ON CLUSTER" in text for text in told())


def test_views_of_a_cluster_read_and_write_where_they_are() -> None:
    """One over all machines would count what comes in once for each."""
    views = created(told(cluster="fleet"), r"CREATE MATERIALIZED VIEW IF NOT EXISTS aperture_t\.(\w+)")
    assert len(views) == len(SAMPLED) + len(ROLLUPS)
    for text in views.values():
        assert re.search(r" TO aperture_t\.\w+_local ", text)
        assert re.search(r" FROM aperture_t\.\w+_local ", text)
