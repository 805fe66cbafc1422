"""The plan of an answer: every moment of the range is read once, exactly if that is cheap, and cheaply if not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED
from aperture_tui.store.clickhouse.sources import Budget, Need, plan

S = 1_000_000_000
HOUR, DAY = 3600 * S, 86_400 * S
T0 = 1_700_000_000 * S // DAY * DAY
RATES = {
    "events": 20_000.0, "events_5": 4000.0, "events_25": 800.0, "events_125": 160.0, "events_625": 32.0,
    "minutes": 3100.0, "hours": 56.0, "days": 2.4, "host_hours": 1500.0,
}  # fmt: skip
"""Of the fleet that the notes measured: 1,000 machines, 50 services."""
FLEET = Need(T0, T0 + HOUR, 1000, 50, 1.0, 1.0, stacks=True)
SERVICE = replace(FLEET, machines=20, services=1, share=0.02, service_share=0.02)
HOST = replace(FLEET, machines=1, services=1, share=0.001, service_share=0.02, by_host=True)

needs = st.builds(
    lambda need, start, length, columns, stacks: replace(
        need, start_ns=T0 + start, end_ns=T0 + start + length, columns=columns, stacks=stacks
    ),
    st.sampled_from([FLEET, SERVICE, HOST]),
    st.integers(0, 40 * DAY),
    st.one_of(st.integers(1, 3 * HOUR), st.integers(1, 40 * DAY)),
    st.integers(1, 8),
    st.booleans(),
)


@given(needs, st.floats(0.001, 10))
def test_every_moment_is_in_one_piece(need: Need, seconds: float) -> None:
    pieces = plan(need, RATES, Budget(seconds))
    at = need.start_ns
    for piece in pieces:
        assert piece.start_ns == at
        assert piece.start_ns < piece.end_ns
        at = piece.end_ns
        if piece.rollup is not None:
            assert need.stacks
            assert piece.rollup.hosts == need.by_host
            width = piece.rollup.seconds * S
            assert (piece.start_ns % width, piece.end_ns % width) == (0, 0)
    assert at == need.end_ns
    assert len({piece.table for piece in pieces if piece.rollup is None}) <= 1


@given(needs)
def test_what_is_cheap_is_exact(need: Need) -> None:
    assert all(piece.one_of == 1 for piece in plan(need, dict.fromkeys(RATES, 1.0), Budget(60)))


def tables(need: Need, **changes: int) -> list[str]:
    return [piece.table for piece in plan(replace(need, **changes), RATES, Budget(0.07, 2))]


def test_what_screens_ask_for_is_answered_by_what_is_cheapest() -> None:
    assert tables(FLEET) == ["hours"]
    assert tables(FLEET, end_ns=T0 + DAY) == ["days"]
    assert tables(SERVICE) == ["hours"]
    assert tables(SERVICE, start_ns=T0 + 1, end_ns=T0 + 61 * S) == ["events"]
    assert tables(SERVICE, start_ns=T0 + 20 * 60 * S, end_ns=T0 + 80 * 60 * S) == ["minutes"]
    assert tables(SERVICE, start_ns=T0 + 90 * 60 * S, end_ns=T0 + 270 * 60 * S) == ["minutes", "hours", "minutes"]
    assert tables(HOST, start_ns=T0 + S, end_ns=T0 + S + HOUR) == ["events"]
    assert tables(HOST, start_ns=T0 + S, end_ns=T0 + S + DAY) == ["events", "host_hours", "events"]


def test_the_finest_is_taken_that_fits() -> None:
    edges = replace(FLEET, stacks=False)
    (piece,) = plan(edges, RATES, Budget(0.07, 2))
    assert piece.one_of == 25
    (more,) = plan(edges, RATES, Budget(0.7, 2))
    assert more.one_of == 5
    (least,) = plan(replace(edges, end_ns=T0 + 40 * DAY), RATES, Budget(0.001, 1))
    assert least.one_of == SAMPLED[-1]


def test_each_rollup_is_a_multiple_of_the_one_before() -> None:
    """So that pieces of one begin and end where those of the next do."""
    for hosts in (False, True):
        widths = sorted(rollup.seconds for rollup in ROLLUPS if rollup.hosts == hosts)
        assert all(b % a == 0 for a, b in pairwise(widths))
