"""Bytes of an ELF file that can be read at an offset: in memory, of an open file, of a copy. Free of numpy.

Read with pread, not mmap: a file that shrinks under a mapping would kill the profiler with SIGBUS.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol

_BLOCK: Final = 1 << 20


class ElfError(ValueError):
    """The file is not an ELF file that can be used; the message is one line."""


class Source(Protocol):
    """Bytes that can be read at an offset. `read` raises ElfError when they are not all there."""

    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Exactly this many bytes."""
        ...


class BytesSource:
    """An image in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly this many bytes."""
        _check_range(offset, size, self.size)
        return self._data[offset : offset + size]


class FileSource:
    """An open file. Owns its descriptor: closed by `close`, or when nothing refers to it any more.

    copy_of: what stat says of the file that this is a copy of, in memory. whole: False for a copy without what is
    large: its code, or its debug information.
    """

    def __init__(self, fd: int, copy_of: os.stat_result | None = None, *, whole: bool = True) -> None:
        self._fd = fd
        self._copy_of = copy_of
        self.whole = whole
        self.close = weakref.finalize(self, os.close, fd)
        facts = os.fstat(fd)
        self.size = facts.st_size
        self._modified_ns = facts.st_mtime_ns

    def fileno(self) -> int:
        """The descriptor, still owned by this object."""
        return self._fd

    def stat(self) -> os.stat_result:
        """What fstat says now; of a copy, what it said when that was made."""
        return os.fstat(self._fd) if self._copy_of is None else self._copy_of

    @property
    def is_copy(self) -> bool:
        """Whether it is in memory, of a file that is not open."""
        return self._copy_of is not None

    def only(self, offset: int, size: int) -> FileSource:
        """Itself; of a copy, which takes memory, another one of this part alone. Raises ElfError."""
        if self._copy_of is None:
            return self
        part = FileSource(os.memfd_create("aperture-part", os.MFD_CLOEXEC), self._copy_of, whole=False)
        part.size = self.size
        for at in range(offset, offset + size, _BLOCK):
            os.pwrite(part.fileno(), self.read(at, min(_BLOCK, offset + size - at)), at)
        part._modified_ns = os.fstat(part.fileno()).st_mtime_ns
        return part

    def check_unchanged(self) -> None:
        """Raises ElfError if the file was written to since it was opened."""
        if os.fstat(self._fd).st_mtime_ns != self._modified_ns:
            raise ElfError("the file was written to since it was opened")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly this many bytes."""
        _check_range(offset, size, self.size)
        try:
            data = os.pread(self._fd, size, offset)
            while len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    raise ElfError("the file shrank while it was read")
                data += more
        except OSError as error:
            raise ElfError(f"cannot be read: {error.strerror}") from error
        return data


def _check_range(offset: int, size: int, available: int) -> None:
    if offset < 0 or size < 0 or offset + size > available:
        raise ElfError(f"{size} bytes at {offset:#x} lie beyond the end of the file ({available} bytes)")
