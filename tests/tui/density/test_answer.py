"""The timeline out of a real store: exact, gaps where nothing is known, and cheap from the second answer on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Timeline
from aperture_tui.store.memory import Limits, MemoryStore
from aperture_tui.tui.answer import Answers
from aperture_tui.tui.density import answer
from aperture_tui.tui.density import columns as columns_of
from aperture_tui.tui.density.answer import InTime
from aperture_tui.tui.density.model import UNKNOWN, UNREAD, Density, Scale
from aperture_tui.tui.model import ProcessKey, ViewRequest

SECOND = 10**9
START = 1_700_000_000 * SECOND
CPU = Health("cpu", State.RUNNING)


class Counting(MemoryStore):
    """Remembers what timelines it was asked for."""

    def __init__(self, seconds: int | None = None) -> None:
        super().__init__(Limits(seconds=seconds), recorded=True)
        self.symbols = Symbols()
        self.asked: list[tuple[Query, int]] = []
        self.node = int(self.symbols.stacks([[self.symbols.frame(Frame("all", kind=FrameKind.PROCESS))]])[0])
        self.processes_of = [self.symbols.process(Process(pid, 1, f"p{pid}")) for pid in (1, 2)]
        self.set_health([CPU])

    def timeline(self, query: Query, buckets: int) -> Timeline:
        self.asked.append((query, buckets))
        return super().timeline(query, buckets)

    def happen(self, times_s: Sequence[float], pid: int = 1, kind: Kind = Kind.CPU, reading: bool = True) -> None:
        """So many events of a process at these times, and a reading of the host at each second up to the last."""
        events = np.zeros(len(times_s), EVENT)
        events["time_ns"] = [START + round(at * SECOND) for at in times_s]
        events["pid"] = events["tid"] = pid
        events["process"], events["stack"] = self.processes_of[pid - 1], self.node
        events["weight"], events["kind"] = 1, kind
        self.append(Batch(self.symbols, events))
        for second in sorted({int(at) for at in times_s} if reading else ()):
            self.append_gauges(HostSample(START + second * SECOND))


def asking(columns: int = 60, **more: object) -> ViewRequest:
    return replace(ViewRequest(0, scale=Scale(columns)), **more)  # type: ignore[arg-type]


def told(answers: InTime, request: ViewRequest, fresh: bool = True) -> Density:
    """The answer, with all of it read."""
    density = answers.answer(request, fresh).density
    while density is not None and density.more:
        density = answers.answer(request, fresh=False).density
    assert density is not None
    return density


def live(store: MemoryStore) -> InTime:
    return InTime(Answers(store), store, recorded=False)


def recorded(store: MemoryStore) -> InTime:
    return InTime(Answers(store, recorded=True), store, recorded=True)


def _known(density: Density) -> dict[float, int]:
    """Events by the second that their column begins at, of the columns that are known."""
    begin = map(density.grid.begin_of, range(density.grid.columns))
    return {(at - START) / SECOND: n for at, n in zip(begin, density.weights, strict=True) if n != UNKNOWN}


def test_it_is_exact() -> None:
    store = Counting()
    times = np.sort(np.random.default_rng(1).random(5000) * 240)
    store.happen(times.tolist())
    density = told(live(store), asking())
    bucket_s = density.grid.bucket_ns / SECOND
    assert bucket_s == 5
    wanted = np.bincount((times // bucket_s).astype(int)).tolist()
    assert list(_known(density).values()) == wanted
    assert sum(wanted) == 5000


def test_a_refresh_asks_for_what_may_have_changed_alone_and_late_events_are_counted() -> None:
    store = Counting()
    store.happen([n / 10 for n in range(3000)])
    answers = live(store)
    told(answers, asking())
    store.asked.clear()
    store.happen([300.1, 298.5], reading=False)
    density = told(answers, asking())
    assert sum(buckets for _, buckets in store.asked) <= 3
    assert _known(density)[295.0] == 51
    assert _known(density)[300.0] == 1
    store.asked.clear()
    told(answers, asking())
    assert not store.asked, "nothing has come"


def test_over_an_aggregator_all_is_asked_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that could not reach it tells later what it had spooled."""
    monkeypatch.setattr(answer, "_ALL_AGAIN_S", 0.0)
    store = Counting()
    store.happen([n / 2 for n in range(600)])
    answers = InTime(Answers(store), store, recorded=False, interval_ns=lambda: 10 * SECOND)
    density = told(answers, asking())
    store.happen([100.1, 100.2, 299.9], reading=False)
    assert _known(told(answers, asking()))[100.0] == _known(density)[100.0] + 2


