"""Long waits, told while they go on, and each part of them once.

The kernel sums the waits that are over. One of a second and more it hands over by itself, and what goes on it shows in
the slots of its threads: so a thread that blocks for ever is accounted as it blocks, and nothing is told twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.naming import WHO
from aperture_tui.collect.syscalls.begun import Begun
from aperture_tui.collect.syscalls.names import name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.settings import Settings
    from aperture_tui.collect.sums import Slots
    from aperture_tui.collect.unwind.standstill import Standstill
    from aperture_tui.profile.symbols import Symbols

OFF: Final = np.dtype(
    [
        ("out_ns", "<u8"),
        ("woken_ns", "<u8"),
        ("stack", "<u8"),
        ("start_ns", "<u8"),
        ("last_ns", "<u8"),
        ("in_ns", "<u8"),
        ("delay_ns", "<u8"),
        ("tid", "<u4"),
        ("pid", "<u4"),
        ("why", "<u4"),
        ("flags", "<u4"),
        ("comm", "S16"),
    ]
)
"""struct off of bpf/offcpu.bpf.c. start_ns: of the process."""
WAIT: Final = np.dtype([*OFF.descr, ("end_ns", "<u8")])
"""struct wait."""

BLOCKED, RUNNABLE = 0, 1
"""The parts of a wait."""
PREEMPTED, SLEEPING, UNINTERRUPTIBLE, OTHER = range(4)
"""Why a thread left the CPU: bits 16 and up of `why`; below them the system call, or NO_CALL."""
NO_CALL: Final = 0xFFFF
UNKNOWN_CALL: Final = 0xFFFE
"""Where the kernel does not let it be seen."""

PART: Final = np.dtype(
    [
        *WHO,
        ("why", "<u4"),
        ("part", "<u8"),
        ("n", "<u8"),
        ("total_ns", "<u8"),
        ("max_ns", "<u8"),
        ("flags", "<u4"),
        ("estimated", "?"),
        ("comm", "S16"),
    ]
)
"""A part of one wait or of many."""

LONG_NS: Final = 1_000_000_000
"""Of bpf/offcpu.bpf.c."""
_EVERY_S: Final = 1.0
_THREADS_A_SECOND: Final = 1000
"""More that wait are told less often: each time that is a record."""


class Waits:
    """Owned by the collecting thread, but for `look_at_what_goes_on`."""

    def __init__(self, settings: Settings, standstill: Standstill | None = None) -> None:
        """standstill: None for no stacks but the kernel's."""
        self._begun = Begun(settings)
        self._standstill = standstill
        self._told: dict[tuple[int, int], tuple[int, int]] = {}
        """(tid, when it left) -> how much of it has been told, blocked and runnable."""
        self._went_on: set[tuple[int, int]] = set()
        """Those that went on the last time."""
        self._told_at = 0.0
        self._pause_s = _EVERY_S

    def look_at_what_goes_on(self) -> None:
        """Once, when the program is attached: threads that sit in a call already wait from now on, for all we know."""
        self._begun.look()

    def over(self, waits: NDArray[np.void]) -> NDArray[np.void]:
        """Long waits that are over, less what of them has been told: (n,) of PART. waits: (m,) of WAIT."""
        if self._standstill is not None:
            self._standstill.fill(waits, waits["out_ns"], waits["end_ns"])
        parts = self._parts(waits, waits["end_ns"])
        for tid, out in zip(waits["tid"].tolist(), waits["out_ns"].tolist(), strict=True):
            self._told.pop((tid, out), None)
        return parts

    def so_far(self, slots: Slots, last: bool) -> NDArray[np.void]:
        """Now and then, and the last time: what of long waits was not told yet, (n,) of PART."""
        now_s = time.monotonic()
        if not last and now_s - self._told_at < self._pause_s:
            return np.zeros(0, PART)
        self._told_at = now_s
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        waits = np.concatenate((slots.since(now - (0 if last else LONG_NS)), self._early(slots)))
        if self._standstill is not None:
            self._standstill.fill(waits, waits["out_ns"], now)
        self._pause_s = max(_EVERY_S, len(waits) / _THREADS_A_SECOND)
        parts = self._parts(waits, np.full(len(waits), now, np.uint64))
        # of one that goes on no more the end may still be in the ring, which was read before: until the next time
        go_on = set(zip(waits["tid"].tolist(), waits["out_ns"].tolist(), strict=True))
        self._told = {key: told for key, told in self._told.items() if key in go_on or key in self._went_on}
        self._went_on = go_on
        return parts

    def _early(self, slots: Slots) -> NDArray[np.void]:
        """Threads that sit in a call since before we looked."""
        rows = self._begun.still(slots)
        waits = np.zeros(len(rows), OFF)
        waits["out_ns"], waits["start_ns"] = rows["start_ns"], rows["process_ns"]
        waits["tid"], waits["pid"] = rows["tid"], rows["pid"]
        waits["why"] = rows["nr"] | np.uint32(SLEEPING << 16)
        return waits

    def _parts(self, waits: NDArray[np.void], end_ns: NDArray[np.uint64]) -> NDArray[np.void]:
        """What of these waits until then was not told yet."""
        preempted = waits["why"] >> np.uint32(16) == PREEMPTED
        out, woken = waits["out_ns"], np.minimum(waits["woken_ns"], end_ns)
        until = np.where(preempted, out, np.where(woken > out, woken, end_ns))
        found = []
        for i, (tid, left, blocked_until, end) in enumerate(
            zip(waits["tid"].tolist(), out.tolist(), until.tolist(), end_ns.tolist(), strict=True)
        ):
            blocked, runnable = self._told.get((tid, left), (0, 0))
            now_blocked = max(blocked_until - left, blocked)
            # of what was told as blocked some may turn out to have been runnable: it is not told again
            now_runnable = max(min(end - blocked_until, end - left - now_blocked), runnable)
            self._told[tid, left] = now_blocked, now_runnable
            for part, total, more in (
                (BLOCKED, now_blocked, now_blocked - blocked),
                (RUNNABLE, now_runnable, now_runnable - runnable),
            ):
                if more > 0:
                    first = (blocked if part == BLOCKED else runnable) == 0
                    found.append((i, part, more, total, first, end))
        if not found:
            return np.zeros(0, PART)
        columns = np.array(found, np.int64).T
        parts = np.zeros(len(found), PART)
        for field in ("stack", "start_ns", "pid", "tid", "why", "flags", "comm"):
            parts[field] = waits[field][columns[0]]
        for field, column in zip(("part", "total_ns", "max_ns", "n", "time_ns"), columns[1:], strict=True):
            parts[field] = column
        return parts


def names(why: NDArray[np.uint32], part: NDArray[np.uint64], symbols: Symbols) -> NDArray[np.uint32]:
    """The strings of what threads waited for: (n,)."""
    keys = np.where(part == RUNNABLE, np.uint32(PREEMPTED << 16 | NO_CALL), why)
    known, which = np.unique(keys, return_inverse=True)
    return np.array([symbols.string(reason(key)) for key in known.tolist()], np.uint32)[which]


def reason(why: int) -> str:
    """What a thread waits for, in words: "runnable", the system call it blocks in, "page fault" …"""
    state, call = why >> 16, why & NO_CALL
    if state == PREEMPTED:
        return "runnable"
    if call == UNKNOWN_CALL:
        return "blocked (D state)" if state == UNINTERRUPTIBLE else "blocked"
    if call == NO_CALL:
        return "page fault" if state == UNINTERRUPTIBLE else "stopped" if state == OTHER else "blocked outside of calls"
    return f"{name(call)} (D state)" if state == UNINTERRUPTIBLE else name(call)
