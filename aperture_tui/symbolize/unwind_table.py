"""The unwind table of an ELF file: from the call frame information that compilers write, for exceptions and
debuggers, to rows that a BPF program can search (see `unwind_layout`). x86-64 only.

Every file is suspect: an entry that cannot be used is passed over and counted, and the time taken is bounded by the
bytes read, each of which is looked at once.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from aperture_tui.symbolize.elf import MACHINE_X86_64, Elf, ElfError
from aperture_tui.symbolize.unwind_encoding import DAMAGE, MalformedError
from aperture_tui.symbolize.unwind_layout import CFA_END, CFA_RULE_SHIFT, CFA_SIGNAL, PC_SHIFT, UnwindTable, assemble
from aperture_tui.symbolize.unwind_program import Rulebook, run
from aperture_tui.symbolize.unwind_section import CallFrames, CutError, Entry, call_frames, extent, rulebook

MAX_ROWS: Final = 2_000_000
MAX_BYTES: Final = 16 << 20
_MOST_MERGED: Final = 2  # rows made for each one kept, at most
_MAX_PROGRAM: Final = 1 << 20  # bytes of one entry: each may make a row
_MAX_BOOKS: Final = 65_536  # common entries; linkers merge equal ones, to a handful
_MAX_MALFORMED: Final = 10_000
_PAGE: Final = 4096
_ENTRY_BYTES: Final = 48  # _start of crt1.o, with room to spare
_SIGNAL: Final = CFA_SIGNAL << CFA_RULE_SHIFT
_END: Final = CFA_END << CFA_RULE_SHIFT
_RULES: Final = (1 << PC_SHIFT) - 1


@dataclass(frozen=True)
class UnwindSource:
    """All that the unwind table of a file is made of, in memory: read once, so that nobody can change it between the
    making of the key and that of the table.

    base: the lowest loaded address. span: bytes loaded from there on. entry: the entry point, as in the file.
    frames: None where there is no call frame information. max_rows: beyond so many (at least one) the table is
    `truncated`.
    """

    base: int
    span: int
    entry: bytes
    frames: CallFrames | None
    max_rows: int

    @classmethod
    def read(cls, elf: Elf, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> UnwindSource:
        """Out of .eh_frame, found by name or by .eh_frame_hdr, or out of .debug_frame where there is none.

        max_bytes: of call frame information that are read; beyond them the table is `truncated`. Raises ElfError if
        the file as a whole cannot be used.
        """
        base, span = _loaded(elf)
        return cls(base, span, elf.source.read(24, 8), call_frames(elf, max_bytes), max_rows)

    @property
    def size(self) -> int:
        """Bytes of call frame information."""
        return len(self.frames.data) if self.frames else 0

    @cached_property
    def key(self) -> bytes:
        """A digest of all of it: equal keys, equal tables.

        A build-id would be quicker to have, but whoever makes a file chooses it, and could choose that of the C
        library.
        """
        facts = (self.base, self.span, self.entry, self.max_rows, self.frames and replace(self.frames, data=b""))
        digest = hashlib.sha256(repr(facts).encode())
        digest.update(self.frames.data if self.frames else b"")
        return digest.digest()

    def table(self) -> UnwindTable:
        """The rows.

        Where no entry covers the entry point, as in programs whose start-up code was assembled without any, its row is
        END.
        """
        builder = _Builder(self.base, self.span, self.max_rows)
        if self.frames is not None:
            builder.read(self.frames)
        (entry,) = struct.unpack("<Q", self.entry)
        return builder.table(int(entry) - self.base)


def _loaded(elf: Elf) -> tuple[int, int]:
    """The lowest loaded address and how many bytes are loaded from there on. Raises ElfError."""
    if elf.machine != MACHINE_X86_64 or elf.bits != 64:
        raise ElfError("unwind tables are made of 64-bit x86-64 files only")
    loads = elf.load_segments
    if not len(loads):
        raise ElfError("nothing of the file is loaded")
    base = int(loads["address"].min()) // _PAGE * _PAGE
    end = max(int(load["address"]) + int(load["memory_size"]) for load in loads)
    return base, min(end - base, 1 << PC_SHIFT)


@dataclass(slots=True)
class _Builder:
    """Collects the rows of one file. starts, ends: each function's addresses less the base. first: its first row."""

    base: int
    span: int
    max_rows: int
    rows: array[int] = field(default_factory=lambda: array("Q"))
    starts: array[int] = field(default_factory=lambda: array("Q"))
    ends: array[int] = field(default_factory=lambda: array("Q"))
    first: array[int] = field(default_factory=lambda: array("q"))
    functions: int = 0
    malformed: int = 0
    truncated: bool = False

    def read(self, frames: CallFrames) -> None:
        """Add every function of a section until a limit is reached."""
        books: dict[int, Rulebook] = {}
        try:
            for entry in frames.entries():
                _, body, end, common = entry
                if end - body > _MAX_PROGRAM:
                    self.malformed += 1
                elif common is None:
                    self._common(frames, entry, books)
                else:
                    self._function(frames, entry, books.get(common))
                if len(self.rows) > _MOST_MERGED * self.max_rows or self.malformed > _MAX_MALFORMED:
                    self.truncated = True
                    return
        except CutError:
            self.truncated = True
        except MalformedError:
            self.malformed += 1

    def _common(self, frames: CallFrames, entry: Entry, books: dict[int, Rulebook]) -> None:
        if len(books) == _MAX_BOOKS:
            self.malformed += 1
            return
        try:
            books[entry[0]] = rulebook(frames, entry, self.base)
        except DAMAGE:
            self.malformed += 1

    def _function(self, frames: CallFrames, entry: Entry, book: Rulebook | None) -> None:
        if book is None:
            self.malformed += 1
            return
        try:
            start, size, at = extent(frames, entry, book)
        except DAMAGE:
            self.malformed += 1
            return
        if not size:
            return
        if not 0 <= start < start + size <= self.span:
            self.malformed += 1
            return
        first = self._place(start, size)
        try:
            run(frames.data, at, entry[2], book, start, self.rows.append)
            self.functions += 1
        except DAMAGE:
            self.malformed += 1
            del self.rows[first:]
            self.rows.append(start << PC_SHIFT)
        if book.signal:
            self._only_signal_frames(first)

    def _place(self, start: int, size: int) -> int:
        """Note a function whose rows follow; -> the index of its first row."""
        self.starts.append(start)
        self.ends.append(start + size)
        self.first.append(len(self.rows))
        return len(self.rows)

    def _only_signal_frames(self, first: int) -> None:
        """What is marked as a signal frame but is laid out in another way than the kernel's has no rule."""
        for index in range(first, len(self.rows)):
            if self.rows[index] & _RULES != _SIGNAL:
                self.rows[index] &= ~_RULES

    def table(self, entry: int) -> UnwindTable:
        """All in order. entry: the entry point less the base."""
        starts, ends = np.array(self.starts, np.uint64), np.array(self.ends, np.uint64)
        if 0 < entry < self.span and not np.any((starts <= entry) & (entry < ends)):
            self._place(entry, min(_ENTRY_BYTES, self.span - entry))
            self.rows.append(entry << PC_SHIFT | _END)
            starts, ends = np.array(self.starts, np.uint64), np.array(self.ends, np.uint64)
        first, rows = np.array(self.first, np.int64), np.array(self.rows, np.uint64)
        rows, unsupported = assemble(rows, first, starts, ends)
        if len(rows) > self.max_rows:
            self.truncated = True
            rows = rows[: self.max_rows].copy()
            rows[-1] &= np.uint64(_RULES << PC_SHIFT)
        return UnwindTable(rows, self.base, self.functions, self.malformed, unsupported, self.truncated)
