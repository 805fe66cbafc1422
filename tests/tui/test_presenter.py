from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.query import Query
from aperture_tui.store.base import Store
from aperture_tui.tui.density.model import Scale
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.presenter import Presenter, one_line
from tests.tui.synthetic import SyntheticStore

WAIT_S = 20


class Desk:
    """Takes answers as the screen does."""

    def __init__(self, connect: Callable[[], Store], refresh_hz: float = 200, recorded: bool = False) -> None:
        self.told = threading.Semaphore(0)
        self.presenter = Presenter(connect, self.told.release, refresh_hz, recorded)
        self.presenter.start()

    def next(self, good: Callable[[ViewSnapshot], bool] = lambda _: True) -> ViewSnapshot:
        while True:
            assert self.told.acquire(timeout=WAIT_S), "no answer came"
            answer = self.presenter.take()
            if answer is not None and good(answer):
                return answer


@pytest.fixture
def store() -> SyntheticStore:
    return SyntheticStore(rate=100)


@pytest.fixture
def desk(store: SyntheticStore) -> Iterator[Desk]:
    desk = Desk(lambda: store)
    yield desk
    desk.presenter.stop()


def test_the_newest_request_wins(desk: Desk) -> None:
    for width in range(40, 60):
        desk.presenter.ask(ViewRequest(width))
    answer = desk.next(lambda answer: answer.request.width == 59)
    assert answer.icicle is not None
    assert answer.icicle.width == 59


def test_it_goes_on_at_its_rate_without_being_asked_again(desk: Desk) -> None:
    desk.presenter.ask(ViewRequest(40))
    for _ in range(3):
        assert desk.next().icicle is not None


def test_nothing_queues_up_while_the_screen_is_slow(desk: Desk) -> None:
    desk.presenter.ask(ViewRequest(40))
    assert desk.told.acquire(timeout=WAIT_S)
    for width in range(41, 60):
        desk.presenter.ask(ViewRequest(width))
    assert not desk.told.acquire(timeout=0.05), "the screen is told once until it has taken the answer"
    desk.presenter.take()
    assert desk.next(lambda answer: answer.request.width == 59)


def test_a_store_that_fails_is_said_and_asked_again(desk: Desk, store: SyntheticStore) -> None:
    desk.presenter.ask(ViewRequest(40))
    desk.next(lambda answer: answer.icicle is not None)
    store.failing = OSError("the aggregator went away")
    failed = desk.next(lambda answer: answer.error != "")
    assert failed.error == "the aggregator went away"
    assert failed.icicle is not None, "the last good picture stays"
    assert not failed.fatal
    store.failing = None
    assert desk.next(lambda answer: answer.error == "").icicle is not None


def test_what_keeps_it_from_connecting_is_one_line() -> None:
    def connect() -> Store:
        raise RuntimeError("perf_event_open: not permitted:\n run with \x1b[1msudo")

    desk = Desk(connect)
    answer = desk.next()
    assert answer.fatal
    assert answer.error == "perf_event_open: not permitted: run with \\x1b[1msudo"
    desk.presenter.stop()


def test_an_error_that_is_nobodys_words_says_its_kind() -> None:
    assert one_line(KeyError("stack")) == "KeyError: 'stack'"
    assert one_line(ValueError()) == "ValueError"


def test_an_error_of_the_system_is_said_by_its_words_and_its_file() -> None:
    assert one_line(OSError(28, "No space left on device", "/mnt/x")) == "/mnt/x: No space left on device"
    assert one_line(OSError(28, "No space left on device")) == "No space left on device"
    assert one_line(OSError("the aggregator went away")) == "the aggregator went away"


def test_of_a_recording_only_requests_are_answered(store: SyntheticStore) -> None:
    desk = Desk(lambda: store, refresh_hz=500, recorded=True)
    desk.presenter.ask(ViewRequest(40))
    assert desk.next().icicle is not None
    assert not desk.told.acquire(timeout=0.2), "nobody asked"
    desk.presenter.ask(ViewRequest(40, end_ns=store.now() - 10**9))
    assert desk.next().request.end_ns is not None
    assert not desk.told.acquire(timeout=0.1)
    desk.presenter.stop()


def test_what_is_answered_in_parts_goes_on_by_itself_and_gives_way_to_a_request(store: SyntheticStore) -> None:
    desk = Desk(lambda: store, recorded=True)
    try:
        desk.presenter.ask(ViewRequest(40, scale=Scale(60)))
        first = desk.next()
        assert first.density is not None
        assert first.density.more, "the picture comes first"
        desk.presenter.ask(ViewRequest(41, scale=Scale(60)))
        whole = desk.next(lambda answer: answer.density is not None and not answer.density.more)
        assert whole.request.width == 41
        assert whole.density is not None
        assert sum(whole.density.weights) == 100 * 60
        assert not desk.told.acquire(timeout=0.2), "and then nothing more is asked for"
    finally:
        desk.presenter.stop()


def test_a_long_answer_that_nobody_waits_for_any_more_is_given_up(store: SyntheticStore) -> None:
    """A store that reads a file tells how far it is; the request of a minute ago must not hold up this one."""
    reading, tree = threading.Event(), store.call_tree
    store.watch = lambda share: None  # type: ignore[attr-defined]  # as ReplayStore has it

    def slow(query: Query) -> CallTree:
        if not reading.is_set():
            reading.set()
            for _ in range(100 * WAIT_S):
                store.watch(0.5)  # type: ignore[attr-defined]
                time.sleep(0.01)
        return tree(query)

    store.call_tree = slow  # type: ignore[method-assign]
    desk = Desk(lambda: store, recorded=True)
    try:
        desk.presenter.ask(ViewRequest(40))
        assert reading.wait(WAIT_S)
        desk.presenter.ask(ViewRequest(41))
        answer = desk.next()
        assert (answer.request.width, answer.error) == (41, "")
    finally:
        desk.presenter.stop()


def test_an_answer_that_has_grown_old_is_made_again(monkeypatch: pytest.MonkeyPatch, store: SyntheticStore) -> None:
    monkeypatch.setattr("aperture_tui.tui.presenter._STALE_S", 0.05)
    desk = Desk(lambda: store, refresh_hz=0.01)
    try:
        desk.presenter.ask(ViewRequest(40))
        assert desk.told.acquire(timeout=WAIT_S)
        time.sleep(0.2)
        assert desk.presenter.take() is None, "a terminal that could not be written to is shown nothing old"
        assert desk.next().icicle is not None, "a new one comes at once, not when it is due"
    finally:
        desk.presenter.stop()


def test_what_never_changes_does_not_grow_old(monkeypatch: pytest.MonkeyPatch, store: SyntheticStore) -> None:
    monkeypatch.setattr("aperture_tui.tui.presenter._STALE_S", 0.0)
    desk = Desk(lambda: store, recorded=True)
    try:
        desk.presenter.ask(ViewRequest(40))
        assert desk.next().icicle is not None
    finally:
        desk.presenter.stop()
