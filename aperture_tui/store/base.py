"""The Store: the only thing that the screens, the exporters and the command line ask questions of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.host import HostFacts, HostSample

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols

CUT_SHORT: Final = "was cut short, or is still being written"
"""Said of a recording."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a Store holds. start_ns, end_ns: Unix nanoseconds, half-open; both 0 while it holds nothing.

    dropped_events, dropped_until_ns: what was let go to stay within the limits. limit: the limit that was met, in
    words ("15 min", "64 MB"), or "".

    cut_short: that a recording was not closed in order, as on a full disk, or is still being written: what would have
    come next is unknown.
    """

    start_ns: int = 0
    end_ns: int = 0
    events: int = 0
    bytes: int = 0
    dropped_events: int = 0
    dropped_until_ns: int = 0
    limit: str = ""
    cut_short: bool = False


class ProcessUse(NamedTuple):
    """One process in the range of a query. count: events, of off-CPU time waits. time_ns: their durations, of CPU
    samples the time on CPU, of off-CPU time that it was blocked.

    threads: how many different ones; 0 where events are not told apart by thread.
    completeness: how many of the counted events have a whole user stack.
    """

    pid: int
    start_ns: int
    name: str
    cgroup: str
    container: str
    threads: int
    count: int  # type: ignore[assignment]  # a tuple's method of this name is of no use here
    time_ns: int
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class Estimate:
    """How exact an answer is. sampled: 1 if it is; n if one of n events was looked at, and all are scaled to n times.

    events: rows that were looked at. share_error: half of the 95 % interval of a share of one half, 0 to 1; that of a
    share p is smaller, by 2 * sqrt(p * (1 - p)). missing_ns: how much of the range is no longer kept in such detail.
    """

    sampled: int = 1
    events: int = 0
    share_error: float = 0.0
    missing_ns: int = 0

    def worse(self, other: Estimate) -> Estimate:
        """How exact both together are: as the less exact one, and without what either is."""
        least = max(self, other, key=lambda one: (one.share_error, one.sampled))
        return replace(least, missing_ns=max(self.missing_ns, other.missing_ns))


@dataclass(frozen=True)
class Timeline:
    """Weight per bucket: weights is (n,) int64 in the query's measure; bucket i starts at start_ns + i * bucket_ns."""

    start_ns: int
    bucket_ns: int
    weights: NDArray[np.int64]


class Store(Protocol):
    """Answers queries; every method may be called from any thread, and answers are immutable.

    A query for a range that is not held is answered for the part that is. Raises re.error for a query whose `frame`
    is not a regular expression, and compaction.TooManyError for a range of which more is needed than can be held.

    watch: told how much of what an answer needs has been read, 0 to 1, by stores that read for one. What it raises ends
    that answer.

    note: told, in the thread that asks, how exact an answer is that was found by looking at a part of the events.

    Of Role.IN_FLIGHT everything but a timeline tells what was in flight at the end of the range, or of what is held:
    the newest word of the kind, whatever else narrows the query, if it is no older than two seconds.
    """

    watch: Callable[[float], None]
    note: Callable[[Estimate], None]

    def span(self) -> Span:
        """What is held now."""
        ...

    def kinds(self) -> frozenset[int]:
        """The kinds of which events are held, in whatever role: numbers of profile.kinds.Kind, or of newer ones."""
        ...

    def tags(self) -> tuple[str, ...]:
        """The names of the tags that its events may have, sorted."""
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
        """The stacks of the query with their weights.

        By Group.THREAD each has a frame of FrameKind.THREAD below its process's, "NAME TID" as far as these are known,
        "?" if neither is. By Group.TAG each, one without frames too, begins with a frame of FrameKind.TAG: "tag: NAME,
        NAME" or "untagged". By Group.CGROUP and CONTAINER it is "cgroup: PATH" or "no cgroup known". Such trees
        differ from all others: they cannot be merged with them.
        """
        ...

    def completeness(self, query: Query) -> Completeness:
        """How many of the query's events have a whole user stack; counted by their weights, whatever the measure."""
        ...

    def latencies(self, query: Query) -> list[Latency]:
        """Calls or waits by process, name and value, and by thread with Group.THREAD; most first by the measure."""
        ...

    def selected(self, query: Query) -> tuple[Symbols, NDArray[np.void]]:
        """The events themselves, (n,) of profile.event.EVENT, in no particular order; their tags are rows of
        Symbols.tag_sets.

        Of a range with very many of them alike ones are one, (n,) of compaction.COMPACT.
        """
        ...

    def compared(self, base: Query, after: Query) -> tuple[CallTree, CallTree]:
        """The call trees of both, over one trie. Raises ValueError unless they are by the same group."""
        ...

    def diff(self, base: Query, after: Query) -> CallTree:
        """Weights of `after` less those of `base`. Raises ValueError unless they are by the same group."""
        ...


__all__ = ["Completeness", "Estimate", "HostFacts", "HostSample", "ProcessUse", "Span", "Store", "Timeline"]
