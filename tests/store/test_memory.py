"""The store in memory: the suite of all stores, its limits, its generations, its threads."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Store
from aperture_tui.store.memory import AHEAD_NS, Limits, MemoryStore
from tests.store.conformance import HOST, PYTHON, SH, StoreConformance, in_memory
from tests.store.facts import SECOND, T0, Fact, Reference, batch_of, facts, queries, words

STACK = (Frame("sh", kind=FrameKind.PROCESS), Frame("main"), Frame("work"))


class TestMemoryStore(StoreConformance):
    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        return in_memory(batches, gauges, health, host)


class TestGenerations:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2), st.lists(facts, max_size=8)), max_size=5), queries)
    def test_answers_do_not_depend_on_which_tables_a_batch_came_with(
        self, parts: list[tuple[int, list[Fact]]], query: Query
    ) -> None:
        """Batches of three generations, in any order: a collector may still hand over one of the old."""
        tables = [Symbols(), Symbols(), Symbols()]
        tables[1].string("shifts every id")
        store = MemoryStore()
        store.set_hosts([HOST])
        for generation, part in parts:
            store.append(batch_of(part, tables[generation]))
        expected = Reference(itertools.chain.from_iterable(part for _, part in parts))
        assert words(store.call_tree(query)) == expected.tree(query)
        assert {(use.pid, use.start_ns) for use in store.processes(query)} == set(expected.processes(query))

    def test_tables_that_nothing_refers_to_are_let_go(self) -> None:
        store = MemoryStore(Limits(seconds=2))
        symbols = Symbols()
        store.append(batch_of([Fact(T0, SH, stack=(Frame(f"f{i}"),)) for i in range(200)], symbols))
        store.append(batch_of([Fact(T0 + 5 * SECOND, SH, stack=STACK)], symbols))
        fresh = Symbols()
        before = store.span().bytes
        store.rebase(fresh)
        assert len(fresh.trie) == 1 + len(STACK)
        assert store.span().bytes < before / 2
        assert words(store.call_tree(Query())) == {STACK: 1}

    def test_what_moves_into_new_tables_is_not_there_twice(self) -> None:
        store, symbols, n = MemoryStore(), Symbols(), 100_000
        one = batch_of([Fact(T0, SH, stack=STACK)], symbols)
        events = np.repeat(one.events, n)
        events["time_ns"] += np.arange(n, dtype=np.uint64) * np.uint64(SECOND // 1000)
        tracemalloc.start()
        try:
            store.append(Batch(symbols, events, one.tags))
            tracemalloc.reset_peak()
            store.rebase(Symbols())
            assert tracemalloc.get_traced_memory()[1] < 1.3 * events.nbytes
        finally:
            tracemalloc.stop()
        assert words(store.call_tree(Query())) == {STACK: n}

    def test_a_tree_taken_before_stays_true_after(self) -> None:
        store = MemoryStore()
        store.append(batch_of([Fact(T0, SH, stack=STACK)], Symbols()))
        tree = store.call_tree(Query())
        store.append(batch_of([Fact(T0, SH, stack=STACK[:1])], Symbols()))
        assert words(tree) == {STACK: 1}
        assert words(store.call_tree(Query())) == {STACK: 1, STACK[:1]: 1}


class TestLimits:
    def test_the_oldest_seconds_go_first_and_are_counted(self) -> None:
        store = MemoryStore(Limits(seconds=60))
        symbols = Symbols()
        for i in range(100):
            store.append(batch_of([Fact(T0 + i * SECOND + 5, SH)] * 2, symbols))
        span = store.span()
        assert (span.start_ns, span.end_ns) == (T0 + 40 * SECOND + 5, T0 + 99 * SECOND + 6)
        assert (span.events, span.dropped_events, span.limit) == (120, 80, "1 min")
        assert span.dropped_until_ns == T0 + 40 * SECOND
        assert store.call_tree(Query()).weight == 120

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.lists(facts, min_size=1, max_size=200), min_size=1, max_size=6), st.integers(5000, 20_000))
    def test_bytes_stay_within_the_limit_and_nothing_goes_uncounted(self, parts: list[list[Fact]], limit: int) -> None:
        store = MemoryStore(Limits(seconds=4, bytes=limit))
        symbols = Symbols()
        for part in parts:
            store.append(batch_of(part, symbols))
            assert store._slices.bytes <= limit
        span = store.span()
        assert span.events + span.dropped_events == sum(map(len, parts))
        assert sum(len(view) for view in store._slices.all_views()) == span.events
        assert bool(span.limit) or span.dropped_events == sum(h.lost_total for h in store.health())

    def test_one_second_that_is_too_much_keeps_its_newest_events(self) -> None:
        store = MemoryStore(Limits(bytes=100 * 72))
        symbols = Symbols()
        for i in range(300):
            store.append(batch_of([Fact(T0 + i, SH)], symbols))
        span = store.span()
        assert 30 <= span.events <= 100
        assert span.events + span.dropped_events == 300
        assert store.call_tree(Query(start_ns=T0 + 299)).weight == 1
        assert span.limit == "7200 bytes"

    def test_many_tiny_slices_meet_the_limit_too(self) -> None:
        store = MemoryStore(Limits(seconds=None, bytes=100_000))
        store.append(batch_of([Fact(T0 + i * SECOND, SH) for i in range(1000)], Symbols()))
        assert store.span().events < 300

    def test_tables_count_and_the_events_make_room_for_them(self) -> None:
        store, symbols, limit = MemoryStore(Limits(bytes=200_000)), Symbols(), 200_000
        for i in range(300):
            stack = (Frame(f"f{i}"), Frame("g"))
            store.append(batch_of([Fact(T0 + i * SECOND, SH, stack=stack)] * 10, symbols))
            assert store.span().bytes <= limit
        span = store.span()
        assert 50_000 < symbols.nbytes < 150_000
        assert 0 < span.events == 3000 - span.dropped_events
        assert span.limit == "200000 bytes"

    def test_tables_that_are_too_large_leave_the_events_some_room(self) -> None:
        store, symbols = MemoryStore(Limits(bytes=80_000)), Symbols()
        store.append(batch_of([Fact(T0, SH, stack=(Frame(f"f{i}"),)) for i in range(2000)], symbols))
        assert symbols.nbytes > 80_000
        for i in range(100):
            store.append(batch_of([Fact(T0 + i * SECOND, SH)] * 10, symbols))
        assert 5_000 < store._slices.bytes <= 10_000

    def test_new_tables_begin_with_room_to_grow(self) -> None:
        """Each second has its own stacks: most of what is held is tables, and they come along for the newest only."""
        limit, facts = 400_000, 0
        store, symbols = MemoryStore(Limits(bytes=limit)), Symbols()
        largest = 0
        for i in range(200):
            stacks = [tuple(Frame(f"f{(i * 7 + j * k) % 199}") for k in range(9)) for j in range(40)]
            store.append(batch_of([Fact(T0 + i * SECOND, SH, stack=stack) for stack in stacks], symbols))
            facts += len(stacks)
            if symbols.nbytes > largest + limit // 4:
                symbols = Symbols()
                store.rebase(symbols)
                largest = symbols.nbytes
                assert store.span().bytes <= limit * 4 // 5
            assert store.span().bytes <= limit
        span = store.span()
        assert span.events > 20 * 40, "new tables do not cost all events"
        assert span.events + span.dropped_events == facts
        assert words(store.call_tree(Query(start_ns=T0 + 199 * SECOND))) == {
            stack: stacks.count(stack) for stack in stacks
        }

    def test_late_events_go_to_their_second_while_it_is_held(self) -> None:
        store = MemoryStore(Limits(seconds=10))
        symbols = Symbols()
        store.append(batch_of([Fact(T0 + 20 * SECOND, SH)], symbols))
        store.append(batch_of([Fact(T0 + 12 * SECOND, SH), Fact(T0 + 10 * SECOND, SH)], symbols))
        assert store.span().events == 2
        assert store.span().dropped_events == 1
        assert [(h.name, h.lost) for h in store.health()] == [("store", {"older than what is held": 1})]

    def test_a_time_that_cannot_be_is_mended_and_said(self) -> None:
        now = T0 + SECOND
        store = MemoryStore(clock=lambda: now)
        events = [Fact(T0, SH), Fact(0, SH), Fact(now + AHEAD_NS + 1, SH), Fact((1 << 64) - 1, SH)]
        store.append(batch_of(events, Symbols()))
        assert store.span().events == 4
        assert (store.span().start_ns, store.span().end_ns) == (T0, T0 + 1)
        assert store.health()[0].degraded == {"impossible time": 3}

    def test_without_any_true_time_the_clock_serves(self) -> None:
        store = MemoryStore(clock=lambda: T0)
        store.append(batch_of([Fact(0, SH)], Symbols()))
        assert store.span().start_ns == T0

    def test_a_batch_is_not_changed_by_mending_it(self) -> None:
        batch = batch_of([Fact(0, SH)], Symbols())
        MemoryStore(clock=lambda: T0).append(batch)
        assert batch.events["time_ns"].tolist() == [0]

    def test_readings_of_the_host_are_bounded(self) -> None:
        store = MemoryStore()
        for i in range(5000):
            store.append_gauges(HostSample(T0 + i))
        assert 1000 <= len(store.gauges(Query())) < 5000

    def test_durations_that_cannot_be_do_not_break_a_sum(self) -> None:
        store = MemoryStore()
        store.append(batch_of([Fact(T0, SH, duration_ns=(1 << 64) - 1)] * 10, Symbols()))
        year = 366 * 86400 * SECOND
        assert year < store.processes(Query())[0].time_ns < 100 * year
        assert year < store.latencies(Query())[0].maximum_ns < 10 * year


class TestProcesses:
    def test_a_process_has_the_name_it_had_last(self) -> None:
        store = MemoryStore()
        store.append(
            batch_of(
                [
                    Fact(T0 + 9, SH._replace(name="server", cgroup="/b")),
                    Fact(T0, SH),
                    Fact(T0 + 5, SH, tid=2),
                    Fact(T0, PYTHON),
                ],
                Symbols(),
            )
        )
        first, second = store.processes(Query())
        assert (first.name, first.cgroup, first.threads, first.count) == ("server", "/b", 2, 3)
        assert (second.name, second.count) == ("python3", 1)

    def test_a_reused_pid_is_two_processes(self) -> None:
        store = MemoryStore()
        store.append(batch_of([Fact(T0, Process(7, 1, "old")), Fact(T0, Process(7, 2, "new"))], Symbols()))
        assert [use.name for use in store.processes(Query())] == ["old", "new"]
        assert [use.name for use in store.processes(Query(pids=(7,), process_start_ns=2))] == ["new"]


def test_a_regular_expression_finds_frames_that_came_after_it_was_first_asked() -> None:
    store, symbols = MemoryStore(), Symbols()
    store.append(batch_of([Fact(T0, SH, stack=STACK)], symbols))
    query = Query(frame="^late$")
    assert store.call_tree(query).weight == 0
    store.append(batch_of([Fact(T0, SH, stack=(*STACK, Frame("late")))], symbols))
    assert store.call_tree(query).weight == 1


def test_kinds_do_not_mix() -> None:
    store = MemoryStore()
    store.append(batch_of([Fact(T0, SH, kind=kind, weight=kind) for kind in Kind], Symbols()))
    assert [store.call_tree(Query(kind=kind)).weight for kind in Kind] == list(Kind)


def test_readers_see_whole_batches_while_another_thread_writes() -> None:
    """Every batch has weight 100 in each second, so every answer over whole seconds is a multiple of it."""
    store = MemoryStore(Limits(seconds=5))
    rounds, wrong, done = 120, [], threading.Event()

    def write() -> None:
        symbols = Symbols()
        for i in range(rounds):
            if i % 50 == 49:
                symbols = Symbols()
            stack = (*STACK, Frame(f"f{i % 70}"))
            store.append(batch_of([Fact(T0 + i * SECOND // 10, SH, stack=stack)] * 100, symbols))
        done.set()

    def read() -> None:
        while not done.is_set():
            tree = store.call_tree(Query())
            sums = tree.weight, int(tree.total[0]), int(store.timeline(Query(), 7).weights.sum())
            diff = store.diff(Query(), Query())
            if any(s % 100 for s in sums) or np.any(diff.self_weight):
                wrong.append(sums)
            store.processes(Query(frame="f1"))
            store.span()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    write()
    for thread in threads:
        thread.join()
    assert wrong == []
    span = store.span()
    assert span.events + span.dropped_events == rounds * 100
