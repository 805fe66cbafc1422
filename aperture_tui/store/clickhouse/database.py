"""Tenants: each has a database of its own, one writer and one Store."""

from __future__ import annotations

import datetime
import os
import re
import threading
import time
from functools import lru_cache
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.packed.hashes import process_hashes, tag_set_hash
from aperture_tui.store.clickhouse.connection import Address, Connection, StorageError
from aperture_tui.store.clickhouse.inserting import (
    Timed,
    event_table,
    process_table,
    push_table,
    stack_table,
    stored,
    tag_set_table,
    tag_sets,
    timed,
)
from aperture_tui.store.clickhouse.mending import mend
from aperture_tui.store.clickhouse.names import Names
from aperture_tui.store.clickhouse.registry import Registry
from aperture_tui.store.clickhouse.schema import Retention, migrate
from aperture_tui.store.clickhouse.selecting import Conditions, portions
from aperture_tui.store.clickhouse.sources import Budget
from aperture_tui.store.clickhouse.store import ClickHouseStore
from aperture_tui.store.fleet_base import BatchFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.fleet_base import HostState
    from aperture_tui.store.push import Push

_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
_MAX_KNOWN: Final = 1_000_000
"""Stacks, or processes, of which it is remembered that they are stored: some 130 MB each."""
_LOADED: Final = 1_000_000
_DAY_NS: Final = 86_400_000_000_000


class Database:
    """One ClickHouse, for all tenants. All methods may be called from any thread."""

    def __init__(self, connection: Connection, retention: Retention, budget: Budget) -> None:
        self._connection, self._retention, self._budget = connection, retention, budget
        self._lock = threading.Lock()
        self._tenants: dict[str, Tenant] = {}

    @classmethod
    def open(cls, url: str, retention: Retention | None = None, budget: Budget | None = None) -> Database:
        """chdb:///PATH, or clickhouse://USER:PASSWORD@HOST:8123/?cluster=NAME. Raises StorageError."""
        connection = Connection(Address.parse(url))
        return cls(connection, retention or Retention(), budget or Budget(cores=os.cpu_count() or 1))

    def tenant(self, name: str) -> Tenant:
        """A tenant, whose tables are made or brought up to date when it is first asked for. Raises StorageError."""
        with self._lock:
            if name not in self._tenants:
                if not _NAME.fullmatch(name):
                    raise StorageError(f"{name!r} is no name of a tenant: letters, digits and _, at most 32")
                self._tenants[name] = Tenant(name, self._connection, self._retention, self._budget)
            return self._tenants[name]

    def ping(self) -> None:
        """Raises StorageError if it cannot be reached."""
        self._connection.command("SELECT 1")

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            tenants = list(self._tenants.values())
        for tenant in tenants:
            tenant.close()
        self._connection.close()


