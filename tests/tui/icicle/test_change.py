from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle import change
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.model import Box, IcicleView, Unit

LABEL = make_label("f", "m", "", 0, FrameKind.NATIVE)
counts = st.integers(0, 10**9)


def view(total: int, base: int | None, absolute: bool = False, timed: bool = True) -> IcicleView:
    return IcicleView((), 80, total, total, unit=Unit("units", timed), base_total=base, absolute=absolute)


def box(total: int, was: int | None) -> Box:
    return Box(0, 9, 0, LABEL, total, 0, was)


def _much(one: Box, there: IcicleView) -> float:
    assert one.was is not None
    assert there.base_total is not None
    return change.change(one.total, one.was, there.total, there.base_total, there.absolute)


def test_where_nothing_is_compared_nothing_has_changed() -> None:
    assert change.step(box(5, None), view(10, None)) is None


@pytest.mark.parametrize(
    ("now", "then", "step"),
    [
        (500, 500, 0),
        (509, 500, 1),
        (491, 500, -1),
        (520, 500, 2),
        (551, 500, 3),
        (449, 500, -3),
        (0, 500, -3),
        (1, 0, 1),
    ],
)
def test_steps_are_by_points_of_the_share(now: int, then: int, step: int) -> None:
    assert change.step(box(now, then), view(1000, 1000)) == step
    assert change.step(box(10 * now, then), view(10_000, 1000)) == step, "a longer window is no change"


def test_by_weight_a_longer_window_is_a_change() -> None:
    longer = view(10_000, 1000, absolute=True)
    assert change.step(box(5000, 500), longer) == 3
    assert _much(box(5000, 500), longer) == pytest.approx(0.45)


def test_what_may_be_chance_is_no_change_of_samples_but_of_time_it_is() -> None:
    assert change.step(box(12, 10), view(100, 100, timed=False)) == 0
    assert change.step(box(12, 10), view(100, 100)) == 2
    assert change.step(box(12_000, 10_000), view(100_000, 100_000, timed=False)) == 2
    assert change.step(box(12, 10), view(100, 100, absolute=True, timed=False)) == 0
    assert change.step(box(60, 10), view(100, 100, absolute=True, timed=False)) == 3


def test_an_empty_side_is_all_that_came_or_went() -> None:
    assert _much(box(7, 0), view(7, 0)) == 1
    assert _much(box(0, 7), view(0, 7)) == -1


@given(counts, counts, counts, counts, st.booleans(), st.booleans())
def test_the_other_way_round_it_is_the_opposite(
    a: int, b: int, more: int, rest: int, absolute: bool, timed: bool
) -> None:
    one, other = box(a, b), box(b, a)
    there, back = view(a + more, b + rest, absolute, timed), view(b + rest, a + more, absolute, timed)
    step = change.step(one, there)
    assert step is not None
    assert change.step(other, back) == -step
    much = _much(one, there)
    assert -1 <= much <= 1
