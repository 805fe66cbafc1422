"""Other processes as /proc tells of them: CPU time, memory, descriptors. A process that is gone counts as nothing."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_SCHED: Final = 2
"""CPUCLOCK_SCHED: with it a process id makes the number of its CPU clock (include/linux/posix-timers_types.h)."""
PERF_EVENT, RAW_TRACEPOINT = "7", "17"
"""BPF_PROG_TYPE_* (include/uapi/linux/bpf.h)."""


@dataclass(frozen=True, slots=True)
class BpfRuns:
    """Run time and runs of the BPF programs that a process holds."""

    time_ns: int = 0
    count: int = 0

    def since(self, before: BpfRuns) -> BpfRuns:
        """What came on top."""
        return BpfRuns(self.time_ns - before.time_ns, self.count - before.count)


def tree(pid: int) -> list[int]:
    """A process and its descendants that live."""
    found, at = [pid], 0
    while at < len(found):
        found += _children(found[at])
        at += 1
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in _tasks(pid):
        try:
            children += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return children


def _tasks(pid: int) -> list[Path]:
    try:
        return list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def thread_cpu_ns(pid: int) -> dict[int, int]:
    """Thread id -> CPU time of each living thread, ns (Documentation/scheduler/sched-stats.rst, first field)."""
    times = {}
    for task in _tasks(pid):
        try:
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return times


def ui_cpu_ns(pid: int) -> int:
    """CPU time of the threads of the screens: the first one, and those whose names begin with `ui`, ns."""
    times = thread_cpu_ns(pid)
    return sum(ns for tid, ns in times.items() if tid == pid or _thread_name(pid, tid).startswith("ui"))


def _thread_name(pid: int, tid: int) -> str:
    try:
        return (_PROC / str(pid) / "task" / str(tid) / "comm").read_text().strip()
    except OSError:
        return ""


def cpu_ns(pid: int) -> int:
    """CPU time of a process and its descendants since their start, ns; of ended threads and children as well.

    Those of children that have ended are counted in 10 ms.
    """
    return sum(_clock_ns(each) + _ended_children_ns(each) for each in tree(pid))


def _ended_children_ns(pid: int) -> int:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # cutime, cstime


def _clock_ns(pid: int) -> int:
    try:
        return time.clock_gettime_ns(~pid << 3 | _SCHED)
    except OSError:
        return 0


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process and its descendants: shared pages count by their share."""
    return sum(memory_bytes(each, "smaps_rollup", "Pss:") for each in tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident set size of one process: what `top` shows."""
    return memory_bytes(pid, "smaps_rollup", "Rss:")


def memory_bytes(pid: int, file: str, field: str) -> int:
    """Bytes that a file of a process tells, in kB, in its fields of this name."""
    try:
        lines = (_PROC / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def holds_perf_event(pid: int) -> bool:
    """Whether one of these processes has a perf event open: from then on it can have samples."""
    return any("perf_event" in target for each in tree(pid) for _, target in _descriptors(each))


def bpf_programs(pid: int) -> dict[str, BpfRuns]:
    """The BPF programs of a process and its descendants, by type; a tail call counts with the program that makes it.

    As the fdinfo of the descriptors counts them: zero without BPF statistics.
    """
    programs: dict[str, tuple[str, BpfRuns]] = {}
    for fields in _fdinfos(pid):
        if "prog_type" in fields:  # a link to a program has its id as well
            runs = BpfRuns(int(fields.get("run_time_ns", 0)), int(fields.get("run_cnt", 0)))
            programs[fields["prog_id"]] = fields["prog_type"], runs
    found: defaultdict[str, BpfRuns] = defaultdict(BpfRuns)
    for kind, runs in programs.values():
        found[kind] = BpfRuns(found[kind].time_ns + runs.time_ns, found[kind].count + runs.count)
    return dict(found)


def bpf_time_ns(pid: int) -> int:
    """Run time of all BPF programs of a process and its descendants, ns; zero without BPF statistics."""
    return sum(runs.time_ns for runs in bpf_programs(pid).values())


def bpf_map_bytes(pid: int) -> int:
    """Kernel memory of the BPF maps of a process and its descendants, each once."""
    maps = {fields["map_id"]: int(fields.get("memlock", 0)) for fields in _fdinfos(pid) if "map_id" in fields}
    return sum(maps.values())


def _descriptors(pid: int) -> list[tuple[str, str]]:
    found = []
    folder = _PROC / str(pid) / "fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        try:
            found.append((name, os.readlink(folder / name)))
        except OSError:
            continue
    return found


def _fdinfos(pid: int) -> Iterator[dict[str, str]]:
    """The fields of each descriptor of a process and its descendants (Documentation/filesystems/proc.rst, 3.8)."""
    for each in tree(pid):
        folder = _PROC / str(each) / "fdinfo"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                lines = (folder / name).read_text().splitlines()
            except OSError:  # closed in between
                continue
            yield {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
