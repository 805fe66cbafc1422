"""The modules of this group that run as processes of their own: what they are asked, what they answer."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from bench import launch, profilers
from bench.launch import FailedError, Program
from bench.profilers import OURS, RECORDING, Profiler

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S: Final = 120.0
_CACHE: Final = "/var/cache/aperture/unwind"
_EMPTY: Final = f'mkdir -p -m 700 {_CACHE} && mount -t tmpfs -o mode=0700 none {_CACHE} && exec "$@"'


def answer(module: str, *arguments: str | float | Path, timeout_s: float = _PATIENCE_S) -> dict[str, Any]:
    """Run bench.unwind.MODULE to its end -> the JSON that it prints. Raises FailedError."""
    command = [sys.executable, "-m", f"bench.unwind.{module}", *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, env=launch.environment())
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise FailedError(f"{module}: not done within {timeout_s:.0f} s") from None
    except ValueError:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise FailedError(f"{module}: {words[-1] if words else 'no answer'}") from None
    return found


def recorded(scratch: Path, began_ns: int = 0, ended_ns: int = 1 << 62) -> dict[str, Any]:
    """What `recording` says of the recording in this folder between two Unix times. Raises FailedError."""
    return answer("recording", scratch / RECORDING, began_ns, ended_ns)


def record(hz: int, *more: str) -> Profiler:
    """`aperture record`."""
    ours = profilers.ours(hz)
    return Profiler(ours.name, ours.family, (*ours.command, *more))


def record_without(hz: int, *more: str) -> Profiler:
    """`aperture record` as on a kernel that refuses the unwinder: by frame pointers."""
    command = (sys.executable, "-m", "bench.unwind.off", *profilers.ours(hz).command[1:], *more)
    return Profiler(f"without the unwinder -F {hz}", OURS, command)


def record_uncached(hz: int) -> Profiler:
    """`aperture record` that finds no tables on disk: an empty folder is mounted there, for it alone."""
    ours = profilers.ours(hz)
    return Profiler(ours.name, ours.family, ("unshare", "--mount", "sh", "-c", _EMPTY, "sh", *ours.command))


def attach(profiler: Profiler, scratch: Path) -> Program:
    """Start it and wait until it samples. Raises FailedError."""
    try:
        program = Program(profiler.command, scratch, profiler.extra)
    except OSError as error:
        raise FailedError(f"{profiler.command[0]}: {error.strerror}") from None
    try:
        program.wait_for_perf_event()
    except BaseException:
        program.kill()
        raise
    return program
