"""A batch that was stored before, perhaps in part: what a table lacks of it is found by comparing, and mended.

ClickHouse takes no token twice, table by table. A table that does not replicate writes down a token just before it
renames the part that came with it; if it is killed between the two, the token is there and the part is not, and what
comes again is refused. So after a batch that comes again each table is compared with the one that it is made of.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.store.clickhouse.schema import DAY_S, EVENT_NAMES, ROLLUPS, SAMPLED, Rollup, kept_days, start_of
from aperture_tui.store.clickhouse.selecting import Conditions, portions
from aperture_tui.store.selection import LONGEST_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from aperture_tui.store.clickhouse.connection import Connection

_NS: Final = 1_000_000_000
_DAY_NS: Final = DAY_S * _NS
_MOST: Final = 10_000
"""Stretches of time of one sum that are compared in one statement."""
_ALWAYS: Final = "SETTINGS insert_deduplicate = 0"
"""What is missing may be just what was missing once before: without a token rows are known by what they are."""
_SAME: Final = "(host, time_ns, stack, process, tid, name, value, aux, flags, bucket)"
"""What no two events of a machine have in common."""


class Scope(NamedTuple):
    """What a batch may have changed. times: (n,) of its events. since_ns: of each table, what is older may be gone."""

    hosts: list[str]
    services: list[str]
    times: NDArray[np.uint64]
    since_ns: Mapping[str, int]


def mend(connection: Connection, database: str, events: pa.Table, now_ns: int) -> None:
    """Have all tables of a database hold the rows of `events`, which came before, once. Raises StorageError.

    Nothing else may be inserted meanwhile. What is about to be let go of is left as it is.
    """
    kept = kept_days(connection, database)
    since = {table: now_ns - (days - 1) * _DAY_NS for table, days in kept.items() if days is not None}
    scope = Scope(
        sorted(set(events["host"].to_pylist())),
        sorted(set(events["service"].to_pylist())),
        np.unique(events["time_ns"].to_numpy()),
        since,
    )
    lacking = _lacking(connection, database, events, scope)
    if lacking.any():
        connection.insert(f"{database}.events", events.filter(lacking), secrets.token_hex(16))
    for place, one_of in enumerate(SAMPLED, 1):
        _mend_sample(connection, database, f"events_{one_of}", place, scope)
    source: Rollup | None = None
    for rollup in ROLLUPS:
        _mend_sums(connection, database, rollup, None if rollup.hosts else source, scope)
        source = rollup


def _lacking(connection: Connection, database: str, events: pa.Table, scope: Scope) -> NDArray[np.bool_]:
    """(n,): those of pushes and days of which no event is there."""
    days = events["time_ns"].to_numpy() // np.uint64(_DAY_NS)
    hosts, boots = (events[name].combine_chunks().dictionary_encode() for name in ("host", "boot"))
    numbers = [column.indices.to_numpy().astype(np.uint64) for column in (hosts, boots)]
    keys = np.stack([*numbers, events["seq"].to_numpy(), days])
    each, place = np.unique(keys, axis=1, return_inverse=True)
    where = _of_batch(scope)
    sql = f"""SELECT host, hex(boot), seq, intDiv(time_ns, {_DAY_NS}) AS day FROM {database}.events WHERE {where.sql}
        GROUP BY host, boot, seq, day"""
    there = set(connection.rows(sql, where.parameters))
    oldest = scope.since_ns.get("events", 0) // _DAY_NS
    short = []
    for host, boot, seq, day in each.T.tolist():
        key = hosts.dictionary[host].as_py(), boots.dictionary[boot].as_py().hex().upper(), seq, day
        short.append(day > oldest and key not in there)
    return np.array(short, bool)[place]


def _of_batch(scope: Scope) -> Conditions:
    """Events of the batch's machines in its time."""
    where = Conditions()
    where.add_any("service", "String", scope.services)
    where.add_any("host", "String", scope.hosts)
    where.add(f"time_ns BETWEEN {int(scope.times[0])} AND {int(scope.times[-1])}")
    return where


