"""What the aggregator asks of the place where it keeps things; store/clickhouse has it. Calls may block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.fleet.aggregator.sequence import Key
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Estimate, Span, Timeline
    from aperture_tui.store.clickhouse.store import Found
    from aperture_tui.store.fleet_base import BatchFacts, HostState
    from aperture_tui.store.push import Push


class AskedStore(Protocol):
    """The answers of one tenant's store, each with how exact it is. Raises what a Store does, and StorageError."""

    watch: Callable[[float], None]

    def found(self, queries: Sequence[Query], alike: Sequence[str], nodes: int = 0) -> Found:
        """The rows of each query; nodes: of call trees so many nodes at most, about."""
        ...

    def timeline_found(self, query: Query, buckets: int) -> tuple[Timeline, Estimate]:
        """A Store's timeline."""
        ...

    def span(self, query: Query | None = None) -> Span:
        """As of a Store; of the machines of a query alone, if it is given."""
        ...

    def kinds(self, query: Query | None = None) -> frozenset[int]:
        """As of a Store; of the machines of a query alone, if it is given."""
        ...

    def health(self, query: Query | None = None) -> list[Health]:
        """As of a Store; of the machines of a query alone, if it is given."""
        ...

    def tags(self) -> tuple[str, ...]:
        """As of a Store."""
        ...

    def newest_ns(self, query: Query) -> int:
        """The end of what is known of the machines of a query."""
        ...

    def hosts(self, query: Query | None = None) -> list[HostFacts]:
        """As of a Store; of the machines of a query alone, if it is given."""
        ...

    def gauges(self, query: Query) -> list[HostSample]:
        """As of a Store, if the query is about one machine; else none."""
        ...


class TenantStorage(Protocol):
    """Where the pushes of one tenant are kept. Any method may raise StorageError: trying again later may help."""

    @property
    def name(self) -> str:
        """The tenant's."""
        ...

    @property
    def store(self) -> AskedStore:
        """Answers about what is kept."""
        ...

    def stored(self) -> dict[Key, int]:
        """The highest seq that is kept of each agent's boot."""
        ...

    def unknown(self, service: str, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Those stacks among these, (n,), of which nothing is known: (m,)."""
        ...

    def insert(self, token: str, pushes: Sequence[Push], stored_ns: int, again: bool = False) -> None:
        """Keep all of them. The same with the same token is kept once, also if it was kept in part before.

        again: by a former process, perhaps.
        What it raises but StorageError it raises before it has kept anything.
        """
        ...

    def hosts(self) -> list[HostState]:
        """All agents."""
        ...

    def batches(self, query: Query, limit: int) -> list[BatchFacts]:
        """The newest pushes of the query's hosts, service and range."""
        ...


class Storage(Protocol):
    """Where the pushes of all tenants are kept."""

    def tenant(self, name: str) -> TenantStorage:
        """That of one, made if need be; always the same object. Raises StorageError."""
        ...

    def ping(self) -> None:
        """Raises StorageError if it cannot be reached."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
