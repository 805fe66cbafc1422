"""The executable mappings of one process."""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.mapping import Mapping as Mapping
from aperture_tui.symbolize.mapping import map_file as map_file
from aperture_tui.symbolize.mapping import open_mapped
from aperture_tui.symbolize.mounts import MOUNTS
from aperture_tui.symbolize.served import SERVED, open_below
from aperture_tui.symbolize.source import FileSource

REFRESH_S: Final = 1.0
"""A process's maps are read again, and a file that could not be opened is tried again, at most this often."""
MAX_MAPPINGS: Final = 65_536
LIVES: Final = 2**63 - 1
"""When a process ended of which no end is known: later than any file was changed."""
_MAX_MAPS: Final = 64 << 20  # bytes of /proc/PID/maps; vm.max_map_count mappings with long paths
_MAX_CHANGES: Final = 256
_DELETED: Final = " (deleted)"
_LINE: Final = re.compile(
    rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) [r-][w-]([x-])[ps] ([0-9a-f]{1,16}) ([0-9a-f]{1,5}):([0-9a-f]{1,5}) (\d{1,20})"
    rb"(?: +(.*))?"
)


def parse_maps(text: bytes) -> tuple[list[Mapping], int]:
    """The executable mappings of a /proc/PID/maps, by address, and how many lines were not understood.

    A path's newlines are written as \\012 by the kernel. What overlaps an earlier line is not understood either.
    """
    mappings: list[Mapping] = []
    skipped = 0
    for line in text.splitlines():
        at = line.find(b" ")
        if line[at + 3 : at + 4] == b"-" and line[at + 5 : at + 6] == b" ":
            continue  # most lines, and not executable: nothing of them is of interest
        found = _LINE.fullmatch(line)
        if found is None:
            skipped += 1
        elif found[3] == b"x":
            start, end = int(found[1], 16), int(found[2], 16)
            if start >= end or (mappings and start < mappings[-1].end) or len(mappings) >= MAX_MAPPINGS:
                skipped += 1
                continue
            path = os.fsdecode((found[8] or b"").replace(b"\\012", b"\n")).removesuffix(_DELETED)
            device = os.makedev(int(found[5], 16), int(found[6], 16))
            mappings.append(Mapping(start, end, int(found[4], 16), path, device, int(found[7])))
    return mappings, skipped


