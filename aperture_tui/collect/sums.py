"""What the kernel has summed (bpf/took.h), read without losing a count: one table is filled while the other one rests.

The kernel is told to change over; a drain later, when no program can still be at the old table, that is emptied.
"""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TOOK: Final = [
    ("n", "<u8"),
    ("total_ns", "<u8"),
    ("min_ns", "<u8"),
    ("max_ns", "<u8"),
    ("runnable_n", "<u8"),
    ("runnable_ns", "<u8"),
    ("runnable_max_ns", "<u8"),
    ("start_ns", "<u8"),
    ("pid", "<u4"),
    ("flags", "<u4"),
    ("comm", "S16"),
]
"""struct took of bpf/took.h."""

_CHUNK: Final = 4096
_EVERY_S: Final = 1.0
_FIRST_S: Final = 1.5
"""Until then every drain changes over: somebody waits for the first figures."""
_REST_S: Final = 0.05
"""How long a table has to have been left alone: no program runs for as long."""


class Sums:
    """The tables of one program. Owned by the collecting thread.

    keys: table -> dtype of its key. entries: that each has room for. time_ns: the end of what was read last,
    CLOCK_MONOTONIC.
    """

    def __init__(self, maps: Mapping[str, int], keys: Mapping[str, np.dtype[np.void]], entries: int) -> None:
        self._maps = maps
        self._keys = keys
        self._entries = entries
        self._epoch = 0
        self._began = self._changed = time.monotonic()
        self._resting = False
        self._changed_ns = self.time_ns = 0

    def read(self) -> dict[str, NDArray[np.void]] | None:
        """At every drain: what was summed until the last change, once it rests; None if there is nothing new.

        Table -> (n,) with the fields of its key and those of TOOK.
        """
        now = time.monotonic()
        found = None
        if self._resting and now - self._changed >= _REST_S:
            self._resting = False
            self.time_ns = self._changed_ns
            found = self._emptied(self._epoch - 1)
        if not self._resting and (now - self._changed >= self._period(now) or self._is_filling()):
            self._change()
        return found

    def read_last(self) -> dict[str, NDArray[np.void]]:
        """Both tables, after the programs were detached."""
        time.sleep(_REST_S)
        older = self._emptied(self._epoch - 1)
        self._resting = False
        self.time_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        newer = self._emptied(self._epoch)
        return {name: np.concatenate((older[name], newer[name])) for name in older}

    def _period(self, now: float) -> float:
        return 0.0 if now - self._began < _FIRST_S else _EVERY_S

    def _is_filling(self) -> bool:
        made = bpf.lookup(self._maps["entries"], bytes(4), 8)
        return made is not None and struct.unpack("=Q", made)[0] > self._entries // 2

    def _change(self) -> None:
        self._epoch += 1
        bpf.update(self._maps["epoch"], bytes(4), struct.pack("=I", self._epoch & 1))
        bpf.update(self._maps["entries"], bytes(4), bytes(8))
        self._changed = time.monotonic()
        self._changed_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._resting = True

    def _emptied(self, epoch: int) -> dict[str, NDArray[np.void]]:
        return {name: self._emptied_one(f"{name}_{epoch & 1}", key) for name, key in self._keys.items()}

    def _emptied_one(self, table: str, key: np.dtype[np.void]) -> NDArray[np.void]:
        keys, values = np.zeros(_CHUNK, key), np.zeros(_CHUNK, np.dtype(TOOK))
        row = np.dtype([*((name, key[name].str) for name in key.names or ()), *TOOK])
        parts = []
        n = _CHUNK
        while n > _CHUNK // 2:  # a bucket that has no room in full is left for the next chunk
            n = bpf.drain_hash(self._maps[table], keys, values)
            part = np.zeros(n, row)
            for name in key.names or ():
                part[name] = keys[name][:n]
            for name, _ in TOOK:
                part[name] = values[name][:n]
            parts.append(part)
        return np.concatenate(parts)


class Slots:
    """An array map in which each thread has a place, read through mmap. start: the field that is 0 in an empty one, and
    that the kernel writes last. Owned by the collecting thread."""

    def __init__(self, fd: int, dtype: np.dtype[np.void], n: int, start: str = "start_ns") -> None:
        size = -(-n * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._slots: NDArray[np.void] = np.frombuffer(self._memory, dtype, n)
        self._start = start

    def since(self, before_ns: int) -> NDArray[np.void]:
        """A copy of what began before this moment and goes on: (m,)."""
        begun = self._slots[self._start]
        rows = np.flatnonzero((begun != 0) & (begun < before_ns))
        first, second = self._slots[rows], self._slots[rows]  # two copies: one that was being written differs
        begun = first[self._start]  # what has ended meanwhile is equal in both
        still: NDArray[np.void] = first[(first == second) & (begun != 0) & (begun < before_ns)]
        return still

    def tid_of(self, tids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Whose the place of each thread is now: (n,)."""
        found: NDArray[np.uint32] = self._slots["tid"][tids & np.uint32(len(self._slots) - 1)]
        return found

    def close(self) -> None:
        """Unmap."""
        del self._slots
        self._memory.close()


def slot_count(most: int) -> int:
    """How many places: as many as there can be threads, at most this; a power of two."""
    with open("/proc/sys/kernel/pid_max") as file:
        threads = int(file.read())
    return min(1 << (threads - 1).bit_length(), most)
