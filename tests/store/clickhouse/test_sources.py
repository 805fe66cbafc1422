"""The plan of an answer: every moment of the range is read once, exactly if that is cheap, and cheaply if not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED
from aperture_tui.store.clickhouse.sources import Budget, Need, Sizes, cost, gone_ns, plan

S = 1_000_000_000
HOUR, DAY = 3600 * S, 86_400 * S
T0 = 1_700_000_000 * S // DAY * DAY
RATES = {
    "events": 20_000.0, "events_5": 4000.0, "events_25": 800.0, "events_125": 160.0, "events_625": 32.0,
    "events_3125": 6.4,
    "minutes": 3100.0, "five_minutes": 650.0, "quarter_hours": 222.0, "hours": 56.0, "six_hours": 9.3, "days": 2.4,
    "host_hours": 1500.0,
}  # fmt: skip
"""Of the fleet that the notes measured: 1,000 machines, 50 services."""
SIZES = Sizes({table: int(40 * 86_400 * rate) for table, rate in RATES.items()}, RATES)
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
    pieces = plan(need, SIZES, Budget(seconds))
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


@given(needs, st.sampled_from([0, 1, 7, 30]), st.sampled_from([7, 30, 90]))
def test_what_is_gone_from_one_table_is_read_from_one_that_has_it(need: Need, events: int, sums: int) -> None:
    """Events are kept for fewer days than samples and minutes, these for fewer than hours and days."""
    now = T0 + 40 * DAY
    since = {"events": now - events * DAY} | {f"events_{n}": now - sums * DAY for n in SAMPLED}
    sizes = replace(SIZES, since_ns=since)
    pieces = plan(need, sizes, Budget())
    assert (pieces[0].start_ns, pieces[-1].end_ns) == (need.start_ns, need.end_ns)
    gone = gone_ns(pieces, sizes)
    if need.start_ns >= now - sums * DAY:
        assert gone == 0
    if need.stacks:
        assert gone < 2 * HOUR or need.by_host


@given(needs)
def test_what_is_cheap_is_exact(need: Need) -> None:
    few = Sizes(dict.fromkeys(RATES, 10**9), dict.fromkeys(RATES, 1.0))
    assert all(piece.one_of == 1 for piece in plan(need, few, Budget(60)))


def test_many_machines_of_few_events_cost_no_more_than_these() -> None:
    """Each is looked for in the table, but that has no more rows for it."""
    small = Sizes({"events": 3_000, "events_5": 600}, {"events": 1.0, "events_5": 0.2})
    (piece,) = plan(replace(FLEET, stacks=False, machines=3_000), small, Budget())
    assert piece.one_of == 1
    assert cost([piece, piece], FLEET, small) <= 6_000


def tables(need: Need, **changes: int) -> list[str]:
    return [piece.table for piece in plan(replace(need, **changes), SIZES, Budget(cores=2))]


def test_what_screens_ask_for_is_answered_by_what_is_cheapest() -> None:
    assert tables(FLEET) == ["hours"]
    assert tables(FLEET, end_ns=T0 + DAY) == ["days"]
    assert tables(SERVICE) == ["hours"]
    assert tables(SERVICE, start_ns=T0 + 1, end_ns=T0 + 61 * S) == ["events"]
    assert tables(SERVICE, start_ns=T0 + 30 * 60 * S, end_ns=T0 + 90 * 60 * S) == ["quarter_hours"]
    middle = ["quarter_hours", "hours", "quarter_hours"]
    assert tables(SERVICE, start_ns=T0 + 90 * 60 * S, end_ns=T0 + 270 * 60 * S) == middle
    assert tables(SERVICE, start_ns=T0 + 89 * 60 * S, end_ns=T0 + 271 * 60 * S) == ["minutes", *middle, "minutes"]
    assert tables(HOST, start_ns=T0 + S, end_ns=T0 + S + HOUR) == ["events"]
    assert tables(HOST, start_ns=T0 + S, end_ns=T0 + S + DAY) == ["events", "host_hours", "events"]


@given(st.integers(0, 40 * DAY), st.sampled_from([HOUR, DAY]), st.integers(1, 2))
def test_of_a_fleet_the_error_is_small_wherever_a_range_begins(start: int, length: int, queries: int) -> None:
    need = replace(FLEET, start_ns=T0 + start, end_ns=T0 + start + length)
    pieces = plan(need, SIZES, Budget(cores=2), queries)
    sampled = [piece for piece in pieces if piece.one_of > 1]
    rows = sum(RATES[piece.table] * (piece.end_ns - piece.start_ns) / S for piece in sampled)
    off = max((piece.one_of for piece in sampled), default=0) * rows**0.5
    assert off / (RATES["events"] * length / S) < (0.003 if queries == 1 else 0.005)
    assert cost(pieces, need, SIZES) <= (1 if length == HOUR else 2) * Budget(cores=2).rows(1) / queries


def test_the_finest_is_taken_that_fits() -> None:
    edges = replace(FLEET, stacks=False)
    (piece,) = plan(edges, SIZES, Budget(0.16, 2))
    assert piece.one_of == 25
    (half,) = plan(edges, SIZES, Budget(0.16, 2), queries=2)
    assert half.one_of == 125
    (more,) = plan(edges, SIZES, Budget(1.6, 2))
    assert more.one_of == 5
    (least,) = plan(replace(edges, end_ns=T0 + 40 * DAY), SIZES, Budget(0.001, 1))
    assert least.one_of == SAMPLED[-1]


def test_an_error_that_everybody_sees_is_worth_a_longer_wait_but_not_any() -> None:
    group = replace(FLEET, stacks=False, machines=10, share=0.01, by_host=True)
    (piece,) = plan(group, SIZES, Budget(cores=2))
    assert piece.one_of == 1, "a sample would be off by 3 points"
    assert cost([piece], group, SIZES) > Budget(cores=2).rows(1)
    (day,) = plan(replace(group, end_ns=T0 + 20 * DAY), SIZES, Budget(cores=2))
    assert day.one_of > 1


def test_what_few_events_are_of_is_looked_at_more_closely() -> None:
    sizes = replace(SIZES, commands={"nginx": 0.1, "rsync": 0.01})
    all_of_it = replace(FLEET, stacks=False)

    def one_of(command: str | None) -> int:
        (piece,) = plan(replace(all_of_it, command=command), sizes, Budget(cores=2))
        return piece.one_of

    assert (one_of(None), one_of("nginx"), one_of("rsync"), one_of("never seen")) == (625, 25, 5, 5)


def test_what_is_cheap_is_exact_and_of_the_rest_no_more_is_read_than_anybody_can_see() -> None:
    def one_of(need: Need, **changes: int) -> set[int]:
        return {piece.one_of for piece in plan(replace(need, **changes), SIZES, Budget(cores=2)) if not piece.rollup}

    somewhere = {"start_ns": T0 + 30 * S, "end_ns": T0 + 30 * S + HOUR}
    assert one_of(HOST, **somewhere) == one_of(SERVICE, **somewhere) == {1}
    assert one_of(FLEET, **somewhere) == {125}
    assert one_of(FLEET, start_ns=T0 + 30 * S, end_ns=T0 + 30 * S + DAY) == {3125}


def test_each_rollup_is_a_multiple_of_the_one_before() -> None:
    """So that pieces of one begin and end where those of the next do."""
    for hosts in (False, True):
        widths = sorted(rollup.seconds for rollup in ROLLUPS if rollup.hosts == hosts)
        assert all(b % a == 0 for a, b in pairwise(widths))
