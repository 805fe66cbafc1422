"""Which time the timeline shows, and in what columns. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from aperture_tui.profile.kinds import Kind
from aperture_tui.tui.density.model import Grid, Scale
from aperture_tui.tui.playhead import Held

REACHES: Final = (
    10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 3 * 3600.0, 12 * 3600.0, 86400.0, 3 * 86400.0, 7 * 86400.0, 30 * 86400.0,
    90 * 86400.0,
)  # fmt: skip
"""Lengths of a timeline, in seconds; past the last of them all that is held."""
_SECOND: Final = 1_000_000_000
_LEAST_S: Final = {False: 300.0, True: 900.0}
"""What is shown around a short window, of one machine and of an aggregator's: what led to it."""
_LONGER: Final = 1.4
_WINDOWS: Final = 2.0
"""How many windows have room."""


class Around(NamedTuple):
    """What a timeline is laid around. start_ns, end_ns: the window. held: all there is. grain_ns: what a column is a
    multiple of. recorded: it does not go on. remote: months may be held.
    """

    start_ns: int
    end_ns: int
    held: Held
    grain_ns: int
    recorded: bool = False
    remote: bool = False


def grain_ns(kind: Kind, interval_ns: int = 0) -> int:
    """The shortest column that says something: what is told once a second, or once an interval by agents, leaves
    shorter ones empty between two words.
    """
    if interval_ns:
        return interval_ns
    return _SECOND // 10 if kind in (Kind.CPU, Kind.GPU_KERNEL, Kind.GPU_COPY) else _SECOND


def reach_s(scale: Scale, around: Around) -> float:
    """How long the timeline is, in seconds."""
    held_s = max(1.0, (around.held.end_ns - around.held.start_ns) / _SECOND)
    if scale.reach_s is not None:
        return min(scale.reach_s, next((reach for reach in REACHES if reach >= held_s), held_s))
    if around.recorded:
        return held_s
    window_s = (around.end_ns - around.start_ns) / _SECOND
    wanted = max(_LEAST_S[around.remote], _WINDOWS * window_s)
    return next((reach for reach in REACHES if reach >= wanted), held_s)


def zoomed(now_s: float, step: int) -> float:
    """The next longer (1) or shorter (-1) length. now_s: what is shown, which is a little more than was asked for."""
    longer = [reach for reach in REACHES if reach > _LONGER * now_s]
    shorter = [reach for reach in REACHES if reach < now_s / _LONGER]
    if step > 0:
        return longer[0] if longer else REACHES[-1]
    return shorter[-1] if shorter else REACHES[0]


def grid_of(scale: Scale, around: Around) -> Grid:
    """The columns. Of a time that goes on they end with the newest, as long as the window is among them."""
    columns, held = max(1, scale.columns), around.held
    length = round(reach_s(scale, around) * _SECOND)
    grain = max(1, around.grain_ns)
    if grain < _SECOND < length // columns and not around.recorded:
        grain = _SECOND  # a recording is to fill its columns; what moves on is to do so seldom
    bucket = -(-length // (columns * grain)) * grain
    if length >= held.end_ns - held.start_ns and around.recorded:
        return _all(held, bucket, grain, columns)
    newest = (-(-held.end_ns // bucket) - columns) * bucket
    if scale.about_ns is not None:
        start = (scale.about_ns // bucket - columns // 2) * bucket
    elif newest <= around.start_ns:
        start = newest
    else:  # in steps of a quarter, so that it stands still while the window moves within
        quarter = max(1, columns // 4)
        middle = (around.start_ns + around.end_ns) // 2 // bucket
        start = ((middle - columns // 2) // quarter * quarter) * bucket
    oldest = held.start_ns // bucket * bucket
    return Grid(min(max(start, min(oldest, newest)), newest), bucket, columns)


def _all(held: Held, bucket: int, grain: int, columns: int) -> Grid:
    """All that is held, in no more columns than needed."""
    while (needed := max(1, -(-held.end_ns // bucket) - held.start_ns // bucket)) > columns:
        bucket += grain
    return Grid(held.start_ns // bucket * bucket, bucket, needed)
