"""What processes do, as the kernel reports it to perf: forks, execs, exits, new names, new executable mappings.

One dummy event a CPU with a small ring. It needs no BPF, carries the mappings of processes that are gone before
anyone could read /proc, and counts what it loses. Format: man perf_event_open, "record format".
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.collect import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_HEADER = struct.Struct("=IHH")
_PAIR = struct.Struct("=II")
_TASK = struct.Struct("=IIIIQ")
_MAPPING = struct.Struct("=IIQQQIIQQII")
_TRAILER = struct.Struct("=IIQ")


@dataclass(frozen=True, slots=True)
class Forked:
    """A new process (not a thread)."""

    time_ns: int
    pid: int
    parent: int


@dataclass(frozen=True, slots=True)
class Named:
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


@dataclass(frozen=True, slots=True)
class Mapped:
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


@dataclass(frozen=True, slots=True)
class Exited:
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
        return not any(ring.waits for _fd, ring in self._rings.values())

    def drain(self) -> list[Event]:
        """What has happened since the last time, in order of time."""
        events: list[Event] = []
        for _fd, ring in self._rings.values():
            for kind, misc, body in _records(ring.take()):
                if kind == _LOST:
                    self.lost += struct.unpack_from("=Q", body, 8)[0]
                elif (event := _event(kind, misc, body)) is not None:
                    events.append(event)
        events.sort(key=lambda event: event.time_ns)
        return events

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


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        kind, misc, size = _HEADER.unpack_from(data, at)
        if size < _HEADER.size:
            return
        yield kind, misc, data[at + _HEADER.size : at + size]
        at += size


def _event(kind: int, misc: int, body: bytes) -> Event | None:
    time_ns = _TRAILER.unpack_from(body, len(body) - _TRAILER.size)[2]
    if kind == _MMAP2:
        return Mapped(time_ns, _PAIR.unpack_from(body)[0], body)
    if kind == _COMM:
        pid, tid = _PAIR.unpack_from(body)
        name = body[_PAIR.size : -_TRAILER.size].split(b"\0", 1)[0]
        return Named(time_ns, pid, name, bool(misc & _COMM_EXEC)) if pid == tid else None
    if kind in (_FORK, _EXIT):
        pid, parent, tid, _parent_tid, _time = _TASK.unpack_from(body)
        if pid != tid:
            return None
        return Forked(time_ns, pid, parent) if kind == _FORK else Exited(time_ns, pid)
    return None
