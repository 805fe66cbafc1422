"""What is about to be stored, on disk: a batch is in the journal until the store has it for certain.

A file is written whole and renamed when it is on the disk, so what bears its name is whole. It has the batch's pushes
as they came and the token under which they are stored: after a crash they are stored under that same token again, and
the store takes no token twice.

A file, little-endian: a head (magic, token, when, pushes, bytes of the tenant's name), the name, the length of each
push (u32), the pushes, and a CRC-32 of all before it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aperture_tui.fleet.aggregator.refusal import LOG
from aperture_tui.fleet.aggregator.tokens import TENANT
from aperture_tui.profile.text import clean

_MAGIC: Final = b"aptrjrn1"
_HEAD: Final = struct.Struct("<8s16sQII")
_SUM: Final = struct.Struct("<I")
_BATCH: Final = ".batch"
_UNFINISHED: Final = ".unfinished"
_DAMAGED: Final = ".damaged"


class JournalError(RuntimeError):
    """Why there is no journal here, in one clear line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch. token: 32 hexadecimal digits, its own. stored_ns: when it was first tried, Unix nanoseconds.

    pushes: each a PushRequest as it came.
    """

    tenant: str
    token: str
    stored_ns: int
    pushes: Sequence[bytes]


class Journal:
    """The batches of one aggregator that may or may not be stored yet. Methods may be called from any thread."""

    def __init__(self, folder: str | Path) -> None:
        """Makes the folder, which belongs to this process until it ends. Raises JournalError."""
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._at = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"{clean(str(error.filename or folder))}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise JournalError(f"{clean(str(folder))}: another aggregator has it") from error
        for unfinished in self.folder.glob(f"*{_UNFINISHED}"):
            unfinished.unlink(missing_ok=True)

    def write(self, entry: Entry) -> None:
        """Returns when the batch is on the disk. Raises OSError, and nothing of it is there then."""
        path = self._path(entry.token)
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                _write(file.fileno(), _packed(entry))
                os.fsync(file.fileno())
            unfinished.rename(path)
            os.fsync(self._at)
        except OSError:
            for made in (unfinished, path):
                with contextlib.suppress(OSError):
                    made.unlink(missing_ok=True)
            raise

    def remove(self, token: str) -> None:
        """The batch is stored, or will never be. Raises OSError."""
        self._path(token).unlink(missing_ok=True)

    def set_aside(self, token: str, why: str) -> None:
        """Keep a batch that cannot be stored, under a name that is not looked at again. Raises OSError."""
        path = self._path(token)
        path.rename(path.with_suffix(_DAMAGED))
        LOG.error("%s: %s; kept as %s", path, why, path.with_suffix(_DAMAGED).name)

    def left(self) -> list[Entry]:
        """What a former run left, oldest first. What cannot be read is set aside. Raises OSError."""
        entries = []
        for path in self.folder.glob(f"*{_BATCH}"):
            try:
                entries.append(_entry(path))
            except ValueError as error:
                self.set_aside(path.stem, str(error))
        return sorted(entries, key=lambda entry: entry.stored_ns)

    def waiting(self) -> tuple[int, int]:
        """How many batches are not stored for certain, and how many were set aside. Raises OSError."""
        names = os.listdir(self.folder)
        return sum(name.endswith(_BATCH) for name in names), sum(name.endswith(_DAMAGED) for name in names)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)
        os.close(self._at)

    def _path(self, token: str) -> Path:
        return self.folder / (token + _BATCH)


def _packed(entry: Entry) -> list[bytes]:
    name = entry.tenant.encode()
    head = _HEAD.pack(_MAGIC, bytes.fromhex(entry.token), entry.stored_ns, len(entry.pushes), len(name))
    lengths = np.array([len(push) for push in entry.pushes], "<u4").tobytes()
    pieces = [head, name, lengths, *entry.pushes]
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return [*pieces, _SUM.pack(checksum)]


def _write(file: int, pieces: Sequence[bytes]) -> None:
    view = memoryview(b"".join(pieces))
    while view:
        view = view[os.write(file, view) :]


def _entry(path: Path) -> Entry:
    """Raises ValueError in words, and OSError."""
    data = path.read_bytes()
    if len(data) < _HEAD.size + _SUM.size or zlib.crc32(data[: -_SUM.size]) != _SUM.unpack(data[-_SUM.size :])[0]:
        raise ValueError("a damaged batch")
    magic, token, stored_ns, n, name_bytes = _HEAD.unpack_from(data)
    if magic != _MAGIC or token.hex() != path.stem:
        raise ValueError("a batch of another version, or under another name")
    at = _HEAD.size + name_bytes
    tenant = data[_HEAD.size : at].decode("ascii", "replace")
    ends = at + 4 * n + np.cumsum(np.frombuffer(data, "<u4", n, at), dtype=np.int64)
    if not TENANT.fullmatch(tenant) or not n or ends[-1] != len(data) - _SUM.size:
        raise ValueError("a batch that says what cannot be")
    edges = [at + 4 * n, *ends.tolist()]
    return Entry(tenant, token.hex(), stored_ns, [data[a:b] for a, b in itertools.pairwise(edges)])
