"""System calls that had begun before anybody looked: what /proc tells of threads that sit in one.

A thread stuck for an hour is what people start a profiler for, and it makes no call that could be traced.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.syscalls.names import COMPAT
from aperture_tui.symbolize.address_space import start_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.settings import Settings
    from aperture_tui.collect.sums import Slots

CALL_SLOT: Final = np.dtype(
    [
        ("start_ns", "<u8"),
        ("process_ns", "<u8"),
        ("tid", "<u4"),
        ("pid", "<u4"),
        ("nr", "<u4"),
        ("unused", "<u4"),
    ]
)
"""A call that goes on, by its thread: struct call of bpf/calls.bpf.c. start_ns: CLOCK_MONOTONIC; process_ns: its
process's start, CLOCK_BOOTTIME."""

BEGUN: Final = np.dtype([*CALL_SLOT.descr, ("first", "<u8"), ("second", "<u8")])
"""A call that had begun: start_ns is when we looked. first, second: its arguments."""

MAX_THREADS: Final = 20_000
_SWEEP_S: Final = 1.0
_PROC: Final = Path("/proc")


class Begun:
    """`look` belongs to whoever attaches, the rest to the collecting thread, afterwards."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rows = np.zeros(0, BEGUN)
        self._swept = 0.0
        self.is_whole = True
        """Whether all threads were looked at: there may be more than MAX_THREADS that sit in a call."""

    def look(self) -> None:
        """Once the program is attached, so that nothing can begin unseen in between."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        found = list(islice(self._calls(now), MAX_THREADS + 1))
        self.is_whole = len(found) <= MAX_THREADS
        self._rows = np.array(found[:MAX_THREADS], BEGUN)

    def _calls(self, now_ns: int) -> Iterator[tuple[int, ...]]:
        for pid in self._pids():
            process_ns, bit = _start_ns(pid), _compat(pid)  # not for each thread: there may be ten thousand
            for tid in _entries(f"{_PROC}/{pid}/task"):
                call = _call(pid, tid)
                if call is not None:
                    number, *arguments = call
                    yield now_ns, process_ns, int(tid), pid, number | bit, 0, *arguments

    def _pids(self) -> list[int]:
        pids = set(self._settings.pids) or {int(name) for name in _entries(_PROC) if name.isdecimal()}
        if self._settings.cgroups:
            pids &= {pid for path in self._settings.cgroups for pid in _members(Path(path))}
        return sorted(pids)

    def still(self, slots: Slots) -> NDArray[np.void]:
        """Those that go on: (n,) of BEGUN.

        What a thread has done since, the kernel has written at its place.
        """
        rows = self._rows
        if not len(rows):
            return rows
        rows = rows[slots.tid_of(rows["tid"]) != rows["tid"]]
        if time.monotonic() - self._swept > _SWEEP_S:  # a thread whose place another one has taken may be gone
            self._swept = time.monotonic()
            pids = np.unique(rows["pid"]).tolist()
            there = [int(tid) for pid in pids for tid in _entries(f"{_PROC}/{pid}/task")]
            rows = rows[np.isin(rows["tid"], np.array(there, np.uint32))]
        self._rows = rows
        out: NDArray[np.void] = rows
        return out


def _call(pid: int, tid: str) -> tuple[int, int, int] | None:
    """The call that a thread sits in, and its first arguments; None if it is in none that can be known (proc(5))."""
    try:
        with open(f"{_PROC}/{pid}/task/{tid}/syscall") as told:
            words = told.read().split()
    except OSError:  # gone, or not ours to read
        return None
    if len(words) < 9 or not words[0].isdecimal() or words[-1] == words[-2] == "0x0":
        return None  # it runs; or it has no user stack, and no call: a thread of the kernel
    return int(words[0]) & (COMPAT - 1), int(words[1], 16), int(words[2], 16)


def _compat(pid: int) -> int:
    """COMPAT if a process is a 32-bit one, else 0: its auxiliary vector has words of its own width, the first small."""
    try:
        words = (_PROC / str(pid) / "auxv").read_bytes()[:8]
    except OSError:
        return 0
    return COMPAT if any(words[4:]) else 0


def _start_ns(pid: int) -> int:
    """When a process began, CLOCK_BOOTTIME, to the 10 ms that /proc tells; 0 if it is gone."""
    return start_time(pid) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _entries(folder: Path | str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _members(group: Path) -> Iterator[int]:
    """The processes of a control group and of those below it."""
    for folder, _, names in os.walk(group):
        if "cgroup.procs" in names:
            try:
                yield from map(int, Path(folder, "cgroup.procs").read_text().split())
            except OSError:
                continue
