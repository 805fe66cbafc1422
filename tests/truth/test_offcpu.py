"""Off-CPU time against programs that know where theirs goes."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Measure, Query
from tests.collect.collecting import HZ, Kept, collecting
from tests.truth.told import events, latencies, share_with, stack_weights, started, times_of_thread

pytestmark = pytest.mark.bpf

LAST_CPU: Final = (os.cpu_count() or 1) - 1
_POINTS: Final = 0.02


def test_shares_of_sleeping_reading_and_spinning() -> None:
    """Within 2 points of what the program knows; on a machine with a CPU for it these are 30, 30 and 40 %."""
    with started("shares", 6) as program, collecting(events=("cpu", "offcpu"), pids=(program.pid,)) as kept:
        told = program.run()
    tid, wall = told["tid"], told["wall_ns"]
    times = times_of_thread(kept, tid)
    shares = {name: ns / wall for name, ns in times.items()} | {"on CPU": samples(kept, tid) / HZ * 1e9 / wall}
    true = {"clock_nanosleep": told["sleep_ns"], "read": told["read_ns"], "on CPU": told["cpu_ns"]}
    for name, ns in true.items():
        assert abs(shares[name] - ns / wall) <= _POINTS, f"{name}: {ns / wall:.1%} of {shares}"
    assert abs(sum(times.values()) / wall - (1 - told["cpu_ns"] / wall)) <= _POINTS
    if told["cpu_ns"] / wall > 0.39:
        assert abs(shares["clock_nanosleep"] - 0.3) <= _POINTS
        assert abs(shares["read"] - 0.3) <= _POINTS
        assert abs(shares["on CPU"] - 0.4) <= _POINTS
    for name, function in (("clock_nanosleep", "sleep_for"), ("read", "read_for")):
        stacks = stack_weights(kept, Query(kind=Kind.OFFCPU, tids=(tid,), name=name, measure=Measure.TIME))
        assert share_with(stacks, function) > 0.95, f"{function} is lost: {stacks.most_common(2)}"


def samples(kept: Kept, tid: int) -> int:
    """CPU samples of a thread."""
    return kept.store.call_tree(Query(tids=(tid,))).weight


def test_two_threads_on_one_cpu_each_wait_for_it_half_the_time() -> None:
    """Within 3 points; where others want that CPU as well, as much as the threads' own clocks say."""
    with (
        started("spinners", "pinned", 5, 2, LAST_CPU) as program,
        collecting(events=("offcpu",), pids=(program.pid,)) as kept,
    ):
        told = program.run()
    for thread in told["threads"]:
        wall = thread["wall_ns"]
        runnable = times_of_thread(kept, thread["tid"])["runnable"] / wall
        assert abs(runnable - (1 - thread["cpu_ns"] / wall)) <= 0.03
        if abs(thread["cpu_ns"] / wall - 0.5) <= 0.02:
            assert abs(runnable - 0.5) <= 0.03


def test_a_thread_that_moves_between_cpus_has_no_time_twice() -> None:
    with (
        started("spinners", "moving", 4, 3) as program,
        collecting(events=("cpu", "offcpu"), pids=(program.pid,)) as kept,
    ):
        told = program.run()
    for thread in told["threads"]:
        off = sum(times_of_thread(kept, thread["tid"]).values())
        wall, on = thread["wall_ns"], thread["cpu_ns"]
        assert off <= wall - on + 0.01 * wall
        assert off >= (wall - on) * 0.98 - 0.01 * wall, "some of its time is nowhere"


