"""Which tables answer a query, by what is known of the machines and of the tables."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.profile.kinds import Role
from aperture_tui.profile.query import Query
from aperture_tui.store.clickhouse.schema import DAY_S, SAMPLED, kept_days
from aperture_tui.store.clickhouse.sources import Budget, Need, Piece, Sizes, cost, gone_ns, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aperture_tui.store.clickhouse.connection import Connection
    from aperture_tui.store.clickhouse.registry import Registry
    from aperture_tui.store.fleet_base import HostState

_RATES_S: Final = 10.0
_ENOUGH: Final = 1_000
_LOOKED_AT: Final = 50_000
_COMMANDS: Final = 1_000
_WORTH: Final = 400_000
"""Rows from which on several statements at once are faster than one."""


class Planned(NamedTuple):
    """What a query's range is made of, about how many rows are read for it, and how much of it is kept no more."""

    pieces: list[Piece]
    rows: float
    missing_ns: int


class Planner:
    """All methods may be called from any thread."""

    def __init__(self, connection: Connection, database: str, registry: Registry, budget: Budget) -> None:
        self._connection, self._database = connection, database
        self._registry, self._budget = registry, budget
        self._lock = threading.Lock()
        self._sizes: tuple[float, Sizes] = (-math.inf, Sizes())

    def pieces(
        self,
        query: Query,
        chosen: Sequence[HostState],
        start_ns: int,
        end_ns: int,
        columns: int = 1,
        stacks: bool = False,
        queries: int = 1,
        parts_ns: int = 0,
    ) -> Planned:
        """What is read for a query. Raises StorageError.

        chosen: its machines. columns: by how many its rows are told apart. stacks: nothing else is asked of them.
        queries: how many are asked together. parts_ns: how long each part
        of the range is that is told by itself; 0: it is told as a whole.
        """
        everybody = self._registry.chosen(Query())
        total = max(1, sum(host.events for host in everybody))
        services = {host.service for host in chosen}
        need = Need(
            start_ns,
            end_ns,
            len(chosen),
            len(services),
            sum(host.events for host in chosen) / total,
            sum(host.events for host in everybody if host.service in services) / total,
            columns,
            stacks,
            by_host=query.by_host,
            command=query.process,
            cut_ns=math.gcd(start_ns, parts_ns) if parts_ns else 0,
        )
        sizes = self.sizes()
        pieces = [Piece("events", start_ns, end_ns)]
        if query.role is not Role.IN_FLIGHT or stacks:
            pieces = plan(need, sizes, self._budget, queries)
        return Planned(pieces, cost(pieces, need, sizes), gone_ns(pieces, sizes))

    @property
    def cores(self) -> int:
        """How many may work on a question, and the most parts of it."""
        return self._budget.cores

    def shared(self, chosen: Sequence[HostState], services: Sequence[str], rows: float) -> list[list[str]]:
        """The services, in as many parts as there are cores if so many rows are worth it, with about equally many
        events; else in one."""
        parts = min(self._budget.cores, len(services))
        if rows < _WORTH or parts < 2:
            return [list(services)]
        of = dict.fromkeys(services, 0)
        for host in chosen:
            of[host.service] = of.get(host.service, 0) + host.events
        whole = max(1, sum(of.values()))
        out: list[list[str]] = [[] for _ in range(parts)]
        before = 0
        for service in services:
            out[min(parts - 1, before * parts // whole)].append(service)
            before += of[service]
        return [part for part in out if part]

    def sizes(self) -> Sizes:
        """How large the tables are; of a little while ago. Raises StorageError."""
        with self._lock:
            at, sizes = self._sizes
            if time.monotonic() - at < _RATES_S:
                return sizes
            span = self._registry.span(Query())
            held_s = max(1.0, (span.end_ns - span.start_ns) / 1e9)
            sql = """SELECT table, sum(rows), uniqExact(partition), max(length(partition)), min(partition)
                FROM system.parts WHERE database = {database:String} AND active AND rows > 0 GROUP BY table"""
            rows: dict[str, int] = {}
            per_s: dict[str, float] = {}
            since_ns = self._kept_ns()
            for name, n, parts, length, first in self._connection.rows(sql, {"database": self._database}):
                table = name.removesuffix("_local")
                rows[table] = n
                per_s[table] = n / min(held_s, parts * 86_400 * (1 if length > 6 else 31))
                since_ns[table] = min(since_ns.get(table, 0), _began_ns(first))
            sizes = Sizes(rows, per_s, since_ns, self._commands(span.end_ns, rows, per_s))
            self._sizes = time.monotonic(), sizes
            return sizes

    def _kept_ns(self) -> dict[str, int]:
        """Since when each table that is not kept for ever has at least all that came."""
        kept = kept_days(self._connection, self._database)
        now_ns = time.time_ns()
        limited = {name.removesuffix("_local"): days for name, days in kept.items() if days is not None}
        return {table: now_ns - days * DAY_S * 1_000_000_000 for table, days in limited.items()}

    def _commands(self, end_ns: int, rows: Mapping[str, int], per_s: Mapping[str, float]) -> dict[str, float]:
        """The parts of the newest events that the most frequent commands have, by the smallest table that knows."""
        table = next((f"events_{n}" for n in reversed(SAMPLED) if rows.get(f"events_{n}", 0) > _ENOUGH), "")
        if not table:
            return {}
        since_ns = end_ns - int(_LOOKED_AT / per_s[table] * 1e9)
        sql = f"""SELECT comm, count() AS n FROM {self._database}.{table} WHERE time_ns >= {max(0, since_ns)}
            GROUP BY comm ORDER BY n DESC LIMIT {_COMMANDS}"""
        found = dict(self._connection.rows(sql))
        return {command: n / sum(found.values()) for command, n in found.items()}


def _began_ns(partition: str) -> int:
    """The first moment of a day or month, "2026-11-26", "20261126" or "202611"; 0 for what is neither."""
    digits = partition.replace("-", "")
    try:
        day = datetime.strptime(digits if len(digits) > 6 else f"{digits}01", "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return max(0, int(day.timestamp()) * 1_000_000_000)
