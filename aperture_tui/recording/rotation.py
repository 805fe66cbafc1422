"""Recordings without end: a file for each stretch of time, the oldest let go of. For machines that always record."""

from __future__ import annotations

import contextlib
import errno
import re
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.recording.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

_NAME: Final = re.compile(r"aperture-\d{8}T\d{6}Z(-\d+)?\.aperture")
"""Of our files, which alone are ever deleted."""
_SAME_SECOND: Final = 1000


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is full, and what is kept of those before; None is no limit.

    every_s, every_bytes: a new file after so long, or when it has grown so large. keep_s: files whose last event is
    older are deleted. keep_bytes: the oldest are deleted until all together are no larger.
    """

    every_s: float | None = None
    every_bytes: int | None = None
    keep_s: float | None = None
    keep_bytes: int | None = None


class RotatingWriter:
    """A sink like `Writer`, into a folder; all methods belong to one thread. Raises OSError as that does.

    A file that is full is closed in a thread of its own, because that waits for the disk. events, bytes: of all files
    that were written.
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
        self._done_events = self._done_bytes = 0
        self._begin()

    @property
    def events(self) -> int:
        """How many are in the files."""
        return self._done_events + self._writer.events

    @property
    def bytes(self) -> int:
        """The size of the files, those that were deleted included."""
        return self._done_bytes + self._writer.bytes

    def append(self, batch: Batch) -> None:
        """Take the events of a batch."""
        self._rotate_if_due()
        self._writer.append(batch)

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host."""
        self._writer.append_gauges(sample)

    def set_health(self, health: Sequence[Health]) -> None:
        """Take the newest word of all; it is in every file."""
        self._health = list(health)
        self._writer.set_health(health)

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Say which machine the events are from; it is in every file."""
        self._hosts = list(hosts)
        self._writer.set_hosts(hosts)

    def close(self) -> None:
        """Close the last file, and wait for those before it."""
        self._writer.close()
        self._wait()

    def _begin(self) -> None:
        self._writer = _new_writer(self._folder, self._facts)
        self._began = time.monotonic()
        if self._hosts:
            self._writer.set_hosts(self._hosts)
        self._writer.set_health(self._health)
        self._let_go()

    def _rotate_if_due(self) -> None:
        r = self._rotation
        old = r.every_s is not None and time.monotonic() - self._began >= r.every_s
        if old or (r.every_bytes is not None and self._writer.bytes >= r.every_bytes):
            self._wait()
            full = self._writer
            self._begin()
            self._done_events += full.events
            self._done_bytes += full.bytes
            self._closing = threading.Thread(target=self._close, args=(full,), name="closing a recording")
            self._closing.start()

    def _close(self, full: Writer) -> None:
        before = full.events, full.bytes
        try:
            full.close()
        except OSError as error:
            self._error = error
        self._done_events += full.events - before[0]
        self._done_bytes += full.bytes - before[1]

    def _wait(self) -> None:
        if self._closing is not None:
            self._closing.join()
            self._closing = None
        if self._error is not None:
            raise self._error

    def _let_go(self) -> None:
        """Delete what is not to be kept. What cannot be deleted stays, and is tried again with the next file."""
        files = sorted(_ours(self._folder), key=lambda one: one[1])
        held = sum(size for _, _, size in files)
        for path, modified_s, size in files:
            old = self._rotation.keep_s is not None and modified_s < time.time() - self._rotation.keep_s
            many = self._rotation.keep_bytes is not None and held > self._rotation.keep_bytes
            if (old or many) and str(path) != self._writer.path:
                with contextlib.suppress(OSError):
                    path.unlink()
                    held -= size


def _ours(folder: Path) -> list[tuple[Path, float, int]]:
    """Each of our files with the time of its last change, seconds, and its bytes."""
    out = []
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            with contextlib.suppress(OSError):
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode):
                    out.append((path, facts.st_mtime, facts.st_size))
    return out


def _new_writer(folder: Path, facts: Mapping[str, Any] | None) -> Writer:
    """Into a file by the name of this moment that was not there: what others put into the folder is not touched."""
    stem = time.strftime("aperture-%Y%m%dT%H%M%SZ", time.gmtime())
    for i in range(_SAME_SECOND):
        with contextlib.suppress(FileExistsError):
            return Writer(folder / f"{stem}{f'-{i}' if i else ''}.aperture", facts, new=True)
    raise OSError(errno.EEXIST, f"{_SAME_SECOND} recordings of this second", str(folder))
