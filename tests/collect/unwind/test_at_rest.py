"""Threads that do not run, as /proc tells of them."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from aperture_tui.collect.unwind.at_rest import StackMemory, at_rest

PAGE = mmap.PAGESIZE


@pytest.fixture
def memory() -> Iterator[StackMemory]:
    """Of this process."""
    with closing(StackMemory(os.getpid(), threading.get_native_id())) as memory:
        yield memory


def address_of(region: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(region))


def test_what_has_been_written_is_read(memory: StackMemory) -> None:
    region = mmap.mmap(-1, 4 * PAGE, mmap.MAP_PRIVATE)
    region[:16] = (0x1122334455667788).to_bytes(8, "little") + (99).to_bytes(8, "little")
    assert memory.word(address_of(region)) == 0x1122334455667788
    assert memory.word(address_of(region) + 8) == 99
    assert memory.word(address_of(region) + 4) == (99 << 32 | 0x11223344)


def test_what_has_to_be_brought_is_left_alone(memory: StackMemory) -> None:
    """A page that nobody has written may be a userfaultfd's, and one of a file that of a dead file system."""
    region = mmap.mmap(-1, 4 * PAGE, mmap.MAP_PRIVATE)
    region[:8] = region[2 * PAGE : 2 * PAGE + 8] = (5).to_bytes(8, "little")
    at = address_of(region)
    assert memory.word(at) == 5
    assert memory.word(at + PAGE) is None
    assert memory.word(at + 2 * PAGE) == 5
    assert memory.word(at + PAGE - 4) is None, "half of it is not there"
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * PAGE)
        file.flush()
        mapped = mmap.mmap(file.fileno(), PAGE, mmap.MAP_PRIVATE)
        assert mapped[:1] == b"x"
        assert memory.word(address_of(mapped)) is None
        mapped[:8] = (6).to_bytes(8, "little")  # a copy, and so no page of the file any more
        assert memory.word(address_of(mapped)) == 6


@pytest.mark.parametrize("address", [0, 8, PAGE, (1 << 47) - 8, 1 << 47, (1 << 63) - 4, 1 << 63, (1 << 64) - 8])
def test_no_address_is_too_odd(memory: StackMemory, address: int) -> None:
    assert memory.word(address) is None


def test_what_is_read_of_one_stack_is_bounded(memory: StackMemory) -> None:
    size = 8 << 20
    region = mmap.mmap(-1, size, mmap.MAP_PRIVATE)
    region[:] = b"\1" * size
    at = address_of(region)
    found = [memory.word(at + offset) for offset in range(0, size, PAGE)]
    assert None not in found[: (1 << 20) // PAGE]
    assert set(found[(1 << 20) // PAGE + 1 :]) == {None}


def test_a_process_that_is_gone_is_an_error_of_the_system() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(OSError):  # noqa: PT011  # whichever it is
        at_rest(child.pid, child.pid)
    with pytest.raises(OSError):  # noqa: PT011
        StackMemory(child.pid, child.pid)


def test_who_runs_or_is_of_the_kernel_is_not_at_rest() -> None:
    running = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        running.stdout.readline()
        assert at_rest(running.pid, running.pid) is None
    finally:
        running.kill()
        running.communicate()
    assert at_rest(2, 2) is None, "kthreadd"
    zombie = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert at_rest(zombie.pid, zombie.pid) is None
    except OSError:
        pass  # as some kernels have it
    finally:
        zombie.wait()
