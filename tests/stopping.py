"""A process that stands still, for tests of those who wait for one."""

from __future__ import annotations

import os
import signal
import time

from aperture_tui.symbolize.confined import cpu_s


def stop(pid: int) -> None:
    """Stop a child, until it has no CPU time any more: it still runs when its parent is told."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    before = -1.0
    while before != (before := cpu_s(pid)):
        time.sleep(0.02)
