"""How exact an answer of an aggregator is, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aperture_tui.tui import figures

if TYPE_CHECKING:
    from aperture_tui.store.base import Estimate


def estimate_words(estimate: Estimate) -> str:
    """ "an estimate out of one in 25 events: …"; "" of what is exact."""
    told = []
    if estimate.sampled > 1:
        points = 100 * estimate.share_error
        one_of = estimate.sampled
        told.append(f"an estimate out of one in {one_of} events: shares are off by ±{points:.1f} points (95 %)")
    if estimate.missing_ns:
        gone = figures.duration(estimate.missing_ns)
        told.append(f"without {gone} of the range, which are no longer kept in such detail")
    return "; ".join(told)
