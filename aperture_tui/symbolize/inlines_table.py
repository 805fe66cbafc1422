"""Which functions are inlined at which address of one file, as two sorted columns and a trie of names.

As bytes (little-endian), in the disk cache and from the child that makes them:

    8s magic, u32 version, u32 rows, u32 nodes, u32 names, u64 base, u64 bytes of names,
    32s SHA-256 of the key, of the header up to here and of the rest,
    u32 start[rows], u32 node[rows], u32 parent[nodes], u32 name[nodes], u32 end[names], names

Node 0 is "nothing is inlined here". What does not fit is not believed: the child that made it had read a file that
may have been made to harm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.private_folder import digest

MAX_BYTES: Final = 32 << 20
"""Of one table."""
MAX_DEPTH: Final = 64
"""Functions inlined into one another; what is deeper is left out."""
_MAGIC: Final = b"aptinlin"
_VERSION: Final = 2  # of this format and of what makes the tables
_HEADER: Final = struct.Struct("<8sIIIIQQ")
_DIGEST: Final = 32
_START: Final = _HEADER.size + _DIGEST
_OVERHEAD: Final = 1_000  # bytes of Python objects around a table
_U4: Final = np.dtype("<u4")
_FAR: Final = np.uint64(0xFFFFFFFF)
_LOW: Final = 0xFFFFFFFF


class TableError(ValueError):
    """The bytes are no table of this key; the message is one line."""


@dataclass(frozen=True, slots=True)
class InlineTable:
    """The inlined functions of one file.

    base: virtual address that `start` counts from. start: (n,) uint32, ascending; each row holds up to the next.
    node: (n,) uint32. parent, name: (m,) uint32; a parent comes before its children. end: (k,) uint32, where each name
    ends in `names`, raw as the compiler wrote them.
    """

    base: int
    start: NDArray[np.uint32]
    node: NDArray[np.uint32]
    parent: NDArray[np.uint32]
    name: NDArray[np.uint32]
    end: NDArray[np.uint32]
    names: bytes

    @property
    def nbytes(self) -> int:
        """Memory held."""
        columns = sum(c.nbytes for c in (self.start, self.node, self.parent, self.name, self.end))
        return columns + len(self.names) + _OVERHEAD

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """The node at each virtual address: (n,)."""
        if not len(self.start):
            return np.zeros(len(addresses), np.uint32)
        offset = addresses - np.uint64(self.base)  # wraps to something large for what lies before it
        row = np.searchsorted(self.start, np.minimum(offset, _FAR).astype(np.uint32), "right") - 1
        return np.where((row >= 0) & (offset < _FAR), self.node[np.maximum(row, 0)], np.uint32(0))

    def chain(self, node: int) -> list[bytes]:
        """The raw names of the functions inlined at a node, outermost first."""
        out: list[bytes] = []
        while node and len(out) < MAX_DEPTH:
            name = int(self.name[node])
            out.append(self.names[int(self.end[name - 1]) if name else 0 : int(self.end[name])])
            node = int(self.parent[node])
        return out[::-1]

    def packed(self, key: bytes) -> bytes:
        """As bytes; key: what it is a table of."""
        columns = (self.start, self.node, self.parent, self.name, self.end)
        body = b"".join([*(column.astype(_U4).tobytes() for column in columns), self.names])
        sizes = len(self.start), len(self.parent), len(self.end)
        header = _HEADER.pack(_MAGIC, _VERSION, *sizes, self.base, len(self.names))
        return b"".join((header, digest(key, header, body), body))

    @classmethod
    def unpacked(cls, key: bytes, data: bytes) -> InlineTable:
        """The table in these bytes. Raises TableError unless they are one, whole and sound, of this key."""
        if len(data) < _START:
            raise TableError("cut short")
        magic, version, rows, nodes, names, base, text = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION or len(data) != _START + 4 * (2 * rows + 2 * nodes + names) + text:
            raise TableError("not of this format")
        if data[_HEADER.size : _START] != digest(key, data[: _HEADER.size], memoryview(data)[_START:]):
            raise TableError("the digest does not fit")
        counts = (rows, rows, nodes, nodes, names)
        at = _START + 4 * sum(counts)
        # a copy: columns that are views of data would keep the names in memory twice
        columns = np.split(np.frombuffer(data[_START:at], _U4), np.cumsum(counts)[:-1])
        start, node, parent, name, end = columns
        table = cls(base, start, node, parent, name, end, data[at:])
        table._check()
        return table

    def _check(self) -> None:
        nodes = np.arange(len(self.parent), dtype=np.uint32)
        sound = (
            np.all(self.start[1:] > self.start[:-1])
            and np.all(self.node < max(len(nodes), 1))
            and np.all(self.parent[1:] < nodes[1:])
            and np.all(self.name[1:] < len(self.end))
            and np.all(self.end[1:] >= self.end[:-1])
            and (self.end[-1] if len(self.end) else 0) == len(self.names)
        )
        if not sound:
            raise TableError("the columns contradict each other")


def empty() -> InlineTable:
    """The table of a file of which nothing is known."""
    none = np.zeros(0, np.uint32)
    return InlineTable(0, none, none, none, none, none, b"")


def trie_of(
    into: NDArray[np.uint32], name: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """The node of each location, and parent and name of each node. A location that is in none is a function itself.

    into: (n,), the location that each is inlined into, n or more for none. name: (n,), of its function.
    """
    node = np.zeros(len(into), np.uint32)
    parents, names = [np.zeros(1, np.uint32)], [np.zeros(1, np.uint32)]
    known = 1
    level = into >= len(into)  # the outermost functions, and what lies in no function
    for _ in range(MAX_DEPTH):
        inner = ~level & np.append(level, False)[np.minimum(into, len(into))] & (node == 0)
        rows = np.flatnonzero(inner)
        if not len(rows):
            break
        keys = node[into[rows]].astype(np.uint64) << np.uint64(32) | name[rows]
        distinct, which = np.unique(keys, return_inverse=True)
        node[rows] = known + which
        known += len(distinct)
        parents.append((distinct >> np.uint64(32)).astype(np.uint32))
        names.append((distinct & np.uint64(_LOW)).astype(np.uint32))
        level = inner
    return node, np.concatenate(parents), np.concatenate(names)
