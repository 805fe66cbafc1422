"""The closed lists that every room shares: kinds of events, kinds of frames. Free of numpy."""

from __future__ import annotations

import enum
from typing import Final


class Kind(enum.IntEnum):
    """What one event record means (docs/architecture.md has the table)."""

    CPU = 1
    """One sample of a running thread."""
    OFFCPU = 2
    """Time blocked or waiting for a CPU, per (thread, stack, why). name: the system call it blocks in, `page fault`,
    `runnable` while it waits for a CPU, ... ."""
    SYSCALL = 3
    """A non-empty latency bucket of (process, syscall, outcome). aux: errno, 0 for success."""
    LOCK = 4
    """A non-empty latency bucket of (thread, lock, stack, outcome). value: the lock's address; aux: errno."""
    GPU_KERNEL = 5
    """One kernel execution on a GPU. value: profile.gpu_launch.Launch; aux: its device and stream
    (profile.gpu_launch.lane); cpu: the lowest bits of the number that it shares with its GPU_CALL."""
    GPU_COPY = 6
    """One copy or memset on a GPU. name: its direction; value: bytes; aux, cpu: as of a kernel."""
    GPU_CALL = 7
    """Calls that give work to a GPU, as they are made on the CPU. name: the function; cpu: as of a kernel, 0 of what is
    not told call by call."""


class FrameKind(enum.IntEnum):
    """What sort of code a frame is; it gives the frame its colour."""

    ROOT = 0
    """The root of every stack."""
    PROCESS = 1
    """A process name: the first frame of every stack."""
    KERNEL = 2
    NATIVE = 3
    JIT = 4
    """Code that a runtime made and named in a perf map."""
    PYTHON = 5
    RUNTIME = 6
    """A frame of another interpreter."""
    GPU = 7
    UNKNOWN = 8
    """An address that could not be given a module."""
    THREAD = 9
    """A thread's name and number, under its process where stacks are told apart by thread."""
    LOCK = 10
    """The lock that a stack waits for: the innermost frame, where the lock has a name."""
    TAG = 11
    """The tags of an event, above its process where stacks are told apart by them; or another thing that is above all:
    a control group, a container, a module."""


class Flag(enum.IntFlag):
    """Bits of an event's `flags`."""

    NONE = 0
    KERNEL_MODE = 1
    """The sample interrupted the kernel."""
    TRUNCATED = 2
    """The stack was deeper than what is kept: its outer frames are missing."""
    NO_USER_STACK = 4
    """The user stack could not be read."""
    NO_STACK = 8
    """The record arrived but its stack did not: only the process is known."""
    UNKNOWN_FRAME = 16
    """Some address of the stack is in no known module: most often a walk that went astray."""
    WHOLE = 32
    """The user stack reaches its outermost function, or the thread has none. Without it and without a Stop: unknown."""
    GUESSED = 64
    """Some caller was found by the frame pointer alone, where no table covers the code: most often code of a JIT."""
    FRAME_POINTERS = 128
    """The whole user stack was walked by frame pointers, because there were no tables for the process."""
    ESTIMATED = 16384
    """It was counted and timed, but its stack was not taken: it has its share of those of its thread that were."""
    PAUSES = 32768
    """Of work on a GPU: recording its program paused behind it, so that what the GPU did then is not known."""


ROLE_SHIFT: Final = 12
"""Bits 12 and 13 of an event's `flags` are a Role."""


class Role(enum.IntEnum):
    """Whose part of a wait or call an event tells. Only events of the role that a Query asks for are counted."""

    OWN = 0
    """It happened to this thread, and is over: all CPU samples, calls, waits."""
    IN_FLIGHT = 1
    """It goes on: duration_ns is its age at time_ns. Told again every second; the newest word alone is true."""
    WAKER = 2
    """The other side of a wait: this thread ended it, and this is where it did. value: of a lock its address, of
    off-CPU time the thread that was woken."""
    HOLDER = 3
    """This thread held the lock at the address in `value` when others began to wait."""


UNRECORDED: Final = Role.HOLDER
"""Of GPU_KERNEL: a stretch of time in which what a process had a GPU do was not recorded."""

STOP_SHIFT: Final = 8
"""Bits 8 to 11 of an event's `flags` are a Stop."""


class Stop(enum.IntEnum):
    """Why a user stack ends before its outermost function. `STOPS` has the words."""

    NONE = 0
    """It does not, or it is not known whether it does."""
    NO_TABLES = 1
    """The process had just begun, or its tables were still being made."""
    NO_MAPPING = 2
    """The address is in no executable mapping that is known."""
    NO_ROW = 3
    """No table covers the code, and its frame pointer leads nowhere."""
    FAULT = 4
    """The stack could not be read: it is paged out, or not where the table says."""
    TOO_DEEP = 5
    """Deeper than what is kept."""
    STUCK = 6
    """A caller's frame that is not above its callee's."""
    FOREIGN = 7
    """Code of another architecture: a 32-bit process."""
    UNSUPPORTED = 8
    """This kernel or architecture does not let stacks be unwound by tables."""
    FROZEN = 9
    """The callers of a virtual thread of Java are not on any stack: they lie in the heap until they are returned to."""


STOPS: Final = {
    Stop.NO_TABLES: "process too new, or its unwind tables not made yet",
    Stop.NO_MAPPING: "address in no known mapping",
    Stop.NO_ROW: "code without unwind table or frame pointer",
    Stop.FAULT: "stack memory unreadable",
    Stop.TOO_DEEP: "deeper than what is kept",
    Stop.STUCK: "frames that do not ascend",
    Stop.FOREIGN: "32-bit code",
    Stop.UNSUPPORTED: "no unwinder for this kernel or architecture",
    Stop.FROZEN: "callers of a virtual thread, which lie in the heap",
}
"""What to tell a person of each Stop."""


def stop_of(flags: int) -> Stop:
    """The Stop in an event's flags; NONE for a number of a newer version."""
    number = flags >> STOP_SHIFT & 0xF
    return Stop(number) if number <= max(Stop) else Stop.NONE
