"""What a process holds and has used: BPF programs and maps by the fdinfo of its descriptors, memory, CPU time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import procfs
from bench.procfs import BpfRuns

if TYPE_CHECKING:
    from collections.abc import Iterator

_PERF_EVENT, _RAW_TRACEPOINT = "7", "17"
"""BPF_PROG_TYPE_* (include/uapi/linux/bpf.h)."""
_NOTHING: Final = BpfRuns()
_SCHED: Final = 2
"""CPUCLOCK_SCHED: with it a process id makes the number of its CPU clock (include/linux/posix-timers_types.h)."""


@dataclass(frozen=True, slots=True)
class Held:
    """sampling: runs of programs of perf events, their tail calls included. following: of raw tracepoints.

    map_bytes: kernel memory of the maps, each once.
    """

    sampling: BpfRuns = _NOTHING
    following: BpfRuns = _NOTHING
    map_bytes: int = 0


def held(pid: int) -> Held:
    """What a process and its descendants hold now; nothing if it is gone."""
    programs: dict[str, tuple[str, BpfRuns]] = {}
    maps: dict[str, int] = {}
    for fields in _descriptors(pid):
        if "prog_type" in fields:  # a link to a program has its id as well
            runs = BpfRuns(int(fields.get("run_time_ns", 0)), int(fields.get("run_cnt", 0)))
            programs[fields["prog_id"]] = fields["prog_type"], runs
        elif "map_id" in fields:
            maps[fields["map_id"]] = int(fields.get("memlock", 0))
    return Held(_of_type(programs, _PERF_EVENT), _of_type(programs, _RAW_TRACEPOINT), sum(maps.values()))


def _of_type(programs: dict[str, tuple[str, BpfRuns]], kind: str) -> BpfRuns:
    runs = [runs for its_kind, runs in programs.values() if its_kind == kind]
    return BpfRuns(sum(r.time_ns for r in runs), sum(r.count for r in runs))


def _descriptors(pid: int) -> Iterator[dict[str, str]]:
    for each in procfs.tree(pid):
        try:
            files = list(Path(f"/proc/{each}/fdinfo").iterdir())
        except OSError:
            continue
        for file in files:
            try:
                lines = file.read_text().splitlines()
            except OSError:  # closed in between
                continue
            yield {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def peak_bytes(pid: int) -> int:
    """The most that a process has had resident since its exec; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def cpu_s(pid: int) -> float:
    """CPU seconds of a process since its exec, of its ended threads and children as well; 0 if it is gone.

    Those of children that have ended are counted in 10 ms, all others in ns.
    """
    ended = 0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ended = int(fields[13]) + int(fields[14])  # cutime, cstime
    except OSError:
        pass
    return ended / os.sysconf("SC_CLK_TCK") + sum(map(_clock_s, procfs.tree(pid)))


def _clock_s(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | _SCHED)
    except OSError:
        return 0.0
