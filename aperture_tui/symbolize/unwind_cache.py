"""Unwind tables kept on disk, so that a file's is made once.

A file of the cache: header (little-endian)

    8s magic, u32 version, u32 truncated, u64 base, u64 functions, u64 malformed, u64 unsupported, u64 rows,
    32s SHA-256 of the key, of the header up to here and of the rows

and the rows, 8 bytes each. What does not fit is not believed: it is counted, and made anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder, digest
from aperture_tui.symbolize.unwind_layout import PC_SHIFT, UnwindTable

_MAGIC: Final = b"aptunwnd"
_VERSION: Final = 2  # of this format, of the layout of rows and of what makes them
_HEADER: Final = struct.Struct("<8sII5Q")
_DIGEST: Final = 32
_START: Final = _HEADER.size + _DIGEST
_MAX_BYTES: Final = 256 << 20  # two releases of PyTorch, with all of CUDA


@dataclass(slots=True)
class UnwindCacheCounts:
    """What became of the tables asked for; for Health.

    hits: taken from disk. built: made. rejected: files that were there and could not be believed. unwritable: tables
    that could not be stored.
    """

    hits: int = 0
    built: int = 0
    rejected: int = 0
    unwritable: int = 0

    def as_dict(self) -> dict[str, int]:
        """Cause -> count."""
        return asdict(self)


class UnwindCache:
    """Tables by key, in a folder of this user's own. Several processes may share it; each object has one thread.

    folder: by default the user's cache. max_bytes: of all files; those unused for longest go first.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = _MAX_BYTES) -> None:
        self._folder = PrivateFolder(folder or cache_folder("unwind"), max_bytes)
        self.counts = UnwindCacheCounts()

    def cached_rows(self, key: bytes, build: Callable[[], UnwindTable]) -> UnwindTable:
        """The table of this key (`UnwindSource.key`), by `build` if it is not there. Raises what `build` raises."""
        table = self._read(key)
        if table is not None:
            self.counts.hits += 1
            return table
        table = build()
        self.keep(key, table)
        return table

    def keep(self, key: bytes, table: UnwindTable) -> None:
        """Store a table that was made; where that cannot be done it is counted."""
        self.counts.built += 1
        try:
            self._folder.write(_name(key), *_packed(key, table))
        except OSError:
            self.counts.unwritable += 1

    def _read(self, key: bytes) -> UnwindTable | None:
        try:
            data = self._folder.read(_name(key))
            return None if data is None else _unpacked(key, data)
        except (OSError, ValueError, struct.error):
            self.counts.rejected += 1
            return None


def _name(key: bytes) -> str:
    return f"{key.hex()}.rows"


def _packed(key: bytes, table: UnwindTable) -> tuple[bytes, bytes, memoryview]:
    """The parts of a file; its rows, which may be 30 MB, are not copied."""
    counts = (table.functions, table.malformed, table.unsupported)
    header = _HEADER.pack(_MAGIC, _VERSION, table.truncated, table.base, *counts, len(table.rows))
    rows = np.ascontiguousarray(table.rows, "<u8").data.cast("B")
    return header, digest(key, header, rows), rows


def _unpacked(key: bytes, data: bytes) -> UnwindTable:
    """Raises ValueError or struct.error for anything that `_packed` did not make for this key."""
    magic, version, truncated, base, functions, malformed, unsupported, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION or len(data) != _START + 8 * count:
        raise ValueError("not of this format")
    if data[_HEADER.size : _START] != digest(key, data[: _HEADER.size], memoryview(data)[_START:]):
        raise ValueError("the digest does not fit")
    rows = np.frombuffer(data, "<u8", offset=_START)
    pc = rows >> np.uint64(PC_SHIFT)
    if not np.all(pc[1:] > pc[:-1]):
        raise ValueError("the rows are not in order")
    return UnwindTable(rows, base, functions, malformed, unsupported, bool(truncated))
