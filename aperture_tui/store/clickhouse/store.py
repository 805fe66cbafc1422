"""The Store of a tenant over ClickHouse: the database sums, and the rest is as in every other store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import ROLE_SHIFT, Role
from aperture_tui.profile.packed import words
from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.answers import Answers, Rows
from aperture_tui.store.base import Estimate, Span, Timeline
from aperture_tui.store.clickhouse import statements
from aperture_tui.store.clickhouse.connection import TooMuchError
from aperture_tui.store.clickhouse.frame_search import LinearSearch
from aperture_tui.store.clickhouse.planning import Planner
from aperture_tui.store.clickhouse.selecting import KEYS, Conditions, is_plain, narrow, of_machines, portions, within
from aperture_tui.store.clickhouse.statements import SUMS, Share
from aperture_tui.store.compaction import COMPACT, TooManyError
from aperture_tui.store.held import IN_FLIGHT_NS, cut
from aperture_tui.store.where_masks import check, stack_nodes

if TYPE_CHECKING:
    import pyarrow as pa

    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.clickhouse.connection import Connection
    from aperture_tui.store.clickhouse.names import Names
    from aperture_tui.store.clickhouse.registry import Registry
    from aperture_tui.store.clickhouse.sources import Budget, Piece
    from aperture_tui.store.fleet_base import HostState

_MOST: Final = 2_000_000
"""Rows of an answer."""
_MAX_PUSHES: Final = 1_024
_MAX_GAUGES: Final = 4_096
"""Pushes whose readings an answer is made of, and readings that it has."""
_LAST_NS: Final = (1 << 63) - 1
_LIMITS: Final = {
    "max_execution_time": 20, "max_memory_usage": 2 << 30, "max_result_rows": _MOST, "result_overflow_mode": "throw",
    "max_rows_to_read": 4_000_000_000,
}  # fmt: skip
_ALONE: Final = {"max_threads": 1, "group_by_two_level_threshold": 0, "group_by_two_level_threshold_bytes": 0}
"""Of one of several statements at once, each about stacks of its own: their sums need not be merged."""
_TOO_MANY: Final = "too much in this range: choose a shorter one, or fewer machines"


_Kept = NDArray[np.bool_] | slice


class Found(NamedTuple):
    """The rows of an answer, and how exact they are."""

    rows: Rows
    estimate: Estimate


class _Wanted(NamedTuple):
    """What is read for a query. services: of its machines. keys: by what rows are told apart. pieces, rows: where they
    are, and about how many. by_stack: sums by stack will do. missing_ns: of the range, kept no more.
    """

    query: Query
    chosen: Sequence[HostState]
    services: Sequence[str]
    keys: Sequence[str]
    pieces: Sequence[Piece]
    rows: float
    where: Conditions
    by_stack: bool
    missing_ns: int


class _Answer(NamedTuple):
    """What the database said of one query, None if it was not asked. keys: by what its rows are told apart."""

    table: pa.Table | None = None
    keys: Sequence[str] = ()
    services: Sequence[str] = ()
    estimate: Estimate = Estimate()


class ClickHouseStore(Answers):
    """All methods may be called from any thread. Raises StorageError beside what a Store raises."""

    def __init__(self, connection: Connection, database: str, names: Names, registry: Registry, budget: Budget) -> None:
        super().__init__()
        self._search = LinearSearch()
        self._connection, self._database = connection, database
        self._names, self._registry = names, registry
        self._planner = Planner(connection, database, registry, budget)
        self._asking = ThreadPoolExecutor(2 * budget.cores, "ask")

    # -- what is known of the machines

    def span(self, query: Query | None = None) -> Span:
        """What is held, of a query's machines alone if it is given."""
        return self._registry.span(query or Query())

    def kinds(self, query: Query | None = None) -> frozenset[int]:
        """The kinds of which there are events."""
        return self._registry.kinds(query or Query())

    def tags(self) -> tuple[str, ...]:
        """The names of the tags that events may have."""
        return self._names.tags()

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
        """Readings of one machine in the query's range, oldest first; of very many, every so manieth.

        Of several machines none: they do not add up.
        """
        chosen = self._registry.chosen(query)
        if len(chosen) != 1:
            return []
        start, end = query.start_ns or 0, _LAST_NS if query.end_ns is None else min(query.end_ns, _LAST_NS)
        each = f"""SELECT gauges, newest_ns FROM {self._database}.pushes
            WHERE host = {{host:String}} AND gauges != '[]' AND newest_ns"""
        sql = f"""SELECT gauges FROM
            (SELECT gauges, row_number() OVER (ORDER BY newest_ns DESC) AS place, count() OVER () AS n FROM
            ({each} > {start} AND newest_ns <= {end} LIMIT 1 BY boot, seq))
            WHERE (place - 1) % intDiv(n + {_MAX_PUSHES - 1}, {_MAX_PUSHES}) = 0
            UNION ALL SELECT gauges FROM ({each} > {end} ORDER BY newest_ns LIMIT 1)"""
        rows = self._connection.rows(sql, {"host": chosen[0].name})
        told = [sample for (text,) in rows for sample in words.gauges(text.encode()) or []]
        found = sorted((one for one in told if start <= one.time_ns < end), key=lambda one: one.time_ns)
        return found[:: -(-len(found) // _MAX_GAUGES) or 1]

    # -- answering

    def rows(self, queries: Sequence[Query], alike: Sequence[str]) -> Rows:
        """The events of each query, alike ones summed."""
        rows, estimate = self.found(queries, alike)
        if estimate != Estimate():
            self.note(estimate)
        return rows

    def found(self, queries: Sequence[Query], alike: Sequence[str], nodes: int = 0) -> Found:
        """The same, with how exact they are. nodes: of call trees, about so many in all; 0: all there are."""
        for query in queries:
            check(self._search, query)
        symbols = self._names.begin()
        if nodes > 0 and tuple(alike) == ("stack",):
            return self._trees(symbols, queries, nodes)
        answers = [self._answer(symbols, query, alike, len(queries)) for query in queries]
        parts = [self._compact(symbols, query, one) for query, one in zip(queries, answers, strict=True)]
        return Found(Rows(symbols, parts), _least_exact([one.estimate for one in answers]))

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The query's range, or what is held of it, in this many equal buckets."""
        timeline, estimate = self.timeline_found(query, buckets)
        if estimate != Estimate():
            self.note(estimate)
        return timeline

    def timeline_found(self, query: Query, buckets: int) -> tuple[Timeline, Estimate]:
        """The same, with how exact it is."""
        check(self._search, query)
        start, end, width = cut(self.span(query), query, buckets)
        weights = np.zeros(buckets, np.int64)
        chosen = self._registry.chosen(query)
        if start >= end or not chosen:
            return Timeline(start, width, weights), Estimate()
        columns, each_ns = 2 if query.by_frames else 1, width * (buckets > 1)
        plain = is_plain(query) and query.role is not Role.IN_FLIGHT
        planned = self._planner.pieces(query, chosen, start, end, columns, plain, parts_ns=each_ns)
        where = self._where(query, chosen)
        table = self._ask(statements.over_time(self._database, query, where, planned.pieces, start, width), where)
        keep = self._of_frames(self._names.begin(), query, table, self._registry.services(chosen))
        found = table["place"].to_numpy().astype(np.int64)[keep]
        np.add.at(weights, found, table[SUMS[query.measure]].to_numpy()[keep])
        exact = statements.estimate(table, planned.pieces, query)
        return Timeline(start, width, weights), replace(exact, missing_ns=planned.missing_ns)

    def _wanted(self, query: Query, alike: Sequence[str], queries: int) -> _Wanted | None:
        """What is to be read for a query, None if nothing is. queries: how many are asked together."""
        chosen = self._registry.chosen(query)
        span = self.span(query)
        start = max(span.start_ns, query.start_ns or 0)
        end = span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns)
        if not chosen or start >= end:
            return None
        by_stack = tuple(alike) == ("stack",) and is_plain(query) and query.role is not Role.IN_FLIGHT
        keys = _keys(alike, len(chosen) > 1, query.by_frames)
        planned = self._planner.pieces(query, chosen, start, end, len(keys), by_stack, queries)
        where = self._where(query, chosen)
        if query.role is Role.IN_FLIGHT and not self._settle(where, query, chosen):
            return None
        services = self._registry.services(chosen)
        return _Wanted(query, chosen, services, keys, planned.pieces, planned.rows, where, by_stack, planned.missing_ns)

    def _answer(self, symbols: Symbols, query: Query, alike: Sequence[str], queries: int) -> _Answer:
        """queries: how many are asked together."""
        wanted = self._wanted(query, alike, queries)
        if wanted is None:
            return _Answer()
        if wanted.by_stack:
            table = self._ask_all(self._shares([wanted], list(Measure)))
        else:
            table = self._ask(
                statements.by_columns(self._database, query, wanted.where, wanted.keys, wanted.pieces[0]), wanted.where
            )
        estimate = replace(statements.estimate(table, wanted.pieces, query), missing_ns=wanted.missing_ns)
        if query.by_frames:
            table = table.filter(self._of_frames(symbols, query, table, wanted.services))
        return _Answer(table, wanted.keys, wanted.services, estimate)

    def _shares(self, each: Sequence[_Wanted | None], measures: Sequence[Measure] | None = None) -> list[list[Share]]:
        """What each of several statements is to add up, which are asked at the same time: services apart from each
        other, and samples, which are in the order of time and read once for all.

        measures: of each stack; else what its query measures, under names that end in the query's place.
        """
        rows = sum(one.rows for one in each if one is not None)
        exact: list[list[Share]] = [[] for _ in range(self._planner.cores)]
        sampled: list[Share] = []
        for place, one in enumerate(each):
            if one is None:
                continue
            suffix = "" if measures else str(place)
            share = Share(one.query, one.where, one.pieces, measures or [one.query.measure], suffix)
            if not one.by_stack:
                exact[0].append(share)
                continue
            whole = [piece for piece in one.pieces if piece.one_of == 1]
            services = one.services if one.query.service is None else [one.query.service]
            for i, part in enumerate(self._planner.shared(one.chosen, services, rows) if whole else ()):
                exact[i].append(share._replace(pieces=whole, where=self._where(one.query, one.chosen, part)))
            if len(whole) < len(one.pieces):
                sampled.append(share._replace(pieces=[piece for piece in one.pieces if piece.one_of > 1]))
        return [shares for shares in (*exact, sampled) if shares]

    def _where(self, query: Query, chosen: Sequence[HostState], services: Sequence[str] | None = None) -> Conditions:
        """services: only what these have of the machines; else all."""
        every = self._registry.services(chosen)
        everything = len(chosen) == len(self._registry.chosen(Query())) and len(services or every) == len(every)
        some = chosen if services is None else self._registry.within(chosen, services)
        where = of_machines(query, some, services or every, everything)
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
        pairs: list[str] = []
        parameters: dict[str, list[Any]] = {}
        for i, names in enumerate(portions(list(told))):
            pairs.append(f"arrayZip({{told_by_{i}:Array(String)}}, {{moments_{i}:Array(UInt64)}})")
            parameters |= {f"told_by_{i}": names, f"moments_{i}": [told[name] for name in names]}
        listed = f"SELECT arrayJoin(arrayConcat({', '.join(pairs)})) AS each"
        where.add(f"(host, time_ns) IN (SELECT each.1, each.2 FROM ({listed}))", **parameters)
        return bool(told)

    def _ask_all(self, statements_of: Sequence[Sequence[Share]]) -> pa.Table:
        """The rows of all statements, which are asked at the same time."""
        import pyarrow as pa

        asked = [statements.by_stack(self._database, shares) for shares in statements_of]
        if len(asked) == 1:
            return self._ask(*asked[0])
        sqls, wheres = zip(*asked, strict=True)
        found = list(self._asking.map(self._ask, sqls, wheres, [_ALONE] * len(asked)))
        return pa.concat_tables(found, promote_options="default")

    def _ask(self, sql: str, where: Conditions, settings: Mapping[str, int] | None = None) -> pa.Table:
        try:
            return self._connection.arrow(sql, where.parameters, {**_LIMITS, **(settings or {})})
        except TooMuchError as error:
            raise TooManyError(_TOO_MANY) from error

    def _of_frames(self, symbols: Symbols, query: Query, table: pa.Table, services: Sequence[str]) -> _Kept:
        """(n,): the rows whose stacks have the frames that are looked for, and none of those that are left out."""
        if not query.by_frames:
            return slice(None)
        return self._passing(symbols, query, self._names.stacks(symbols, table["stack"].to_numpy(), services))

    def _passing(self, symbols: Symbols, query: Query, nodes: NDArray[np.uint32]) -> _Kept:
        """(n,): the same, of nodes of stacks."""
        keep = stack_nodes(self._search, symbols, query.where, query.frame)
        return slice(None) if keep is None else keep[nodes]

    def _trees(self, symbols: Symbols, queries: Sequence[Query], most: int) -> Found:
        """Call trees, (n,) of COMPACT each, of no more than so many nodes in all."""
        each = [self._wanted(query, ("stack",), len(queries)) for query in queries]
        some = [one for one in each if one is not None]
        if not some:
            return Found(Rows(symbols, [_rows(query, 0) for query in queries]), Estimate())
        table = self._ask_all(self._shares(each))
        nodes = self._names.stacks(
            symbols, table["stack"].to_numpy(), sorted({s for one in some for s in one.services})
        )
        stacks, weights, estimates = [], [], [Estimate()]
        for place, (query, one) in enumerate(zip(queries, each, strict=True)):
            values = np.zeros(len(nodes), np.int64)
            keep = self._passing(symbols, query, nodes)
            if one is not None:
                values = table[f"{SUMS[query.measure]}{place}"].fill_null(0).to_numpy()
                exact = statements.estimate(table, one.pieces, query, str(place))
                estimates.append(replace(exact, missing_ns=one.missing_ns))
            stacks.append(nodes[keep])
            weights.append(values[keep])
        parts = []
        for query, (kept, values) in zip(queries, self._names.pruned(symbols, stacks, weights, most), strict=True):
            rows = _rows(query, len(kept))
            rows["stack"] = kept
            rows[_SUM_OF[query.measure]] = values
            parts.append(rows)
        return Found(Rows(symbols, parts), _least_exact(estimates))

    def _compact(self, symbols: Symbols, query: Query, answer: _Answer) -> NDArray[np.void]:
        """(n,) of COMPACT, with rows of the tables for hashes and texts."""
        table = answer.table
        if table is None:
            return _rows(query, 0)
        out = _rows(query, len(table))
        for key in answer.keys:
            column = table[key]
            match key:
                case "stack":
                    out[key] = self._names.stacks(symbols, column.to_numpy(), answer.services)
                case "process":
                    out[key] = self._names.processes(symbols, column.to_numpy())
                case "tags":
                    out[key] = self._names.tag_sets(symbols, column.to_numpy())
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


_SUM_OF: Final = {Measure.COUNT: "weight", Measure.TIME: "duration_ns"}


def _rows(query: Query, n: int) -> NDArray[np.void]:
    """n rows of COMPACT of the query's kind and role, and of nothing else."""
    out = np.zeros(n, COMPACT)
    out["kind"] = query.kind
    if query.role is not Role.OWN:
        out["flags"] = int(query.role) << ROLE_SHIFT
    return out


def _least_exact(estimates: Sequence[Estimate]) -> Estimate:
    return reduce(Estimate.worse, estimates)


def _keys(alike: Sequence[str], many: bool, frame: bool) -> list[str]:
    """By what columns the rows of an answer are told apart. Of many machines processes are one by their name."""
    keys = [KEYS[name] for name in alike]
    if many:
        keys = [("comm" if key == "process" else key) for key in keys if key not in ("pid", "tid")]
    return [*keys, *["stack"] * (frame and "stack" not in keys)]
