"""A report in plain text: what `aperture-top --once` prints. No colours, no lines wider than asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui import __version__
from aperture_tui.export import gpu_work, locks, offcpu, stacks, syscalls
from aperture_tui.export.collected import kind_name, of_kind, time_range, unknown_because
from aperture_tui.export.left_out import left_out
from aperture_tui.export.names import COUNTED, amount_bytes, amount_ns, number, time_utc, whole_share
from aperture_tui.export.stacks import percent
from aperture_tui.export.table import fitted, wrapped
from aperture_tui.profile.health import State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.completeness import Completeness
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostSample
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse, Store

PROCESSES: Final = 10
HOSTS: Final = 4
_LABEL: Final = 11  # width of the labels of the header
_WIDE: Final = 90  # from this width on the processes have a column for their stacks
_SECTIONS: Final = {
    Kind.SYSCALL: ("Syscalls", syscalls.section),
    Kind.LOCK: ("Locks", locks.section),
    Kind.OFFCPU: ("Off-CPU", offcpu.section),
    Kind.GPU_KERNEL: ("GPU kernels", gpu_work.kernels),
    Kind.GPU_COPY: ("GPU copies", gpu_work.copies),
    Kind.GPU_CALL: ("GPU calls", gpu_work.calls),
}
_LAUNCHED: Final = (Kind.GPU_KERNEL, Kind.GPU_COPY)
_MAYBE_WITHOUT: Final = (Kind.SYSCALL, Kind.GPU_KERNEL, Kind.GPU_COPY, Kind.GPU_CALL)


def text(store: Store, query: Query, width: int = 80, kinds: Sequence[Kind] = ()) -> str:
    """A header, and a section for each kind, that of the query alone by default, in lines of at most `width` cells.

    CPU samples, and kinds without a section of their own: processes, functions and call tree. Raises re.error.
    """
    lines = _header(store, query)
    trees: dict[Kind, CallTree] = {}
    for kind in kinds or (query.kind,):
        if kind not in _SECTIONS:
            trees[kind] = store.call_tree(of_kind(query, kind))
            lines += _weight(trees[kind], of_kind(query, kind))
        lines += _stacks(store, of_kind(query, kind))
        if words := left_out(store, of_kind(query, kind)):
            lines.append(_labelled("filter", words))
    lines += _costs(store, query)
    # losses and reasons are never cut off
    out = [part for line in lines for part in wrapped(line, width, further=_LABEL)]
    for kind in kinds or (query.kind,):
        asked = of_kind(query, kind)
        out += ["", *(_samples(store, asked, trees[kind], width) if kind in trees else _section(store, asked, width))]
    return "".join(f"{fitted(line, width)}\n" for line in out)


def _samples(store: Store, query: Query, tree: CallTree, width: int) -> Iterator[str]:
    if not tree.weight:
        yield f"No {COUNTED[query.kind]} in this range."
        return
    yield from _processes(store.processes(query), query, tree.weight, width)
    yield ""
    yield from stacks.functions(tree)
    yield ""
    yield from stacks.branches(tree)


def _section(store: Store, query: Query, width: int) -> list[str]:
    """A kind's own section; a line in its stead where there is nothing, which says so only where somebody looked."""
    title, section = _SECTIONS[query.kind]
    if lines := section(store, query, width):
        return lines
    if why := unknown_because(store, query.kind):
        return wrapped(f"{title}: unknown, {why}", width)
    return [f"{title}: no {COUNTED[query.kind]} in this range."]


def _header(store: Store, query: Query) -> list[str]:
    hosts = store.hosts()
    names = [f"{h.name}, Linux {h.kernel}, {h.cpus} CPUs, {amount_bytes(h.memory_bytes)}" for h in hosts[:HOSTS]]
    names += [f"and {len(hosts) - HOSTS:,} more"] if len(hosts) > HOSTS else []
    start, end = time_range(store, query)
    held = f"{time_utc(start)}, for {amount_ns(end - start)}" if end > start else "nothing held"
    host = "; ".join(names) or "unknown"
    return [f"aperture {__version__}", _labelled("host", host), _labelled("range", held)]


def _weight(tree: CallTree, query: Query) -> Iterator[str]:
    amount = amount_ns(tree.weight) if query.measure is Measure.TIME else f"{tree.weight:,} {COUNTED[query.kind]}"
    yield _labelled(kind_name(query.kind), amount)


