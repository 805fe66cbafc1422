"""The chain over what was recorded: a pass a file, by the time of the events."""

from __future__ import annotations

import os
from pathlib import Path

from aperture_tui.filters.opening import open_recorded
from aperture_tui.filters.recorded import Recorded
from aperture_tui.filters.spec import OnError
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import State
from aperture_tui.profile.symbols import Symbols
from tests.filters.wat import KEEP_ALL, each, events, module, on_batch, spec

SECOND = 1_000_000_000
# weight times the number of batches so far
COUNTS_BATCHES = module(
    each("(global.get $n)", before="(global.set $n (i32.add (global.get $n) (i32.const 1)))"),
    "(global $n (mut i32) (i32.const 0))",
)
# the second of now_ns, and 1 in front of it
TELLS_NOW = module(
    each("(i32.wrap_i64 (i64.div_u (i64.load offset=40 (local.get $h)) (i64.const 1000000000)))"),
)
# traps at a batch with an event of pid 49
TRAPS = module(each("(if (result i32) (i32.eq (i32.load offset=32 (local.get $event)) (i32.const 49)) "
                    "(then (unreachable)) (else (i32.const 0)))"))  # fmt: skip


def recorded(folder: Path, wasm: bytes, on_error: OnError = OnError.KEEP) -> Recorded:
    out = open_recorded([spec(folder, wasm, on_error)])
    out.begin(None)
    return out


def at(second: int, n: int = 1, symbols: Symbols | None = None) -> Batch:
    some = events(n)
    some["time_ns"], some["weight"] = second * SECOND, 1
    return Batch(symbols or Symbols(), some)


def weights(filters: Recorded, *batches: Batch) -> list[int]:
    return [int(filters.judge(batch).events["weight"].sum()) for batch in batches]


def test_a_filter_remembers_within_a_pass_and_begins_anew_with_the_next(tmp_path: Path) -> None:
    filters = recorded(tmp_path, COUNTS_BATCHES)
    one = at(1)
    filters.begin("first")
    assert weights(filters, one, one, one) == [1, 2, 3]
    filters.begin("second")
    assert filters.serves == "second"
    assert weights(filters, one, one) == [1, 2]
    assert filters.chain.filters[0].counters.events_in == 5
    assert filters.health()[0].delivered == 5


def test_now_is_the_newest_event_s_time_and_never_goes_back(tmp_path: Path) -> None:
    filters = recorded(tmp_path, TELLS_NOW)
    assert weights(filters, at(100), at(103), at(101), at(0, 0), at(104)) == [100, 103, 103, 0, 104]
    filters.begin(None)
    assert weights(filters, at(7)) == [7]


def test_after_a_failure_it_is_tried_again_by_the_time_of_the_events(tmp_path: Path) -> None:
    """However fast a recording is read, a second of it passes unjudged, not all the rest."""
    filters = recorded(tmp_path, TRAPS)
    passed = [len(filters.judge(at(second, n))) for second, n in ((10, 5), (11, 50), (11, 5), (12, 5), (13, 5))]
    assert passed == [0, 50, 5, 0, 0]
    own, one = filters.health()
    assert one.degraded == {"events: passed unfiltered": 55}
    assert "has failed 1 times" in one.message
    assert own.state is State.STOPPED
    assert filters.failure == ""


def test_one_that_fails_too_often_is_told_even_when_the_next_pass_is_well(tmp_path: Path) -> None:
    filters = recorded(tmp_path, TRAPS, OnError.DROP)
    for second in range(10, 60, 10):
        assert len(filters.judge(at(second, 50))) == 0
    assert "disabled after 5 failures" in filters.failure
    filters.begin(None)
    filters.judge(at(5, 3))
    own, one = filters.health()
    assert one.state is State.RUNNING
    assert one.lost == {"events: filter failed": 250}
    assert own.state is State.FAILED
    assert filters.failure in own.message
    assert "f: disabled after 5 failures" in own.message


def test_losses_reach_the_filter(tmp_path: Path) -> None:
    filters = recorded(tmp_path, module(each("(i32.and (i32.load offset=36 (local.get $h)) (i32.const 1))")))
    assert [len(filters.judge(at(1), lost)) for lost in (False, True, False)] == [0, 1, 0]


def test_a_changed_file_does_not_judge_the_rest_but_is_told(tmp_path: Path) -> None:
    filters = recorded(tmp_path, module(on_batch("(i32.const 0)")))
    assert filters.health()[0].message == ""
    path = tmp_path / "f.wasm"
    before = path.stat().st_mtime_ns
    path.write_bytes(module(each(KEEP_ALL)))
    os.utime(path, ns=(before + SECOND, before + SECOND))
    assert filters.health()[0].message == "f: changed since; open the recording anew to have it at work"
    sha = filters.chain.filters[0].sha256
    filters.judge(at(1))
    assert filters.chain.filters[0].sha256 == sha
