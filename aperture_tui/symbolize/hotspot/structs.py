"""How HotSpot lays out its structs, as the tables say that it exports for debuggers.

VMStructs (src/hotspot/share/runtime/vmStructs.hpp, .cpp): rows of {type, field, type of the field, whether it is
static, offset, address}, and of {type, size}, each table ended by a row of zeros. Where in a row each of these is, is
written beside the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.process_memory import Memory

MAX_OFFSET: Final = 4096
"""Of a field, and the largest size of a struct (bytes): those that are read are far smaller."""
_MAX_ROWS: Final = 8192
_MAX_STRIDE: Final = 128
_ROWS_AT_ONCE: Final = 1024
_TEXT: Final = 64  # bytes of a type's or field's name; longer ones are not of interest
_SIZES: Final = {
    "bool": "u1", "u1": "u1", "jbyte": "i1", "volatile signed char": "i1", "unsigned char": "u1",
    "u2": "<u2", "uint16_t": "<u2", "unsigned short": "<u2", "int16_t": "<i2", "short": "<i2",
    "int": "<i4", "jint": "<i4", "u4": "<u4", "uint32_t": "<u4", "unsigned int": "<u4", "juint": "<u4",
    "size_t": "<u8", "address": "<u8", "uint64_t": "<u8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct: its place in it (bytes), and how numpy reads it."""

    offset: int
    kind: str

    @property
    def end(self) -> int:
        """Bytes of a struct that hold it."""
        return self.offset + np.dtype(self.kind).itemsize


@dataclass(frozen=True, slots=True)
class Structs:
    """What the tables say. Names as the tables write them.

    fields: by (type, field). statics: addresses in the process, likewise. sizes: of types, in bytes.
    """

    fields: dict[tuple[str, str], Field]
    statics: dict[tuple[str, str], int]
    sizes: dict[str, int]

    def find(self, types: str | Sequence[str], *names: str) -> Field | None:
        """The first of these fields that there is, in the first of these types that has one."""
        for kind in [types] if isinstance(types, str) else types:
            for name in names:
                found = self.fields.get((kind, name))
                if found is not None:
                    return found
        return None

    def field(self, types: str | Sequence[str], *names: str) -> Field:
        """As `find`. Raises HotSpotError if there is none."""
        found = self.find(types, *names)
        if found is None:
            where = types if isinstance(types, str) else types[0]
            raise HotSpotError(f"this HotSpot does not say where {where}::{names[0]} is")
        return found

    def size(self, kind: str) -> int:
        """Of a type, in bytes. Raises HotSpotError."""
        size = self.sizes.get(kind, 0)
        if not 0 < size <= MAX_OFFSET:
            raise HotSpotError(f"this HotSpot does not say how large {kind} is")
        return size

    def static(self, kind: str, *names: str) -> int:
        """The address of a static field. Raises HotSpotError."""
        for name in names:
            if (kind, name) in self.statics:
                return self.statics[kind, name]
        raise HotSpotError(f"this HotSpot does not say where {kind}::{names[0]} is")


def read_structs(memory: Memory, symbols: Sequence[int]) -> Structs:
    """The tables of a process. symbols: addresses of `binary.SYMBOLS`. Raises HotSpotError, HotSpotNotReady."""
    words = memory.read_many(symbols, [8] * len(symbols))
    values = [int.from_bytes(word, "little") for word in words if word is not None]
    if len(values) < len(symbols):
        raise HotSpotError("the tables of HotSpot cannot be read")
    fields, types = values[:8], values[8:]
    if not fields[0] or not types[0] or not fields[1] or not types[1]:
        raise HotSpotNotReady("HotSpot has not set up its tables yet")
    if any(not 0 <= offset <= _MAX_STRIDE - 8 for offset in (*fields[2:], *types[2:])):
        raise HotSpotError("tables of HotSpot of an unknown form")
    rows = _rows(memory, fields[0], fields[1], fields[2])
    type_at, name_at, kind_at, is_static, offset, address = (_words(rows, at) for at in fields[2:])
    sized = _rows(memory, types[0], types[1], types[2])
    sized_at, size = (_words(sized, at) for at in types[2:])
    texts = _texts(memory, np.concatenate([type_at, name_at, kind_at, sized_at]))
    out = Structs({}, {}, {})
    columns = (type_at, name_at, kind_at, is_static & np.uint64(0xFFFFFFFF), offset, address)
    for kind, name, text, static, place, where in zip(*(column.tolist() for column in columns), strict=True):
        key, form = (texts.get(kind, ""), texts.get(name, "")), texts.get(text, "")
        if static:
            out.statics[key] = where
        elif place <= MAX_OFFSET:
            out.fields[key] = Field(place, "<u8" if form.endswith("*") else _SIZES.get(form, "<i4"))
    out.sizes.update((texts.get(kind, ""), value) for kind, value in zip(sized_at.tolist(), size.tolist(), strict=True))
    return out


def _rows(memory: Memory, start: int, stride: int, key: int) -> NDArray[np.uint8]:
    """The rows of a table until the one whose word at `key` is 0: (n, stride)."""
    if not 8 <= stride <= _MAX_STRIDE:
        raise HotSpotError("tables of HotSpot of an unknown form")
    parts: list[NDArray[np.uint8]] = []
    for first in range(0, _MAX_ROWS, _ROWS_AT_ONCE):
        # row by row, since nobody says where a table ends, and behind it there may be nothing
        at = [start + stride * row for row in range(first, first + _ROWS_AT_ONCE)]
        data = b"".join(row for row in memory.read_many(at, [stride] * len(at)) if row is not None)
        part = np.frombuffer(data, np.uint8).reshape(-1, stride)
        part = np.pad(part, ((0, 0), (0, 8)))
        ends = np.flatnonzero(_words(part, key) == 0)
        parts.append(part[: ends[0]] if len(ends) else part)
        if len(ends) or len(part) < len(at):
            break
    return np.concatenate(parts)


def _words(rows: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(rows[:, at : at + 8]).view("<u8")[:, 0]


def _texts(memory: Memory, addresses: NDArray[np.uint64]) -> dict[int, str]:
    """The strings at these addresses."""
    wanted = np.unique(addresses).tolist()
    out: dict[int, str] = {}
    for address, data in zip(wanted, memory.read_many(wanted, [_TEXT] * len(wanted)), strict=True):
        if data is not None and 0 in data:
            out[address] = data[: data.index(0)].decode("ascii", "replace")
    return out
