"""Fewer events give the answers that all of them gave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.fleet.agent.condense import condensed
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.conformance import HOST, SH, STACK
from tests.store.facts import SECOND, T0, Fact, Reference, batch_of, facts, queries, wide_queries, words

variations = st.tuples(
    st.integers(0, 2),
    st.sampled_from([0, 1, SECOND - 1, SECOND, 3 * SECOND]),
    st.sampled_from([0, 1, 5, 6, 7, 8, 9, 1000, 1 << 57]),
    st.sampled_from([1, 1, 1, 2, 7, 0]),
)
"""Of which prototype, how much later, how long, how many."""

some_facts = st.tuples(st.lists(facts, min_size=3, max_size=3), st.lists(variations, max_size=25)).map(
    lambda drawn: [
        replace(
            drawn[0][which], time_ns=T0 + later, duration_ns=min(ns * weight, 1 << 57), maximum_ns=ns, weight=weight
        )
        for which, later, ns, weight in drawn[1]
    ]
)
"""Events of which many are alike."""

of_all_times = st.tuples(queries, wide_queries, st.booleans()).map(
    lambda drawn: drawn[1] if drawn[2] else replace(drawn[0], start_ns=None, end_ns=None)
)


def store_of(events: list[Fact], resolution_ns: int | None = None) -> MemoryStore:
    """What a store has to say of them when they were condensed."""
    batch = batch_of(events, Symbols())
    store = MemoryStore()
    store.set_hosts([HOST])
    store.append(Batch(batch.symbols, condensed(batch.events, resolution_ns), batch.tags))
    return store


many = settings(max_examples=150, deadline=None)
resolutions = st.sampled_from([None, SECOND])


@many
@given(some_facts | st.lists(facts, max_size=20), of_all_times, resolutions)
def test_trees_and_completeness_stay(events: list[Fact], query: Query, resolution: int | None) -> None:
    store, truth = store_of(events, resolution), Reference(events)
    assert words(store.call_tree(query)) == truth.tree(query)
    assert store.completeness(query) == truth.completeness(query)


@many
@given(some_facts | st.lists(facts, max_size=20), of_all_times, resolutions)
def test_processes_stay(events: list[Fact], query: Query, resolution: int | None) -> None:
    got, expected = store_of(events, resolution).processes(query), Reference(events).processes(query)
    assert len(got) == len(expected)
    for use in got:
        names, *rest = expected[use.pid, use.start_ns]
        assert Process(use.pid, use.start_ns, use.name, use.cgroup, use.container) in names
        assert [use.threads, use.count, use.time_ns, use.completeness] == rest


@many
@given(some_facts | st.lists(facts, max_size=20), of_all_times, resolutions)
def test_latencies_stay_but_for_the_shortest(events: list[Fact], query: Query, resolution: int | None) -> None:
    got, expected = store_of(events, resolution).latencies(query), Reference(events).latencies(query)
    assert len(got) == len(expected)
    for one in got:
        key = one.pid, one.start_ns, one.name, one.value
        names, truth = expected[(*key, one.tid) if query.group is Group.THREAD else key]
        assert one.process in names
        assert replace(one, process="", minimum_ns=0, minimum_exact=True) == replace(
            truth, minimum_ns=0, minimum_exact=True
        )
        assert_shortest(one, truth, query)


def assert_shortest(got: Latency, truth: Latency, query: Query) -> None:
    """It is known as well as before, or less well as is documented; never wrongly."""
    told = got.minimum_ns, got.minimum_exact
    if told == (truth.minimum_ns, truth.minimum_exact):
        return
    assert truth.minimum_exact
    assert query.role is not Role.IN_FLIGHT
    if query.role is Role.OWN and query.kind is Kind.SYSCALL:
        power = max(0, truth.minimum_ns.bit_length() - 1)
        assert told == (2 ** min(power, 43) if power else 0, False)
    else:
        assert query.role is not Role.OWN or query.kind is not Kind.LOCK
        assert told == (0, False)


@many
@given(some_facts)
def test_it_does_not_matter_how_often_and_in_which_parts(events: list[Fact]) -> None:
    """An interval may be condensed when it is merged and again when it is pushed."""
    batch = batch_of(events, Symbols())
    half = len(events) // 2
    parts = np.concatenate([condensed(batch.events[:half], SECOND), condensed(batch.events[half:])])
    once, twice = condensed(batch.events), condensed(parts)
    assert len(condensed(once)) == len(once)
    for kind in np.unique(batch.events["kind"]).tolist():
        for role in Role:
            sums = [
                [int(some[name].astype(np.int64)[of_role(some, kind, role)].sum()) for name in ("weight",)]
                for some in (once, twice)
            ]
            assert sums[0] == sums[1]


def of_role(events: np.ndarray, kind: int, role: Role) -> np.ndarray:
    return (events["kind"] == kind) & ((events["flags"] >> ROLE_SHIFT & 3) == role)


def rows(*events: Fact, resolution_ns: int | None = None) -> list[tuple[int, ...]]:
    """Time since T0, weight, duration and maximum of what is left, in order."""
    out = condensed(batch_of(events, Symbols()).events, resolution_ns)
    assert out.dtype == EVENT
    columns = (out["time_ns"] - np.uint64(T0), out["weight"], out["duration_ns"], out["maximum_ns"])
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


SAMPLE = Fact(T0, SH, stack=STACK, duration_ns=10, maximum_ns=10)
CALL = replace(SAMPLE, kind=Kind.SYSCALL, name="read", stack=())
WAIT = replace(CALL, kind=Kind.LOCK, name="futex", value=77)


def test_samples_of_a_stack_are_one_with_the_time_of_the_newest() -> None:
    later = [replace(SAMPLE, time_ns=T0 + i) for i in range(5)]
    assert rows(*later) == [(4, 5, 50, 10)]
    assert rows(*later, resolution_ns=2) == [(1, 2, 20, 10), (3, 2, 20, 10), (4, 1, 10, 10)]
    assert len(rows(SAMPLE, replace(SAMPLE, tid=2), replace(SAMPLE, thread="x"), replace(SAMPLE, stack=()))) == 4
    assert len(rows(SAMPLE, replace(SAMPLE, kind=Kind.OFFCPU))) == 2


def test_an_event_is_of_no_cpu_once_it_is_of_several() -> None:
    events = batch_of([SAMPLE] * 3, Symbols()).events
    events["cpu"] = 3
    assert condensed(events)["cpu"].tolist() == [3]
    events["cpu"][1] = 4
    assert condensed(events)["cpu"].tolist() == [0]


def test_calls_of_a_bucket_are_one_and_a_lone_one_still_tells_the_shortest() -> None:
    calls = [replace(CALL, time_ns=T0 + i, duration_ns=ns, maximum_ns=ns) for i, ns in enumerate((12, 9, 15, 20))]
    assert rows(*calls) == [(2, 3, 36, 15), (3, 1, 20, 20)]
    many = replace(CALL, weight=4, duration_ns=40, maximum_ns=14)
    assert rows(CALL, many, CALL) == [(0, 6, 60, 14)]
    other_bucket = replace(many, maximum_ns=20)
    assert rows(CALL, other_bucket) == [(0, 1, 10, 10), (0, 4, 40, 20)]


def test_the_shortest_wait_for_a_lock_is_told_beside_many() -> None:
    many = replace(WAIT, weight=4, duration_ns=40, maximum_ns=14)
    shorter = replace(WAIT, duration_ns=8, maximum_ns=8)
    assert rows(WAIT, many, shorter, WAIT) == [(0, 1, 8, 8), (0, 6, 60, 14)]


def test_of_what_is_in_flight_the_newest_word_of_each_kind_stays() -> None:
    going = Role.IN_FLIGHT << ROLE_SHIFT
    told = [
        replace(CALL, time_ns=T0 + i, flags=going, duration_ns=i, maximum_ns=i, tid=t) for i in (1, 2) for t in (1, 2)
    ]
    lock = replace(told[0], kind=Kind.LOCK)
    assert rows(*told, lock) == [(1, 1, 1, 1), (2, 1, 2, 2), (2, 1, 2, 2)]
    assert len(rows(*told, lock, resolution_ns=1)) == 5


def test_what_is_no_sum_stays_as_it_is() -> None:
    kernels = [replace(SAMPLE, kind=Kind.GPU_KERNEL)] * 2
    assert len(rows(*kernels)) == 2


def test_sums_that_do_not_fit_into_a_record_stay_apart() -> None:
    most = (1 << 32) - 1
    assert rows(replace(CALL, weight=most - 2), replace(CALL, weight=2)) == [(0, most, 20, 10)]
    events = [replace(CALL, weight=most), replace(CALL, weight=2)]
    assert sorted(w for _, w, *_ in rows(*events)) == [2, most]
    ages = [replace(SAMPLE, kind=Kind.OFFCPU, duration_ns=1 << 56, weight=2) for _ in range(200)]
    query = Query(Kind.OFFCPU, measure=Measure.TIME)
    assert words(store_of(ages[:100]).call_tree(query)) == Reference(ages[:100]).tree(query)
    assert len(rows(*ages)) == 200


def test_nothing_is_nothing() -> None:
    assert len(condensed(np.zeros(0, EVENT))) == 0


def test_the_sum_of_none_and_one_does_not_pass_for_one() -> None:
    assert rows(SAMPLE, replace(SAMPLE, weight=0, duration_ns=0)) == [(0, 0, 0, 10), (0, 1, 10, 10)]
