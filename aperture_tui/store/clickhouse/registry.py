"""The machines of a tenant, in memory: what most questions begin with. Loaded once, then told of every push."""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.packed import words
from aperture_tui.profile.where import OF_MACHINES, Key
from aperture_tui.store.base import Span
from aperture_tui.store.clickhouse.frame_search import LinearSearch
from aperture_tui.store.fleet_base import HostState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aperture_tui.profile.host import HostFacts
    from aperture_tui.profile.query import Query
    from aperture_tui.store.clickhouse.connection import Connection

_TROUBLE = (State.FAILED, State.STOPPED, State.STARTING, State.RUNNING)


@dataclass(frozen=True)
class Stored:
    """One push that was stored, as far as the registry needs it. start_ns, end_ns: of its events, 0 if it has none."""

    host: str
    service: str
    version: str
    boot: bytes
    seq: int
    stored_ns: int
    start_ns: int
    end_ns: int
    newest_ns: int
    events: int
    lost: int
    odd_times: int
    interval_ms: int
    kinds: int
    hosts: Sequence[HostFacts] = ()
    health: Sequence[Health] = ()


@dataclass
class _Host:
    state: HostState
    end_ns: int
    kinds: int
    odd_times: int
    facts: HostFacts | None
    health: Sequence[Health]
    services: set[str] = field(default_factory=set)  # of which it ever was, as far as its pushes are kept
    last: dict[bytes, int] = field(default_factory=dict)  # boot -> seq
    lost: dict[bytes, int] = field(default_factory=dict)


