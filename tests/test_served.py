"""Sessions beside a file system that does not answer, as of a dead NFS server or a daemon of FUSE that hangs."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aperture_tui.cli import export
from aperture_tui.recording.replay import replay
from tests.collect.collecting import FRAME_POINTERS, Kept, await_true, collecting
from tests.programs import build
from tests.served import Served, served

pytestmark = pytest.mark.bpf
_HUNG_S = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "far", build("burn", *FRAME_POINTERS)) as made:
        yield made


@contextlib.contextmanager
def burning(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that burns CPU, and has begun to."""
    with subprocess.Popen([*map(str, words), "120", "1", "5"], stdout=subprocess.DEVNULL) as child:
        try:
            await_true(lambda: _cpu_ticks(child.pid) > 5)
            yield child
        finally:
            child.kill()


def _cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def far(server: Served) -> list[str]:
    """The command line of the program that lies there."""
    return server.inside(server.folder / build("burn", *FRAME_POINTERS).name)


def near(tmp_path: Path) -> Path:
    """The same program, here, by another name."""
    program = tmp_path / "near"
    program.write_bytes(build("burn", *FRAME_POINTERS).read_bytes())
    program.chmod(0o755)
    return program


def are_whole(kept: Kept, pid: int) -> bool:
    """Whether most of the newest stacks of a process have all its functions."""
    stacks = kept.stacks(pid, time.time_ns() - 1_000_000_000)
    whole = sum(n for stack, n in stacks.items() if {"run", "descend", "leaf"} <= set(stack))
    return whole > 0.5 * stacks.total() > 0


@pytest.mark.parametrize("mounted", ["elsewhere", "here"])
def test_a_recording_ends_in_time_beside_files_that_do_not_answer(
    mounted: str, server: Served, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the mount namespace of the program alone, or in that of the profiler too."""
    path = tmp_path / "x.aperture"
    record = [sys.executable, "-m", "aperture_tui.cli.main", "record", "--duration", "3", "-o", str(path)]
    with burning(*far(server)) as stuck, burning(near(tmp_path)) as other:
        server.hold()
        words = [*record, "-p", str(stuck.pid), "-p", str(other.pid)]
        recording = subprocess.Popen(server.inside(*words) if mounted == "here" else words)
        try:
            assert recording.wait(timeout=_HUNG_S) == 0
        finally:
            server.go()  # or neither of them could be ended
            recording.kill()
            recording.wait()
    assert export.run([str(path)]) == 0
    stacks = [line.rpartition(" ")[0].split(";") for line in capfd.readouterr().out.splitlines()]
    of_stuck = [stack for stack in stacks if stack[0].startswith("burn")]
    of_other = [stack for stack in stacks if stack[0].startswith("near")]
    assert any({"leaf", "descend"} & set(stack) for stack in of_other)
    assert of_stuck
    assert all(any(re.match(r"\[burn.*\+0x", frame) for frame in stack) for stack in of_stuck), of_stuck
    naming = next(health for health in replay(path).health() if health.name == "naming")
    assert naming.message == f"files of {server.folder} do not answer: names of 1 file unknown"


def test_names_come_when_the_files_answer_again(server: Served) -> None:
    with burning(*far(server)) as stuck:
        server.hold()
        with collecting(pids=(stuck.pid,)) as kept:
            await_true(lambda: kept.batches and len(kept.of(stuck.pid)) > 100, 60)
            await_true(lambda: _message(kept).startswith(f"files of {server.folder} do not answer"), 60)
            assert not any("descend" in stack for stack in kept.stacks(stuck.pid))
            server.go()
            await_true(lambda: are_whole(kept, stuck.pid), 60)
            await_true(lambda: not _message(kept), 60)


def _message(kept: Kept) -> str:
    naming = kept.health_of("naming")
    return naming.message if naming else ""
