"""Calls that had begun before anybody looked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aperture_tui.collect.settings import Settings
from aperture_tui.collect.syscalls import begun
from aperture_tui.collect.syscalls.begun import CALL_SLOT, Begun
from aperture_tui.collect.syscalls.names import name
from tests.collect.c_structures import assert_mirrors, layout
from tests.collect.collecting import await_true
from tests.programs import build
from tests.truth.told import started

pytestmark = pytest.mark.skipif(not os.access("/proc/self/syscall", os.R_OK), reason="the kernel does not tell calls")

PLACES = 1 << 15


def test_the_layout_is_that_of_the_c_structure() -> None:
    assert_mirrors(CALL_SLOT, layout("calls.bpf.c", "call"))


class Places:
    """The places of threads, as the program leaves them: here it has seen nobody yet."""

    def __init__(self) -> None:
        self.tids = np.zeros(PLACES, np.uint32)

    def tid_of(self, tids: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.tids[tids & np.uint32(PLACES - 1)]
        return found

    def see(self, tid: int) -> None:
        self.tids[tid & PLACES - 1] = tid


def looked(**settings: object) -> Begun:
    made = Begun(Settings(**settings))  # type: ignore[arg-type]  # the test's own words
    made.look()
    return made


def of(rows: np.ndarray, pid: int) -> dict[int, str]:
    """tid -> call, of a process."""
    return {tid: name(nr) for tid, nr in rows[rows["pid"] == pid][["tid", "nr"]].tolist()}


def sits_in(tid: int, call: str) -> bool:
    """Whether a thread does, as /proc tells: it takes a moment to get there."""
    try:
        word = Path(f"/proc/{tid}/syscall").read_text().split()[0]
    except (OSError, IndexError):
        return False
    return word.isdecimal() and name(int(word)) == call


@contextmanager
def blocked(seconds: float = 30) -> Iterator[tuple[int, int]]:
    """A process whose second thread blocks in read -> pid, tid."""
    with started("blocked", "pipe", seconds) as program:
        program.go()
        tid = program.line()["tids"][0]
        await_true(lambda: sits_in(tid, "read") and sits_in(program.pid, "clock_nanosleep"))
        yield program.pid, tid


def test_a_thread_that_is_blocked_is_found_with_its_call_and_its_process() -> None:
    with blocked() as (pid, tid):
        before = time.monotonic_ns()
        state = looked()
        after = time.monotonic_ns()
        rows = state.still(Places())  # type: ignore[arg-type]  # what it asks of them
        assert of(rows, pid)[tid] == "read"
        assert of(rows, pid)[pid] == "clock_nanosleep"
        (mine,) = rows[rows["tid"] == tid]
        assert before <= mine["start_ns"] <= after, "as long as we know of"
        began_ns = float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) * 1e9
        assert mine["process_ns"] == int(began_ns) // os.sysconf("SC_CLK_TCK")


def test_a_process_is_asked_once_about_itself_however_many_threads_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/PID/stat adds up all threads: asked for each of ten thousand it took twenty seconds."""
    asked: list[int] = []
    told = begun._start_ns

    def counted(pid: int) -> int:
        asked.append(pid)
        return told(pid)

    monkeypatch.setattr(begun, "_start_ns", counted)
    with blocked() as (pid, tid):
        rows = looked().still(Places())  # type: ignore[arg-type]  # what it asks of them
        assert set(of(rows, pid)) == {pid, tid}
    assert asked.count(pid) == 1


def test_no_more_threads_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with blocked() as (pid, _tid):
        for room, is_whole in ((1, False), (2, True)):
            monkeypatch.setattr(begun, "MAX_THREADS", room)
            state = looked(pids=(pid,))
            assert len(state.still(Places())) == room  # type: ignore[arg-type]  # what it asks of them
            assert state.is_whole == is_whole


