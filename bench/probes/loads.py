"""Loads that do one thing a fixed number of times: the CPU time of one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.launch import FailedError, Program
from bench.load import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCES: Final = Path(__file__).parents[1] / "programs"
_PATIENCE_S: Final = 120.0

GETPPID: Final = "getppid loop"
DD: Final = "dd bs=1"
SYSCALL: Final = "perf bench syscall basic"
PIPE: Final = "perf bench sched pipe, one CPU"
SERVER: Final = "server on a loopback socket"


@dataclass(frozen=True, slots=True)
class Load:
    """command: to it the number of times is appended. count: so often, in about a sixth of a second if not watched.

    calls: what one time has of `noun`. tells: it prints how often and the CPU nanoseconds of it; of another the CPU
    time of the whole command counts, less that of a start for a single time. missing: why it cannot be run, or "".
    """

    name: str
    noun: str
    command: tuple[str, ...]
    count: int
    calls: int = 1
    tells: bool = False
    missing: str = ""

    def cpu_ns(self, folder: Path, share: float = 1.0, wrap: Sequence[str] = ()) -> float:
        """CPU time of one call, user and system. wrap: a command that runs it. Raises FailedError."""
        count = max(2, round(self.count * share))
        if self.tells:
            return self._told_ns(folder, count, wrap) / self.calls
        whole, start = (_paid_ns((*wrap, *self._times(n)), folder) for n in (count, 1))
        if whole <= start:
            raise FailedError(f"{self.name}: over too soon to be timed")
        return (whole - start) / (count - 1) / self.calls

    def _times(self, count: int) -> tuple[str, ...]:
        return (*self.command[:-1], f"{self.command[-1]}{count}")

    def _told_ns(self, folder: Path, count: int, wrap: Sequence[str]) -> float:
        command = [*wrap, *self._times(count)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise FailedError(f"{self.name}: not done within {_PATIENCE_S:.0f} s") from None
        words = done.stdout.split()
        if done.returncode != 0 or len(words) != 2:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise FailedError(f"{self.name}: {said[-1] if said else f'ended with status {done.returncode}'}")
        return int(words[1]) / int(words[0])


def _paid_ns(command: tuple[str, ...], folder: Path) -> float:
    program = Program(command, folder)
    try:
        ended = program.wait(_PATIENCE_S)
    finally:
        program.kill()
    if ended.status != 0:
        raise FailedError(f"{command[0]} ended with status {ended.status}")
    return ended.cpu_s * 1e9


def compiled(name: str, scratch: Path) -> Path:
    """A program of bench/programs. Raises LoadError where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise LoadError("no C compiler: apt-get install gcc libc6-dev")
    program = scratch / name
    subprocess.run([compiler, "-O2", "-pthread", str(_SOURCES / f"{name}.c"), "-o", str(program)], check=True)
    return program


def built(scratch: Path) -> dict[str, Load]:
    """The loads by name. The last word of a command has the number of times at its end."""
    calls, serve = (str(compiled(name, scratch)) for name in ("calls", "serve"))
    bench = ("perf", "bench")
    loads = [
        Load(GETPPID, "call", (calls, ""), 1_500_000, tells=True),
        Load(DD, "call", ("dd", "status=none", "if=/dev/zero", "of=/dev/null", "bs=1", "count="), 400_000, calls=2),
        Load(SYSCALL, "call", (*bench, "syscall", "basic", "-l", ""), 1_200_000, missing=_missing("perf")),
        Load(
            PIPE,
            "operation",
            ("taskset", "-c", "0", *bench, "sched", "pipe", "-l", ""),
            40_000,
            missing=_missing("perf", "taskset"),
        ),
        Load(SERVER, "request", (serve, ""), 30_000, tells=True),
    ]
    return {load.name: load for load in loads}


def _missing(*commands: str) -> str:
    absent = [command for command in commands if shutil.which(command) is None]
    return f"{absent[0]} is not installed" if absent else ""
