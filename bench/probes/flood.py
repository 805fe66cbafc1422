"""All collectors under a mixed load on all CPUs: what they lose, and whether they say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench import launch, load, procfs
from bench.counted import counted
from bench.figures import Figure
from bench.launch import FailedError
from bench.probes import arms
from bench.probes.loads import compiled
from bench.profilers import RECORDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.load import Loads

_CPUS: Final = os.cpu_count() or 1
_PATIENCE_S: Final = 60.0
_CALL: Final = "getppid"
_MISSING: Final = f"{_CALL} calls that are missing, or told twice"
_LOST: Final = "counted as lost"
_UNKNOWN: Final = "the recording has no word of this collector"
_NO_END: Final = 10**15
_THREADS: Final = 8
_ARM: Final = arms.Arm(arms.ours(arms.ALL_EVENTS))
_NAME: Final = _ARM.profiler.name


@dataclass(frozen=True, slots=True)
class Flood:
    """What there was and what was told. made: getppid calls by process; share_*: of one core."""

    made: Mapping[int, int]
    told: Mapping[str, Any]
    share_own: float
    share_bpf: float
    peak_rss_bytes: int


def measure(loads: Loads, scratch: Path, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part."""
    tell(f"probes: all collectors under a mixed load for {seconds:.0f} s")
    try:
        return figures(_flood(loads, scratch, seconds), seconds)
    except FailedError as error:
        return [Figure(_measure(seconds, _MISSING), _NAME, "%", (), 0, str(error))]


def _flood(loads: Loads, scratch: Path, seconds: float) -> Flood:
    (scratch / RECORDING).unlink(missing_ok=True)  # of another arm
    with counted(), ExitStack() as ending:
        running = _ARM.attach(scratch)
        ending.callback(running.kill)
        spent_ns, bpf_ns, began = procfs.cpu_ns(running.pid), procfs.bpf_time_ns(running.pid), time.monotonic()
        calling = _start(loads, scratch, seconds, ending)
        made = {each.pid: _made(each, seconds) for each in calling}
        passed_ns = (time.monotonic() - began) * 1e9
        spent_ns, bpf_ns = procfs.cpu_ns(running.pid) - spent_ns, procfs.bpf_time_ns(running.pid) - bpf_ns
        ended = running.end()
    if ended.status != 0:
        raise FailedError(f"it ended with status {ended.status}")
    return Flood(made, _told(scratch), 100 * spent_ns / passed_ns, 100 * bpf_ns / passed_ns, ended.peak_rss_bytes)


def _start(loads: Loads, scratch: Path, seconds: float, ending: ExitStack) -> list[subprocess.Popen[bytes]]:
    """The mixed load, which ends by itself -> those of its processes that count their calls."""
    calls, serve, contend = (str(compiled(name, scratch)) for name in ("calls", "serve", "contend"))
    calling = [[calls, str(_NO_END), f"{seconds:.1f}"]] * _CPUS
    others = [
        *[_again(seconds, f"{serve} 20000")] * _CPUS,
        [contend, str(_THREADS), f"{seconds:.1f}"],
        _again(seconds, "perf bench sched pipe -l 20000"),
        _again(seconds, "perf bench sched messaging -g 2 -l 100"),
        _again(seconds, "/bin/true"),
    ]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for command in calling]
    started += [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for command in others
    ]
    started.append(loads.start_building(seconds))
    for each in started:
        ending.callback(load.end, each)
    return started[: len(calling)]


def _again(seconds: float, command: str) -> list[str]:
    """Again and again until this time has passed; once if it cannot be run."""
    return ["bash", "-c", f"until [ $SECONDS -ge {round(seconds)} ]; do {command} || exit; done"]


def _made(calling: subprocess.Popen[bytes], seconds: float) -> int:
    try:
        words, _ = calling.communicate(timeout=seconds + _PATIENCE_S)
        return int(words.split()[0])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        raise FailedError("a load did not end in its time") from None


def _told(scratch: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.probes.recording", str(scratch / RECORDING), _CALL]
    done = subprocess.run(command, capture_output=True, env=launch.environment())
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise FailedError(words[-1] if words else "the recording cannot be read")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(flood: Flood, seconds: float) -> list[Figure]:
    """What is missing, what each collector says of its losses, what it cost."""
    health = {each["name"]: each for each in flood.told["health"]}
    absent = [name for name in arms.ALL_EVENTS.split(",") if name not in health]
    counts = [_missing(flood, health.get("syscall"), seconds)]
    for name, each in health.items():
        total = float(sum(each["lost"].values()))
        counts.append(Figure(_measure(seconds, _LOST), f"aperture, {name}", "events", (total,), None, _words(each)))
    counts += [Figure(_measure(seconds, _LOST), f"aperture, {name}", "events", why=_UNKNOWN) for name in absent]
    return [
        *counts,
        Figure(_measure(seconds, "CPU of its processes (of one core)"), _NAME, "%", (flood.share_own,)),
        Figure(_measure(seconds, "its BPF programs (of one core)"), _NAME, "%", (flood.share_bpf,)),
        Figure(_measure(seconds, "peak memory"), _NAME, "MB", (flood.peak_rss_bytes / (1 << 20),)),
    ]


def _missing(flood: Flood, health: Mapping[str, Any] | None, seconds: float) -> Figure:
    """Of each process, what the recording says too little or too much. What is counted as lost may be missing."""
    if health is None:
        return Figure(_measure(seconds, _MISSING), _NAME, "%", (), 0, _UNKNOWN)
    made, told = flood.made, flood.told["calls"]
    lost = sum(health["lost"].values())
    missing = [count - told.get(str(pid), 0) for pid, count in made.items()]
    values = tuple(100 * abs(each) / count for each, count in zip(missing, made.values(), strict=True))
    words = f"{sum(made.values()):,} made, {sum(missing):,} missing; the collector counts {lost:,} events as lost"
    return Figure(_measure(seconds, _MISSING), _NAME, "%", values, None if lost and min(missing) >= 0 else 0, words)


def _measure(seconds: float, words: str) -> str:
    return f"mixed load for {seconds:.0f} s, all collectors: {words}"


def _words(health: Mapping[str, Any]) -> str:
    """State, what was delivered, each cause of a loss and of less than there should be."""
    causes: Sequence[str] = [
        f"{kind} {cause}: {count:,}" for kind in ("lost", "degraded") for cause, count in health[kind].items() if count
    ]
    state = [] if health["state"] in ("running", "stopped") else [f"{health['state']}: {health['message']}"]
    return "; ".join([*state, f"{health['delivered']:,} delivered", *causes])
