"""A user stack by its tables, walked outside of the kernel: the same rules as `step` of bpf/unwind.h. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, PENDING
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from aperture_tui.symbolize import unwind_layout as rows_of
from aperture_tui.symbolize.runtime_frames import OBJECT

MAX_FRAMES: Final = 512
"""MAX_USER of bpf/walk.h."""
EXACT: Final = 1 << 63
"""Of an address: it was interrupted; the others are return addresses."""
_WORD: Final = (1 << 64) - 1
_RULES: Final = (1 << rows_of.PC_SHIFT) - 1
"""What a row says, without where: all code has some hundreds of these."""

_rules_of = lru_cache(1 << 12)(rows_of.rules_of)


class Code(NamedTuple):
    """What is known of the code at an address. table: of its mapping, in part: PENDING, ANONYMOUS or any other number;
    row: the one that holds for it (symbolize.unwind_layout), 0 where there is none."""

    table: int
    row: int


class Walked(NamedTuple):
    """A user stack. addresses: leaf first, or OBJECT and another word in place of one; flags: Flag and Stop."""

    addresses: tuple[int, ...]
    flags: int


class _Frame(NamedTuple):
    """Registers of a frame. bp: None while it is unknown. exact: pc is no return address. stands: for the callee, in
    place of its address; 0 for nothing."""

    pc: int
    sp: int
    bp: int | None = None
    exact: bool = False
    flags: int = 0
    stands: int = 0


class _EndError(Exception):
    """The walk is over. flags: why. stands: for its last frame, in place of its address; 0 for nothing."""

    def __init__(self, flags: int, stands: int = 0) -> None:
        super().__init__(flags)
        self.flags = flags
        self.stands = stands


def walk(
    code: Callable[[int], Code | None], word: Callable[[int], int | None], pc: int, sp: int, bp: int | None = None
) -> Walked:
    """The stack of a thread of which these registers are known. Without rbp, a frame that is found by it alone ends the
    walk, unless a callee has saved it.

    code: of an address; None where nothing is mapped. word: 8 bytes of the thread's memory; None where they cannot be
    read.
    """
    addresses: list[int] = []
    flags = 0
    read = _reading(word)
    frame = _Frame(pc, sp, bp, exact=True)
    try:
        while True:
            if not frame.pc:
                raise _EndError(_stop(Stop.NO_ROW) | (0 if addresses else Flag.NO_USER_STACK))
            if len(addresses) >= MAX_FRAMES:
                raise _EndError(_stop(Stop.TOO_DEEP) | Flag.TRUNCATED)
            addresses.append(frame.pc | EXACT if frame.exact else frame.pc)
            frame = _caller(frame, code, read)
            addresses[-1] = frame.stands or addresses[-1]
            flags |= frame.flags
    except _EndError as end:
        addresses[-1:] = [end.stands or address for address in addresses[-1:]]
        return Walked(tuple(addresses), flags | end.flags)


def _stop(why: Stop) -> int:
    return why << STOP_SHIFT


def _reading(word: Callable[[int], int | None]) -> Callable[[int], int]:
    def read(address: int) -> int:
        found = word(address & _WORD)
        if found is None:
            raise _EndError(_stop(Stop.FAULT))
        return found

    return read


def _caller(frame: _Frame, code: Callable[[int], Code | None], read: Callable[[int], int]) -> _Frame:
    """`step` of bpf/unwind.h. Raises _EndError."""
    # the call, not what follows it
    found = code(frame.pc if frame.exact else frame.pc - 1)
    if found is None:
        raise _EndError(_stop(Stop.NO_MAPPING))
    rules = _rules_of(found.row & _RULES)
    match rules.cfa:
        case rows_of.CFA_RSP | rows_of.CFA_RSP_WIDE:
            cfa = frame.sp + rules.cfa_offset
        case rows_of.CFA_RBP | rows_of.CFA_SWITCH:
            cfa = _known(frame.bp) + rules.cfa_offset
        case rows_of.CFA_SIGNAL:
            return _Frame(read(frame.sp + 168), read(frame.sp + 160), read(frame.sp + 120), exact=True)
        case rows_of.CFA_END:
            raise _EndError(Flag.WHOLE)
        case rows_of.CFA_PLT:
            cfa = frame.sp + (16 if frame.pc & 15 >= rules.cfa_offset & _WORD else 8)
        case rows_of.CFA_DEREF_RBP:
            cfa = read(_known(frame.bp) + rules.cfa_offset)
        case rows_of.CFA_DEREF_RSP:
            cfa = read(frame.sp + rules.cfa_offset) + 8
        case rows_of.CFA_FROZEN:
            raise _EndError(_stop(Stop.FROZEN))
        case rows_of.CFA_INTERPRETED:
            return _interpreted(_known(frame.bp), frame.sp, read)
        case _:
            return _guessed(frame, found.table, read)
    cfa &= _WORD
    pc = read(cfa - 8)
    bp = _saved(frame.bp, cfa, rules, read)
    if cfa <= frame.sp and rules.cfa != rows_of.CFA_SWITCH:
        raise _EndError(_stop(Stop.STUCK))
    return _Frame(pc, cfa, bp)


def _interpreted(bp: int, sp: int, read: Callable[[int], int]) -> _Frame:
    """The caller of a frame of HotSpot's interpreter."""
    stands, caller = read(bp - 24) & OBJECT - 1 | OBJECT, read(bp - 8)
    if caller <= sp:
        raise _EndError(_stop(Stop.STUCK), stands)
    return _Frame(read(bp + 8), caller, read(bp), stands=stands)


def _known(bp: int | None) -> int:
    if bp is None:
        raise _EndError(_stop(Stop.NO_ROW))
    return bp


def _saved(bp: int | None, cfa: int, rules: rows_of.Rules, read: Callable[[int], int]) -> int | None:
    """The caller's rbp."""
    match rules.rbp:
        case rows_of.RBP_SAVED:
            return read(cfa + rules.rbp_offset)
        case rows_of.RBP_SAVED_RBP:
            return None if bp is None else read(bp + rules.rbp_offset)
        case rows_of.RBP_UNDEFINED:
            return None
    return bp


def _guessed(frame: _Frame, table: int, read: Callable[[int], int]) -> _Frame:
    """No row covers the code: take it for a function that keeps its frame pointer, where that is known."""
    if table == PENDING:
        raise _EndError(_stop(Stop.NO_TABLES))
    bp = _known(frame.bp)
    if not bp and table != ANONYMOUS:
        raise _EndError(Flag.WHOLE | Flag.GUESSED)
    lost = _EndError(_stop(Stop.NO_ROW) | Flag.GUESSED)
    if bp < frame.sp or bp & 7:
        raise lost
    try:
        return _Frame(read(bp + 8), bp + 16, read(bp), flags=Flag.GUESSED)
    except _EndError:
        raise lost from None
