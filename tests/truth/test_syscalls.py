"""Syscalls against programs that count and time their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from typing import Final

import pytest

from aperture_tui.profile.kinds import Flag, Kind, Role
from aperture_tui.profile.latency import Latency, bucket
from aperture_tui.profile.query import Query
from tests.collect.collecting import Kept, collecting
from tests.programs import build
from tests.truth.told import Seen, assert_exact, events, latencies, stack_weights, started

pytestmark = pytest.mark.bpf

ENOENT: Final = 2
_WITHIN_NS: Final = 1_000_000_000
_AGE_NS: Final = 20_000_000
"""The program says when it began a moment before the call: it may lose its CPU in between."""


def by_name(kept: Kept, pid: int) -> dict[str, Latency]:
    """A process's calls, by name."""
    return {one.name: one for one in latencies(kept, Kind.SYSCALL, pid)}


def total_by_name(kept: Kept) -> tuple[Counter[str], Counter[str]]:
    """All calls of all processes and those that failed with ENOENT, by name."""
    counts: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for one in kept.store.latencies(Query(kind=Kind.SYSCALL)):
        counts[one.name] += one.count
        missing[one.name] += one.outcomes.get(ENOENT, 0)
    return counts, missing


@pytest.mark.parametrize(("getppids", "opens", "threads"), [(100_000, 10_000, 1), (20_000, 1_000, 8)])
def test_counts_are_the_programs_own(getppids: int, opens: int, threads: int) -> None:
    with collecting(events=("syscall",)) as kept, started("calls", getppids, opens, threads) as program:
        told = program.run()
    seen = by_name(kept, program.pid)
    assert_exact(kept, "syscall", seen["getppid"].count, told["getppid"])
    assert_exact(kept, "syscall", seen["open"].count, told["enoent"])
    assert seen["getppid"].errors == 0
    assert seen["open"].outcomes == {ENOENT: seen["open"].count}


def test_naps_are_in_the_buckets_of_their_true_duration() -> None:
    """A nap is not shorter than asked for, and not longer than it looks from outside."""
    with collecting(events=("syscall",)) as kept, started("naps", 200, 50, 10) as program:
        naps = program.run()["naps"]
    seen = by_name(kept, program.pid)["clock_nanosleep"]
    assert seen.count == len(naps) == 260
    surely: Counter[int] = Counter(bucket(took) for asked, took in naps if bucket(asked) == bucket(took))
    possibly: Counter[int] = Counter(i for asked, took in naps for i in range(bucket(asked), bucket(took) + 1))
    wrong = {i: (n, surely[i], possibly[i]) for i, n in enumerate(seen.histogram) if not surely[i] <= n <= possibly[i]}
    assert not wrong, "bucket: (counted, at least, at most)"
    assert sum(surely[i] for i in (23, 26)) >= 55, "10 and 100 ms are far from the edges of their buckets"
    outside = sum(took for _, took in naps)
    assert 0.99 * outside <= seen.time_ns <= outside
    longest = max(took for _, took in naps)
    assert 0.99 * longest <= seen.maximum_ns <= longest


@pytest.mark.parametrize(("how", "call"), [("pipe", "read"), ("socket", "recvfrom")])
def test_a_blocked_call_is_seen_within_a_second(how: str, call: str) -> None:
    """Three programs, begun at different moments between two tellings."""
    told = []
    with collecting(events=("syscall",)) as kept:
        for _ in range(3):
            with started("blocked", how, 2.2) as program:
                program.go()
                told.append((program.pid, program.line(), program.end()))
            time.sleep(0.37)
    for pid, beginning, end in told:
        tid, began_ns = beginning["tids"][0], beginning["began_ns"]
        seen = [event for event in of_call(kept, pid, call) if event.tid == tid]
        assert seen, f"{call} was never in flight"
        first = seen[0]
        assert first.arrived_ns - began_ns <= _WITHIN_NS, "too late"
        assert (first.weight, first.flags & Flag.TRUNCATED) == (1, 0)
        assert [abs(event.began_ns - began_ns) <= _AGE_NS for event in seen] == [True] * len(seen)
        over = by_name(kept, pid)[call]
        assert over.maximum_ns <= end["took_ns"]
        assert over.maximum_ns >= end["took_ns"] - _AGE_NS


def test_a_call_that_began_before_is_in_flight_with_an_age_of_at_least() -> None:
    with started("blocked", "pipe", 5) as program:
        program.go()
        told = program.line()
        time.sleep(1)
        with collecting(events=("syscall",), pids=(program.pid,)) as kept:
            attached_ns = time.monotonic_ns()
            time.sleep(2)
        seen = [event for event in of_call(kept, program.pid, "read") if event.tid == told["tids"][0]]
    assert seen, "it was never in flight"
    assert seen[0].arrived_ns - attached_ns <= _WITHIN_NS
    for event in seen:
        assert event.flags & Flag.TRUNCATED, "its beginning was not seen"
        assert told["began_ns"] <= event.began_ns <= attached_ns + _AGE_NS


