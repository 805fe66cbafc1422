"""What one sample costs in the kernel, by the depth of its stack: our unwinder beside bpf_get_stackid."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import load
from bench.figures import Figure
from bench.launch import FailedError
from bench.unwind import children, programs
from bench.unwind.held import held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.unwind.programs import Programs

_HZ: Final = 999
_DEPTHS: Final = (5, 25, 80, 230)
_SETTLE_S: Final = 0.7
_PATIENCE_S: Final = 10.0
_CPUS: Final = os.cpu_count() or 1
"""As many threads burn: nearly every run of the programs is for the program that is measured."""

_MEASURE: Final = "BPF run time of a sample"
_OURS: Final = "aperture, unwind tables"
_STACKID: Final = "bpf_get_stackid, frame pointers"
_BLIND: Final = "bpf_get_stackid, no frame pointers"


@dataclass(frozen=True, slots=True)
class Window:
    """What a program did in a while. runs: all of them; samples: those that walked a stack. frames: of one, mean.

    whole: share of the samples, or None where nobody says.
    """

    time_ns: int
    runs: int
    samples: int
    frames: float
    whole: float | None = None


def sample_us(window: Window, empty_ns: float) -> float:
    """Run time of one sample, us, without the runs that were for others and ended at once. Raises FailedError."""
    if window.samples < 1:
        raise FailedError("no samples")
    return (window.time_ns - (window.runs - window.samples) * empty_ns) / window.samples / 1e3


def measure(built: Programs, scratch: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part. seconds: of each window."""
    cache = scratch / "bpf"
    arms: dict[str, tuple[Path, Callable[[int], Window]]] = {
        _OURS: (built.omitted, lambda pid: _ours(pid, scratch, seconds)),
        _STACKID: (built.kept, lambda pid: _stackid(pid, cache, seconds)),
        _BLIND: (built.omitted, lambda pid: _stackid(pid, cache, seconds)),
    }
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    slopes: dict[str, list[float]] = defaultdict(list)
    remarks: dict[tuple[int, str], str] = {}
    for n in range(rounds):
        costs: dict[tuple[int, str], tuple[float, float]] = {}
        for name, (program, window) in arms.items():
            try:
                tell(f"depth, round {n + 1} of {rounds}: {name}, runs for other processes")
                empty_ns = _empty_ns(program, window)
                for depth in _DEPTHS:
                    tell(f"depth, round {n + 1} of {rounds}: {name}, {depth} frames")
                    one = _under_load(program, depth, seconds, window)
                    costs[depth, name] = sample_us(one, empty_ns), one.frames
                    found[depth, name].append(costs[depth, name][0])
                    remarks[depth, name] = _remark(one, empty_ns)
            except FailedError as error:
                remarks |= {(depth, name): str(error) for depth in _DEPTHS if (depth, name) not in costs}
        for name in (_OURS, _STACKID):
            if (_DEPTHS[-1], name) in costs:
                slopes[name].append(frame_ns(costs[_DEPTHS[0], name], costs[_DEPTHS[-1], name]))
    figures = [
        Figure(f"{_MEASURE}, {depth} frames", name, "us", tuple(found[depth, name]), why=remarks[depth, name])
        for depth in _DEPTHS
        for name in arms
    ]
    return [*figures, *(_slope(name, slopes[name]) for name in (_OURS, _STACKID))]


def _remark(window: Window, empty_ns: float) -> str:
    whole = "" if window.whole is None else f", {100 * window.whole:.1f} % whole"
    return f"walks {window.frames:.1f} frames{whole}; a run for others: {empty_ns:.0f} ns"


def frame_ns(shallow: tuple[float, float], deep: tuple[float, float]) -> float:
    """Run time of one more frame, ns. shallow, deep: (us, frames) of a sample. Raises FailedError."""
    if deep[1] <= shallow[1]:
        raise FailedError("no deeper than before")
    return 1e3 * (deep[0] - shallow[0]) / (deep[1] - shallow[1])


def _slope(name: str, values: list[float]) -> Figure:
    remark = f"from {_DEPTHS[0]} to {_DEPTHS[-1]} frames"
    return Figure(f"{_MEASURE}, each further frame", name, "ns", tuple(values), why=remark)


def _under_load(program: Path, depth: int, seconds: float, window: Callable[[int], Window]) -> Window:
    burning = programs.start(program, seconds + _PATIENCE_S, _CPUS, depth)
    try:
        return window(burning.pid)
    finally:
        load.end(burning)


def _empty_ns(program: Path, window: Callable[[int], Window]) -> float:
    """A run for a process that is not wanted, ns: asked to follow one that sleeps, while another burns."""
    asleep = subprocess.Popen(["sleep", "60"], start_new_session=True)
    burning = programs.start(program, _PATIENCE_S, _CPUS, _DEPTHS[0])
    try:
        one = window(asleep.pid)
        return one.time_ns / max(1, one.runs)
    finally:
        load.end(burning)
        load.end(asleep)


def _ours(pid: int, scratch: Path, seconds: float) -> Window:
    running = children.attach(children.record(_HZ, "-p", str(pid)), scratch)
    try:
        time.sleep(_SETTLE_S)
        before, began_ns = held(running.pid).sampling, time.time_ns()
        time.sleep(seconds)
        after, ended_ns = held(running.pid).sampling, time.time_ns()
        running.end()
    finally:
        running.kill()
    told = children.recorded(scratch, began_ns, ended_ns)
    n = told["samples"]
    return Window(
        after.time_ns - before.time_ns, after.count - before.count, n, told["frames"], told["whole"] / n if n else None
    )


def _stackid(pid: int, cache: Path, seconds: float) -> Window:
    return Window(**children.answer("stackid", pid, _HZ, _SETTLE_S, seconds, cache))
