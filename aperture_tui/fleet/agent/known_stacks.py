"""Which stacks an aggregator is believed to know. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_Hashes = NDArray[np.uint64]

_MOST: Final = 200_000
"""Hashes that are remembered: 1.6 MB."""


class KnownStacks:
    """The hashes of stacks that were acknowledged, those used last; what is forgotten is only sent once more.

    In two halves, each sorted: when the younger one is full it becomes the older one, and that is let go.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._half = most // 2
        self._young = self._old = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(np.union1d(self._young, self._old))

    def __call__(self, hashes: _Hashes) -> NDArray[np.bool_]:
        """(n,): which of them are known."""
        return _among(self._young, hashes) | _among(self._old, hashes)

    def add(self, hashes: _Hashes) -> None:
        """The aggregator has these."""
        fresh = np.unique(hashes[~_among(self._young, hashes)])
        self._young = np.insert(self._young, np.searchsorted(self._young, fresh), fresh)
        if len(self._young) > self._half:
            self._old, self._young = self._young[: self._half], np.zeros(0, np.uint64)

    def forget(self, hashes: _Hashes) -> None:
        """It does not have these."""
        self._young, self._old = (np.setdiff1d(half, hashes) for half in (self._young, self._old))

    def clear(self) -> None:
        """It has none, for all that is known."""
        self._young = self._old = np.zeros(0, np.uint64)


def _among(half: _Hashes, hashes: _Hashes) -> NDArray[np.bool_]:
    """(n,): which are in a sorted array."""
    if not len(half):
        return np.zeros(len(hashes), bool)
    out: NDArray[np.bool_] = half[np.minimum(np.searchsorted(half, hashes), len(half) - 1)] == hashes
    return out
