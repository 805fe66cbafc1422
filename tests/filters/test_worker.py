"""The chain in a thread of its own: collecting never waits, and what finds no room is counted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aperture_tui.filters.spec import OnError
from aperture_tui.filters.worker import MAX_BATCHES, Worker
from aperture_tui.profile.health import State
from aperture_tui.profile.symbols import Symbols
from tests.filters.test_hostile import LOOP
from tests.filters.wat import CONFIGURED, KEEP_ALL, ONLY_PID_42, batch, chain, each, module, on_batch

DROP_ALL = "(i32.const 0)"


def _put_to_work(folder: Path, wasm: bytes) -> None:
    """Replace f0's file as an editor or a compiler does; its change time is another for sure."""
    path = folder / "f0.wasm"
    before = path.stat().st_mtime_ns
    path.write_bytes(wasm)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_batches_come_through_in_order(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(ONLY_PID_42))))
    worker.start()
    symbols, sent, came = Symbols(), 0, []
    for i in range(1, 60):
        one = batch(i, symbols)
        one.events["value"] = i
        assert worker.put(one)
        sent += i
        came += worker.take()
    came += worker.stop()
    assert [int(one.events["value"][0]) for one in came] == list(range(43, 60))
    own, one_filter = worker.health()
    assert own.delivered == sum(map(len, came)) == one_filter.delivered
    assert worker.chain.filters[0].counters.events_in == sent
    assert not own.lost
    assert own.state is State.STOPPED


def test_what_finds_no_room_is_lost_counted_and_told_to_the_filters(tmp_path: Path) -> None:
    """Every call of this one takes 50 ms, until it is ended."""
    told = each("(i32.and (i32.load offset=36 (local.get $h)) (i32.const 1))")
    worker = Worker(chain(tmp_path, module(told)), max_events=1000)
    symbols = Symbols()
    assert worker.put(batch(600, symbols))  # before its thread runs
    assert not worker.put(batch(600, symbols))
    assert worker.health()[0].lost == {"events: filters too slow, their queue was full": 600}
    assert (worker.health()[0].lag_ns or 0) > 0
    worker.start()
    assert worker.settle(10)
    assert worker.take() == []
    assert worker.put(batch(5, symbols))
    came = worker.stop()
    assert [len(one) for one in came] == [5]
    assert worker.health()[0].delivered == 5


def test_a_batch_larger_than_the_bound_passes_when_nothing_else_waits(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module()), max_events=10)
    worker.start()
    assert worker.put(batch(1000))
    assert worker.settle(10)
    assert not worker.put(batch(1))  # not taken yet
    assert [len(one) for one in worker.take()] == [1000]
    assert worker.put(batch(1))
    assert [len(one) for one in worker.stop()] == [1]


def test_many_tiny_batches_are_bounded_too(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module()))
    one = batch(1)
    assert sum(worker.put(one) for _ in range(MAX_BATCHES + 9)) == MAX_BATCHES
    assert worker.health()[0].lost_total == 9
    worker.start()
    assert len(worker.stop()) == MAX_BATCHES


def test_putting_does_not_wait_for_a_filter_that_hangs(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(on_batch(LOOP)), on_error=OnError.DROP))
    worker.start()
    longest = 0.0
    for _ in range(50):
        began = time.monotonic()
        worker.put(batch(10))
        worker.take()
        longest = max(longest, time.monotonic() - began)
    worker.stop()
    assert worker.chain.filters[0].counters.lost + worker.health()[0].lost_total == 500
    assert longest < 1  # a call of it alone is stopped after 50 ms


def test_a_fault_of_ours_is_told_and_nothing_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(chain(tmp_path, module()))

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(worker.chain, "judge", broken)
    worker.start()
    worker.put(batch(3))
    assert worker.settle(10)
    assert not worker.put(batch(4))
    own = worker.health()[0]
    assert (own.state, own.message) == (State.FAILED, "ZeroDivisionError: oh")
    assert own.lost == {"events: filters crashed": 7}
    assert worker.stop() == []


