from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import Kind
from aperture_tui.tui.density.grid import REACHES, Around, grain_ns, grid_of, reach_s, zoomed
from aperture_tui.tui.density.model import Scale
from aperture_tui.tui.playhead import Held

SECOND = 10**9
START = 1_700_000_003 * SECOND


def _around(held_s: float, end_s: float | None = None, window_s: float = 30, **more: object) -> Around:
    end = START + round((held_s if end_s is None else end_s) * SECOND)
    held = Held(START, START + round(held_s * SECOND))
    window = max(held.start_ns, end - round(window_s * SECOND))
    return Around(window, end, held, SECOND, **more)  # type: ignore[arg-type]


arounds = st.builds(
    lambda held_s, part, window_s, grain, recorded, remote: _around(held_s, max(1.0, part * held_s), window_s)._replace(
        grain_ns=grain, recorded=recorded and not remote, remote=remote
    ),
    st.floats(1, 3e6),
    st.floats(0, 1),
    st.floats(0.5, 1e6),
    st.sampled_from([SECOND // 10, SECOND, 10 * SECOND]),
    st.booleans(),
    st.booleans(),
)
scales = st.builds(
    lambda columns, reach, about: Scale(columns, reach, None if about is None else START + round(about * SECOND)),
    st.integers(8, 300),
    st.none() | st.sampled_from(REACHES),
    st.none() | st.floats(-1e6, 4e6),
)


@given(scales, arounds)
def test_columns_are_on_the_clock_in_whole_grains_and_no_more_than_there_is_room_for(scale: Scale, at: Around) -> None:
    grid = grid_of(scale, at)
    assert 1 <= grid.columns <= scale.columns
    assert grid.start_ns % grid.bucket_ns == 0
    assert grid.bucket_ns % at.grain_ns == 0
    assert grid.end_ns <= at.held.end_ns + grid.bucket_ns, "nothing but the newest column is of the time to come"


@given(scales, arounds)
def test_the_end_of_the_window_is_among_them_unless_somebody_looks_elsewhere(scale: Scale, at: Around) -> None:
    if scale.about_ns is None and reach_s(scale, at) * SECOND >= 2 * (at.end_ns - at.start_ns):
        assert grid_of(scale, at).has(at.end_ns)


@given(scales, arounds)
def test_of_a_recording_all_is_shown(scale: Scale, at: Around) -> None:
    grid = grid_of(scale._replace(reach_s=None), at._replace(recorded=True, remote=False))
    assert grid.start_ns <= at.held.start_ns < grid.start_ns + grid.bucket_ns
    assert grid.end_ns - grid.bucket_ns <= at.held.end_ns <= grid.end_ns


def test_live_columns_stand_still_until_one_is_full() -> None:
    grids = [grid_of(Scale(60), _around(400 + tenths / 10)) for tenths in range(100)]
    assert {grid.bucket_ns for grid in grids} == {5 * SECOND}
    assert len({grid.start_ns for grid in grids}) in (2, 3), "in ten seconds columns of five move twice"
    assert all(grid.columns == 60 for grid in grids)


def test_what_led_to_the_window_is_shown_and_more_around_a_longer_one() -> None:
    for window_s, remote, wanted in ((10, False, 300), (300, False, 900), (60, True, 900), (3600, True, 3 * 3600)):
        assert reach_s(Scale(60), _around(1e7, window_s=window_s, remote=remote)) == wanted


def test_it_stands_still_while_a_window_moves_within_it() -> None:
    starts = {grid_of(Scale(60), _around(7200, end_s=3000 + n)).start_ns for n in range(60)}
    assert len(starts) <= 2


def test_it_is_zoomed_by_steps_and_stays_about_its_moment() -> None:
    assert (zoomed(300, 1), zoomed(300, -1), zoomed(200, 1), zoomed(5, -1)) == (900, 60, 300, 10)
    assert zoomed(1e9, 1) == REACHES[-1]
    about = START + 3600 * SECOND
    grid = grid_of(Scale(61, 60.0, about), _around(7200))
    assert grid.column_of(about) == 30
    assert grid.bucket_ns == SECOND


def test_what_is_told_once_a_second_has_no_shorter_columns() -> None:
    assert grain_ns(Kind.CPU) < grain_ns(Kind.SYSCALL) == SECOND
    assert grain_ns(Kind.CPU, 10 * SECOND) == 10 * SECOND
