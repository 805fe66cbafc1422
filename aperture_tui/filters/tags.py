"""What programs say of tags, as bits of events."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters.errors import FilterError
from aperture_tui.profile.tags import Tags, TooManyTagsError


class ChainTags(Tags):
    """Those of a chain, to which a program that is reloaded may add while others judge. Safe for threads."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        super().__init__(known)
        self._lock = threading.Lock()

    def table(self, names: Sequence[str]) -> NDArray[np.uint16]:
        """As above. Raises FilterError when there are too many names in the chain."""
        try:
            with self._lock:
                return super().table(names)
        except TooManyTagsError as error:
            raise FilterError(str(error)) from error

    def taken(self, events: NDArray[np.void], names: Sequence[str]) -> NDArray[np.void]:
        """As above."""
        with self._lock:
            return super().taken(events, names)


def translated(words: bytes | None, table: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    """(n,): the bits for n words of a program, uint32 as bytes; bits without a name are none."""
    if words is None:
        return None
    out: NDArray[np.uint16] = table[np.frombuffer(words, "<u4") & np.uint32(len(table) - 1)]
    return out
