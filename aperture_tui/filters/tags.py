"""The names of tags, shared by a chain: an event has 16 bits for them, and the same name has the same bit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters.abi import MAX_TAGS
from aperture_tui.filters.errors import FilterError

_NONE: Final = np.zeros(1, np.uint16)


class Tags:
    """Names and their bits. A name that once has a bit keeps it: events with it have been handed on.

    known: the names of the bits that events come with, as of a recording.
    """

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._names = list(known)
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """That of bit 0 first."""
        return tuple(self._names)

    def table(self, names: Sequence[str]) -> NDArray[np.uint16]:
        """(2 ** len(names),): the bits of an event by the word of a program with these tags.

        Raises FilterError when there are too many names in the chain.
        """
        with self._lock:
            new = [name for name in names if name not in self._names]
            if len(self._names) + len(new) > MAX_TAGS:
                raise FilterError(
                    f"no bit is left for its tag {new[-1]}: a chain has {MAX_TAGS} different ones at most"
                )
            self._names += new
            bits = [self._names.index(name) for name in names]
        out = _NONE
        for bit in bits:
            out = np.concatenate([out, out | np.uint16(1 << bit)])
        return out


def translated(words: bytes | None, table: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    """(n,): the bits for n words of a program, uint32 as bytes; bits without a name are none."""
    if words is None:
        return None
    out: NDArray[np.uint16] = table[np.frombuffer(words, "<u4") & np.uint32(len(table) - 1)]
    return out
