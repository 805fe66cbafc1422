"""Unwind rows of HotSpot's code cache: x86-64 code that its compilers and assemblers have made.

What each kind of code keeps its caller by is from OpenJDK, src/hotspot/cpu/x86 (frame_x86.hpp, macroAssembler_x86.cpp,
x86_64.ad, c1_MacroAssembler_x86.cpp). Compiled code has a frame of fixed size, whose uppermost words are the return
address and the caller's rbp; where it is set up and taken down is read off the instructions, which are always the same:

    push rbp; sub rsp, N          (N: the frame less these two words; some have `mov rbp, rsp` between)
    sub rsp, N + 8; mov [rsp + N], rbp
    add rsp, N; pop rbp; ...; ret
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.hotspot.blobs import BlobKind, Blobs
from aperture_tui.symbolize.unwind_layout import (
    CFA_FROZEN,
    CFA_INTERPRETED,
    CFA_NONE,
    CFA_OFFSET_SHIFT,
    CFA_RBP,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_RULE_SHIFT,
    CFA_UNKNOWN,
    PC_SHIFT,
    RBP_RULE_SHIFT,
    RBP_SAVED,
)

_SAVED: Final = RBP_SAVED << RBP_RULE_SHIFT | (-2 & 0xFF)
"""The caller's rbp is below the return address."""
_BARE: Final = 8 << CFA_OFFSET_SHIFT | CFA_RSP << CFA_RULE_SHIFT
_PUSHED: Final = 16 << CFA_OFFSET_SHIFT | CFA_RSP << CFA_RULE_SHIFT | _SAVED
_BY_RBP: Final = 16 << CFA_OFFSET_SHIFT | CFA_RBP << CFA_RULE_SHIFT | _SAVED
_INTERPRETED: Final = CFA_INTERPRETED << CFA_RULE_SHIFT
_FROZEN: Final = CFA_FROZEN << CFA_RULE_SHIFT
_UNKNOWN: Final = CFA_UNKNOWN << CFA_RULE_SHIFT
_NARROW_BYTES: Final = 1 << 15
_PC: Final = np.uint64(PC_SHIFT)
_PIECE: Final = 4 << 20
"""Bytes of code that are looked at together, about."""
_MAX_BYTES: Final = 4 << 20
"""Of one method; what is behind them has no epilogues."""
MAX_CODE: Final = 1 << 29
"""Bytes of code of a process that are looked at together; a code cache has 240 MB unless it is told otherwise."""
MAX_FOUND: Final = 1 << 21
"""Rows of prologues and epilogues of a process, which are eight a method. What is behind them has none, so that a
process that is made up takes no more than its part."""
_TO_RET: Final = 32
"""From an epilogue's pop to its ret there is a poll at most, or vzeroupper."""
_APART: Final = bytes(_TO_RET + 8)
"""Between the code of two methods, which nothing that is looked for reaches across."""
_PUSH, _POP, _RET = 0x55, 0x5D, 0xC3  # of rbp


Read = Callable[[Sequence[int], Sequence[int]], list[bytes | None]]
"""Pieces of the process by addresses and sizes, each whole or None: `ProcessMemory.read_many`."""


class Frames(enum.IntEnum):
    """How code keeps its caller."""

    UNKNOWN = 0
    COMPILED = 1
    """A frame of fixed size, behind a prologue."""
    STUB = 2
    """A frame of fixed size."""
    BARE = 3
    """None: the return address is where rsp points."""
    BY_RBP = 4
    INTERPRETED = 5
    FROZEN = 6
    """It is returned to by what has its callers in the heap."""


_FRAMELESS: Final = {
    Frames.BARE: _BARE,
    Frames.BY_RBP: _BY_RBP,
    Frames.INTERPRETED: _INTERPRETED,
    Frames.FROZEN: _FROZEN,
}


@dataclass(frozen=True, slots=True)
class CodeFrames:
    """Code in order, (n,) each; no two overlap. start, end: uint64 addresses. how: of Frames. size: int64 bytes of a
    frame with the return address. stands: uint64, from where on a compiled frame is set up.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    how: NDArray[np.uint8]
    size: NDArray[np.int64]
    stands: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.start)

    def within(self, ranges: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Which of them have a byte in one of these ranges: (n,)."""
        inside = np.zeros(len(self), bool)
        for start, end in ranges:
            first = int(np.searchsorted(self.end, np.uint64(start), "right"))
            inside[first : int(np.searchsorted(self.start, np.uint64(end), "left"))] = True
        return inside

    def of(self, which: NDArray[np.bool_]) -> CodeFrames:
        """Some of them."""
        columns = (self.start, self.end, self.how, self.size, self.stands)
        return CodeFrames(*(column[which] for column in columns))  # type: ignore[arg-type]