def test_threads_that_run_and_threads_of_the_kernel_sit_in_no_call() -> None:
    kernel_threads = {
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdecimal() and not Path(f"/proc/{entry}").joinpath("cmdline").read_bytes()
    }
    child = subprocess.Popen([build("burn", "-O2"), "20", "1", "5"], stdout=subprocess.DEVNULL)
    try:
        await_true(lambda: len(os.listdir(f"/proc/{child.pid}/task")) == 2)
        time.sleep(0.1)
        rows = looked().still(Places())  # type: ignore[arg-type]
        (burning,) = {int(tid) for tid in os.listdir(f"/proc/{child.pid}/task")} - {child.pid}
        assert of(rows, child.pid) == {child.pid: "futex"}, "its main thread waits for the other, which runs"
        assert burning not in rows["tid"]
        assert not kernel_threads & {int(pid) for pid in rows["pid"]} & kernel_threads_now()
    finally:
        child.kill()
        child.wait()


def kernel_threads_now() -> set[int]:
    """Children of kthreadd."""
    found = set()
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if words[1] == "2":
            found.add(int(entry))
    return found


def test_what_the_kernel_has_seen_since_is_left_to_it() -> None:
    with blocked() as (pid, tid):
        state, places = looked(pids=(pid,)), Places()
        assert tid in of(state.still(places), pid)  # type: ignore[arg-type]
        places.see(tid)
        assert tid not in of(state.still(places), pid)  # type: ignore[arg-type]
        assert pid in of(state.still(places), pid), "the other thread's call goes on"  # type: ignore[arg-type]
        places.see(tid + PLACES)
        assert tid not in of(state.still(places), pid), "it does not come back"  # type: ignore[arg-type]


def test_a_thread_that_has_died_is_dropped_though_the_kernel_did_not_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begun, "_SWEEP_S", 0.0)
    with blocked() as (pid, tid):
        state = looked(pids=(pid,))
        assert tid in of(state.still(Places()), pid)  # type: ignore[arg-type]
    assert len(state.still(Places())) == 0  # type: ignore[arg-type]


def test_only_chosen_processes_are_looked_at() -> None:
    with blocked() as (one, _), blocked() as (other, _):
        rows = looked(pids=(one,)).still(Places())  # type: ignore[arg-type]
        assert set(rows["pid"].tolist()) == {one}
        rows = looked(pids=(one, other)).still(Places())  # type: ignore[arg-type]
        assert set(rows["pid"].tolist()) == {one, other}
        rows = looked(pids=(1 << 22,)).still(Places())  # type: ignore[arg-type]
        assert len(rows) == 0, "there is none"


def test_only_chosen_control_groups_and_what_is_below_them_are_looked_at(tmp_path: Path) -> None:
    """Their files are played by the test: what matters is which are read."""
    inner = tmp_path / "service" / "worker"
    inner.mkdir(parents=True)
    with blocked() as (one, _), blocked() as (other, _), blocked() as (third, _):
        (tmp_path / "service" / "cgroup.procs").write_text(f"{one}\n")
        (inner / "cgroup.procs").write_text(f"{other}\n")
        rows = looked(cgroups=(str(tmp_path / "service"),)).still(Places())  # type: ignore[arg-type]
        assert set(rows["pid"].tolist()) == {one, other}
        rows = looked(cgroups=(str(inner),)).still(Places())  # type: ignore[arg-type]
        assert set(rows["pid"].tolist()) == {other}
        rows = looked(cgroups=(str(tmp_path / "service"),), pids=(third, one)).still(Places())  # type: ignore[arg-type]
        assert set(rows["pid"].tolist()) == {one}, "both filters"


def test_32_bit_programs_are_in_calls_of_the_32_bit_table() -> None:
    try:
        program = build("calls32", "-O2", "-m32", "-nostdlib", "-static", "-ffreestanding")
        child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"no 32-bit programs here: {error}")
    try:
        await_true(lambda: Path(f"/proc/{child.pid}/syscall").read_text().startswith("3 "))
        rows = looked(pids=(child.pid,)).still(Places())  # type: ignore[arg-type]
        assert of(rows, child.pid) == {child.pid: "read (32-bit)"}, "3 is close in the other table"
    finally:
        child.kill()
        child.wait()


def test_a_process_that_goes_while_we_look_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr(begun, "_entries", lambda folder: [str(gone.pid)])
    assert len(looked().still(Places())) == 0  # type: ignore[arg-type]


def test_nothing_is_read_when_nobody_looked() -> None:
    assert len(Begun(Settings()).still(SimpleNamespace())) == 0  # type: ignore[arg-type]
