"""str and bytes of another process, from the bytes of their objects.

Layouts: PyASCIIObject and PyCompactUnicodeObject (Include/cpython/unicodeobject.h; PEP 393), PyBytesObject
(Include/cpython/bytesobject.h).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aperture_tui.symbolize.cpython.layout import Layout
from aperture_tui.symbolize.process_memory import Memory

MAX_TEXT: Final = 4096
"""Characters of a name or path that are read; the rest is cut off."""
MAX_TABLE: Final = 1 << 20
"""Bytes of a line table; a larger one counts as unreadable."""
MAX_READ: Final = 4 << 20
"""Bytes of all objects that are read together; what comes after them counts as unreadable."""
_HEAD: Final = 40  # no object of the two types is smaller
_CODECS: Final = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
_BYTES_AT: Final = 32


class _Body(NamedTuple):
    """Where an object's content is. codec: "" for bytes."""

    address: int
    size: int
    codec: str


def read_objects(
    memory: Memory, layout: Layout, text_type: int, bytes_type: int, addresses: Sequence[int]
) -> dict[int, str | bytes]:
    """The str and bytes objects at these addresses, in two reads; what is neither of them is missing.

    text_type, bytes_type: addresses of PyUnicode_Type and PyBytes_Type. Raises CPythonError.
    """
    wanted = list(dict.fromkeys(addresses))
    heads = memory.read_many(wanted, [_HEAD] * len(wanted))
    bodies: dict[int, _Body] = {}
    left = MAX_READ
    for address, head in zip(wanted, heads, strict=True):
        if head is None:
            continue
        kind, size = struct.unpack_from("<Qq", head, 8)
        body = None
        if kind == text_type:
            body = _text(layout, address, size, struct.unpack_from("<I", head, 32)[0])
        elif kind == bytes_type and 0 <= size <= MAX_TABLE:
            body = _Body(address + _BYTES_AT, size, "")
        if body is not None and body.size <= left:
            left -= body.size
            bodies[address] = body
    contents = memory.read_many([b.address for b in bodies.values()], [b.size for b in bodies.values()])
    out: dict[int, str | bytes] = {}
    for (address, body), content in zip(bodies.items(), contents, strict=True):
        data = b"" if body.size == 0 else content
        if data is not None:
            out[address] = data.decode(body.codec, "replace") if body.codec else data
    return out


def _text(layout: Layout, address: int, length: int, state: int) -> _Body | None:
    """Where the characters of a str are; None for one that is not compact, which no name is."""
    # interned: 2 bits, kind: 3, compact: 1, ascii: 1, in every version without free threading
    width, compact, ascii_only = state >> 2 & 7, state >> 5 & 1, state >> 6 & 1
    if not compact or width not in _CODECS or length < 0 or (ascii_only and width != 1):
        return None
    start = layout.ascii_size if ascii_only else layout.compact_size
    return _Body(address + start, min(length, MAX_TEXT) * width, _CODECS[width])
