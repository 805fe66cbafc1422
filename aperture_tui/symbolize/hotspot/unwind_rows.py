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
_UNKNOWN: Final = CFA_UNKNOWN << CFA_RULE_SHIFT
_NARROW_BYTES: Final = 1 << 15
_PC: Final = np.uint64(PC_SHIFT)
_PIECE: Final = 4 << 20
"""Bytes of code that are looked at together."""
_TO_RET: Final = 32
"""From an epilogue's pop to its ret there is a poll at most, or vzeroupper."""


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
}


def code_frames(blobs: Blobs) -> CodeFrames:
    """How each blob keeps its caller."""
    how = np.array([_HOW.get(kind, Frames.UNKNOWN) for kind in BlobKind], np.uint8)[blobs.kind]
    stands = blobs.start + np.maximum(blobs.frame_complete, 0).astype(np.uint64)
    return CodeFrames(blobs.start, blobs.end, how, blobs.frame_size.astype(np.int64), np.minimum(stands, blobs.end))


def rows_of(code: CodeFrames, base: int, read: Callable[[int, int], bytes | None]) -> NDArray[np.uint64]:
    """The rows of code, in order of pc: (m,) uint64, with pc less the base. read: bytes of the process from an address
    on, None where they cannot be read: then a frame is taken to stand where it is said to.
    """
    size, how, start = code.size, code.how, code.start
    compiled, stub = how == Frames.COMPILED, how == Frames.STUB
    whole = _framed(size)
    first = np.zeros(len(code), np.uint64)
    for kind, word in ((Frames.BARE, _BARE), (Frames.BY_RBP, _BY_RBP), (Frames.INTERPRETED, _INTERPRETED)):
        first[how == kind] = word
    first[stub] = whole[stub]
    first[compiled] = _BARE
    pcs, rules = [start, code.stands[compiled]], [first, whole[compiled]]
    for address, rule in _found(code, read):
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


def _found(
    code: CodeFrames, read: Callable[[int, int], bytes | None]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Prologues and epilogues: addresses, and the rules that hold from there on."""
    compiled = np.flatnonzero(code.how == Frames.COMPILED)
    at = 0
    while at < len(compiled):
        start = int(code.start[compiled[at]])
        end = at + 1
        while end < len(compiled) and int(code.end[compiled[end]]) - start <= _PIECE:
            end += 1
        size = min(int(code.end[compiled[end - 1]]) - start, _PIECE)
        data = read(start, size)
        if data is not None:
            which = compiled[at:end]
            bytes_ = np.frombuffer(data, np.uint8)
            yield from _in_piece(bytes_, start, code, which)
        at = end


def _in_piece(
    data: NDArray[np.uint8], start: int, code: CodeFrames, which: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    padded = np.concatenate((np.zeros(8, np.uint8), data, np.zeros(_TO_RET + 8, np.uint8)))
    data = padded[8:]
    for opcode, wide in ((0x83, False), (0x81, True)):
        for low, is_sub in ((0xEC, True), (0xC4, False)):
            hits = np.flatnonzero((data[:-8] == 0x48) & (data[1:-7] == opcode) & (data[2:-6] == low))
            value = _immediate(data, hits, wide)
            address = hits.astype(np.uint64) + np.uint64(start)
            owner = which[np.maximum(np.searchsorted(code.start[which], address, "right") - 1, 0)]
            inside = (address >= code.start[owner]) & (address < code.end[owner])
            after = hits + (7 if wide else 4)
            left = code.size[owner] - value  # of the frame, besides what is taken off here
            if is_sub:
                ours = inside & (address < code.stands[owner])
                yield from _prologues(padded, start, hits[ours & (left == 16)], after[ours & (left == 16)])
                bare = ours & (left == 8)
                yield after[bare].astype(np.uint64) + np.uint64(start), _by_rsp(code.size[owner][bare])
            else:
                popped = inside & (left == 16) & (data[np.minimum(after, len(data) - 1)] == 0x5D)
                yield from _epilogues(data, start, after[popped], _framed(code.size[owner][popped]))


def _immediate(data: NDArray[np.uint8], hits: NDArray[np.intp], wide: bool) -> NDArray[np.int64]:
    if not wide:
        return data[hits + 3].astype(np.int64)
    columns = [data[hits + 3 + i].astype(np.int64) << 8 * i for i in range(4)]
    return columns[0] | columns[1] | columns[2] | columns[3]


def _by_rsp(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The frame is there, but rbp is the caller's yet."""
    return np.where(size < _NARROW_BYTES, _framed(size) & ~np.uint64(0xF0FF), np.uint64(CFA_NONE))


def _prologues(
    padded: NDArray[np.uint8], start: int, hits: NDArray[np.intp], after: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Behind `push rbp`, which is right in front of the sub, or of a `mov rbp, rsp` in front of that."""
    at = hits + 8
    pushed = np.where(padded[at - 1] == 0x55, hits, np.where(padded[at - 4] == 0x55, hits - 3, -1))
    pushed = pushed[pushed >= 0]
    yield pushed.astype(np.uint64) + np.uint64(start), np.full(len(pushed), _PUSHED, np.uint64)


def _epilogues(
    data: NDArray[np.uint8], start: int, pops: NDArray[np.intp], whole: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """From the pop of rbp to behind the next ret."""
    following = data[pops[:, None] + np.arange(1, _TO_RET)[None, :]] == 0xC3
    has, ret = following.any(axis=1), following.argmax(axis=1)
    base = np.uint64(start)
    pops, ret, whole = pops[has], ret[has], whole[has]
    yield pops.astype(np.uint64) + base, np.full(len(pops), _PUSHED, np.uint64)
    yield (pops + 1).astype(np.uint64) + base, np.full(len(pops), _BARE, np.uint64)
    yield (pops + 2 + ret).astype(np.uint64) + base, whole
