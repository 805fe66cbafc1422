"""The outermost fields of a protobuf message, one by one, so that a stranger's is never unpacked as a whole.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_FIXED32: Final = 5
_MASK: Final = (1 << 64) - 1


class Field(NamedTuple):
    """One field. value: of a number; else start and end are where its bytes lie, and value is -1."""

    number: int
    value: int
    start: int
    end: int


class DamagedError(Exception):
    """What is no protobuf, or is cut off. at: the byte where the last sound field ends."""

    def __init__(self, at: int) -> None:
        super().__init__(f"damaged from byte {at:,} on")
        self.at = at


def fields(data: bytes) -> Iterator[Field]:
    """The fields in their order. Numbers of fixed size are passed over. Raises DamagedError."""
    at, n = 0, len(data)
    while at < n:
        begin = at
        try:
            tag, at = _varint(data, at)
            number, form = tag >> 3, tag & 7
            if form == _VARINT:
                value, at = _varint(data, at)
                yield Field(number, value, at, at)
                continue
            if form == _LENGTH:
                length, at = _varint(data, at)
            elif form in (_FIXED64, _FIXED32):
                length = 8 if form == _FIXED64 else 4
            else:
                raise DamagedError(begin)
        except IndexError:
            raise DamagedError(begin) from None
        if not number or at + length > n:
            raise DamagedError(begin)
        if form == _LENGTH:
            yield Field(number, -1, at, at + length)
        at += length


def signed(value: int) -> int:
    """A number of 64 bits as an int64."""
    return value - (1 << 64) if value >> 63 else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises IndexError at the end of the data, DamagedError for more than ten bytes."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift, begin = byte & 0x7F, 7, at
    while byte >= 0x80:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise DamagedError(begin)
    return value & _MASK, at + 1
