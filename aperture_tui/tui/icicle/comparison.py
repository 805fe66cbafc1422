"""Two call trees as one picture: as wide as both together, with the numbers of either side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.tui.icicle.change import change

_WHOLE: Final = 1 << 40
"""What either side weighs where shares are compared."""


class Numbers(NamedTuple):
    """What a box says of a node: as in `model.Box`."""

    total: int
    own: int
    was: int | None = None


@dataclass(frozen=True)
class Compared:
    """A call tree and what it is compared with, over one trie. absolute: by weights and not by shares.

    wholes: what the weights of either are parts of; None: its own.
    """

    after: CallTree
    base: CallTree
    absolute: bool
    wholes: tuple[int, int] | None = None

    @property
    def _wholes(self) -> tuple[int, int]:
        return self.wholes or (self.after.weight, self.base.weight)

    @property
    def whole(self) -> int:
        """The width of what all weights are parts of."""
        return sum(self._wholes) if self.absolute or not all(self._wholes) else 2 * _WHOLE

    @cached_property
    def width(self) -> CallTree:
        """What the boxes are as wide as: both sides together, so that what came and what went are seen alike."""
        if self.absolute or not all(self._wholes):
            return self.after.merge(self.base)
        sides = zip((self.after, self.base), self._wholes, strict=True)
        after, base = (replace(one, self_weight=_scaled(one, whole)) for one, whole in sides)
        return after.merge(base)

    def numbers(self, node: int) -> Numbers:
        """Of both sides."""
        return Numbers(_at(self.after.total, node), _at(self.after.self_weight, node), _at(self.base.total, node))

    def change(self, node: int) -> float:
        """As of `change.change`."""
        total, _, was = self.numbers(node)
        return change(total, was or 0, *self._wholes, self.absolute)


def _scaled(tree: CallTree, whole: int) -> NDArray[np.int64]:
    """(n,): weights of which the whole is about _WHOLE; none becomes nothing."""
    scaled = np.ceil(tree.self_weight * (_WHOLE / whole))
    out: NDArray[np.int64] = scaled.astype(np.int64)
    return out


def _at(weights: NDArray[np.int64], node: int) -> int:
    return int(weights[node]) if node < len(weights) else 0
