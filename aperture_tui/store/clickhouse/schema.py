"""The tables of a tenant, and how older ones become those of today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aperture_tui.store.clickhouse.connection import Connection

SAMPLED: Final = (5, 25, 125, 625, 3125)
"""One of so many events is in each of these tables."""
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days what is kept; None is for ever. Stacks are kept as long as the longest of them, and two months."""

    events: int | None = 7
    minutes: int | None = 30
    hours: int | None = 90
    days: int | None = 365

    @property
    def stacks(self) -> int | None:
        each = (self.events, self.minutes, self.hours, self.days)
        return None if None in each else max(days for days in each if days is not None) + 62

    @property
    def processes(self) -> int | None:
        """Those, and sets of tags: written once a day as long as events come that refer to them."""
        return None if self.events is None or self.minutes is None else max(self.events, self.minutes) + 2


@dataclass(frozen=True, slots=True)
class Rollup:
    """Sums of the events of a stack in a stretch of time.

    name: of its table. kept: as long as what of Retention. hosts: by machine too.
    """

    name: str
    seconds: int
    partition: str
    kept: str
    hosts: bool = False


ROLLUPS: Final = (
    Rollup("minutes", 60, "toDate(ts)", "minutes"),
    Rollup("five_minutes", 300, "toDate(ts)", "minutes"),
    Rollup("quarter_hours", 900, "toDate(ts)", "minutes"),
    Rollup("hours", 3600, "toYYYYMM(ts)", "hours"),
    Rollup("six_hours", 6 * 3600, "toYYYYMM(ts)", "hours"),
    Rollup("days", DAY_S, "toYYYYMM(ts)", "days"),
    Rollup("host_hours", 3600, "toYYYYMM(ts)", "hours", hosts=True),
)
"""Each is a few times the one before: a range that begins and ends anywhere is then made of few rows, and exactly."""

_COLUMNS: Final = """
  kind UInt16 CODEC(ZSTD(1)), role UInt8 CODEC(ZSTD(1)),
  service LowCardinality(String) CODEC(ZSTD(1)), host LowCardinality(String) CODEC(ZSTD(1)),
  time_ns UInt64 CODEC(Delta, {packed}), stack UInt64 CODEC(LZ4), process UInt64 CODEC(ZSTD(1)),
  comm LowCardinality(String) CODEC(ZSTD(1)), thread LowCardinality(String) CODEC(ZSTD(1)),
  name LowCardinality(String) CODEC(ZSTD(1)), pid UInt32 CODEC(ZSTD(1)), tid UInt32 CODEC(ZSTD(1)),
  cpu UInt32 CODEC(ZSTD(1)), value UInt64 CODEC(ZSTD(1)), aux UInt32 CODEC(ZSTD(1)), flags UInt16 CODEC(ZSTD(1)),
  bucket UInt8 CODEC(ZSTD(1)), duration_ns UInt64 CODEC(ZSTD(1)), maximum_ns UInt64 CODEC(ZSTD(1)),
  weight UInt32 CODEC(T64, ZSTD(1)), draw UInt8 CODEC(ZSTD(1)), {tags}
"""
"""`stack` is read by most questions, and chance for any codec: the fastest one costs half a byte more."""
EVENT_NAMES: Final = (
    "kind, role, service, host, time_ns, stack, process, comm, thread, name, pid, tid, cpu, value, aux, flags, bucket, "
    "duration_ns, maximum_ns, weight, draw, tags"
)
"""The columns that events and samples have. `tags` is the hash of a set of them, 0 for none; sums have none."""
TAGS: Final = "tags UInt64 CODEC(ZSTD(1))"
_VIEW: Final = "CREATE MATERIALIZED VIEW IF NOT EXISTS {db}"
_DAYS: Final = "toIntervalDay.([0-9]+)"
"""How ClickHouse tells for how many days a table is kept."""
_SECOND: Final = "toDateTime(intDiv(time_ns, 1000000000), 'UTC')"


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: str
    engine: str
    partition: str
    order: str
    moment: str
    days: int | None
    settings: str = ""
    shard: str = "rand()"


@dataclass(frozen=True, slots=True)
class Column:
    """One more, of a table that is there. definition: name, type, codec."""

    table: str
    definition: str


Step = Table | Column | str
"""What makes a part of a version. A text is a statement: {db}, {on} and {local} are replaced."""


def _tables(keep: Retention) -> Iterator[Table]:
    yield from _of_events(keep)
    yield from of_samples(keep, SAMPLED)
    yield from _of_sums(keep)
    yield from _of_names(keep)
    yield tag_sets(keep)