def of_call(kept: Kept, pid: int, name: str) -> list[Seen]:
    """What was told to be in flight."""
    return [event for event in events(kept, Kind.SYSCALL, Role.IN_FLIGHT, pid) if event.name == name]


def test_nothing_is_in_flight_in_threads_that_are_gone() -> None:
    """One ends inside its call while its process lives, the others with their process."""
    with collecting(events=("syscall",)) as kept, started("blocked", "leave", 4) as program:
        program.go()
        told = program.line()
        program.process.wait(30)
        ended_ns = time.monotonic_ns()
        time.sleep(2.5)
        left = latencies(kept, Kind.SYSCALL, program.pid, role=Role.IN_FLIGHT)
    reads = of_call(kept, program.pid, "read")
    assert {event.weight for event in reads} >= {5, 4}, "all five, and four after one was cancelled"
    assert reads[0].tid in told["tids"]
    cancelled_ns = told["began_ns"] + 2_000_000_000
    assert {event.weight for event in reads if event.time_ns > cancelled_ns + _WITHIN_NS} == {4}
    assert not [event for event in reads if event.time_ns > ended_ns + _WITHIN_NS]
    assert left == []


def test_children_are_counted_with_a_filtered_process_and_others_are_not() -> None:
    with (
        started("calls", 1000, 0, 2, 3000) as program,
        started("calls", 5000, 0, 1) as other,
        collecting(events=("syscall",), pids=(program.pid,)) as kept,
    ):
        told = program.run()
        other.run()
    assert_exact(kept, "syscall", by_name(kept, program.pid)["getppid"].count, 2000)
    assert_exact(kept, "syscall", by_name(kept, told["child"])["getppid"].count, 3000)
    assert {one.pid for one in kept.store.latencies(Query(kind=Kind.SYSCALL))} == {program.pid, told["child"]}


def test_only_chosen_syscalls_are_measured() -> None:
    with collecting(events=("syscall",), syscalls=("getppid", "clock_nanosleep")) as kept:
        with started("calls", 1000, 100, 1) as program:
            program.run()
        with started("naps", 3, 0, 0) as napping:
            napping.run()
    assert {name: one.count for name, one in by_name(kept, program.pid).items()} == {"getppid": 1000}
    assert {name: one.count for name, one in by_name(kept, napping.pid).items()} == {"clock_nanosleep": 3}
    assert set(total_by_name(kept)[0]) <= {"getppid", "clock_nanosleep"}


def test_sampled_stacks_leave_the_counts_exact() -> None:
    """For longer than it takes to make the unwind tables. Calls of others would be among those counted to the tenth."""
    with (
        started("naps", 1000, 0, 0) as program,
        collecting(events=("syscall",), syscall_stacks=10, pids=(program.pid,)) as kept,
    ):
        program.run()
    assert_exact(kept, "syscall", by_name(kept, program.pid)["clock_nanosleep"].count, 1000)
    stacks = stack_weights(kept, Query(kind=Kind.SYSCALL, pids=(program.pid,), name="clock_nanosleep"))
    taken = {stack: n for stack, n in stacks.items() if len(stack) > 1}
    assert abs(sum(taken.values()) - 100) <= 1 + (os.cpu_count() or 1), "every tenth, on each CPU"
    assert sum(n for stack, n in taken.items() if "main" in stack) > 50, f"the calls are lost: {stacks.most_common(3)}"


def test_calls_that_take_turns_are_sampled_alike() -> None:
    """A program's reads and writes alternate: what is sampled must not keep step with them."""
    cpu = (os.cpu_count() or 1) - 1
    with (
        started("pingpong", 2, cpu, cpu) as program,
        collecting(events=("syscall",), syscall_stacks=10, pids=(program.pid,)) as kept,
    ):
        program.run()
    counts = by_name(kept, program.pid)
    for name in ("read", "write"):
        stacks = stack_weights(kept, Query(kind=Kind.SYSCALL, pids=(program.pid,), name=name))
        taken = sum(n for stack, n in stacks.items() if len(stack) > 1)
        assert counts[name].count > 10_000
        assert 0.09 < taken / counts[name].count < 0.11, f"{taken} of {counts[name].count} {name}s"


