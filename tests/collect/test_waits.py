"""Long waits are told as they go on, and each part of them once."""

from __future__ import annotations

import os
import subprocess
import sys
import time as real_time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aperture_tui.collect import waits
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.syscalls.begun import CALL_SLOT
from aperture_tui.collect.waits import BLOCKED, OFF, PREEMPTED, RUNNABLE, SLEEPING, WAIT, Waits, names, reason
from aperture_tui.profile.symbols import Symbols
from tests.collect.c_structures import assert_mirrors, defines, enumerated, layout

S = 1_000_000_000
T0 = 1000 * S


def test_the_layouts_are_those_of_the_c_structures() -> None:
    """A thread's place has its process's start where other places have it."""
    process = {"process_ns": "start_ns"}
    assert_mirrors(OFF, layout("offcpu.bpf.c", "off"), process)
    assert_mirrors(WAIT, layout("offcpu.bpf.c", "wait"), process)


def test_the_numbers_are_those_of_the_program() -> None:
    program = "offcpu.bpf.c"
    assert enumerated(program, "PREEMPTED") == ["PREEMPTED", "SLEEPING", "UNINTERRUPTIBLE", "OTHER"]
    assert [PREEMPTED, SLEEPING, waits.UNINTERRUPTIBLE, waits.OTHER] == [0, 1, 2, 3]
    assert defines(program)["NO_CALL"] == waits.NO_CALL


@dataclass(frozen=True)
class Wait:
    """One wait of a thread, in seconds from T0. woken: None where it came back without, or was preempted."""

    left: int
    came: int
    woken: int | None = None
    preempted: bool = False


@dataclass
class Kernel:
    """Plays the places of threads and the ring of long waits; a thread waits once. early: it tells wakes as they come,
    not only with the end."""

    waits: list[Wait]
    tells_wakes: bool
    now: int = T0
    read_until: int = T0
    calls: int = 0
    sizes: list[int] = field(default_factory=list)

    def row(self, tid: int, wait: Wait, dtype: np.dtype[np.void], at: int) -> np.ndarray:
        out = np.zeros(1, dtype)
        out["tid"], out["pid"], out["out_ns"] = tid, 7, T0 + wait.left
        woken = T0 + wait.woken if wait.woken is not None else 0
        out["woken_ns"] = woken if woken <= at and (self.tells_wakes or dtype == WAIT) else 0
        out["why"] = (PREEMPTED if wait.preempted else SLEEPING) << 16 | 35
        if dtype == WAIT:
            out["end_ns"] = T0 + wait.came
        return out

    def ring(self) -> np.ndarray:
        """What was written since the last time."""
        found = [
            self.row(tid, wait, WAIT, self.now)
            for tid, wait in enumerate(self.waits, 1)
            if self.read_until < T0 + wait.came <= self.now
        ]
        self.read_until = self.now
        return np.concatenate([np.zeros(0, WAIT), *found])

    def since(self, before_ns: int) -> np.ndarray:
        found = [
            self.row(tid, wait, OFF, self.now)
            for tid, wait in enumerate(self.waits, 1)
            if T0 + wait.left <= self.now < T0 + wait.came and T0 + wait.left < before_ns
        ]
        return np.concatenate([np.zeros(0, OFF), *found])

    def tid_of(self, tids: np.ndarray) -> np.ndarray:
        return tids


def told(kernel: Kernel, drains: list[tuple[int, int]]) -> list[np.ndarray]:
    """What is told in drains that read the ring at one moment and the places a little later, of the ns since T0."""
    clock = SimpleNamespace(
        monotonic=lambda: kernel.now / S, clock_gettime_ns=lambda _clock: kernel.now, CLOCK_MONOTONIC=1
    )
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waits, "time", clock)
        state = Waits(Settings())
        for i, (ring_at, places_at) in enumerate(drains):
            kernel.now = T0 + ring_at
            long = kernel.ring()
            kernel.now = T0 + places_at
            found += [state.over(long), state.so_far(kernel, last=i == len(drains) - 1)]  # type: ignore[arg-type]
            kernel.sizes.append(len(state._told))
    return found


