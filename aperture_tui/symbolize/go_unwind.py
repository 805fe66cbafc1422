"""Unwind rows of Go's functions, by the tables of how deep the stack is at each instruction (`go_steps`).

At a depth of d bytes the return address lies d bytes above the stack pointer. Below it compiled code saves rbp, as soon
as there is a frame (cmd/internal/obj/x86/obj6.go). Assembly may do something else: there rbp is not known. Functions
that change stacks have frames by rbp, which lead to where the change was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import Elf
from aperture_tui.symbolize.go_steps import stepped
from aperture_tui.symbolize.go_table import ASSEMBLY, SIGNAL_RETURN, SP_WRITE, TOP_FRAME, GoTable, places_of
from aperture_tui.symbolize.unwind_columns import cfa_bits
from aperture_tui.symbolize.unwind_layout import (
    CFA_END,
    CFA_NONE,
    CFA_OFFSET_SHIFT,
    CFA_RSP,
    CFA_RULE_SHIFT,
    CFA_SIGNAL,
    CFA_SWITCH,
    PC_SHIFT,
    RBP_RULE_SHIFT,
    RBP_SAVED,
    RBP_UNDEFINED,
)

_HANDLERS: Final = (b"runtime.sigtramp", b"runtime.cgoSigtramp")
"""Go looks at what a signal interrupted in another way, and so calls them its outermost functions."""
_SCHEDULING: Final = (b"runtime.mcall",)
"""What it calls looks for another goroutine; the one that called it has been left."""
_RSP: Final = CFA_RSP << CFA_RULE_SHIFT
_SAVED: Final = RBP_SAVED << RBP_RULE_SHIFT | -2 & 0xFF  # at CFA - 16
_UNDEFINED: Final = RBP_UNDEFINED << RBP_RULE_SHIFT
_SWITCH: Final = 16 << CFA_OFFSET_SHIFT | CFA_SWITCH << CFA_RULE_SHIFT | _SAVED
_END: Final = CFA_END << CFA_RULE_SHIFT
_SIGNAL: Final = CFA_SIGNAL << CFA_RULE_SHIFT
_NONE: Final = CFA_NONE << CFA_RULE_SHIFT


class GoRows(NamedTuple):
    """Functions and their rows, as `unwind_layout.assemble` takes them. starts, ends: less the base; counts: of rows.

    malformed: functions whose tables were damaged; what is not known of their code has rows without a rule.
    """

    rows: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    malformed: int


@dataclass(frozen=True)
class GoFrames:
    """The bytes of the parts that rows are made of, and where they were."""

    table: GoTable
    names: bytes
    tables: bytes
    functions: bytes

    @classmethod
    def read(cls, elf: Elf, table: GoTable, max_bytes: int) -> GoFrames | None:
        """None where there are more than max_bytes of it. Raises ElfError."""
        parts = (table.names, table.tables, table.functions)
        if sum(high - low for low, high in parts) > max_bytes:
            return None
        return cls(table, *(elf.source.read(low, high - low) for low, high in parts))

    @property
    def size(self) -> int:
        """Bytes of tables of depths."""
        return len(self.tables)

    def rows(self, base: int, span: int) -> GoRows:
        """The rows of all functions that lie within `span` bytes from `base` on. Raises ElfError."""
        found = self.table.read(self.names, self.functions)
        starts, ends = found.start - base, found.end - base
        inside = (starts >= 0) & (ends <= span) & (found.depths > 0)  # a mark between functions has no table
        found, starts, ends = found.chosen(inside), starts[inside], ends[inside]
        which, pcs, depths, reached = stepped(self.tables, found.depths, starts, ends)
        flags, name = found.flags[which], found.name[which]
        good = (depths >= 0) & (depths & 7 == 0)
        rules = cfa_bits(np.full(len(depths), _RSP), np.where(good, depths + 8, 0))
        saved = np.where(flags & ASSEMBLY != 0, _UNDEFINED, _SAVED)
        rules = np.where(good, rules | np.where(depths > 0, saved, 0), _NONE)
        framed = np.zeros(len(starts), bool)
        framed[which[depths > 0]] = True
        # before its frame is there, and when it is gone, such a function is like any other
        rules[(flags & SP_WRITE != 0) & ((depths != 0) | ~framed[which])] = _SWITCH
        outermost = (flags & TOP_FRAME != 0) & ~np.isin(name, places_of(self.names, _HANDLERS))
        rules[outermost | np.isin(name, places_of(self.names, _SCHEDULING))] = _END
        rules[flags & SIGNAL_RETURN != 0] = _SIGNAL
        rows = pcs.astype(np.uint64) << np.uint64(PC_SHIFT) | rules.astype(np.uint64)
        counts = np.bincount(which, minlength=len(starts))
        return GoRows(rows, starts, ends, counts, int(np.count_nonzero(reached < 0)))
