"""What threads of ours have had of the CPU: whether one that is waited for works, however slowly, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable


def worked_ns(threads: Iterable[threading.Thread]) -> int:
    """Of these, and of the children that they have now: a thread may wait for its child. 0 where nothing is known.

    Another number than the last time is work, a smaller one too: then a child has ended.
    """
    return sum(_of_thread(thread.native_id) for thread in threads)


def _of_thread(tid: int | None) -> int:
    own = _ran_ns(f"/proc/self/task/{tid}/schedstat")
    return own + sum(
        _ran_ns(f"/proc/{child.decode()}/schedstat") for child in _words(f"/proc/self/task/{tid}/children")
    )


def _ran_ns(path: str) -> int:
    """Documentation/scheduler/sched-stats.rst: the first word."""
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else 0


def _words(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read().split()
    except OSError:
        return []
