"""What is known of a line, on a clock that the test moves."""

from __future__ import annotations

import pytest

from aperture_tui.tui.line import Line


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Line:
    return Line(clock)


def test_what_the_kernel_takes_at_once_is_not_behind(line: Line, clock: Clock) -> None:
    for _ in range(10):
        line.sent(30_000)
        assert not line.is_behind, "however much it is, it has only just been handed over"
        line.wrote(30_000)
        clock.now += 0.5
    assert not line.is_behind
    assert not line.is_slow


def test_much_that_waits_is_behind_soon_and_little_later(line: Line, clock: Clock) -> None:
    line.sent(10_000)
    clock.now += 0.2
    assert line.is_behind
    line.wrote(10_000)
    assert not line.is_behind
    line.sent(100)
    clock.now += 0.2
    assert not line.is_behind
    clock.now += 0.4
    assert line.is_behind


def test_a_terminal_that_answers_is_believed_more_than_the_kernel(line: Line, clock: Clock) -> None:
    line.heard()
    assert line.asks
    line.sent(10_000, asks=True)
    line.wrote(10_000)
    clock.now += 0.2
    assert line.is_behind, "it waits in buffers on the way"
    assert not line.is_quiet
    line.heard()
    assert not line.is_behind
    assert line.is_quiet


def test_what_nobody_is_asked_about_between_two_questions_is_taken_off(line: Line, clock: Clock) -> None:
    line.heard()
    line.sent(5000, asks=True)
    line.sent(5000)
    line.wrote(10_000)
    clock.now += 1
    line.heard()
    assert not line.is_behind


def test_pictures_that_come_twice_a_second_find_a_line_behind_or_not_whatever_their_jitter(
    line: Line, clock: Clock
) -> None:
    line.heard()
    line.sent(3000, asks=True)
    line.wrote(3000)
    clock.now += 0.45
    assert line.is_behind


def test_after_a_lost_answer_one_picture_is_tried_and_no_second_one_however_small(line: Line, clock: Clock) -> None:
    """A terminal that has stopped is given as many as answers were lost, and not twice as many."""
    line.heard()
    _refresh(line, clock, 0.01, 0.5)
    line.sent(3000, asks=True)
    line.wrote(3000)
    clock.now += 1.1
    assert not line.is_behind, "its answer may just have been lost"
    line.sent(100, asks=True)
    line.wrote(100)
    assert not line.is_behind, "what belongs to the same picture"
    clock.now += 0.2
    assert line.is_behind
    line.heard()
    line.sent(100, asks=True)
    clock.now += 0.2
    assert not line.is_behind, "it goes on"


def test_a_terminal_that_was_left_and_is_taken_again_is_not_behind(line: Line, clock: Clock) -> None:
    """What it was asked before may never be answered: what was typed for it was thrown away."""
    line.heard()
    line.sent(3000, asks=True)
    line.wrote(1000)
    clock.now += 0.5
    assert line.is_behind
    line.begin()
    assert not line.is_behind
    assert line.is_quiet
    line.sent(3000)
    line.wrote(3000)
    clock.now += 0.5
    assert not line.is_behind


def _lose(line: Line, clock: Clock, patience_s: float) -> None:
    line.sent(5000, asks=True)
    line.wrote(5000)
    clock.now += patience_s - 0.5
    assert line.is_behind
    clock.now += 1
    assert not line.is_behind


def test_answers_that_are_lost_are_not_waited_for(line: Line, clock: Clock) -> None:
    line.heard()
    line.typed()
    for patience_s in (5, 5, 5):
        assert line.asks
        _lose(line, clock, patience_s)
    assert not line.asks, "another terminal that has no answers has taken its place"
    line.heard()
    assert line.asks, "or it was only very slow"


def test_a_line_that_is_cut_finds_few_pictures_when_it_goes_on(line: Line, clock: Clock) -> None:
    """Nobody types, so nobody is there: whatever the buffers on the way take, little is written."""
    line.heard()
    for patience_s in (5, 10, 20, *[40] * 2000):
        _lose(line, clock, patience_s)
    assert line.asks


def test_one_answer_that_is_lost_costs_a_second_where_all_came_soon(line: Line, clock: Clock) -> None:
    line.heard()
    for took_s, patience_s in ((0.01, 1.0), (0.5, 2.0), (3.0, 5.0)):
        clock.now += 100
        _refresh(line, clock, took_s, 1.0)
        line.sent(5000, asks=True)
        line.wrote(5000)
        clock.now += patience_s - 0.1
        assert line.is_behind
        clock.now += 0.2
        assert not line.is_behind
        line.heard()
        line.sent(5000, asks=True)
        line.wrote(5000)
        line.heard()


def test_a_terminal_that_stands_still_is_no_lost_answer(line: Line, clock: Clock) -> None:
    line.heard()
    line.sent(50_000, asks=True)
    line.wrote(8000)
    clock.now += 60
    assert line.is_behind


def _refresh(line: Line, clock: Clock, took_s: float, period_s: float) -> None:
    line.sent(3000, asks=True)
    line.wrote(3000)
    clock.now += took_s
    line.heard()
    clock.now += max(0.0, period_s - took_s)


def test_a_line_that_is_at_work_most_of_the_time_is_slow_until_it_is_not(line: Line, clock: Clock) -> None:
    _refresh(line, clock, 0.02, 0.5)
    for _ in range(12):
        _refresh(line, clock, 0.4, 0.5)
    assert line.is_slow
    for _ in range(8):
        _refresh(line, clock, 0.4, 1.0)
        assert line.is_slow, "half as much work, as it gets half as many pictures"
    for _ in range(8):
        _refresh(line, clock, 0.05, 1.0)
    assert not line.is_slow


def test_a_long_way_is_not_a_slow_line(line: Line, clock: Clock) -> None:
    for _ in range(20):
        _refresh(line, clock, 0.3, 0.5)
    assert not line.is_slow


def test_one_that_stands_still_is_slow(line: Line, clock: Clock) -> None:
    line.sent(50_000)
    clock.now += 4
    assert line.is_slow


def test_a_terminal_that_is_gone_holds_nothing_up(line: Line, clock: Clock) -> None:
    line.heard()
    line.sent(50_000, asks=True)
    clock.now += 4
    line.end()
    assert not line.is_behind
    assert line.is_quiet
