"""What the time of threads passed with: on a CPU, waiting for one, blocked in what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.tui.attached import health_of
from aperture_tui.tui.model import Wall, WallPart
from aperture_tui.tui.widgets.wall import ON_CPU

if TYPE_CHECKING:
    from aperture_tui.profile.latency import Latency
    from aperture_tui.store.base import Store


def wall(query: Query, waits: Sequence[Latency], store: Store, health: Sequence[Health]) -> Wall | None:
    """The parts, most time first; None while nothing is known. waits: of the query, as Store.latencies has them.

    A wait counts whole in the range in which it ends, so the parts may be more than the time that has passed. The
    time of all threads is given for one process alone: of a whole machine's, many are too short-lived to multiply.
    """
    times: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in waits:
        times[one.name] += one.time_ns
        counts[one.name] += one.count
    parts = [WallPart(name, ns, counts[name]) for name, ns in times.most_common()]
    by_time = replace(query, measure=Measure.TIME)
    ran = store.processes(replace(by_time, kind=Kind.CPU))
    cpu = health_of(Kind.CPU, health)
    state = cpu.state if cpu is not None else State.STOPPED
    if state is State.RUNNING or (ran and state is not State.FAILED):
        parts.insert(0, WallPart(ON_CPU, sum(use.time_ns for use in ran), sum(use.count for use in ran)))
    if not waits:
        return None
    waited = store.processes(by_time) if query.pids else []
    threads = max((use.threads for use in (*ran, *waited)), default=0) if query.pids else 0
    range_ns = (query.end_ns or 0) - (query.start_ns or 0)
    return Wall(tuple(parts), threads * range_ns or None)
