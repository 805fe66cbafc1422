"""What every Store must answer; a store's own test subclasses StoreConformance and says how to fill it."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, is_hypothesis_test, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.completeness import Completeness, together
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, STOP_SHIFT, Flag, FrameKind, Kind, Role, Stop
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Store
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import SECOND, T0, Fact, Reference, batch_of, facts, queries, times, wide_queries, words
from tests.store.where_conformance import WhereConformance

HOST = HostFacts("box", "6.1.0", 2, 1 << 30, "boot-1")
SH = Process(1, T0 - 5, "sh", "/a")
PYTHON = Process(2, T0 - 6, "python3", "/a/b")
STACK = (Frame("sh", kind=FrameKind.PROCESS), Frame("main"), Frame("work"))


def _going_on(time_ns: int, process: Process, age_ns: int) -> Fact:
    """A call in flight that can be found by its age alone."""
    return Fact(
        time_ns, process, age_ns, STACK, Kind.SYSCALL, age_ns, name=f"x{age_ns}", value=age_ns,
        flags=Role.IN_FLIGHT << ROLE_SHIFT,
    )  # fmt: skip


many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


@contextmanager
def few_examples(n: int) -> Iterator[None]:
    """While the suite runs over what takes long to fill: so many examples of each property."""
    with pytest.MonkeyPatch.context() as patch:
        for test in vars(StoreConformance).values():
            if is_hypothesis_test(test):
                patch.setattr(test, "_hypothesis_internal_use_settings", settings(many, max_examples=n))
        yield


def in_memory(
    batches: Sequence[Batch], gauges: Sequence[HostSample], health: Sequence[Health], host: HostFacts
) -> MemoryStore:
    """A store in memory that holds exactly this."""
    store = MemoryStore()
    store.set_hosts([host])
    store.set_health(health)
    for batch in batches:
        store.append(batch)
    for sample in gauges:
        store.append_gauges(sample)
    return store


class StoreConformance(WhereConformance):
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
        base = replace(base, group=after.group)
        store = self.filled(events)
        assert words(store.diff(base, after)) == Reference(events).diff(base, after)
        then, since = store.compared(base, after)
        assert then.trie.lineage == since.trie.lineage
        assert words(since.subtract(then)) == Reference(events).diff(base, after)
        assert (then.weight, since.weight) == (store.call_tree(base).weight, store.call_tree(after).weight)

    def test_the_kinds_are_those_of_the_events(self) -> None:
        assert self.filled([]).kinds() == frozenset()
        store = self.filled([Fact(T0, SH, stack=STACK)], [_going_on(T0, PYTHON, 5)])
        assert store.kinds() == {Kind.CPU, Kind.SYSCALL}

    def test_stacks_by_one_group_cannot_be_set_against_others(self) -> None:
        store = self.filled([Fact(T0, SH, stack=STACK)])
        for one, other in itertools.permutations(Group, 2):
            with pytest.raises(ValueError, match="by another group"):
                store.diff(Query(group=one), Query(group=other))
            with pytest.raises(ValueError, match="rebase"):
                store.call_tree(Query(group=one)).merge(store.call_tree(Query(group=other)))

    def test_tags_are_known_by_their_names_whatever_bits_they_had(self) -> None:
        """Agents that begin anew, with other filters, give the same names other bits."""
        symbols = Symbols()
        first = batch_of([Fact(T0, SH, stack=STACK, weight=1)], symbols)
        both = batch_of([Fact(T0 + 1, SH, stack=STACK, weight=2 + 3 * i) for i in range(2)], symbols)
        first.events["tags"], both.events["tags"] = 1, [1, 3]
        none = batch_of([Fact(T0 + 2, SH, stack=STACK, weight=16)], symbols)
        batches = [Batch(symbols, first.events, ("a",)), Batch(symbols, both.events, ("b", "a")), none]
        store = self.make_store(batches)
        asked: list[tuple[tuple[str, ...], tuple[str, ...], int]] = [
            ((), (), 24), (("a",), (), 6), (("b",), (), 7), (("a", "b"), (), 8), (("c",), (), 0), (("c", "a"), (), 6),
            ((), ("a",), 18), ((), ("a", "b"), 16), ((), ("c",), 24), (("b",), ("a",), 2), (("a",), ("a",), 0),
        ]  # fmt: skip
        for tags, without, weight in asked:
            query = Query(tags=tags, without_tags=without)
            assert store.call_tree(query).weight == weight
            assert sum(use.count for use in store.processes(query)) == weight
            assert store.completeness(query).weight == weight
            assert int(store.timeline(query, 3).weights.sum()) == weight
            assert sum(one.count for one in store.latencies(query)) == weight
        by_tag = words(store.call_tree(Query(group=Group.TAG)))
        assert {path[0].function: weight for path, weight in by_tag.items()} == {
            "tag: a": 1, "tag: b": 2, "tag: a, b": 5, "untagged": 16,
        }  # fmt: skip
        assert store.tags() == ("a", "b")
        symbols, events = store.selected(Query())
        sets = [symbols.tag_sets[row] for row in events["tags"].tolist()]
        assert sorted(zip(sets, events["weight"].tolist(), strict=True)) == [
            ((), 16), (("a",), 1), (("a", "b"), 5), (("b",), 2),
        ]  # fmt: skip

    def test_stacks_by_control_group_and_by_container_begin_with_it(self) -> None:
        one = Process(7, T0, "web", "/system.slice/web.service", "shop-1")
        other = one._replace(pid=8)
        store = self.filled([Fact(T0, process, stack=STACK, weight=2) for process in (one, other, SH)])
        path = words(store.call_tree(Query()))
        for group, told in (
            (Group.CGROUP, "cgroup: /system.slice/web.service"),
            (Group.CONTAINER, "container: shop-1"),
        ):
            by_group = words(store.call_tree(Query(group=group)))
            first = Counter[str]()
            for stack, weight in by_group.items():
                first[stack[0].function] += weight
            assert first[told] == 4
            assert sum(by_group.values()) == 6
            assert {stack[1:] for stack in by_group} == set(path)

    def test_where_no_filter_gave_a_tag_there_are_none(self) -> None:
        store = self.filled([Fact(T0, SH, stack=STACK)])
        assert store.tags() == ()
        assert store.call_tree(Query(tags=("slow",))).weight == 0
        assert store.call_tree(Query(without_tags=("slow",))).weight == 1
        assert [path[0].function for path in words(store.call_tree(Query(group=Group.TAG)))] == ["untagged"]

    @many
    @given(st.lists(st.lists(facts, max_size=12), max_size=3), queries)
    def test_latencies_are_those_of_the_events_counted_one_by_one(self, parts: list[list[Fact]], query: Query) -> None:
        self.check_latencies(self.filled(*parts), Reference(itertools.chain.from_iterable(parts)), query)

    @many
    @given(st.lists(facts, min_size=2, max_size=12), wide_queries)
    def test_latencies_of_few_processes_with_many_events(self, events: list[Fact], query: Query) -> None:
        """All of the kind and role that is asked for, of one process under different names, and of one moment."""
        alike = [
            replace(
                fact,
                time_ns=T0 + fact.aux,
                process=SH._replace(name=fact.process.name),
                kind=query.kind,
                flags=fact.flags & ~(3 << ROLE_SHIFT) | query.role << ROLE_SHIFT,
                name="futex",
                value=fact.value % 2,
            )
            for fact in events
        ]
        if query.role is Role.IN_FLIGHT:
            alike = [replace(fact, time_ns=T0) for fact in alike]
        self.check_latencies(self.filled(alike), Reference(alike), query)

    def check_latencies(self, store: Store, reference: Reference, query: Query) -> None:
        got, expected = store.latencies(query), reference.latencies(query)
        assert len(got) == len(expected)
        for one in got:
            key = one.pid, one.start_ns, one.name, one.value
            names, rest = expected[(*key, one.tid) if query.group is Group.THREAD else key]
            assert one.process in names
            assert replace(one, process="") == rest
        by_count = query.measure is Measure.COUNT
        order = [(-(one.count if by_count else one.time_ns), one.pid, one.start_ns, one.name) for one in got]
        assert order == sorted(order)

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

    def test_sums_of_time_are_exact(self) -> None:
        """A thousand threads that wait for hours pass what a double holds exactly."""
        waits = [Fact(T0, SH, stack=STACK, kind=Kind.OFFCPU, duration_ns=(1 << 53) + 1) for _ in range(3)]
        store, query = self.filled(waits), Query(kind=Kind.OFFCPU, measure=Measure.TIME)
        wanted = 3 * ((1 << 53) + 1)
        assert [use.time_ns for use in store.processes(query)] == [wanted]
        assert [one.time_ns for one in store.latencies(query)] == [wanted]
        assert store.timeline(query, 1).weights.tolist() == [wanted]
        for group in Group:
            assert store.call_tree(replace(query, group=group)).total[0] == wanted

    def test_off_cpu_time_of_a_process_is_its_waits_and_how_long_it_was_blocked(self) -> None:
        blocked = Fact(T0, SH, kind=Kind.OFFCPU, name="futex", weight=3, duration_ns=900, maximum_ns=500)
        waker = replace(blocked, process=PYTHON, flags=Role.WAKER << ROLE_SHIFT, duration_ns=0)
        store, query = self.filled([blocked, replace(blocked, tid=2), waker]), Query(kind=Kind.OFFCPU)
        (use,) = store.processes(query)
        assert (use.name, use.threads, use.count, use.time_ns) == ("sh", 2, 6, 1800)
        assert store.completeness(query).weight == 6

    def test_events_that_are_not_told_apart_by_thread_are_of_no_thread(self) -> None:
        store = self.filled([Fact(T0, SH, kind=Kind.SYSCALL, tid=0, thread="", stack=STACK)])
        query = Query(kind=Kind.SYSCALL, group=Group.THREAD)
        assert [use.threads for use in store.processes(query)] == [0]
        assert [(one.tid, one.threads) for one in store.latencies(query)] == [(0, 0)]
        ((stack, _),) = words(store.call_tree(query)).items()
        assert stack[1] == Frame("?", kind=FrameKind.THREAD)

    def test_of_what_is_in_flight_only_the_newest_word_is_true(self) -> None:
        """The process whose calls have ended has no newer word of its own: that of others says so."""
        old, new = T0, T0 + SECOND
        told = [_going_on(old, SH, 7), _going_on(old, PYTHON, 5), _going_on(new, PYTHON, 6)]
        store = self.filled(told)
        query = Query(kind=Kind.SYSCALL, role=Role.IN_FLIGHT, measure=Measure.TIME)
        assert [(one.process, one.time_ns) for one in store.latencies(query)] == [("python3", 6)]
        for of_shell in (
            Query(pids=(SH.pid,)),
            Query(process="sh"),
            Query(tids=(7,)),
            Query(value=7),
            Query(name="x7"),
        ):
            narrowed = replace(of_shell, kind=Kind.SYSCALL, role=Role.IN_FLIGHT)
            assert store.latencies(narrowed) == []
            assert store.call_tree(narrowed).weight == 0
            assert store.processes(narrowed) == []
        before = replace(query, end_ns=new)
        assert [one.time_ns for one in store.latencies(before)] == [7, 5]
        assert store.call_tree(query).weight == 6
        assert store.timeline(query, 1).weights.tolist() == [18]

    def test_a_word_of_what_is_in_flight_is_believed_for_two_seconds(self) -> None:
        query = Query(kind=Kind.LOCK, role=Role.IN_FLIGHT)
        waits = replace(_going_on(T0, SH, 1), kind=Kind.LOCK)
        for later, known in ((2 * SECOND - 1, 1), (2 * SECOND, 0)):
            store = self.filled([waits, Fact(T0 + later, PYTHON)])
            assert len(store.latencies(query)) == known
            assert len(store.latencies(replace(query, end_ns=T0 + SECOND))) == 1
            quiet = self.make_store([batch_of([waits], Symbols())], [HostSample(T0 + later)])
            assert len(quiet.latencies(query)) == known

    def test_kinds_have_words_of_their_own_of_what_is_in_flight(self) -> None:
        lock = replace(_going_on(T0, SH, 1), kind=Kind.LOCK)
        store = self.filled([lock, _going_on(T0 + SECOND, SH, 1)])
        assert len(store.latencies(Query(kind=Kind.LOCK, role=Role.IN_FLIGHT))) == 1

    def test_an_empty_store_answers_with_nothing(self) -> None:
        store = self.make_store([])
        assert (store.span().start_ns, store.span().end_ns, store.span().events) == (0, 0, 0)
        assert store.processes(Query()) == []
        assert store.timeline(Query(), 4).weights.tolist() == [0, 0, 0, 0]
        assert store.call_tree(Query()).weight == 0
        assert store.diff(Query(), Query(kind=Kind.LOCK)).weight == 0
        assert store.call_tree(Query(group=Group.THREAD)).weight == 0
        assert store.completeness(Query()) == Completeness()
        assert store.gauges(Query()) == []
        for role in Role:
            assert store.latencies(Query(kind=Kind.SYSCALL, role=role)) == []

    def test_a_pattern_that_is_none_is_an_error_wherever_it_is_used(self) -> None:
        query = Query(frame="(")
        for store in (self.make_store([]), self.filled([Fact(T0, SH)])):
            for ask in (
                store.call_tree,
                store.processes,
                store.completeness,
                store.latencies,
                lambda q, s=store: s.timeline(q, 3),
            ):
                with pytest.raises(re.error):
                    ask(query)
            with pytest.raises(re.error):
                store.diff(Query(), query)

    def test_another_host_has_nothing_here(self) -> None:
        store = self.filled([Fact(T0, SH)])
        assert store.call_tree(Query(hosts=("box",))).weight == 1
        assert store.call_tree(Query(hosts=("elsewhere",))).weight == 0
        assert store.processes(Query(hosts=("elsewhere",))) == []
        assert store.completeness(Query(hosts=("elsewhere",))) == Completeness()
        assert store.latencies(Query(hosts=("elsewhere",))) == []
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
