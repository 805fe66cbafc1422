"""Scripts of a V8: their files, and which line a position in their source is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.v8.heap import Heap
from aperture_tui.symbolize.v8.layout import Layout

MAX_SOURCE: Final = 8 << 20
"""Bytes of a source whose lines are counted; functions of a larger one have no line."""
_MAX_LINES: Final = 1 << 20
"""Of all scripts of a process that are remembered; past it all are forgotten."""
_MAX_SCRIPTS: Final = 4096


@dataclass(frozen=True, slots=True)
class Script:
    """file: "" for code that is of none, such as that of eval. ends: (n,) the positions of the ends of its lines, in
    characters; None if they are not known."""

    file: str
    ends: NDArray[np.uint32] | None

    def line_at(self, position: int) -> int:
        """The line that this character is on, from 1 on; 0 if that is not known."""
        if self.ends is None or not self.file:
            return 0
        return int(self.ends.searchsorted(np.uint32(position))) + 1


def line_ends(source: bytes, width: int) -> NDArray[np.uint32]:
    """Where the lines of a source end (ECMA-262, 12.3). width: bytes of a character, 1 or 2."""
    text = np.frombuffer(source, "<u2" if width == 2 else "u1")
    ends = (text == 0x0A) | (text == 0x0D)
    ends[:-1] &= ~((text[:-1] == 0x0D) & (text[1:] == 0x0A))
    if width == 2:
        ends |= (text == 0x2028) | (text == 0x2029)
    return np.flatnonzero(ends).astype(np.uint32)


class Scripts:
    """Of one process, by address and by what makes a Script this one. Owned by one thread."""

    def __init__(self, heap: Heap, layout: Layout) -> None:
        self._heap = heap
        self._layout = layout
        self._known: dict[tuple[int, int, int], Script] = {}
        self._lines = 0

    def get(self, word: int) -> Script | None:
        """The Script that a word points at."""
        layout = self._layout
        if self._heap.type_of(word) != layout.script_type:
            return None
        name, source = (self._heap.words(word, at, 1) for at in (layout.script_name, layout.script_source))
        if name is None or source is None:
            return None
        key = (word, name[0], source[0])
        known = self._known.get(key)
        if known is None:
            known = self._read(name[0], source[0])
            lines = 0 if known.ends is None else len(known.ends)
            if self._lines + lines > _MAX_LINES or len(self._known) >= _MAX_SCRIPTS:
                self._known.clear()
                self._lines = 0
            self._known[key] = known
            self._lines += lines
        return known

    def _read(self, name: int, source: int) -> Script:
        file = self._heap.text(name) or ""
        found = self._heap.flat(source, MAX_SOURCE) if file else None
        ends = None if found is None else line_ends(*found)
        return Script(file.removeprefix("file://"), ends)
