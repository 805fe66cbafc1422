"""How soon a profiler sees: from exec to its perf events, and to the time of its first sample."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench import load, profilers
from bench.figures import Figure
from bench.launch import FailedError, Program, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.load import Loads
    from bench.profilers import Profiler

_HZ: Final = 99
_RUN_S: Final = 1.0
_ROUND_S: Final = 30.0
_WARM, _COLD = "aperture record", "aperture record, nothing compiled yet"


def measure(loads: Loads, scratch: Path, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group, under one burning thread."""
    ours, perf, bpfcc = profilers.ours(_HZ), profilers.perf(_HZ), profilers.profile_bpfcc(_HZ, scratch)
    arms = [(_COLD, ours), (_WARM, ours), ("perf record", perf), ("profile-bpfcc", bpfcc)]
    opened: dict[str, list[float]] = defaultdict(list)
    sampled: dict[str, list[float]] = defaultdict(list)
    why = {name: profiler.missing for name, profiler in arms}
    for n in range(rounds):
        burning = loads.start_burning(_ROUND_S, 1)
        for name, profiler in arms:
            if why[name]:
                continue
            tell(f"first sample, round {n + 1} of {rounds}: {name}")
            if name == _COLD:
                profilers.clear_bpf_cache()
            try:
                attached_s, first_s = _one(profiler, scratch)
            except FailedError as error:
                why[name] = str(error)
                continue
            opened[name].append(attached_s)
            if first_s is not None:
                sampled[name].append(first_s)
        load.end(burning)
    out = []
    for name, profiler in arms:
        out.append(Figure("exec to perf event open", name, "s", tuple(opened[name]), why=why[name] or profiler.remark))
    for name, _ in arms:
        reason = why[name] or ("its output has no times" if name == "profile-bpfcc" else "")
        out.append(Figure("exec to the time of the first sample", name, "s", tuple(sampled[name]), why=reason))
    return out


def _one(profiler: Profiler, scratch: Path) -> tuple[float, float | None]:
    wall_ns, mono_ns = time.time_ns(), time.monotonic_ns()
    program = Program(profiler.command, scratch, profiler.extra)
    try:
        attached_s = program.wait_for_perf_event()
        time.sleep(_RUN_S)
        ended = program.end()
    finally:
        program.kill()
    if ended.status not in (0, 130, -2):
        raise FailedError(f"ended with status {ended.status}")
    if profiler.family == profilers.OURS:
        return attached_s, (_first_of_recording(scratch) - wall_ns - (program.began_ns - mono_ns)) / 1e9
    if profiler.family == "perf":
        return attached_s, _first_of_perf(scratch) - program.began_ns / 1e9
    return attached_s, None


def _first_of_recording(scratch: Path) -> int:
    """The Unix time of the earliest event of our recording, ns."""
    command = [profilers.beside_python("aperture"), "export", profilers.RECORDING, "--format", "json"]
    document = json.loads(_output(command, scratch))
    return int(document["span"]["start_ns"])


def _first_of_perf(scratch: Path) -> float:
    """CLOCK_MONOTONIC of the first sample of perf.data, s."""
    words = _output(["perf", "script", "-i", profilers.PERF_DATA, "--header-only"], scratch)
    for line in words.splitlines():
        if "time of first sample" in line:
            return float(line.rpartition(":")[2])
    raise FailedError("perf script does not tell the time of the first sample")


def _output(command: list[str], scratch: Path) -> str:
    done = subprocess.run(command, cwd=scratch, env=environment(), capture_output=True, text=True, timeout=60)
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise FailedError(words[-1] if words else f"{command[0]} ended with status {done.returncode}")
    return done.stdout
