"""Walking over the boxes of a view. A place is (row, index of the box); a path is what it stands for. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.forms.orient import ABOVE, is_above
from aperture_tui.tui.icicle.render import Hits
from aperture_tui.tui.model import Box, IcicleView, Path


class Place(NamedTuple):
    """A box of a view."""

    row: int
    box: int


def box_at(view: IcicleView, place: Place) -> Box:
    """The box of a place."""
    return view.rows[place.row].boxes[place.box]


def parent_of(view: IcicleView, place: Place) -> Place | None:
    """The box of the caller; None at the first of what is shown."""
    parent = box_at(view, place).parent
    return None if parent < 0 else Place(place.row + (1 if place.row < view.flip else -1), parent)


def has_callers(view: IcicleView) -> bool:
    """Whether callers of the first box stand above it."""
    return 0 < view.flip < len(view.rows)


def path_of(view: IcicleView, place: Place) -> Path:
    """The frames from the outermost to this box; () is the whole."""
    labels = []
    at: Place | None = place
    while at is not None:
        labels.append(box_at(view, at).label)
        at = parent_of(view, at)
    labels.reverse()
    if has_callers(view) and place.row < view.flip:
        return (ABOVE, *labels[1:])
    if labels[0].kind is FrameKind.ROOT:
        return tuple(labels[1:])
    return (*view.collapsed, *labels)


def locate(view: IcicleView, path: Path) -> Place | None:
    """The box of a path, or its nearest ancestor that is shown; None while there are no boxes.

    A path that leads elsewhere than the zoom gives the zoomed box.
    """
    if view.first >= len(view.rows):
        return None
    at = Place(view.first, 0)
    known = len(view.collapsed)
    first = box_at(view, at)
    if is_above(path):
        return _followed(view, at, path[1:], -1) if has_callers(view) else zoom_place(view)
    is_root = first.label.kind is FrameKind.ROOT
    if not is_root and path[: known + 1] != (*view.collapsed, first.label):
        return zoom_place(view)
    inwards = -1 if view.flip == len(view.rows) else 1
    return _followed(view, at, path if is_root else path[known + 1 :], inwards)


def _followed(view: IcicleView, at: Place, path: Path, step: int) -> Place:
    """From a box to callee after callee, as far as they are shown. step: to the row of the next, -1 or 1."""
    for label in path:
        children = _children(view, at, at.row + step)
        found = next((i for i in children if view.rows[at.row + step].boxes[i].label == label), None)
        if found is None:
            break
        at = Place(at.row + step, found)
    return at


def _children(view: IcicleView, place: Place, row: int) -> list[int]:
    """The boxes of a row beside it that belong to this one."""
    if not 0 <= row < len(view.rows):
        return []
    return [i for i, box in enumerate(view.rows[row].boxes) if box.parent == place.box]


def zoom_place(view: IcicleView) -> Place:
    """The box that the width stands for."""
    up = view.flip == len(view.rows) or (has_callers(view) and is_above(view.zoom))
    rows = range(view.first - has_callers(view), -1, -1) if up else range(view.first, len(view.rows))
    return Place(next((y for y in rows if view.rows[y].boxes and not view.rows[y].above), view.first), 0)


def hit(view: IcicleView, x: int, y: int) -> Place | None:
    """The box under a cell; y counts rows of the view."""
    if not 0 <= y < len(view.rows):
        return None
    boxes = view.rows[y].boxes
    index = bisect_right(boxes, x, key=lambda box: box.left) - 1
    return Place(y, index) if index >= 0 and x < boxes[index].right else None


def move(view: IcicleView, place: Place, down: int, across: int) -> Place:
    """The caller, the widest callee, or the neighbour in the same row; where there is none, the place itself."""
    if across:
        last = len(view.rows[place.row].boxes) - 1
        return Place(place.row, max(0, min(last, place.box + across)))
    parent = parent_of(view, place)
    if parent is not None and (parent.row > place.row) == (down > 0):
        return parent
    row = place.row + (1 if down > 0 else -1)
    children = _children(view, place, row)
    if not children:
        return place
    return Place(row, max(children, key=lambda i: view.rows[row].boxes[i].total))


def matches(view: IcicleView, hits: Hits) -> Iterator[Place]:
    """All boxes that match, in reading order."""
    for y, row in enumerate(view.rows):
        for i, box in enumerate(row.boxes):
            if box.label.kind is not FrameKind.ROOT and hits(box.label):
                yield Place(y, i)


def next_match(view: IcicleView, place: Place | None, hits: Hits, step: int) -> Place | None:
    """The next (1) or previous (-1) match in reading order, round the end; None if nothing matches."""
    found = list(matches(view, hits))
    if not found:
        return None
    if place is None:
        return found[0]
    if step > 0:
        return next((p for p in found if p > place), found[0])
    return next((p for p in reversed(found) if p < place), found[-1])
