"""A storm of short processes, /bin/true again and again: what following them costs, and what it costs them."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench import profilers
from bench.figures import Figure
from bench.launch import FailedError
from bench.unwind import children
from bench.unwind.held import cpu_s, held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.profilers import Profiler

_HZ: Final = 99
_SETTLE_S: Final = 2.0
_SCRIPT: Final = "i=0; until [ $SECONDS -ge {} ]; do /bin/true; i=$((i+1)); done; echo $i"
_STORMING: Final = ("bash", "true")
_EXEC: Final = "exec storm: CPU of one fork, exec and exit"
_FOLLOWING: Final = "exec storm: BPF programs of fork, exec and exit, per exec"
_PROCESSES: Final = "exec storm: CPU of its processes, per exec"
_SHARE: Final = "exec storm: CPU of its processes (of one core)"
_WHOLE: Final = "exec storm: whole stacks of its samples"
_UNITS: Final = {_EXEC: "us", _FOLLOWING: "us", _PROCESSES: "us", _SHARE: "%", _WHOLE: "%"}


@dataclass(frozen=True, slots=True)
class Storm:
    """What a storm was. cpu_s: of all its processes, the shell's included."""

    execs: int
    passed_s: float
    cpu_s: float

    @property
    def exec_us(self) -> float:
        """CPU of one process from its fork to its end."""
        return 1e6 * self.cpu_s / self.execs

    @property
    def rate(self) -> str:
        """In words."""
        return f"{self.execs / self.passed_s:,.0f} a second"


def measure(scratch: Path, rounds: int, seconds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part. seconds: of storm in each arm, about."""
    arms: dict[str, Profiler] = {
        profilers.BASE: profilers.nothing(),
        f"aperture record -F {_HZ}": children.record(_HZ),
        f"without the unwinder -F {_HZ}": children.record_without(_HZ),
        f"perf record -F {_HZ} -a -g": profilers.perf(_HZ),
    }
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    remark = {name: profiler.missing for name, profiler in arms.items()}
    failed: dict[str, str] = {}
    for n in range(rounds):
        for name, profiler in arms.items():
            if profiler.missing:
                continue
            tell(f"storm, round {n + 1} of {rounds}: {name}")
            try:
                values, words = _one(profiler, scratch, seconds)
            except FailedError as error:
                failed[name] = f"a round failed: {error}"
                continue
            remark[name] = words
            for measure, value in values.items():
                found[measure, name].append(value)
    figures = [
        Figure(
            measure,
            name,
            unit,
            tuple(found[measure, name]),
            why=failed.get(name) or remark[name],
            comparable=measure != _WHOLE,
        )
        for measure, unit in _UNITS.items()
        for name in arms
    ]
    return [figure for figure in figures if figure.values or (figure.measure == _EXEC and figure.why)]


def _one(profiler: Profiler, scratch: Path, seconds: int) -> tuple[dict[str, float], str]:
    if profiler.family == profilers.BASE:
        blown = _storm(seconds)
        return {_EXEC: blown.exec_us}, blown.rate
    running = children.attach(profiler, scratch)
    try:
        time.sleep(_SETTLE_S)
        before, spent_s, began_ns = held(running.pid), cpu_s(running.pid), time.time_ns()
        blown = _storm(seconds)
        after, ended_ns = held(running.pid), time.time_ns()
        spent_s = cpu_s(running.pid) - spent_s
        running.end()
    finally:
        running.kill()
    values = {
        _EXEC: blown.exec_us,
        _PROCESSES: 1e6 * spent_s / blown.execs,
        _SHARE: 100 * spent_s / blown.passed_s,
    }
    words = blown.rate
    if profiler.family == profilers.OURS:
        told = children.recorded(scratch, began_ns, ended_ns)
        if after.following.count > before.following.count:  # without the unwinder nothing follows them
            values[_FOLLOWING] = (after.following.time_ns - before.following.time_ns) / blown.execs / 1e3
        values[_WHOLE] = _whole_percent(told)
        words = "; ".join([words, *(f"{cause}: {n:,}" for cause, n in told["degraded"].items() if cause in _CAUSES)])
    return values, words


_CAUSES: Final = (
    "requests for tables that there was no time for",
    "processes that found no room",
)
"""Of Health: what a storm does to the supply."""


def _whole_percent(told: dict[str, Any]) -> float:
    """Of the samples of the storm's processes."""
    counts = [told["comms"].get(comm, (0, 0)) for comm in _STORMING]
    samples = sum(n for n, _ in counts)
    return 100 * sum(whole for _, whole in counts) / samples if samples else 0.0


def _storm(seconds: int) -> Storm:
    """Start processes one after the other. Raises FailedError."""
    began = time.monotonic()
    storming = subprocess.Popen(["bash", "-c", _SCRIPT.format(seconds)], stdout=subprocess.PIPE)
    assert storming.stdout is not None
    words = storming.stdout.read()
    _pid, status, usage = os.wait4(storming.pid, 0)
    storming.returncode = os.waitstatus_to_exitcode(status)
    storming.stdout.close()
    if storming.returncode != 0 or not int(words or 0):
        raise FailedError("the storm did not blow")
    return Storm(int(words), time.monotonic() - began, usage.ru_utime + usage.ru_stime)
