"""Loads of known behaviour: each ends by itself after the time it was given."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_SOURCES: Final = {
    "burn": _ROOT / "tests" / "programs" / "burn.c",
    "gaps": _ROOT / "bench" / "programs" / "gaps.c",
}
_FLAGS: Final = ("-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-pthread")
_DEPTH: Final = "30"
_PATIENCE_S: Final = 30.0

FUNCTION: Final = "descend"
"""A function of the burning program that has a row in its flame graph, and whose name is nowhere else."""


class LoadError(RuntimeError):
    """One line: why there is no load, and what mends it."""


@dataclass(frozen=True, slots=True)
class Burnt:
    """What a burning load did."""

    iterations: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """What interrupts took from programs that watched all CPUs: gaps of 1 to 100 us."""

    watched_s: float
    gaps_s: float


class Loads:
    """The programs, compiled into a scratch folder."""

    def __init__(self, scratch: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise LoadError("no C compiler: apt-get install gcc libc6-dev")
        self._programs = {name: scratch / name for name in _SOURCES}
        for name, source in _SOURCES.items():
            subprocess.run([compiler, *_FLAGS, str(source), "-o", str(self._programs[name])], check=True)
        self._compiler, self._scratch = compiler, scratch

    def burn(self, seconds: float, threads: int) -> Burnt:
        """Burn and wait."""
        running = self.start_burning(seconds, threads)
        words, _ = running.communicate(timeout=seconds + _PATIENCE_S)
        iterations, cpu_s = map(float, words.split())
        return Burnt(iterations, cpu_s)

    def start_burning(self, seconds: float, threads: int) -> subprocess.Popen[bytes]:
        """Burn in the background; it may be ended early."""
        command = [str(self._programs["burn"]), f"{seconds:.3f}", str(threads), _DEPTH]
        return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)

    def gaps(self, seconds: float) -> Gaps:
        """Watch for interrupts on every CPU, and wait."""
        done = subprocess.run(
            [str(self._programs["gaps"]), f"{seconds:.3f}"],
            check=True,
            capture_output=True,
            timeout=seconds + _PATIENCE_S,
        )
        watched_s, gaps_s, _ = map(float, done.stdout.split())
        return Gaps(watched_s, gaps_s)

    def start_building(self, seconds: float) -> subprocess.Popen[bytes]:
        """Compile a program again and again: many short processes with deep, ever different stacks."""
        out = self._scratch / "built"
        once = f'"{self._compiler}" -O2 -pthread "{_SOURCES["burn"]}" -o "{out}"'
        script = f"until [ $SECONDS -ge {round(seconds)} ]; do {once}; done"
        return subprocess.Popen(["bash", "-c", script], stdout=subprocess.DEVNULL, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a background load before its time, with the processes that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    if process.stdout:
        process.stdout.close()
