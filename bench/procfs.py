"""Other processes as /proc tells of them: CPU time, memory, descriptors. A process that is gone counts as nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class BpfRuns:
    """Run time and runs of the BPF programs that a process holds."""

    time_ns: int = 0
    count: int = 0


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


def cpu_ns(pid: int) -> int:
    """CPU time of the living threads of a process and its descendants, ns."""
    return sum(sum(thread_cpu_ns(each).values()) for each in tree(pid))


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process and its descendants: shared pages count by their share."""
    return sum(_rollup(each, "Pss:") for each in tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident set size of one process: what `top` shows."""
    return _rollup(pid, "Rss:")


def _rollup(pid: int, field: str) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def holds_perf_event(pid: int) -> bool:
    """Whether one of these processes has a perf event open: from then on it can have samples."""
    return any("perf_event" in target for each in tree(pid) for _, target in _descriptors(each))


def bpf_runs(pid: int) -> BpfRuns:
    """The BPF programs of a process, as the fdinfo of its descriptors counts them; zero without BPF statistics."""
    programs: dict[str, BpfRuns] = {}
    for each in tree(pid):
        for fd, target in _descriptors(each):
            if "bpf-prog" in target:
                fields = _fdinfo(each, fd)
                runs = BpfRuns(int(fields.get("run_time_ns", 0)), int(fields.get("run_cnt", 0)))
                programs[fields.get("prog_id", f"{each}/{fd}")] = runs
    return BpfRuns(sum(p.time_ns for p in programs.values()), sum(p.count for p in programs.values()))


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


def _fdinfo(pid: int, fd: str) -> dict[str, str]:
    try:
        lines = (_PROC / str(pid) / "fdinfo" / fd).read_text().splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
