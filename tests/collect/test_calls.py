"""System calls and futexes: what numpy and C have to agree on, and what is made of the kernel's sums."""

from __future__ import annotations

import re

import numpy as np
import pytest

from aperture_tui.collect import calls, compiler, locks
from aperture_tui.collect.calls import CALL_KEY, LOCK_KEY, OTHER_KEY, WAIT_SLOT, CallCollector
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.sums import TOOK
from aperture_tui.collect.syscalls.calls import Calls
from aperture_tui.collect.syscalls.names import COMPAT
from aperture_tui.profile.kinds import Flag, Kind, Role
from aperture_tui.profile.latency import BUCKETS
from aperture_tui.profile.symbols import Symbols
from tests.collect.c_structures import assert_mirrors, defines, enumerated, layout
from tests.collect.standing import standing
from tests.truth.told import started

PROGRAM = "calls.bpf.c"


def test_the_layouts_are_those_of_the_c_structures() -> None:
    assert_mirrors(CALL_KEY, layout(PROGRAM, "call_key"))
    assert_mirrors(LOCK_KEY, layout(PROGRAM, "lock_key"))
    assert_mirrors(OTHER_KEY, layout(PROGRAM, "other_key"), {"pid": "who"})
    assert_mirrors(WAIT_SLOT, layout(PROGRAM, "wait"))


def test_the_bits_of_a_call_are_those_of_the_program() -> None:
    """tid, number with its mark, bucket, errno: none reaches into the next, and all have room."""
    text = compiler.Source("calls", {}).text()
    (shifts,) = re.findall(
        r"\{tid \| \(u64\)c->nr << (\d+) \| \(u64\)bucket\(ns\) << (\d+) \| error << (\d+), 0\}", text
    )
    number, bucket, error = map(int, shifts)
    from aperture_tui.collect.syscalls import calls as named

    assert (int(named._NR_SHIFT), int(named._BUCKET_SHIFT), int(named._ERROR_SHIFT)) == (number, bucket, error)
    assert number >= 32
    assert 1 << bucket - number >= 2 * COMPAT
    assert 1 << error - bucket >= BUCKETS == defines("took.h")["BUCKETS"]
    assert 1 << 64 - error > 4095


def test_the_numbers_of_the_program_are_those_here() -> None:
    assert enumerated(PROGRAM, "NO_ENTRY")[:-1] == [
        name
        for _, name in sorted(
            (getattr(calls, f"_{name}"), name)
            for name in ("NO_ENTRY", "NO_SLOT", "LOCK_NO_ENTRY", "LOCK_NO_SLOT", "RACED", "NOT_WALKED")
        )
    ]
    kinds = enumerated(PROGRAM, "WAIT")
    assert kinds.index("WAKES") == len(locks.FUTEXES), "what comes after waits are wakes"
    assert [kinds.index(kind) for kind in ("WAIT", "BITSET", "PI", "REQUEUE_PI", "WAIT2", "WAITV")] == [
        locks.FUTEXES.index(word)
        for word in ("futex", "futex bitset", "futex pi", "futex requeue pi", "futex2", "futex2 waitv")
    ]
    text = compiler.Source("calls", {}).text()
    (waker,) = re.findall(r"enum \{ WAKER = (\d+), HOLDER \};", text)
    assert (int(waker), int(waker) + 1) == (Role.WAKER, Role.HOLDER)


def sum_of(
    tid: int, number: int, durations: list[int], error: int = 0, stack: int = 0, pid: int = 1, start: int = 5
) -> np.ndarray:
    """An entry of the kernel's tables."""
    row = np.zeros(1, np.dtype([*CALL_KEY.descr, *TOOK]))
    bucket = max(durations).bit_length() - 1
    row["call"] = tid | number << 32 | bucket << 46 | error << 52
    row["n"], row["total_ns"], row["max_ns"], row["min_ns"] = (
        len(durations),
        sum(durations),
        max(durations),
        min(durations),
    )
    row["pid"], row["start_ns"], row["comm"], row["stack"] = pid, start, b"thread", stack
    return row


