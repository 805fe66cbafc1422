"""From an open file to its unwind rows: out of the disk cache, or built; and how the building child tells its parent.

An answer of the child is a datagram, struct-packed, and with it a descriptor of memory that holds the segments (three
columns of uint64) and then the rows. It says what the rows were made of (`UnwindSource.key`): the parent believes it,
and keeps the rows on disk, only where that is what it had read by itself.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from aperture_tui.symbolize.elf import Elf, ElfError, Loads, Source
from aperture_tui.symbolize.unwind_cache import UnwindCache
from aperture_tui.symbolize.unwind_layout import UnwindTable
from aperture_tui.symbolize.unwind_table import MAX_ROWS, UnwindSource

_HEADER: Final = struct.Struct("=??6Q32s")
MAX_ANSWER: Final = 512
"""Bytes of an answer's datagram."""
_MAX_SEGMENTS: Final = 1024
_NO_KEY: Final = bytes(32)
_SMALL_BYTES: Final = 1 << 15
"""Call frames that are turned into rows at once, in some 3 ms, instead of waiting for the child."""


@dataclass(frozen=True)
class FileTable:
    """The unwind table of one file and what turns file offsets into the table's addresses.

    elf: False for a file that is none. problem: why there are no rows, in one line, or "". key: of what the table was
    made of, `UnwindSource.key`; zeros where there is a problem.
    """

    table: UnwindTable
    loads: Loads
    elf: bool = True
    problem: str = ""
    key: bytes = _NO_KEY

    def bias(self, start: int, offset: int) -> int:
        """What to take from an address of a mapping at `start` of this file offset to have a row's pc; mod 2**64."""
        virtual = next((offset + bias for low, high, bias in self._segments if low <= offset < high), offset)
        return (start - virtual + self.table.base) % 2**64

    @cached_property
    def _segments(self) -> list[tuple[int, int, int]]:
        loads = self.loads
        return list(zip(loads.low.tolist(), loads.high.tolist(), loads.bias.tolist(), strict=True))


class NotCachedError(Exception):
    """The table is not in the cache, and is not to be built here. key, size: of what it is made of (`UnwindSource`).

    frame_pointers: its code keeps them, nearly all of it.
    """

    def __init__(self, key: bytes, size: int, frame_pointers: bool = False) -> None:
        super().__init__(size)
        self.key = key
        self.size = size
        self.frame_pointers = frame_pointers


def without_rows(problem: str, elf: bool = True) -> FileTable:
    """The table of a file that has none."""
    none = np.zeros(0, np.uint64)
    return FileTable(UnwindTable(none, 0), Loads(none, none, none), elf, problem)


def file_table(source: Source, cache: UnwindCache | None, build: bool) -> FileTable:
    """The table of a file. cache: None to do without. build: make it if the cache lacks it, however large; else
    NotCachedError is raised.
    """

    def make() -> UnwindTable:
        if not build and made_of.size > _SMALL_BYTES:
            raise NotCachedError(made_of.key, made_of.size, frame_pointers=made_of.go is not None)
        return made_of.table()

    try:
        if source.read(0, min(4, source.size)) != b"\x7fELF":
            return without_rows("not an ELF file", elf=False)
        elf = Elf.read(source)
        made_of = UnwindSource.read(elf)
    except ElfError as error:
        return without_rows(str(error))
    table = cache.cached_rows(made_of.key, make) if cache is not None else make()
    return FileTable(table, elf.loads, key=made_of.key)


def packed(found: FileTable) -> tuple[bytes, int]:
    """A datagram and a descriptor, which the caller closes. Raises OSError."""
    t, loads = found.table, found.loads
    columns = [column[:_MAX_SEGMENTS].astype(np.uint64) for column in (loads.low, loads.high, loads.bias)]
    numbers = (len(columns[0]), len(t.rows), t.base, t.functions, t.malformed, t.unsupported, found.key)
    fd = os.memfd_create("unwind", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            for column in (*columns, t.rows):
                file.write(np.ascontiguousarray(column, np.uint64).data)
    except BaseException:
        os.close(fd)
        raise
    head = _HEADER.pack(found.elf, t.truncated, *numbers)
    return head + found.problem.encode("utf-8", "backslashreplace")[: MAX_ANSWER - len(head)], fd


def unpacked(datagram: bytes, fd: int) -> FileTable:
    """The inverse of `packed`. Raises ValueError or OSError for anything else: nothing is believed of the child but
    its numbers, and reading what it gave cannot block.
    """
    try:
        elf, truncated, segments, n, base, functions, malformed, unsupported, key = _HEADER.unpack_from(datagram)
    except struct.error as error:
        raise ValueError("not an answer of the builder") from error
    fcntl.fcntl(fd, fcntl.F_GET_SEALS)  # an error for all but memory
    if segments > _MAX_SEGMENTS or n > MAX_ROWS or os.fstat(fd).st_size != 8 * (3 * segments + n):
        raise ValueError("an answer of the builder that is not whole")
    data = np.frombuffer(os.pread(fd, 8 * (3 * segments + n), 0), np.uint64)
    low, high, bias, rows = np.split(data, [segments, 2 * segments, 3 * segments])
    table = UnwindTable(rows, base, functions, malformed, unsupported, truncated)
    problem = datagram[_HEADER.size :].decode("utf-8", "replace")
    # copies: a view of the whole answer would keep all of its rows in memory
    return FileTable(table, Loads(low.copy(), high.copy(), bias.copy()), elf, problem, key)
