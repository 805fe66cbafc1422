"""Numbers as HotSpot compresses them: UNSIGNED5 (src/hotspot/share/{code/compressedStream,utilities/unsigned5}.hpp).

Up to five bytes of six bits more each; those below 192 end a number. Since JDK 20 each byte is one more than its value,
so that there is no byte 0.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_LAST: Final = 192
_MAX_BYTES: Final = 5
_NO_BCI: Final = -1  # InvocationEntryBci, from which bytecode indices are counted


class Scope(NamedTuple):
    """A method at an address of compiled code.

    sender: where the scope is into which it is inlined, 0 for none. method: its place in the metadata, from 1 on; 0 for
    none. bci: index of the bytecode, -1 for the entry.
    """

    sender: int
    method: int
    bci: int


def read_number(data: bytes, at: int, biased: bool) -> tuple[int, int] | None:
    """A number and what comes after it; None where the data ends before it does, or has a byte that cannot be."""
    value = 0
    for i in range(_MAX_BYTES):
        if at + i >= len(data):
            return None
        byte = data[at + i]
        if byte < biased:
            return None
        value += byte - biased << 6 * i
        if byte < _LAST or i == _MAX_BYTES - 1:
            return value & 0xFFFF_FFFF, at + i + 1
    return None


def read_scope(data: bytes, at: int, biased: bool) -> Scope | None:
    """A scope (DebugInfoReadStream, ScopeDesc::decode_body of src/hotspot/share/code)."""
    numbers: list[int] = []
    for _ in range(3):
        found = read_number(data, at, biased)
        if found is None:
            return None
        numbers.append(found[0])
        at = found[1]
    return Scope(numbers[0], numbers[1], numbers[2] + _NO_BCI)


def first_line(data: bytes, biased: bool) -> int:
    """The line at which a method's bytecode begins, by the beginning of its table of lines; 0 where it has none.

    A table is of pairs {bytes on, lines on}, from 0 and 0: of 5 and 3 bits in one byte, or two signed numbers behind a
    byte 0xFF (CompressedLineNumberReadStream, src/hotspot/share/oops/method.cpp).
    """
    if not data or data[0] == 0:
        return 0
    if data[0] != 0xFF:
        return data[0] & 7
    skipped = read_number(data, 1, biased)
    found = read_number(data, skipped[1], biased) if skipped is not None else None
    if found is None:
        return 0
    line = found[0] >> 1 ^ -(found[0] & 1)
    return line if 0 < line < 1 << 16 else 0