def by_part(found: list[np.ndarray], tid: int, column: str = "total_ns") -> dict[int, int]:
    """Sums of a thread's parts."""
    out: Counter[int] = Counter()
    for parts in found:
        for part, value in parts[parts["tid"] == tid][["part", column]].tolist():
            out[part] += value
    return dict(out)


@st.composite
def long_waits(draw: st.DrawFn) -> Wait:
    left = draw(st.integers(0, 5 * S))
    came = left + draw(st.integers(S, 20 * S))
    preempted = draw(st.booleans())
    woken = None if preempted else draw(st.one_of(st.none(), st.integers(left + 1, came)))
    return Wait(left, came, woken, preempted)


moments = st.lists(st.tuples(st.integers(0, 25 * S), st.integers(0, S)), max_size=30)


@given(st.lists(long_waits(), min_size=1, max_size=4), moments, st.booleans())
@example([Wait(0, 4 * S + 5)], [(i * S, 10) for i in range(10)], True)  # it ends between the two readings
@example([Wait(0, 9 * S, woken=2 * S)], [(i * S, 10) for i in range(11)], True)
@example([Wait(0, 9 * S, woken=2 * S)], [(i * S, 10) for i in range(11)], False)
@example([Wait(0, 9 * S, preempted=True)], [(i * S, 10) for i in range(11)], True)
def test_what_is_told_so_far_and_the_rest_at_the_end_make_up_the_whole(
    drawn: list[Wait], at: list[tuple[int, int]], tells_wakes: bool
) -> None:
    drains = [(ring, ring + later) for ring, later in sorted(at)]
    drains = [
        (max(ring, before), max(places, ring, before))
        for (ring, places), before in zip(
            drains, [0, *np.maximum.accumulate([places for _, places in drains]).tolist()], strict=False
        )
    ]
    drains += [(60 * S, 60 * S), (61 * S, 61 * S)]  # the last of the ring, and then nothing is left
    kernel = Kernel(drawn, tells_wakes)
    found = told(kernel, drains)
    for tid, wait in enumerate(drawn, 1):
        parts = by_part(found, tid)
        assert sum(parts.values()) == wait.came - wait.left, "the whole, and nothing twice"
        until = wait.left if wait.preempted else wait.came if wait.woken is None else wait.woken
        if tells_wakes or wait.woken is None:
            assert parts.get(BLOCKED, 0) == until - wait.left
        else:
            assert parts.get(BLOCKED, 0) >= until - wait.left
        counts = by_part(found, tid, "n")
        assert counts == dict.fromkeys(parts, 1), "each part is one wait"
        mine = np.concatenate(found)
        mine = mine[mine["tid"] == tid]
        for part, ns in parts.items():
            assert mine["max_ns"][mine["part"] == part].max() == ns, "as long as it was at last"
    assert max(kernel.sizes) <= 2 * len(drawn)
    assert kernel.sizes[-1] == 0, "nothing is remembered of waits that are over"