class AddressSpace:
    """The executable mappings of one process as they were last seen; changed by one thread.

    skipped: lines of its maps that were not understood.
    """

    def __init__(self, pid: int, mappings: Iterable[Mapping] = (), *, ended_ns: int = LIVES) -> None:
        self.pid = pid
        self.skipped = 0
        self.read_at: float | None = None
        """When its maps were last read, in the clock of whoever refreshes it; None if never."""
        self.patience_s = REFRESH_S / 2
        """How long to wait after a reading before the next; doubled by one that was in vain."""
        self.ended_ns = ended_ns
        """When the process called exec, or was gone, CLOCK_REALTIME; LIVES where that is not known. From then on /proc
        shows another address space, and another file may have the name and the number of one that was mapped."""
        self._mappings = sorted(mappings, key=lambda m: m.start)
        self._starts: NDArray[np.uint64] | None = None
        self._ends = np.zeros(0, np.uint64)
        self._started = 0 if self.ended else start_time(pid)
        self._changes: list[tuple[int, int]] = []
        self._changed = 0

    @classmethod
    def read(cls, pid: int) -> AddressSpace:
        """As /proc/PID/maps has it now. Raises OSError: ProcessLookupError or FileNotFoundError if it is gone."""
        space = cls(pid)
        space.refresh()
        return space

    def __len__(self) -> int:
        return len(self._mappings)

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self.ended_ns < LIVES

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings by address."""
        return tuple(self._mappings)

    def mapping_at(self, index: int) -> Mapping:
        """One of `mappings`."""
        return self._mappings[index]

    def copy(self, pid: int, *, ended_ns: int = LIVES) -> AddressSpace:
        """The same mappings for a forked child."""
        child = AddressSpace(pid, self._mappings, ended_ns=ended_ns)
        child._starts, child._ends = self._starts, self._ends
        return child

    def refresh(self) -> bool:
        """Read the maps again; True if they differ.

        Raises OSError; ProcessLookupError if this address space has ended or the pid belongs to another process now.
        """
        if self.ended:
            raise ProcessLookupError(errno.ESRCH, "the address space has ended", str(self.pid))
        mappings, self.skipped = parse_maps(_maps(self.pid))
        if self._started and start_time(self.pid) != self._started:
            raise ProcessLookupError(errno.ESRCH, "the process is gone and its pid was given to another", str(self.pid))
        if mappings == self._mappings:
            return False
        self._mappings = mappings
        self._starts = None
        self._note(0, 1 << 64)
        return True

    def add(self, start: int, length: int, file_offset: int, path: str = "", device: int = 0, inode: int = 0) -> None:
        """A new executable mapping, as a perf MMAP2 event tells it. It replaces what it overlaps.

        Raises ValueError for a range that is empty or beyond 64 bits.
        """
        end = start + length
        if not 0 <= start < end <= 1 << 64:
            raise ValueError(f"no mapping of {length} bytes at {start:#x}")
        new = Mapping(start, end, file_offset, path.removesuffix(_DELETED), device, inode)
        first = bisect.bisect_right(self._mappings, start, key=lambda m: m.end)
        last = bisect.bisect_left(self._mappings, end, key=lambda m: m.start)
        kept = [new]
        for old in self._mappings[first:last]:
            if old.start < start:
                kept.insert(0, replace(old, end=start))
            if old.end > end:
                kept.append(replace(old, start=end, offset=old.offset + end - old.start))
        if len(self._mappings) + len(kept) > MAX_MAPPINGS:
            self.skipped += 1
            return
        self._mappings[first:last] = kept
        self._starts = None
        self._note(start, end)

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The index in `mappings` of each address, -1 where nothing is mapped: (n,)."""
        starts, lasts = self.bounds()
        if not len(starts):
            return np.full(len(addresses), -1, np.intp)
        row = np.searchsorted(starts, addresses, "right") - 1
        return np.where((row >= 0) & (addresses <= lasts[row]), row, -1)

    def bounds(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The first and the last byte of each of `mappings`: (n,) each."""
        if self._starts is None:
            self._starts = np.array([m.start for m in self._mappings], np.uint64)
            # the last byte, not the end, so that a mapping may reach the top of the address space
            self._ends = np.array([m.end - 1 for m in self._mappings], np.uint64)
        return self._starts, self._ends

    def changes_since(self, seen: int) -> tuple[int, list[tuple[int, int]] | None]:
        """How often it changed, and the ranges that changed since `seen` times; None: all of them."""
        missed = self._changed - seen
        if missed > len(self._changes):
            return self._changed, None
        return self._changed, self._changes[len(self._changes) - missed :]

    def _note(self, start: int, end: int) -> None:
        self._changed += 1
        self._changes.append((start, end))
        del self._changes[:-_MAX_CHANGES]


def executable_mappings(pid: int) -> list[Mapping]:
    """What a process has mapped just now; empty for a zombie. Raises OSError if it is gone."""
    return parse_maps(_maps(pid))[0]


def _maps(pid: int) -> bytes:
    with open(f"/proc/{pid}/maps", "rb", buffering=0) as file:
        parts = []
        left = _MAX_MAPS
        while left > 0 and (part := file.read(min(left, 1 << 18))):
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); 0 if it cannot be read.

    Of its first thread: for the process the kernel adds up what all threads took, and there may be ten thousand.
    """
    try:
        with open(f"/proc/{pid}/task/{pid}/stat", "rb") as file:
            return int(file.read(4096).rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def mapped_facts(pid: int, mapping: Mapping) -> os.stat_result:
    """What stat says of the file behind a mapping. Raises OSError. Of a process that has ended see `open_mapping`.

    Of its path, where that is the same file: to follow the link in map_files takes twice as long, but leads nowhere
    else, such as into a file system that does not answer. The rights are those of `open_mapping`.
    """
    mount = MOUNTS.served(pid, mapping.device)
    if mount is not None and mapping.has_file:
        return SERVED.facts(mount, pid, mapping)
    if not MOUNTS.ours().served:
        with contextlib.suppress(OSError, ValueError):
            facts = os.stat(mapping.path)
            if (facts.st_ino, facts.st_dev) == (mapping.inode, mapping.device):  # it is mapped: no other has its number
                return facts
    with contextlib.suppress(OSError):
        return os.stat(map_file(pid, mapping))
    with contextlib.closing(open_mapping(pid, mapping)) as source:
        return source.stat()


def open_mapping(pid: int, mapping: Mapping) -> FileSource:
    """The file behind a mapping; a copy of it where its file system may not answer. Raises OSError.

    See `open_mapped`; NotAnsweringError to be asked again.
    """
    mount = MOUNTS.served(pid, mapping.device)
    if mount is not None and mapping.has_file:
        return SERVED.opened(mount, pid, mapping)
    return open_mapped(pid, mapping, open_below)
