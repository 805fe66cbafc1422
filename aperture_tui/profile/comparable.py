"""What makes two recordings of different length and frequency comparable. Free of numpy."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Per(enum.Enum):
    """What weights are compared per."""

    SHARE = "share"
    """Of each side's whole. All together are 100 %: where one function gets cheaper, the shares of all others grow."""
    SECOND = "second"
    """Of time that was looked at: for what is under the same load on both sides."""
    RUN = "run"
    """As they are: for the same work, done once on each side."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of one side.

    whole: the weight of all its stacks. seconds: how long was looked at, 0 where that is not known. unit: what one unit
    of weight stands for, so that sides of different frequency can be compared: of samples the nanoseconds between two,
    of everything else 1.
    """

    whole: int
    seconds: float
    unit: float = 1.0

    @property
    def empty(self) -> bool:
        """Nothing can be compared with it."""
        return not (self.whole > 0 and self.unit > 0)


def scale(per: Per, base: Extent, after: Extent) -> float:
    """What the weights of `after` are multiplied by to stand beside those of `base`; NaN where that is unknown."""
    if base.empty or after.empty or (per is Per.SECOND and not (base.seconds > 0 and after.seconds > 0)):
        return math.nan
    if per is Per.SHARE:
        return base.whole / after.whole
    units = after.unit / base.unit
    return units * base.seconds / after.seconds if per is Per.SECOND else units
