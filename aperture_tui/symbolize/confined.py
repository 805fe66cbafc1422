"""Children that read what strangers wrote: how they are started, and how they confine themselves before they read.

Whatever a hostile file may make of such a child, it is a process of nobody, without capabilities and within limits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_NOBODY: Final = 65_534
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522
_NO_CAPABILITIES: Final = bytes(2 * 3 * 4)


def start(module: str, arguments: Sequence[str], pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start `python -m MODULE` with these descriptors, and no others. Raises OSError.

    It has to call `limit` and `drop_rights` by itself, once it has imported what it needs.
    """
    return subprocess.Popen(
        # -P: the working directory is no place to import from
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=pass_fds,
        # one thread of BLAS: its pool would take the address space that the child may have
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        process_group=0,  # what is typed at our terminal is not meant for it
    )


class Patience:
    """How long a child is waited for that works on one thing: until it has had so much CPU time, or has had none for so
    long by the clock. By the clock alone it would be given up where the machine has a hundred others to run, and it may
    have a second in a minute.
    """

    def __init__(self, pid: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """pid: of a child that has not been waited for. seconds: both of CPU time and without. clock: seconds."""
        self._pid, self._seconds, self._clock = pid, seconds, clock
        self._began_s = self._had_s = cpu_s(pid)
        self._moved_at = clock()
        self._is_over = False

    def is_over(self) -> bool:
        """Whether it is to be given up; from then on it is."""
        had_s, now = cpu_s(self._pid), self._clock()
        if had_s > self._had_s:
            self._had_s, self._moved_at = had_s, now
        self._is_over |= self._had_s - self._began_s >= self._seconds or now - self._moved_at >= self._seconds
        return self._is_over


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far; 0 if there is none. Its clock is numbered as by clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def limit(most: Mapping[int, int]) -> None:
    """Set resource limits (RLIMIT_ -> value) for good; where a lower one is in force already, that one stays."""
    for which, value in most.items():
        _soft, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY or hard > value:
            # at the hard limit of CPU time comes SIGKILL, as if from outside; at the soft one SIGXCPU
            resource.setrlimit(which, (value, value + 1))


def drop_rights() -> None:
    """Be nobody, if we are root, without capabilities in any case; and from then on gone when the parent is gone."""
    system = ctypes.CDLL(None)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a user namespace may forbid it, or know no other group
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        with contextlib.suppress(OSError):  # or no other user: then there is none to be
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # granted as ambient ones they come to us without root
    system.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), _NO_CAPABILITIES)
    system.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(word) for word in (1, 0, 0, 0)))
    system.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))  # last: a change of user or rights takes it back
