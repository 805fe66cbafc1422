"""Unwind rows: in one 64-bit word, where the caller's registers are. BPF programs mirror this layout.

    63 ........ 32   31 .......... 16   15 .. 12   11 .. 8   7 ............ 0
    pc             | CFA offset, s16  | rbp rule | CFA rule | rbp offset / 8, s8

pc: the first address that the row holds for, an ELF virtual address less the table's base. The row holds up to the
next row's pc. CFA (the canonical frame address of DWARF) by its rule, with `offset` in bytes:

    NONE        unknown: no table covers this code, or its rule is one that rows cannot express
    RSP         rsp + offset
    RBP         rbp + offset
    PLT         rsp + 8, and 8 more where (rip & 15) >= offset: the lazy entries of a procedure linkage table
    DEREF_RBP   *(rbp + offset): a function that realigns its stack
    SIGNAL      a signal frame (rt_sigframe): rip = *(rsp + 168), rsp = *(rsp + 160), rbp = *(rsp + 120)
    END         the outermost frame: there is no caller
    DEREF_RSP   *(rsp + offset) + 8: hand-written cryptography that saves its caller's rsp
    RSP_WIDE    rsp + 8 * offset: a frame of 32 KB and more, up to 256 KB
    SWITCH      rbp + offset, on another stack, which may lie below: a runtime's function that changes stacks
    INTERPRETED a frame of HotSpot's interpreter: rip = *(rbp + 8), rsp = *(rbp - 8), rbp = *rbp; its method, which
                stands for the frame, is *(rbp - 24)
    UNKNOWN     free space of a code cache: if code is there, it has been made since the rows were
    FROZEN      where a virtual thread of Java returns to callers that are not on the stack: they lie in the heap

But for SIGNAL and INTERPRETED, the caller's rip is *(CFA - 8), its rsp is the CFA, and its rbp is by the rbp rule:

    SAME        unchanged
    SAVED       *(CFA + rbp offset)
    UNDEFINED   unknown
    SAVED_RBP   *(rbp + rbp offset)

A return address is looked up less one, so that the call is found and not what follows it; the address of an
interrupted instruction (the innermost one, and the caller of a SIGNAL frame) is looked up as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CFA_NONE: Final = 0
CFA_RSP: Final = 1
CFA_RBP: Final = 2
CFA_PLT: Final = 3
CFA_DEREF_RBP: Final = 4
CFA_SIGNAL: Final = 5
CFA_END: Final = 6
CFA_DEREF_RSP: Final = 7
CFA_RSP_WIDE: Final = 8
CFA_SWITCH: Final = 9
CFA_INTERPRETED: Final = 10
CFA_UNKNOWN: Final = 11
CFA_FROZEN: Final = 12

RBP_SAME: Final = 0
RBP_SAVED: Final = 1
RBP_UNDEFINED: Final = 2
RBP_SAVED_RBP: Final = 3

PC_SHIFT: Final = 32
CFA_OFFSET_SHIFT: Final = 16
RBP_RULE_SHIFT: Final = 12
CFA_RULE_SHIFT: Final = 8

MIN_GAP_BYTES: Final = 16
"""A shorter gap between two functions is padding and belongs to the first of them; a longer one gets a NONE row."""

_PC_SHIFT: Final = np.uint64(PC_SHIFT)
_RULES: Final = np.uint64((1 << PC_SHIFT) - 1)
_CFA_RULE: Final = np.uint64(0xF << CFA_RULE_SHIFT)


@dataclass(frozen=True, slots=True)
class Rules:
    """One row, taken apart. cfa: a CFA_ constant; cfa_offset in bytes; rbp: an RBP_ constant; rbp_offset in bytes."""

    cfa: int
    cfa_offset: int = 0
    rbp: int = RBP_SAME
    rbp_offset: int = 0


def rules_of(row: int) -> Rules:
    """The rules of a row."""
    rule, offset, saved = row >> CFA_RULE_SHIFT & 0xF, row >> CFA_OFFSET_SHIFT & 0xFFFF, row & 0xFF
    return Rules(
        rule,
        (offset - (offset >> 15 << 16)) * (8 if rule == CFA_RSP_WIDE else 1),
        row >> RBP_RULE_SHIFT & 0xF,
        (saved - (saved >> 7 << 8)) * 8,
    )


@dataclass(frozen=True, slots=True)
class UnwindTable:
    """How to unwind the code of one ELF file.

    rows: (n,) uint64, strictly ascending by pc, equal neighbours merged. base: the ELF virtual address that a pc of
    zero stands for: the lowest loaded address, rounded down to a page. functions: how many were understood.
    malformed: functions and other entries that could not be, and were passed over. unsupported: rules met that rows
    cannot express; their rows are NONE. truncated: the limits were reached, and the rest of the file has no rows.
    """

    rows: NDArray[np.uint64]
    base: int
    functions: int = 0
    malformed: int = 0
    unsupported: int = 0
    truncated: bool = False

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The row that holds for each ELF virtual address, 0 where there is none: (n,) uint64."""
        if not len(self.rows):
            return np.zeros(len(addresses), np.uint64)
        relative = addresses - np.uint64(self.base)
        index = np.searchsorted(self.rows, np.minimum(relative, _RULES) << _PC_SHIFT | _RULES, "right") - 1
        found = (index >= 0) & (relative <= _RULES)
        rows: NDArray[np.uint64] = np.where(found, self.rows[index], np.uint64(0))
        return rows


def assemble(
    rows: NDArray[np.uint64], first: NDArray[np.int64], starts: NDArray[np.uint64], ends: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], int]:
    """The rows of all functions in order, ready for a binary search; and how many rules are unsupported.

    rows: (n,) uint64, those of a function together. first: (m,) index of each function's first row, ascending.
    starts, ends: (m,) uint64, the addresses of each function less the base, below 2**32 and not above it. Where
    functions overlap, the one that starts last is right, as in the search table of .eh_frame_hdr; of two that start
    together, the later one of the file.
    """
    order = np.argsort(starts, kind="stable")
    low, high = starts[order], ends[order]
    following = np.append(low[1:], np.uint64(1 << PC_SHIFT))
    limits = np.empty_like(ends)
    limits[order] = np.minimum(high, following)
    counts = np.diff(np.append(first, len(rows)))
    pc = rows >> _PC_SHIFT
    rows = rows[(pc >= np.repeat(starts, counts)) & (pc < np.repeat(limits, counts))]
    unknown = rows & _CFA_RULE == CFA_NONE
    rows = np.where(unknown, rows & ~_RULES, rows)
    gaps = high[(high <= _RULES) & (following - np.minimum(high, following) >= MIN_GAP_BYTES)] << _PC_SHIFT
    return _merged(np.concatenate((rows, gaps))), int(np.count_nonzero(unknown))


def _merged(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """In order of pc; of several rows at one pc the last; none that says what the one before it says."""
    rows = rows[np.argsort(rows >> _PC_SHIFT, kind="stable")]
    pc = rows >> _PC_SHIFT
    rows = rows[np.append(pc[1:] != pc[:-1], np.ones(min(1, len(pc)), bool))]
    rules = rows & _RULES
    changed: NDArray[np.bool_] = np.append(rules[:1] != CFA_NONE, rules[1:] != rules[:-1])
    return rows[changed]