def _mend_sample(connection: Connection, database: str, table: str, place: int, scope: Scope) -> None:
    """Add those of the events that are drawn and not there."""
    where = _of_batch(scope)
    where.add(f"time_ns >= {max(scope.since_ns.get('events', 0), scope.since_ns.get(table, 0))}")
    connection.command(
        f"""INSERT INTO {database}.{table} ({EVENT_NAMES}) {_ALWAYS} SELECT {EVENT_NAMES} FROM {database}.events
        WHERE {where.sql} AND draw >= {place}
        AND {_SAME} NOT IN (SELECT {_SAME} FROM {database}.{table} WHERE {where.sql})""",
        where.parameters,
    )


def _mend_sums(connection: Connection, database: str, rollup: Rollup, source: Rollup | None, scope: Scope) -> None:
    """Add to a table of sums what those that it is made of say that it lacks, or has too much."""
    width = rollup.seconds * _NS
    starts = np.unique(scope.times // np.uint64(width)) * np.uint64(rollup.seconds)
    table = source.name if source is not None else "events"
    oldest_s = max(scope.since_ns.get(table, 0), scope.since_ns.get(rollup.name, 0)) // _NS
    starts = starts[starts >= oldest_s].tolist()
    for at in range(0, len(starts), _MOST):
        _mend_stretches(connection, database, rollup, source, scope, starts[at : at + _MOST])


def _mend_stretches(
    connection: Connection,
    database: str,
    rollup: Rollup,
    source: Rollup | None,
    scope: Scope,
    starts: Sequence[int],
) -> None:
    """starts: of the stretches of the sums that are compared, Unix seconds."""
    hosts = "host, " if rollup.hosts else ""
    keys = f"kind, role, service, {hosts}ts, stack"
    where = Conditions()
    where.add_any("service", "String", scope.services)
    if rollup.hosts:
        where.add_any("host", "String", scope.hosts)
    first, end = starts[0], starts[-1] + rollup.seconds
    if source is None:
        moment, times = "time_ns", f"time_ns >= {first * _NS} AND time_ns < {end * _NS}"
        weights = f"toInt64(weight) AS w, toInt64(least(duration_ns, {LONGEST_NS})) AS d"
    else:
        moment = f"toUInt64(toUnixTimestamp(ts)) * {_NS}"
        times = f"ts >= toDateTime({first}, 'UTC') AND ts < toDateTime({end}, 'UTC')"
        weights = "weight AS w, duration_ns AS d"
    ours = Conditions()
    parts = {f"starts_{i}": part for i, part in enumerate(portions(starts))}
    ours.add("(" + " OR ".join(f"toUnixTimestamp(ts) IN {{{name}:Array(UInt32)}}" for name in parts) + ")", **parts)
    begin = start_of(rollup.seconds, moment)
    connection.command(
        f"""INSERT INTO {database}.{rollup.name} ({keys}, weight, duration_ns) {_ALWAYS}
        SELECT {keys}, sum(w) AS weight_, sum(d) AS duration_ FROM (
            SELECT kind, role, service, {hosts}begins AS ts, stack, w, d FROM (
                SELECT kind, role, service, {hosts}{begin} AS begins, stack, {weights}
                FROM {database}.{source.name if source else "events"} WHERE {where.sql} AND {times}
            ) WHERE {ours.sql.replace("(ts)", "(begins)")}
            UNION ALL
            SELECT kind, role, service, {hosts}ts, stack, -weight AS w, -duration_ns AS d
            FROM {database}.{rollup.name} WHERE {where.sql} AND {ours.sql}
        ) GROUP BY {keys} HAVING weight_ != 0 OR duration_ != 0""",
        where.parameters | ours.parameters,
    )
