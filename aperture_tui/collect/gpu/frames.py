"""What an agent sends, taken apart: bytes of a stranger to arrays. Pure; who breaks the rules is not heard further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.profile.packed.words import parsed
from aperture_tui.profile.text import clean

LAYOUTS: Final = {frame: np.dtype(layout) for frame, layout in wire.LAYOUTS.items()}
"""Of the frames that are arrays."""
ROWS: Final = {frame: np.dtype([*layout, ("each", "<u4"), ("pauses", "?")]) for frame, layout in wire.LAYOUTS.items()}
"""The same records as they are told. each: how many executions one stands for, itself among them. pauses: what came
after it was not recorded for a while."""
MAX_NAMES: Final = 1 << 16
_MAX_NAMES_BYTES: Final = 32 << 20


class ProtocolError(ValueError):
    """It does not speak as wire.py says: one clear line."""


class Told(NamedTuple):
    """One frame. rows: of an array (n,) of ROWS, else none. words: of JSON, else {}."""

    frame: int
    rows: NDArray[np.void]
    words: dict[str, Any]


class Frames:
    """One agent's. names: number -> text, safe to show. names_bytes: what they take, without what is around them."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.names_bytes = 0
        self.names: dict[int, str] = {}

    def feed(self, data: bytes) -> Iterator[Told]:
        """What is whole now. Names are taken in, and not given. Raises ProtocolError."""
        self._data += data
        at = 0
        while len(self._data) - at >= wire.FRAME.size:
            frame, each, length = wire.FRAME.unpack_from(self._data, at)
            if length > wire.MAX_FRAME:
                raise ProtocolError(f"a frame of {length:,} bytes")
            begin, end = at + wire.FRAME.size, at + wire.FRAME.size + length
            if end > len(self._data):
                break
            at = end
            yield from self._frame(frame, each, bytes(self._data[begin:end]))
        del self._data[:at]

    def _frame(self, frame: int, each: int, body: bytes) -> Iterator[Told]:
        layout = LAYOUTS.get(frame)
        if layout is not None:
            if len(body) % layout.itemsize:
                raise ProtocolError(f"{len(body):,} bytes are no whole records of {layout.itemsize}")
            yield Told(frame, told_rows(frame, np.frombuffer(body, layout), each), {})
        elif frame == wire.STRING:
            self._name(body)
        elif frame in (wire.HELLO, wire.STATUS):
            words = parsed(body)
            if not isinstance(words, dict):
                raise ProtocolError("words that are no JSON object")
            yield Told(frame, np.zeros(0, np.dtype([])), words)

    def _name(self, body: bytes) -> None:
        if len(body) < 8 or len(body) > 8 + wire.MAX_TEXT:
            raise ProtocolError("a name that is none")
        text = clean(body[8:])
        self.names_bytes += len(text.encode())
        if len(self.names) >= MAX_NAMES or self.names_bytes > _MAX_NAMES_BYTES:
            raise ProtocolError("too many names")
        self.names[int.from_bytes(body[:8], "little")] = text


def told_rows(frame: int, records: NDArray[np.void], each: int = 1) -> NDArray[np.void]:
    """(n,) of ROWS. records: (n,) of LAYOUTS. each: as of wire.FRAME."""
    rows = np.zeros(len(records), ROWS[frame])
    for name in records.dtype.names or ():
        rows[name] = records[name]
    rows["each"] = max(each & wire.MOST_EACH, 1)
    rows["pauses"] = each & wire.PAUSES
    return rows
