from __future__ import annotations

import pytest

from aperture_tui.profile.query import Query
from aperture_tui.tui.answer import Answers
from aperture_tui.tui.icicle.navigate import Place, path_of
from aperture_tui.tui.model import ProcessKey, ViewRequest
from tests.tui.synthetic import PROGRAMS, SECOND, START_NS, SyntheticStore


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
    frozen = answers.answer(ViewRequest(80, frozen=True), fresh=True)
    assert frozen.end_ns == live.end_ns
    assert frozen.icicle == live.icicle
    assert frozen.processes == live.processes
    assert frozen.stacks == live.stacks

    assert frozen.icicle is not None
    path = path_of(frozen.icicle, Place(2, 0))
    zoomed = answers.answer(ViewRequest(80, frozen=True, zoom=path), fresh=False)
    assert zoomed.icicle is not None
    assert zoomed.icicle.zoom == path
    searched = answers.answer(ViewRequest(80, frozen=True, search="read"), fresh=False)
    assert searched.icicle is not None
    assert 0 < (searched.icicle.matching or 0) < searched.icicle.total
    shorter = answers.answer(ViewRequest(80, frozen=True, window_s=10.0), fresh=False)
    assert (shorter.end_ns, shorter.range_ns) == (live.end_ns, 10 * SECOND)
    alone = answers.answer(ViewRequest(80, frozen=True, process=live.processes[1].key), fresh=False)
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
    assert sum(line.cores for line in snapshot.processes) == pytest.approx(10, rel=0.01), (
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
