"""Records of the kernel's, in words: whose they are, and what their stacks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.profile.event import EVENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.clock import Clock
    from aperture_tui.collect.processes import Image, Processes
    from aperture_tui.collect.stacks import Stacks
    from aperture_tui.profile.symbols import Symbols

WHO: Final = [("time_ns", "<u8"), ("stack", "<u8"), ("start_ns", "<u8"), ("pid", "<u4"), ("tid", "<u4")]
"""The fields of a record that say when and whose it is: CLOCK_MONOTONIC, a stack's hash, CLOCK_BOOTTIME. With them go
`flags`, and `comm`, the thread's name."""

RECORD: Final = np.dtype([*WHO, ("flags", "<u4"), ("comm", "S16")])
"""A record of nothing else."""

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_TICK_NS: Final = 10_000_001
_MAX_STARTS: Final = 1 << 16


class Naming:
    """Owned by the collecting thread."""

    def __init__(self, clock: Clock, processes: Processes, stacks: Stacks) -> None:
        self._clock = clock
        self._processes = processes
        self._stacks = stacks
        self._starts: dict[int, int] = {}

    def events(self, records: NDArray[np.void], symbols: Symbols) -> NDArray[np.void]:
        """Events with everything that is known of who and where: (n,) of EVENT; the rest of them is 0.

        records: (n,), with the fields of WHO, `flags` and `comm`.
        """
        events = np.zeros(len(records), EVENT)
        if not len(records):
            return events
        images, image_of = self._images(records)
        rows = [self._processes.row(image, start, symbols) for image, start in images]
        comms, comm_of = np.unique(records["comm"], return_inverse=True)
        threads = np.array([symbols.string(bytes(comm)) for comm in comms], np.uint32)
        stacks, flags = self._stacks.nodes(records["stack"], image_of, [image for image, _ in images], symbols)
        events["time_ns"] = records["time_ns"] + np.uint64(self._clock.monotonic_ns)
        events["pid"], events["tid"] = records["pid"], records["tid"]
        events["process"] = np.array(rows, np.uint32)[image_of]
        events["thread"] = threads[comm_of]
        events["stack"] = stacks
        events["flags"] = flags | records["flags"].astype(np.uint16)
        return events

    def _images(self, records: NDArray[np.void]) -> tuple[list[tuple[Image, int]], NDArray[np.intp]]:
        """The distinct (image, start) of these records, and for each record which of them it is."""
        keys = records["start_ns"] * _ODD ^ records["pid"]
        changing = self._processes.changing
        if changing:
            # without an exec in between, all records of a process have one image: only then their time is looked at
            keys ^= np.where(np.isin(records["pid"], changing), records["time_ns"], np.uint64(0))
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        found: dict[tuple[int, int], int] = {}
        images: list[tuple[Image, int]] = []
        place = np.zeros(len(first), np.intp)
        for i, record in enumerate(records[first]):
            image = self._processes.image(int(record["pid"]), int(record["time_ns"]), bytes(record["comm"]))
            key = (id(image), start := self._start(int(record["pid"]), int(record["start_ns"])))
            if key not in found:
                found[key] = len(images)
                images.append((image, start))
            place[i] = found[key]
        return images, place[inverse]

    def _start(self, pid: int, start_ns: int) -> int:
        """A process's start as it was first told: /proc knows it to 10 ms, the kernel's records to the nanosecond."""
        known = self._starts.get(pid)
        if known is not None and abs(known - start_ns) < _TICK_NS:
            return known
        if len(self._starts) > _MAX_STARTS:
            self._starts.clear()
        self._starts[pid] = start_ns
        return start_ns
