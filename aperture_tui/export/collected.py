"""What was collected, and over what time: it tells "nothing happened" from "nobody looked"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from aperture_tui.profile.health import State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aperture_tui.profile.health import Health
    from aperture_tui.store.base import Span, Store

TIMED: Final = (Kind.SYSCALL, Kind.LOCK, Kind.OFFCPU)
"""The kinds whose time is not on the CPU, in the order of a report."""
GPU: Final = (Kind.GPU_KERNEL, Kind.GPU_COPY, Kind.GPU_CALL)
"""Those of GPUs, likewise; `gpu` is the name of all of them together."""


def default_measure(kind: Kind) -> Measure:
    """Samples are counted, and calls to GPUs, which are not all timed; of everything else the time matters."""
    return Measure.COUNT if kind in (Kind.CPU, Kind.GPU_CALL) else Measure.TIME


def collected(store: Store) -> tuple[Kind, ...]:
    """The kinds that were collected, whether there was anything of them or not, CPU first.

    A collector says so itself, while it runs and once it has delivered something; where none has reported, as in a
    store that was filled by something else, the events that are there say it.
    """
    told = {health.name: health for health in store.health()}
    held = store.kinds()
    out = []
    for kind in (Kind.CPU, *TIMED, *GPU):
        health = told.get(kind_name(kind))
        seen = health is not None and (health.state is State.RUNNING or health.delivered > 0)
        if seen or kind in held:
            out.append(kind)
    return tuple(out)


def uncollected(store: Store, kind: Kind) -> bool:
    """Whether it is known that nobody collected such events."""
    return not untold(store.span(), store.health()) and kind not in collected(store)


def untold(span: Span, health: Iterable[Health]) -> bool:
    """Whether a recording was cut short before its collectors said a word: what they looked for is unknown."""
    return span.cut_short and not any(one.name in KINDS for one in health)


def unknown_because(store: Store, kind: Kind) -> str:
    """Why it is not known whether there was anything of a kind, in words; "" where its collector looked."""
    told = {health.name: health for health in store.health()}
    health = told.get(kind_name(kind))
    if health is None:
        return "its collector has not reported"
    if health.state is State.FAILED:
        return health.message or "its collector failed"
    if kind in GPU and not health.delivered and health.message:
        return health.message
    return "its collector was still starting" if health.state is State.STARTING else ""


def kind_name(kind: Kind) -> str:
    """As on command lines, in JSON and in the Health of its collector."""
    return kind.name.lower()


KINDS: Final = {kind_name(kind): kind for kind in Kind}
"""By their names."""
IMPORT: Final = "import"
"""The name of Health of a file of another tool; its message says what that is."""
_FILES: Final = ("recording", IMPORT, "store")
"""The names of Health that are of all kinds: what could not be read, and what is not held any more."""
_FILTER: Final = "filter"
"""With this begin the names of Health of filters."""


class Loss(NamedTuple):
    """What answers of some kinds lack. counts: by cause, each more than 0."""

    source: str
    message: str
    counts: Mapping[str, int]


def losses_of(store: Store, kinds: Iterable[Kind]) -> list[Loss]:
    """What is said of these kinds' collectors, of filters and of the files, where there is anything to say."""
    names = {*_FILES, *map(kind_name, kinds)}
    out = [
        _filtered(one) if is_filter(one) else _loss(one)
        for one in store.health()
        if one.name in names or is_filter(one)
    ]
    out = [one for one in out if one.message or one.counts]
    span = store.span()
    if span.dropped_events:
        out.append(Loss("store", "", {f"oldest events left out ({span.limit or 'age'})": span.dropped_events}))
    return out


def is_filter(health: Health) -> bool:
    """Whether it is the word of a filter, or of all of them, now or when it was recorded."""
    return health.name.startswith(_FILTER)


def _loss(health: Health) -> Loss:
    return Loss(health.name, health.message, {c: n for c, n in health.lost.items() if n})


def _filtered(health: Health) -> Loss:
    """Of filters one says which, and what passed unjudged, too: it may be what should have been hidden."""
    loss = _loss(replace(health, lost={**health.lost, **health.degraded}))
    return loss._replace(message=f"{health.name}: {health.message}" if health.message or loss.counts else "")


def of_kind(query: Query, kind: Kind) -> Query:
    """The same selection of another kind's events, in its measure. Names and values mean something in one kind only."""
    if kind is query.kind:
        return query
    return replace(query, kind=kind, name=None, value=None, measure=default_measure(kind))


def process_key(pid: int, start_ns: int, name: str) -> tuple[int, int, str]:
    """What tells a process apart: of several machines together there are no numbers, and it is the name."""
    return pid, start_ns, "" if pid else name


def of_process(query: Query, pid: int, start_ns: int, name: str) -> Query:
    """The same selection of one process, or of all of its name where there are no numbers."""
    if not pid:
        return replace(query, process=name)
    return replace(query, pids=(pid,), process_start_ns=start_ns)


class Ranged(Protocol):
    """A store that knows without its readings what time was looked at."""

    def looked_at(self) -> tuple[int, int]:
        """Start and end of all that is known of, Unix nanoseconds; equal where nothing is."""
        ...


def time_range(store: Store, query: Query) -> tuple[int, int]:
    """Start and end of the part of the query's range that was looked at, Unix nanoseconds; equal where nothing was.

    An event of calls or waits bears the end of its interval, so the first one lies about a second behind the
    beginning: readings of the host, which are taken from the start on, say more.
    """
    span = store.span()
    if hasattr(store, "looked_at"):
        start, end = cast("Ranged", store).looked_at()
        start, end = max(start, query.start_ns or 0), end if query.end_ns is None else min(end, query.end_ns)
        return start, max(start, end)
    times = [sample.time_ns for sample in store.gauges(replace(query, start_ns=None, end_ns=None))]
    times += [span.start_ns, span.end_ns] if span.events else []
    if not times:
        return 0, 0
    start = max(min(times), span.dropped_until_ns, query.start_ns or 0)
    end = max(times)
    return start, max(start, end if query.end_ns is None else min(end, query.end_ns))


__all__ = [
    "GPU",
    "IMPORT",
    "KINDS",
    "TIMED",
    "Loss",
    "collected",
    "default_measure",
    "kind_name",
    "losses_of",
    "of_kind",
    "of_process",
    "process_key",
    "time_range",
    "uncollected",
    "unknown_because",
    "untold",
]
