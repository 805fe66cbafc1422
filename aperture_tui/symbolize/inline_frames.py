"""Frames of addresses at which functions are inlined.

Such an address stands for a chain of frames. Inside this room it goes by one id with the highest bit set, so that it
is remembered like any other; what leaves the room is expanded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.inlines import Inlines

_CHAIN: Final = 1 << 31
"""Ids from here on are chains; a Symbols has far fewer frames."""


class InlineFrames:
    """The chains of one Symbols. Owned by one thread."""

    def __init__(self, tables: Inlines) -> None:
        self._tables = tables
        self._chains: list[tuple[int, ...]] = []
        self._ids: dict[tuple[ImageKey, str, int, int], int] = {}
        self._joined: dict[tuple[int, ...], int] = {}

    def forget(self) -> None:
        """Forget every chain: their ids are of no use from here on."""
        self._chains.clear()
        self._ids.clear()
        self._joined.clear()

    def nodes(self, key: ImageKey, addresses: NDArray[np.uint64]) -> list[int]:
        """What is inlined at virtual addresses of a file: nodes of its table, 0 for nothing."""
        table = self._tables.table(key)
        return [0] * len(addresses) if table is None else table.find(addresses).tolist()

    def chain(self, symbols: Symbols, key: ImageKey, module: str, function: int, node: int) -> int:
        """The id of the chain of a function's frame and of what is inlined at a node of its file."""
        asked = (key, module, function, node)
        known = self._ids.get(asked)
        if known is not None:
            return known
        table = self._tables.table(key)
        names = table.chain(node) if table is not None else []
        inlined = [symbols.frame(Frame(demangle(name), module)) for name in names]
        known = self._ids[asked] = self.joined((*inlined[::-1], function))
        return known

    def joined(self, frames: Sequence[int]) -> int:
        """The id of frames that stand together for an address, the innermost first: one at least."""
        if len(frames) == 1:
            return frames[0]
        chain = tuple(frames)
        known = self._joined.get(chain)
        if known is None:
            known = self._joined[chain] = _CHAIN + len(self._chains)
            self._chains.append(chain)
        return known

    def outer(self, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The function of each id, without what is inlined in it: (n,)."""
        out = ids.copy()
        for i in np.flatnonzero(ids >= _CHAIN).tolist():
            out[i] = self._chains[int(ids[i]) - _CHAIN][-1]
        return out

    def expanded(self, ids: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The frames of each id one after the other, innermost first: (m,); and how many each has: (n,)."""
        counts = np.ones(len(ids), np.intp)
        if not (ids >= _CHAIN).any():
            return ids, counts
        paths = [self._chains[i - _CHAIN] if i >= _CHAIN else (i,) for i in ids.tolist()]
        return np.array([frame for path in paths for frame in path], np.uint32), np.array(
            [len(p) for p in paths], np.intp
        )
