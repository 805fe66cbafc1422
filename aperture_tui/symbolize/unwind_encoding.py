"""Numbers in call frame information: LEB128 and encoded pointers.

Format: DWARF 5, section 7.6; Linux Standard Base Core 5.0, section 10.5.1 (DWARF Exception Header Encoding).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

ABSOLUTE_8: Final = 0x00  # DW_EH_PE_absptr on a 64-bit machine
PCREL_S4: Final = 0x1B  # what every current x86-64 linker writes

_MAX_SHIFT: Final = 63  # ten bytes: a longer number would be a way to keep us busy
_ULEB, _SLEB = 1, 9
_FIXED: Final = {
    0: struct.Struct("<Q"),
    2: struct.Struct("<H"),
    3: struct.Struct("<I"),
    4: struct.Struct("<Q"),
    10: struct.Struct("<h"),
    11: struct.Struct("<i"),
    12: struct.Struct("<q"),
}
_FORMAT, _UNSIGNED, _RELATIVE_TO = 0x0F, 0x07, 0xF0  # with the bit for indirect ones, which are refused
_ABSOLUTE, _PCREL, _DATAREL = 0x00, 0x10, 0x30
_ADDRESS: Final = (1 << 64) - 1


class MalformedError(ValueError):
    """An entry of the section that cannot be used: it is passed over and counted."""


DAMAGE: Final = (MalformedError, IndexError, OverflowError, struct.error)
"""What reading a damaged entry raises: its bytes end too early, or its numbers are too large for a row."""


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > _MAX_SHIFT:
            raise MalformedError("a number of more than ten bytes")


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number, and where it ends."""
    start = at
    value, at = uleb(data, at)
    return (value - (1 << 7 * (at - start)) if data[at - 1] & 0x40 else value), at


@dataclass(frozen=True, slots=True)
class Addresses:
    """How the addresses of a section are written. encoding: DW_EH_PE_ bits. section: virtual address of its first
    byte. data: what data-relative addresses count from, None if unknown. base: what ours count from.
    """

    encoding: int
    section: int
    data: int | None = None
    base: int = 0

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        """The address at data[at], less the base, and where it ends.

        Raises MalformedError for an encoding that does not occur: relative to text or to the function, aligned,
        indirect, omitted.
        """
        relative_to, start = self.encoding & _RELATIVE_TO, None
        if relative_to == _ABSOLUTE:
            start = 0
        elif relative_to == _PCREL:
            start = self.section + at
        elif relative_to == _DATAREL:
            start = self.data
        if start is None:
            raise MalformedError(f"address encoding {self.encoding:#x}")
        value, at = number(data, at, self.encoding)
        return (start + value & _ADDRESS) - self.base, at


def length(data: bytes, at: int, encoding: int) -> tuple[int, int]:
    """The size of a range whose start has this address encoding, and where it ends: unsigned, relative to nothing."""
    return number(data, at, encoding & _UNSIGNED)


def number(data: bytes, at: int, encoding: int) -> tuple[int, int]:
    """What is written for a address of this encoding, and where it ends."""
    kind = encoding & _FORMAT
    if kind == _ULEB:
        return uleb(data, at)
    if kind == _SLEB:
        return sleb(data, at)
    layout = _FIXED.get(kind)
    if layout is None:
        raise MalformedError(f"address encoding {encoding:#x}")
    return layout.unpack_from(data, at)[0], at + layout.size