def _of_events(keep: Retention) -> Iterator[Table]:
    yield Table(
        "events", f"{_columns('ZSTD(1)')}, boot FixedString(16) CODEC(ZSTD(1)), seq UInt64 CODEC(DoubleDelta, ZSTD(1))",
        "MergeTree", f"toDate({_SECOND})", "(kind, role, service, host, time_ns, stack)",
        _SECOND, keep.events, shard="cityHash64(service, host)",
    )  # fmt: skip


def of_samples(keep: Retention, sampled: Sequence[int]) -> Iterator[Table]:
    for one_of in sampled:
        yield Table(
            f"events_{one_of}", _columns("LZ4"), "MergeTree", f"toDate({_SECOND})",
            f"(kind, role, toStartOfMinute({_SECOND}), comm, service, host)", _SECOND, keep.minutes,
            f"index_granularity = {max(1024, 8192 * SAMPLED[0] // one_of)}",
        )  # fmt: skip


def _of_sums(keep: Retention) -> Iterator[Table]:
    for rollup in ROLLUPS:
        host = "host LowCardinality(String)," if rollup.hosts else ""
        yield Table(
            rollup.name,
            f"""kind UInt16, role UInt8, service LowCardinality(String), {host}
            ts DateTime('UTC') CODEC(LZ4),
            stack UInt64 CODEC(LZ4), weight Int64 CODEC(T64, LZ4), duration_ns Int64 CODEC(ZSTD(1))""",
            "SummingMergeTree((weight, duration_ns))",
            rollup.partition,
            f"(kind, role, {'service, host, ts' if rollup.hosts else 'ts, service'}, stack)",
            "ts",
            getattr(keep, rollup.kept),
            "index_granularity = 2048",  # a service has 4,000 stacks, and a question few stretches of each
        )


def _of_names(keep: Retention) -> Iterator[Table]:
    """What hashes stand for, and the pushes that all of it came with."""
    yield Table(
        "stacks",
        "service LowCardinality(String), stack UInt64, last_seen DateTime('UTC'), frames Array(String) CODEC(ZSTD(3))",
        "ReplacingMergeTree(last_seen)",
        "toYYYYMM(last_seen)",
        "(service, stack)",
        "last_seen",
        keep.stacks,
        "index_granularity = 512",
    )
    yield Table(
        "processes",
        """process UInt64, last_seen DateTime('UTC'), service LowCardinality(String), host LowCardinality(String),
        start_ns UInt64, pid UInt32, name String, cgroup LowCardinality(String), container LowCardinality(String)""",
        "ReplacingMergeTree(last_seen)",
        "toDate(last_seen)",
        "(process)",
        "last_seen",
        keep.processes,
    )
    yield Table(
        "pushes",
        """host LowCardinality(String), boot FixedString(16), seq UInt64, service LowCardinality(String),
        version LowCardinality(String), stored_ns UInt64, start_ns UInt64, end_ns UInt64, newest_ns UInt64,
        events UInt64, lost UInt64, odd_times UInt64, interval_ms UInt32, kinds UInt64,
        hosts String CODEC(ZSTD(3)), gauges String CODEC(ZSTD(3)), health String CODEC(ZSTD(3))""",
        "ReplacingMergeTree",
        "toDate(toDateTime(intDiv(stored_ns, 1000000000), 'UTC'))",
        "(host, boot, seq)",
        "toDateTime(intDiv(stored_ns, 1000000000), 'UTC')",
        keep.minutes,
        "index_granularity = 256",
        "cityHash64(service, host)",
    )


def tag_sets(keep: Retention) -> Table:
    """What the hashes of sets of tags stand for: of all agents, whose bits mean different names."""
    return Table(
        "tag_sets",
        "tags UInt64, last_seen DateTime('UTC'), names Array(String)",
        "ReplacingMergeTree(last_seen)",
        "toDate(last_seen)",
        "(tags)",
        "last_seen",
        keep.processes,
    )


def _columns(packed: str) -> str:
    """Those of events. packed: how their times are, which is a third of all: small, or fast to read."""
    return _COLUMNS.format(packed=packed, tags=TAGS)


def views_of_samples() -> Iterator[str]:
    """Each is fed by the events: then what one lacks can be added to it, and the others stay as they are (mending)."""
    for place, one_of in enumerate(SAMPLED, 1):
        yield f"""{_VIEW}.events_{one_of}_view {{on}} TO {{db}}.events_{one_of}{{local}} AS
            SELECT {EVENT_NAMES} FROM {{db}}.events{{local}} WHERE draw >= {place}"""


def _views_of_sums() -> Iterator[str]:
    for rollup in ROLLUPS:
        hosts = "host, " if rollup.hosts else ""
        yield f"""{_VIEW}.{rollup.name}_view {{on}} TO {{db}}.{rollup.name}{{local}} AS
            SELECT kind, role, service, {hosts}{start_of(rollup.seconds)} AS ts, stack,
            sum(toInt64(weight)) AS weight, sum(toInt64(least(duration_ns, {1 << 57}))) AS duration_ns
            FROM {{db}}.events{{local}} GROUP BY kind, role, service, {hosts}ts, stack"""


