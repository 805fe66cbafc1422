"""The Store: the only thing that the screens, the exporters and the command line ask questions of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.host import HostFacts, HostSample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query


@dataclass(frozen=True, slots=True)
class Span:
    """What a Store holds. start_ns, end_ns: Unix nanoseconds, half-open; both 0 while it holds nothing.

    dropped_events, dropped_until_ns: what was let go to stay within the limits. limit: the limit that was met, in
    words ("15 min", "64 MB"), or "".
    """

    start_ns: int = 0
    end_ns: int = 0
    events: int = 0
    bytes: int = 0
    dropped_events: int = 0
    dropped_until_ns: int = 0
    limit: str = ""


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process in the range of a query. count: events. time_ns: their durations, of CPU samples the time on CPU.

    completeness: how many of the counted events have a whole user stack.
    """

    pid: int
    start_ns: int
    name: str
    cgroup: str
    container: str
    threads: int
    count: int
    time_ns: int
    completeness: Completeness


@dataclass(frozen=True)
class Timeline:
    """Weight per bucket: weights is (n,) int64 in the query's measure; bucket i starts at start_ns + i * bucket_ns."""

    start_ns: int
    bucket_ns: int
    weights: NDArray[np.int64]


class Store(Protocol):
    """Answers queries; every method may be called from any thread, and answers are immutable.

    A query for a range that is not held is answered for the part that is. Raises re.error for a query whose `frame`
    is not a regular expression.
    """

    def span(self) -> Span:
        """What is held now."""
        ...

    def hosts(self) -> list[HostFacts]:
        """The machines that the data comes from."""
        ...

    def health(self) -> list[Health]:
        """The newest word of every collector, filter and sink."""
        ...

    def gauges(self, query: Query) -> list[HostSample]:
        """Readings of the host in the query's range, oldest first."""
        ...

    def processes(self, query: Query) -> list[ProcessUse]:
        """Processes with events in the query, most first (by the query's measure)."""
        ...

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """The query's range, or what is held of it, in this many equal buckets."""
        ...

    def call_tree(self, query: Query) -> CallTree:
        """The stacks of the query with their weights."""
        ...

    def completeness(self, query: Query) -> Completeness:
        """How many of the query's events have a whole user stack; counted by their weights, whatever the measure."""
        ...

    def latencies(self, query: Query) -> list[Latency]:
        """Calls or waits by process, name and value (and by thread where `query.threads`), most first by the measure.

        Of Role.IN_FLIGHT: what was in flight at the end of the range, as far as the newest word of that is.
        """
        ...

    def diff(self, base: Query, after: Query) -> CallTree:
        """Weights of `after` less those of `base`."""
        ...


__all__ = ["Completeness", "HostFacts", "HostSample", "ProcessUse", "Span", "Store", "Timeline"]
