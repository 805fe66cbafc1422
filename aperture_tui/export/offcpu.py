"""Off-CPU time in plain text: the wall clock of processes, and the call tree of what they were blocked in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from aperture_tui.export.calls import NOTE
from aperture_tui.export.collected import collected, of_kind, process_key
from aperture_tui.export.names import amount_ns, number
from aperture_tui.export.stacks import branches
from aperture_tui.export.table import Column, table, wrapped
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse, Store

RUNNABLE: Final = "runnable"
"""The name of the time that a thread waited for a CPU."""
PROCESSES: Final = 10
_REASONS: Final = 5


@dataclass(slots=True)
class _Wall:
    """The time of a process's threads. on_cpu_ns: None is unknown. blocked: reason -> ns."""

    use: ProcessUse
    on_cpu_ns: int | None
    runnable_ns: int = 0
    blocked: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def blocked_ns(self) -> int:
        return sum(self.blocked.values())


def section(store: Store, query: Query, width: int) -> list[str]:
    """Totals, the busiest processes' wall clock, and where they were blocked; [] where there is nothing."""
    told = store.latencies(query)
    if not told:
        return []
    runnable = [one for one in told if one.name == RUNNABLE]
    blocked = [one for one in told if one.name != RUNNABLE]
    lines = wrapped(f"Off-CPU: blocked {_sum(blocked)}; runnable, but without a CPU {_sum(runnable)}", width)
    walls = _walls(store, query, told)
    heading, *rows = table(_columns(walls[:PROCESSES]), width)
    lines.append(heading)
    for wall, row in zip(walls[:PROCESSES], rows, strict=True):
        lines += [row, *wrapped(_reasons(wall.blocked), width, NOTE)]
    if len(walls) > PROCESSES:
        lines.append(f"and {len(walls) - PROCESSES:,} more processes")
    tree = blocked_tree(store, query)
    what = "blocked time" if query.measure is Measure.TIME else "waits"
    return [*lines, "", *branches(tree, f"call tree by {what}")] if tree.weight else lines


def blocked_tree(store: Store, query: Query) -> CallTree:
    """The stacks of the query without the time that they waited for a CPU."""
    if query.name in (None, RUNNABLE):
        return store.diff(replace(query, name=RUNNABLE), query)
    return store.call_tree(query)


def _walls(store: Store, query: Query, told: Sequence[Latency]) -> list[_Wall]:
    """The processes with off-CPU time: by the time that they ran or would have run, then by that they were blocked."""
    running = of_kind(query, Kind.CPU)
    on_cpu = {process_key(use.pid, use.start_ns, use.name): use.time_ns for use in store.processes(running)}
    nothing = 0 if Kind.CPU in collected(store) else None
    walls = {
        (key := process_key(use.pid, use.start_ns, use.name)): _Wall(use, on_cpu.get(key, nothing))
        for use in store.processes(query)
    }
    for one in told:
        wall = walls.get(process_key(one.pid, one.start_ns, one.process))
        if wall is None:  # of a live store: it began or was let go between the questions
            continue
        if one.name == RUNNABLE:
            wall.runnable_ns += one.time_ns
        else:
            wall.blocked[one.name or "[unknown]"] += one.time_ns
    return sorted(walls.values(), key=lambda wall: (-(wall.on_cpu_ns or 0) - wall.runnable_ns, -wall.blocked_ns))


def _columns(walls: Sequence[_Wall]) -> list[Column]:
    return [
        Column("on CPU", [_on_cpu(wall.on_cpu_ns) for wall in walls]),
        Column("runnable", [amount_ns(wall.runnable_ns) for wall in walls]),
        Column("blocked", [amount_ns(wall.blocked_ns) for wall in walls]),
        Column("threads", [f"{wall.use.threads:,}" for wall in walls], 1),
        Column("pid", [number(wall.use.pid) for wall in walls]),
        Column("process", [wall.use.name or "[unknown]" for wall in walls], left=True),
    ]


def _on_cpu(time_ns: int | None) -> str:
    """Time that is known from samples: where none was taken, it is short, but not nothing."""
    return "?" if time_ns is None else amount_ns(time_ns) if time_ns else "unseen"


def _reasons(blocked: Mapping[str, int]) -> str:
    ordered = sorted(blocked.items(), key=lambda item: (-item[1], item[0]))
    words = ", ".join(f"{name} {amount_ns(ns)}" for name, ns in ordered[:_REASONS])
    return f"{words} and {len(ordered) - _REASONS:,} more reasons" if len(ordered) > _REASONS else words


def _sum(told: Sequence[Latency]) -> str:
    return f"{amount_ns(sum(one.time_ns for one in told))} in {sum(one.count for one in told):,} waits"


__all__ = ["RUNNABLE", "blocked_tree", "section"]
