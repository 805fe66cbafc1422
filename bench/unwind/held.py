"""What a profiler holds and has used: its BPF programs by what they are for, their maps, memory, CPU time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench import procfs
from bench.procfs import BpfRuns

_NOTHING: Final = BpfRuns()


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
    programs = procfs.bpf_programs(pid)
    sampling = programs.get(procfs.PERF_EVENT, _NOTHING)
    following = programs.get(procfs.RAW_TRACEPOINT, _NOTHING)
    return Held(sampling, following, procfs.bpf_map_bytes(pid))


def peak_bytes(pid: int) -> int:
    """The most that a process has had resident since its exec; 0 if it is gone."""
    return procfs.memory_bytes(pid, "status", "VmHWM:")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its descendants, those that have ended as well; 0 if it is gone."""
    return procfs.cpu_ns(pid) / 1e9
