"""Waits for locks against programs that time their own."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from typing import Final, NamedTuple

import pytest

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Measure, Query
from tests.collect.collecting import Kept, collecting
from tests.truth.told import Seen, events, kernel_functions, latencies, share_with, stack_weights, started

pytestmark = pytest.mark.bpf

EINTR: Final = 4
ETIMEDOUT: Final = 110
_WITHIN_NS: Final = 1_000_000_000
_AGE_NS: Final = 20_000_000
_NAMED: Final = 0.9
"""A process's first stack may come before its unwind tables; what sort of lock it waited for is told by the stack."""


class Way(NamedTuple):
    """A way to wait that tests/programs/waits.c knows, and what must be said of it.

    name: what the wait's name begins with (any of them). symbol: what is in it, "" where the lock has none.
    errno: how it ends. holder: whether the lock says who holds it.
    """

    how: str
    name: str | tuple[str, ...]
    symbol: str
    function: str
    errno: int = 0
    holder: bool = False


WAYS: Final = [
    Way("mutex", "mutex", "plain_lock", "wait_for_mutex", holder=True),
    Way("heap", "mutex", "", "wait_for_heap", holder=True),
    Way("pi", ("futex pi", "mutex"), "pi_lock", "wait_for_pi", holder=True),
    Way("robust", "mutex", "robust_lock", "wait_for_robust", holder=True),
    Way("timed", "mutex", "plain_lock", "wait_in_vain", errno=ETIMEDOUT),
    Way("condition", "condition", "work_ready", "wait_for_condition"),
    Way("semaphore", "semaphore", "free_slots", "wait_for_semaphore"),
    Way("rwlock-read", "rwlock", "config_lock", "wait_to_read"),
    Way("rwlock-write", "rwlock", "config_lock", "wait_to_write"),
    Way("barrier", "barrier", "all_here", "wait_at_barrier"),
    Way("join", "join", "", "wait_for_thread"),
    Way("futex", "futex", "bare_word", "wait_bare"),
    Way("futex_waitv", "futex", "bare_word", "wait_vector"),
    Way("futex_wait", "futex", "bare_word", "wait_new"),
    Way("interrupted", "futex", "bare_word", "wait_disturbed", errno=EINTR),
]
_NO_SUCH_CALL: Final = 77
"""waits.c's exit status where the kernel has no futex_waitv (5.16) or futex_wait (6.7)."""


@pytest.mark.parametrize(("threads", "hold_us", "rounds"), [(4, 5000, 50), (8, 2000, 50), (2, 500, 500)])
def test_waits_for_a_mutex_are_the_programs_own(threads: int, hold_us: int, rounds: int) -> None:
    """The number within one, the time within 2 %, of all together and of the times of each thread."""
    with (
        started("mutexes", threads, hold_us, rounds) as program,
        collecting(events=("lock",), pids=(program.pid,)) as kept,
    ):
        told = program.run()
    of_lock = Query(kind=Kind.LOCK, pids=(program.pid,), value=told["address"])
    (seen,) = kept.store.latencies(of_lock)
    waits, time_ns = (sum(thread[column] for thread in told["threads"]) for column in ("waits", "ns"))
    assert waits > threads * rounds / 2, "the program hardly ever waited"
    assert abs(seen.count - waits) <= 1
    assert abs(seen.time_ns / time_ns - 1) <= 0.02
    assert seen.name == "mutex table_lock"
    by_tid = {
        one.tid: one for one in latencies(kept, Kind.LOCK, program.pid, value=told["address"], group=Group.THREAD)
    }
    for thread in told["threads"]:
        assert abs(by_tid[thread["tid"]].count - thread["waits"]) <= 1
        assert abs(by_tid[thread["tid"]].time_ns / thread["ns"] - 1) <= 0.02  # none has another's
    for function in ("take_the_table", "work_on_the_table"):  # the first waits may come before the unwind tables
        assert share_with(stack_weights(kept, of_lock), function) > 0.95, f"{function} is lost"


