"""A comparison as a flame graph: widths of the second side, red where it has more than the first, blue where less."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aperture_tui.export import folded, svg
from aperture_tui.export.names import unit
from aperture_tui.profile.comparable import Per

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.export.comparison import Comparison


def text(comparison: Comparison, watch: Callable[[float], None] = lambda _: None) -> str:
    """The flame graph. watch: called while it is drawn; what it raises ends that. Raises svg.InfernoError."""
    base, after = comparison.sides
    shares = comparison.per is Per.SHARE
    before = folded.of_query(base.store, base.query)
    return svg.differential(
        before if shares else scaled(before, 1 / comparison.scale),
        folded.of_query(after.store, after.query),
        title=f"{after.label} compared with {base.label}, per {comparison.per.value}",
        unit=unit(comparison.query),
        normalise=shares,
        watch=watch,
    )


def scaled(stacks: str, times: float) -> str:
    """Folded stacks with so many times their weights, in whole numbers; as they are where that is unknown."""
    if times == 1 or not math.isfinite(times):
        return stacks
    lines = (line.rpartition(" ") for line in stacks.splitlines())
    return "".join(f"{stack} {round(int(weight) * times)}\n" for stack, _, weight in lines)


__all__ = ["scaled", "text"]
