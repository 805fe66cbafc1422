"""The code that HotSpot has: all blobs of its code cache.

A CodeHeap is a row of blocks, each a whole number of segments. Its segment map has a byte for each segment: 0 where a
block begins, 0xFF where none is, else how far it is back to the begin, in steps (src/hotspot/share/memory/heap.cpp).
Free blocks stay in the map, so a block's header says whether it is used. A blob lies behind the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.hotspot.blobs import Blobs, column, kind_of, no_blobs, parse_blobs, with_kinds
from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.hotspot.layout import Layout
from aperture_tui.symbolize.hotspot.structs import Field
from aperture_tui.symbolize.process_memory import MAX_BYTES, Memory, read

MAX_BLOBS: Final = 1 << 18
"""Of a process; what comes after them is left out."""
_MAX_HEAPS: Final = 16
_MAX_HEAP_BYTES: Final = 4 << 30  # the largest code cache is of 2 GB
_LOG2_SEGMENTS: Final = range(3, 17)
_MAX_LENGTH: Final = np.uint64(1 << 32)
_FEW: Final = 4096  # blobs that are all read again when anything changed: 7 ms
_TURN: Final = 1024  # of more, how many of those are that were there before
_QUIET: Final = 128  # blobs that are looked at when nothing changed, and as many of those that are named
_MAX_NAMES: Final = 4096
_NAME: Final = 128  # bytes of a blob's name that are read
_TOP: Final = 1 << 56


@dataclass(frozen=True, slots=True)
class _Heap:
    """A CodeHeap as it was seen. raw: its bytes. low, high: its memory. segmap: where the map is. segment: bytes."""

    raw: bytes
    low: int
    high: int
    segmap: int
    segment: int


class CodeCache:
    """The code cache of one process. Owned by one thread."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._heaps: list[int] = []
        self._seen: list[bytes] = []
        self._segment = 1
        self._names: dict[int, bytes] = {}
        self._turn = 0
        self._sure = False  # that no blob is known to be another by now
        self._fresh = np.zeros(0, np.uint64)  # those that were new the last time: they may have been half made
        self.blobs = no_blobs()
        """As they were last seen."""
        self.bounds = 0, 0
        """The lowest and the highest address of all heaps, as they were then."""

    def name(self, address: int) -> bytes:
        """The name of a blob, by where it is."""
        return self._names.get(address, b"")

    def refresh(self, named: NDArray[np.uint64]) -> list[tuple[int, int]]:
        """Read what changed. The ranges [from, to) in which another blob is now, or none, or one where none was.

        named: addresses of blobs that are looked at more often than the others. Raises HotSpotError, HotSpotNotReady.
        """
        if not self._heaps:
            self._heaps = self._find_heaps()
        heaps = self._read_heaps()
        seen = [heap.raw for heap in heaps]
        if seen == self._seen and not len(self._fresh):
            self._turn += 1
            looked_at = np.concatenate([self._turn_of(self.blobs.blob, _QUIET), self._turn_of(named, _QUIET)])
            if self.are_same(self.blobs.rows_of(np.unique(looked_at))).all():
                return []
        before, self.blobs = self.blobs, self._read_all(heaps, named)
        self._seen, self._sure = seen, True
        self.bounds = min(heap.low for heap in heaps), max(heap.high for heap in heaps)
        self._turn += 1
        changes, self._fresh = _changes(before, self.blobs)
        return changes

    def are_same(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of these blobs are still what they were; unless all are, all are read with the next refresh.

        Where a block is freed and another of the same size is made there, nothing else tells. Raises HotSpotError.
        rows: ascending.
        """
        known = self.blobs.take(rows)
        now = self._read_blocks(known.blob - np.uint64(self._layout.heap.block_bytes), known.block_end)
        same = np.zeros(len(known), bool)
        found = np.flatnonzero(np.isin(known.blob, now.blob))
        same[found] = known.take(found).same_as(now.take(now.rows_of(known.blob[found])))
        if not same.all():
            self._seen, self._sure = [], False
        return same

    def _turn_of(self, blobs: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
        """So many of these, others each time."""
        start = self._turn * count % max(len(blobs), 1)
        return blobs[start : start + count]

    def _find_heaps(self) -> list[int]:
        """The addresses of all CodeHeaps, which stay."""
        layout = self._layout.heap
        root = int.from_bytes(self._need(layout.root, 8), "little")
        if not root:
            raise HotSpotNotReady("HotSpot has no code cache yet")
        if not layout.array:
            return [root]
        data = self._need(root, max(layout.array_length.end, layout.array_data.end))
        count, where = _scalar(data, layout.array_length), _scalar(data, layout.array_data)
        if count == 0 or where == 0:
            raise HotSpotNotReady("HotSpot has no code cache yet")
        if not 0 < count <= _MAX_HEAPS:
            raise HotSpotError(f"a code cache of {count} heaps")
        heaps: list[int] = np.frombuffer(self._need(where, 8 * count), "<u8").tolist()
        return heaps

    def _read_heaps(self) -> list[_Heap]:
        layout = self._layout.heap
        heaps: list[_Heap] = []
        for raw in self._memory.read_many(self._heaps, [layout.heap_bytes] * len(self._heaps)):
            if raw is None:
                raise HotSpotError("a heap of the code cache cannot be read")
            low, high = _scalar(raw, layout.memory_low), _scalar(raw, layout.memory_high)
            segmap, log2 = _scalar(raw, layout.segmap_low), _scalar(raw, layout.log2_segment)
            if not low or not segmap:
                raise HotSpotNotReady("HotSpot has not set up its code cache yet")
            if not low <= high <= min(low + _MAX_HEAP_BYTES, _TOP) or log2 not in _LOG2_SEGMENTS:
                raise HotSpotError("a heap of the code cache of an unknown form")
            heaps.append(_Heap(raw, low, high, segmap, 1 << log2))
        if len({heap.segment for heap in heaps}) > 1:  # CodeCacheSegmentSize is one for all
            raise HotSpotError("heaps of the code cache with segments of several sizes")
        return heaps

    def _read_all(self, heaps: list[_Heap], named: NDArray[np.uint64]) -> Blobs:
        """All blobs. Of many that were there before, not all are read again."""
        self._segment = heaps[0].segment
        begins = [self._block_starts(heap) for heap in heaps]
        at = np.concatenate(begins)[:MAX_BLOBS]
        limit = np.repeat(np.array([heap.high for heap in heaps], np.uint64), [len(b) for b in begins])[:MAX_BLOBS]
        blobs, ahead = self.blobs, np.uint64(self._layout.heap.block_bytes)
        if len(blobs) <= _FEW or not self._sure:
            return self._read_blocks(at, limit)
        again = np.concatenate([self._turn_of(blobs.blob, _TURN), self._turn_of(named, _TURN), self._fresh])
        kept = blobs.take(np.isin(blobs.blob - ahead, at) & ~np.isin(blobs.blob, again))
        missing = ~np.isin(at + ahead, kept.blob)
        return kept.merged(self._read_blocks(at[missing], limit[missing]))

    def _block_starts(self, heap: _Heap) -> NDArray[np.uint64]:
        count = (heap.high - heap.low) // heap.segment
        at = range(0, count, MAX_BYTES)
        parts = self._memory.read_many([heap.segmap + i for i in at], [min(MAX_BYTES, count - i) for i in at])
        whole = b"".join(part for part in parts if part is not None)
        if len(whole) < count:
            raise HotSpotError("the segment map of the code cache cannot be read")
        begins = np.flatnonzero(np.frombuffer(whole, np.uint8) == 0)
        return np.uint64(heap.low) + begins.astype(np.uint64) * np.uint64(heap.segment)

    def _read_blocks(self, at: NDArray[np.uint64], limit: NDArray[np.uint64]) -> Blobs:
        """The blobs in the blocks that begin at these addresses. limit: how far each reaches at most."""
        layout = self._layout.heap
        most = layout.block_bytes + self._layout.blob.bytes
        size = np.minimum(limit - at, np.uint64(most))
        parts = self._memory.read_many(at.tolist(), size.tolist())
        rows = np.frombuffer(b"".join((part or b"").ljust(most, b"\0") for part in parts), np.uint8).reshape(-1, most)
        length = column(rows, layout.block_length).astype(np.uint64)
        used = (column(rows, layout.block_used) == 1) & (length > 0) & (length < _MAX_LENGTH)
        at, rows, length = at[used], rows[used], length[used]
        blob, end = at + np.uint64(layout.block_bytes), at + length * np.uint64(self._segment)
        blobs = parse_blobs(rows[:, layout.block_bytes :], blob, end, self._layout.blob)
        return with_kinds(blobs, self._kinds(blobs.name))

    def _kinds(self, addresses: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Kinds by the addresses of names, which are read once: HotSpot has them in its read-only data."""
        wanted, which = np.unique(addresses, return_inverse=True)
        missing = [address for address in wanted.tolist() if address not in self._names]
        if len(self._names) + len(missing) > _MAX_NAMES:
            self._names.clear()
            missing = wanted.tolist()[:_MAX_NAMES]
        for address, data in zip(missing, self._memory.read_many(missing, [_NAME] * len(missing)), strict=True):
            self._names[address] = (data or b"").partition(b"\0")[0]
        kinds = np.array([kind_of(self.name(address)) for address in wanted.tolist()], np.uint8)
        return kinds[which]

    def _need(self, address: int, size: int) -> bytes:
        data = read(self._memory, address, size)
        if data is None:
            raise HotSpotError("the code cache of HotSpot cannot be read")
        return data


def _scalar(data: bytes, field: Field) -> int:
    """One field of a struct; 0 where the struct is too short for it."""
    return int(column(np.frombuffer(data, np.uint8).reshape(1, -1), field)[0])


def _changes(before: Blobs, now: Blobs) -> tuple[list[tuple[int, int]], NDArray[np.uint64]]:
    """The ranges in which not the same blob is as before, those that touch as one; and the blobs that are new."""
    _, i, j = np.intersect1d(before.blob, now.blob, assume_unique=True, return_indices=True)
    same = before.take(i).same_as(now.take(j))
    gone, new = np.ones(len(before), bool), np.ones(len(now), bool)
    gone[i[same]] = False
    new[j[same]] = False
    start = np.concatenate([before.blob[gone], now.blob[new]])
    end = np.concatenate([before.block_end[gone], now.block_end[new]])
    order = np.argsort(start)
    out: list[tuple[int, int]] = []
    for low, high in zip(start[order].tolist(), end[order].tolist(), strict=True):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return out, now.blob[new]
