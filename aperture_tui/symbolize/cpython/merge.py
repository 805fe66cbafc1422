"""Frames of CPython put in the place of the interpreter loop's native frames. Pure: arrays in, arrays out.

Each call of `_PyEval_EvalFrameDefault` runs one segment of the thread's Python frames: the frame that it was called
for and, from 3.11 on, those of Python functions called from there without a C call between (inlined calls), generators
resumed by `for` or `await` from 3.12 on included. A segment's outermost frame is its entry frame: the first frame
itself up to 3.11, and from 3.12 on a shim that stands behind it. Up to 3.10 every frame is a segment.

So native loops and segments pair off from the root. Where they differ in number:

- One loop more, and it is the innermost native frame: it has just been entered and has not linked its frame yet, or is
  about to return. It has no segment.
- More loops than that: the outer ones belong to another chain of frames that the thread is not in now (greenlets,
  sub-interpreters). The pairs count from the leaf.
- More segments: a loop was not recognised, most likely the innermost, in a part of its code that has another name.

A native stack that was cut pairs off from the leaf. Where it ends, the segments that are left go on: what is missing
between them are native frames alone.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_EVAL: Final = re.compile(r"(?:_PyEval_EvalFrameDefault|_TAIL_CALL_\w+?)(?:[./][A-Za-z0-9_]+)*")


class Merged(NamedTuple):
    """One stack.

    frames: (k,) uint32 ids, root first. unplaced: known Python frames of a whole stack that found no loop to stand for
    and are missing.
    loops: native frames of the interpreter loop that stayed, because nothing or not all is known of their segment.
    """

    frames: NDArray[np.uint32]
    unplaced: int
    loops: int


class _Segment(NamedTuple):
    """frames: ids of the known ones, outermost first. whole: none of them is unknown."""

    frames: list[int]
    whole: bool


def is_eval_name(name: str) -> bool:
    """Whether a function of this name is the interpreter loop, or a part of it that a compiler split off.

    3.14 built with tail calls has one function an instruction (`_TAIL_CALL_*`), called by `_PyEval_EvalFrameDefault`.
    """
    return _EVAL.fullmatch(name) is not None


def merge(
    native: NDArray[np.uint32],
    is_eval: NDArray[np.bool_],
    python: NDArray[np.uint32],
    known: NDArray[np.bool_],
    entry: NDArray[np.bool_],
    *,
    shim: bool,
    whole: bool,
    ended: bool = True,
) -> Merged:
    """Put the Python frames of a stack in the place of its native frames of the interpreter loop.

    native: (n,) ids of the user frames, root first. is_eval: (n,), which of them are the interpreter loop.
    python: (m,) ids of the Python frames, leaf first; 0 for one that is not to be shown (`HIDDEN`). known: (m,), False
    where `Interpreter.frames` had None. entry: (m,), which are entry frames. shim: whether entry frames are marks and
    no frames (`Interpreter.shim`). whole: the native stack reaches its root. ended: the chain of Python frames was
    followed to its end, and not cut at a limit.

    A loop whose segment is unknown, in part or in whole, stays visible, before what is known of it.
    """
    segments = _segments(python, known, entry, shim)
    loops = _loops(is_eval, len(segments))
    first = _first_paired(segments, loops, len(native), from_root=whole and ended)
    out: list[int] = []
    stayed = done = 0
    ids = native.tolist()
    # row by row from the root: the segment of loop i, counted from the leaf, is segments[i + first]
    for row, (start, end) in enumerate(loops):
        at = len(loops) - 1 - row + first
        out += ids[done:start]
        segment = segments[at] if 0 <= at < len(segments) else None
        if segment is None or not segment.whole or not segment.frames:
            out += ids[start:end]
            stayed += end - start
        if segment is not None:
            out += segment.frames
        done = end
    out += ids[done:]
    inner, outer = segments[: max(first, 0)], segments[max(first + len(loops), 0) :]
    if not whole:
        out = [frame for segment in reversed(outer) for frame in segment.frames] + out
        outer = []
    unplaced = sum(len(segment.frames) for segment in inner + outer)
    return Merged(np.array(out, np.uint32), unplaced, stayed)


def _segments(
    python: NDArray[np.uint32], known: NDArray[np.bool_], entry: NDArray[np.bool_], shim: bool
) -> list[_Segment]:
    """The segments, innermost first. What follows the last entry frame is one as well: the chain was cut there."""
    out: list[_Segment] = []
    frames: list[int] = []
    whole, is_open = True, False
    for frame, good, last in zip(python.tolist(), known.tolist(), entry.tolist(), strict=True):
        is_open = not last
        if not (last and shim):
            whole &= good
            if good and frame:
                frames.append(frame)
        if last:
            out.append(_Segment(frames[::-1], whole))
            frames, whole = [], True
    if is_open:
        out.append(_Segment(frames[::-1], whole))
    return out


def _loops(is_eval: NDArray[np.bool_], segments: int) -> list[tuple[int, int]]:
    """Ranges of native frames that are one loop each, root first.

    Adjacent frames are one loop (a `_TAIL_CALL_*` called by `_PyEval_EvalFrameDefault`) unless there is a segment for
    each: otherwise there is a C function between two loops.
    """
    rows = np.flatnonzero(is_eval).tolist()
    loops = [(row, row + 1) for row in rows]
    if len(loops) <= segments:
        return loops
    joined: list[tuple[int, int]] = []
    for start, end in loops:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _first_paired(segments: list[_Segment], loops: list[tuple[int, int]], depth: int, *, from_root: bool) -> int:
    """Which segment the innermost loop has; -1 if it has none and the one before it has the first."""
    if not from_root:
        return 0
    more = len(segments) - len(loops)
    if more >= 0:
        return more
    innermost = bool(loops) and loops[-1][1] == depth
    return -1 if more == -1 and innermost else 0
