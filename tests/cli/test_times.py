"""Times of the command line; tests/profile/test_times.py has what they mean."""

from __future__ import annotations

import argparse

import pytest

from aperture_tui.cli.times import attached, moment

NOW = 1_700_000_000 * 10**9


def test_a_time() -> None:
    assert moment("-15m").resolve(NOW) == NOW - 900 * 10**9
    assert moment("2023-11-14T22:13:20Z").resolve(0) == NOW


@pytest.mark.parametrize("text", ["", "-15x", "yesterday"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
        moment(text)


def test_a_value_that_begins_with_a_dash_stays_with_its_option() -> None:
    argv = ["f", "--from", "-15m", "--to", "now", "-o", "-15m", "--from"]
    assert attached(argv, ("--from", "--to")) == ["f", "--from=-15m", "--to", "now", "-o", "-15m", "--from"]
    assert attached(["--from", "--to", "-1s"], ("--from", "--to")) == ["--from", "--to", "-1s"]
