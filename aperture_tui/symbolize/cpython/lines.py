"""Line tables of code objects: from an offset into the bytecode to a line.

Formats: co_lnotab in Objects/lnotab_notes.txt of 3.9; co_linetable of 3.10 in PEP 626 and the same file of 3.10;
the location table of 3.11 and later in PEP 657 and InternalDocs/code_objects.md ("Source code locations").
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_UNIT: Final = 2  # bytes of a code unit
_NO_LINE: Final = -128
_SHORT_LINES: Final = 10  # codes 10 to 12: the line is 0 to 2 further
_LONG, _NO_COLUMNS, _NOWHERE = 14, 13, 15
_MAX_LINE: Final = (1 << 31) - 1
_ENDLESS: Final = (1 << 31) - 1  # no bytecode is as long


class LineTable(NamedTuple):
    """Ranges of bytecode, ascending, each with its line: (n,) each.

    ends: where each range ends, in bytes. lines: 0 where the code belongs to no line.
    """

    first_line: int
    ends: NDArray[np.int32]
    lines: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Memory held, but for a constant."""
        return self.ends.nbytes + self.lines.nbytes

    def line_at(self, offset: int) -> int:
        """The line of the instruction at an offset in bytes; 0 if it has none.

        Before the first instruction it is the function's own line, as in CPython's PyCode_Addr2Line.
        """
        if offset < 0:
            return self.first_line
        row = int(self.ends.searchsorted(np.int32(min(offset, _ENDLESS - 1)), "right"))
        return int(self.lines[row]) if row < len(self.lines) else 0


def parse_lines(table: bytes, first_line: int, minor: int) -> LineTable:
    """The line table of a code object of CPython 3.minor. Takes any bytes; what is cut short ends the table."""
    first_line = first_line if 0 < first_line <= _MAX_LINE else 0
    data = np.frombuffer(table, np.uint8)
    if minor <= 9:
        ends, lines = _lnotab(data, first_line)
    elif minor == 10:
        ends, lines = _pairs(data, first_line)
    else:
        ends, lines = _locations(data, first_line)
    lines = np.where((lines > 0) & (lines <= _MAX_LINE), lines, 0)
    return LineTable(first_line, np.minimum(ends, _ENDLESS).astype(np.int32), lines.astype(np.int32))


def _lnotab(data: NDArray[np.uint8], first_line: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of (bytes further, lines further): the line holds from there on."""
    data = data[: len(data) // 2 * 2]
    starts = np.concatenate([[0], np.cumsum(data[::2], dtype=np.int64)])
    lines = first_line + np.concatenate([[0], np.cumsum(data[1::2].view(np.int8), dtype=np.int64)])
    return np.append(starts[1:], _ENDLESS), lines


def _pairs(data: NDArray[np.uint8], first_line: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of (bytes of the range, lines further), where -128 means that the range has no line."""
    data = data[: len(data) // 2 * 2]
    delta = data[1::2].view(np.int8).astype(np.int64)
    nowhere = delta == _NO_LINE
    lines = first_line + np.cumsum(np.where(nowhere, 0, delta))
    return np.cumsum(data[::2], dtype=np.int64), np.where(nowhere, 0, lines)


def _locations(data: NDArray[np.uint8], first_line: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entries that begin with a byte above 127: bit 7, four bits of code, three bits of length less one."""
    starts = np.flatnonzero(data & 0x80)
    heads = data[starts].astype(np.int64)
    code = heads >> 3 & 15
    delta = np.where((code >= _SHORT_LINES) & (code < _NO_COLUMNS), code - _SHORT_LINES, 0)
    for row in np.flatnonzero((code == _LONG) | (code == _NO_COLUMNS)).tolist():
        delta[row] = _signed_varint(data, int(starts[row]) + 1)
    lines = first_line + np.cumsum(delta)
    return np.cumsum((heads & 7) + 1) * _UNIT, np.where(code == _NOWHERE, 0, lines)


def _signed_varint(data: NDArray[np.uint8], at: int) -> int:
    """Six bits a byte, the lowest first, bit 6 where another follows; the lowest bit of all is the sign."""
    value = shift = 0
    while at < len(data) and shift < 36:
        byte = int(data[at])
        value |= (byte & 0x3F) << shift
        if not byte & 0x40:
            break
        shift += 6
        at += 1
    return -(value >> 1) if value & 1 else value >> 1
