"""What a chain tells of itself and what it is told, from other threads, while batches come as fast as they can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aperture_tui.filters.abi import MAX_BATCH
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.spec import OnError
from aperture_tui.filters.told import ChainState, Standing
from aperture_tui.filters.worker import Worker
from aperture_tui.profile.symbols import Symbols
from tests.filters.wat import (
    CONFIGURED,
    KEEP_ALL,
    LOG,
    ONLY_PID_42,
    PID,
    Time,
    batch,
    chain,
    each,
    log,
    module,
    on_batch,
    tags,
)

EVEN_PIDS = f"(i32.eqz (i32.and (i32.load {PID} (local.get $event)) (i32.const 1)))"
TWICE = "(i32.const 2)"
TRAPS = on_batch("(unreachable)")


@contextmanager
def loaded(worker: Worker, events: int = 3 * MAX_BATCH + 7) -> Iterator[Callable[[], int]]:
    """Batches come from a thread, as many as find room -> gives how many events were put in so far."""
    stop, symbols, put = threading.Event(), Symbols(), [0]

    def feed() -> None:
        while not stop.is_set():
            if worker.put(batch(events, symbols)):
                put[0] += events
            worker.settle(1)
            worker.take()

    thread = threading.Thread(target=feed)
    worker.start()
    thread.start()
    try:
        yield lambda: put[0]
    finally:
        stop.set()
        thread.join()
        worker.stop()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def _check(state: ChainState) -> None:
    """What is told is of one moment: between two batches."""
    came = state.events_in
    for one in state.filters:
        told = one.at_work.counters
        assert told.events_in == told.events_out + told.dropped + told.lost
        assert told.events_in <= came
        if one.on and not one.waits and told.restarts == 0:
            assert told.events_in == came
        came = told.events_out if told.events_in else came
    assert state.events_out <= state.events_in


def test_what_is_told_is_always_of_whole_batches(tmp_path: Path) -> None:
    """Each batch is four calls of three filters: anybody who looked in between would see parts of it."""
    worker = Worker(chain(tmp_path, module(each(EVEN_PIDS)), module(each(TWICE)), module(each(ONLY_PID_42))))
    looks, last = 0, -1
    with loaded(worker) as put:
        while looks < 2000 or put() < 500_000:
            state = worker.told()
            _check(state)
            assert state.events_in >= last
            last, looks = state.events_in, looks + 1
    state = worker.told()
    _check(state)
    assert state.events_in == put()
    weighed = state.filters[1].at_work.counters
    assert weighed.weighed == weighed.events_out > 0
    assert state.filters[0].at_work.standing is Standing.RUNNING


def test_switched_a_thousand_times_under_load_the_last_word_counts(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(EVEN_PIDS)), module(each(ONLY_PID_42))))
    with loaded(worker, events=500) as put:
        until(lambda: worker.told().events_in > 0, "events")

        def toggle(name: str, end: bool) -> None:
            for i in range(500):
                worker.switch(name, i % 2 == 0)
                if not i % 25:
                    time.sleep(0.001)
            worker.switch(name, end)

        threads = [threading.Thread(target=toggle, args=(name, end)) for name, end in (("f0", False), ("f1", True))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: not any(one.waits for one in worker.told().filters), "it to be obeyed")
        off, on = worker.told().filters
        assert (off.standing, on.standing) == (Standing.OFF, Standing.RUNNING)
        before = on.at_work.counters.events_in
        until(lambda: worker.told().filters[1].at_work.counters.events_in > before + 2000, "the one that is on")
        assert worker.told().filters[0].at_work.counters.events_in == off.at_work.counters.events_in, "off is off"
    state = worker.told()
    assert state.events_in == put()
    assert not state.failure
    assert not state.lost


def test_what_a_batch_obeys_waits_until_that_batch_is_told_of(tmp_path: Path) -> None:
    """Else, for as long as the batch takes, it would be said to be as it was before, and to wait for nothing."""
    with chain(tmp_path, module(each(EVEN_PIDS))) as one:
        (only,) = one.filters
        only.switch(False)
        one.judge(batch(2, Symbols()))
        before = only.at_work()
        only.switch(True)
        assert (only.state(before).standing, only.state(before).waits) == (Standing.RUNNING, True)
        one.judge(batch(2, Symbols()))
        assert (only.state(before).standing, only.state(before).waits) == (Standing.RUNNING, True)
        after = only.at_work()
        assert (only.state(after).standing, only.state(after).waits) == (Standing.RUNNING, False)


def test_loaded_anew_again_and_again_under_load_nothing_is_lost(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(EVEN_PIDS), CONFIGURED), module(each(KEEP_ALL))))
    worker.reloader._look_s = 0.001
    with loaded(worker, events=400) as put:
        for _ in range(30):
            before = worker.told().filters[0].at_work.counters.restarts
            worker.reload("f0")
            until(lambda n=before: worker.told().filters[0].at_work.counters.restarts > n, "a new instance")
            _check_sum(worker.told())
    state = worker.told()
    assert state.events_in == put()
    assert not state.failure
    assert state.filters[0].at_work.counters.errors == 0
    assert state.filters[0].log[-1].text.startswith("begun anew, of the same version")


def _check_sum(state: ChainState) -> None:
    for one in state.filters:
        told = one.at_work.counters
        assert told.events_in == told.events_out + told.dropped + told.lost


def test_asking_never_waits_for_a_compiler(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(KEEP_ALL))))
    worker.start()
    with worker.reloader._lock:  # as while a module is compiled
        worker.reload("f0")
        worker.reload("f0")
        assert worker.told().filters[0].reloading
        worker.switch("f0", False)
        assert worker.told().filters[0].standing is Standing.OFF
    until(lambda: not worker.told().filters[0].reloading, "the compiler")
    assert worker.told().filters[0].waits
    worker.stop()


def test_without_events_it_is_told_what_the_next_ones_will_find(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(ONLY_PID_42), tags("slow,web"))))
    (one,) = worker.told().filters
    assert (one.standing, one.waits, one.at_work.program.tags) == (Standing.RUNNING, False, ("slow", "web"))
    assert one.at_work.program.abi == "1.0"
    worker.switch("f0", False)
    (one,) = worker.told().filters
    assert (one.standing, one.waits) == (Standing.OFF, True)
    worker.switch("f0", True)
    assert worker.told().filters[0].standing is Standing.RUNNING
    with pytest.raises(FilterError, match="no filter is called 'f9'"):
        worker.switch("f9", True)
    with pytest.raises(FilterError, match="no filter is called 'f9'"):
        worker.reload("f9")
    worker.stop()
    assert worker.told().filters[0].name == "f0"


def test_a_filter_that_fails_says_when_it_is_tried_again(tmp_path: Path) -> None:
    clock = Time()
    worker = Worker(chain(tmp_path, module(TRAPS), on_error=OnError.DROP, clock=clock))
    worker.start()

    def judged() -> None:
        worker.put(batch(7))
        worker.settle(10)

    judged()
    (one,) = worker.told().filters
    assert (one.standing, one.failed, one.retry_s) == (Standing.WAITING, True, 1.0)
    assert "gave up" in one.at_work.reason
    clock.now += 0.75
    assert worker.told().filters[0].retry_s == 0.25
    for _ in range(4):
        clock.now += 10
        judged()
    (one,) = worker.told().filters
    assert one.standing is Standing.DISABLED
    assert one.at_work.counters.lost == worker.told().events_in == 35
    worker.reload("f0")
    until(lambda: worker.told().filters[0].waits, "the compiler")
    assert not worker.told().filters[0].failed, "the same file, but it begins anew"
    judged()
    assert worker.told().filters[0].standing is Standing.WAITING
    worker.switch("f0", False)
    worker.switch("f0", True)
    assert not worker.told().filters[0].failed, "it begins anew"
    judged()
    assert worker.told().filters[0].standing is Standing.WAITING
    worker.stop()


def test_tags_that_were_given_are_counted(tmp_path: Path) -> None:
    tagged = f"(i32.lt_u (i32.load {PID} (local.get $event)) (i32.const 10))"
    ours = chain(tmp_path, module(each(KEEP_ALL, tagged), tags("few")), module(each(ONLY_PID_42, "(i32.const 0)")))
    ours.apply(batch(100))
    assert [one.counters.tagged for one in ours.filters] == [20, 0]
    ours.close()


HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202ebidi\u2028\r\nend"


def test_what_a_filter_says_cannot_reach_the_terminal(tmp_path: Path) -> None:
    data = HOSTILE.encode()
    bytes_ = "".join(f"\\{byte:02x}" for byte in data)
    says = each(KEEP_ALL, before=log("(i32.const 512)", f"(i32.const {len(data)})"))
    worker = Worker(chain(tmp_path, module(says, LOG, f'(data (i32.const 512) "{bytes_}")')))
    worker.chain.apply(batch(1))
    (line,) = worker.told().filters[0].log
    assert line.text.isprintable()
    assert line.text.startswith("\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\u202ebidi")
    worker.stop()
