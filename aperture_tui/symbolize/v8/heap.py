"""Objects on the heap of a V8 in another process: their types, and strings of every kind.

Layouts: src/objects/string.tq and instance-type.h. A word with bit 0 clear is a small integer in its upper half; one
that ends in 01 points one byte behind the start of an object, which begins with its Map.
"""

from __future__ import annotations

import struct
from typing import Final

from aperture_tui.symbolize.process_memory import Memory, read
from aperture_tui.symbolize.v8.layout import V8Error

MAX_TEXT: Final = 4096
"""Characters of a name or path that are read; the rest is cut off."""
_MAX_PIECES: Final = 64
"""Strings that one string is put together of."""
_MAX_MAPS: Final = 4096
_SEQUENTIAL, _CONS, _EXTERNAL, _SLICED, _THIN = 0, 1, 2, 3, 5
_REPRESENTATION, _ONE_BYTE, _UNCACHED = 7, 8, 16
_HEAD: Final = struct.Struct("<QIi")
"""Of a string: its Map, its hash, and its length in characters."""
_TOP: Final = 1 << 56


def is_object(word: int) -> bool:
    """Whether a word points at an object."""
    return word & 3 == 1 and word < _TOP


def small_integer(word: int) -> int | None:
    """The integer that a word is, if it is one."""
    return None if word & 0xFFFF_FFFF else (word >> 32 ^ 1 << 31) - (1 << 31)


class Heap:
    """The heap of one process. Owned by one thread. What cannot be read, or is another thing, is None."""

    def __init__(self, memory: Memory, instance_type: int, nonstring: int) -> None:
        self.memory = memory
        self._instance_type = instance_type
        self._nonstring = nonstring
        self._types: dict[int, int] = {}  # of Maps: those of interest are never moved nor changed

    def words(self, word: int, first: int, n: int) -> tuple[int, ...] | None:
        """Words of an object, from the one at this offset in bytes on."""
        data = self._read(word - 1 + first, 8 * n) if is_object(word) else None
        return None if data is None else struct.unpack(f"<{n}Q", data)

    def type_of(self, word: int) -> int | None:
        """The instance type of an object."""
        found = self.words(word, 0, 1)
        return None if found is None else self.type_by_map(found[0])

    def type_by_map(self, word: int) -> int | None:
        """The instance type of objects with this Map."""
        known = self._types.get(word)
        if known is None and is_object(word):
            data = self._read(word - 1 + self._instance_type, 2)
            if data is not None:
                if len(self._types) >= _MAX_MAPS:
                    self._types.clear()
                known = self._types[word] = int.from_bytes(data, "little")
        return known

    def text(self, word: int) -> str | None:
        """A string, its first MAX_TEXT characters."""
        parts: list[str] = []
        left, waiting = MAX_TEXT, [(word, 0, MAX_TEXT)]
        for _ in range(_MAX_PIECES):
            if not waiting or not left:
                break
            at, skip, most = waiting.pop()
            string = self._string(at)
            if string is None:
                return None
            kind, length = string
            most = min(most, left, max(0, length - skip))
            if kind & _REPRESENTATION in (_CONS, _SLICED, _THIN):
                inside = self._parts(at, kind, skip, most)
                if inside is None:
                    return None
                waiting += inside
                continue
            data = self._flat(at, kind, skip, most)
            if data is None:
                return None
            parts.append(data.decode("latin-1" if kind & _ONE_BYTE else "utf-16-le", "replace"))
            left -= most
        return "".join(parts)

    def _parts(self, word: int, kind: int, skip: int, most: int) -> list[tuple[int, int, int]] | None:
        """What a string is put together of, the last part first: words, characters to skip, and to take."""
        pointers = self.words(word, 16, 1 if kind & _REPRESENTATION == _THIN else 2)
        if pointers is None:
            return None
        if kind & _REPRESENTATION == _THIN:
            return [(pointers[0], skip, most)]
        if kind & _REPRESENTATION == _SLICED:
            offset = small_integer(pointers[1])
            return None if offset is None or offset < 0 else [(pointers[0], skip + offset, most)]
        first = self._string(pointers[0])
        if first is None:
            return None
        here = min(most, max(0, first[1] - skip))
        parts = [(pointers[1], max(0, skip - first[1]), most - here)]
        return [*parts, (pointers[0], skip, here)] if here else parts

    def flat(self, word: int, most: int) -> tuple[bytes, int] | None:
        """The characters of a string that lies in one piece, and how many bytes each has; None if it has over `most`
        bytes."""
        string = self._string(word)
        if string is not None and string[0] & _REPRESENTATION == _THIN:
            actual = self.words(word, 16, 1)
            word = actual[0] if actual is not None else 0
            string = self._string(word)
        if string is None:
            return None
        kind, length = string
        width = 1 if kind & _ONE_BYTE else 2
        data = self._flat(word, kind, 0, length) if length * width <= most else None
        return None if data is None else (data, width)

    def _flat(self, word: int, kind: int, skip: int, n: int) -> bytes | None:
        """n characters of a string that lies in one piece."""
        if not n:
            return b""
        start = word - 1 + 16
        if kind & _REPRESENTATION == _EXTERNAL and not kind & _UNCACHED:
            data = self.words(word, 24, 1)  # resource_data, behind the resource
            start = 0 if data is None else data[0]
        elif kind & _REPRESENTATION != _SEQUENTIAL:
            return None
        width = 1 if kind & _ONE_BYTE else 2
        return self._read(start + skip * width, n * width)

    def _string(self, word: int) -> tuple[int, int] | None:
        """The instance type of a string, and its length in characters."""
        data = self._read(word - 1, _HEAD.size) if is_object(word) else None
        if data is None:
            return None
        described, _, length = _HEAD.unpack(data)
        kind = self.type_by_map(described)
        return (kind, length) if kind is not None and kind < self._nonstring and length >= 0 else None

    def _read(self, address: int, size: int) -> bytes | None:
        try:
            return read(self.memory, address, size)
        except V8Error:  # the process is gone
            return None