def _stacks(store: Store, query: Query) -> Iterator[str]:
    told = store.completeness(query)
    kind, counted = kind_name(query.kind), COUNTED[query.kind]
    if query.kind in _LAUNCHED and told.weight:
        yield _labelled("launched", f"{kind}: {_launches(told)} of {told.weight:,} {counted}")
    if query.kind in _MAYBE_WITHOUT and not told.known:
        return  # most have no stack by intention
    if words := _completeness(told, counted):
        yield _labelled("stacks", words if query.kind is Kind.CPU else f"{kind}: {words}")


def _launches(told: Completeness) -> str:
    """How it is known where in the program it was."""
    parts = {"estimated by samples": told.estimated, "unknown": told.missing}
    parts = {"exact": told.weight - told.estimated - told.missing, **parts}
    return ", ".join(f"{_share(n, told.weight)} {words}" for words, n in parts.items())


def _costs(store: Store, query: Query) -> Iterator[str]:
    """What it cost, and what is missing."""
    span = store.span()
    if gauges := store.gauges(query):
        yield _labelled("own cost", _own_cost(gauges))
    if span.dropped_events:
        yield _labelled("let go", f"{span.dropped_events:,} older events (limit: {span.limit or 'age'})")
    yield from _losses(store.health())


def _completeness(told: Completeness, counted: str) -> str:
    """How many stacks are whole, why the others are not, and what is not known; "" where there are no events."""
    if not told.known:
        return f"whole or not: unknown of {told.unknown:,} {counted}" if told.unknown else ""
    parts = [f"{whole_share(told)} whole of {told.known:,} {counted}"]
    if told.stops:
        parts.append("not whole: " + ", ".join(f"{_share(n, told.known)} {why}" for why, n in told.reasons))
    if told.guessed:
        parts.append(f"{_share(told.guessed, told.known)} with callers found by the frame pointer alone")
    if told.unknown:
        parts.append(f"unknown of {told.unknown:,} more")
    return "; ".join(parts)


def _own_cost(gauges: list[HostSample]) -> str:
    """The profiler's own share over all readings, and its memory at the last."""
    shares = [g.own_cpu for g in gauges if g.own_cpu is not None]
    cpu = f"{sum(shares) / len(shares):.2%} of the machine's CPU" if shares else "CPU unknown"
    memory = gauges[-1].own_memory_bytes
    return f"{cpu}, {'memory unknown' if memory is None else amount_bytes(memory)}"


def _losses(health: list[Health]) -> Iterator[str]:
    if not health:
        yield _labelled("lost", "unknown: no collector has reported")
        return
    if not any(h.lost_total for h in health):
        yield _labelled("lost", "nothing")
    for h in health:
        yield from (_labelled("lost", f"{h.name}: {cause}: {n:,}") for cause, n in h.lost.items() if n)
        yield from (_labelled("degraded", f"{h.name}: {cause}: {n:,}") for cause, n in h.degraded.items() if n)
        if h.state is State.FAILED or h.message:
            yield _labelled(h.state.value, f"{h.name}: {h.message or 'no reason given'}")


def _labelled(label: str, value: str) -> str:
    return f"{label:<{_LABEL}}{value}"


def _processes(uses: list[ProcessUse], query: Query, weight: int, width: int) -> Iterator[str]:
    wide = width >= _WIDE
    yield f"{'%':>6} {'amount':>10} {'pid':>9} {'threads':>8}{' stacks %' if wide else ''}  process  cgroup"
    for use in uses[:PROCESSES]:
        share = use.time_ns if query.measure is Measure.TIME else use.count
        amount = amount_ns(share) if query.measure is Measure.TIME else f"{share:,}"
        where = use.container or use.cgroup or "(cgroup unknown)"
        whole = f" {whole_share(use.completeness).removesuffix(' %'):>8}" if wide else ""
        name = use.name or "[unknown]"
        yield f"{percent(share, weight)} {amount:>10} {number(use.pid):>9} {use.threads:>8}{whole}  {name}  {where}"
    if len(uses) > PROCESSES:
        yield f"{'':>6} and {len(uses) - PROCESSES:,} more processes"


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.2f} %" if percent < 0.1 else f"{percent:.1f} %"