@pytest.mark.parametrize("way", WAYS, ids=[way.how for way in WAYS])
def test_every_way_to_wait(way: Way) -> None:
    rounds, hold_us = 75, 20_000  # for as long as it takes to look it up while it lives
    with (
        started("waits", way.how, rounds, hold_us) as program,
        collecting(events=("lock",), pids=(program.pid,)) as kept,
    ):
        program.go()
        if program.process.wait(30) == _NO_SUCH_CALL:
            pytest.skip(f"this kernel has no {way.how}")
        told = program.end()
    assert told["odd"] == 0, "the program itself did not wait as it should"
    waits = of_thread(kept, told["waiter"], told["address"], told["size"])
    assert waits, [(one.name, hex(one.value)) for one in latencies(kept, Kind.LOCK, program.pid)]
    names = Counter({one.name: 0 for one in waits})
    for one in waits:
        names[one.name] += one.count
    named = [name for name in names if name.startswith(way.name) and way.symbol in name]
    assert sum(names[name] for name in named) >= _NAMED * rounds, names
    assert abs(sum(one.count for one in waits) - rounds) <= 1
    assert abs(sum(one.time_ns for one in waits) / told["ns"] - 1) <= 0.02
    outcomes = {code: sum(one.outcomes.get(code, 0) for one in waits) for one in waits for code in one.outcomes}
    assert set(outcomes) == ({way.errno} if way.errno else set())
    assert abs(outcomes.get(way.errno, 0) - (rounds if way.errno else 0)) <= 1
    stacks: Counter[tuple[str, ...]] = Counter()
    for value in {one.value for one in waits}:
        stacks += stack_weights(kept, Query(kind=Kind.LOCK, tids=(told["waiter"],), value=value))
    assert share_with(stacks, way.function) >= _NAMED, f"{way.function} is lost: {stacks.most_common(2)}"
    if way.holder:
        holders = events(kept, Kind.LOCK, Role.HOLDER, program.pid)
        assert {event.tid for event in holders if event.value == told["address"]} == {told["holder"]}


def of_thread(kept: Kept, tid: int, address: int, size: int) -> list[Latency]:
    """A thread's waits for what lies at this address: a lock may have more than one word to wait for."""
    found = kept.store.latencies(Query(kind=Kind.LOCK, tids=(tid,), group=Group.THREAD))
    return [one for one in found if address <= one.value < address + size]


@pytest.mark.parametrize("how", ["mutex", "semaphore", "condition"])
def test_who_ends_a_wait_is_told_with_where_it_did(how: str) -> None:
    with started("waits", how, 100, 5000) as program, collecting(events=("lock",), pids=(program.pid,)) as kept:
        told = program.run()
    wakers = [
        event
        for event in events(kept, Kind.LOCK, Role.WAKER, program.pid)
        if told["address"] <= event.value < told["address"] + told["size"] and event.tid == told["holder"]
    ]
    assert wakers, "nobody ended these waits"
    assert 0 < sum(event.weight for event in wakers) <= 101
    assert any("hold_and_release" in event.stack for event in wakers)


def test_a_deadlock_is_in_flight_with_its_locks_and_their_holders() -> None:
    with collecting(events=("lock",)) as kept, started("deadlock", 3) as program:
        program.go()
        told = program.line()
        time.sleep(2.2)
        asked = kept.store.latencies(
            Query(kind=Kind.LOCK, pids=(program.pid,), role=Role.IN_FLIGHT, group=Group.THREAD, measure=Measure.TIME)
        )
        program.process.wait(10)
        time.sleep(2.5)
        left = latencies(kept, Kind.LOCK, program.pid, role=Role.IN_FLIGHT)
    wants = {told["transfer"]: told["audit"], told["report"]: told["account"]}
    names = {told["audit"]: "mutex audit_lock", told["account"]: "mutex account_lock"}
    assert {(one.tid, one.value, one.name) for one in asked if one.tid in wants} == {
        (tid, lock, names[lock]) for tid, lock in wants.items()
    }
    holders = {(event.value, event.tid) for event in events(kept, Kind.LOCK, Role.HOLDER, program.pid)}
    assert {(told["audit"], told["report"]), (told["account"], told["transfer"])} <= holders
    for tid, began_ns in zip((told["transfer"], told["report"]), told["began_ns"], strict=True):
        seen = in_flight(kept, program.pid, tid)
        assert seen[0].arrived_ns - began_ns <= _WITHIN_NS, "too late"
        assert all(abs(event.began_ns - began_ns) <= _AGE_NS for event in seen)
    assert left == [], "both threads are gone"


@pytest.mark.parametrize("kinds", [("lock",), ("lock", "syscall")], ids=" ".join)
def test_a_deadlock_that_was_there_before_us_is_seen_whole(kinds: tuple[str, ...]) -> None:
    """Most often it is: somebody looks because a program has stopped. Its age is a lower bound."""
    with started("deadlock", 6) as program:
        program.go()
        told = program.line()
        time.sleep(0.5)
        with collecting(events=kinds) as kept:
            time.sleep(2.5)
            asked = kept.store.latencies(
                Query(
                    kind=Kind.LOCK, pids=(program.pid,), role=Role.IN_FLIGHT, group=Group.THREAD, measure=Measure.TIME
                )
            )
            holders = {(event.value, event.tid) for event in events(kept, Kind.LOCK, Role.HOLDER, program.pid)}
            stacks = {tid: in_flight(kept, program.pid, tid)[-1].stack for tid in (told["transfer"], told["report"])}
    assert {(one.tid, one.value, one.name, one.at_least) for one in asked} == {
        (told["transfer"], told["audit"], "mutex audit_lock", True),
        (told["report"], told["account"], "mutex account_lock", True),
    }
    assert holders == {(told["audit"], told["report"]), (told["account"], told["transfer"])}
    assert all("lock_both" in stack for stack in stacks.values()), stacks


