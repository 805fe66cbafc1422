"""The pauses between trials, by a clock that is set."""

from __future__ import annotations

from aperture_tui.filters.failures import Failures


def test_pauses_double_up_to_half_a_minute_and_begin_anew_after_ten_good_seconds() -> None:
    failures, now = Failures(), 0.0
    pauses = []
    for _ in range(8):
        failures.add(now, good_since=now)
        pauses.append(failures.retry_at - now)
        now = failures.retry_at
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    failures.add(now + 10, good_since=now)
    assert failures.retry_at - (now + 10) == 1


def test_five_failures_in_a_minute_are_enough() -> None:
    failures = Failures()
    for now in (0, 15, 30, 45):
        failures.add(now, now)
        assert not failures.disabled
    failures.add(60.5, 60.5)
    assert not failures.disabled
    failures.add(74, 74)
    assert failures.disabled
