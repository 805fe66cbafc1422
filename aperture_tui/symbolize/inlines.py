"""The inlined functions of files that tell of them, made ready aside and kept on disk.

A file's DWARF, or Go's own tables, are read once, by a child process that is niced, limited and without rights
(`inlines_child`), one file at a time, the smallest first. Until its table is there, and where there is none, a function
stands alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aperture_tui.symbolize.confined import Patience, start
from aperture_tui.symbolize.counts import InlineCounts
from aperture_tui.symbolize.debug_files import DebugInfo
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.inlines_table import MAX_BYTES, InlineTable, TableError, empty
from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder

MAX_DEBUG_BYTES: Final = 256 << 20
"""A file with more debug information than this is left alone."""
PATIENCE_S: Final = 120.0
"""So long a child may be without any CPU time; how much of it, and of memory, it may have is bounded as well."""
_CACHE_BYTES: Final = 256 << 20
_HELD_BYTES: Final = 16 << 20
_SPARE_BYTES, _BYTES_EACH = 256 << 20, 4  # what has to be available: a child takes 65 MB and 2 for each of its file
_MAX_WAITING: Final = 64  # files; each holds a descriptor
_MAX_ASKED: Final = 10_000  # files; those asked for first are forgotten, and may be asked for again
_FROM_OUTSIDE: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CHILD: Final = "aperture_tui.symbolize.inlines_child"


@dataclass(slots=True)
class _Job:
    """A file that a child is reading. answer: descriptor of what it writes. rest: what is read if that is nothing."""

    key: ImageKey
    rest: Sequence[DebugInfo]
    name: bytes
    child: subprocess.Popen[bytes]
    answer: int
    patience: Patience


class Inlines:
    """Tables of inlined functions by file. Owned by one thread.

    folder: of the disk cache, by default this user's. clock: seconds, for the children's time.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = InlineCounts()
        self._folder = PrivateFolder(folder or cache_folder("inlines"), _CACHE_BYTES)
        self._clock = clock
        self._names: OrderedDict[ImageKey, bytes] = OrderedDict()
        """What has been asked for -> the name of its table on disk, b"" while there is none."""
        self._tables: OrderedDict[ImageKey, InlineTable] = OrderedDict()
        self._waiting: list[tuple[ImageKey, Sequence[DebugInfo]]] = []
        self._job: _Job | None = None
        self._installed: bool | None = None
        self.nbytes = 0
        """Memory held."""

    def want(self, key: ImageKey, sources: Sequence[DebugInfo]) -> None:
        """Have this file's table: now, if it is on disk, else some time after the next `tend`s.

        sources: what it can be made of. The first that tells anything does it.
        """
        if key in self._names or key in self._tables or not self._take(key, sources):
            return
        self._names.setdefault(key, b"")
        if len(self._names) > _MAX_ASKED:
            self._names.popitem(last=False)

    def _take(self, key: ImageKey, sources: Sequence[DebugInfo]) -> bool:
        """Hold the first table that tells anything, or wait for it; False if too many others wait."""
        for at, debug in enumerate(sources):
            name = _name(debug)
            table = self._read(name)
            if table is not None:
                if len(table.start) or at + 1 == len(sources):
                    self._hold(key, name, table)
                    return True
            elif not debug.is_go and not self._can_make():
                self.counts.not_installed += 1
            elif debug.nbytes > MAX_DEBUG_BYTES:
                self.counts.too_large += 1
            elif len(self._waiting) >= _MAX_WAITING:
                self.counts.put_off += 1
                return False
            else:
                self._waiting.append((key, sources[at:]))
                return True
        return True

    def table(self, key: ImageKey) -> InlineTable | None:
        """A file's table if it is there; read again from disk if it had to be let go."""
        table = self._tables.get(key)
        if table is not None:
            self._tables.move_to_end(key)
            return table
        name = self._names.get(key)
        if not name:
            return None
        table = self._read(name)
        if table is None:
            self._names[key] = b""
        else:
            self._hold(key, name, table)
        return table

    def tend(self) -> ImageKey | None:
        """Take in what the child has made, and start the next one; -> the file whose table has come."""
        job, ready = self._job, None
        if job is not None:
            if job.child.poll() is None and not job.patience.is_over():
                return None
            self._job = None
            ready = self._finish(job)
        if self._waiting:
            smallest = min(self._waiting, key=lambda waiting: waiting[1][0].nbytes)
            self._waiting.remove(smallest)
            key, sources = smallest
            if _available_bytes() < _SPARE_BYTES + _BYTES_EACH * sources[0].nbytes:
                self.counts.put_off += 1
            else:
                self._start(key, *sources)
        return ready

    def close(self) -> None:
        """Let the child go, and what waits."""
        self._waiting.clear()
        if self._job is not None:
            self._end(self._job)
            self._job = None

    def _can_make(self) -> bool:
        if self._installed is None:
            self._installed = importlib.util.find_spec("symbolic") is not None
        return self._installed

    def _start(self, key: ImageKey, debug: DebugInfo, *rest: DebugInfo) -> None:
        name, source, answer = _name(debug), debug.source.fileno(), -1
        try:
            answer = os.memfd_create("aperture-inlines", os.MFD_CLOEXEC)
            kind = "go" if debug.is_go else "dwarf"
            child = start(_CHILD, [kind, str(source), str(answer), str(debug.base), name.hex()], [source, answer])
        except OSError:
            self.counts.failed += 1
            if answer >= 0:
                os.close(answer)
            return
        self._job = _Job(key, rest, name, child, answer, Patience(child.pid, PATIENCE_S, self._clock))

    def _finish(self, job: _Job) -> ImageKey | None:
        status = job.child.poll()
        data = os.pread(job.answer, MAX_BYTES, 0) if status == 0 else b""
        self._end(job)
        try:
            table = InlineTable.unpacked(job.name, data)
        except TableError:
            self.counts.failed += 1
            if status is not None and -status not in _FROM_OUTSIDE:  # it would fail again
                self._write(job.name, empty().packed(job.name))
            table = empty()
        else:
            self.counts.made += 1
            self._write(job.name, data)
            if len(table.start) or not job.rest:
                self._hold(job.key, job.name, table)
        if not len(table.start):
            self._take(job.key, job.rest)
        return job.key if job.key in self._tables else None

    @staticmethod
    def _end(job: _Job) -> None:
        if job.child.poll() is None:
            job.child.kill()
        job.child.wait()
        os.close(job.answer)

    def _read(self, name: bytes) -> InlineTable | None:
        try:
            data = self._folder.read(f"{name.hex()}.inlines")
            return None if data is None else InlineTable.unpacked(name, data)
        except (OSError, TableError):
            self.counts.cache_refused += 1
            return None

    def _write(self, name: bytes, packed: bytes) -> None:
        try:
            self._folder.write(f"{name.hex()}.inlines", packed)
        except OSError:
            self.counts.cache_unwritable += 1

    def _hold(self, key: ImageKey, name: bytes, table: InlineTable) -> None:
        self._tables[key] = table
        self._names[key] = name
        self.nbytes += table.nbytes
        while len(self._tables) > 1 and self.nbytes > _HELD_BYTES:
            _, old = self._tables.popitem(last=False)
            self.nbytes -= old.nbytes


def _available_bytes() -> int:
    """Memory that may be taken without harm; 0 if the kernel does not tell."""
    try:
        with open("/proc/meminfo", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read(1 << 16).splitlines() if b":" in line)
        return int(fields[b"MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return 0


def _name(debug: DebugInfo) -> bytes:
    """What the table of a version of a file is known by: where it lies, and what stat says of its content."""
    key = ImageKey.of(debug.source.stat())
    return hashlib.sha256(repr((key, debug.base, debug.is_go)).encode()).digest()