def test_time_so_far_of_threads_that_do_not_come_back() -> None:
    """One still blocks when the session ends; one blocked for 2 s and did not leave its CPU since."""
    with collecting(events=("offcpu",)) as kept, started("once", 2) as program:
        program.go()
        told = program.line()
        until_ns = told["spinner_began_ns"] + 2_600_000_000
        time.sleep(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
        stopping_ns = time.monotonic_ns()
    forever = times_of_thread(kept, told["forever"])
    assert abs(forever["read"] / (stopping_ns - told["forever_began_ns"]) - 1) <= 0.05, dict(forever)
    spinner = times_of_thread(kept, told["spinner"])
    assert abs(spinner["clock_nanosleep"] / 2e9 - 1) <= 0.05, dict(spinner)


def test_a_wait_that_began_before_counts_from_the_beginning_of_the_session() -> None:
    """It never counts for more than was looked at."""
    with started("once", 30) as program:
        program.go()
        told = program.line()
        time.sleep(1)
        before_ns = time.monotonic_ns()
        with collecting(events=("offcpu",), pids=(program.pid,)) as kept:
            attached_ns = time.monotonic_ns()
            time.sleep(3)
            stopping_ns = time.monotonic_ns()
        after_ns = time.monotonic_ns()
    for thread in ("forever", "spinner"):
        so_far = sum(times_of_thread(kept, told[thread]).values())
        assert so_far <= (after_ns - before_ns) * 1.01
        assert so_far >= (stopping_ns - attached_ns) * 0.95


@pytest.mark.parametrize("cpus", [(0, LAST_CPU), (LAST_CPU, LAST_CPU)], ids=["two CPUs", "one CPU"])
def test_each_of_two_threads_that_play_ping_pong_is_woken_by_the_other(cpus: tuple[int, int]) -> None:
    """On one CPU every second wake is of the same thread: what is sampled must not keep step with them."""
    with started("pingpong", 3, *cpus) as program, collecting(events=("offcpu",), pids=(program.pid,)) as kept:
        told = program.run()
    ping, pong = told["ping"]["tid"], told["pong"]["tid"]
    wakes: Counter[int] = Counter()
    for event in events(kept, Kind.OFFCPU, Role.WAKER):
        wakes[event.value] += event.weight
    sleeps = told["ping"]["sleeps"] / told["pong"]["sleeps"]
    assert 0.9 < wakes[ping] / wakes[pong] / sleeps < 1.1, f"each is woken as often as it sleeps: {wakes}, {told}"
    for woken, waker, function in ((ping, pong, "pong_turn"), (pong, ping, "ping_turn")):
        by_tid: Counter[int] = Counter()
        stacks: Counter[tuple[str, ...]] = Counter()
        for event in events(kept, Kind.OFFCPU, Role.WAKER):
            if event.value == woken:
                by_tid[event.tid] += event.weight
                stacks[event.stack] += event.weight if event.tid == waker else 0
        assert by_tid, "nobody woke it"
        assert by_tid[waker] / by_tid.total() > 0.9, by_tid.most_common(3)
        assert share_with(stacks, function) > 0.9, f"{function} is lost: {stacks.most_common(2)}"


def test_the_time_of_a_storm_of_switches_is_whole() -> None:
    """100,000 switches a second and more: whatever is sampled of their stacks, all of their time counts."""
    with (
        started("pingpong", 4, LAST_CPU, LAST_CPU) as program,
        collecting(events=("offcpu",), pids=(program.pid,)) as kept,
    ):
        told = program.run()
    rate = sum(told[name]["switches"] / told[name]["wall_ns"] * 1e9 for name in ("ping", "pong"))
    for name in ("ping", "pong"):
        thread = told[name]
        off = sum(times_of_thread(kept, thread["tid"]).values())
        true = thread["wall_ns"] - thread["cpu_ns"]
        assert abs(off / true - 1) <= 0.02, f"{off / true:.3f} of it, at {rate:.0f} switches a second"
        waits = kept.store.latencies(Query(kind=Kind.OFFCPU, tids=(thread["tid"],), name="read"))
        assert sum(one.count for one in waits) <= thread["switches"] + 1, "more waits than switches"
        stacks = stack_weights(kept, Query(kind=Kind.OFFCPU, tids=(thread["tid"],), name="read"))
        assert share_with(stacks, f"{name}_turn") > 0.9, f"{name}_turn is lost: {stacks.most_common(2)}"
    if rate < 100_000:
        pytest.skip(f"only {rate:.0f} switches a second on this machine: the time is whole, but that is no storm")


def test_waits_for_the_disk(tmp_path: Path) -> None:
    """Page faults in a file, and reads of it: both block in the kernel for the disk, unless it answers at once."""
    with started("disk", tmp_path / "cold", 64) as program:
        program.line()
        with collecting(events=("offcpu",), pids=(program.pid,)) as kept:
            told = program.run()
    if told["faults"] < 64 or told["fault_ns"] / told["faults"] < 20_000:
        pytest.skip("the file was not read from a disk")
    seen = {one.name: one for one in latencies(kept, Kind.OFFCPU, program.pid)}
    faults = [one for name, one in seen.items() if name.startswith("page fault")]
    assert faults, sorted(seen)
    assert told["faults"] * 0.5 <= sum(one.count for one in faults) <= told["faults"] * 1.5
    assert 0 < sum(one.time_ns for one in faults) <= told["fault_ns"] * 1.02
    reads = [one for name, one in seen.items() if name.startswith("pread64 (")]  # in words: it cannot be interrupted
    assert reads, sorted(seen)
    assert 0 < sum(one.time_ns for one in reads) <= told["read_ns"] * 1.02
    # it is over within milliseconds: some stacks come before all of the unwind tables
    for one, function in ((faults[0], "touch"), (reads[0], "read_all")):
        stacks = stack_weights(kept, Query(kind=Kind.OFFCPU, pids=(program.pid,), name=one.name))
        assert share_with(stacks, function) > 0.5, f"{function} is lost: {stacks.most_common(2)}"


def test_waits_that_are_too_short_are_counted_together() -> None:
    with (
        started("naps", 100, 10, 0) as program,
        collecting(events=("offcpu",), pids=(program.pid,), min_block_ns=5_000_000) as kept,
    ):
        told = program.run()
    (naps,) = [one for one in latencies(kept, Kind.OFFCPU, program.pid) if one.name == "clock_nanosleep"]
    long = sum(
        ns >= 5_000_000 for _, ns in told["naps"]
    )  # by the program: on a busy machine one of 1 ms may take as long
    assert 10 <= naps.count <= long, "those of 10 ms; the others, of 1 ms, are left out"
    health = kept.health_of("offcpu")
    assert health is not None
    found = re.fullmatch(r"waits shorter than 5000 µs are left out: (\d+), ([\d.]+) s together", health.message)
    assert found, health.message
    untold = health.degraded["switches that the kernel does not tell of"]  # of a virtual machine's init
    assert int(found[1]) + naps.count + untold >= told["sleeps"]
    assert untold <= told["sleeps"] // 50
    assert float(found[2]) >= 0.001 * (told["sleeps"] - long - untold)
