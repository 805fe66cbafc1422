"""What is asked of a store for a rule, of whom, and how sure one may be of the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aperture_tui.fleet.aggregator.alerts.measuring import (
    MOST_GROUPS,
    Machines,
    Window,
    machines,
    of_rate,
    of_samples,
    reading,
    window,
)
from aperture_tui.fleet.aggregator.alerts.rules import By, Rule
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.base import Estimate
from aperture_tui.store.fleet_base import HostState
from tests.fleet.aggregator.kept import KeptStore
from tests.fleet.aggregator.pushing import SH, stack
from tests.store.facts import SECOND, T0, Fact, batch_of

MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
START = T0 // MINUTE * MINUTE
WITHIN = Window(START, START + 5 * MINUTE)
EVERYBODY = Machines("", Query(), START, START + 5 * MINUTE)
A_C = parse("host:a,c")
SHARE = Rule("r", where=parse("fn:hot"), above=0.2)


def host(name: str, service: str, seen_ns: int = START) -> HostState:
    return HostState(name, service, first_ns=START - MINUTE, newest_ns=seen_ns, seen_ns=seen_ns)


HOSTS = [host("a", "shop"), host("b", "shop"), host("c", "bank"), host("d", "")]


def of_whom(rule: Rule, hosts: list[HostState] = HOSTS) -> dict[str, Query]:
    return {of.name: of.query for of in machines(rule, hosts, START)[0]}


# -- when


def test_a_window_is_of_whole_minutes_that_are_half_a_minute_old() -> None:
    rule = Rule("r", window_s=300)
    assert window(rule, START + 29 * SECOND) == (START - 6 * MINUTE, START - MINUTE)
    assert window(rule, START + 30 * SECOND) == (START - 5 * MINUTE, START)


# -- of whom


def test_groups_and_the_cheapest_question_about_each() -> None:
    assert of_whom(Rule("r")) == {"": Query()}
    assert of_whom(Rule("r", by=By.HOST)) == {name: Query(hosts=(name,)) for name in "abcd"}
    assert of_whom(Rule("r", by=By.SERVICE)) == {name: Query(service=name) for name in ("", "bank", "shop")}


@pytest.mark.parametrize(
    ("line", "by", "groups"),
    [
        ("service:shop", None, {"": Query(service="shop")}),
        ("host:a,b", None, {"": Query(service="shop")}),
        ("service:*", None, {"": Query()}),
        ("host:a", None, {"": Query(service="shop", where=parse("host:a"))}),
        ("host:a,c,d", None, {"": Query(where=parse("host:a,c,d"))}),
        ("-service:shop", None, {"": Query(where=parse("-service:shop"))}),
        ("host:a,c", By.SERVICE, {"shop": Query(service="shop", where=A_C), "bank": Query(service="bank")}),
        ("service:shop", By.HOST, {"a": Query(hosts=("a",)), "b": Query(hosts=("b",))}),
        ("service:none", None, {}),
    ],
)  # fmt: skip
def test_machines_of_a_line_are_asked_about_without_it_where_that_says_the_same(
    line: str, by: By | None, groups: dict[str, Query]
) -> None:
    assert of_whom(Rule("r", where=parse(line), by=by)) == groups


def test_who_was_not_heard_of_for_a_day_is_not_asked_about() -> None:
    hosts = [host("a", "shop"), host("b", "bank", START - DAY), host("c", "old", START - DAY - 1)]
    assert set(of_whom(Rule("r", by=By.SERVICE), hosts)) == {"shop", "bank"}


def test_groups_are_bounded_and_what_is_left_out_is_counted() -> None:
    hosts = [host(f"h{i:05}", f"s{i:05}") for i in range(MOST_GROUPS + 7)]
    for by in By:
        found, left_out = machines(Rule("r", by=by), hosts, START)
        assert ([of.name[1:] for of in found], left_out) == ([f"{i:05}" for i in range(MOST_GROUPS)], 7)
    assert machines(Rule("r"), hosts, START)[1] == 0


# -- how much


def store_of(*facts: Fact) -> KeptStore:
    store = KeptStore()
    store.append(batch_of(list(facts), Symbols()))
    return store


def samples(n: int, leaf: str, kind: Kind = Kind.CPU, duration_ns: int = 10_000_000, weight: int = 1) -> list[Fact]:
    """So many, as they come when alike ones are one."""
    return [Fact(START + MINUTE, SH, stack=stack(leaf), kind=kind, duration_ns=n * duration_ns, weight=n * weight)]


def test_shares_and_rates() -> None:
    store = store_of(
        *samples(3000, "hot"), *samples(7000, "cold"),
        *samples(20, "hot", Kind.OFFCPU, 30 * SECOND, weight=9), *samples(20, "cold", Kind.OFFCPU, 90 * SECOND),
        *samples(2, "hot", Kind.SYSCALL, 1000, weight=300),
    )  # fmt: skip
    hot = parse("fn:hot")
    for rule, value in (
        (SHARE, 0.3),
        (Rule("r", measure="cores"), 100 / 300),
        (Rule("r", where=hot, measure="cores"), 30 / 300),
        (Rule("r", kind=Kind.OFFCPU, where=hot), 0.25),
        (Rule("r", kind=Kind.OFFCPU, where=hot, measure="ns/s"), 600 * 1e9 / 300),
        (Rule("r", kind=Kind.OFFCPU, where=hot, measure="waits/s"), 180 / 300),
        (Rule("r", kind=Kind.SYSCALL, measure="calls/s"), 2.0),
        (Rule("r", kind=Kind.SYSCALL, where=parse("fn:cold"), measure="calls/s"), 0.0),
    ):
        found = reading(store, rule, EVERYBODY, WITHIN)
        assert found.value == pytest.approx(value), rule
        assert found.at_least <= found.value
        if rule.kind is not Kind.CPU:  # all of these are counted, none is a sample
            assert found.at_least == found.value


def test_what_is_not_known_is_none_and_says_why() -> None:
    store = store_of(*samples(10, "hot"))
    silent = Machines("", Query(), START, START + 2 * MINUTE)
    new = Machines("", Query(), START + 3 * MINUTE, START + 5 * MINUTE)
    later = Window(START + 10 * MINUTE, START + 15 * MINUTE)
    later_on = Machines("", Query(), START, START + 15 * MINUTE)
    for rule, of, within, why in (
        (SHARE, silent, WITHIN, "less than half of the window was pushed"),
        (SHARE, new, WITHIN, "less than half of the window was pushed"),
        (SHARE, later_on, later, "there is nothing of this kind in the window"),
        (Rule("r", kind=Kind.LOCK, measure="ns/s"), EVERYBODY, WITHIN, "no events of this kind were ever pushed"),
    ):
        found = reading(store, rule, of, within)
        assert (found.value, found.why) == (None, why)
    assert reading(store, Rule("r", measure="cores"), later_on, later).value == 0  # they push, and do nothing
    store.estimate = Estimate(missing_ns=1)
    assert reading(store, SHARE, EVERYBODY, WITHIN).why == "a part of the window is kept no more"


def test_a_rate_is_of_the_time_that_was_pushed() -> None:
    store = store_of(*samples(400, "hot"))
    four = Machines("", Query(), START, START + 4 * MINUTE)
    assert reading(store, Rule("r", measure="cores"), four, WITHIN).value == pytest.approx(4 / 240)


# -- how sure


def test_few_samples_are_not_sure_and_many_are() -> None:
    for n, least in ((1, 0.0), (5, 0.1), (10_000, 0.29)):
        store = store_of(*samples(3 * n, "hot"), *samples(7 * n, "cold"))
        found = reading(store, SHARE, EVERYBODY, WITHIN)
        assert found.value == pytest.approx(0.3)
        assert found.at_least > least
        assert (found.at_least > SHARE.above) is (n == 10_000)


def test_a_part_of_the_events_is_as_sure_as_its_estimate_says() -> None:
    store = store_of(*samples(30_000, "hot"), *samples(70_000, "cold"))
    sure = reading(store, SHARE, EVERYBODY, WITHIN).at_least
    store.estimate = Estimate(sampled=25, events=4_000, share_error=0.98 / math.sqrt(4_000))
    part = reading(store, SHARE, EVERYBODY, WITHIN)
    assert 0.25 < part.at_least < sure < part.value
    store.estimate = Estimate(sampled=3_125, events=32, share_error=0.98 / math.sqrt(32))
    assert reading(store, SHARE, EVERYBODY, WITHIN).at_least < SHARE.above


@pytest.mark.parametrize(("events", "share"), [(200, 0.3), (2_000, 0.3), (5_000, 0.02)])
def test_of_a_part_of_the_events_the_lower_end_is_below_the_truth_as_often_as_it_says(
    events: int, share: float
) -> None:
    """One of 25 events is drawn, many times: 97.5 % of the lower ends have to be below the share that all had. Of
    stacks the error is told of all that were looked at, not of those that matched.
    """
    chance = np.random.default_rng(7)
    rule = Rule("r", kind=Kind.OFFCPU, where=parse("fn:hot"), above=0.9)
    below = 0
    for _ in range(200):
        hot, cold = (chance.binomial(25 * round(events * part), 1 / 25) for part in (share, 1 - share))
        store = store_of(
            Fact(START, SH, stack=stack("hot"), kind=Kind.OFFCPU, duration_ns=int(25 * hot), weight=1),
            Fact(START, SH, stack=stack("cold"), kind=Kind.OFFCPU, duration_ns=int(25 * cold), weight=1),
        )
        store.estimate = Estimate(25, int(hot + cold), 0.98 / math.sqrt(hot + cold))
        found = reading(store, rule, EVERYBODY, WITHIN)
        assert found.value is not None
        below += found.at_least <= share
        assert found.at_least > 0.5 * found.value
    assert below >= 195


@pytest.mark.parametrize(("share", "samples"), [(0.3, 30), (0.3, 300), (0.9, 40), (1.0, 5)])
def test_lower_ends_of_shares_are_below_the_truth_as_often_as_they_say(share: float, samples: int) -> None:
    drawn = np.random.default_rng(5).binomial(samples, share, 5_000)
    assert np.mean([of_samples(k / samples, samples) <= share for k in drawn]) > 0.95


def test_lower_ends_of_rates_are_below_the_truth_as_often_as_they_say() -> None:
    drawn = np.random.default_rng(5).poisson(50, 5_000)
    assert np.mean([of_rate(float(k), int(k)) <= 50 for k in drawn]) > 0.95
    assert of_rate(5.0, 0) == of_samples(0.5, 0) == 0.0
