"""The kernel's side: the maps that bpf/walk.h declares, made here, once, for every program that unwinds.

Mappings are one value of an array map, and so are the rows of a bank, written through mmap: no system call a row. Of
the rows only the part that is being written is mapped: the whole would count as our resident memory for ever. There is
one bank at first, and more of them once there are files that need them.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf
from aperture_tui.collect.object_code import MapSpec
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.unwind.extents import Banks, Extents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAPPING: Final = np.dtype([("start", "<u8"), ("end", "<u8"), ("bias", "<u8"), ("table", "<u8")])
"""struct mapping of bpf/walk.h; table is `first | rows << 32`, so that both change at once."""
REQUEST: Final = np.dtype([("pid", "<u4"), ("stop", "<u4")])
"""struct request of bpf/walk.h."""
INTERPRETER: Final = struct.Struct("=4Ii5I3I")
"""struct interpreter of bpf/unwind_processes.h."""

PENDING: Final = 0xFFFFFFFF
"""table of a mapping whose rows are still being made."""
ANONYMOUS: Final = 0xFFFFFFFE
"""table of a mapping with no file that has rows: code of a JIT."""

ASKED_CODE: Final = 1 << 31
"""Of a key of unwind_asked: see bpf/unwind_processes.h."""

ROWS_APART: Final = mmap.PAGESIZE // 8
"""From one row of a file to the next that is kept in our own memory: a page of them."""
MAX_MAPPINGS: Final = 4096
"""Of one process: what the program's search covers."""

_HASH, _ARRAY, _LRU_HASH, _ARRAY_OF_MAPS, _RING = 1, 2, 9, 12, 27
_MMAPABLE: Final = 1 << 10
_ROWS: Final = tuple(1 << bits for bits in (22, 21, 20, 19, 18))
"""How many rows of a bank are tried for; older kernels hold no value of more than KMALLOC_MAX_SIZE."""
_BANKS: Final = 4
"""The files of PyTorch and CUDA have 7.8 million rows, with Triton 10.6 million: 85 MB."""
_SHARE_OF_MEMORY: Final = 256
"""Of the machine's memory, what all banks may take: one part in so many, or less."""
_MAPPINGS: Final = 1 << 16
_PROCESSES: Final = 16_384
_INTERPRETERS: Final = 4096
_RING_BYTES: Final = 1 << 16
_SLICE: Final = np.dtype([("first", "<u4"), ("count", "<u4")])


