"""The Store of a tenant over ClickHouse: the database sums, and the rest is as in every other store."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import ROLE_SHIFT, Role
from aperture_tui.profile.packed import words
from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.answers import Answers, Rows
from aperture_tui.store.base import Estimate, Span, Timeline
from aperture_tui.store.clickhouse.connection import TooMuchError
from aperture_tui.store.clickhouse.selecting import (
    KEYS,
    Conditions,
    narrow,
    of_machines,
    portions,
    sums,
    within,
)
from aperture_tui.store.clickhouse.sources import Budget, Need, Piece, plan
from aperture_tui.store.compaction import COMPACT, TooManyError
from aperture_tui.store.held import IN_FLIGHT_NS, cut
from aperture_tui.store.pruning import SMALLER, pruned
from aperture_tui.store.selection import LONGEST_NS, measured

if TYPE_CHECKING:
    import pyarrow as pa

    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.clickhouse.connection import Connection
    from aperture_tui.store.clickhouse.names import Names
    from aperture_tui.store.clickhouse.registry import Registry
    from aperture_tui.store.fleet_base import HostState

_MOST: Final = 2_000_000
"""Rows of an answer."""
_STACKS: Final = 20_000
"""Of a tree that is pruned anyway: the heaviest; the others are as one from the beginning."""
_RATES_S: Final = 10.0
_MAX_PUSHES: Final = 4_096
_LAST_NS: Final = (1 << 63) - 1
_LIMITS: Final = {
    "max_execution_time": 20, "max_memory_usage": 2 << 30, "max_result_rows": _MOST, "result_overflow_mode": "throw",
    "max_rows_to_read": 4_000_000_000, "use_uncompressed_cache": 1,
}  # fmt: skip
_TOO_MANY: Final = "too much in this range: choose a shorter one, or fewer machines"


class Found(NamedTuple):
    """The rows of an answer, and how exact they are."""

    rows: Rows
    estimate: Estimate


class ClickHouseStore(Answers):
    """All methods may be called from any thread. Raises StorageError beside what a Store raises."""

    def __init__(self, connection: Connection, database: str, names: Names, registry: Registry, budget: Budget) -> None:
        super().__init__()
        self._connection, self._database = connection, database
        self._names, self._registry, self._budget = names, registry, budget
        self._rates_lock = threading.Lock()
        self._rates: tuple[float, dict[str, float]] = (-math.inf, {})

    # -- what is known of the machines

    def span(self, query: Query | None = None) -> Span:
        """What is held, of a query's machines alone if it is given."""
        return self._registry.span(query or Query())

    def kinds(self, query: Query | None = None) -> frozenset[int]:
        """The kinds of which there are events."""
        return self._registry.kinds(query or Query())

    def hosts(self, query: Query | None = None) -> list[HostFacts]:
        """The machines that the events are from."""
        return self._registry.facts(query or Query())

    def health(self, query: Query | None = None) -> list[Health]:
        """The newest word of every collector; of several machines together."""
        return self._registry.health(query or Query())

    def newest_ns(self, query: Query) -> int:
        """The end of what is known of a query's machines."""
        return max((host.newest_ns for host in self._registry.chosen(query)), default=0)

    def gauges(self, query: Query) -> list[HostSample]:
        """Readings of one machine in the query's range, oldest first; of several machines none: they do not add up."""
        chosen = self._registry.chosen(query)
        if len(chosen) != 1:
            return []
        start, end = query.start_ns or 0, _LAST_NS if query.end_ns is None else query.end_ns
        sql = f"""SELECT gauges FROM (SELECT gauges, newest_ns, seq FROM {self._database}.pushes
            WHERE host = {{host:String}} AND newest_ns > {start} AND gauges != '[]' LIMIT 1 BY boot, seq)
            ORDER BY newest_ns LIMIT {_MAX_PUSHES}"""
        rows = self._connection.rows(sql, {"host": chosen[0].name})
        told = [sample for (text,) in rows for sample in words.gauges(text.encode()) or []]
        return sorted((one for one in told if start <= one.time_ns < end), key=lambda one: one.time_ns)

    # -- answering

    def rows(self, queries: Sequence[Query], alike: Sequence[str]) -> Rows:
        """The events of each query, alike ones summed."""
        rows, estimate = self.found(queries, alike)
        if estimate.sampled > 1:
            self.note(estimate)
        return rows

    def found(self, queries: Sequence[Query], alike: Sequence[str], nodes: int = 0) -> Found:
        """The same, with how exact they are. nodes: of call trees, about so many in all; 0: all there are."""
        for query in queries:
            re.compile(query.frame or "")
        symbols = self._names.begin()
        each = [self._rows_of(symbols, query, alike, nodes) for query in queries]
        parts = [part for part, _ in each]
        if nodes:
            weights = [measured(part, query.measure) for part, query in zip(parts, queries, strict=True)]
            with self._names.adding():
                stacks = pruned(symbols, [part["stack"] for part in parts], weights, nodes)
            for part, nodes_of in zip(parts, stacks, strict=True):
                part["stack"] = nodes_of
        return Found(Rows(symbols, parts), max((one for _, one in each), key=lambda one: one.share_error))

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The query's range, or what is held of it, in this many equal buckets."""
        timeline, estimate = self.timeline_found(query, buckets)
        if estimate.sampled > 1:
            self.note(estimate)
        return timeline

    def timeline_found(self, query: Query, buckets: int) -> tuple[Timeline, Estimate]:
        """The same, with how exact it is."""
        re.compile(query.frame or "")
        start, end, width = cut(self.span(query), query, buckets)
        weights = np.zeros(buckets, np.int64)
        chosen = self._registry.chosen(query)
        if start >= end or not chosen:
            return Timeline(start, width, weights), Estimate()
        where = self._where(query, chosen)
        (piece,) = self._pieces(query, chosen, start, end, 2 if query.frame else 1, stacks=False)
        by = ", stack" if query.frame is not None else ""
        sql = f"""SELECT intDiv(time_ns - {start}, {width}) AS place{by}, {_weighed(query, piece.one_of)}
            FROM {self._database}.{piece.table} WHERE {where.sql} AND {within(start, end)}
            GROUP BY place{by}"""
        table = self._ask(sql, where)
        keep = self._of_frame(self._names.begin(), query, table, chosen)
        found = table["place"].to_numpy().astype(np.int64)[keep]
        np.add.at(weights, found, table["weight_"].to_numpy()[keep])
        return Timeline(start, width, weights), _estimate(table, [piece], query)

    def _rows_of(
        self, symbols: Symbols, query: Query, alike: Sequence[str], nodes: int
    ) -> tuple[NDArray[np.void], Estimate]:
        chosen = self._registry.chosen(query)
        span = self.span(query)
        start = max(span.start_ns, query.start_ns or 0)
        end = span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns)
        if not chosen or start >= end:
            return np.zeros(0, COMPACT), Estimate()
        where = self._where(query, chosen)
        if query.role is Role.IN_FLIGHT and not self._settle(where, query, chosen):
            return np.zeros(0, COMPACT), Estimate()
        of_stack = tuple(alike) == ("stack",) and _is_plain(query) and query.role is not Role.IN_FLIGHT
        keys = _keys(alike, len(chosen) > 1, query.frame is not None)
        pieces = self._pieces(query, chosen, start, end, len(keys), of_stack)
        table = self._ask(
            self._stack_sql(query, where, pieces) if of_stack else self._sql(query, where, keys, pieces[0]), where
        )
        keep = self._of_frame(symbols, query, table, chosen)
        estimate = _estimate(table, pieces, query)
        if nodes and query.frame is None:
            return self._heaviest(symbols, query, table, keys, chosen), estimate
        return self._compact(
            symbols, query, table.filter(keep) if query.frame is not None else table, keys, chosen
        ), estimate

    def _where(self, query: Query, chosen: Sequence[HostState]) -> Conditions:
        everybody = len(chosen) == len(self._registry.chosen(Query()))
        where = of_machines(query, chosen, self._registry.services(chosen), everybody)
        narrow(where, query, self._database)
        return where

    def _settle(self, where: Conditions, query: Query, chosen: Sequence[HostState]) -> bool:
        """Of what is in flight the newest word of each machine, if it is new enough. False if there is none."""
        newest = max(host.newest_ns for host in chosen)
        end = newest if query.end_ns is None else min(newest, query.end_ns)
        ends = {host.name: min(end, host.newest_ns) for host in chosen}
        slack = 0 if len(chosen) == 1 else 2 * max(host.interval_ms for host in chosen) * 1_000_000
        start = max(end - IN_FLIGHT_NS - slack, query.start_ns or 0)
        if start >= end:
            return False
        machines = of_machines(query, chosen, self._registry.services(chosen), all_of_them=False)
        sql = f"""SELECT host, max(time_ns) FROM {self._database}.events
            WHERE {machines.sql} AND {within(start, end)} GROUP BY host"""
        words_of = dict(self._connection.rows(sql, machines.parameters))
        told = {host: moment for host, moment in words_of.items() if moment >= ends.get(host, end) - IN_FLIGHT_NS}
        pairs, parameters = [], {}
        for i, names in enumerate(portions(list(told))):
            pairs.append(f"arrayZip({{told_by_{i}:Array(String)}}, {{moments_{i}:Array(UInt64)}})")
            parameters |= {f"told_by_{i}": names, f"moments_{i}": [told[name] for name in names]}
        listed = f"SELECT arrayJoin(arrayConcat({', '.join(pairs)})) AS each"
        where.add(f"(host, time_ns) IN (SELECT each.1, each.2 FROM ({listed}))", **parameters)
        return bool(told)

    def _pieces(
        self, query: Query, chosen: Sequence[HostState], start: int, end: int, columns: int, stacks: bool
    ) -> list[Piece]:
        everybody = self._registry.chosen(Query())
        total = max(1, sum(host.events for host in everybody))
        services = {host.service for host in chosen}
        need = Need(
            start,
            end,
            len(chosen),
            len(services),
            sum(host.events for host in chosen) / total,
            sum(host.events for host in everybody if host.service in services) / total,
            columns,
            stacks,
            by_host=bool(query.hosts),
        )
        if query.role is Role.IN_FLIGHT and not stacks:
            return [Piece("events", start, end)]
        return plan(need, self._table_rates(), self._budget)

    def _table_rates(self) -> dict[str, float]:
        """Rows in a second of each table."""
        with self._rates_lock:
            at, rates = self._rates
            if time.monotonic() - at < _RATES_S:
                return rates
            span = self.span()
            held_s = max(1.0, (span.end_ns - span.start_ns) / 1e9)
            sql = """SELECT table, sum(rows), uniqExact(partition), max(length(partition)) FROM system.parts
                WHERE database = {database:String} AND active GROUP BY table"""
            rows = self._connection.rows(sql, {"database": self._database})
            rates = {
                table.removesuffix("_local"): rows / min(held_s, parts * 86_400 * (1 if length > 6 else 31))
                for table, rows, parts, length in rows
            }
            self._rates = time.monotonic(), rates
            return rates

    def _sql(self, query: Query, where: Conditions, keys: Sequence[str], piece: Piece) -> str:
        named = ", ".join(keys)
        by = f"GROUP BY {named}" if keys else ""
        return f"""SELECT {named}{", " if keys else ""}{sums(query, piece.one_of)}, {_variance(query)}
            FROM {self._database}.{piece.table} WHERE {where.sql} AND {within(piece.start_ns, piece.end_ns)}
            {by}"""

    def _stack_sql(self, query: Query, where: Conditions, pieces: Sequence[Piece]) -> str:
        """Sums by stack out of several tables. The edges of a range are one, of the same table."""
        parts = []
        for table in dict.fromkeys(piece.table for piece in pieces):
            each = [piece for piece in pieces if piece.table == table]
            rollup, one_of = each[0].rollup, each[0].one_of
            if rollup is None:
                times = " OR ".join(f"({within(piece.start_ns, piece.end_ns)})" for piece in each)
                counted = f"toInt64(weight) * {one_of} AS w, toInt64(least(duration_ns, {LONGEST_NS})) * {one_of} AS d"
                counted += (
                    f", toUInt64({one_of > 1:d}) AS n, pow(toFloat64({_measured(query)}), 2) * {one_of > 1:d} AS q"
                )
            else:
                ranges = [
                    f"ts >= toDateTime({piece.start_ns // 1_000_000_000}, 'UTC') AND "
                    f"ts < toDateTime({piece.end_ns // 1_000_000_000}, 'UTC')"
                    for piece in each
                ]
                times = " OR ".join(f"({one})" for one in ranges)
                counted = "weight AS w, duration_ns AS d, toUInt64(0) AS n, toFloat64(0) AS q"
            parts.append(f"SELECT stack, {counted} FROM {self._database}.{table} WHERE {where.sql} AND ({times})")
        return f"""SELECT stack, sum(w) AS weight_, sum(d) AS duration_, sum(n) AS n_, sum(q) AS q_
            FROM ({" UNION ALL ".join(parts)}) GROUP BY stack"""

    def _ask(self, sql: str, where: Conditions) -> pa.Table:
        try:
            return self._connection.arrow(sql, where.parameters, _LIMITS)
        except TooMuchError as error:
            raise TooManyError(_TOO_MANY) from error

    def _of_frame(
        self, symbols: Symbols, query: Query, table: pa.Table, chosen: Sequence[HostState]
    ) -> NDArray[np.bool_] | slice:
        """(n,): the rows whose stacks have a frame that is looked for."""
        if query.frame is None:
            return slice(None)
        nodes = self._names.stacks(symbols, table["stack"].to_numpy(), self._registry.services(chosen))
        found: NDArray[np.bool_] = self._search.nodes(symbols, query.frame)[nodes]
        return found

    def _heaviest(
        self, symbols: Symbols, query: Query, table: pa.Table, keys: Sequence[str], chosen: Sequence[HostState]
    ) -> NDArray[np.void]:
        """A few thousand rows, and one for the sum of all others."""
        if len(table) <= _STACKS:
            return self._compact(symbols, query, table, keys, chosen)
        weights = table["weight_" if query.measure is Measure.COUNT else "duration_"].to_numpy()
        order = np.argpartition(-weights, _STACKS)
        out = self._compact(symbols, query, table.take(order[:_STACKS]), keys, chosen)
        rest = np.zeros(1, COMPACT)
        rest["kind"] = query.kind
        for name, column in (("weight", "weight_"), ("duration_ns", "duration_")):
            rest[name] = table[column].to_numpy()[order[_STACKS:]].sum()
        with self._names.adding():
            rest["stack"] = symbols.stacks([[symbols.frame(SMALLER)]])
        return np.concatenate([out, rest])

    def _compact(
        self, symbols: Symbols, query: Query, table: pa.Table, keys: Sequence[str], chosen: Sequence[HostState]
    ) -> NDArray[np.void]:
        """(n,) of COMPACT, with rows of the tables for hashes and texts."""
        out = np.zeros(len(table), COMPACT)
        out["kind"] = query.kind
        if query.role is not Role.OWN:
            out["flags"] = int(query.role) << ROLE_SHIFT
        for key in keys:
            column = table[key]
            match key:
                case "stack":
                    out[key] = self._names.stacks(symbols, column.to_numpy(), self._registry.services(chosen))
                case "process":
                    out[key] = self._names.processes(symbols, column.to_numpy())
                case "comm":
                    out["process"] = self._names.processes_by_name(symbols, column)
                case "thread" | "name":
                    out[key] = self._names.strings(symbols, column)
                case "bucket":
                    pass  # that of maximum_ns
                case _:
                    out[key] = column.to_numpy()
        for name, column in _SUMMED.items():
            if column in table.column_names:
                out[name] = table[column].to_numpy()
        return out


