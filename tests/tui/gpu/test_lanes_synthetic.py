"""Slices in columns, against counting nanosecond by nanosecond."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.tui.gpu.intervals import merged
from aperture_tui.tui.gpu.lanes import MOST_LANES, LaneSlices, Slices, by_lane, drawn, edges, picture
from aperture_tui.tui.gpu.model import Engine, Lane, LaneKey, Stretch

KEY = LaneKey(0, Engine.COMPUTE, 7)
Piece = tuple[int, int, int]
"""Start, end, name."""


def slices(pieces: list[Piece], device: int = 0, stream: int = 7, engine: Engine = Engine.COMPUTE) -> Slices:
    start, end, name = (np.array([piece[i] for piece in pieces], np.int64) for i in range(3))
    where = [np.full(len(pieces), n, np.int64) for n in (device, engine, stream)]
    return Slices(start, end, name.astype(np.int32), *where)


def lane(pieces: list[Piece], stretch: Stretch, columns: int) -> Lane:
    of = slices(sorted(pieces))
    return LaneSlices.of(KEY, of, np.arange(len(pieces))).lane(edges(stretch, columns))


def together(*parts: Slices) -> Slices:
    return Slices(*(np.concatenate(column) for column in zip(*parts, strict=True)))


pieces = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 60), st.integers(0, 5)).map(lambda p: (p[0], p[0] + p[1], p[2])),
    min_size=1,
    max_size=30,
)
stretches = st.tuples(st.integers(0, 150), st.integers(1, 200)).map(lambda p: Stretch(p[0], p[0] + p[1]))


@given(pieces, stretches, st.integers(1, 40))
def test_busy_is_the_share_of_each_column_in_which_any_slice_ran(
    found: list[Piece], stretch: Stretch, columns: int
) -> None:
    made, at = lane(found, stretch, columns), edges(stretch, columns).tolist()
    ran = {ns for start, end, _ in found for ns in range(start, end)}
    for i, busy in enumerate(made.busy):
        inside = range(at[i], at[i + 1])
        assert busy == pytest.approx(len(ran.intersection(inside)) / max(1, len(inside)))
    whole = range(stretch.start_ns, stretch.end_ns)
    assert made.share == pytest.approx(len(ran.intersection(whole)) / len(whole))
    assert sum(made.begun) == sum(start in whole for start, _, _ in found)


def one_after_the_other(lengths: list[tuple[int, int, int]]) -> list[Piece]:
    out: list[Piece] = []
    at = 0
    for gap, length, name in lengths:
        out.append((at + gap, at + gap + length, name))
        at += gap + length
    return out


serial = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40), st.integers(0, 5)), min_size=1, max_size=20)


@given(serial.map(one_after_the_other), stretches, st.integers(1, 40))
def test_the_largest_of_a_column_is_the_longest_that_runs_in_it(
    found: list[Piece], stretch: Stretch, columns: int
) -> None:
    made, at = lane(found, stretch, columns), edges(stretch, columns).tolist()
    for i in range(columns):
        if at[i] == at[i + 1]:  # a column of no time
            continue
        here = [(end - start, name) for start, end, name in found if start < at[i + 1] and end > at[i]]
        assert (made.longest_ns[i], made.largest[i]) == max(here, default=(0, -1))


@given(pieces)
def test_merged_intervals_cover_the_same_and_do_not_touch(found: list[Piece]) -> None:
    of = slices(sorted(found))
    out = merged(of.start_ns, of.end_ns).tolist()
    covered = {ns for start, end in out for ns in range(start, end)}
    assert covered == {ns for start, end, _ in found for ns in range(start, end)}
    assert all(a[1] < b[0] for a, b in pairwise(out))


def test_a_slice_that_began_before_the_stretch_is_seen_in_it() -> None:
    made = lane([(0, 100, 3)], Stretch(40, 60), 4)
    assert made.busy == (1.0,) * 4
    assert made.largest == (3,) * 4
    assert made.begun == (0,) * 4


def test_a_lane_for_each_gpu_as_a_whole_then_for_each_engine_and_stream() -> None:
    every = together(
        slices([(50, 60, 1)], device=1, stream=13, engine=Engine.COPY_IN),
        slices([(30, 40, 0)]),
        slices([(10, 20, 0)]),
        slices([(15, 35, 1)], stream=9),
    )
    lanes = by_lane(every)
    assert [lane.key for lane in lanes] == [
        LaneKey(0, Engine.ANY, 0),
        LaneKey(0, Engine.COMPUTE, 7),
        LaneKey(0, Engine.COMPUTE, 9),
        LaneKey(1, Engine.ANY, 0),
        LaneKey(1, Engine.COPY_IN, 13),
    ]
    assert lanes[0].busy_ns.tolist() == [[10, 40]]
    assert lanes[1].busy_ns.tolist() == [[10, 20], [30, 40]]
    assert [lane.row.tolist() for lane in lanes] == [[2, 3, 1], [2, 1], [3], [0], [0]]
    assert by_lane(slices([])) == []


def test_of_too_many_lanes_the_busiest_are_drawn_and_the_gpus_as_wholes() -> None:
    many = together(*(slices([(0, 1000 - stream, 0)], stream=stream) for stream in range(MOST_LANES + 5)))
    shown, left_out = drawn(by_lane(many))
    assert left_out == 6
    assert shown[0].key.engine is Engine.ANY
    assert [lane.key.stream for lane in shown[1:]] == list(range(MOST_LANES - 1))


def test_what_took_longer_than_hours_does_not_overflow() -> None:
    made = lane([(0, 1 << 57, 2)], Stretch(0, 1 << 57), 3)
    assert made.largest == (2,) * 3
    assert made.busy == (1.0,) * 3


def test_a_picture_has_the_columns_that_were_asked_for() -> None:
    found = picture(by_lane(slices([(0, 50, 0), (60, 100, 1)])), ["a", "b"], Stretch(0, 100), 10)
    assert found.names == ("a", "b")
    assert [len(lane.busy) for lane in found.lanes] == [10, 10]
    assert found.lanes[1].largest == (0, 0, 0, 0, 0, -1, 1, 1, 1, 1)
