"""One busy process without frame pointers: `aperture record` beside `perf record --call-graph dwarf`."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench import load
from bench.figures import Figure
from bench.launch import FailedError, Program
from bench.profilers import PERF_DATA, RECORDING, Profiler
from bench.unwind import children, programs
from bench.unwind.held import cpu_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.unwind.programs import Programs

_RATES: Final = (99, 999)
_FRAMES: Final = 25
_PATIENCE_S: Final = 60.0
_STACKS: Final = "stacks.txt"
_OUTERMOST: Final = ("_start", "clone3", "clone", "__clone3", "__clone")
_BYTES: Final = "bytes written per CPU second of one process"
_CPU: Final = "CPU from start to end, one busy process"
_NAMED: Final = "CPU until stacks have names, one busy process"
_WHOLE: Final = "whole stacks, one busy process without frame pointers"


def whole_share(script: str) -> float:
    """Percent of the samples of `perf script -F ip,sym` whose outermost function is where a thread begins."""
    stacks = [stack.splitlines() for stack in script.split("\n\n") if stack.strip()]
    whole = sum(stack[-1].split()[-1].partition("+")[0] in _OUTERMOST for stack in stacks)
    return 100 * whole / len(stacks) if stacks else 0.0


def measure(built: Programs, scratch: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part. seconds: of recording."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    why: dict[str, str] = defaultdict(str)
    names: list[str] = []
    for n in range(rounds):
        for hz in _RATES:
            burning = programs.start(built.omitted, 4 * (seconds + _PATIENCE_S), 1, _FRAMES)
            try:
                for name, one in (
                    (f"aperture record -F {hz}", _ours),
                    (f"perf record -F {hz} --call-graph dwarf", _perf),
                ):
                    names += [] if name in names else [name]
                    if why[name]:
                        continue
                    tell(f"dwarf, round {n + 1} of {rounds}: {name}")
                    try:
                        values = one(hz, burning.pid, scratch, seconds)
                    except FailedError as error:
                        why[name] = str(error)
                        continue
                    for measure, value in values.items():
                        found[measure, name].append(value)
            finally:
                load.end(burning)
    remark = {_NAMED: "perf record and perf script --no-inline", _WHOLE: "perf: up to the start of the thread"}
    units = {_BYTES: "KB", _CPU: "s", _NAMED: "s", _WHOLE: "%"}
    return [
        Figure(
            measure,
            name,
            unit,
            tuple(found[measure, name]),
            why=why[name] or ("" if name.startswith("aperture") else remark.get(measure, "")),
            comparable=measure != _WHOLE,
        )
        for measure, unit in units.items()
        for name in names
    ]


def _recorded(profiler: Profiler, pid: int, output: str, scratch: Path, seconds: float) -> tuple[float, float]:
    """Record for this long -> KB per CPU second of the process, CPU seconds of the profiler's."""
    running = children.attach(profiler, scratch)
    try:
        burnt_s = cpu_s(pid)
        time.sleep(seconds)
        burnt_s = cpu_s(pid) - burnt_s
        ended = running.end()
    finally:
        running.kill()
    return (scratch / output).stat().st_size / max(burnt_s, 1e-3) / 1e3, ended.cpu_s


def _ours(hz: int, pid: int, scratch: Path, seconds: float) -> dict[str, float]:
    written, spent_s = _recorded(children.record(hz, "-p", str(pid)), pid, RECORDING, scratch, seconds)
    told = children.recorded(scratch)
    return {_BYTES: written, _CPU: spent_s, _NAMED: spent_s, _WHOLE: 100 * told["whole"] / max(1, told["samples"])}


def _perf(hz: int, pid: int, scratch: Path, seconds: float) -> dict[str, float]:
    if shutil.which("perf") is None:
        raise FailedError("perf is not installed")
    command = ("perf", "record", "-q", "-F", str(hz), "--call-graph", "dwarf", "-p", str(pid), "-o", PERF_DATA)
    written, spent_s = _recorded(Profiler("perf", "perf", command), pid, PERF_DATA, scratch, seconds)
    resolve = f"exec perf script -i {PERF_DATA} --no-inline -F ip,sym > {_STACKS}"
    resolving = Program(("sh", "-c", resolve), scratch)
    try:
        resolved = resolving.wait(_PATIENCE_S)
    finally:
        resolving.kill()
    if resolved.status != 0:
        raise FailedError(f"perf script ended with status {resolved.status}")
    share = whole_share((scratch / _STACKS).read_text(errors="replace"))
    return {_BYTES: written, _CPU: spent_s, _NAMED: spent_s + resolved.cpu_s, _WHOLE: share}
