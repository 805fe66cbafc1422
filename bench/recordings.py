"""What recordings take: bytes beside perf's on the same load, and the time until a long one shows its last minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from bench import load, procfs, profilers
from bench.figures import Figure
from bench.launch import FailedError, Program, environment
from bench.profilers import PERF_DATA, RECORDING, Profiler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.load import Loads

_HZ: Final = 99
_SETTLE_S: Final = 1.0
_OPEN_S: Final = 1.0
"""Of the issue: the last minute of 1 GB is seen within a second."""
_SIZES: Final = "bytes of the recording, building and burning on all CPUs"
_CPUS: Final = os.cpu_count() or 1


def measure(
    loads: Loads, scratch: Path, rounds: int, seconds: float, megabytes: int, tell: Callable[[str], None]
) -> list[Figure]:
    """All figures of this group. seconds: of load in each arm. megabytes: of the long recording."""
    arms = {
        profiler.name: profiler
        for profiler in (profilers.ours(_HZ), _always(), profilers.perf(_HZ), _dwarf())
        if not profiler.missing
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in arms}
    why: dict[str, str] = {}
    for n in range(rounds):
        for name, profiler in arms.items():
            tell(f"recordings, round {n + 1} of {rounds}: {name}")
            try:
                found[name].append(_recorded(profiler, loads, scratch, seconds))
            except FailedError as error:
                why[name] = str(error)
    rows: list[Figure] = []
    for name, values in found.items():
        size, cpu, window = zip(*values, strict=True) if values else ((), (), ())
        per_hour = tuple(b / s * 3600 / 1e6 for b, s in zip(size, window, strict=True))
        per_sample = tuple(b / (s * _HZ * _CPUS) for b, s in zip(size, window, strict=True))
        percent = tuple(100 * c / (s * _CPUS) for c, s in zip(cpu, window, strict=True))
        rows += [
            Figure(f"{_SIZES}: a sample", name, "bytes", per_sample, why=why.get(name, "")),
            Figure(f"{_SIZES}: an hour", name, "MB", per_hour),
            Figure("CPU of recording that and of ending, of the machine", name, "%", percent),
        ]
    tell(f"recordings: {megabytes} MB are written, then opened")
    return [*rows, *_opened(scratch, rounds, megabytes)]


def _always() -> Profiler:
    command = (profilers.beside_python("aperture"), "record", "--events", "all", "-o", RECORDING)
    return Profiler("aperture record --events all", profilers.OURS, command)


def _dwarf() -> Profiler:
    perf = profilers.perf(_HZ)
    command = ("perf", "record", "-q", "-F", str(_HZ), "-a", "--call-graph", "dwarf", "-o", PERF_DATA)
    return Profiler(f"perf record -F {_HZ} -a --call-graph dwarf", "perf", command, missing=perf.missing)


def _recorded(profiler: Profiler, loads: Loads, scratch: Path, seconds: float) -> tuple[float, float, float]:
    """Bytes, CPU seconds from the beginning of the load to its own end, and seconds of load. Raises FailedError."""
    file = scratch / (RECORDING if profiler.family == profilers.OURS else PERF_DATA)
    file.unlink(missing_ok=True)
    program = Program(profiler.command, scratch, profiler.extra)
    try:
        program.wait_for_perf_event()
        time.sleep(_SETTLE_S)
        began, before = time.monotonic(), procfs.cpu_ns(program.pid) / 1e9
        building, burning = loads.start_building(seconds), loads.start_burning(seconds, _CPUS - 1 or 1)
        try:
            time.sleep(seconds)
        finally:
            load.end(building)
            load.end(burning)
        window_s = time.monotonic() - began
        cpu_s = program.end().cpu_s - before
    finally:
        program.kill()
    return file.stat().st_size, cpu_s, window_s


def _opened(scratch: Path, rounds: int, megabytes: int) -> list[Figure]:
    file = scratch / "long.aperture"
    subprocess.run(
        [sys.executable, "-m", "bench.long_recording", str(file), str(megabytes)], check=True, env=environment()
    )
    found = []
    for _ in range(rounds):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "bench.opening", str(file)], check=True, capture_output=True, env=environment()
        )
        found.append((time.monotonic() - began, *json.loads(done.stdout)))
    file.unlink()
    whole, opening, first, rss, events = zip(*found, strict=True)
    subject = "aperture"
    what = f"a recording of {megabytes} MB, {events[0] / 1e6:.0f} M events"
    return [
        Figure(f"{what}: from exec to the call tree of its last minute", subject, "s", whole, _OPEN_S),
        Figure(f"{what}: of that, until it is open", subject, "ms", tuple(1000 * s for s in opening)),
        Figure(f"{what}: of that, its first answer", subject, "ms", tuple(1000 * s for s in first)),
        Figure(f"{what}: peak resident", subject, "MB", rss),
    ]
