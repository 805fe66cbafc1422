"""One store and one set of collectors, for several pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from aperture_tui.store.base import Estimate
from aperture_tui.tui.web.shared import shared
from aperture_tui.tui.web.wants import Wants
from tests.tui.synthetic import SyntheticStore


def _in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_each_reader_is_told_of_its_own_answers() -> None:
    """A store calls back in the thread that asks."""
    below: Any = SyntheticStore()
    store = shared(below)
    told: dict[str, list[Any]] = {"one": [], "other": []}

    def reader(name: str) -> None:
        store.note = told[name].append
        store.watch = told[name].append

    both = threading.Barrier(2)

    def reads(name: str) -> None:
        reader(name)
        both.wait()  # the other one has set its own in the meantime
        below.note(Estimate(sampled=len(name)))
        below.watch(0.5)

    threads = [threading.Thread(target=reads, args=(name,)) for name in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {"one": [Estimate(sampled=3), 0.5], "other": [Estimate(sampled=5), 0.5]}
    below.watch(1.0)  # somebody who has said nothing is told nothing
    assert told["one"][-1] == 0.5


def test_a_reader_that_gives_up_does_not_end_the_others() -> None:
    """What `watch` raises ends that answer alone."""
    below: Any = SyntheticStore()
    store = shared(below)
    outcomes: list[str] = []

    def gives_up(_: float) -> None:
        raise InterruptedError

    def impatient() -> None:
        store.watch = gives_up
        try:
            below.watch(0.1)
        except InterruptedError:
            outcomes.append("ended")

    def patient() -> None:
        below.watch(0.1)
        outcomes.append("whole")

    _in_thread(impatient)
    _in_thread(patient)
    assert outcomes == ["ended", "whole"]
    assert store.span() == below.span()


def test_collectors_stay_for_whoever_needs_them() -> None:
    """The union of all pages; of one that has gone nothing is left."""
    told: list[frozenset[str]] = []
    wants = Wants(told.append)
    one, other = wants.reader(), wants.reader()
    one.want(frozenset({"cpu", "lock"}))
    other.want(frozenset({"cpu", "syscall"}))
    assert told[-1] == {"cpu", "lock", "syscall"}
    one.want(frozenset({"cpu"}))
    assert told[-1] == {"cpu", "syscall"}
    other.leave()
    assert told[-1] == {"cpu"}
    other.leave()
    one.leave()
    assert told[-1] == frozenset()