class Tenant:
    """One tenant. `insert` belongs to one thread at a time; the rest may be called from any."""

    def __init__(self, name: str, connection: Connection, retention: Retention, budget: Budget) -> None:
        self.name = name
        self._connection = connection
        self._database = f"aperture_{name}"
        migrate(connection, self._database, retention)
        self._registry = Registry()
        self._registry.load(connection, self._database)
        self._names = Names(connection, self._database)
        self._lock = threading.Lock()
        self._begun = ""  # the token of what is being stored, or could not be
        self._stacks: dict[int, int] = {}  # `_key` -> the month it was last written in
        self._processes: dict[int, int] = {}  # -> the day
        self._tag_sets: dict[int, int] = {}
        self._load()
        self.store = ClickHouseStore(connection, self._database, self._names, self._registry, budget)
        self._names.load()

    def close(self) -> None:
        """End what goes on for it."""
        self._names.close()

    def stored(self) -> dict[tuple[str, bytes], int]:
        """(agent, boot) -> the highest seq that is stored."""
        return self._registry.last()

    def hosts(self) -> list[HostState]:
        """All machines, by name."""
        return self._registry.states()

    def unknown(self, service: str, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Those among a service's stacks that are not stored. Raises StorageError."""
        with self._lock:
            fresh = [value for value in hashes.tolist() if value and _key(service, value) not in self._stacks]
        if not fresh:
            return np.zeros(0, np.uint64)
        where = Conditions()
        where.add("service = {service:String}", service=service)
        where.add_any("stack", "UInt64", fresh)
        sql = f"SELECT stack, max(last_seen) FROM {self._database}.stacks WHERE {where.sql} GROUP BY stack"
        rows = self._connection.rows(sql, where.parameters)
        with self._lock:
            for value, seen in rows:
                self._remember(self._stacks, _key(service, value), seen.year * 12 + seen.month)
        kept = {value for value, _ in rows}
        return np.array([value for value in fresh if value not in kept], np.uint64)

    def insert(self, token: str, pushes: Sequence[Push], stored_ns: int, again: bool = False) -> None:
        """Store pushes; with the same token and the same pushes once, however often it is tried. Raises StorageError.

        again: a former process may have tried. Every stack without nodes must be known (`unknown`). Names first, so
        that no event is there without them. What cannot be made rows of raises whatever it does before any event is
        there.
        """
        again = (again or token == self._begun) and not self._connection.address.cluster
        self._begun = token
        ready = [timed(push, stored_ns) for push in pushes]
        facts = [stored(one, stored_ns) for one in ready]
        table = push_table(list(zip(pushes, facts, strict=True)))
        filled = [one for one in ready if len(one.events)]
        events = event_table(filled) if filled else None
        named = token_hex(16) if again else token  # of what is there twice one is taken
        self._insert_stacks(named, ready, stored_ns)
        self._insert_processes(named, ready, stored_ns)
        self._insert_tag_sets(named, ready, stored_ns)
        if events is not None:
            self._connection.insert(f"{self._database}.events", events, f"{token}-events")
            if again:
                mend(self._connection, self._database, events, time.time_ns())
        self._connection.insert(f"{self._database}.pushes", table, f"{named}-pushes")
        self._begun = ""
        self._registry.note(facts)

    def batches(self, query: Query, limit: int) -> list[BatchFacts]:
        """Pushes of a query's machines that overlap its range, newest first. Raises StorageError."""
        chosen = self._registry.chosen(query)
        where = Conditions()
        where.add_any("host", "String", [host.name for host in chosen])
        if query.start_ns is not None:
            where.add("end_ns > {start:UInt64}", start=max(0, query.start_ns))
        if query.end_ns is not None:
            where.add("start_ns < {end:UInt64}", end=max(0, query.end_ns))
        sql = f"""SELECT host, service, boot, seq, start_ns, end_ns, stored_ns, events, lost FROM
            (SELECT * FROM {self._database}.pushes WHERE {where.sql} LIMIT 1 BY host, boot, seq)
            ORDER BY stored_ns DESC, host, seq DESC LIMIT {int(limit)}"""
        return [
            BatchFacts(h, s, bytes(boot), *rest) for h, s, boot, *rest in self._connection.rows(sql, where.parameters)
        ]

    def _insert_stacks(self, token: str, pushes: Sequence[Timed], now_ns: int) -> None:
        month = _month(now_ns)
        new: dict[tuple[str, int], tuple[Symbols, int]] = {}
        old: dict[str, list[int]] = {}
        with self._lock:
            for one in pushes:
                service, nodes = one.push.head.service, one.push.nodes
                for value, node in zip(one.push.hashes.tolist(), nodes.tolist(), strict=True):
                    written = self._stacks.get(_key(service, value))
                    if value and written != month:
                        if node:
                            new[service, value] = one.push.symbols, node
                        elif written is not None:
                            old.setdefault(service, []).append(value)
        if new:
            rows = [(service, value, symbols, node) for (service, value), (symbols, node) in new.items()]
            self._connection.insert(f"{self._database}.stacks", stack_table(rows, now_ns), f"{token}-stacks")
            self._names.learn([row[1:] for row in rows])
        for service, values in old.items():  # in a new month once more, so that they outlive what refers to them
            self._renew(service, sorted(set(values)), now_ns)
        with self._lock:
            for service, value in (*new, *((service, value) for service, values in old.items() for value in values)):
                self._remember(self._stacks, _key(service, value), month)

    def _renew(self, service: str, values: list[int], now_ns: int) -> None:
        stacks, now_s = f"{self._database}.stacks", now_ns // 1_000_000_000
        sql = f"""INSERT INTO {stacks} SELECT service, stack, toDateTime({now_s}, 'UTC'), any(frames) FROM {stacks}
            WHERE service = {{service:String}} AND stack IN {{hashes:Array(UInt64)}} GROUP BY service, stack"""
        for part in portions(values):
            self._connection.command(sql, {"service": service, "hashes": part})

    def _insert_processes(self, token: str, pushes: Sequence[Timed], now_ns: int) -> None:
        day = now_ns // _DAY_NS
        rows: dict[int, tuple[str, str, int, Symbols, int]] = {}
        for one in pushes:
            used = np.unique(one.events["process"])
            head, symbols = one.push.head, one.push.symbols
            for value, row in zip(process_hashes(symbols, used).tolist(), used.tolist(), strict=True):
                if value and self._processes.get(value) != day:
                    rows[value] = head.service, head.agent, value, symbols, row
        if rows:
            table = process_table(list(rows.values()), now_ns)
            self._connection.insert(f"{self._database}.processes", table, f"{token}-processes")
        with self._lock:
            for value in rows:
                self._remember(self._processes, value, day)

    def _insert_tag_sets(self, token: str, pushes: Sequence[Timed], now_ns: int) -> None:
        day = now_ns // _DAY_NS
        names = [each for one in pushes for each in tag_sets(one).values()]
        sets = {tag_set_hash(each): each for each in names}
        new = {value: each for value, each in sets.items() if self._tag_sets.get(value) != day}
        if not new:
            return
        self._connection.insert(f"{self._database}.tag_sets", tag_set_table(new, now_ns), f"{token}-tags")
        self._names.forget_tags()
        with self._lock:
            for value in new:
                self._remember(self._tag_sets, value, day)

    def _load(self) -> None:
        """The stacks that were stored of late, so that agents need not send them again."""
        sql = f"""SELECT service, stack, max(last_seen) FROM {self._database}.stacks
            GROUP BY service, stack ORDER BY max(last_seen) DESC LIMIT {_LOADED}"""
        for service, value, seen in reversed(self._connection.rows(sql)):
            self._stacks[_key(service, value)] = seen.year * 12 + seen.month

    def _remember(self, known: dict[int, int], key: int, when: int) -> None:
        known.pop(key, None)
        known[key] = when
        if len(known) > _MAX_KNOWN:
            del known[next(iter(known))]


@lru_cache(10_000)
def _mask(service: str) -> int:
    return int.from_bytes(blake2b(service.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "little")


def _key(service: str, stack: int) -> int:
    """One number for both: half the memory of a pair."""
    return stack ^ _mask(service)


def _month(time_ns: int) -> int:
    moment = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC)
    return moment.year * 12 + moment.month


__all__ = ["Database", "Retention", "StorageError", "Tenant"]