@pytest.mark.parametrize(
    "flags",
    [
        ("-O2", "-m32", "-nostdlib", "-static", "-ffreestanding"),
        ("-O2", "-nostdlib", "-static", "-no-pie", "-ffreestanding"),
    ],
    ids=["32-bit program", "64-bit program with int 0x80"],
)
def test_32_bit_calls_have_the_names_of_the_32_bit_table(flags: tuple[str, ...]) -> None:
    try:
        subprocess.run([build("calls32", *flags)], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"no 32-bit programs here: {error}")
    with started("calls32", flags=flags) as program, collecting(events=("syscall",), pids=(program.pid,)) as kept:
        told = program.run()
    seen = {name.removesuffix(" (32-bit)"): one for name, one in by_name(kept, program.pid).items()}
    assert_exact(kept, "syscall", seen["getppid"].count, told["getppid"])
    assert_exact(kept, "syscall", seen["open"].count, told["enoent"])
    assert seen["open"].outcomes == {ENOENT: told["enoent"]}
    assert not {"semget", "fstat"} & set(seen), "these have the same numbers in the 64-bit table"


def test_processes_made_in_every_way_are_counted_once() -> None:
    """vfork, clone and execve return in another process, twice, or never: each is one call."""
    with started("spawns", 50) as program, collecting(events=("syscall",), pids=(program.pid,)) as kept:
        told = program.run()
    counts, missing = total_by_name(kept)
    for name in ("vfork", "clone", "getppid"):
        assert_exact(kept, "syscall", counts[name], told[name])
    assert_exact(kept, "syscall", missing["execve"], told["enoent"])
    assert_exact(kept, "syscall", counts["execve"] - missing["execve"], told["execve"])


def test_a_thread_that_becomes_another_program_leaves_nothing_in_flight() -> None:
    with started("spawns", "thread") as program, collecting(events=("syscall",), pids=(program.pid,)) as kept:
        told = program.run()
        time.sleep(2.5)
        left = latencies(kept, Kind.SYSCALL, program.pid, role=Role.IN_FLIGHT)
    seen = by_name(kept, program.pid)
    assert told["tid"] == program.pid, "it took over the first thread's number"
    assert_exact(kept, "syscall", seen["execve"].count, 1)
    assert_exact(kept, "syscall", seen["getppid"].count, 10)
    assert left == []


def test_totals_agree_with_perf_trace() -> None:
    """perf loses some of its own, and sees a program from its exec on: of nothing more than we, of little less."""
    if shutil.which("perf") is None:
        pytest.skip("no perf: apt-get install linux-perf")
    command = ["perf", "trace", "-s", "perf", "bench", "syscall", "basic", "-l", "100000"]
    with collecting(events=("syscall",)) as kept:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    told = done.stdout + done.stderr
    if done.returncode or "getppid" not in told:
        pytest.skip(f"perf trace does not work here: {told[-200:]!r}")
    pid, theirs = of_perf(told)
    ours = {name: one.count for name, one in by_name(kept, pid).items()}
    assert_exact(kept, "syscall", ours["getppid"], 100_000)
    lost = 100_000 - theirs["getppid"]
    assert lost >= 0
    if lost > _PERF_MAY_LOSE:
        pytest.skip(f"perf itself lost {lost} calls: there is nothing to compare")
    more = {name: (ours.get(name, 0), n) for name, n in theirs.items() if ours.get(name, 0) < n}
    assert not more, "perf saw more: (ours, theirs)"
    less = {name: (ours[name], n) for name, n in theirs.items() if ours[name] - n > lost + _BEFORE_EXEC}
    assert not less, "perf saw far less: (ours, theirs)"


_PERF_MAY_LOSE: Final = 1000
_BEFORE_EXEC: Final = 20
"""Calls of one name that perf's child makes between fork and exec."""


def of_perf(told: str) -> tuple[int, dict[str, int]]:
    """`perf trace -s` of one process -> its pid, calls by name."""
    pid = re.search(r"^ .*\((\d+)\), \d+ events", told, re.MULTILINE)
    assert pid, told
    rows = re.findall(r"^   (\w+) +(\d+) +\d+ +\d+\.\d+", told, re.MULTILINE)
    return int(pid[1]), {name: int(calls) for name, calls in rows}


def test_a_program_killed_inside_its_call_is_not_in_flight() -> None:
    with collecting(events=("syscall",)) as kept, started("blocked", "pipe", 30) as program:
        program.go()
        program.line()
        time.sleep(1.2)
        assert of_call(kept, program.pid, "read"), "it was in flight before"
        program.process.kill()
        program.process.wait(10)
        time.sleep(2.5)
        assert latencies(kept, Kind.SYSCALL, program.pid, role=Role.IN_FLIGHT) == []
