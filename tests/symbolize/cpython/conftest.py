"""Interpreters to look into: those of this machine, and whatever APERTURE_TEST_PYTHONS names (separated by colons)."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aperture_tui.symbolize.address_space import AddressSpace
from aperture_tui.symbolize.cpython import ENTRY, CPythonError, Walk
from aperture_tui.symbolize.process_memory import ProcessMemory, read

PROGRAMS = Path(__file__).parent / "programs"
PLACES = (
    f"{Path.home()}/.pyenv/versions/3.*/bin/python3.*[0-9]",
    "/opt/*/bin/python3.*[0-9]",
    "/usr/bin/python3.*[0-9]",
)


def pythons() -> list[str]:
    """Programs of CPython 3.9 and later."""
    named = [path for path in os.environ.get("APERTURE_TEST_PYTHONS", "").split(":") if path]
    found = sorted({path for place in PLACES for path in glob.glob(place)})
    return named + [path for path in found if int(path.rpartition("python3.")[2]) >= 9]


@pytest.fixture(params=pythons() or [None], ids=lambda path: path or "none")
def python(request: pytest.FixtureRequest) -> str:
    """One interpreter of the machine."""
    if request.param is None:
        pytest.skip("no python3.9 or later in ~/.pyenv/versions or /usr/bin, and none in APERTURE_TEST_PYTHONS")
    return str(request.param)


@dataclass
class Child:
    """A process that stands still. said: its own JSON."""

    process: subprocess.Popen[bytes]
    said: dict[str, Any]
    space: AddressSpace = field(init=False)

    def __post_init__(self) -> None:
        self.space = AddressSpace.read(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid


@pytest.fixture
def child(python: str) -> Iterator[Child]:
    """A process of `programs/standstill.py`."""
    process = subprocess.Popen([python, str(PROGRAMS / "standstill.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        wait_until_reading(process.pid)
        yield Child(process, said)
    finally:
        process.kill()
        process.wait()


def wait_until_reading(pid: int) -> None:
    """Until the main thread is in read(0, ...), as /proc/PID/syscall says."""
    deadline = time.monotonic() + 10
    while not Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def need(tool: str) -> None:
    """Skip, naming a tool that is not installed."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def backtraces(pid: int) -> dict[int, list[tuple[int, str]]]:
    """Thread id -> (address, name) of the native frames, root first, as gdb unwinds them. Address 0: not shown."""
    quiet = [
        word
        for setting in ("debuginfod enabled off", "print frame-arguments none")
        for word in ("-iex", f"set {setting}")
    ]
    command = ["gdb", "-batch", "-nx", *quiet, "-p", str(pid), "-ex", "thread apply all bt"]
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    threads = re.split(r"^Thread \d+ .*?LWP (\d+).*$", text, flags=re.M)[1:]
    frame = re.compile(r"^#\d+ +(?:(0x[0-9a-f]+) in )?(\S+) \(", re.M)
    return {
        int(thread): physical(frame.findall(stack)) for thread, stack in zip(threads[::2], threads[1::2], strict=True)
    }


def physical(frames: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """Without what was inlined: gdb shows the address at the innermost of the functions that share a frame."""
    out: list[tuple[int, str]] = []
    for address, name in frames:
        if address or not out:
            out.append((int(address or "0", 16), name))
        else:
            out[-1] = (out[-1][0], name)
    return out[::-1]


def walk_thread(pid: int, thread: int, walk: Walk) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel emits for a thread: code words and instruction words, leaf first. thread: its thread pointer."""
    memory = ProcessMemory(pid, CPythonError)

    def word(address: int) -> int:
        data = read(memory, address, 8)
        assert data is not None, hex(address)
        return int.from_bytes(data, "little")

    frame = word(word(word(thread + walk.tsd_blocks) + walk.tsd_value) + walk.frame)
    if walk.cframe >= 0:
        frame = word(frame + walk.cframe)
    codes, instructions = [], []
    while frame:
        data = read(memory, frame, walk.frame_bytes)
        assert data is not None
        (code,) = struct.unpack_from("<Q", data, walk.code)
        (instruction,) = struct.unpack_from("<Q", data, walk.instruction)
        codes.append(code | (int(ENTRY) if data[walk.entry] >= walk.entry_from else 0))
        instructions.append(instruction)
        (frame,) = struct.unpack_from("<Q", data, walk.previous)
    return np.array(codes, np.uint64), np.array(instructions, np.uint64)