class Registry:
    """All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._by_name: list[_Host] = []  # sorted: every question asks for all of them
        self._services: set[str] = set()
        self._listeners: list[Callable[[], None]] = []

    def load(self, connection: Connection, database: str) -> None:
        """What was stored before. Raises StorageError."""
        numbers_of = f"""SELECT host, service, argMax(version, stored_ns), boot, max(seq), max(stored_ns),
            min(if(events = 0, 18446744073709551615, start_ns)), max(end_ns), max(newest_ns), sum(events), max(lost),
            sum(odd_times), argMax(interval_ms, stored_ns), groupBitOr(kinds)
            FROM {database}.pushes FINAL GROUP BY host, boot, service ORDER BY max(stored_ns)"""
        words_of = f"""SELECT host, boot, seq, hosts, health FROM {database}.pushes WHERE (host, boot, seq) GLOBAL IN
            (SELECT host, boot, max(seq) FROM {database}.pushes GROUP BY host, boot, service)
            LIMIT 1 BY host, boot, seq"""  # of the newest alone: those of all are far more than fit into memory
        told = {(host, bytes(boot), seq): rest for host, boot, seq, *rest in connection.rows(words_of)}
        for host, service, version, boot, *numbers in connection.rows(numbers_of):
            seq, stored, start, end, newest, events, lost, odd, interval, kinds = numbers
            hosts, health = told.get((host, bytes(boot), seq), ("[]", "[]"))
            facts, said = words.hosts(hosts.encode()) or [], words.health(health.encode()) or []
            start = start if events else 0
            times = seq, stored, start, end, newest
            self._note(
                Stored(host, service, version, bytes(boot), *times, events, lost, odd, interval, kinds, facts, said)
            )

    def note(self, pushes: Iterable[Stored]) -> None:
        """Pushes that are stored now."""
        with self._lock:
            for push in pushes:
                host = self._hosts.get(push.host)
                if host is None or push.seq > host.last.get(push.boot, 0):  # what a journal had may be known already
                    self._note(push)

    def _note(self, push: Stored) -> None:
        host = self._hosts.get(push.host)
        if host is None:
            host = self._hosts[push.host] = _Host(HostState(push.host), 0, 0, 0, None, ())
            bisect.insort(self._by_name, host, key=lambda one: one.state.name)
        state = host.state
        host.services.add(push.service)
        self._services.add(push.service)
        host.last[push.boot] = max(push.seq, host.last.get(push.boot, 0))
        host.lost[push.boot] = max(push.lost, host.lost.get(push.boot, 0))
        host.end_ns = max(host.end_ns, push.end_ns)
        host.kinds |= push.kinds
        host.odd_times += push.odd_times
        host.facts = push.hosts[0] if push.hosts else host.facts
        host.health = push.health or host.health
        firsts = [first for first in (state.first_ns, push.start_ns) if first]
        host.state = replace(
            state,
            service=push.service,
            version=push.version,
            first_ns=min(firsts, default=0),
            newest_ns=max(state.newest_ns, push.newest_ns, push.end_ns),
            seen_ns=max(state.seen_ns, push.stored_ns),
            events=state.events + push.events,
            lost=sum(host.lost.values()),
            interval_ms=push.interval_ms,
            kernel=host.facts.kernel if host.facts else "",
            cpus=host.facts.cpus if host.facts else 0,
            memory_bytes=host.facts.memory_bytes if host.facts else 0,
            problem=_problem(host.health),
        )

    def last(self) -> dict[tuple[str, bytes], int]:
        """(agent, boot) -> the highest seq that is stored."""
        with self._lock:
            return {(name, boot): seq for name, host in self._hosts.items() for boot, seq in host.last.items()}

    def states(self) -> list[HostState]:
        """All machines, by name."""
        with self._lock:
            return [host.state for host in self._by_name]

    def chosen(self, query: Query) -> list[HostState]:
        """The machines that a query is about, by name."""
        with self._lock:
            return [host.state for host in self._chosen(query)]

    def services(self, chosen: Sequence[HostState]) -> list[str]:
        """All services that these machines are or were of."""
        with self._lock:
            if len(chosen) == len(self._hosts):
                return sorted(self._services)
            return sorted({service for host in chosen for service in self._hosts[host.name].services})

    def within(self, chosen: Sequence[HostState], services: Sequence[str]) -> list[HostState]:
        """Those of the machines that are or were of one of the services."""
        some = set(services)
        with self._lock:
            return [host for host in chosen if not some.isdisjoint(self._hosts[host.name].services)]

    def facts(self, query: Query) -> list[HostFacts]:
        """The machines of a query as they say of themselves."""
        with self._lock:
            facts = [host.facts for host in self._chosen(query)]
        return [one for one in facts if one is not None]

    def health(self, query: Query) -> list[Health]:
        """The newest word of the machines of a query; of several machines the sum."""
        with self._lock:
            chosen = self._chosen(query)
            told = [(host.state.name, one) for host in chosen for one in host.health]
            odd = sum(host.odd_times for host in chosen)
        out = [one for _, one in told] if len(chosen) == 1 else _together(told)
        if odd:
            out.append(Health("store", State.RUNNING, degraded={"impossible time": odd}))
        return out

    def span(self, query: Query) -> Span:
        """What is held of the machines of a query."""
        with self._lock:
            chosen = self._chosen(query)
            events = sum(host.state.events for host in chosen)
            start = min((host.state.first_ns for host in chosen if host.state.first_ns), default=0)
            return Span(start, max((host.end_ns for host in chosen), default=0), events)

    def kinds(self, query: Query) -> frozenset[int]:
        """The kinds of which the machines of a query have sent events."""
        with self._lock:
            kinds = 0
            for host in self._chosen(query):
                kinds |= host.kinds
        return frozenset(bit for bit in range(64) if kinds >> bit & 1)

    def _chosen(self, query: Query) -> list[_Host]:
        of = self._by_name
        if query.hosts:
            of = [self._hosts[name] for name in sorted(set(query.hosts)) if name in self._hosts]
        for term in query.where.about(OF_MACHINES):
            names = [host.state.name if term.key is Key.HOST else host.state.service for host in of]
            found = LinearSearch().matching(term.source, names).tolist()
            of = [host for host, hit in zip(of, found, strict=True) if hit is not term.negated]
        return [host for host in of if query.service is None or host.state.service == query.service]


def _problem(health: Sequence[Health]) -> str:
    return next((f"{one.name}: {one.message}" for one in health if one.state is State.FAILED), "")


def _together(told: list[tuple[str, Health]]) -> list[Health]:
    """One word for each collector of many machines: the worst state, and the sums."""
    out: dict[str, Health] = {}
    for host, one in told:
        before = out.get(one.name)
        message = f"{host}: {one.message}" if one.message else ""
        if before is None:
            out[one.name] = replace(one, message=message, lag_ns=None, memory_bytes=None)
            continue
        worst = min((before, replace(one, message=message)), key=lambda each: _TROUBLE.index(each.state))
        out[one.name] = replace(
            before,
            state=worst.state,
            message=worst.message or before.message,
            delivered=before.delivered + one.delivered,
            lost=_added(before.lost, one.lost),
            degraded=_added(before.degraded, one.degraded),
            cpu_ns=_sum(before.cpu_ns, one.cpu_ns),
            bpf_ns=_sum(before.bpf_ns, one.bpf_ns),
        )
    return list(out.values())


def _added(one: object, other: object) -> dict[str, int]:
    a, b = dict(one), dict(other)  # type: ignore[call-overload]  # mappings
    return {cause: a.get(cause, 0) + b.get(cause, 0) for cause in (*a, *(c for c in b if c not in a))}


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
