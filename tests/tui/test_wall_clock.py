from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from aperture_tui.tui.wall_clock import clock, moment, passed, short

SECOND = 10**9
AT = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_moment_of_another_day_has_its_date_in_few_cells() -> None:
    assert short(AT, AT + 5 * SECOND) == "23:13:20"
    assert short(AT, AT + 86400 * SECOND) == "Nov 14 23:13:20"
    assert short(0, AT) == ""


def test_times_are_local() -> None:
    assert clock(AT) == "23:13:20"
    assert clock(AT + SECOND - 1) == "23:13:20", "a second that has not passed is not said"
    assert clock(0) == ""


def test_the_date_is_said_unless_it_is_today() -> None:
    assert moment(AT, AT + 40 * 60 * SECOND) == "23:13:20 CET"
    assert moment(AT, AT + 50 * 60 * SECOND) == "2023-11-14 23:13:20 CET", "past midnight"
    assert moment(0, AT) == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (7.9, "0:07"), (723, "12:03"), (3723, "1:02:03"), (360_000, "100:00:00")]
)
def test_how_far_it_is_said_as_players_do(seconds: float, said: str) -> None:
    assert passed(int(seconds * SECOND)) == said