_HOW: Final = {
    BlobKind.COMPILED: Frames.COMPILED,
    BlobKind.NATIVE: Frames.COMPILED,
    BlobKind.INTERPRETER: Frames.INTERPRETED,
    BlobKind.ADAPTER: Frames.BARE,
    BlobKind.VTABLE: Frames.BARE,
    BlobKind.STUB: Frames.STUB,
    BlobKind.ROUTINES: Frames.BY_RBP,
    BlobKind.CONTINUATIONS: Frames.FROZEN,
}


def code_frames(blobs: Blobs) -> CodeFrames:
    """How each blob keeps its caller."""
    how = np.array([_HOW.get(kind, Frames.UNKNOWN) for kind in BlobKind], np.uint8)[blobs.kind]
    stands = blobs.start + np.maximum(blobs.frame_complete, 0).astype(np.uint64)
    return CodeFrames(blobs.start, blobs.end, how, blobs.frame_size.astype(np.int64), np.minimum(stands, blobs.end))


def rows_of(code: CodeFrames, base: int, read: Read) -> NDArray[np.uint64]:
    """The rows of code, in order of pc: (m,) uint64, with pc less the base. A frame that cannot be read is taken to
    stand where it is said to.
    """
    size, how, start = code.size, code.how, code.start
    compiled, stub = how == Frames.COMPILED, how == Frames.STUB
    whole = _framed(size)
    first = np.zeros(len(code), np.uint64)
    for kind, word in _FRAMELESS.items():
        first[how == kind] = word
    first[stub] = whole[stub]
    first[compiled] = _BARE
    pcs, rules = [start, code.stands[compiled]], [first, whole[compiled]]
    left = MAX_FOUND
    for address, rule in _found(code, read):
        left -= len(address)
        if left < 0:
            break
        pcs.append(address)
        rules.append(rule)
    pc, words = np.concatenate(pcs), np.concatenate(rules)
    order = np.argsort(pc, kind="stable")
    pc, words = pc[order], words[order]
    last = np.append(pc[1:] != pc[:-1], np.ones(min(1, len(pc)), bool))
    rows: NDArray[np.uint64] = (pc[last] - np.uint64(base)) << _PC | words[last]
    return rows


def with_gaps(rows: NDArray[np.uint64], code: CodeFrames, base: int, low: int) -> NDArray[np.uint64]:
    """All rows of a cache that begins at `low`, in order: with one for each stretch without code, which says that what
    may be there by now is not known.
    """
    ends = np.concatenate((np.array([low], np.uint64), code.end))
    begins = np.append(code.start, np.uint64((1 << 64) - 1))
    free = ends[ends < begins] - np.uint64(base) << _PC | np.uint64(_UNKNOWN)
    both = np.concatenate((rows, free))
    return both[np.argsort(both >> _PC, kind="stable")]


def kept(rows: NDArray[np.uint64], base: int, ranges: Sequence[tuple[int, int]]) -> NDArray[np.uint64]:
    """The rows outside of these ranges."""
    keep = np.ones(len(rows), bool)
    pc = (rows >> _PC) + np.uint64(base)
    for start, end in ranges:
        keep[int(np.searchsorted(pc, np.uint64(start), "left")) : int(np.searchsorted(pc, np.uint64(end), "left"))] = 0
    return rows[keep]


