from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from aperture_tui.collect import bpf
from aperture_tui.collect.clock import Clock
from aperture_tui.collect.processes import Processes
from aperture_tui.collect.sideband import Event, Exited, Forked, Mapped, Named, Sideband

pytestmark = pytest.mark.bpf


def follow(sideband: Sideband, done: object) -> list[Event]:
    """Drain until the predicate holds for the events so far, at most ten seconds."""
    events: list[Event] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not done(events):  # type: ignore[operator]
        events += sideband.drain()
        time.sleep(0.02)
    return events


@pytest.fixture
def sideband() -> object:
    opened = Sideband()
    opened.follow(bpf.online_cpus())
    yield opened
    opened.close()


def test_the_life_of_a_process_is_told_in_order(sideband: Sideband) -> None:
    child = subprocess.Popen(["/bin/sleep", "0.05"])
    child.wait()
    assert not sideband.is_quiet
    events = follow(sideband, lambda seen: any(isinstance(e, Exited) and e.pid == child.pid for e in seen))
    mine = [e for e in events if e.pid == child.pid]
    assert [type(e) for e in mine if not isinstance(e, Mapped)] == [Forked, Named, Exited]
    (named,) = (e for e in mine if isinstance(e, Named))
    assert (named.name, named.exec) == (b"sleep", True)
    mapped = {e.mapping().path.rsplit("/", 1)[-1] for e in mine if isinstance(e, Mapped)}
    assert {"sleep", "libc.so.6", "[vdso]"} <= mapped
    assert all(e.time_ns > named.time_ns for e in mine if isinstance(e, Mapped)), (
        "a new program's mappings come after it"
    )
    assert sideband.lost == 0


def test_an_exec_is_told_before_its_mappings_though_their_ring_was_read_after_its_own(
    sideband: Sideband, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that begins while the rings are read, and goes on to a CPU whose ring was not read yet."""
    cpus = bpf.online_cpus()
    if len(cpus) < 2:
        pytest.skip("one CPU has one ring")
    first, *_, last = sideband._rings
    ring = sideband._rings[first][1]
    sideband.drain()
    pids: list[int] = []
    script = f"import os; os.sched_setaffinity(0, [{last}]); os.execv('/bin/sleep', ['sleep', '0'])"

    def take() -> bytes:
        data = type(ring).take(ring)
        if not pids:
            child = subprocess.Popen(
                [sys.executable, "-c", script], preexec_fn=lambda: os.sched_setaffinity(0, [first])
            )
            child.wait()
            pids.append(child.pid)
        return data

    monkeypatch.setattr(ring, "take", take)
    drains = [[e for e in sideband.drain() if e.pid in pids] for _ in range(2)]
    mine = [e for events in drains for e in events]
    assert {type(e) for e in mine} == {Forked, Named, Mapped, Exited}
    assert mine == sorted(mine, key=lambda e: e.time_ns)
    assert sideband.is_quiet or not [e for e in sideband.drain() if e.pid in pids]


def test_a_new_name_is_told_apart_from_a_new_program(sideband: Sideband) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "printf renamed > /proc/$$/comm; :"])
    child.wait()
    events = follow(sideband, lambda seen: any(isinstance(e, Exited) and e.pid == child.pid for e in seen))
    names = [(e.name, e.exec) for e in events if isinstance(e, Named) and e.pid == child.pid]
    assert names[-2:] == [(b"sh", True), (b"renamed", False)]


def test_more_events_than_the_ring_holds_are_counted_as_lost(sideband: Sideband) -> None:
    cpu = bpf.online_cpus()[0]  # one CPU, one ring

    def run(times: int) -> None:
        loop = f"i=0; while [ $i -lt {times} ]; do i=$((i+1)); /bin/true; done"
        subprocess.run(["/bin/sh", "-c", loop], check=True, preexec_fn=lambda: os.sched_setaffinity(0, [cpu]))

    run(2000)
    assert 0 < len(sideband.drain()) < 2000 * 8
    run(1)  # the kernel tells of the loss with the next event that has room
    follow(sideband, lambda seen: sideband.lost > 0)
    assert sideband.lost > 0


def test_programs_are_known_to_have_ended_at_an_exec_and_at_the_end() -> None:
    """By the clock of files: who had mapped one before it was changed had another one."""
    processes = Processes(Clock.now())
    processes.follow(bpf.online_cpus())
    try:
        began_ns = time.time_ns()
        script = "import os; print(flush=True); input(); os.execv('/bin/cat', ['cat'])"
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            processes.update()
            python = processes.image(child.pid, time.monotonic_ns(), b"")
            assert not python.space.ended
            said_ns = time.time_ns()
            child.stdin.write(b"\n")
            child.stdin.flush()
            deadline = time.monotonic() + 10
            while processes.image(child.pid, time.monotonic_ns(), b"").name != b"cat" and time.monotonic() < deadline:
                time.sleep(0.01)
                processes.update()
            execed_ns = time.time_ns()
            cat = processes.image(child.pid, time.monotonic_ns(), b"")
            assert not cat.space.ended
        over_ns = time.time_ns()
        processes.update()
        assert began_ns < said_ns < python.space.ended_ns < execed_ns < cat.space.ended_ns < over_ns
    finally:
        processes.close()
