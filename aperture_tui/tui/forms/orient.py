"""Which way a picture stands: the root at the top, at the bottom, or a function between callers and callees. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.model import FrameLabel, IcicleView, Path

ABOVE: Final = FrameLabel("callers", "", "", 0, FrameKind.ROOT, ("callers",), 0)
"""What a path begins with that leads from a function in the middle up to its callers."""


def is_above(path: Path) -> bool:
    """Whether a path leads to callers."""
    return path[:1] == (ABOVE,)


def of_callers(view: IcicleView) -> IcicleView:
    """The same without what frames have by themselves: what counts there is the frame that they led to."""
    rows = (row._replace(boxes=tuple(box._replace(own=-1) for box in row.boxes)) for row in view.rows)
    return replace(view, rows=tuple(rows))


def flame(view: IcicleView) -> IcicleView:
    """The same with its root at the bottom."""
    rows = tuple(
        row._replace(note=row.note.replace("above", "below")) if row.note else row for row in reversed(view.rows)
    )
    return replace(view, rows=rows, first=len(rows) - 1 - view.first, flip=len(rows))


def both_sides(upper: IcicleView, lower: IcicleView, over: Path, under: Path) -> IcicleView:
    """A function between the two: callers, of which its row is the first, growing upwards; callees downwards.

    Both have the root above the function, which is left out. over, under: where either is zoomed to.
    """
    callers = of_callers(upper).rows[:1:-1]
    if len(lower.rows) < 2:  # it is in no stack
        return replace(lower, rows=(), zoom=())
    middle, *callees = lower.rows[1:]
    alone = middle._replace(boxes=tuple(box._replace(parent=-1) for box in middle.boxes), above=bool(under))
    zoom = (ABOVE, *upper.zoom[1:]) if over else lower.zoom if under else ()
    return replace(
        lower,
        rows=(*callers, alone, *callees),
        zoomed=upper.zoomed if over else lower.zoomed,
        zoom=zoom,
        collapsed=(),
        first=len(callers),
        flip=len(callers),
        deeper=upper.deeper or lower.deeper,
        left_out=upper.left_out + lower.left_out,
    )
