"""The unwind table of an ELF file: from the call frame information that compilers write, for exceptions and
debuggers, to rows that a BPF program can search (see `unwind_layout`). x86-64 only.

Every file is suspect: an entry that cannot be used is passed over and counted, and the time taken is bounded by the
bytes read, each of which is looked at once.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import MACHINE_X86_64, Elf, ElfError
from aperture_tui.symbolize.go_table import GoTable
from aperture_tui.symbolize.go_unwind import GoFrames
from aperture_tui.symbolize.unwind_functions import Functions
from aperture_tui.symbolize.unwind_layout import CFA_END, CFA_RULE_SHIFT, PC_SHIFT, UnwindTable, assemble
from aperture_tui.symbolize.unwind_section import CallFrames, call_frames

MAX_ROWS: Final = 1 << 22
"""What the kernel's search covers, and a bank of its map. The largest libraries of PyTorch have 2.3 million."""
MAX_BYTES: Final = 32 << 20
"""Of call frames; those of PyTorch have 17 MB."""
MAX_GO_BYTES: Final = 64 << 20
"""Of what Go has instead; kubectl has 16 MB for 80,000 functions."""
CUT: Final = "more than is read"
_PAGE: Final = 4096
_ENTRY_BYTES: Final = 48  # _start of crt1.o, with room to spare
_END: Final = CFA_END << CFA_RULE_SHIFT
_RULES: Final = (1 << PC_SHIFT) - 1


@dataclass(frozen=True)
class UnwindSource:
    """All that the unwind table of a file is made of, in memory: read once, so that nobody can change it between the
    making of the key and that of the table.

    base: the lowest loaded address. span: bytes loaded from there on. entry: the entry point, as in the file.
    frames: None where there is no call frame information. max_rows: beyond so many (at least one) the table is
    `truncated`. go: of a Go program, which has none for what Go compiled. go_problem: why that is not there: CUT where
    it is more than is read, else what is wrong with it, "" for nothing.
    """

    base: int
    span: int
    entry: bytes
    frames: CallFrames | None
    max_rows: int
    go: GoFrames | None = None
    go_problem: str = ""

    @classmethod
    def read(cls, elf: Elf, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> UnwindSource:
        """Out of .eh_frame, found by name or by .eh_frame_hdr, or out of .debug_frame where there is none.

        max_bytes: of call frame information that are read; beyond them the table is `truncated`. Raises ElfError if
        the file as a whole cannot be used.
        """
        base, span = _loaded(elf)
        go, go_problem = _go_frames(elf)
        try:
            frames = call_frames(elf, max_bytes)
        except ElfError:
            if go is None:
                raise
            frames = None  # the linker of Go compresses .debug_frame, which says the same
        return cls(base, span, elf.source.read(24, 8), frames, max_rows, go, go_problem)

    @property
    def size(self) -> int:
        """Bytes of call frame information."""
        return (len(self.frames.data) if self.frames else 0) + (self.go.size if self.go else 0)

    @cached_property
    def key(self) -> bytes:
        """A digest of all of it: equal keys, equal tables.

        A build-id would be quicker to have, but whoever makes a file chooses it, and could choose that of the C
        library.
        """
        facts = (self.base, self.span, self.entry, self.max_rows, self.frames and replace(self.frames, data=b""))
        of_go = (self.go.table,) if self.go else (self.go_problem,) if self.go_problem else ()
        digest = hashlib.sha256(repr((*facts, *of_go)).encode())
        digest.update(self.frames.data if self.frames else b"")
        for part in (self.go.names, self.go.tables, self.go.functions) if self.go else ():
            digest.update(part)
        return digest.digest()

    def table(self) -> UnwindTable:
        """The rows.

        Where no entry covers the entry point, as in programs whose start-up code was assembled without any, its row is
        END.
        """
        functions = Functions(self.base, self.span, self.max_rows)
        if self.frames is not None:
            functions.read(self.frames)
        if self.go is not None:
            functions.add_go(self.go)
        functions.truncated |= self.go_problem == CUT
        functions.malformed += self.go_problem not in ("", CUT)
        (entry,) = struct.unpack("<Q", self.entry)
        return _in_order(functions, int(entry) - self.base)


def _go_frames(elf: Elf) -> tuple[GoFrames | None, str]:
    """What a file has of Go's, and why not: `UnwindSource.go_problem`. A damaged one takes nothing from the rest."""
    try:
        table = GoTable.find(elf)
        go = None if table is None else GoFrames.read(elf, table, MAX_GO_BYTES)
    except ElfError as error:
        return None, str(error)
    return go, CUT if table is not None and go is None else ""


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


def _in_order(found: Functions, entry: int) -> UnwindTable:
    """The table of these functions. entry: the entry point less the base."""
    starts, ends = _joined(found.starts).astype(np.uint64), _joined(found.ends).astype(np.uint64)
    if 0 < entry < found.span and not np.any((starts <= entry) & (entry < ends)):
        found.add(entry, entry + min(_ENTRY_BYTES, found.span - entry), entry << PC_SHIFT | _END)
        starts, ends = _joined(found.starts).astype(np.uint64), _joined(found.ends).astype(np.uint64)
    rows = np.concatenate(found.rows) if found.rows else np.zeros(0, np.uint64)
    counts = _joined(found.counts)
    rows, unsupported = assemble(rows, np.cumsum(counts) - counts, starts, ends)
    truncated = found.truncated
    if len(rows) > found.max_rows:
        truncated = True
        rows = rows[: found.max_rows].copy()
        rows[-1] &= np.uint64(_RULES << PC_SHIFT)
    return UnwindTable(rows, found.base, found.functions, found.malformed, unsupported, truncated)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