def test_a_wait_that_never_ends_is_told_every_second_and_up_to_the_last_moment() -> None:
    kernel = Kernel([Wait(0, 10_000 * S)], True)
    drains = [(i * S // 4, i * S // 4) for i in range(42)]
    found = [parts for parts in told(kernel, drains) if len(parts)]
    assert by_part(found, 1) == {BLOCKED: 41 * S // 4}
    assert 10 <= len(found) <= 12
    assert [int(parts["time_ns"][0]) for parts in found] == sorted(int(parts["time_ns"][0]) for parts in found)


def test_short_waits_that_go_on_at_the_end_are_told_as_well() -> None:
    kernel = Kernel([Wait(5 * S, 6 * S)], True)
    found = told(kernel, [(0, 0), (5 * S + 1000, 5 * S + 1000)])
    assert by_part(found, 1) == {BLOCKED: 1000}


def test_many_waits_are_told_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "_THREADS_A_SECOND", 10)
    kernel = Kernel([Wait(0, 1000 * S)] * 40, True)
    found = told(kernel, [(i * S, i * S) for i in range(1, 41)])
    assert sum(map(len, found)) <= 40 * 12, "no more than ten a second"
    assert [by_part(found, tid) for tid in range(1, 41)] == [{BLOCKED: 40 * S}] * 40


def test_what_was_woken_and_waits_for_a_cpu_is_told_so_while_it_does() -> None:
    found = told(Kernel([Wait(0, 1000 * S, woken=2 * S)], True), [(i * S, i * S) for i in range(1, 8)])
    assert by_part(found, 1) == {BLOCKED: 2 * S, RUNNABLE: 5 * S}


def test_memory_of_what_was_told_goes_with_waits_whose_end_was_lost() -> None:
    """The ring was full: what of them was told is all that there is."""
    kernel = Kernel([Wait(0, 5 * S)], True)
    kernel.ring = lambda: np.zeros(0, WAIT)  # type: ignore[method-assign]
    found = told(kernel, [(i * S, i * S) for i in range(12)])
    assert by_part(found, 1) == {BLOCKED: 4 * S}
    assert kernel.sizes[-1] == 0


def test_a_thread_that_sat_in_a_call_before_counts_from_when_we_looked() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        deadline = real_time.monotonic() + 20
        while "read" not in reason(call_of(child.pid) | SLEEPING << 16) and real_time.monotonic() < deadline:
            real_time.sleep(0.02)
        state = Waits(Settings(pids=(child.pid,)))
        state.look_at_what_goes_on()
        looked = real_time.monotonic_ns()
        places = np.zeros(1 << 15, CALL_SLOT)
        slots = SimpleNamespace(
            since=lambda _before: np.zeros(0, OFF), tid_of=lambda tids: places["tid"][tids & np.uint32((1 << 15) - 1)]
        )
        first = state.so_far(slots, last=True)  # type: ignore[arg-type]  # the kernel knows nothing of it
        assert first["tid"].tolist() == [child.pid]
        assert first["part"].tolist() == [BLOCKED]
        assert reason(int(first["why"][0])) == "read"
        assert int(first["total_ns"][0]) <= real_time.monotonic_ns() - looked + 1_000_000_000
        places["tid"][child.pid & ((1 << 15) - 1)] = child.pid  # it has been on a CPU since
        assert len(state.so_far(slots, last=True)) == 0  # type: ignore[arg-type]
    finally:
        child.kill()
        child.wait()


def call_of(pid: int) -> int:
    """The call that a process's main thread sits in, or NO_CALL."""
    with open(f"/proc/{pid}/syscall") as file:
        word = file.read().split()[0]
    return int(word) if word.isdecimal() else waits.NO_CALL


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_reasons_in_words() -> None:
    def said(state: int, call: int) -> str:
        return reason(state << 16 | call)

    assert said(PREEMPTED, waits.NO_CALL) == "runnable"
    assert said(SLEEPING, 0) == "read"
    assert said(SLEEPING, 202) == "futex"
    assert said(SLEEPING, 1 << 13 | 3) == "read (32-bit)"
    assert said(waits.UNINTERRUPTIBLE, 0).startswith("read (")
    assert said(waits.UNINTERRUPTIBLE, waits.NO_CALL).startswith("page fault")
    assert said(waits.OTHER, waits.NO_CALL) == "stopped"
    assert "999" in said(SLEEPING, 999)


def test_what_waits_for_a_cpu_is_runnable_whatever_it_blocked_in_before() -> None:
    symbols = Symbols()
    why = np.array([SLEEPING << 16, SLEEPING << 16, PREEMPTED << 16 | waits.NO_CALL], np.uint32)
    found = names(why, np.array([BLOCKED, RUNNABLE, RUNNABLE], np.uint64), symbols)
    assert [symbols.strings[i] for i in found.tolist()] == [reason(SLEEPING << 16), "runnable", "runnable"]
