"""How much more or less a box is than in what it is compared with. Pure, free of numpy."""

from __future__ import annotations

import math
from typing import Final

from aperture_tui.tui.model import Box, IcicleView, Unit

STEPS: Final = (0.001, 0.01, 0.05)
"""Changes of a share, from which on each is shown in a stronger colour; a smaller one is none."""
_CHANCE: Final = 2.58
"""Standard deviations that two counts of samples may differ by, and mean nothing (99 %)."""


def change(total: int, was: int, whole: int, base_whole: int, absolute: bool) -> float:
    """From -1, all of it went, to 1, all of it came: of shares their difference, of weights its part of the larger
    whole. whole, base_whole: weight of all on either side.
    """
    if absolute:
        return (total - was) / max(whole, base_whole, 1)
    return total / max(whole, 1) - was / max(base_whole, 1)


def step(box: Box, view: IcicleView) -> int | None:
    """-3 to 3: how strongly a box is shown as more or less; 0 for no change, or none that is more than chance."""
    if box.was is None or view.base_total is None:
        return None
    return strength(box.total, box.was, view.total, view.base_total, view.absolute, view.unit)


def strength(total: int, was: int, whole: int, base_whole: int, absolute: bool, unit: Unit) -> int:
    """The same of two weights and their wholes."""
    much = change(total, was, whole, base_whole, absolute)
    strong = sum(abs(much) >= least for least in STEPS)
    if not strong or _may_be_chance(total, was, whole, base_whole, absolute, unit):
        return 0
    return strong if much > 0 else -strong


def _may_be_chance(total: int, was: int, whole: int, base_whole: int, absolute: bool, unit: Unit) -> bool:
    """Of counts: whether two samples of the same would often differ as much (two proportions, two Poisson counts)."""
    if unit.timed or not whole or not base_whole:
        return False
    if absolute:
        return abs(total - was) < _CHANCE * math.sqrt(total + was)
    pooled = (total + was) / (whole + base_whole)
    deviation = math.sqrt(max(0.0, pooled * (1 - pooled)) * (1 / whole + 1 / base_whole))
    return abs(total / whole - was / base_whole) < _CHANCE * deviation
