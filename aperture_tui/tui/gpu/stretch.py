"""Which stretch of a window the lanes show: closer, farther, earlier, later. Pure."""

from __future__ import annotations

from typing import Final

from aperture_tui.tui.gpu.model import Stretch

SHORTEST_NS: Final = 1_000
"""As close as it goes: kernels take microseconds."""
_ALL: Final = 0.999
"""Halved and doubled again, it is rounded."""


def clamped(stretch: Stretch | None, window: Stretch) -> Stretch:
    """The stretch as far as it lies in the window; all of that if it does not."""
    if stretch is None:
        return window
    start, end = max(stretch.start_ns, window.start_ns), min(stretch.end_ns, window.end_ns)
    return Stretch(start, end) if start < end else window


def closer(stretch: Stretch | None, window: Stretch, factor: float, about_ns: int) -> Stretch | None:
    """1/factor of the time, in which this moment stays where it is; None is all of the window.

    factor: below 1, more of the time.
    """
    now = clamped(stretch, window)
    length = max(round(now.length_ns / factor), min(SHORTEST_NS, window.length_ns))
    if length > _ALL * window.length_ns:
        return None
    at = (min(max(about_ns, now.start_ns), now.end_ns) - now.start_ns) / now.length_ns
    return _within(round(about_ns - at * length), length, window)


def around(start_ns: int, end_ns: int, window: Stretch) -> Stretch | None:
    """So that this fills the middle half."""
    length = max(2 * (end_ns - start_ns), min(SHORTEST_NS, window.length_ns))
    if length >= window.length_ns:
        return None
    return _within((start_ns + end_ns - length) // 2, length, window)


def panned(stretch: Stretch, window: Stretch, by_ns: int) -> Stretch:
    """As much, later or earlier: as far as the window goes."""
    return _within(stretch.start_ns + by_ns, stretch.length_ns, window)


def _within(start_ns: int, length_ns: int, window: Stretch) -> Stretch:
    start = min(max(start_ns, window.start_ns), window.end_ns - length_ns)
    return Stretch(start, start + length_ns)
