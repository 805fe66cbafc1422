from __future__ import annotations

from dataclasses import replace

import pytest

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.answer import Answers
from aperture_tui.tui.icicle.navigate import Place, path_of
from aperture_tui.tui.model import ProcessKey, ViewRequest, ViewSnapshot
from tests.store.conformance import SH
from tests.store.facts import T0, Fact, batch_of
from tests.tui.synthetic import PROGRAMS, SECOND, START_NS, SyntheticStore
from tests.tui.waiting import RUNNING, SYSCALLS, Builder, filled, sampled


class Clock:
    def __init__(self, seconds: float = 60) -> None:
        self.now_ns = START_NS + int(seconds * SECOND)

    def __call__(self) -> int:
        return self.now_ns

    def go_on(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


def test_the_window_is_what_was_asked_for_as_far_as_it_is_held() -> None:
    clock = Clock(20)
    answers = Answers(SyntheticStore(rate=100, now=clock))
    thirty = answers.answer(ViewRequest(80, window_s=30.0), fresh=True)
    assert thirty.icicle is not None
    assert (thirty.range_ns, thirty.icicle.total) == (20 * SECOND, 2000)
    clock.go_on(60)
    later = answers.answer(ViewRequest(80, window_s=30.0), fresh=True)
    assert later.icicle is not None
    assert (later.range_ns, later.icicle.total) == (30 * SECOND, 3000)


def test_frozen_time_stands_still_but_everything_else_answers() -> None:
    clock = Clock()
    store = SyntheticStore(rate=200, now=clock)
    answers = Answers(store)
    live = answers.answer(ViewRequest(80), fresh=True)
    clock.go_on(100)
    frozen = answers.answer(ViewRequest(80, end_ns=live.end_ns), fresh=True)
    assert frozen.end_ns == live.end_ns
    assert frozen.icicle == live.icicle
    assert frozen.processes == live.processes
    assert frozen.stacks == live.stacks

    assert frozen.icicle is not None
    path = path_of(frozen.icicle, Place(2, 0))
    zoomed = answers.answer(ViewRequest(80, end_ns=live.end_ns, zoom=path), fresh=False)
    assert zoomed.icicle is not None
    assert zoomed.icicle.zoom == path
    searched = answers.answer(ViewRequest(80, end_ns=live.end_ns, search="read"), fresh=False)
    assert searched.icicle is not None
    assert 0 < (searched.icicle.matching or 0) < searched.icicle.total
    shorter = answers.answer(ViewRequest(80, end_ns=live.end_ns, window_s=10.0), fresh=False)
    assert (shorter.end_ns, shorter.range_ns) == (live.end_ns, 10 * SECOND)
    alone = answers.answer(ViewRequest(80, end_ns=live.end_ns, process=live.processes[1].key), fresh=False)
    assert alone.icicle is not None
    assert alone.icicle.total == round(live.processes[1].share * frozen.icicle.total)

    resumed = answers.answer(ViewRequest(80), fresh=True)
    assert resumed.end_ns == live.end_ns + 100 * SECOND


def test_zoom_and_search_do_not_ask_the_store_again() -> None:
    store = SyntheticStore()
    answers = Answers(store)
    answers.answer(ViewRequest(80), fresh=True)
    store.failing = RuntimeError("asked")
    answers.answer(ViewRequest(120, search="read", by_weight=True), fresh=False)
    with pytest.raises(RuntimeError, match="asked"):
        answers.answer(ViewRequest(80), fresh=True)


def test_cpu_of_a_process_is_in_cores_and_shares_make_a_whole() -> None:
    snapshot = Answers(SyntheticStore(rate=990)).answer(ViewRequest(80), fresh=True)
    assert sum(line.share for line in snapshot.processes) == pytest.approx(1)
    assert sum(line.cores or 0 for line in snapshot.processes) == pytest.approx(10, rel=0.01), (
        "990 samples a second, 99 a core"
    )
    assert snapshot.processes[0].place == "shop-web-7f9c"


def test_completeness_is_that_of_what_is_looked_at_with_the_table_and_without() -> None:
    store = SyntheticStore(now=Clock())
    for table in (True, False):
        answers = Answers(store)
        every = answers.answer(ViewRequest(80, processes=table), fresh=True)
        assert every.icicle is not None
        assert every.stacks.weight == every.icicle.total
        assert every.stacks == store.completeness(Query(start_ns=every.end_ns - every.range_ns, end_ns=every.end_ns))
        perl = next(line for line in Answers(store).answer(ViewRequest(80), True).processes if line.key.name == "perl")
        alone = answers.answer(ViewRequest(80, processes=table, process=perl.key), fresh=False)
        assert alone.icicle is not None
        assert alone.stacks == perl.stacks
        assert (alone.stacks.share, alone.stacks.weight) == (0.0, alone.icicle.total)


def test_completeness_is_unknown_where_the_samples_do_not_say() -> None:
    store = SyntheticStore(flags=dict.fromkeys((name for name, *_ in PROGRAMS), 0))
    snapshot = Answers(store).answer(ViewRequest(80), fresh=True)
    assert snapshot.stacks.share is None
    assert {line.stacks.share for line in snapshot.processes} == {None}


def test_the_last_seconds_of_each_process_are_remembered_once_a_second() -> None:
    clock = Clock()
    answers = Answers(SyntheticStore(rate=300, now=clock))
    for _ in range(8):
        clock.go_on(0.5)
        snapshot = answers.answer(ViewRequest(80), fresh=True)
    assert len(snapshot.processes[0].recent) == 4
    assert all(value > 0 for value in snapshot.processes[0].recent)


def test_an_empty_store_and_a_vanished_process_have_empty_answers() -> None:
    empty = Answers(SyntheticStore(now=lambda: START_NS)).answer(ViewRequest(80), fresh=True)
    assert empty.icicle is not None
    assert (empty.icicle.total, empty.processes, empty.range_ns) == (0, (), 0)
    gone = ProcessKey(999_999, 1, "gone")
    none = Answers(SyntheticStore()).answer(ViewRequest(80, process=gone), fresh=True)
    assert none.icicle is not None
    assert none.icicle.total == 0
    assert none.processes, "the table still shows who else is there"


class Asked:
    """A store that remembers what it was asked for."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.asked: list[tuple[str, Kind, Role]] = []

    def __getattr__(self, name: str) -> object:
        answer = getattr(self._store, name)
        if name not in ("call_tree", "completeness", "latencies", "processes"):
            return answer

        def ask(query: Query) -> object:
            self.asked.append((name, query.kind, query.role))
            return answer(query)

        return ask


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ViewRequest(80, processes=False), {("completeness", Kind.CPU, Role.OWN), ("call_tree", Kind.CPU, Role.OWN)}),
        (
            ViewRequest(80, Kind.SYSCALL, processes=False),
            {("latencies", Kind.SYSCALL, r) for r in (Role.OWN, Role.IN_FLIGHT)}
            | {("call_tree", Kind.SYSCALL, Role.OWN)},
        ),
        (
            ViewRequest(80, Kind.LOCK, processes=False, wakers=True),
            {("latencies", Kind.LOCK, role) for role in Role}
            | {("completeness", Kind.LOCK, Role.WAKER), ("call_tree", Kind.LOCK, Role.WAKER)},
        ),
        (
            ViewRequest(80, Kind.OFFCPU, processes=False),
            {
                ("latencies", Kind.OFFCPU, Role.OWN),
                ("processes", Kind.CPU, Role.OWN),
                ("completeness", Kind.OFFCPU, Role.OWN),
                ("call_tree", Kind.OFFCPU, Role.OWN),
            },
        ),
    ],
)
def test_a_view_asks_for_what_it_shows_and_for_nothing_else(
    request_: ViewRequest, expected: set[tuple[str, Kind, Role]]
) -> None:
    store = Asked(filled())
    Answers(store).answer(request_, fresh=True)  # type: ignore[arg-type]
    assert set(store.asked) == expected


def test_rates_are_over_the_time_in_which_somebody_counted() -> None:
    store, builder = MemoryStore(recorded=True), Builder()
    for second in range(60):
        builder.cpu(second, 50)
    store.append(builder.batch())
    answers = Answers(store)
    request = ViewRequest(80, Kind.SYSCALL, window_s=30.0, processes=False)
    asked_ns = answers.answer(request, fresh=True).end_ns
    store.set_health([RUNNING[0], Health("syscall", State.STARTING)])
    answers.answer(request, fresh=True)
    store.set_health(RUNNING)
    for second in range(60, 64):
        builder.cpu(second, 50)
        builder.load(SYSCALLS[0], second)
    store.append(builder.batch())
    snapshot = answers.answer(request, fresh=True)
    assert snapshot.latencies.total_count == 4 * SYSCALLS[0].calls
    assert snapshot.range_ns == snapshot.end_ns - asked_ns < 5 * SECOND
    cpu = answers.answer(ViewRequest(80, window_s=30.0), fresh=True)
    assert cpu.range_ns == 30 * SECOND


def test_sampled_calls_alone_make_the_icicle_of_calls() -> None:
    sampled_ns = sum(part.time_ns for part in filled(sampled()).latencies(Query(Kind.SYSCALL)))
    for group in Group:
        request = ViewRequest(80, Kind.SYSCALL, processes=False, group=group)
        without = Answers(filled()).answer(request, fresh=True)
        assert without.icicle is not None
        assert without.icicle.total == 0
        assert without.latencies.total_ns > 0
        alone = Answers(filled(sampled())).answer(request, fresh=True)
        assert alone.icicle is not None
        assert alone.icicle.total == sampled_ns


def test_a_frozen_table_is_that_of_its_moment_in_another_view_too() -> None:
    store = filled(in_flight=True)
    answers = Answers(store)
    live = answers.answer(ViewRequest(80), fresh=True)
    builder = Builder()
    builder.load(SYSCALLS[0], 20)
    store.append(builder.batch())
    frozen = answers.answer(ViewRequest(80, Kind.SYSCALL, end_ns=live.end_ns), fresh=True)
    assert frozen.end_ns == live.end_ns
    assert frozen.latencies.total_count == 12 * sum(load.calls for load in SYSCALLS)
    assert sum(line.in_flight is not None for line in frozen.latencies.lines) == 3
    assert answers.answer(ViewRequest(80, Kind.SYSCALL), fresh=True).end_ns > live.end_ns


def _settled(store: object, request_: ViewRequest) -> ViewSnapshot:
    return Answers(store, recorded=True).answer(request_, fresh=False)  # type: ignore[arg-type]


def test_the_window_of_a_moment_ends_there_and_is_cut_at_the_start() -> None:
    store = SyntheticStore(rate=100, now=Clock(60))
    at = START_NS + 40 * SECOND
    snapshot = _settled(store, ViewRequest(80, window_s=30.0, end_ns=at))
    assert (snapshot.end_ns, snapshot.range_ns, snapshot.icicle.total) == (at, 30 * SECOND, 3000)  # type: ignore[union-attr]
    assert snapshot.gauges[-1].time_ns == at, "the host as it was then"
    cut = _settled(store, ViewRequest(80, window_s=30.0, end_ns=START_NS + 4 * SECOND))
    assert (cut.range_ns, cut.icicle.total) == (4 * SECOND, 400)  # type: ignore[union-attr]
    everything = _settled(store, ViewRequest(80, window_s=None, end_ns=at))
    assert everything.range_ns == 40 * SECOND
    assert everything.held == (START_NS, START_NS + 60 * SECOND)


def test_the_last_seconds_of_a_moment_are_those_before_it_whatever_was_shown_before() -> None:
    answers = Answers(SyntheticStore(rate=300, now=Clock(60)), recorded=True)
    late = answers.answer(ViewRequest(80), fresh=False).processes[0]
    assert len(late.recent) == 10
    early = answers.answer(ViewRequest(80, end_ns=START_NS + 3 * SECOND), fresh=False).processes[0]
    assert len(early.recent) == 3
    assert early.recent[1] == pytest.approx(0.9, rel=0.3), "300 samples a second, three tenths of them gunicorn's"


def test_rates_of_calls_go_back_in_time_too() -> None:
    answers = Answers(filled(), recorded=True)
    request = ViewRequest(80, Kind.SYSCALL, processes=False)
    lines = answers.answer(request, fresh=False).latencies.lines
    ioctl = next(line for line in lines if line.key.name == "ioctl")
    assert ioctl.recent[-3:] == (2000.0, 2000.0, 2000.0)
    lines = answers.answer(replace(request, end_ns=START_NS + 5 * SECOND), fresh=False).latencies.lines
    assert 3 <= len(next(line for line in lines if line.key.name == "ioctl").recent) <= 5


def test_of_a_recording_nothing_is_asked_twice_and_the_end_is_found_again() -> None:
    store = SyntheticStore()
    answers = Answers(store, recorded=True)
    end = answers.answer(ViewRequest(80), fresh=False)
    then = answers.answer(ViewRequest(80, end_ns=START_NS + 20 * SECOND), fresh=False)
    assert then.end_ns < end.end_ns
    store.failing = RuntimeError("asked")
    assert (
        answers.answer(ViewRequest(80, end_ns=START_NS + 20 * SECOND, search="read"), fresh=False).end_ns == then.end_ns
    )
    store.failing = None
    assert answers.answer(ViewRequest(80), fresh=False).end_ns == end.end_ns


def test_what_a_recording_has_is_what_its_collectors_delivered() -> None:
    some = (RUNNING[0], Health("syscall", State.STOPPED, delivered=5), Health("lock", State.STARTING))
    assert _settled(filled((), health=some), ViewRequest(80)).recorded == {Kind.CPU, Kind.SYSCALL}
    told_by_events = _settled(filled(SYSCALLS, health=()), ViewRequest(80)).recorded
    assert told_by_events == {Kind.CPU, Kind.SYSCALL}
    assert Answers(filled()).answer(ViewRequest(80), fresh=True).recorded is None, "it is live"


def test_live_one_can_look_back_and_comes_back() -> None:
    clock = Clock(60)
    answers = Answers(SyntheticStore(rate=100, now=clock))
    answers.answer(ViewRequest(80), fresh=True)
    back = answers.answer(ViewRequest(80, window_s=10.0, end_ns=START_NS + 20 * SECOND), fresh=False)
    assert (back.end_ns, back.range_ns) == (START_NS + 20 * SECOND, 10 * SECOND)
    clock.go_on(5)
    assert answers.answer(ViewRequest(80, window_s=10.0, end_ns=back.end_ns), fresh=True).held.end_ns == clock.now_ns
    assert answers.answer(ViewRequest(80, window_s=10.0), fresh=False).end_ns == clock.now_ns, "at once"


@pytest.mark.parametrize("facts", [
    [Fact(T0, SH, duration_ns=7 * SECOND)] * 3,
    [Fact(T0 + i * SECOND, SH, duration_ns=0) for i in range(3)],
])  # fmt: skip
def test_of_a_file_without_times_or_durations_no_process_has_a_share_of_the_cpus(facts: list[Fact]) -> None:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    (line,) = Answers(store, recorded=True).answer(ViewRequest(80, processes=True), fresh=False).processes
    assert (line.cores, line.share) == (None, 1.0)
