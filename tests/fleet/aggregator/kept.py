"""A storage in memory, for tests of what comes before it: it can be slow, fail, and be looked into."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.fleet.aggregator.sequence import Key
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.query import Query
from aperture_tui.store.base import Estimate, Span, Timeline
from aperture_tui.store.clickhouse.store import Found
from aperture_tui.store.fleet_base import BatchFacts, HostState
from aperture_tui.store.memory import MemoryStore
from aperture_tui.store.push import Push


class KeptStore(MemoryStore):
    """Answers of a store in memory, of whatever machines. before: called in the asking thread before each."""

    def __init__(self) -> None:
        super().__init__(recorded=True)
        self.before: Callable[[], object] = lambda: None
        self.estimate = Estimate()

    def found(self, queries: Sequence[Query], alike: Sequence[str], nodes: int = 0) -> Found:
        self.before()
        return Found(self.rows(queries, alike), self.estimate)

    def timeline_found(self, query: Query, buckets: int) -> tuple[Timeline, Estimate]:
        self.before()
        return self.timeline(query, buckets), self.estimate

    def span(self, query: Query | None = None) -> Span:
        return super().span()

    def kinds(self, query: Query | None = None) -> frozenset[int]:
        return super().kinds()

    def hosts(self, query: Query | None = None) -> list[HostFacts]:
        return super().hosts()

    def health(self, query: Query | None = None) -> list[Health]:
        return super().health()

    def newest_ns(self, query: Query | None = None) -> int:
        return super().newest_ns()


class KeptTenant:
    """Pushes in a list, each token once. before, after: called by each insert, and what they raise is raised."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.store = KeptStore()
        self.tokens: list[str] = []
        self.pushes: list[Push] = []
        self.calls = 0
        self.known: set[int] = set()
        self.before: Callable[[Sequence[Push]], object] = lambda pushes: None
        self.after: Callable[[], object] = lambda: None
        self.asked = 0
        self._lock = threading.Lock()

    def stored(self) -> dict[Key, int]:
        self.asked += 1
        out: dict[Key, int] = {}
        for push in self.pushes:
            key = push.head.agent, push.head.boot
            out[key] = max(push.head.seq, out.get(key, 0))
        return out

    def unknown(self, service: str, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return hashes[[value not in self.known for value in hashes.tolist()]]

    def insert(self, token: str, pushes: Sequence[Push], stored_ns: int, again: bool = False) -> None:
        with self._lock:  # one at a time: a second one would fail
            self.calls += 1
            self.before(pushes)
            if token not in self.tokens:
                self.tokens.append(token)
                self.pushes += pushes
                self.known.update(int(value) for push in pushes for value in push.hashes)
            self.after()

    def hosts(self) -> list[HostState]:
        return [_host(push) for push in self.pushes]

    def batches(self, query: Query, limit: int) -> list[BatchFacts]:
        heads = [push.head for push in self.pushes][:limit]
        return [BatchFacts(head.agent, head.service, head.boot, head.seq, 0, 0, 0, 0, head.lost) for head in heads]

    def seqs(self, agent: str = "web-1") -> list[int]:
        """What is kept of an agent, in its order."""
        return [push.head.seq for push in self.pushes if push.head.agent == agent]


def _host(push: Push) -> HostState:
    times = push.events["time_ns"]
    first, newest = (int(times.min()), int(times.max()) + 1) if len(times) else (0, 0)
    return HostState(push.head.agent, push.head.service, first_ns=first, newest_ns=newest, seen_ns=newest)


class Kept:
    """All tenants. before: called when one is opened, and by a ping."""

    def __init__(self) -> None:
        self.tenants: dict[str, KeptTenant] = {}
        self.before: Callable[[], object] = lambda: None
        self.opened = 0

    def __getitem__(self, name: str) -> KeptTenant:
        return self.tenants.setdefault(name, KeptTenant(name))

    def tenant(self, name: str) -> KeptTenant:
        self.opened += 1
        self.before()
        return self[name]

    def ping(self) -> None:
        self.before()

    def close(self) -> None:
        pass