def start_of(seconds: int, moment: str = "time_ns") -> str:
    """The beginning of the stretch that a moment is in: as many seconds each, from 1970 on."""
    return f"toDateTime(intDiv({moment}, {seconds}000000000) * {seconds}, 'UTC')"


def _ttl(moment: str, days: int | None) -> str:
    return "" if days is None else f"TTL {moment} + INTERVAL {days} DAY"


def migrate(connection: Connection, database: str, retention: Retention) -> None:
    """Make a database's tables those of today. Raises StorageError. database: letters, digits and underscores."""
    cluster = connection.address.cluster
    on = f"ON CLUSTER '{cluster}'" if cluster else ""
    connection.command(f"CREATE DATABASE IF NOT EXISTS {database} {on}")
    connection.command(
        f"""CREATE TABLE IF NOT EXISTS {database}.migrations {on} (version UInt32, at DateTime DEFAULT now())
        ENGINE = {_engine("MergeTree", cluster)} ORDER BY version"""
    )
    ((done,),) = connection.rows(f"SELECT max(version) FROM {database}.migrations")
    for version, steps in versions(retention, done):
        for step in steps:
            for statement in _statements(step, database, cluster):
                connection.command(statement)
        connection.command(f"INSERT INTO {database}.migrations (version) VALUES ({version})")
    retain(connection, database, retention)


def versions(retention: Retention, done: int) -> list[tuple[int, Sequence[Step]]]:
    """The versions that are still to be made, with what makes each; versions count from 1.

    done: that which is there, 0 for none: then today's tables are made as they are.
    """
    from aperture_tui.store.clickhouse.upgrades import upgrades

    later = upgrades(retention)
    newest = max(later)
    if not done:
        return [(newest, [*_tables(retention), *views_of_samples(), *_views_of_sums()])]
    return [(version, later[version]) for version in range(done + 1, newest + 1)]


def retain(connection: Connection, database: str, retention: Retention) -> None:
    """Have what is kept for other lengths of time kept as long as this. Raises StorageError."""
    cluster = connection.address.cluster
    on, local = (f"ON CLUSTER '{cluster}'", "_local") if cluster else ("", "")
    kept = kept_days(connection, database)
    for table in _tables(retention):
        if kept.get(f"{table.name}{local}", table.days) != table.days:
            change = "REMOVE TTL" if table.days is None else f"MODIFY {_ttl(table.moment, table.days)}"
            connection.command(f"ALTER TABLE {database}.{table.name}{local} {on} {change}")


def kept_days(connection: Connection, database: str) -> dict[str, int | None]:
    """For how many days each table keeps what it has, None for ever. Raises StorageError."""
    sql = f"SELECT name, extract(engine_full, '{_DAYS}') FROM system.tables WHERE database = {{db:String}}"
    return {name: int(days) if days else None for name, days in connection.rows(sql, {"db": database})}


def _statements(step: Step, database: str, cluster: str) -> Iterator[str]:
    on = f"ON CLUSTER '{cluster}'" if cluster else ""
    local = "_local" if cluster else ""
    if isinstance(step, str):
        yield step.replace("{db}", database).replace("{on}", on).replace("{local}", local)
        return
    if isinstance(step, Column):
        for name in dict.fromkeys((f"{step.table}{local}", step.table)):
            column = step.definition if name.endswith(local) else step.definition.partition(" CODEC")[0]
            yield f"ALTER TABLE {database}.{name} {on} ADD COLUMN IF NOT EXISTS {column}"
        return
    window = "replicated_deduplication_window" if cluster else "non_replicated_deduplication_window"
    settings = ", ".join(filter(None, [f"{window} = 1000", "ttl_only_drop_parts = 1", step.settings]))
    yield f"""CREATE TABLE IF NOT EXISTS {database}.{step.name}{local} {on} ({step.columns})
        ENGINE = {_engine(step.engine, cluster)} PARTITION BY {step.partition} ORDER BY {step.order}
        {_ttl(step.moment, step.days)}
        SETTINGS {settings}"""
    if cluster:  # each of its machines has a part; what is asked of one is asked of all
        yield f"""CREATE TABLE IF NOT EXISTS {database}.{step.name} {on} AS {database}.{step.name}{local}
            ENGINE = Distributed('{cluster}', '{database}', '{step.name}{local}', {step.shard})"""


def _engine(engine: str, cluster: str) -> str:
    return f"Replicated{engine}" if cluster else engine
