"""Waits for locks that go on: as the kernel's program keeps them, as /proc shows those that began before it was there,
and who holds the lock meanwhile."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.syscalls.names import name

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAIT_SLOT: Final = np.dtype(
    [
        ("start_ns", "<u8"),
        ("address", "<u8"),
        ("stack", "<u8"),
        ("process_ns", "<u8"),
        ("tid", "<u4"),
        ("pid", "<u4"),
        ("kind", "<u4"),
        ("owner", "<u4"),
        ("flags", "<u4"),
        ("unused", "<u4"),
    ]
)
"""struct wait of bpf/calls.bpf.c."""

FUTEXES: Final = ("futex", "futex bitset", "futex pi", "futex requeue pi", "futex2", "futex2 waitv")
"""Kinds of waits by their number in bpf/calls.bpf.c; those after them are wakes."""
_PI: Final = 2
_KIND_OF_OP: Final = {0: 0, 9: 1, 6: _PI, 13: _PI, 11: 3}
"""FUTEX_* of include/uapi/linux/futex.h that wait -> place in FUTEXES."""
_WAITERS, _TID = 0x80000000, 0x3FFFFFFF
"""FUTEX_WAITERS, FUTEX_TID_MASK."""


def begun_waits(calls: NDArray[np.void]) -> NDArray[np.void]:
    """Those of these calls that are waits: (n,) of WAIT_SLOT, without stacks. calls: (m,) of syscalls.begun.BEGUN."""
    found = []
    for call in calls:
        word = name(int(call["nr"])).removesuffix(" (32-bit)")
        address, kind = int(call["first"]), None
        if word == "futex":
            kind = _KIND_OF_OP.get(int(call["second"]) & 127)
        elif word == "futex_wait":
            kind = 4
        elif word == "futex_waitv":
            kind, address = 5, _words(int(call["pid"]), address + 8, "=Q")[0]  # struct futex_waitv: val, uaddr
        if kind is not None:
            begun = int(call["start_ns"]), address, 0, int(call["process_ns"]), int(call["tid"]), int(call["pid"])
            found.append((*begun, kind, 0, 0, 0))
    return np.array(found, WAIT_SLOT)


def holder(pid: int, address: int, kind: int) -> int:
    """The thread that holds a lock now, as its memory tells: the word of a PI or robust lock, or what lies behind that
    of a mutex of glibc, if it is a thread of the process; 0 if nothing tells."""
    word, _, behind = _words(pid, address, "=III")
    if kind == _PI or word & _WAITERS:
        return thread(pid, word & _TID)
    return thread(pid, behind, among=True) if word == 2 else 0


def thread(pid: int, tid: int, among: bool = False) -> int:
    """The thread that a process knows by this number, as we know it; 0 if there is none. among: one of its own.

    In a container a thread has another number inside than outside, and outside ours may be that of somebody else.
    """
    if not tid:
        return 0
    try:
        inside = os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        if not inside:
            return tid if os.path.exists(f"/proc/{pid}/task/{tid}" if among else f"/proc/{tid}") else 0
        return next((ours for ours in map(int, os.listdir(f"/proc/{pid}/task")) if _number_inside(ours) == tid), 0)
    except OSError:
        return 0


def _number_inside(tid: int) -> int:
    """The number of a thread in its own pid namespace; 0 if it is gone."""
    try:
        with open(f"/proc/{tid}/status") as file:
            return next((int(line.split()[-1]) for line in file if line.startswith("NSpid:")), 0)
    except OSError:
        return 0


def _words(pid: int, address: int, layout: str) -> tuple[int, ...]:
    """Out of a process's memory; zeros if it cannot be read."""
    size = struct.calcsize(layout)
    try:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return struct.unpack(layout, bytes(size))
    try:
        return struct.unpack(layout, os.pread(fd, size, address).ljust(size, b"\0"))
    except (OSError, OverflowError):
        return struct.unpack(layout, bytes(size))
    finally:
        os.close(fd)