def test_zoom_search_and_steps_within_it_ask_for_nothing() -> None:
    store = Counting()
    store.happen([n / 10 for n in range(3000)])
    answers = live(store)
    told(answers, asking())
    store.asked.clear()
    for more in ({"search": "x"}, {"end_ns": START + 250 * SECOND}, {"window_s": 60.0}, {"by_weight": True}):
        told(answers, asking(**more), fresh=False)
    assert not store.asked


def test_the_picture_comes_before_what_a_new_timeline_needs() -> None:
    store = Counting()
    store.happen([n / 10 for n in range(3000)])
    answers = recorded(store)
    first = answers.answer(asking(), fresh=False).density
    assert first is not None
    assert first.more
    assert UNREAD in first.weights
    assert not store.asked
    assert UNREAD not in told(answers, asking(), fresh=False).weights


def test_a_large_recording_is_read_in_parts_next_to_the_window_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_of, "_AT_ONCE", 500)
    store = Counting()
    store.happen([n / 10 for n in range(3000)])
    answers = recorded(store)
    request = asking()
    answers.answer(request, fresh=False)
    parts = [answers.answer(request, fresh=False).density for _ in range(3)]
    left = [part.weights.count(UNREAD) for part in parts if part is not None]
    assert left[0] > left[1] > left[2] > 0
    assert parts[0] is not None
    assert parts[0].weights[-1] >= 0 > parts[0].weights[0], "the window is at the end"
    assert sum(_known(told(answers, request, fresh=False)).values()) == 3000


def test_a_process_alone() -> None:
    store = Counting()
    store.happen([n / 10 for n in range(2000)])
    store.happen([50.5, 60.5, 60.6], pid=2)
    density = told(live(store), asking(process=ProcessKey(2, 1, "p2")))
    known = _known(density)
    assert {at: n for at, n in known.items() if n} == {50.0: 1, 60.0: 2}
    assert known[100.0] == 0, "somebody looked, and there was nothing"


def test_what_is_not_held_any_more_is_a_gap() -> None:
    store = Counting(seconds=60)
    store.happen([n / 10 for n in range(1200)])
    known = _known(told(live(store), asking()))
    assert min(known) == 60
    assert sum(known.values()) == store.span().events


def test_while_a_collector_did_not_run_nothing_is_known_and_while_it_ran_nothing_is_nothing() -> None:
    store, answers = Counting(), None
    answers = live(store)
    request = asking(kind=Kind.SYSCALL)
    syscall = Health("syscall", State.RUNNING)
    for second in range(0, 100, 2):
        store.happen([second, second + 1.0])
        store.set_health([CPU, syscall] if 20 <= second < 60 else [CPU])
        answers.answer(request, fresh=True)
    known = _known(told(answers, request))
    assert set(known.values()) == {0}
    assert (min(known), max(known)) == (20, 55)


def test_of_a_recording_the_time_between_two_files_is_a_gap() -> None:
    store = Counting()
    store.happen([*range(30), *range(90, 120)])
    density = told(recorded(store), asking(120))
    gaps = [at for at, n in zip(range(120), density.weights, strict=False) if n == UNKNOWN]
    assert density.grid.bucket_ns == SECOND
    assert gaps == list(range(30, 90))
    other = told(recorded(store), asking(120, kind=Kind.SYSCALL))
    assert set(other.weights) == {UNKNOWN}, "not recorded"


def test_a_file_of_another_tool_has_no_readings_and_was_looked_at_all_the_time() -> None:
    store = Counting()
    store.happen([*range(30), *range(90, 120)], reading=False)
    assert told(recorded(store), asking(120)).weights.count(0) == 60


def test_where_the_store_fails_the_picture_is_there_and_the_timeline_says_why() -> None:
    class Failing(Counting):
        def timeline(self, query: Query, buckets: int) -> Timeline:
            raise RuntimeError("more events than can be held")

    store = Failing()
    store.happen(list(range(30)))
    snapshot = live(store).answer(asking(), fresh=True)
    assert snapshot.error == ""
    assert snapshot.density is not None
    assert snapshot.density.problem == "more events than can be held"
    assert not snapshot.density.more
