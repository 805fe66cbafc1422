"""A HotSpot from its first moment on, and as its code changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.hotspot import BlobKind, HotSpot, HotSpotError, HotSpotNotReady, binary_cache
from aperture_tui.symbolize.process_memory import Memory, ProcessMemory

from .conftest import Running, start


def test_a_vm_that_begins_is_not_ready_and_then_it_is(java: str, classes: Path) -> None:
    process = start(java, classes)
    binaries = binary_cache()
    deadline = time.monotonic() + 30
    found = None
    try:
        while found is None:
            assert time.monotonic() < deadline
            with contextlib.suppress(HotSpotNotReady):  # asked without a pause, at each stage of its beginning
                found = HotSpot.open(process.pid, executable_mappings(process.pid), binaries)
        while not (found.blobs.kind == BlobKind.INTERPRETER).any():
            assert time.monotonic() < deadline
            found.refresh()
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(HotSpotError, match="it is gone"):
        found.refresh()
    assert found.methods(np.array([1 << 20], np.uint64)) == [None]


def test_a_vm_without_its_own_libraries_is_not_ready(running: Running) -> None:
    mappings = [m for m in executable_mappings(running.pid) if m.module != "libjava.so"]
    with pytest.raises(HotSpotNotReady):
        HotSpot.open(running.pid, mappings)


def test_a_process_without_java_has_no_hotspot() -> None:
    assert HotSpot.open(1, []) is None


def test_code_that_is_made_is_told_and_named(java: str, classes: Path) -> None:
    running = Running(start(java, classes), java)
    try:
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == b"ready\n"
        hotspot = running.open()
        hotspot.refresh()
        before = dict(zip(hotspot.blobs.blob.tolist(), hotspot.blobs.compile_id.tolist(), strict=True))
        assert running.tell("go on") == "done"
        deadline = time.monotonic() + 20
        changed = hotspot.refresh()
        while "Known.later" not in names(hotspot):
            assert time.monotonic() < deadline  # it is compiled beside
            changed += hotspot.refresh()
        blobs = hotspot.blobs
        after = dict(zip(blobs.blob.tolist(), blobs.compile_id.tolist(), strict=True))
        differ = {blob for blob in before.keys() | after.keys() if before.get(blob) != after.get(blob)}
        assert differ
        assert all(any(low <= blob < high for low, high in changed) for blob in differ)
    finally:
        running.process.kill()
        running.process.communicate()


def names(hotspot: HotSpot) -> set[str]:
    blobs = hotspot.blobs
    found = hotspot.frames(blobs.start, np.zeros(len(blobs), bool))
    return {frames[-1].function for frames in found if frames}


class Patched:
    """A process's memory in which some bytes are others."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.bytes: dict[int, int] = {}

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        out: list[bytes | None] = []
        for at, data in zip(addresses, self.memory.read_many(addresses, sizes), strict=True):
            here = [where for where in self.bytes if at <= where < at + len(data or b"")]
            changed = bytearray(data or b"")
            for where in here:
                changed[where - at] = self.bytes[where]
            out.append(bytes(changed) if here else data)
        return out


def test_other_code_in_the_same_place_is_told(running: Running) -> None:
    mapping = next(m for m in executable_mappings(running.pid) if m.module == "libjvm.so")
    binary = binary_cache().get(running.pid, mapping)
    memory = Patched(ProcessMemory(running.pid, HotSpotError))
    hotspot = HotSpot(
        memory,
        [symbol + binary.loads.load_bias(mapping.start, mapping.offset) for symbol in binary.symbols],
        time.monotonic,
    )
    blobs = hotspot.blobs
    row = int(np.flatnonzero(blobs.frame_size > 0)[-1])
    for _ in range(len(blobs) // 64):
        hotspot.refresh()  # until a turn is over in which nothing changes
    place = int(blobs.blob[row]) + hotspot._cache._layout.blob.frame_size.offset
    words = int(blobs.frame_size[row]) // 8
    memory.bytes[place] = words & 0xFF ^ 1
    changed: list[tuple[int, int]] = []
    for _ in range(len(blobs) // 64):
        changed += hotspot.refresh()
    assert any(low <= blobs.start[row] < high for low, high in changed)
    assert hotspot.blobs.frame_size[hotspot.blobs.find(blobs.start[row : row + 1])[0]] == 8 * (words ^ 1)
