"""Whether one that is waited for works."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aperture_tui.working import worked_ns

PROGRAM = """
import sys, time
for line in sys.stdin:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    print("done", flush=True)
"""


@contextmanager
def waiting_for_a_child() -> Iterator[tuple[threading.Thread, subprocess.Popen[str]]]:
    """A thread that has started a child and waits for its end, and that child, which works when it is told to."""
    started = threading.Event()
    children = []

    def run() -> None:
        child = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=-1, stdout=-1, text=True, bufsize=1)
        children.append(child)
        started.set()
        child.wait()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(30)
    child = children[0]
    try:
        yield thread, child
    finally:
        child.kill()
        thread.join()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def test_what_a_child_does_is_its_threads_work() -> None:
    with waiting_for_a_child() as (thread, child):
        assert child.stdin is not None
        assert child.stdout is not None
        before = worked_ns([thread])
        child.stdin.write("work\n")
        assert child.stdout.readline() == "done\n"
        assert worked_ns([thread]) >= before + 90_000_000


def test_who_waits_for_somebody_idle_does_nothing() -> None:
    with waiting_for_a_child() as (thread, child):
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("work\n")
        assert child.stdout.readline() == "done\n"  # it has started, and now waits
        deadline = time.monotonic() + 30
        while (before := worked_ns([thread])) != _a_moment_later(thread):
            assert time.monotonic() < deadline, before
    assert worked_ns([thread]) == 0, "one that has ended"


def _a_moment_later(thread: threading.Thread) -> int:
    time.sleep(0.1)
    return worked_ns([thread])
