from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.change import step
from aperture_tui.tui.icicle.comparison import Compared
from aperture_tui.tui.icicle.layout import lay_out
from aperture_tui.tui.icicle.render import icicle_row
from aperture_tui.tui.model import Box, IcicleView, Unit
from tests.tui.icicle.trees import Folded

STACKS = st.dictionaries(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(";".join), st.integers(1, 50), max_size=20
)


def compared(
    after: str, base: str, absolute: bool = False, width: int = 80, by_weight: bool = False, by_change: bool = False
) -> IcicleView:
    folded = Folded(after)
    both = Compared(folded.tree, folded.weighted(base), absolute)
    return lay_out(both.width, folded.labels, width, by_weight=by_weight, compared=both, by_change=by_change)[0]


def boxes(view: IcicleView) -> dict[str, Box]:
    return {box.label.function: box for row in view.rows for box in row.boxes if box.label.kind is not FrameKind.ROOT}


def test_what_came_and_what_went_are_both_drawn_with_the_numbers_of_either_side() -> None:
    view = compared("main;same 50\nmain;came 50", "main;same 50\nmain;went 50")
    found = boxes(view)
    assert (view.total, view.base_total, view.zoomed) == (100, 100, 100)
    assert (found["main"].total, found["main"].was) == (100, 100)
    assert (found["came"].total, found["came"].own, found["came"].was) == (50, 50, 0)
    assert (found["went"].total, found["went"].was) == (0, 50)
    widths = {name: box.right - box.left for name, box in found.items()}
    assert widths == {"main": 80, "same": 40, "came": 20, "went": 20}


def test_shares_are_compared_unless_weights_are() -> None:
    after, base = "a 900\nb 100", "a 9\nb 1"
    shares, weights = compared(after, base), compared(after, base, absolute=True)
    assert {step(box, shares) for box in boxes(shares).values()} == {0}
    assert shares.rows[1].boxes[0].right == 72
    assert {step(box, weights) for box in boxes(weights).values()} == {3}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_side_with_nothing_leaves_the_other(absolute: bool) -> None:
    came = compared("a 3\nb 1", "", absolute)
    assert (came.total, came.base_total) == (4, 0)
    assert boxes(came)["a"].right == 60
    went = compared("", "a 3\nb 1", absolute)
    assert (went.total, went.base_total) == (0, 4)
    assert boxes(went)["a"].was == 3


def test_by_change_the_largest_change_comes_first_whichever_way() -> None:
    view = compared("a 500\nb 100\nc 400", "a 490\nb 400\nc 110", by_change=True)
    assert [box.label.function for box in view.rows[1].boxes] == ["b", "c", "a"]


@given(STACKS, STACKS, st.booleans(), st.booleans(), st.integers(1, 120))
@settings(deadline=None)
def test_boxes_lie_inside_of_their_parents_and_their_numbers_add_up(
    after: dict[str, int], base: dict[str, int], absolute: bool, by_weight: bool, width: int
) -> None:
    after_text, base_text = ("\n".join(f"{stack} {n}" for stack, n in one.items()) for one in (after, base))
    view = compared(after_text, base_text, absolute, width, by_weight)
    assert (view.total, view.base_total) == (sum(after.values()), sum(base.values()))
    for above, row in zip(view.rows, view.rows[1:], strict=False):
        for box in row.boxes:
            parent = above.boxes[box.parent]
            assert parent.left <= box.left < box.right <= parent.right
            assert box.total <= parent.total - parent.own
            assert box.was is not None
            assert parent.was is not None
            assert box.was <= parent.was


def test_a_sign_says_what_the_colour_says() -> None:
    view = compared("main;same 50\nmain;came 50", "main;same 50\nmain;went 50", width=60)
    for mono in (False, True):
        texts = [
            "".join(text for text, _ in icicle_row(row, 60, mono=mono, change=lambda box: step(box, view)))
            for row in view.rows
        ]
        assert all(len(text) == 60 for text in texts)
        assert "+came" in texts[2]
        assert "-went" in texts[2]
        assert "+main" not in texts[1]
        assert "same" in texts[2]
    narrow = icicle_row(compared("a;b 1", "a;c 1", width=4).rows[2], 4, change=lambda _: 3)
    assert sum(len(text) for text, _ in narrow) == 4


def test_samples_that_may_be_chance_are_no_change() -> None:
    folded = Folded("a 12\nb 88")
    both = Compared(folded.tree, folded.weighted("a 10\nb 90"), absolute=False)
    view, _ = lay_out(both.width, folded.labels, 40, compared=both)
    assert view.unit == Unit()
    assert step(boxes(view)["a"], view) == 0
