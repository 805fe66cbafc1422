"""Where the blocks of a recording are: read from its index blocks, or where there are none yet, from the blocks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.packed import words
from aperture_tui.recording.blocks import (
    HEADER,
    MARKER,
    MAX_BLOCK,
    BlockType,
    Cut,
    RecordingError,
    block_at,
    headers,
    scan,
)

if TYPE_CHECKING:
    from typing import BinaryIO

INDEX: Final = np.dtype(
    [
        ("offset", "<u8"),
        ("start_ns", "<u8"),
        ("end_ns", "<u8"),
        ("events", "<u4"),
        ("generation", "<u4"),
        ("type", "<u2"),
        ("kind", "<u2"),
        ("unused", "<u4"),
    ]
)
"""One block: its place, its BlockType; of events and gauges their time, half-open; of events and symbols their
generation. kind: the Kind of all its events. What does not apply is 0."""

_ROW: Final = struct.Struct("<QQQIIHH4x")
"""The same, packed by hand: an array of one row takes ten times as long."""

EVENTS_HEAD: Final = struct.Struct("<II")
"""Before the events of a block: generation, number of events."""
LINK: Final = struct.Struct("<Q")
"""All of an end block: where the last index block is. The first bytes of that: where the one before it is, or 0."""

_MAX_ROWS: Final = 1 << 22
"""Blocks in a file: 168 MB of index; an honest file of a week has a tenth of that."""
_WINDOW: Final = 4 << 20
_SEARCHED: Final = 2 * MAX_BLOCK
_TRIED: Final = 1 << 6
"""Bytes that are read of what looks like an index block and is none, and how many of them are tried, before all blocks
are read in their order."""
_MAX_CHAIN: Final = 1 << 16
"""Index blocks: there is one every 16 MB or so."""
_MANY: Final = 1 << 17
_LEAST: Final = HEADER + 40
"""From so many blocks on they have to be as long as this on average: those that are written often are longer."""
_UNPACKED: Final = 1 << 30
_MOST_PACKED: Final = 100
"""Bytes that may be unpacked where blocks are read in their order, and for each byte of the file: ours have ten."""


class Index:
    """The blocks of one file, in its order. Raises RecordingError for a file with too many, or that was made to delay.

    rows: (n,) of INDEX. complete: the file was closed in order. cut_bytes: at its end, that are no block.
    skipped_bytes: between blocks. damaged: blocks that cannot be read, which have no row. Of what is before the last
    index block damage is met only when it is read.
    """

    def __init__(self, file: BinaryIO, first: int, size: int, name: str) -> None:
        self._file = file
        self._first = first
        self._size = size
        self._name = name
        self.cut_bytes = self.skipped_bytes = self.damaged = 0
        last, self.complete = self._last()
        parts = self._chain(last)
        if not self.complete or not parts:
            parts.append(self._scanned(self._first if not parts else self._after(last)))
        self.rows: NDArray[np.void] = np.concatenate(parts)

    def _last(self) -> tuple[int, bool]:
        """Where the last index block is, and whether the end of the file says so; 0 for none."""
        end = block_at(self._file, self._size - HEADER - LINK.size) if self._size > HEADER + LINK.size else None
        if end is not None and end.kind == BlockType.END and end.payload is not None and len(end.payload) == LINK.size:
            return int(LINK.unpack(end.payload)[0]), True
        return self._searched(), False

    def _searched(self) -> int:
        """The last index block, found from the end: a file that was not closed has one for each generation."""
        mark = MARKER + bytes([BlockType.INDEX])
        end, most, tries = self._size, _SEARCHED, _TRIED
        while end > self._first:
            start = max(self._first, end - _WINDOW)
            self._file.seek(start)
            for at in headers(self._file.read(end - start + HEADER - 1), mark)[::-1].tolist():
                if _rows_at(self._file, start + at) is not None:
                    return start + int(at)
                most -= self._file.tell() - start - at
                tries -= 1
                if most < 0 or not tries:
                    return 0
            end = start
        return 0

    def _chain(self, last: int) -> list[NDArray[np.void]]:
        """The rows of all index blocks up to this one; nothing if one of them cannot be believed."""
        parts: list[NDArray[np.void]] = []
        at, above, total = last, self._size, 0
        while at:
            found = _rows_at(self._file, at) if self._first <= at < above else None
            if found is None or len(parts) == _MAX_CHAIN:
                return []
            before, rows = found
            total += len(rows) + 1
            self._check(total)
            if len(rows) and not _ascending(rows["offset"], max(before, self._first), at):
                return []
            parts.append(rows)
            above, at = at, before
        return parts[::-1]

    def _after(self, offset: int) -> int:
        block = block_at(self._file, offset)
        return block.end if block is not None else self._size

    def _scanned(self, offset: int) -> NDArray[np.void]:
        """The rows of what comes from here on, read block by block."""
        self._file.seek(offset)
        found, count, unpacked = bytearray(), 0, 0
        for block in scan(self._file, self._size):
            if isinstance(block, Cut):
                if block.end:
                    self.cut_bytes += block.length
                else:
                    self.skipped_bytes += block.length
                continue
            self.complete |= block.kind == BlockType.END
            if block.payload is None:
                self.damaged += 1
                continue
            unpacked += len(block.payload)
            if block.kind not in (BlockType.INDEX, BlockType.END):
                found += row(block.offset, block.kind, block.payload)
                count += 1
            self._check(count)
            self._check_shape(count, block.end - offset, unpacked)
        return np.frombuffer(found, INDEX)

    def _check(self, rows: int) -> None:
        if rows > _MAX_ROWS:
            raise RecordingError(f"{self._name}: more than {_MAX_ROWS:,} blocks: record with --rotate")

    def _check_shape(self, rows: int, size: int, unpacked: int) -> None:
        """Nobody is to wait for minutes for a file that was made for that."""
        if rows > _MANY and size < rows * _LEAST:
            raise RecordingError(f"{self._name}: not a recording of aperture: {rows:,} blocks in {size:,} bytes")
        if unpacked > _UNPACKED + _MOST_PACKED * self._size:
            raise RecordingError(f"{self._name}: not a recording of aperture: what is packed in it has no end")


def row(offset: int, kind: int, payload: bytes) -> bytes:
    """One of INDEX for a block, by its unpacked payload; what that does not tell is 0."""
    start_ns = end_ns = events = generation = kind_of_all = 0
    if kind == BlockType.SYMBOLS and len(payload) >= 4:
        generation = int.from_bytes(payload[:4], "little")
    elif kind == BlockType.EVENTS and len(payload) >= EVENTS_HEAD.size:
        generation, count = EVENTS_HEAD.unpack_from(payload)
        if count and len(payload) == EVENTS_HEAD.size + count * EVENT.itemsize:
            records = np.frombuffer(payload, EVENT, offset=EVENTS_HEAD.size)
            kinds = records["kind"]
            kind_of_all = int(kinds[0]) if (kinds == kinds[0]).all() else 0
            events = count
            start_ns, end_ns = _span(records["time_ns"])
    elif kind == BlockType.GAUGES:
        times = [sample.time_ns for sample in words.gauges(payload) or ()]
        if times:
            start_ns, end_ns = min(times), max(times) + 1
    return _ROW.pack(offset, start_ns, end_ns, events, generation, kind, kind_of_all)


def _span(times: NDArray[np.uint64]) -> tuple[int, int]:
    return int(times.min()), min(int(times.max()) + 1, (1 << 64) - 1)


def _rows_at(file: BinaryIO, offset: int) -> tuple[int, NDArray[np.void]] | None:
    """What an index block says: where the one before it is, and its rows; None if there is none."""
    block = block_at(file, offset)
    if block is None or block.kind != BlockType.INDEX or block.payload is None:
        return None
    if len(block.payload) < LINK.size or (len(block.payload) - LINK.size) % INDEX.itemsize:
        return None
    (before,) = LINK.unpack_from(block.payload)
    return before, np.frombuffer(block.payload, INDEX, offset=LINK.size)


def _ascending(offsets: NDArray[np.uint64], low: int, high: int) -> bool:
    """Whether there is room for a block at each."""
    inside = low <= int(offsets[0]) and int(offsets[-1]) < high
    after, before = offsets[1:], offsets[:-1]
    return inside and bool((after > before).all() and (after - before >= HEADER).all())
