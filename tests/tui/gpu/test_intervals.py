"""Parts of time, against sets of their nanoseconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.tui.gpu.intervals import NONE, Intervals, amount_ns, between, common, shares, sums_ns, until
from aperture_tui.tui.gpu.lanes import edges
from aperture_tui.tui.gpu.model import Stretch


def _made(steps: list[tuple[int, int]]) -> Intervals:
    """Of (time before, length): apart, in order."""
    at = np.cumsum(np.array(steps, np.int64).reshape(-1))
    return at.reshape(-1, 2)


def _within(of: Intervals) -> set[int]:
    return {ns for start, end in of.tolist() for ns in range(start, end)}


intervals = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=12).map(_made)
stretches = st.tuples(st.integers(0, 150), st.integers(1, 200)).map(lambda p: Stretch(p[0], p[0] + p[1]))


def _is_in_order(of: Intervals) -> bool:
    rows = of.tolist()
    return all(start <= end for start, end in rows) and all(a[1] <= b[0] for a, b in pairwise(rows))


@given(intervals, intervals)
def test_common_time_is_what_is_in_both(one: Intervals, other: Intervals) -> None:
    found = common(one, other)
    assert _within(found) == _within(one) & _within(other)
    assert _is_in_order(found)
    assert len(found) <= len(one) + len(other)
    assert amount_ns(found) == len(_within(found))


@given(intervals, stretches)
def test_between_is_the_rest_of_a_stretch(of: Intervals, stretch: Stretch) -> None:
    found = between(of, stretch)
    assert _within(found) == set(range(*stretch)) - _within(of)
    assert _is_in_order(found)


@given(intervals, stretches, st.integers(1, 40))
def test_shares_are_of_each_column(of: Intervals, stretch: Stretch, columns: int) -> None:
    at = edges(stretch, columns)
    inside = [len(_within(of) & set(range(a, b))) / max(1, b - a) for a, b in pairwise(at.tolist())]
    assert shares(of, at) == pytest.approx(inside)
    assert until(of, sums_ns(of), at).tolist() == [sum(ns < moment for ns in _within(of)) for moment in at.tolist()]


def test_of_nothing_there_is_nothing() -> None:
    assert common(NONE, NONE).shape == (0, 2)
    assert between(NONE, Stretch(3, 9)).tolist() == [[3, 9]]
    assert (amount_ns(NONE), shares(NONE, edges(Stretch(0, 9), 3))) == (0, (0.0,) * 3)
