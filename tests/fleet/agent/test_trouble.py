"""When it is tried again, and what of it is said."""

from __future__ import annotations

from aperture_tui.fleet.agent import delivery, trouble


def test_delays_double_up_to_a_limit_and_are_spread() -> None:
    most = trouble.Trouble(print, chance=lambda low, high: high)
    delays = [most.failed(delivery.Verdict.UNREACHABLE, "x") for _ in range(8)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]
    least = trouble.Trouble(print, chance=lambda low, high: low)
    assert [least.failed(delivery.Verdict.UNREACHABLE, "x") for _ in range(3)] == [0.5, 1, 2]
    assert most.failed(delivery.Verdict.UNWELCOME, "x") == 66
    assert most.failed(delivery.Verdict.LATER, "x", 8.0) == 10
    least.ended("a", 0)
    assert least.failed(delivery.Verdict.UNREACHABLE, "x") == 0.5


def test_being_asked_to_wait_is_said_when_it_lasts() -> None:
    now, said = [0.0], list[str]()
    state = trouble.Trouble(said.append, clock=lambda: now[0])
    state.ended("a:1", 1)
    for _ in range(40):
        state.failed(delivery.Verdict.LATER, "a:1: busy", 1.0)
        now[0] += 1
    state.ended("a:1", 4)
    state.failed(delivery.Verdict.LATER, "a:1: busy", 1.0)
    state.ended("a:1", 1)
    assert said == [
        "connected to a:1",
        "a:1: busy: what is collected is kept meanwhile",
        "a:1: connected again after 40 s, 4 intervals to push",
    ]