def test_a_changed_file_is_put_to_work_between_batches(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(ONLY_PID_42))))
    one = worker.chain.filters[0]
    before = one.sha256
    assert len(worker.chain.apply(batch(50))) == 1
    _put_to_work(tmp_path, module(each(KEEP_ALL)))
    worker.reloader.look()
    assert one.sha256 == before
    assert len(worker.chain.apply(batch(50))) == 50
    assert one.sha256 != before
    assert one.counters.events_in == 100
    assert not one.reload_error
    worker.stop()


def test_a_file_that_changed_before_anybody_looked_is_put_to_work_too(tmp_path: Path) -> None:
    """The command line opens filters before there is a session."""
    ours = chain(tmp_path, module(each(ONLY_PID_42)))
    _put_to_work(tmp_path, module(each(KEEP_ALL)))
    worker = Worker(ours)
    worker.reloader.look()
    assert len(ours.apply(batch(50))) == 50
    assert ours.filters[0].counters.restarts == 1
    worker.reloader.look()
    ours.apply(batch(1))
    assert ours.filters[0].counters.restarts == 1
    worker.stop()


BAD = {
    "no module": (b"\0asm\1\0\0\0garbage", "not a valid module"),
    "refuses its configuration": (
        module("", '(func (export "ap_configure") (param i32 i32) (result i32) (i32.const 1))'),
        "refuses its configuration",
    ),
    "never starts": (module("", f"(func $s {LOOP}) (start $s)"), "took too long"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_changed_file_is_told_and_the_old_version_goes_on(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    state = each("(global.get $n)", before="(global.set $n (i32.add (global.get $n) (i32.const 1)))")
    worker = Worker(chain(tmp_path, module(state, "(global $n (mut i32) (i32.const 0))")))
    one = worker.chain.filters[0]
    weights = [int(worker.chain.apply(batch(1)).events["weight"][0])]
    _put_to_work(tmp_path, data)
    worker.reloader.look()
    assert words in one.reload_error
    assert "the old version goes on" in one.health().message
    assert one.health().state is State.RUNNING
    weights.append(int(worker.chain.apply(batch(1)).events["weight"][0]))
    assert weights == [2, 4]  # its state goes on as well
    _put_to_work(tmp_path, module(each(DROP_ALL)))
    worker.reloader.look()
    assert len(worker.chain.apply(batch(1))) == 0
    assert not one.reload_error
    worker.stop()


def test_a_file_that_is_gone_or_only_touched_changes_nothing(tmp_path: Path) -> None:
    wasm = module(each(ONLY_PID_42))
    worker = Worker(chain(tmp_path, wasm))
    one = worker.chain.filters[0]
    (tmp_path / "f0.wasm").rename(tmp_path / "away")
    worker.reloader.look()
    assert "cannot read" in one.reload_error
    assert len(worker.chain.apply(batch(50))) == 1
    (tmp_path / "f0.wasm").write_bytes(wasm)
    worker.reloader.look()
    assert not one.reload_error
    assert one.counters.restarts == 0
    assert worker.reloader.reload(one, even_if_same=True)
    worker.chain.apply(batch(1))
    assert one.counters.restarts == 1
    worker.stop()


def test_a_new_file_revives_a_filter_that_was_disabled(tmp_path: Path) -> None:
    now = [0.0]
    worker = Worker(chain(tmp_path, module(on_batch("(unreachable)")), clock=lambda: now[0]))
    one = worker.chain.filters[0]
    for _ in range(5):
        worker.chain.apply(batch(1))
        now[0] += 10
    assert one.disabled
    _put_to_work(tmp_path, module(each(ONLY_PID_42)))
    worker.reloader.look()
    assert len(worker.chain.apply(batch(50))) == 1
    assert one.health().state is State.RUNNING
    assert one.health().message == "takes away 49 of 55 events"
    worker.stop()


def test_files_are_looked_after_while_batches_come(tmp_path: Path) -> None:
    worker = Worker(chain(tmp_path, module(each(ONLY_PID_42), CONFIGURED)))
    worker.reloader._look_s = 0.02
    worker.start()
    _put_to_work(tmp_path, module(each(KEEP_ALL)))
    deadline, sizes = time.monotonic() + 20, set()
    while 50 not in sizes and time.monotonic() < deadline:
        worker.put(batch(50))
        worker.settle(1)
        sizes |= {len(one) for one in worker.take()}
    worker.stop()
    assert sizes == {1, 50} or sizes == {50}
