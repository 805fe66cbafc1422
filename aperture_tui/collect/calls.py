"""System calls and waits for locks: bpf/calls.bpf.c, one program for both or for either."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.lock_slots import WAIT_SLOT
from aperture_tui.collect.locks import Locks
from aperture_tui.collect.sums import Slots, Sums, slot_count
from aperture_tui.collect.syscalls.begun import CALL_SLOT
from aperture_tui.collect.syscalls.calls import Calls
from aperture_tui.collect.syscalls.names import COMPAT, compat_numbers, numbers
from aperture_tui.collect.traced import Traced
from aperture_tui.collect.unwind import walking
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.profile.symbols import Symbols

CALL_KEY: Final = np.dtype([("call", "<u8"), ("stack", "<u8")])
"""struct call_key of bpf/calls.bpf.c: tid | number << 32 | bucket << 46 | errno << 52."""
LOCK_KEY: Final = np.dtype(
    [("address", "<u8"), ("stack", "<u8"), ("tid", "<u4"), ("error", "<u2"), ("kind", "u1"), ("bucket", "u1")]
)
"""struct lock_key."""
OTHER_KEY: Final = np.dtype([("address", "<u8"), ("stack", "<u8"), ("who", "<u4"), ("tid", "<u4"), ("role", "<u8")])
"""struct other_key."""
_SLOTS: Final = 1 << 17
CALL_ENTRIES, ENTRIES = 1 << 16, 1 << 14
"""A storm of short-lived processes makes more different calls in a second than there is room for waits."""
_NO_ENTRY, _NO_SLOT, _LOCK_NO_ENTRY, _LOCK_NO_SLOT, _RACED, _NOT_WALKED = range(6)
_FUTEX_CALLS: Final = ("futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue")
"""Those that have tracepoints of their own, as far as the kernel has them."""


class CallCollector(Traced):
    """kinds: "syscall", "lock" or both."""

    def __init__(self, common: Common, kinds: tuple[str, ...]) -> None:
        super().__init__(common, kinds)
        self._calls = Calls(common) if "syscall" in kinds else None
        self._locks = Locks(common) if "lock" in kinds else None
        self._shared: dict[str, int] = {}

    # -- attaching

    def follow(self, before: CallCollector) -> None:
        """Take over from one that runs, before `start`: what goes on is known to both then, and each call and wait is
        counted by whichever sees its end first.
        """
        if self._calls is not None and before._calls is not None:
            self._share("call_slots", before)
            self._calls.follow(before._calls)
        if self._locks is not None and before._locks is not None:
            self._share("wait_slots", before)
            self._locks.follow(before._locks)

    def _share(self, name: str, before: CallCollector) -> None:
        fd = self._shared[name] = os.dup(before._maps[name])
        self.hold(partial(os.close, fd))

    def load(self) -> None:
        """Load, map, attach; then look at what goes on already."""
        raw = self._calls is not None or not _has_tracepoint("futex")
        slots = slot_count(_SLOTS)
        room = {"SLOTS": slots, "CALL_ENTRIES": CALL_ENTRIES, "ENTRIES": ENTRIES}
        defines = {**room, "RAW": int(raw), **self._defines(slots)}
        programs = self.take(lambda sizes: _source(raw, {**defines, **sizes}), given=self._shared)
        keys = {"calls": CALL_KEY} if self._calls else {}
        keys |= {"locks": LOCK_KEY, "others": OTHER_KEY} if self._locks else {}
        self._tables = Sums(self._maps, keys, ENTRIES)
        self._call_slots = Slots(self._maps["call_slots"], CALL_SLOT, slots if self._calls else 1)
        self.hold(self._call_slots.close)
        self._wait_slots = Slots(self._maps["wait_slots"], WAIT_SLOT, slots if self._locks else 1)
        self.hold(self._wait_slots.close)
        self._filter_calls()
        self._attach(raw, programs)
        if self._calls is not None and "call_slots" not in self._shared:
            self._calls.look_at_what_goes_on()
        if self._locks is not None and "wait_slots" not in self._shared:
            self._locks.look_at_what_goes_on()

    def _defines(self, slots: int) -> dict[str, int]:
        settings = self._common.settings
        return {
            "CALLS": int(self._calls is not None),
            "FUTEX": int(self._locks is not None),
            "CALL_SLOTS": slots if self._calls else 1,
            "WAIT_SLOTS": slots if self._locks else 1,
            "FILTERED": int(bool(settings.pids or settings.cgroups)),
            "BY_CALL": int(bool(settings.syscalls)),
            "EVERY": settings.syscall_stacks if self._calls else 0,
            "STACKS": int(settings.wait_stacks),
        }

    def _filter_calls(self) -> None:
        ours, compat = numbers(), compat_numbers()
        for name in self._common.settings.syscalls if self._calls else ():
            wanted = [ours[name]] if name in ours else []
            wanted += [compat[name] | COMPAT] if name in compat else []
            for number in wanted:
                bpf.update(self._maps["call_filter"], struct.pack("=I", number), b"\1")

    def _attach(self, raw: bool, programs: Mapping[str, int]) -> None:
        if raw:
            self.attach(bpf.open_raw_tracepoint("sys_exit", programs["on_exit"]))
            self.attach(bpf.open_raw_tracepoint("sys_enter", programs["on_enter"]))
        else:
            for name in filter(_has_tracepoint, _FUTEX_CALLS):
                self.attach(bpf.open_tracepoint("syscalls", f"sys_exit_{name}", programs["on_exit"]))
                self.attach(bpf.open_tracepoint("syscalls", f"sys_enter_{name}", programs["on_enter"]))
        self.attach(bpf.open_raw_tracepoint("sched_process_exec", programs["on_exec"]))
        self.attach(bpf.open_raw_tracepoint("sched_process_exit", programs["on_thread_exit"]))

    # -- draining

    def named(self, sums: Mapping[str, NDArray[np.void]] | None, symbols: Symbols) -> list[NDArray[np.void]]:
        """Calls and waits since the last time, and now and then what goes on."""
        parts = []
        time_ns = self._tables.time_ns if self._tables else 0
        if self._calls is not None:
            if sums is not None:
                parts.append(self._calls.done(sums["calls"], time_ns, symbols))
            parts.append(self._calls.in_flight(self._call_slots, symbols))
        if self._locks is not None:
            if sums is not None:
                parts.append(self._locks.done(sums["locks"], sums["others"], time_ns, symbols))
            parts.append(self._locks.in_flight(self._wait_slots, symbols))
        return parts

    # -- telling

    def words(self) -> list[Health]:
        """Losses by cause."""
        counts = bpf.counters(self._maps["counters"], 6)
        words = []
        if self._calls is not None:
            words.append(
                Health(
                    "syscall",
                    State.RUNNING,
                    self._message,
                    delivered=self._calls.delivered,
                    lost={"calls: table full": counts[_NO_ENTRY], "calls: two threads at one place": counts[_NO_SLOT]},
                    degraded=dict(self._calls.degraded),
                )
            )
        if self._locks is not None:
            words.append(
                Health(
                    "lock",
                    State.RUNNING,
                    self._message,
                    delivered=self._locks.delivered,
                    lost={
                        "waits: table full": counts[_LOCK_NO_ENTRY],
                        "waits: two threads at one place": counts[_LOCK_NO_SLOT],
                    },
                    degraded={
                        "futex had changed: no wait": counts[_RACED],
                        "short wait without its stack": counts[_NOT_WALKED],
                        **self._locks.degraded,
                    },
                )
            )
        return words


def _source(raw: bool, defines: Mapping[str, int]) -> compiler.Source:
    kind = bpf.PROG_RAW_TRACEPOINT if raw else bpf.PROG_TRACEPOINT
    programs = {"on_enter": kind, "on_exit": kind}
    programs |= dict.fromkeys(("on_exec", "on_thread_exit"), bpf.PROG_RAW_TRACEPOINT)
    made = walking.source(programs, "calls", kind, defines if defines.get("UNWIND_ROWS") else {})
    return replace(made, defines={**made.defines, **_status(), **defines})


def _status() -> dict[str, int]:
    """What tells 32-bit calls apart, where there are any."""
    if os.uname().machine != "x86_64":
        return {"TASK_STATUS": 0}
    at = btf.member_offsets("task_struct", ("thread_info",))["thread_info"]
    return {"TASK_STATUS": at + btf.member_offsets("thread_info", ("status",))["status"]}


def _has_tracepoint(name: str) -> bool:
    try:
        return bpf.tracepoint_number("syscalls", f"sys_enter_{name}") > 0
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM):
            return False
        raise
