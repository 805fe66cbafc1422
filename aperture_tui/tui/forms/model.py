"""In which form a call tree is asked for, and what a table of functions is made of. Immutable, free of numpy."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.profile.shape import PLAIN, Shape

if TYPE_CHECKING:
    from aperture_tui.tui.model import FrameLabel, Unit

THRESHOLDS: Final = (0.0, 0.001, 0.005, 0.01, 0.05)
"""Parts of the whole that `%` chooses from: narrower frames are not drawn."""


SHOWN: Final = 500
"""Functions that a table has, and that are told of in each order."""


class Which(enum.Enum):
    """How a call tree is laid out. The values are for the reader."""

    TREE = "tree"
    CALLERS = "callers"
    FUNCTIONS = "functions"


@dataclass(frozen=True, slots=True)
class Form:
    """What `v` and its like choose.

    function: both sides of this one, in place of `which`. flame: the root stands at the bottom. least: the part of the
    whole below which nothing is drawn. by_change: the most changed first, where something is compared.
    """

    which: Which = Which.TREE
    function: FrameLabel | None = None
    shape: Shape = PLAIN
    flame: bool = False
    least: float = 0.0
    by_change: bool = False

    def after(self, step: int) -> Form:
        """The next form, or the one before."""
        every = list(Which)
        return replace(self, which=every[(every.index(self.which) + step) % len(every)], function=None)

    def thinner(self) -> Form:
        """With the next threshold."""
        at = THRESHOLDS.index(self.least) if self.least in THRESHOLDS else 0
        return replace(self, least=THRESHOLDS[(at + 1) % len(THRESHOLDS)])

    @property
    def is_table(self) -> bool:
        """Whether it is the table of functions."""
        return self.function is None and self.which is Which.FUNCTIONS


TREE: Final = Form()


class FunctionLine(NamedTuple):
    """One function. own, total: weight of the stacks that end in it, and of those that it is in, each counted once.

    own_was, total_was: in what it is compared with; None where nothing is. label: of its widest frame.
    """

    label: FrameLabel
    own: int
    total: int
    own_was: int | None = None
    total_was: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What stays the same from one answer to the next."""
        label = self.label
        return label.function, label.module, label.file, label.kind


@dataclass(frozen=True, slots=True)
class FunctionsView:
    """The functions of a call tree, or of what is under a zoom.

    lines: those that are among the first in any order. left_out: how many are not. below: how many of these are only
    left out because they have less than the threshold. whole, zoomed: weight of all, and under the zoom. base_total:
    weight of all that it is compared with, None for nothing. absolute: weights are compared, not shares.
    """

    lines: tuple[FunctionLine, ...]
    left_out: int
    below: int
    whole: int
    zoomed: int
    unit: Unit
    base_total: int | None = None
    absolute: bool = False
