"""Walking over the boxes of a view. A place is (row, index of the box); a path is what it stands for. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from aperture_tui.profile.kinds import FrameKind
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
    """The box above; None at the top of what is shown."""
    parent = box_at(view, place).parent
    return None if parent < 0 else Place(place.row - 1, parent)


def path_of(view: IcicleView, place: Place) -> Path:
    """The frames from the outermost to this box; () is the whole."""
    labels = []
    at: Place | None = place
    while at is not None:
        labels.append(box_at(view, at).label)
        at = parent_of(view, at)
    labels.reverse()
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
    is_root = first.label.kind is FrameKind.ROOT
    if not is_root and path[: known + 1] != (*view.collapsed, first.label):
        return zoom_place(view)
    rest = path if is_root else path[known + 1 :]
    for label in rest:
        if at.row + 1 >= len(view.rows):
            break
        below = view.rows[at.row + 1].boxes
        found = next((i for i, box in enumerate(below) if box.parent == at.box and box.label == label), None)
        if found is None:
            break
        at = Place(at.row + 1, found)
    return at


def zoom_place(view: IcicleView) -> Place:
    """The box that the width stands for."""
    return Place(next((y for y, row in enumerate(view.rows) if row.boxes and not row.above), view.first), 0)


def hit(view: IcicleView, x: int, y: int) -> Place | None:
    """The box under a cell; y counts rows of the view."""
    if not 0 <= y < len(view.rows):
        return None
    boxes = view.rows[y].boxes
    index = bisect_right(boxes, x, key=lambda box: box.left) - 1
    return Place(y, index) if index >= 0 and x < boxes[index].right else None


def move(view: IcicleView, place: Place, down: int, across: int) -> Place:
    """The parent, the widest child, or the neighbour in the same row; where there is none, the place itself."""
    if across:
        last = len(view.rows[place.row].boxes) - 1
        return Place(place.row, max(0, min(last, place.box + across)))
    if down < 0:
        return parent_of(view, place) or place
    below = view.rows[place.row + 1].boxes if place.row + 1 < len(view.rows) else ()
    children = [i for i, box in enumerate(below) if box.parent == place.box]
    if not children:
        return place
    return Place(place.row + 1, max(children, key=lambda i: below[i].total))


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
