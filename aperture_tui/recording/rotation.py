"""Recordings without end: a file for each stretch of time, the oldest let go of. For machines that always record."""

from __future__ import annotations

import contextlib
import errno
import math
import re
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

_NAME: Final = re.compile(r"(aperture-\d{8}T\d{6}Z)(?:-(\d+))?\.aperture")
"""Of our files, which alone are ever deleted."""
_SAME_SECOND: Final = 1000
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_SHARES: Final = 8
"""Files that what is kept is made of, at least."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is full, and what is kept of those before; None is no limit.

    every_s, every_bytes: a new file after so long, or when it has grown so large. keep_s: files whose last event is
    older are deleted. keep_bytes: the oldest are deleted until all together are no larger; so that not all of it goes
    with one file, a file is full with an eighth of that.
    """

    every_s: float | None = None
    every_bytes: int | None = None
    keep_s: float | None = None
    keep_bytes: int | None = None

    @property
    def full_bytes(self) -> float:
        """The size at which a new file is begun."""
        share = None if self.keep_bytes is None else self.keep_bytes // _SHARES
        return min((size for size in (self.every_bytes, share) if size is not None), default=math.inf)


class RotatingWriter:
    """A sink like `Writer`, into a folder; all methods belong to one thread. Raises OSError as that does.

    A file that is full is closed in a thread of its own, because that waits for the disk; what fails then costs that
    file the end, and is raised by `close`. When the disk is full the
    oldest of our files make room, and it goes on: what could not be written meanwhile is counted in `lost`. events,
    bytes: of all files that were written.
    """

    def __init__(self, folder: str | Path, rotation: Rotation, facts: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rotation = rotation
        self._facts = facts
        self._hosts: list[HostFacts] = []
        self._health: list[Health] = []
        self._closing: threading.Thread | None = None
        self._error: OSError | None = None
        self._before: list[Writer] = []  # the one that is being closed
        self._events = self._bytes = self._lost = 0  # of those that have been closed
        self._writer = _new_writer(self._folder, self._facts)
        self._began = time.monotonic()
        self._let_go()

    @property
    def events(self) -> int:
        """How many are in the files."""
        return self._events + sum(writer.events for writer in (*self._before, self._writer))

    @property
    def bytes(self) -> int:
        """The size of the files, those that were deleted included."""
        return self._bytes + sum(writer.bytes for writer in (*self._before, self._writer))

    @property
    def lost(self) -> int:
        """Events that were taken and will never be in a file."""
        return self._lost + sum(writer.lost for writer in (*self._before, self._writer))

    def append(self, batch: Batch) -> None:
        """Take the events of a batch."""
        self._rotate_if_due()
        with self._making_room():
            self._writer.append(batch)

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host; where nothing else happens, files are begun and deleted all the same."""
        self._rotate_if_due()
        with self._making_room():
            self._writer.append_gauges(sample)

    def set_health(self, health: Sequence[Health]) -> None:
        """Take the newest word of all; it is in every file."""
        self._health = list(health)
        with self._making_room():
            self._writer.set_health(health)

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Say which machine the events are from; it is in every file."""
        self._hosts = list(hosts)
        with self._making_room():
            self._writer.set_hosts(hosts)

    def close(self) -> None:
        """Close the last file, and wait for those before it."""
        self._writer.close()
        self._wait()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def _making_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL or not self._began_with_room():
                raise

    def _began_with_room(self) -> bool:
        """Delete the oldest files until a new one can be begun; False if none of them is left before that."""
        for path, *_ in _ours(self._folder):
            if str(path) != self._writer.path:
                with contextlib.suppress(OSError):
                    path.unlink()
                    self._begin()
                    return True
        return False

    def _rotate_if_due(self) -> None:
        r = self._rotation
        old = r.every_s is not None and time.monotonic() - self._began >= r.every_s
        if old or self._writer.bytes >= r.full_bytes:
            with self._making_room():
                self._begin()

    def _begin(self) -> None:
        """Write into a new file from now on; without one it goes on in the present file."""
        fresh = _new_writer(self._folder, self._facts)
        self._retire(self._writer)
        self._writer, self._began = fresh, time.monotonic()
        self._let_go()
        if self._hosts:
            fresh.set_hosts(self._hosts)
        fresh.set_health(self._health)

    def _retire(self, writer: Writer) -> None:
        self._wait()
        self._before = [writer]
        self._closing = threading.Thread(target=self._close, args=(writer,), name="closing a recording")
        self._closing.start()

    def _close(self, writer: Writer) -> None:
        try:
            writer.close()
        except OSError as error:
            if error.errno not in _FULL:  # then others make room, and what is lost is counted
                self._error = error

    def _wait(self) -> None:
        if self._closing is not None:
            self._closing.join()
            self._closing = None
        for writer in self._before:
            self._events += writer.events
            self._bytes += writer.bytes
            self._lost += writer.lost
        self._before = []

    def _let_go(self) -> None:
        """Delete what is not to be kept. What cannot be deleted stays, and is tried again with the next file."""
        files = _ours(self._folder)
        held = sum(size for _, _, size in files)
        for path, modified_s, size in files:
            old = self._rotation.keep_s is not None and modified_s < time.time() - self._rotation.keep_s
            many = self._rotation.keep_bytes is not None and held > self._rotation.keep_bytes
            if (old or many) and str(path) != self._writer.path:
                with contextlib.suppress(OSError):
                    path.unlink()
                    held -= size


def _ours(folder: Path) -> list[tuple[Path, float, int]]:
    """Each of our files with the time of its last change, seconds, and its bytes; the oldest first.

    The clock of a file system may move by milliseconds at a time: what was changed at one moment is in order of names.
    """
    found = []
    for path in folder.iterdir():
        if name := _NAME.fullmatch(path.name):
            with contextlib.suppress(OSError):
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode):
                    found.append((facts.st_mtime, name[1], int(name[2] or 0), path, facts.st_size))
    return [(path, modified_s, size) for modified_s, _, _, path, size in sorted(found)]


def _new_writer(folder: Path, facts: Mapping[str, Any] | None) -> Writer:
    """Into a file by the name of this moment that was not there: what others put into the folder is not touched."""
    stem = time.strftime("aperture-%Y%m%dT%H%M%SZ", time.gmtime())
    for i in range(_SAME_SECOND):
        with contextlib.suppress(FileExistsError):
            return Writer(folder / f"{stem}{f'-{i}' if i else ''}.aperture", facts, new=True)
    raise OSError(errno.EEXIST, f"{_SAME_SECOND} recordings of this second", str(folder))
