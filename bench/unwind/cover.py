"""How soon a new process has whole stacks: from its exec to the first one, at two rates, idle and saturated."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from bench import load
from bench.figures import Figure
from bench.launch import FailedError
from bench.unwind import children, programs

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from bench.unwind.programs import Programs

_RATES: Final = (99, 999)
_EACH: Final = 4
"""Processes of each kind in a round."""
_SETTLE_S: Final = 1.0
_LIFE_S, _UNCACHED_LIFE_S = 0.4, 4.0
_ROUND_S: Final = 40.0
_FRAMES: Final = 25
_CPUS: Final = os.cpu_count() or 1
_NEVER: Final = 1 << 62

Firsts = list[tuple[str, tuple[float | None, float | None]]]
"""Subjects, and what `first_ms` says of a process of each."""

_ANY: Final = "its first sample of any kind"
_KNOWN, _NEW = "aperture, all files known", "aperture, a program never seen before"
_UNCACHED: Final = "aperture, just started, no table on disk"


def first_ms(told: dict[str, Any], pid: int, comm: str, exec_ns: int) -> tuple[float | None, float | None]:
    """From exec to the first sample of any kind, and to the first whole one; None for what there was not, ms."""
    earliest = told["first"].get(str(pid), {}).get(comm, (_NEVER, _NEVER))
    any_ms, whole_ms = (None if at == _NEVER else (at - exec_ns) / 1e6 for at in earliest)
    return any_ms, whole_ms


def measure(built: Programs, scratch: Path, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part."""
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    never: dict[tuple[str, int, str], int] = defaultdict(int)
    why: dict[tuple[str, int, str], str] = defaultdict(str)
    loads = {"idle machine": 0, "saturated machine": _CPUS}
    for n in range(rounds):
        for words, threads in loads.items():
            for hz in _RATES:
                tell(f"cover, round {n + 1} of {rounds}: {words}, {hz} Hz")
                burning = programs.start(built.omitted, _ROUND_S, threads, _FRAMES) if threads else None
                firsts: Firsts = []
                for part, subjects in ((_settled, (_KNOWN, _NEW)), (_uncached, (_UNCACHED,))):
                    try:
                        firsts += part(built, scratch, hz)
                    except FailedError as error:
                        why |= {(words, hz, subject): str(error) for subject in subjects}
                if burning:
                    load.end(burning)
                for subject, (any_ms, whole_ms) in firsts:
                    key = words, hz, subject
                    if any_ms is not None and subject != _UNCACHED:
                        found[words, hz, _ANY].append(any_ms)
                    if whole_ms is None:
                        never[key] += 1
                    else:
                        found[key].append(whole_ms)
    return [
        Figure(
            f"exec to the first whole stack, {words}, {hz} Hz",
            subject,
            "ms",
            tuple(found[words, hz, subject]),
            why=why[words, hz, subject] or _never(never[words, hz, subject]),
        )
        for words in loads
        for hz in _RATES
        for subject in (_KNOWN, _NEW, _UNCACHED, _ANY)
    ]


def _never(n: int) -> str:
    return f"{n} had none" if n else ""


def _settled(built: Programs, scratch: Path, hz: int) -> Firsts:
    """Known and new programs in turn, under a profiler that has been running for a while."""
    new = [built.unique() for _ in range(_EACH)]
    running = children.attach(children.record(hz), scratch)
    started: list[tuple[str, int, str, int]] = []
    try:
        time.sleep(_SETTLE_S)
        _live(built.omitted, _LIFE_S)
        for program in new:
            started.append((_KNOWN, *_live(built.omitted, _LIFE_S)))
            started.append((_NEW, *_live(program, _LIFE_S)))
        running.end()
    finally:
        running.kill()
    told = children.recorded(scratch)
    return [(subject, first_ms(told, pid, comm, exec_ns)) for subject, pid, comm, exec_ns in started]


def _uncached(built: Programs, scratch: Path, hz: int) -> Firsts:
    """One program, as soon as a profiler samples that has no table on disk either."""
    program = built.unique()
    running = children.attach(children.record_uncached(hz), scratch)
    try:
        pid, comm, exec_ns = _live(program, _UNCACHED_LIFE_S)
        running.end()
    finally:
        running.kill()
    return [(_UNCACHED, first_ms(children.recorded(scratch), pid, comm, exec_ns))]


def _live(program: Path, seconds: float) -> tuple[int, str, int]:
    """A process from its beginning to its end -> pid, name of its threads, Unix time just before the exec."""
    exec_ns = time.time_ns()
    process: subprocess.Popen[bytes] = programs.start(program, seconds, 1, _FRAMES)
    process.wait()
    return process.pid, program.name[:15], exec_ns
