"""What processes do, as the kernel reports it to perf: forks, execs, exits, new names, new executable mappings.

One dummy event a CPU with a small ring. It needs no BPF, carries the mappings of processes that are gone before
anyone could read /proc, and counts what it loses. Format: man perf_event_open, "record format".
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from bisect import bisect_left
from operator import itemgetter
from typing import Final, NamedTuple

from aperture_tui.collect import bpf

_ALL_PAGES: Final = 2048
"""Data pages of all rings together: 8 MB hold some 75,000 events."""
_MOST_PAGES: Final = 128
"""Of one ring. With its first page it is what perf_event_mlock_kb (516) allows without CAP_IPC_LOCK."""

_SOFTWARE, _DUMMY = 1, 9
_TID, _TIME = 1 << 1, 1 << 2  # in sample_type: every record ends with {pid, tid, time}
_FLAGS: Final = sum(1 << bit for bit in (8, 9, 13, 18, 23, 24, 25))
"""mmap (of executable memory), comm, task, sample_id_all, mmap2, comm_exec, use_clockid."""
_MONOTONIC: Final = 1

_LOST, _COMM, _EXIT, _FORK, _MMAP2 = 2, 3, 4, 7, 10
_COMM_EXEC: Final = 1 << 13
_HEADER_BYTES: Final = 8
_HEAD = struct.Struct("=IHHII")
"""The header {type, misc, size}, and what each record begins with: the pid, and another number."""
_PAIR = struct.Struct("=II")
_TIME_NS = struct.Struct("=Q")
_MAPPING = struct.Struct("=IIQQQIIQQII")
_TRAILER = struct.Struct("=IIQ")


class Forked(NamedTuple):
    """A new process (not a thread)."""

    time_ns: int
    pid: int
    parent: int


class Named(NamedTuple):
    """A process has a new name; with `exec`, a new program as well."""

    time_ns: int
    pid: int
    name: bytes
    exec: bool


class Mapping(NamedTuple):
    """An executable mapping. device: as os.makedev; inode: 0 if there is no file."""

    start: int
    length: int
    file_offset: int
    path: str
    device: int
    inode: int


class Mapped(NamedTuple):
    """A process has a new executable mapping. Most are never looked at, so the record is kept as it came."""

    time_ns: int
    pid: int
    record: bytes

    def mapping(self) -> Mapping:
        """What was mapped where."""
        values = _MAPPING.unpack_from(self.record)
        _pid, _tid, start, length, offset, major, minor, inode, _generation, _protection, _flags = values
        path = self.record[_MAPPING.size : -_TRAILER.size].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        return Mapping(start, length, offset, path, os.makedev(major, minor), inode)


class Exited(NamedTuple):
    """A process's first thread has ended."""

    time_ns: int
    pid: int


Event = Forked | Named | Mapped | Exited


class _PerfRing:
    """The mapped buffer of one perf event: a page of positions, then the data, which wraps."""

    def __init__(self, fd: int, pages: int) -> None:
        self.size = pages * mmap.PAGESIZE
        self._map = mmap.mmap(fd, mmap.PAGESIZE + self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    @property
    def waits(self) -> bool:
        """Whether something has been written since the last time."""
        head, tail = self._positions()
        return head != tail

    def take(self) -> bytes:
        """Everything that has been written since the last time."""
        head, tail = self._positions()
        at, n = tail % self.size, head - tail
        data = self._map[mmap.PAGESIZE + at : mmap.PAGESIZE + min(at + n, self.size)]
        if at + n > self.size:
            data += self._map[mmap.PAGESIZE : mmap.PAGESIZE + at + n - self.size]
        struct.pack_into("=Q", self._map, 1032, head)
        return data

    def _positions(self) -> tuple[int, int]:
        """data_head, data_tail."""
        head, tail = struct.unpack_from("=QQ", self._map, 1024)
        return head, tail

    def close(self) -> None:
        self._map.close()


class Sideband:
    """All CPUs' rings, read by one thread. `lost` counts events that the kernel could not write."""

    def __init__(self) -> None:
        self.lost = 0
        self._rings: dict[int, tuple[int, _PerfRing]] = {}
        self._later: list[Event] = []

    def follow(self, cpus: list[int]) -> None:
        """Open a ring on each of these CPUs, and close those of CPUs that are gone. Raises OSError."""
        for cpu in self._rings.keys() - set(cpus):
            self._close(cpu)
        pages = min(_MOST_PAGES, 1 << (_ALL_PAGES // max(len(cpus), 1)).bit_length() - 1)
        for cpu in cpus:
            if cpu not in self._rings:
                fd = bpf.open_perf_event(_attribute(), cpu)
                try:
                    self._rings[cpu] = (fd, _PerfRing(fd, pages))
                except OSError:
                    os.close(fd)
                    raise

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has happened since then."""
        return not self._later and not any(ring.waits for _fd, ring in self._rings.values())

    def drain(self) -> list[Event]:
        """What has happened since the last time, in order of time, also from one time to the next.

        The rings are read one after the other. What came meanwhile is kept for the next time: the fork or the exec that
        it followed may be in a ring that had been read before, as a process goes from CPU to CPU.
        """
        began_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        events, self._later = self._later, []
        for _fd, ring in self._rings.values():
            found, lost = _events(ring.take())
            events += found
            self.lost += lost
        events.sort(key=itemgetter(0))
        known = bisect_left(events, began_ns, key=itemgetter(0))
        self._later = events[known:]
        return events[:known]

    def close(self) -> None:
        """Stop following."""
        for cpu in list(self._rings):
            self._close(cpu)

    @property
    def memory_bytes(self) -> int:
        """What the rings hold."""
        return sum(ring.size for _fd, ring in self._rings.values())

    def _close(self, cpu: int) -> None:
        fd, ring = self._rings.pop(cpu)
        ring.close()
        os.close(fd)


def _attribute() -> bytes:
    attr = bytearray(128)
    struct.pack_into("=IIQQQQQ", attr, 0, _SOFTWARE, len(attr), _DUMMY, 0, _TID | _TIME, 0, _FLAGS)
    struct.pack_into("=i", attr, 92, _MONOTONIC)
    return bytes(attr)


def _events(data: bytes) -> tuple[list[Event], int]:
    """What a ring held, and how many events the kernel could not write. One pass: a build makes 10,000 a second."""
    events: list[Event] = []
    lost = at = 0
    while at + _HEAD.size <= len(data):
        kind, misc, size, pid, other = _HEAD.unpack_from(data, at)
        end = at + size
        if size < _HEAD.size or end > len(data):
            break
        if kind == _LOST:
            lost += _TIME_NS.unpack_from(data, at + _HEAD.size)[0]
            at = end
            continue
        time_ns = _TIME_NS.unpack_from(data, end - _TIME_NS.size)[0]
        if kind == _MMAP2:
            events.append(Mapped(time_ns, pid, data[at + _HEADER_BYTES : end]))
        elif kind == _COMM:
            if pid == other:  # the thread
                name = data[at + _HEAD.size : end - _TRAILER.size].split(b"\0", 1)[0]
                events.append(Named(time_ns, pid, name, bool(misc & _COMM_EXEC)))
        elif kind in (_FORK, _EXIT) and _PAIR.unpack_from(data, at + _HEAD.size)[0] == pid:  # no thread of it
            events.append(Forked(time_ns, pid, other) if kind == _FORK else Exited(time_ns, pid))
        at = end
    return events, lost
