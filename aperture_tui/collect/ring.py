"""A BPF ring buffer read through our own mapping: no wakeups, no callback a record, whole batches as numpy.

Layout (kernel/bpf/ringbuf.c): one page with the consumer's position, one with the producer's, then the data, mapped
twice so that a record never wraps. A record is u32 length (bit 31 busy, bit 30 discarded), u32 page offset, payload
padded to 8 bytes.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PAGE: Final = mmap.PAGESIZE
_BUSY: Final = np.uint32(1 << 31)
_DISCARDED: Final = np.uint32(1 << 30)
_HEADER: Final = [("length", "<u4"), ("page", "<u4")]


class Ring:
    """One ring, read by one thread. size: bytes of data, a power of two and a multiple of the page size.

    Every read takes what is finished and stops at the first record that is still being written; the space is given
    back to the kernel once the records have been copied out.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self._consumer = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer = mmap.mmap(fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._consumed = np.frombuffer(self._consumer, np.uint64, 1)
        self._produced = np.frombuffer(self._producer, np.uint64, 1)
        self._data = np.frombuffer(self._producer, np.uint8, 2 * size, offset=_PAGE)

    @property
    def waiting(self) -> int:
        """Bytes that are written and not yet read."""
        return int(self._produced[0]) - int(self._consumed[0])

    def _pending(self) -> NDArray[np.uint8]:
        at = int(self._consumed[0]) & (self.size - 1)
        return self._data[at : at + self.waiting]

    def records(self, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """The finished records of a ring whose records are all of this dtype: a copy, (n,)."""
        framed = np.dtype([*_HEADER, ("payload", dtype)])
        pending = self._pending()
        rows = pending[: len(pending) // framed.itemsize * framed.itemsize].view(framed)
        busy = np.flatnonzero(rows["length"] & _BUSY)
        if len(busy):
            rows = rows[: busy[0]]
        out: NDArray[np.void] = rows["payload"][(rows["length"] & _DISCARDED) == 0]
        self._consumed[0] += np.uint64(len(rows) * framed.itemsize)
        return out

    def payloads(self) -> Iterator[bytes]:
        """The finished records of a ring whose records differ in length, one after the other."""
        pending = self._pending()
        at = 0
        while at + 8 <= len(pending):
            length = pending[at : at + 4].view(np.uint32)[0]
            if length & _BUSY:
                break
            n = int(length & ~(_BUSY | _DISCARDED))
            if not length & _DISCARDED:
                yield pending[at + 8 : at + 8 + n].tobytes()
            at += 8 + (n + 7) // 8 * 8
        self._consumed[0] += np.uint64(at)

    def close(self) -> None:
        """Unmap; nothing may be read afterwards."""
        del self._consumed, self._produced, self._data
        self._consumer.close()
        self._producer.close()
