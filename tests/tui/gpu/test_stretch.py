from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.tui.gpu.model import Stretch
from aperture_tui.tui.gpu.stretch import SHORTEST_NS, around, clamped, closer, panned

WINDOW = Stretch(1_000_000, 11_000_000)
stretches = st.none() | st.tuples(st.integers(0, 12_000_000), st.integers(1, 12_000_000)).map(
    lambda p: Stretch(p[0], p[0] + p[1])
)


@given(stretches, st.sampled_from([0.25, 0.5, 2.0, 4.0]), st.integers(0, 12_000_000))
def test_a_stretch_stays_in_its_window(stretch: Stretch | None, factor: float, about_ns: int) -> None:
    now, then = clamped(stretch, WINDOW), closer(stretch, WINDOW, factor, about_ns)
    assert WINDOW.start_ns <= now.start_ns < now.end_ns <= WINDOW.end_ns
    if then is None:
        assert now.length_ns / factor >= 0.999 * WINDOW.length_ns
        return
    assert WINDOW.start_ns <= then.start_ns < then.end_ns <= WINDOW.end_ns
    assert then.length_ns == max(round(now.length_ns / factor), SHORTEST_NS)


def test_closer_leaves_the_moment_where_it_was() -> None:
    assert closer(None, WINDOW, 2.0, 6_000_000) == Stretch(3_500_000, 8_500_000)
    assert closer(None, WINDOW, 4.0, 1_000_000) == Stretch(1_000_000, 3_500_000)
    assert closer(None, WINDOW, 4.0, 11_000_000) == Stretch(8_500_000, 11_000_000)


def test_closest_is_a_microsecond_and_farthest_the_window() -> None:
    assert closer(Stretch(2_000_000, 2_000_000 + SHORTEST_NS), WINDOW, 2.0, 2_000_100) == Stretch(
        2_000_000, 2_000_000 + SHORTEST_NS
    )
    assert closer(Stretch(2_000_000, 9_000_000), WINDOW, 0.5, 3_000_000) is None
    assert closer(None, WINDOW, 0.5, 3_000_000) is None


def test_panning_ends_at_the_window() -> None:
    stretch = Stretch(2_000_000, 3_000_000)
    assert panned(stretch, WINDOW, 500_000) == Stretch(2_500_000, 3_500_000)
    assert panned(stretch, WINDOW, -5_000_000) == Stretch(1_000_000, 2_000_000)
    assert panned(stretch, WINDOW, 50_000_000) == Stretch(10_000_000, 11_000_000)


def test_around_fills_the_middle_half() -> None:
    assert around(4_000_000, 5_000_000, WINDOW) == Stretch(3_500_000, 5_500_000)
    assert around(4_000_000, 9_500_000, WINDOW) is None
    assert around(1_000_000, 2_000_000, WINDOW) == Stretch(1_000_000, 3_000_000)


def test_what_is_out_of_the_window_is_all_of_it() -> None:
    assert clamped(Stretch(20_000_000, 30_000_000), WINDOW) == WINDOW
    assert clamped(None, WINDOW) == WINDOW
    assert clamped(Stretch(0, 2_000_000), WINDOW) == Stretch(1_000_000, 2_000_000)
