"""Runs programs under a Session and under perf, at the same time and in pairs: one for each CPU of a small machine.

Both sample the same run, so that what a program does differently from run to run cannot pass for an error of either.
The Session follows what this process starts, and nothing else: a busy machine costs samples enough as it is.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aperture_tui.collect.unwind.table import file_table
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.opening import open_regular
from aperture_tui.symbolize.unwind_cache import UnwindCache
from tests.collect.collecting import Kept, collecting
from tests.truth import perf
from tests.truth.known import Known
from tests.truth.perf import PerfSample
from tests.truth.programs import NotBuilt, build, folder
from tests.truth.stacks import Call
from tests.truth.twin import Twin

AGE_S: Final = 0.5
"""Samples of a younger process are left out: its tables are still being made, and perf begins no earlier."""
_WARM_S: Final = 2.0
_AT_ONCE: Final = 2

Calls = tuple[Call, ...]


@dataclass
class Watched:
    """What was seen of one program after its first half second."""

    ours: Counter[tuple[Calls, int]]
    """User stacks, root first, with their flags."""
    theirs: Counter[Calls]
    """perf's; empty where it is no reference."""
    printed: str
    lost: Counter[str]
    """What the session lost by then, of all programs, by cause."""


@dataclass
class _Run:
    known: Known
    process: subprocess.Popen[str]
    data: Path | None
    printed: str = ""
    text: Path | None = None


def watch(programs: Sequence[Known]) -> dict[str, Watched | NotBuilt]:
    """Each program's samples by its name, or why it could not be built."""
    results: dict[str, Watched | NotBuilt] = {}
    ready = []
    for known in programs:
        try:
            _build(known)
            ready.append(known)
        except NotBuilt as reason:
            results[known.name] = reason
    offset_s = (time.time_ns() - time.monotonic_ns()) * 1e-9
    runs: list[_Run] = []
    with tempfile.TemporaryDirectory(prefix="aperture-perf-") as scratch, ExitStack() as session:
        kept = session.enter_context(collecting(pids=(os.getpid(),)))
        time.sleep(_WARM_S)
        for i in range(0, len(ready), _AT_ONCE):
            pair = [_start(known, Path(scratch)) for known in ready[i : i + _AT_ONCE]]
            for run in pair:
                _finish(run)
            runs += pair
        session.close()  # first: reading perf's text would hold up the collecting thread, which is in this process
        by_name = _by_name(kept)
        lost = Counter({what: n for health in kept.health for what, n in health.lost.items() if n})
        for run in runs:
            samples = perf.samples(run.text) if run.text is not None else []
            results[run.known.name] = _watched(run, samples, by_name.get(run.known.file, []), offset_s, lost)
    return results


def _build(known: Known) -> None:
    program = build(known.file, known.recipe)
    if known.recipe.tool.startswith("go"):  # large: its table is made later than at once, unless it is on disk
        file_table(FileSource(open_regular(str(program))), UnwindCache(), build=True)
    for name, recipe in known.libraries.items():
        build(name, recipe)
    if known.twin is not None:
        build(f"{known.file}.twin", known.twin)


def _start(known: Known, scratch: Path) -> _Run:
    command: list[str | Path] = [folder() / known.file, str(known.seconds), *known.arguments]
    data = None
    words = [str(word) for word in command]
    if not known.no_perf and not perf.missing():
        data = scratch / f"{known.name}.data"
        words = perf.record(data, known.graph, *command)
    return _Run(known, subprocess.Popen(words, stdout=subprocess.PIPE, text=True), data)


def _finish(run: _Run) -> None:
    """perf's files are large: each is read and deleted before the next pair begins."""
    run.printed, _ = run.process.communicate(timeout=60)
    if run.process.returncode:
        raise RuntimeError(f"{run.known.name} ended with {run.process.returncode}: {run.process.args!r}")
    if run.data is not None:
        run.text = perf.unwind(run.data)


def _by_name(kept: Kept) -> dict[str, list[Batch]]:
    out: dict[str, list[Batch]] = {}
    for process, part in kept.by_process():
        out.setdefault(process.name, []).append(part)
    return out


def _watched(
    run: _Run, samples: Sequence[PerfSample], drains: Sequence[Batch], offset_s: float, lost: Counter[str]
) -> Watched:
    known = run.known
    first: dict[int, int] = {}  # pid -> its first sample
    for pid, at in _each(drains, "pid", "time_ns"):
        first[pid] = min(at, first.get(pid, at))
    twin = Twin(folder() / f"{known.file}.twin") if known.twin is not None else None
    ours: Counter[tuple[Calls, int]] = Counter()
    for drain in drains:
        begins = np.array([first[pid] for pid in drain.events["pid"].tolist()], np.uint64)
        grown = drain.events[drain.events["time_ns"] >= begins + np.uint64(AGE_S * 1e9)]
        pairs, counts = np.unique(grown[["stack", "flags"]], return_counts=True)
        for (stack, flags), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            calls = user_calls(drain, stack)
            ours[twin.our_calls(calls, known.file) if twin else calls, flags] += count
    theirs: Counter[Calls] = Counter()
    for sample in samples:
        if sample.pid in first and (sample.monotonic_s + offset_s - AGE_S) * 1e9 >= first[sample.pid]:
            calls = sample.calls
            theirs[twin.perf_calls(calls, sample.addresses, known.file) if twin else calls] += 1
    return Watched(ours, theirs, run.printed, lost)


def _each(drains: Iterable[Batch], *fields: str) -> Iterator[tuple[int, ...]]:
    for drain in drains:
        yield from zip(*(drain.events[field].tolist() for field in fields), strict=True)


def user_calls(batch: Batch, stack: int) -> Calls:
    """The user part of a stack, root first: without the process's name and the kernel's functions."""
    frames = [batch.symbols.frame_at(frame) for frame in batch.symbols.trie.path(stack)]
    outside = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.KERNEL)
    return tuple(
        Call("" if frame.kind == FrameKind.UNKNOWN else frame.function, frame.module)
        for frame in frames
        if frame.kind not in outside
    )