@pytest.mark.bpf
def test_the_threads_of_a_process_are_one_and_buckets_and_outcomes_are_not() -> None:
    rows = [
        sum_of(11, 0, [1000, 1010]),
        sum_of(12, 0, [1020]),
        sum_of(12, 0, [5000]),
        sum_of(12, 0, [1001], error=11),
        sum_of(12, 1, [1002]),
        sum_of(12, 1 | COMPAT, [1003]),
        sum_of(13, 0, [1004], pid=2),
        sum_of(13, 0, [1005], start=1_000_000_000),
        sum_of(14, 0, [1006], stack=0xABCD),
    ]
    symbols = Symbols()
    with standing(unwinder=False) as common:
        made = Calls(common)
        events = made.done(np.concatenate(rows), 77, symbols)
    told = {
        (
            int(event["pid"]),
            symbols.process_at(int(event["process"])).start_ns - common.clock.boottime_ns,
            symbols.strings[int(event["name"])],
            int(event["aux"]),
            int(event["maximum_ns"]),
        ): (int(event["weight"]), int(event["duration_ns"]))
        for event in events
    }
    plain = [key for key in told if key[0] == 1 and key[2] == "read" and key[3] == 0]
    assert told[next(key for key in plain if key[4] == 1020)] == (3, 3030), "two threads"
    assert sorted(key[4] for key in plain) == [1005, 1006, 1020, 5000]
    others = sorted((key[0], key[2], key[3]) for key in told if key not in plain)
    assert others == [(1, "exit (32-bit)", 0), (1, "read", 11), (1, "write", 0), (2, "read", 0)]
    assert made.delivered == sum(len(row) and int(row["n"][0]) for row in rows) == events["weight"].sum()
    assert (events["kind"] == Kind.SYSCALL).all()
    assert (events["tid"] == 0).all()
    lost = events["flags"] & np.uint16(Flag.NO_STACK) > 0
    assert events["maximum_ns"][lost].tolist() == [1006], "its stack was taken, and did not come; others have none"


@pytest.mark.bpf
def test_sums_are_read_and_named_by_a_real_program() -> None:
    """calls counts its own; here all of a collector's own path, without a session."""
    symbols = Symbols()
    with standing(Settings(), unwinder=False) as common, started("calls", 3000, 500, 4) as program:
        collector = CallCollector(common, ("syscall",))
        collector.start()
        program.run()
        collector.finish()
        collector.read()
        common.update()
        events = collector.events(symbols)
        (word,) = collector.health()
        collector.stop()
    ours = events[(events["pid"] == program.pid) & (events["flags"] >> 12 & 3 == Role.OWN)]
    counts = {
        name: int(ours["weight"][ours["name"] == i].sum())
        for i in np.unique(ours["name"]).tolist()
        if (name := symbols.strings[i]) in ("getppid", "open")
    }
    assert counts == {"getppid": 12_000, "open": 2000}
    assert set(ours["aux"][ours["name"] == symbols.string("open")].tolist()) == {2}
    buckets = np.log2(np.maximum(ours["maximum_ns"], 1)).astype(int)
    keys = list(zip(ours["name"].tolist(), ours["aux"].tolist(), buckets.tolist(), strict=True))
    assert len(keys) == len(set(keys)), "a bucket is one event"
    assert word.delivered == int(events["weight"][events["flags"] >> 12 & 3 == Role.OWN].sum())
    assert word.memory_bytes


@pytest.mark.bpf
def test_a_collector_that_cannot_attach_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from aperture_tui.collect import bpf
    from aperture_tui.collect.common import CollectorError
    from tests.collect.test_cpu import assert_gone, programs_of

    real = bpf.open_raw_tracepoint

    def refused(name: str, program: int) -> int:
        if name == "sys_enter":
            raise PermissionError(1, "Operation not permitted")
        return real(name, program)

    with standing(Settings(), unwinder=False) as common:
        before = set(os.listdir("/proc/self/fd"))
        programs = set(programs_of(os.getpid()))
        monkeypatch.setattr(bpf, "open_raw_tracepoint", refused)
        collector = CallCollector(common, ("syscall", "lock"))
        with pytest.raises(CollectorError, match="needs root, or CAP_BPF"):
            collector.start()
        assert {word.name: word.state.value for word in collector.health()} == {"syscall": "failed", "lock": "failed"}
        assert set(programs_of(os.getpid())) == programs
        assert set(os.listdir("/proc/self/fd")) <= before, "not a descriptor is left open"
        assert_gone(sorted(set(programs_of(os.getpid())) - programs))


@pytest.mark.bpf
def test_of_calls_that_had_begun_before_only_chosen_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.collect.syscalls.test_begun import blocked

    symbols = Symbols()
    with blocked() as (pid, tid), standing(Settings(pids=(pid,), syscalls=("read",)), unwinder=False) as common:
        collector = CallCollector(common, ("syscall",))
        collector.start()
        collector.read()
        events = collector.events(symbols)
        collector.stop()
    told = [(symbols.strings[int(event["name"])], int(event["tid"]), int(event["weight"])) for event in events]
    assert told == [("read", tid, 1)], "the main thread sleeps, which is none of them"
