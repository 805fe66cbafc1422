"""What threads of ours have had of the CPU: whether one that is waited for works, however slowly, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aperture_tui.symbolize.confined import cpu_s

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable


def worked_ns(threads: Iterable[threading.Thread]) -> int:
    """Of these, and of the children that they have now: a thread may wait for its child. 0 where nothing is known.

    Another number than the last time is work, a smaller one too: then a child has ended.
    """
    return sum(_of_thread(thread.native_id) for thread in threads)


def _of_thread(tid: int | None) -> int:
    own = _words(f"/proc/self/task/{tid}/schedstat")  # Documentation/scheduler/sched-stats.rst: the first word
    children = map(int, _words(f"/proc/self/task/{tid}/children"))
    return (int(own[0]) if own else 0) + sum(int(cpu_s(child) * 1e9) for child in children)


def _words(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read().split()
    except OSError:
        return []
