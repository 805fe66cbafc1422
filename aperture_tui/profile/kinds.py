"""The closed lists that every room shares: kinds of events, kinds of frames. Free of numpy."""

from __future__ import annotations

import enum


class Kind(enum.IntEnum):
    """What one event record means (docs/architecture.md has the table)."""

    CPU = 1
    """One sample of a running thread."""
    OFFCPU = 2
    """Time blocked or waiting for a CPU, per stack."""
    SYSCALL = 3
    """A non-empty latency bucket of (process, syscall, outcome)."""
    LOCK = 4
    """A non-empty latency bucket of (process, lock, stack)."""
    GPU_KERNEL = 5
    """One kernel execution on a GPU."""
    GPU_COPY = 6
    """One copy or memset on a GPU."""


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
