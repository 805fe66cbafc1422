"""Go's tables of what holds from which instruction of a function on: how deep the stack is, what is inlined there.

Format: runtime/symtab.go of Go, `step`: pairs of numbers, each in groups of seven bits. The first of a pair changes the
value, which begins at -1, and has its sign in the lowest bit; the second says for how many bytes of code that holds. A
change of zero, but for the first, ends the table.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.unwind_columns import numbers

_MOST_STEPS: Final = 4096
"""Of one function: one of the 20,000 of Go's own compiler has more depths, the next 2,700."""
_LONGEST: Final = 5  # bytes of a number
_MASK_32: Final = 0xFFFFFFFF


def stepped(
    tables: bytes, at: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(n,) function, pc, value of each row, those of a function together; and where each function's table ends.

    All functions are stepped together, one pair at a time: there are many, and the tables are short. From where a
    table is damaged the value is -1, which is not known, and so is its end.
    """
    data = np.zeros(len(tables) + 2 * _LONGEST, np.uint8)
    data[: len(tables)] = np.frombuffer(tables, np.uint8)
    which, pc, value = np.arange(len(at)), starts, np.full(len(at), -1)
    reached = np.full(len(at), -1)
    parts = []
    for step in range(_MOST_STEPS):
        change, at = _numbers(data, at)
        length, behind = _numbers(data, at)
        ended = (change == 0) & (step > 0) & (at <= len(tables))
        damaged = ~ended & ((behind > len(tables)) | (length == 0))
        parts.append((which[damaged], pc[damaged], np.full(np.count_nonzero(damaged), -1)))
        going = ~ended & ~damaged
        value = value + np.where(change & 1, ~(change >> 1), change >> 1)
        parts.append((which[going], pc[going], value[going]))
        reached[which[ended]] = pc[ended]
        pc = pc + length
        over = going & (pc >= ends[which])
        reached[which[over]] = ends[which[over]]
        going &= ~over
        which, pc, value, at = (part[going] for part in (which, pc, value, behind))
        if not len(which):
            break
    parts.append((which, pc, np.full(len(which), -1)))
    which, pc, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(which, kind="stable")
    return which[order], pc[order], value[order], reached


def _numbers(data: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number at each place, of 32 bits, and what is behind it. data: with room behind what may be read."""
    value, behind = numbers(data, np.minimum(at, len(data) - 2 * _LONGEST), _LONGEST)
    return value & _MASK_32, behind
