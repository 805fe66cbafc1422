"""The filter by pid goes on with a process whose first thread has ended."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.collect.collecting import collecting

SOURCE = """
import ctypes, threading, time
def burn():
    end = time.monotonic() + 2.5
    while time.monotonic() < end: pass
threading.Thread(target=burn).start()
print("here", flush=True)
time.sleep(0.5)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.bpf
def test_a_process_is_wanted_until_its_last_thread_ends() -> None:
    child = subprocess.Popen([sys.executable, "-c", SOURCE], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    began_ns = time.time_ns()
    with collecting(pids=(child.pid,)) as kept:
        time.sleep(2)
        with open(f"/proc/{child.pid}/stat") as file:
            assert file.read().rsplit(")", 1)[1].split()[0] == "Z", "its first thread has ended"
    child.kill()
    child.wait()
    late = kept.of(child.pid)["time_ns"] > began_ns + 1_000_000_000
    assert late.sum() > 100
