"""Frames, amounts and times in words, the same in every export."""

from __future__ import annotations

import datetime
import errno
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure

if TYPE_CHECKING:
    from aperture_tui.profile.completeness import Completeness
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Frame

COUNTED: Final = {
    Kind.CPU: "samples",
    Kind.OFFCPU: "waits",
    Kind.SYSCALL: "calls",
    Kind.LOCK: "waits",
    Kind.GPU_KERNEL: "kernels",
    Kind.GPU_COPY: "copies",
    Kind.GPU_CALL: "calls",
}
"""What Measure.COUNT counts."""


NO_STACK: Final = "[no stack]"
"""What stands for the stack of events that came without any."""


def frame_name(frame: Frame) -> str:
    """The function; in its stead the module in brackets, where even that is unknown `[unknown]`."""
    if frame.function:
        return frame.function
    module = frame.module.rstrip("/").rpartition("/")[2]
    return f"[{module}]" if module else "[unknown]"


def number(pid: int) -> str:
    """The number of a process; "-" of several machines together, where processes have none."""
    return str(pid) if pid else "-"


def unit(query: Query) -> str:
    """What the weights of the query's answers count: "samples", "waits" …, or "ns"."""
    return "ns" if query.measure is Measure.TIME else COUNTED[query.kind]


_KERNEL_ERRORS: Final = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
}
"""What system calls return inside the kernel (include/linux/errno.h): programs see EINTR, or nothing at all."""


def errno_name(code: int) -> str:
    """The symbol of an error: "EAGAIN"; "errno 999" of one without."""
    return errno.errorcode.get(code) or _KERNEL_ERRORS.get(code) or f"errno {code}"


def whole_share(completeness: Completeness) -> str:
    """How many stacks are whole: "98.7 %", "?" if nothing is known; rounded down, so that 100 % is all of them."""
    share = completeness.share
    if share is None:
        return "?"
    return f"{1000 * completeness.whole // completeness.known / 10:.1f} %"


def amount_bytes(value: int) -> str:
    """Bytes with three digits or so: "640 B", "1.5 GB"."""
    scaled = float(value)
    for suffix in ("B", "KB", "MB", "GB"):
        if scaled < 1024:
            return f"{scaled:.4g} {suffix}" if scaled >= 1000 else f"{scaled:.3g} {suffix}"
        scaled /= 1024
    return f"{scaled:,.4g} TB"


def amount_ns(value: int) -> str:
    """A duration with three digits or so: "850 ns", "12.3 ms", "4.5 s", "3,600 s"."""
    for suffix, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if abs(value) < 1000 * size:
            return f"{value / size:.3g} {suffix}"
    seconds = value / 1e9
    return f"{seconds:.3g} s" if abs(seconds) < 100 else f"{seconds:,.0f} s"


def time_utc(time_ns: int) -> str:
    """A moment in UTC, to the second: "2023-11-14 22:13:20 UTC"; "unknown" for 0 and what no calendar has."""
    if time_ns <= 0:
        return "unknown"
    try:
        moment = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
