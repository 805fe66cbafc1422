"""Times as people give them."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.times import is_ago, moment

NOW = 1_700_000_000 * 10**9
"""2023-11-14T22:13:20Z."""
SECOND, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-15m", NOW - 15 * MINUTE),
        ("-1h30m", NOW - 90 * MINUTE),
        ("-0.5s", NOW - 500_000_000),
        ("-250ms", NOW - 250_000_000),
        ("-2d", NOW - 48 * HOUR),
        ("-999999999d", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14 22:13:20.000001+00:00", NOW + 1000),
        ("20231114T221320Z", NOW),
        ("22:13:20", NOW),
        ("22:13", NOW - 20 * SECOND),
        ("9:05", NOW - 13 * HOUR - 8 * MINUTE - 20 * SECOND + 24 * HOUR),
        ("22:13:19.25", NOW - 750_000_000),
    ],
)
def test_a_time(text: str, expected: int) -> None:
    assert moment(text).resolve(NOW) == expected


@pytest.mark.parametrize(
    ("text", "start", "end", "expected"),
    [
        ("9:05", NOW - 14 * HOUR, NOW, NOW - 13 * HOUR - 8 * MINUTE - 20 * SECOND),
        ("22:00", NOW - 50 * HOUR, NOW, NOW - 13 * MINUTE - 20 * SECOND),
        ("22:20", NOW - 50 * HOUR, NOW, NOW + 6 * MINUTE + 40 * SECOND - 24 * HOUR),
        ("22:20", NOW - MINUTE, NOW, NOW + 6 * MINUTE + 40 * SECOND),
        ("22:00", NOW - MINUTE, NOW, NOW - 13 * MINUTE - 20 * SECOND),
        ("23:59", NOW + HOUR, NOW + 2 * HOUR, NOW + HOUR + 45 * MINUTE + 40 * SECOND),
        ("0:01", NOW + HOUR, NOW + 2 * HOUR, NOW + HOUR + 47 * MINUTE + 40 * SECOND),
    ],
    ids=["held", "the last of several", "the last is not held", "a little late", "a little early", "midnight", "after"],
)
def test_a_time_of_day_is_the_last_that_is_held_or_the_nearest(text: str, start: int, end: int, expected: int) -> None:
    assert moment(text).resolve(end, start) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("2:30", "1:30"), ("2:10", "1:10"), ("1:59", "23:59"), ("3:05", "2:05")]
)
def test_of_a_time_that_comes_twice_the_last_is_taken(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 2025-10-26 at 1:00 UTC the clocks of Berlin went back from 3:00 to 2:00."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        start, end = (moment(f"2025-10-{at}Z").resolve(NOW) for at in ("25T23:50", "26T02:20"))
        day = 25 if expected.startswith("23") else 26
        assert moment(text).resolve(end, start) == moment(f"2025-10-{day}T{expected:0>5}Z").resolve(NOW)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    assert moment("2023-11-15T00:13:20").resolve(0) == NOW
    assert moment("2023-11-15").resolve(0) == NOW - (13 * 60 + 20) * 10**9
    assert moment("00:13:20").resolve(NOW) == NOW


@pytest.mark.parametrize(
    "text",
    ["", "-", "15m", "-15", "-m", "-15x", "-١m", "yesterday", "1969-12-31T00:00:00Z", "2023-13-01", "now ", "14:60",
     "25:00", "14:3", "14:03:2", "14:03Z", "1٤:03", "2300-01-01", "9999-12-31"],
)  # fmt: skip
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment(text)


@given(st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)))
def test_any_moment_survives_to_the_microsecond(given_time: datetime.datetime) -> None:
    since = given_time - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert moment(given_time.isoformat()).resolve(0) == since // datetime.timedelta(microseconds=1) * 1000


@given(st.times(), st.integers(2 * 86400, 1 << 33), st.integers(0, 40 * 86400))
def test_any_time_of_day_is_held_or_at_most_half_a_day_off(of_day: datetime.time, end_s: int, length_s: int) -> None:
    start, end = max(0, end_s - length_s) * SECOND, end_s * SECOND
    found = moment(of_day.isoformat()).resolve(end, start)
    assert start - 12 * HOUR <= found <= end + 12 * HOUR
    assert length_s < 86400 or start <= found <= end


@given(st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert moment(text).resolve(NOW) >= 0


def test_how_long_ago_is_told_from_an_option() -> None:
    assert is_ago("-1h30m")
    assert not is_ago("-o")
