"""A stranger's file, read once from front to back, unpacked where it is gzip, and never more of it than a limit."""

from __future__ import annotations

import itertools
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TEXT_BYTES: Final = 1 << 30
"""What is read of a text at most, unpacked."""
MAX_LINE: Final = 1 << 20
"""Bytes; longer lines are dropped and counted."""
HEAD_BYTES: Final = MAX_LINE
"""What a file is recognised by."""

_BLOCK: Final = 1 << 20
_PIECE: Final = 1 << 16
_MAX_MEMBERS: Final = 100_000
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib: 15 bits, and a gzip header


class ImportingError(Exception):
    """A file that cannot be opened as a profile, or is refused: one clear line."""


class Source:
    """The file. It may be a pipe.

    head: its first HEAD_BYTES, or all of it if it has fewer; short: all of it. cut: it is a gzip file that is damaged
    or ends too early, so that its end is missing; known when everything has been read. long_lines: how many were
    dropped.
    """

    def __init__(self, file: BinaryIO, watch: Callable[[float], None] | None = None) -> None:
        """watch: told how much of the file has been read, 0 to 1."""
        self.cut = False
        self.long_lines = 0
        size = os.fstat(file.fileno()).st_size
        done = itertools.count()

        def read() -> bytes:
            if watch is not None:
                watch(min(1.0, next(done) * _BLOCK / max(1, size)))
            return file.read(_BLOCK)

        raw = iter(read, b"")
        first = next(raw, b"")
        whole = itertools.chain([first], raw)
        self._rest = self._unpacked(whole) if first.startswith(_GZIP) else whole
        self.head = self._head()

    @property
    def short(self) -> bool:
        """Whether the head is all there is."""
        return len(self.head) < HEAD_BYTES

    def everything(self, limit: int) -> bytes:
        """All bytes. Raises ImportingError beyond the limit."""
        return b"".join(self._blocks(limit))

    def lines(self) -> Iterator[list[bytes]]:
        """All lines without their ends, some thousands at a time. Raises ImportingError beyond TEXT_BYTES."""
        rest, dropping = b"", False
        for block in self._blocks(TEXT_BYTES):
            whole = rest + block
            if b"\r\n" in whole:
                whole = whole.replace(b"\r\n", b"\n")
            lines = whole.split(b"\n")
            rest = lines.pop()
            if dropping and lines:
                del lines[0]
                dropping = False
            if len(rest) > MAX_LINE or dropping:
                self.long_lines += not dropping
                rest, dropping = b"", True
            yield lines
        if rest:
            yield [rest]

    def _head(self) -> bytes:
        parts: list[bytes] = []
        n = 0
        while n < HEAD_BYTES and (block := next(self._rest, b"")):
            parts.append(block)
            n += len(block)
        known = b"".join(parts)
        self._rest = itertools.chain([known[HEAD_BYTES:]], self._rest)
        return known[:HEAD_BYTES]

    def _blocks(self, limit: int) -> Iterator[bytes]:
        n = 0
        for block in itertools.chain([self.head], self._rest):
            n += len(block)
            if n > limit:
                raise ImportingError(f"larger than {limit >> 20:,} MB unpacked, which is all that is read of one")
            yield block

    def _unpacked(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The contents of one gzip member or several, as far as they are sound (RFC 1952)."""
        members, member = 0, None
        try:
            for packed in _pieces(blocks):
                while packed:
                    if member is None:
                        packed = packed.lstrip(b"\0")  # what fills the last block of a tape
                        if not packed:
                            break
                        member, members = zlib.decompressobj(_GZIP_WINDOW), members + 1
                        if members > _MAX_MEMBERS:
                            raise ImportingError(f"packed in more than {_MAX_MEMBERS:,} parts")
                    if block := member.decompress(packed, _BLOCK):
                        yield block
                    packed = member.unused_data if member.eof else member.unconsumed_tail
                    member = None if member.eof else member
            if member is not None:
                yield member.flush()
                self.cut = not member.eof
        except zlib.error:
            self.cut = True


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same in smaller parts: zlib copies what is left of one for each member in it."""
    for block in blocks:
        yield from (block[at : at + _PIECE] for at in range(0, len(block), _PIECE))
