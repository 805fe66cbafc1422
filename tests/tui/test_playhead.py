from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.tui.playhead import SPEEDS, Held, Playhead

SECOND = 10**9
HELD = Held(100 * SECOND, 160 * SECOND)
NEWEST = Playhead()


def _at(seconds: float, **more: object) -> Playhead:
    return Playhead(int(seconds * SECOND), **more)  # type: ignore[arg-type]


def test_a_step_is_taken_from_where_one_is() -> None:
    back = NEWEST.stepped(-10, HELD)
    assert back == _at(150)
    assert back.stepped(-1, HELD) == _at(149)
    assert back.stepped(1, HELD) == _at(151)


def test_a_step_to_the_end_or_beyond_follows_the_newest_again() -> None:
    assert _at(150).stepped(10, HELD) == NEWEST
    assert _at(150).stepped(60, HELD) == NEWEST
    assert NEWEST.stepped(1, HELD) == NEWEST


def test_the_beginning_is_a_second_long() -> None:
    assert NEWEST.stepped(-600, HELD) == _at(101)
    assert _at(101).stepped(-1, HELD) == _at(101)
    assert NEWEST.stepped(-60, Held(100, 200)) == NEWEST, "a recording of no length has one moment"


def test_playing_goes_by_the_clock_and_stops_at_the_end() -> None:
    playing = _at(110).toggled(HELD)
    assert playing.plays
    assert playing.played(0.5, HELD).at_ns == 110 * SECOND + SECOND // 2
    fast = Playhead(110 * SECOND, True, 64.0)
    assert fast.played(0.25, HELD).at_ns == 126 * SECOND
    assert fast.played(1, HELD) == Playhead(None, False, 64.0)
    assert _at(110).played(5, HELD) == _at(110), "it stands still"


def test_from_the_end_it_plays_from_the_beginning() -> None:
    assert NEWEST.toggled(HELD) == _at(101, plays=True)
    assert _at(120, plays=True).toggled(HELD) == _at(120)


@pytest.mark.parametrize("held", [Held(), Held(100, 100), Held(100, 200)])
def test_where_there_is_nothing_to_play_nothing_plays(held: Held) -> None:
    assert not NEWEST.toggled(held).plays


def test_a_step_and_another_speed_do_not_stop_what_plays() -> None:
    playing = _at(120, plays=True)
    assert playing.stepped(-10, HELD).plays
    assert playing.faster(1) == _at(120, plays=True, speed=2.0)


def test_speeds_end_somewhere() -> None:
    speeds = []
    head = NEWEST.faster(-1)
    for _ in range(len(SPEEDS)):
        speeds.append(head.speed)
        head = head.faster(1)
    assert tuple(speeds) == SPEEDS
    assert head.speed == 64.0
    assert NEWEST.faster(-1).faster(-1).speed == 0.5


def test_time_stands_still_only_once_there_is_one() -> None:
    assert NEWEST.frozen(150 * SECOND) == _at(150)
    assert NEWEST.frozen(0) == NEWEST
    assert _at(150).newest() == NEWEST


@given(
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 50),
    st.lists(st.sampled_from(["<", ">", "play", "tick", "faster", "slower", "end"]), max_size=30),
)
def test_it_never_leaves_what_is_held(start: int, length: int, keys: list[str]) -> None:
    held = Held(start, start + length)
    head = NEWEST
    for key in keys:
        head = {
            "<": lambda h=head: h.stepped(-10, held),
            ">": lambda h=head: h.stepped(60, held),
            "play": lambda h=head: h.toggled(held),
            "tick": lambda h=head: h.played(0.5, held),
            "faster": lambda h=head: h.faster(1),
            "slower": lambda h=head: h.faster(-1),
            "end": lambda h=head: h.newest(),
        }[key]()
        assert held.first_ns <= head.place(held) <= held.end_ns
        assert not (head.plays and head.at_ns is None)
