"""Node.js of every version: what setup/node.sh has fetched, this machine's, and what APERTURE_TEST_NODES names."""

from __future__ import annotations

import glob
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.process_memory import ProcessMemory, read
from aperture_tui.symbolize.v8 import Layout, V8Error, V8Reader, binary_cache, layout_in

PROGRAM = Path(__file__).parent / "programs" / "standstill.mjs"
_FETCHED = Path(__file__).parents[3] / "build" / "node"
_STACK_BYTES = 16 << 10


def nodes() -> list[str]:
    """Programs of Node.js 18 and later."""
    named = [path for path in os.environ.get("APERTURE_TEST_NODES", "").split(":") if path]
    found = sorted(glob.glob(f"{_FETCHED}/*/*/bin/node"))
    return list(dict.fromkeys([*named, *found, *filter(None, [shutil.which("node")])]))


NODES = [pytest.param(path, id=path.removeprefix(f"{_FETCHED}/").partition("/")[0] or path) for path in nodes()]
"""For `parametrize`: one that is None where there is no Node.js."""
NODES = NODES or [pytest.param(None, id="none")]


def need_node(path: str | None) -> str:
    """Skip where there is none."""
    if path is None:
        pytest.skip("no node on this machine, none that setup/node.sh has fetched, and none in APERTURE_TEST_NODES")
    return path


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest) -> str:
    """One Node.js."""
    return need_node(request.param)


@pytest.fixture
def waiting(node: str) -> Iterator[int]:
    """The pid of a process of `programs/standstill.mjs`, which stands still."""
    process = subprocess.Popen([node, str(PROGRAM)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        until = time.monotonic() + 10
        while not _syscall(process.pid).startswith("202 "):  # futex
            assert time.monotonic() < until
            time.sleep(0.001)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _syscall(pid: int) -> str:
    return Path(f"/proc/{pid}/syscall").read_text()


class Clock:
    """One that stands still until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


_BINARIES = binary_cache()


def layout_of(pid: int) -> Layout:
    """That of a process's V8."""
    layout = layout_in(pid, executable_mappings(pid), _BINARIES)
    assert layout is not None
    return layout


def opened(pid: int, clock: Callable[[], float] = time.monotonic) -> V8Reader:
    """The V8 of a process."""
    return V8Reader(ProcessMemory(pid, V8Error), layout_of(pid), clock)


def functions_on_stack(pid: int) -> np.ndarray:
    """What the words of the first thread's stack say if they are functions, innermost first: SharedFunctionInfos."""
    layout = layout_of(pid)
    memory = ProcessMemory(pid, V8Error)
    sp = int(_syscall(pid).split()[-2], 16)
    data = read(memory, sp, _STACK_BYTES) or read(memory, sp, _STACK_BYTES // 4)
    assert data is not None
    functions = [word for (word,) in struct.iter_unpack("<Q", data) if word & 3 == 1 and word < 1 << 47]
    found = memory.read_many([word - 1 + layout.walk.shared for word in functions], [8] * len(functions))
    infos = [int.from_bytes(word, "little") for word in found if word is not None]
    return np.array([info for info in infos if info & 3 == 1 and info < 1 << 47], np.uint64)