def _framed(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The rule of a frame of so many bytes; NONE where that is no size of a frame."""
    fits = (size >= 16) & (size < 8 * _NARROW_BYTES) & (size % 8 == 0)
    narrow = size < _NARROW_BYTES
    stored = np.where(narrow, size, size // 8).astype(np.uint64) & np.uint64(0xFFFF)
    cfa = np.where(narrow, CFA_RSP, CFA_RSP_WIDE).astype(np.uint64) << np.uint64(CFA_RULE_SHIFT)
    rule = stored << np.uint64(CFA_OFFSET_SHIFT) | cfa | np.uint64(_SAVED)
    return np.where(fits, rule, np.uint64(CFA_NONE))


def _found(code: CodeFrames, read: Read) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Prologues and epilogues: addresses, and the rules that hold from there on."""
    compiled = np.flatnonzero(code.how == Frames.COMPILED)
    sizes = np.minimum(code.end[compiled] - code.start[compiled], np.uint64(_MAX_BYTES)).astype(np.int64)
    so_far = np.cumsum(sizes)
    compiled, sizes = compiled[so_far <= MAX_CODE], sizes[so_far <= MAX_CODE]
    piece = np.cumsum(sizes) // _PIECE
    for some in np.split(np.arange(len(compiled)), np.flatnonzero(np.diff(piece)) + 1):
        parts = read(code.start[compiled[some]].tolist(), sizes[some].tolist())
        there = np.array([part is not None for part in parts], bool)
        if there.any():
            data = b"".join(part + _APART for part in parts if part is not None)
            owner = compiled[some[there]]
            begins = np.cumsum(np.append(0, sizes[some[there]] + len(_APART)))[:-1]
            yield from _in_piece(np.frombuffer(_APART + data, np.uint8), begins + len(_APART), owner, code)


def _in_piece(
    data: NDArray[np.uint8], begins: NDArray[np.int64], which: NDArray[np.intp], code: CodeFrames
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """begins: where the bytes of each of these blobs begin, with _APART between them."""
    hits = np.flatnonzero(data[: -len(_APART)] == 0x48)
    wide = data[hits + 1] == 0x81
    is_sub = data[hits + 2] == 0xEC
    alike = (wide | (data[hits + 1] == 0x83)) & (is_sub | (data[hits + 2] == 0xC4))
    hits, wide, is_sub = hits[alike], wide[alike], is_sub[alike]
    at = np.searchsorted(begins, hits, "right") - 1
    owner = which[at]
    shift = code.start[owner] - begins[at].astype(np.uint64)
    """What makes a place in the data an address."""
    after = hits + np.where(wide, 7, 4)
    left = code.size[owner] - _immediate(data, hits, wide)  # of the frame, besides what is taken off here
    setting_up = is_sub & (hits.astype(np.uint64) + shift < code.stands[owner])
    pushing, bare = setting_up & (left == 16), setting_up & (left == 8)
    yield _prologues(data, shift[pushing], hits[pushing])
    yield after[bare].astype(np.uint64) + shift[bare], _by_rsp(code.size[owner][bare])
    popped = ~is_sub & (left == 16) & (data[after] == _POP)
    yield from _epilogues(data, shift[popped], after[popped], _framed(code.size[owner][popped]))


def _immediate(data: NDArray[np.uint8], hits: NDArray[np.intp], wide: NDArray[np.bool_]) -> NDArray[np.int64]:
    value = data[hits + 3].astype(np.int64)
    for i in range(1, 4):
        value |= np.where(wide, data[hits + 3 + i].astype(np.int64) << 8 * i, 0)
    return value


def _by_rsp(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The frame is there, but rbp is the caller's yet."""
    return np.where(size < _NARROW_BYTES, _framed(size) & ~np.uint64(0xF0FF), np.uint64(CFA_NONE))


def _prologues(
    data: NDArray[np.uint8], shift: NDArray[np.uint64], hits: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Behind `push rbp`, which is right in front of the sub, or of a `mov rbp, rsp` in front of that."""
    back = np.where(data[hits - 1] == _PUSH, 0, np.where(data[hits - 4] == _PUSH, 3, -1))
    known = back >= 0
    return (hits - back)[known].astype(np.uint64) + shift[known], np.full(known.sum(), _PUSHED, np.uint64)


def _epilogues(
    data: NDArray[np.uint8], shift: NDArray[np.uint64], pops: NDArray[np.intp], whole: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """From the pop of rbp to behind the next ret."""
    following = data[pops[:, None] + np.arange(1, _TO_RET)[None, :]] == _RET
    has, ret = following.any(axis=1), following.argmax(axis=1)
    pops, ret, whole, shift = pops[has], ret[has], whole[has], shift[has]
    yield pops.astype(np.uint64) + shift, np.full(len(pops), _PUSHED, np.uint64)
    yield (pops + 1).astype(np.uint64) + shift, np.full(len(pops), _BARE, np.uint64)
    yield (pops + 2 + ret).astype(np.uint64) + shift, whole
