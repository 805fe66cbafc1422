from __future__ import annotations

from collections.abc import Sequence

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.tui.model import Wall
from aperture_tui.tui.wall_time import wall
from tests.tui.waiting import OFFCPU, PIDS, RUNNING, SECOND, START_NS, filled

QUERY = Query(Kind.OFFCPU, start_ns=START_NS, end_ns=START_NS + 12 * SECOND)
OF_POSTGRES = Query(Kind.OFFCPU, start_ns=START_NS, end_ns=START_NS + 12 * SECOND, pids=(PIDS["postgres"],))


def _wall(query: Query = QUERY, health: Sequence[Health] = RUNNING, cpu: int = 80, loads: bool = True) -> Wall | None:
    store = filled(OFFCPU if loads else (), cpu=cpu)
    return wall(query, store.latencies(Query(Kind.OFFCPU, pids=query.pids, measure=Measure.TIME)), store, health)


def test_the_parts_are_all_that_was_measured() -> None:
    found = _wall()
    assert found is not None
    times = {part.name: part.time_ns for part in found.parts}
    store = filled(OFFCPU)
    assert times.pop("on-CPU") == sum(use.time_ns for use in store.processes(Query()))
    assert times == {
        one: sum(x.time_ns for x in store.latencies(Query(Kind.OFFCPU, name=one)))
        for one in ("epoll_wait", "recvfrom", "runnable", "futex", "read (disk)", "page fault")
    }
    assert found.threads_ns is None, "of a whole machine"


def test_of_one_process_the_time_of_its_threads_is_known() -> None:
    found = _wall(OF_POSTGRES)
    assert found is not None
    assert {part.name for part in found.parts} == {"on-CPU", "futex", "read (disk)", "runnable"}
    assert found.threads_ns == 4 * 12 * SECOND


def test_time_on_the_cpu_is_only_told_where_it_is_known() -> None:
    def names(found: Wall | None) -> set[str]:
        assert found is not None
        return {part.name for part in found.parts}

    failed = (Health("cpu", State.FAILED), *RUNNING[1:])
    assert "on-CPU" in names(_wall(cpu=0)), "it runs, and there was none"
    assert "on-CPU" in names(_wall(health=())), "a recording"
    assert "on-CPU" not in names(_wall(cpu=0, health=RUNNING[1:]))
    assert "on-CPU" not in names(_wall(health=failed)), "only of the time until it failed"


def test_without_a_wait_nothing_is_known() -> None:
    assert _wall(loads=False) is None
