"""Writes a recording while it is made. docs/recording.md describes the file."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui import __version__
from aperture_tui.profile.packed import words
from aperture_tui.profile.packed.chosen import Chosen
from aperture_tui.profile.tags import Tags
from aperture_tui.recording.blocks import BlockType, file_header, pack
from aperture_tui.recording.index import EVENTS_HEAD, LINK, row
from aperture_tui.store.slices import joined, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.symbols import Symbols

_FLUSH_S: Final = 1.0
_FLUSH_BYTES: Final = 1 << 20
_BLOCK_EVENTS: Final = 1 << 16
_HEALTH_S: Final = 10.0
_MAX_GAUGES: Final = 1024
GENERATION_BYTES: Final = 16 << 20
"""Of a file, after which ids begin anew and the index is written: who looks for a minute need not read more."""


def remove_open(path: str | os.PathLike[str], file: int) -> None:
    """Remove what is open at a path if it is a plain file: no device, no link to what others have put elsewhere."""
    with contextlib.suppress(OSError):
        there = os.lstat(path)
        if stat.S_ISREG(there.st_mode) and os.path.samestat(there, os.fstat(file)):
            os.unlink(path)


class Writer:
    """A sink that appends to a file; all methods belong to one thread.

    Events are held for a second or a megabyte, whichever is first, and then written whole, with what was added to
    the symbols; so a killed program loses a second. The disk is waited for (fsync) once, in `close`: writing a
    profile must not make a busy disk busier. After an error (a full disk) the file is cut back to its last whole
    block, the error is raised once, and what comes later is counted in `lost` and not written.

    events, bytes: how many are in the file.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, Any] | None = None, *, new: bool = False) -> None:
        """Create or replace the file, which its owner alone may read, for it tells of all that others run.

        facts: JSON types for its header. new: it must not be there, not even as a link. Raises OSError.
        """
        self.path = str(path)
        self.events = 0
        self._taken = 0
        self._failed = False
        self._file: int | None = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if new else os.O_TRUNC), 0o600
        )
        if stat.S_ISREG(os.fstat(self._file).st_mode):  # one that was there may be open to others
            with contextlib.suppress(OSError):  # it is somebody else's, or on a file system without modes
                os.fchmod(self._file, 0o600)
        self.bytes = 0
        self._chosen: Chosen | None = None
        self._generation = 0
        self._rows = bytearray()  # of the index, since it was written
        self._indexed = self._indexed_bytes = 0
        self._tags = Tags()
        self._tags_told: tuple[str, ...] = ()
        self._pending: list[NDArray[np.void]] = []
        self._pending_bytes = 0
        self._gauges: list[HostSample] = []
        self._health: list[Health] = []
        self._told: list[object] = []
        self._told_at = self._flushed_at = time.monotonic()
        with self._leaving_nothing():
            self._write(
                file_header({"generator": f"aperture {__version__}", "created_ns": time.time_ns(), **(facts or {})})
            )

    @contextlib.contextmanager
    def _leaving_nothing(self) -> Iterator[None]:
        """Without its header a file is no recording, and an empty one says not even that one was to be there."""
        try:
            yield
        except OSError:
            assert self._file is not None  # noqa: S101 - it has just been opened
            remove_open(self.path, self._file)
            self.close()
            raise

    @property
    def lost(self) -> int:
        """Events that were taken and will never be in the file."""
        return self._taken - self.events if self._closed() else 0

    def append(self, batch: Batch) -> None:
        """Take the events of a batch. Raises OSError once, when the file cannot be written."""
        self._taken += len(batch)
        if not len(batch) or self._closed():
            return
        if self._chosen is None or batch.symbols is not self._chosen.symbols:
            self._flush()
            self._begin_generation(batch.symbols)
        self._pending.append(self._tags.taken(batch.events, batch.tags))
        self._pending_bytes += batch.events.nbytes
        self._flush_if_due()

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host. Raises OSError once, when the file cannot be written."""
        if not self._closed():
            self._gauges.append(sample)
            self._flush_if_due()

    def set_health(self, health: Sequence[Health]) -> None:
        """Take the newest word of all; written when losses or states change, else every ten seconds."""
        if not self._closed():
            self._health = list(health)
            self._flush_if_due()

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Say which machine the events are from. Raises OSError once, when the file cannot be written."""
        if not self._closed():
            self._block(BlockType.HOSTS, words.from_hosts(hosts))

    def close(self, wait: bool = True) -> None:
        """Write what is held, the last health and the index. Raises OSError; safe to repeat.

        wait: for the disk, so that a power failure costs nothing.
        """
        if self._file is None:
            return
        try:
            if not self._failed:
                self._flush(last=True)
                self._write_index()
                self._block(BlockType.END, LINK.pack(self._indexed))
                if wait:
                    self._sync(self._file)
        finally:
            file, self._file = self._file, None
            os.close(file)

    def abandon(self) -> None:
        """Close the file as it is, if it is open: nobody will read it."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _sync(self, file: int) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a pipe or a device has nothing to wait for
                raise self._said(error) from error

    def _closed(self) -> bool:
        return self._failed or self._file is None

    def _flush_if_due(self) -> None:
        due = time.monotonic() - self._flushed_at >= _FLUSH_S
        if due or self._pending_bytes >= _FLUSH_BYTES or len(self._gauges) >= _MAX_GAUGES:
            self._flush()

    def _flush(self, last: bool = False) -> None:
        self._flushed_at = time.monotonic()
        self._flush_events()
        if self._gauges:
            self._block(BlockType.GAUGES, words.from_gauges(self._gauges))
            self._gauges = []
        important = [(h.name, h.state, h.message, h.lost, h.degraded) for h in self._health]
        if important != self._told or (last and self._health) or self._flushed_at - self._told_at >= _HEALTH_S:
            self._block(BlockType.HEALTH, words.from_health(self._health))
            self._told, self._told_at = [*important], self._flushed_at

    def _flush_events(self) -> None:
        if self._chosen is None or not self._pending:
            return
        pending, self._pending, self._pending_bytes = joined(self._pending), [], 0
        if self._tags.names != self._tags_told:
            self._tags_told = self._tags.names
            self._block(BlockType.TAGS, words.from_tags(self._tags_told))
        payloads, events = self._chosen.numbered(pending)
        for payload in payloads:
            self._block(BlockType.SYMBOLS, payload)
        for kind in np.unique(events["kind"]).tolist():
            alike = taken(events, events["kind"] == kind)
            for start in range(0, len(alike), _BLOCK_EVENTS):
                some = alike[start : start + _BLOCK_EVENTS]
                self._block(BlockType.EVENTS, EVENTS_HEAD.pack(self._chosen.generation, len(some)) + some.tobytes())
                self.events += len(some)
        if self.bytes - self._indexed_bytes >= GENERATION_BYTES:
            self._begin_generation(self._chosen.symbols)

    def _begin_generation(self, symbols: Symbols) -> None:
        if self._chosen is not None:
            self._write_index()
            self._generation += 1
        self._chosen = Chosen(symbols, self._generation)

    def _write_index(self) -> None:
        at = self.bytes
        self._block(BlockType.INDEX, LINK.pack(self._indexed) + self._rows)
        self._rows, self._indexed, self._indexed_bytes = bytearray(), at, self.bytes

    def _block(self, kind: BlockType, payload: bytes) -> None:
        at = self.bytes
        self._write(pack(kind, payload))
        if kind not in (BlockType.INDEX, BlockType.END):
            self._rows += row(at, kind, payload)

    def _write(self, data: bytes) -> None:
        assert self._file is not None  # noqa: S101 - no public method comes here once it is closed
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._failed, self._pending = True, []
            with contextlib.suppress(OSError):  # a pipe cannot be cut; a reader skips the torn block by itself
                os.ftruncate(self._file, self.bytes)
            raise self._said(error) from error
        self.bytes += len(data)

    def _said(self, error: OSError) -> OSError:
        return OSError(error.errno, f"cannot write the recording: {error.strerror}", self.path)
