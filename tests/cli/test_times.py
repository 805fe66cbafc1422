"""Times of the command line."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.cli.times import attached, moment

NOW = 1_700_000_000 * 10**9
MINUTE = 60 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-15m", NOW - 15 * MINUTE),
        ("-1h30m", NOW - 90 * MINUTE),
        ("-0.5s", NOW - 500_000_000),
        ("-250ms", NOW - 250_000_000),
        ("-2d", NOW - 2 * 86400 * 10**9),
        ("-999999999d", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14 22:13:20.000001+00:00", NOW + 1000),
        ("20231114T221320Z", NOW),
    ],
)
def test_a_time(text: str, expected: int) -> None:
    assert moment(text).resolve(NOW) == expected


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        assert moment("2023-11-15T00:13:20").resolve(0) == NOW
        assert moment("2023-11-15").resolve(0) == NOW - (13 * 60 + 20) * 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["", "-", "15m", "-15", "-m", "-15x", "-١m", "yesterday", "1969-12-31T00:00:00Z", "2023-13-01", "now "]
)
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
        moment(text)


@given(st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)))
def test_any_moment_survives_to_the_microsecond(given_time: datetime.datetime) -> None:
    since = given_time - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert moment(given_time.isoformat()).resolve(0) == since // datetime.timedelta(microseconds=1) * 1000


@given(st.text())
def test_any_text_is_a_time_or_wrong_usage(text: str) -> None:
    with contextlib.suppress(argparse.ArgumentTypeError):
        assert moment(text).resolve(NOW) >= 0


def test_a_value_that_begins_with_a_dash_stays_with_its_option() -> None:
    argv = ["f", "--from", "-15m", "--to", "now", "-o", "-15m", "--from"]
    assert attached(argv, ("--from", "--to")) == ["f", "--from=-15m", "--to", "now", "-o", "-15m", "--from"]
    assert attached(["--from", "--to", "-1s"], ("--from", "--to")) == ["--from", "--to", "-1s"]