_SUMMED: Final = {
    "time_ns": "time_ns_", "duration_ns": "duration_", "maximum_ns": "maximum_", "weight": "weight_",
    "alone_ns": "alone_", "many": "many_",
}  # fmt: skip


def _keys(alike: Sequence[str], many: bool, frame: bool) -> list[str]:
    """By what columns the rows of an answer are told apart. Of many machines processes are one by their name."""
    keys = [KEYS[name] for name in alike]
    if many:
        keys = [("comm" if key == "process" else key) for key in keys if key not in ("pid", "tid")]
    return [*keys, *["stack"] * (frame and "stack" not in keys)]


def _is_plain(query: Query) -> bool:
    """Whether nothing is asked of the events but kind, role, machines, time and frames."""
    narrowed = (query.process, query.cgroup, query.name, query.value, query.process_start_ns)
    return not query.pids and not query.tids and all(one is None for one in narrowed)


def _measured(query: Query) -> str:
    return "weight" if query.measure is Measure.COUNT else f"least(duration_ns, {LONGEST_NS})"


def _weighed(query: Query, one_of: int) -> str:
    return f"sum(toInt64({_measured(query)})) * {one_of} AS weight_, {_variance(query)}"


def _variance(query: Query) -> str:
    """What tells how exact a part of the events is."""
    return f"count() AS n_, sum(pow(toFloat64({_measured(query)}), 2)) AS q_"


def _estimate(table: pa.Table, pieces: Sequence[Piece], query: Query) -> Estimate:
    """How exact sums of a part of the events are (Kish's effective size of a sample of unequal weights)."""
    one_of = max(piece.one_of for piece in pieces)
    if one_of == 1 or not len(table):
        return Estimate()
    n, squares = int(table["n_"].to_numpy().sum()), float(table["q_"].to_numpy().sum())
    column = "weight_" if query.measure is Measure.COUNT or "duration_" not in table.column_names else "duration_"
    whole = float(table[column].to_numpy().sum())
    if not whole:
        return Estimate(one_of, n, 0.0)
    # half of the 95 % interval of a share of one half: 1.96 * one_of * sqrt(sum of squares) / 2 / whole
    return Estimate(one_of, n, min(1.0, 0.98 * one_of * math.sqrt(squares) / whole))
