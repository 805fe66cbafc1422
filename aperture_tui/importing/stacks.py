"""Frames and stacks of a file on their way into Symbols: bounded, each distinct one once, interned all together."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.importing.source import ImportingError
from aperture_tui.profile.symbols import Frame, Symbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH: Final = 1024
"""Frames of one stack below its process; deeper ones lose their innermost frames, as in a recording."""
MAX_FRAMES: Final = 1_000_000
"""Different functions."""
MAX_NODES: Final = 8_000_000
"""Of the call tree."""
MAX_NAME: Final = 4096
"""Bytes of a name; the rest is cut off."""

_MAX_TEXTS: Final = 256 << 20  # bytes of all names
_MAX_PATHS: Final = 128 << 20  # bytes of all distinct stacks, four for each frame
_CELLS: Final = 4 << 20  # frames that are interned at a time


class Frames:
    """Frames of one Symbols. Raises ImportingError where a file has more of them than any program."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self._texts = 0

    def id_of(self, frame: Frame) -> int:
        """The id of a frame."""
        before = len(self.symbols.frames)
        known = self.symbols.frame(frame)
        if known == before:
            self._texts += len(frame.function) + len(frame.module) + len(frame.file)
            if known > MAX_FRAMES or self._texts > _MAX_TEXTS:
                raise ImportingError(f"more than {MAX_FRAMES:,} different functions, or {_MAX_TEXTS >> 20} MB of names")
        return known


class Paths:
    """Distinct stacks, as they are met. cut: how many of them were too deep."""

    def __init__(self) -> None:
        self.cut = 0
        self._known: dict[bytes, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def index(self, frames: Sequence[int]) -> int:
        """The number of a stack. frames: ids, outermost first."""
        deep = len(frames) > MAX_DEPTH
        path = array("I", frames[:MAX_DEPTH] if deep else frames).tobytes()
        n = len(self._known)
        at = self._known.setdefault(path, n)
        if at == n:
            self.cut += deep
            self._bytes += len(path)
            if self._bytes > _MAX_PATHS:
                raise ImportingError(f"more than {_MAX_PATHS >> 22} million frames in its different stacks")
        return at

    def nodes(self, symbols: Symbols, heads: NDArray[np.uint32], paths: NDArray[np.integer]) -> NDArray[np.int32]:
        """(n,) stack ids: a frame, then a path below it. heads: (n,) frame ids, 0 for none; paths: (n,) numbers.

        Each pair should come once. Stacks of like depth are interned together, so that a few deep ones do not make a
        wide matrix of all.
        """
        flat = np.append(np.frombuffer(b"".join(self._known), np.uint32), np.uint32(0))
        sizes = np.fromiter(map(len, self._known), np.int64, len(self._known)) // 4
        begins = np.cumsum(sizes) - sizes
        lengths = sizes[paths]
        headed = (heads > 0).astype(np.int64)
        out = np.zeros(len(paths), np.int32)
        for rows in _alike(lengths + 1):
            width = int(lengths[rows].max())
            cells = np.minimum(begins[paths[rows]][:, np.newaxis] + np.arange(width), len(flat) - 1)
            matrix = np.concatenate([heads[rows][:, np.newaxis], flat[cells]], axis=1)
            alone = headed[rows] == 0
            matrix[alone, :-1] = matrix[alone, 1:]
            out[rows] = symbols.stack_rows(matrix, lengths[rows] + headed[rows])
            if len(symbols.trie) > MAX_NODES:
                raise ImportingError(f"a call tree of more than {MAX_NODES:,} nodes")
        return out


def _alike(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Rows in chunks of about _CELLS, the longest at most twice the shortest: (m,). lengths: (n,), each at least 1."""
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    filled, power = np.cumsum(ordered) // _CELLS, np.frexp(ordered)[1]
    yield from np.split(order, np.flatnonzero(np.diff(filled) | np.diff(power)) + 1) if len(order) else []


def text_of(raw: bytes) -> str:
    """A name as text, not yet safe to show, and not longer than MAX_NAME bytes."""
    return raw.decode("utf-8", "backslashreplace") if len(raw) <= MAX_NAME else _shortened(raw)


def _shortened(raw: bytes) -> str:
    return raw[:MAX_NAME].decode("utf-8", "ignore") + "…"
