"""Walking over pictures that grow upwards, or both ways from one function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.forms.model import Form, Which
from aperture_tui.tui.forms.orient import ABOVE, both_sides, flame
from aperture_tui.tui.icicle.navigate import Place, box_at, locate, move, next_match, parent_of, path_of, zoom_place
from aperture_tui.tui.model import IcicleView
from tests.tui.icicle.trees import Folded

TREE = "a;b;f;x 6\na;f;y 3\nc;f 2\nc;f;x;z 1\nd 4"
UPPER, LOWER = "f;b;a 6\nf;a 3\nf;c 3", "f;x 6\nf;y 3\nf 2\nf;x;z 1"


def sides(zoom: str = "", above: bool = False) -> IcicleView:
    """Both sides of f in TREE."""
    upper, lower = Folded(UPPER), Folded(LOWER)
    over, under = (upper.path(zoom), ()) if above else ((), lower.path(zoom))
    return both_sides(
        upper.view(60, f"f;{zoom}" if above else "f"), lower.view(60, "f" if above else f"f;{zoom}"), over, under
    )


def places(view: IcicleView) -> Iterator[Place]:
    return (Place(y, i) for y, row in enumerate(view.rows) for i in range(len(row.boxes)))


def names(view: IcicleView, row: int) -> list[str]:
    return [box.label.function for box in view.rows[row].boxes]


VIEWS = [flame(Folded(TREE).view(60)), sides(), sides("x"), sides("b", above=True), Folded(TREE).view(60)]


def test_callers_stand_above_the_function_and_callees_below() -> None:
    view = sides()
    assert [names(view, y) for y in range(len(view.rows))] == [["a"], ["a", "b", "c"], ["f"], ["x", "y"], ["z"]]
    assert (view.flip, view.first) == (2, 2)
    assert path_of(view, Place(1, 0)) == (ABOVE, box_at(view, Place(1, 0)).label)
    assert [label.function for label in path_of(view, Place(0, 0))] == ["callers", "b", "a"]
    assert [label.function for label in path_of(view, Place(4, 0))] == ["f", "x", "z"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_box_is_found_by_its_path(view: IcicleView) -> None:
    for place in places(view):
        assert locate(view, path_of(view, place)) == place


@pytest.mark.parametrize("view", VIEWS)
def test_a_callee_is_within_its_caller(view: IcicleView) -> None:
    for place in places(view):
        parent = parent_of(view, place)
        if parent is not None:
            inner, outer = box_at(view, place), box_at(view, parent)
            assert outer.left <= inner.left < inner.right <= outer.right
            assert abs(parent.row - place.row) == 1


@pytest.mark.parametrize("view", VIEWS)
def test_up_and_down_are_those_of_the_screen(view: IcicleView) -> None:
    for place in places(view):
        for down in (-1, 1):
            to = move(view, place, down, 0)
            assert to == place or to.row == place.row + down


def test_up_from_the_root_of_a_flame_leads_to_the_widest_callee() -> None:
    view = flame(Folded(TREE).view(60))
    root = locate(view, ())
    assert root is not None
    assert view.rows[root.row].boxes[0].label.kind is FrameKind.ROOT
    assert root.row == len(view.rows) - 1
    assert box_at(view, move(view, root, -1, 0)).label.function == "a"
    assert move(view, root, 1, 0) == root


def test_from_the_function_up_leads_to_its_widest_caller_and_down_to_its_widest_callee() -> None:
    view = sides()
    middle = Place(view.flip, 0)
    assert box_at(view, move(view, middle, -1, 0)).label.function == "b"
    assert box_at(view, move(view, middle, 1, 0)).label.function == "x"
    assert move(view, move(view, middle, -1, 0), 1, 0) == middle


def test_what_is_zoomed_to_has_the_whole_width() -> None:
    for view, name in ((sides("x"), "x"), (sides("b", above=True), "b")):
        box = box_at(view, zoom_place(view))
        assert (box.label.function, box.left, box.right) == (name, 0, 60)
        assert view.zoomed == box.total
    assert sides("b", above=True).zoom[0] == ABOVE


def test_a_path_of_callers_is_not_looked_for_elsewhere() -> None:
    plain = Folded(TREE).view(60)
    assert locate(plain, (ABOVE, *Folded(TREE).path("a"))) == zoom_place(plain)


def test_a_function_that_is_nowhere_has_no_rows() -> None:
    nothing = replace(Folded("f 1").view(60), rows=Folded("f 1").view(60).rows[:1])
    assert both_sides(nothing, nothing, (), ()).rows == ()


def test_a_search_goes_through_both_sides() -> None:
    view = sides()
    found = next_match(view, None, lambda label: label.function in "az", 1)
    assert found == Place(0, 0)
    assert next_match(view, Place(1, 1), lambda label: label.function in "az", 1) == Place(4, 0)


@given(st.integers(-4, 4), st.sampled_from(list(Which)))
def test_steps_through_the_forms_lead_back(step: int, which: Which) -> None:
    assert Form(which).after(step).after(-step).which is which