class KernelMaps:
    """Descriptors by the names of bpf/walk.h, and what is in them. Owned by the supply's thread.

    rows: how many a bank has room for. mappings: (n,) of MAPPING, shared with the kernel. Raises OSError when they
    cannot be made.
    """

    def __init__(self) -> None:
        self.fds: dict[str, int] = {}
        self._banks: list[int] = []
        self._shown = 0  # banks that the kernel finds
        try:
            self._make()
        except OSError:
            self.close()
            raise

    def _make(self) -> None:
        bpf.raise_locked_memory_limit()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        for self.rows in [n for n in _ROWS if 8 * n <= memory // _SHARE_OF_MEMORY or n == _ROWS[-1]]:
            try:
                self._banks.append(self._bank())
                break
            except OSError as error:
                if error.errno not in (errno.E2BIG, errno.ENOMEM, errno.EINVAL) or self.rows == _ROWS[-1]:
                    raise
        rows = MapSpec("unwind_rows", _ARRAY_OF_MAPS, 4, 4, _BANKS, 0)
        self.fds["unwind_rows"] = bpf.create_map(rows, inner=self._banks[0])
        self._create("unwind_mappings", _ARRAY, 4, MAPPING.itemsize * _MAPPINGS, 1, _MMAPABLE)
        self._create("unwind_processes", _HASH, 4, _SLICE.itemsize, _PROCESSES, 0)
        self._create("unwind_interpreters", _HASH, 4, INTERPRETER.size, _INTERPRETERS, 0)
        self._create("unwind_asked", _LRU_HASH, 4, 8, 8192, 0)
        self._create("unwind_requests", _RING, 0, 0, _RING_BYTES, 0)
        self._mapping_memory = mmap.mmap(self.fds["unwind_mappings"], MAPPING.itemsize * _MAPPINGS)
        self.mappings: NDArray[np.void] = np.frombuffer(self._mapping_memory, MAPPING)
        most = max(1, min(_BANKS, memory // _SHARE_OF_MEMORY // (8 * self.rows)))
        self.free_rows, self.free_mappings = Banks(self.rows, most, self._add_bank), Extents(_MAPPINGS)
        self._requests = Ring(self.fds["unwind_requests"], _RING_BYTES)

    def _bank(self) -> int:
        return bpf.create_map(MapSpec("unwind_bank", _ARRAY, 4, 8 * self.rows, 1, _MMAPABLE))

    def _add_bank(self) -> bool:
        """Have the kernel find the next bank; the first one is there from the beginning."""
        index = self._shown
        try:
            if index == len(self._banks):
                self._banks.append(self._bank())
            bpf.update(self.fds["unwind_rows"], _key(index), _key(self._banks[index]))
        except OSError:  # there is no memory for it: files find no room, and that is counted
            return False
        self._shown += 1
        return True

    @property
    def nbytes(self) -> int:
        """What the maps hold of the kernel's memory."""
        return sum(map(bpf.map_bytes, (*self._banks, *self.fds.values())))

    def _create(self, name: str, kind: int, key: int, value: int, entries: int, flags: int) -> None:
        self.fds[name] = bpf.create_map(MapSpec(name, kind, key, value, entries, flags))

    @property
    def defines(self) -> dict[str, int]:
        """What bpf/unwind.h is compiled with."""
        return {"UNWIND_ROWS": self.rows, "UNWIND_MAPPINGS": len(self.mappings)}

    def write_rows(self, first: int, rows: NDArray[np.uint64]) -> None:
        """Put rows where there is room for them: (n,), from this place on."""
        with self._window(first, len(rows)) as window:
            window[:] = rows

    def row(self, first: int, n: int, every: NDArray[np.uint64], relative: int) -> int:
        """Of the n rows from there on, the one that holds for an address less its bias, 0 where there is none. Any
        thread may ask. every: each ROWS_APART-th of them: what is mapped to look into it is one page, or two.
        """
        word = np.uint64(relative << 32 | 0xFFFFFFFF)
        at = ROWS_APART * (int(every.searchsorted(word, "right")) - 1)
        if at < 0:
            return 0
        with self._window(first + at, min(ROWS_APART, n - at)) as rows:
            return int(rows[int(rows.searchsorted(word, "right")) - 1])

    @contextmanager
    def _window(self, first: int, n: int) -> Iterator[NDArray[np.uint64]]:
        if not n:
            yield np.zeros(0, np.uint64)
            return
        bank, first = divmod(first, self.rows)
        start = 8 * first // mmap.PAGESIZE * mmap.PAGESIZE
        end = -(-8 * (first + n) // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(self._banks[bank], end - start, offset=start)
        rows = np.frombuffer(memory, np.uint64, n, 8 * first - start)
        try:
            yield rows
        finally:
            del rows
            with contextlib.suppress(BufferError):  # a view lives on in a traceback: unmapped with it
                memory.close()

    @property
    def has_requests(self) -> bool:
        """Whether the kernel has asked for something since the last time."""
        return self._requests.waiting > 0

    def requests(self) -> NDArray[np.void]:
        """What the kernel has asked for since the last time: (n,) of REQUEST."""
        return self._requests.records(REQUEST)

    def point(self, pid: int, first: int, count: int) -> bool:
        """Have a process use this slice of the mappings; False if there is no room for another process."""
        return self._put("unwind_processes", pid, struct.pack("=II", first, count))

    def slices(self) -> dict[int, int]:
        """pid -> first mapping of its slice, of every process that the kernel knows, forked ones included."""
        pids, slices = np.zeros(_PROCESSES, np.dtype([("pid", "<u4")])), np.zeros(_PROCESSES, _SLICE)
        n = bpf.read_hash(self.fds["unwind_processes"], pids, slices)
        return dict(zip(pids["pid"][:n].tolist(), slices["first"][:n].tolist(), strict=True))

    def interpreters(self) -> set[int]:
        """The pids whose interpreter's frames are read, forked ones included."""
        pids = np.zeros(_INTERPRETERS, np.dtype([("pid", "<u4")]))
        walks = np.zeros(_INTERPRETERS, np.dtype((np.void, INTERPRETER.size)))
        n = bpf.read_hash(self.fds["unwind_interpreters"], pids, walks)
        return set(pids["pid"][:n].tolist())

    def put_off(self, pid: int, until_ns: int, code: bool = False) -> None:
        """Have the kernel ask for a process no more before this time, CLOCK_MONOTONIC. code: for its code's rows alone,
        not for mappings.
        """
        bpf.update(self.fds["unwind_asked"], _key(pid | ASKED_CODE if code else pid), struct.pack("=Q", until_ns))

    def read_interpreter(self, pid: int, walk: bytes) -> bool:
        """Have the kernel read an interpreter's frames; False if there is no room for another. walk: INTERPRETER."""
        return self._put("unwind_interpreters", pid, walk)

    def _put(self, name: str, pid: int, value: bytes) -> bool:
        try:
            bpf.update(self.fds[name], _key(pid), value)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            return False
        return True

    def close(self) -> None:
        """Let go of everything; programs that are still loaded keep the maps."""
        if hasattr(self, "_requests"):
            self._requests.close()
            del self.mappings
            self._mapping_memory.close()
        for fd in (*self._banks, *self.fds.values()):
            os.close(fd)
        self._banks.clear()
        self.fds.clear()


def _key(pid: int) -> bytes:
    return struct.pack("=I", pid)
