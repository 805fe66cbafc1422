"""What becomes of values over time, step by step."""

from __future__ import annotations

import pytest

from aperture_tui.fleet.aggregator.alerts.measuring import Reading
from aperture_tui.fleet.aggregator.alerts.rules import Rule
from aperture_tui.fleet.aggregator.alerts.states import Alert, State

MINUTE = 60_000_000_000
UNKNOWN, OK, PENDING, FIRING = State.UNKNOWN, State.OK, State.PENDING, State.FIRING


def run(readings: str, for_s: int) -> tuple[list[State], list[int]]:
    """A reading a minute: `+` above, `-` not, `~` above but for its error, `?` none. The states, since when."""
    rule = Rule("r", above=0.5, for_s=for_s)
    told = {"+": Reading(0.6, 0.55), "-": Reading(0.4, 0.4), "~": Reading(0.6, 0.5), "?": Reading(why="no")}
    alert = Alert("", 0)
    states, since = [], []
    for minute, sign in enumerate(readings, 1):
        before = alert.state
        assert alert.step(rule, told[sign], minute * MINUTE) is (alert.state is not before)
        states.append(alert.state)
        since.append(alert.since_ns // MINUTE)
    return states, since


@pytest.mark.parametrize(
    ("readings", "for_s", "states"),
    [
        ("-+-", 0, [OK, FIRING, OK]),
        ("-+++-", 120, [OK, PENDING, PENDING, FIRING, OK]),
        ("+++", 120, [PENDING, PENDING, FIRING]),
        ("++-++", 120, [PENDING, PENDING, OK, PENDING, PENDING]),
        ("+~+", 60, [PENDING, OK, PENDING]),
        ("~", 0, [OK]),
        ("?-?", 0, [UNKNOWN, OK, UNKNOWN]),
        ("++?++", 60, [PENDING, FIRING, UNKNOWN, FIRING, FIRING]),
        ("++?-+", 60, [PENDING, FIRING, UNKNOWN, OK, PENDING]),
        ("++??+", 60, [PENDING, FIRING, UNKNOWN, UNKNOWN, FIRING]),
        ("+?++", 60, [PENDING, UNKNOWN, PENDING, FIRING]),
    ],
)
def test_states(readings: str, for_s: int, states: list[State]) -> None:
    assert run(readings, for_s)[0] == states


def test_since_when() -> None:
    assert run("-+++--?", 120)[1] == [1, 2, 2, 4, 5, 5, 7]
