"""What is watched: processes with their children, and control groups, by every collector that traces."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.collect import bpf, targets
from aperture_tui.collect.cgroups import directory
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.targets import MAX_CGROUPS, Targets
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from tests.collect.c_structures import defines
from tests.collect.collecting import Kept, collecting
from tests.programs import build
from tests.truth.told import NO_FRAME_POINTERS

pytestmark = pytest.mark.bpf

EVENTS = ("cpu", "offcpu", "syscall", "lock")
KINDS = {Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK}


def busy() -> str:
    """A shell's words for what gives every collector something: CPU, calls, waits, and a lock that is held."""
    programs = [
        f"{build('mutexes', *NO_FRAME_POINTERS)} own 2 200 200 </dev/null",
        f"{build('calls', *NO_FRAME_POINTERS)} 300000 0 2 </dev/null",
    ]
    return "; ".join(f"{program} >/dev/null" for program in programs)


def watched(kept: Kept) -> set[int]:
    """The processes that events are of; who woke them may be anybody, and nobody (0) waits for a kernel's lock."""
    events = kept.events()
    return set(events["pid"][events["flags"] >> ROLE_SHIFT & 3 != Role.WAKER].tolist()) - {0}


def kinds_of(kept: Kept, pids: set[int]) -> set[Kind]:
    events = kept.events()
    return {Kind(kind) for kind in np.unique(events["kind"][np.isin(events["pid"], list(pids))]).tolist()}


def test_a_filtered_process_is_followed_to_its_children_by_all_collectors() -> None:
    """And to theirs; what runs beside it leaves no trace in any."""
    script = f"read _; ( {busy()} ) & {busy()}; wait"
    other = subprocess.Popen(["/bin/sh", "-c", f"while :; do {busy()}; done"], start_new_session=True)
    chosen = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE)
    assert chosen.stdin is not None
    try:
        with collecting(pids=(chosen.pid,), events=EVENTS) as kept:
            chosen.stdin.write(b"\n")
            chosen.stdin.close()
            chosen.wait(timeout=60)
    finally:
        os.killpg(other.pid, 9)
        other.wait()
    pids = watched(kept)
    assert other.pid not in pids
    assert kinds_of(kept, pids - {chosen.pid}) >= KINDS, "of its children alone"
    assert len(pids) == 5, "a shell with two programs, and one that it forked, which becomes its second"
    names = {process.name for process, _ in kept.by_process() if process.pid in pids}
    assert names == {"sh", *(build(name, *NO_FRAME_POINTERS).name[:15] for name in ("mutexes", "calls"))}


@pytest.fixture
def group() -> Iterator[Path]:
    try:
        made = directory("/") / f"aperture-targets-{os.getpid()}"
        made.mkdir()
    except (ValueError, OSError) as error:
        pytest.skip(f"no cgroup2 hierarchy that can be changed: {error}")
    (made / "inner").mkdir()
    yield made
    (made / "inner").rmdir()
    made.rmdir()


def test_a_control_group_is_watched_with_what_is_below_it_by_all_collectors(group: Path) -> None:
    other = subprocess.Popen(["/bin/sh", "-c", f"while :; do {busy()}; done"], start_new_session=True)
    try:
        with collecting(cgroups=(str(group),), events=EVENTS) as kept:
            for place in (group, group / "inner"):
                script = f"echo $$ >{place}/cgroup.procs; {busy()}; read _"
                shell = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE)
                await_named(kept, shell.pid)
                shell.communicate(timeout=60)
    finally:
        os.killpg(other.pid, 9)
        other.wait()
    pids = watched(kept)
    assert other.pid not in pids
    assert len(pids) == 6, "each time a shell and two programs"
    assert kinds_of(kept, pids) >= KINDS
    groups = {process.cgroup for process, _ in kept.by_process() if process.pid in pids}
    assert groups - {""} == {f"/{group.name}", f"/{group.name}/inner"}, "of one that was gone it is not known"


def await_named(kept: Kept, pid: int) -> None:
    """Until a process has been told of: its control group is read while it is there, by a drain, and not later."""
    until = time.monotonic() + 30
    while not any(process.pid == pid for process, _ in kept.by_process()):
        assert time.monotonic() < until, f"nothing is told of process {pid}"
        time.sleep(0.05)


def pids_in(made: Targets) -> set[int]:
    keys, values = np.zeros(1024, np.dtype([("pid", "<u4")])), np.zeros(1024, np.dtype([("on", "u1")]))
    n = bpf.read_hash(made.fds["filter_pids"], keys, values)
    return set(keys["pid"][:n].tolist())


def test_the_filter_says_what_was_chosen(group: Path) -> None:
    made = Targets(Settings(pids=(11, 12), cgroups=(str(group),)))
    try:
        by = bpf.lookup(made.fds["filter"], bytes(4), 8)
        assert by is not None
        assert struct.unpack("=II", by) == (1, 1)
        assert {11, 12} <= pids_in(made)
    finally:
        made.close()
    assert made.fds == {}
    nothing = Targets(Settings())
    try:
        by = bpf.lookup(nothing.fds["filter"], bytes(4), 8)
        assert by == bytes(8), "everything is watched"
        assert nothing.lost == 0
    finally:
        nothing.close()


def test_processes_that_have_ended_make_room() -> None:
    script = "read _; for i in 1 2 3 4 5 6 7 8; do /bin/true; done; read _"
    parent = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE)
    made = Targets(Settings(pids=(parent.pid,)))
    try:
        assert parent.stdin is not None
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        assert pids_in(made) >= {parent.pid}
        parent.stdin.write(b"\n")
        parent.stdin.close()
        parent.wait(20)
        assert pids_in(made) == set()
    finally:
        made.close()


def test_children_that_find_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_MAX_PIDS", 2)
    parent = subprocess.Popen(
        ["/bin/sh", "-c", "read _; sleep 5 & sleep 5 & sleep 5 & wait"], stdin=subprocess.PIPE, start_new_session=True
    )
    made = Targets(Settings(pids=(parent.pid,)))
    try:
        assert parent.stdin is not None
        parent.stdin.close()
        while len(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()) < 3:
            pass
        assert len(pids_in(made)) == 2
        assert made.lost == 2
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()
        made.close()


def test_a_control_group_that_is_gone_is_an_error_and_leaves_nothing() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Targets(Settings(pids=(1,), cgroups=("/sys/fs/cgroup/no-such-group",)))
    assert set(os.listdir("/proc/self/fd")) <= before


def test_there_is_room_for_as_many_control_groups_as_the_program_looks_at() -> None:
    assert defines("filter.h")["MAX_CGROUPS"] == MAX_CGROUPS


def test_more_control_groups_than_that_are_not_left_out_in_silence(group: Path) -> None:
    with pytest.raises(OSError, match=f"at most {MAX_CGROUPS} are watched"):
        Targets(Settings(cgroups=(str(group),) * (MAX_CGROUPS + 1)))
