"""What every Store must answer; a store's own test subclasses StoreConformance and says how to fill it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.completeness import Completeness, together
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Kind, Stop
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store.base import Store
from tests.store.facts import SECOND, T0, Fact, Reference, batch_of, facts, queries, times, words

HOST = HostFacts("box", "6.1.0", 2, 1 << 30, "boot-1")
SH = Process(1, T0 - 5, "sh", "/a")
PYTHON = Process(2, T0 - 6, "python3", "/a/b")

many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class StoreConformance:
    """The suite. Everything is compared with `Reference`, which counts the events one by one."""

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        """A store that holds exactly this, all of it from one host."""
        raise NotImplementedError

    def filled(self, *parts: Sequence[Fact]) -> Store:
        """A store that was given these facts, a batch for each part."""
        symbols = Symbols()
        return self.make_store([batch_of(part, symbols) for part in parts])

    @many
    @given(st.lists(st.lists(facts, max_size=12), max_size=3), queries)
    def test_a_call_tree_has_every_selected_stack_with_its_weight(self, parts: list[list[Fact]], query: Query) -> None:
        tree = self.filled(*parts).call_tree(query)
        assert words(tree) == Reference(itertools.chain.from_iterable(parts)).tree(query)

    @many
    @given(st.lists(facts, max_size=20), queries, queries)
    def test_a_diff_is_after_less_base(self, events: list[Fact], base: Query, after: Query) -> None:
        assert words(self.filled(events).diff(base, after)) == Reference(events).diff(base, after)

    @many
    @given(st.lists(facts, max_size=20), queries)
    def test_processes_are_counted_by_pid_and_start_and_sorted(self, events: list[Fact], query: Query) -> None:
        got = self.filled(events).processes(query)
        expected = Reference(events).processes(query)
        assert {(use.pid, use.start_ns) for use in got} == set(expected)
        assert len(got) == len(expected)
        for use in got:
            names, threads, count, time_ns, whole = expected[use.pid, use.start_ns]
            assert Process(use.pid, use.start_ns, use.name, use.cgroup, use.container) in names
            assert (use.threads, use.count, use.time_ns, use.completeness) == (threads, count, time_ns, whole)
        weights = [use.count if query.measure is Measure.COUNT else use.time_ns for use in got]
        assert weights == sorted(weights, reverse=True)

    @many
    @given(st.lists(st.lists(facts, max_size=12), max_size=3), queries)
    def test_completeness_is_that_of_the_selected_events(self, parts: list[list[Fact]], query: Query) -> None:
        store = self.filled(*parts)
        got = store.completeness(query)
        assert got == Reference(itertools.chain.from_iterable(parts)).completeness(query)
        assert got == together(use.completeness for use in store.processes(query))
        assert got.weight == store.call_tree(replace(query, measure=Measure.COUNT)).weight

    def test_what_does_not_say_whether_its_stack_is_whole_is_unknown_and_not_zero(self) -> None:
        """As in recordings of older versions."""
        whole, cut = Flag.WHOLE | Flag.GUESSED, Stop.TOO_DEEP << STOP_SHIFT
        facts = [
            Fact(T0, SH, flags=Flag.KERNEL_MODE | Flag.TRUNCATED, weight=5),
            Fact(T0, PYTHON, flags=whole, weight=3),
            Fact(T0, PYTHON, flags=cut, weight=1),
        ]
        store = self.filled(facts)
        python, sh = sorted(store.processes(Query()), key=lambda use: use.name)
        assert (sh.completeness.share, sh.completeness.unknown) == (None, 5)
        assert (python.completeness.share, python.completeness.stops) == (0.75, {Stop.TOO_DEEP: 1})
        assert store.completeness(Query()) == Completeness(4, 3, 3, 5, {Stop.TOO_DEEP: 1})
        assert store.completeness(Query(pids=(SH.pid,))).share is None

    @many
    @given(st.lists(facts, max_size=20), queries, st.integers(1, 50))
    def test_a_timeline_puts_every_event_in_its_bucket(self, events: list[Fact], query: Query, buckets: int) -> None:
        store = self.filled(events)
        got = store.timeline(query, buckets)
        assert got.weights.shape == (buckets,)
        assert got.weights.dtype == np.int64
        assert got.weights.tolist() == Reference(events).timeline(query, got.start_ns, got.bucket_ns, buckets)
        if Reference(events).select(query):
            span = store.span()
            begin = max(span.start_ns, query.start_ns or 0)
            end = min(span.end_ns, span.end_ns if query.end_ns is None else query.end_ns)
            assert got.start_ns == begin
            assert got.bucket_ns == -(-(end - begin) // buckets)

    @many
    @given(st.lists(facts, max_size=20))
    def test_the_span_covers_all_events_and_no_more(self, events: list[Fact]) -> None:
        span = self.filled(events).span()
        at = [fact.time_ns for fact in events]
        assert (span.start_ns, span.end_ns) == ((min(at), max(at) + 1) if at else (0, 0))
        assert span.events == len(events)
        assert (span.dropped_events, span.limit) == (0, "")

    @many
    @given(st.lists(times, max_size=10), st.none() | times, st.none() | times)
    def test_gauges_of_a_range_come_oldest_first(self, at: list[int], start: int | None, end: int | None) -> None:
        samples = [HostSample(t, cpu_user=0.5, load=(1.0, 2.0, 3.0), own_memory_bytes=7) for t in at]
        got = self.make_store([], samples).gauges(Query(start_ns=start, end_ns=end))
        assert got == sorted(
            (s for s in samples if (start is None or s.time_ns >= start) and (end is None or s.time_ns < end)),
            key=lambda s: s.time_ns,
        )

    def test_a_range_is_exact_to_the_nanosecond_within_a_second(self) -> None:
        store = self.filled([Fact(T0 + ns, SH, weight=1 << i) for i, ns in enumerate([4, 5, 6, 7])])
        assert store.call_tree(Query(start_ns=T0 + 5, end_ns=T0 + 7)).weight == 0b0110

    def test_an_empty_store_answers_with_nothing(self) -> None:
        store = self.make_store([])
        assert (store.span().start_ns, store.span().end_ns, store.span().events) == (0, 0, 0)
        assert store.processes(Query()) == []
        assert store.timeline(Query(), 4).weights.tolist() == [0, 0, 0, 0]
        assert store.call_tree(Query()).weight == 0
        assert store.diff(Query(), Query(kind=Kind.LOCK)).weight == 0
        assert store.completeness(Query()) == Completeness()
        assert store.gauges(Query()) == []

    def test_a_pattern_that_is_none_is_an_error_wherever_it_is_used(self) -> None:
        query = Query(frame="(")
        for store in (self.make_store([]), self.filled([Fact(T0, SH)])):
            for ask in (store.call_tree, store.processes, store.completeness, lambda q, s=store: s.timeline(q, 3)):
                with pytest.raises(re.error):
                    ask(query)
            with pytest.raises(re.error):
                store.diff(Query(), query)

    def test_another_host_has_nothing_here(self) -> None:
        store = self.filled([Fact(T0, SH)])
        assert store.call_tree(Query(host="box")).weight == 1
        assert store.call_tree(Query(host="elsewhere")).weight == 0
        assert store.processes(Query(host="elsewhere")) == []
        assert store.completeness(Query(host="elsewhere")) == Completeness()
        assert store.hosts() == [HOST]

    def test_health_comes_back_as_it_was_told(self) -> None:
        told = [
            Health("cpu", State.RUNNING, "", 10, {"ring full": 3}, {"cut": 1}, 5, 6, 7, 8),
            Health("gpu", State.FAILED, "no device: run aperture doctor"),
        ]
        assert self.make_store([], health=told).health() == told

    def test_an_answer_is_not_touched_by_what_the_asker_does(self) -> None:
        store = self.filled([Fact(T0, SH), Fact(T0 + SECOND, PYTHON)])
        store.call_tree(Query()).self_weight[:] = 99
        store.timeline(Query(), 2).weights[:] = 99
        store.health().append(Health("mine", State.STOPPED))
        store.processes(Query()).clear()
        assert store.call_tree(Query()).weight == 2
        assert store.timeline(Query(), 2).weights.tolist() == [1, 1]
        assert len(store.processes(Query())) == 2
        assert store.health() == []