def test_a_begun_wait_that_ends_is_told_no_more() -> None:
    with started("deadlock", 3) as program:
        program.go()
        program.line()
        time.sleep(0.3)
        with collecting(events=("lock",)) as kept:
            time.sleep(1)
            assert latencies(kept, Kind.LOCK, program.pid, role=Role.IN_FLIGHT)
            program.process.wait(10)
            time.sleep(2.5)
            assert latencies(kept, Kind.LOCK, program.pid, role=Role.IN_FLIGHT) == []


def test_a_deadlock_shows_where_its_threads_wait() -> None:
    """Each of them waits once, and for ever: there is no second chance to take its stack."""
    with collecting(events=("lock",)) as kept, started("deadlock", 3) as program:
        program.go()
        told = program.line()
        time.sleep(2.2)
        seen = {tid: in_flight(kept, program.pid, tid) for tid in (told["transfer"], told["report"])}
    for told_of in seen.values():
        assert "lock_both" in told_of[-1].stack, told_of[-1].stack


def in_flight(kept: Kept, pid: int, tid: int) -> list[Seen]:
    """What was told of the waits of a thread while they went on."""
    return [event for event in events(kept, Kind.LOCK, Role.IN_FLIGHT, pid) if event.tid == tid]


@pytest.mark.parametrize(
    ("how", "kinds", "function"),
    [
        ("map", {"kernel rwsem read", "kernel rwsem write"}, r"mmap|munmap|mprotect|populate"),
        ("pipe", {"kernel mutex"}, r"pipe_(read|write)"),
        ("table", {"kernel spinlock"}, r"dup|close|alloc_fd|fd_install"),
    ],
)
def test_contention_inside_the_kernel(how: str, kinds: set[str], function: str) -> None:
    with started("contended", how, 3, 4) as program, collecting(events=("lock",), pids=(program.pid,)) as kept:
        told = program.run()
    seen = [one for one in latencies(kept, Kind.LOCK, program.pid) if one.name.startswith("kernel ")]
    ours = [one for one in seen if any(one.name.startswith(kind) for kind in kinds)]
    assert ours, f"no {kinds}, but {[(one.name, one.count) for one in seen]}"
    assert all(one.count > 0 and one.value for one in ours)
    assert 0 < sum(one.time_ns for one in seen) <= told["ns"], "longer than the calls in which they waited"
    found = {name for one in ours for name in kernel_functions(kept, of_lock(program.pid, one))}
    assert any(re.search(function, name) for name in found), f"not in {sorted(found)}"


def of_lock(pid: int, one: Latency) -> Query:
    """The waits of one entry."""
    return Query(kind=Kind.LOCK, pids=(pid,), name=one.name, value=one.value)


def bench_futex(*arguments: str) -> tuple[Kept, int, str]:
    """A benchmark of perf's under a session -> what was seen, its pid, what it printed."""
    if shutil.which("perf") is None:
        pytest.skip("no perf: apt-get install linux-perf")
    with collecting(events=("lock",)) as kept:
        child = subprocess.Popen(
            ["perf", "bench", "futex", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        told, _ = child.communicate(timeout=60)
    if child.returncode:
        pytest.skip(f"perf bench futex does not work here: {told[-200:]!r}")
    return kept, child.pid, told


def test_as_many_waits_as_perf_bench_wakes() -> None:
    kept, pid, told = bench_futex("wake", "-t", "8", "-w", "1")
    woken = sum(int(n) for n in re.findall(r"^\[Run \d+\]: Wokeup (\d+) of 8 threads", told, re.MULTILINE))
    assert woken == 80
    counts = {(one.name, one.value): one.count for one in latencies(kept, Kind.LOCK, pid)}
    assert any(abs(n - woken) <= 1 for n in counts.values()), counts


def test_no_more_waits_than_perf_bench_locks_a_pi_futex() -> None:
    """Four threads, one lock: nearly each of its operations waits, and none twice."""
    kept, pid, told = bench_futex("lock-pi", "-t", "4", "-r", "2")
    address = re.search(r"futex: (0x[0-9a-f]+)", told)
    rates = [int(n) for n in re.findall(r"\[ +(\d+) ops/sec \]", told)]
    assert address
    assert len(rates) == 4
    seen = latencies(kept, Kind.LOCK, pid, value=int(address[1], 16))
    assert [one.name.split()[:2] for one in seen] == [["futex", "pi"]]
    operations = 2 * sum(rates)
    assert operations * 0.9 <= seen[0].count <= operations * 1.02 + 8
