"""Where the machine code of the interpreter loop is, with the parts that a compiler has moved away from it.

GCC puts what its profile calls cold behind all functions, as `_PyEval_EvalFrameDefault.cold`. A stripped file has no
name for that part, and in some builds it is nearly the whole loop (Debian's 3.14: 1 KB stay, 84 KB are moved). But both
parts have an entry of their own in .eh_frame, and the moved one jumps back into the middle of the other, which no other
function does.

Format of jumps: Intel SDM, volume 2, "JMP" and "Jcc".
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import Elf, ElfError
from aperture_tui.symbolize.frame_header import FrameHeader, frame_header
from aperture_tui.symbolize.named_symbols import content

_MAX_PART: Final = 1 << 20  # bytes of code
_MAX_PARTS: Final = 64  # that are looked at; jumps of CPython's lead to a handful


def loop_ranges(elf: Elf, start: int) -> tuple[tuple[int, int], ...]:
    """Ranges [from, to) of virtual addresses of the function at `start`, first the one that begins there.

    Empty where the file does not have what it takes to tell. Raises ElfError for a file that is cut short.
    """
    entries = frame_header(elf)
    own = np.flatnonzero(entries.start == start)
    if not len(own):
        return ()
    hot = _range(elf, entries, int(own[0]))
    if hot is None:
        return ()
    targets = np.unique(_jumps(elf, hot))
    targets = targets[(targets < hot[0]) | (targets >= hot[1])]
    rows = np.unique(np.searchsorted(entries.start, targets, "right") - 1)
    out = [hot]
    for row in rows[rows >= 0][:_MAX_PARTS].tolist():
        part = _range(elf, entries, row)
        if part is None or not np.diff(np.searchsorted(targets, part)).any():
            continue  # what jumps there leads behind its end
        back = _jumps(elf, part)
        if ((back > hot[0]) & (back < hot[1])).any():
            out.append(part)
    return tuple(out)


def _range(elf: Elf, entries: FrameHeader, row: int) -> tuple[int, int] | None:
    """The code of an entry, None if it is of another form than usual: length, CIE, start, size, four bytes each."""
    at, start = int(entries.at[row]), int(entries.start[row])
    try:
        relative, size = struct.unpack("<iI", content(elf, at + 8, 8))
    except ElfError:
        return None
    return (start, start + size) if at + 8 + relative == start and 0 < size <= _MAX_PART else None


def _jumps(elf: Elf, part: tuple[int, int]) -> NDArray[np.int64]:
    """Where the jumps of 32 bits in a range lead. What only looks like one is among them."""
    code = np.frombuffer(content(elf, part[0], part[1] - part[0]), np.uint8)
    if len(code) < 6:
        return np.zeros(0, np.int64)
    conditional = (code[:-5] == 0x0F) & (code[1:-4] & 0xF0 == 0x80)
    after = np.concatenate([np.flatnonzero(code[:-4] == 0xE9) + 5, np.flatnonzero(conditional) + 6])
    words: NDArray[np.int32] = np.lib.stride_tricks.sliding_window_view(code, 4)[after - 4].copy().view("<i4")[:, 0]
    targets: NDArray[np.int64] = after.astype(np.int64) + words + part[0]
    return targets
