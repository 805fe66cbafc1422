"""What filters do to batches, one by one and in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.filters import abi
from aperture_tui.filters.chain import Chain
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.opening import open_chain
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import State
from aperture_tui.profile.symbols import Symbols
from tests.filters.wat import (
    CONFIGURED,
    KEEP_ALL,
    ONLY_PID_42,
    PID,
    WEIGHT,
    Time,
    batch,
    chain,
    each,
    events,
    module,
    on_batch,
    spec,
    tags,
)

EVERY_THIRD = f"(i32.mul (i32.eqz (i32.rem_u (i32.load {PID} (local.get $event)) (i32.const 3))) (i32.const 3))"


def test_a_filter_that_keeps_all_changes_nothing(tmp_path: Path) -> None:
    with chain(tmp_path, module(), module(each(KEEP_ALL))) as ours:
        given_batch = batch(100)
        assert ours.apply(given_batch) is given_batch


@pytest.mark.parametrize("n", [1, 2, 99, abi.MAX_BATCH, abi.MAX_BATCH + 1, 3 * abi.MAX_BATCH + 7])
def test_events_are_dropped_whatever_the_size_of_the_batch(tmp_path: Path, n: int) -> None:
    with chain(tmp_path, module(each(ONLY_PID_42))) as ours:
        given_events = events(n)
        out = ours.apply(Batch(Symbols(), given_events))
        assert (out.events == given_events[given_events["pid"] == 42]).all()
        counters = ours.filters[0].counters
        assert (counters.events_in, counters.events_out) == (n, len(out))
        assert counters.dropped == n - len(out)
        assert counters.calls == -(-n // abi.MAX_BATCH)


def test_a_sampling_weight_multiplies_weight_and_duration(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(EVERY_THIRD))) as ours:
        out = ours.apply(batch(50)).events
        assert out["pid"].tolist() == list(range(0, 50, 3))
        assert set(out["weight"].tolist()) == {6}
        assert set(out["duration_ns"].tolist()) == {30}
        assert set(out["maximum_ns"].tolist()) == {10}


def test_what_does_not_fit_is_cut_and_counted(tmp_path: Path) -> None:
    with chain(tmp_path, module(each("(i32.const 65535)"))) as ours:
        given_batch = batch(3)
        given_batch.events["weight"] = [1, 1 << 20, 1]
        given_batch.events["duration_ns"] = [1, 1, 1 << 60]
        out = ours.apply(given_batch).events
        assert out["weight"].tolist() == [65535, (1 << 32) - 1, 65535]
        assert out["duration_ns"].tolist() == [65535, 65535, (1 << 63) - 1]
        (health,) = ours.health()
        assert health.degraded == {"events: weight or duration too large for a record": 2}


def test_events_that_are_views_of_others_are_read_as_they_are(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(ONLY_PID_42))) as ours:
        some = events(1000)[::7]
        out = ours.apply(Batch(Symbols(), some)).events
        assert (out == some[some["pid"] == 42]).all()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_any_batch_gives_what_numpy_gives(tmp_path_factory: pytest.TempPathFactory, pids: list[int]) -> None:
    with chain(tmp_path_factory.mktemp("f"), module(each(EVERY_THIRD))) as ours:
        some = events(len(pids))
        some["pid"] = pids
        out = ours.apply(Batch(Symbols(), some)).events
        wanted = some[some["pid"] % 3 == 0]
        wanted["weight"] *= 3
        wanted["duration_ns"] *= 3
        assert out.tobytes() == wanted.tobytes()


def test_a_filter_has_state_between_batches(tmp_path: Path) -> None:
    """It keeps the first 5 events of all."""
    first_five = each(
        "(i32.le_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 5))",
        before="(local.set $k (global.get $n))",
        after="(global.set $n (local.get $k)) (i32.const 0)",
    )
    with chain(tmp_path, module(first_five, "(global $n (mut i32) (i32.const 0))")) as ours:
        assert [len(ours.apply(batch(3))) for _ in range(3)] == [3, 2, 0]


def test_a_filter_is_told_its_configuration_and_may_refuse_it(tmp_path: Path) -> None:
    wasm = module(each(f"(i32.eq (i32.load {PID} (local.get $event)) (global.get $kept))"), CONFIGURED)
    with Chain([spec(tmp_path, wasm, config="7")]) as ours:
        assert set(ours.apply(batch(100)).events["pid"].tolist()) == {7}
    with pytest.raises(FilterError, match=r"f: it refuses its configuration 9: ap_configure gave 1"):
        Chain([spec(tmp_path, wasm, config="9")])


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="f: its configuration is not JSON"):
        Spec(tmp_path / "f.wasm", "{pid: 7}")
    with pytest.raises(FilterError, match="larger than 1 MB"):
        Spec(tmp_path / "f.wasm", '"' + "x" * (1 << 20) + '"')
    with pytest.raises(FilterError, match="not JSON"):
        Spec(tmp_path / "f.wasm", "[" * 100_000)


def test_filters_come_in_order_and_see_what_those_before_let_pass(tmp_path: Path) -> None:
    doubling = each("(i32.const 2)")
    only_twice = each(f"(i32.eq (i32.load {WEIGHT} (local.get $event)) (i32.const 4))")
    with chain(tmp_path, module(each(ONLY_PID_42)), module(doubling), module(only_twice)) as ours:
        assert ours.apply(batch(100)).events["weight"].tolist() == [4, 4]
        assert [one.counters.events_in for one in ours.filters] == [100, 2, 2]
    with chain(tmp_path, module(only_twice), module(doubling)) as ours:
        assert len(ours.apply(batch(100))) == 0
        assert ours.filters[1].counters.events_in == 0


TAG_BY_PID = f"(i32.rem_u (i32.load {PID} (local.get $event)) (i32.const 4))"


def test_tags_of_one_name_are_one_bit_in_the_whole_chain(tmp_path: Path) -> None:
    first = module(each(KEEP_ALL, TAG_BY_PID), tags("red,green"))
    second = module(each(KEEP_ALL, "(i32.const 5)"), tags("blue,red,green"))
    with chain(tmp_path, first, second) as ours:
        assert ours.tags == ("red", "green", "blue")
        given_batch = batch(8)
        out = ours.apply(given_batch).events
        assert out["tags"].tolist() == [pid % 4 | 6 for pid in range(8)]
        assert not given_batch.events["tags"].any()


def test_a_tag_of_an_earlier_filter_is_seen_by_a_later_one(tmp_path: Path) -> None:
    tagging = module(each(KEEP_ALL, TAG_BY_PID), tags("a,b"))
    reading = module(each("(i32.ne (i32.load16_u offset=70 (local.get $event)) (i32.const 0))"))
    with chain(tmp_path, tagging, reading) as ours:
        assert ours.apply(batch(8)).events["pid"].tolist() == [1, 2, 3, 5, 6, 7]


def test_bits_without_a_name_are_none(tmp_path: Path) -> None:
    with chain(
        tmp_path, module(each(KEEP_ALL, "(i32.const -1)"), tags("a")), module(each(KEEP_ALL, "(i32.const -1)"))
    ) as ours:
        assert set(ours.apply(batch(8)).events["tags"].tolist()) == {1}


def test_tags_that_events_come_with_keep_their_bits(tmp_path: Path) -> None:
    """Those of a recording; its names are known, and the filter has others."""
    tagging = spec(tmp_path, module(each(KEEP_ALL, "(i32.const 3)"), tags("new,old")))
    with Chain([tagging], known_tags=["older", "old"]) as ours:
        given_batch = batch(1)
        given_batch.events["tags"] = 1
        assert ours.tags == ("older", "old", "new")
        assert ours.apply(given_batch).events["tags"].tolist() == [0b111]


def test_batches_have_the_names_of_their_tags(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(KEEP_ALL)), module(each(KEEP_ALL, "(i32.const 1)"), tags("new"))) as ours:
        assert ours.apply(batch(2)).tags == ("new",)
    with chain(tmp_path, module(each(KEEP_ALL))) as ours:
        assert ours.apply(batch(2)).tags == ()


def test_tags_of_a_recording_may_have_any_bits(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(KEEP_ALL, "(i32.const 1)"), tags("new"))) as ours:
        for names, bits, wanted in ((("old",), 1, 0b11), (("x", "old"), 3, 0b111), (("new",), 1, 0b1)):
            one = batch(1)
            one.events["tags"] = bits
            out = ours.apply(Batch(one.symbols, one.events, names))
            assert out.events["tags"].tolist() == [wanted]
            assert one.events["tags"].tolist() == [bits]
        assert out.tags == ("new", "old", "x")


def test_a_chain_has_16_tags_at_most(tmp_path: Path) -> None:
    sixteen = ",".join("abcdefghijklmnop")
    with chain(tmp_path, module(each(KEEP_ALL, "(i32.const 0x8000)"), tags(sixteen)), module("", tags("p,a"))) as ours:
        assert set(ours.apply(batch(8)).events["tags"].tolist()) == {0x8000}
    with pytest.raises(FilterError, match="f1: no bit is left for its tag q"):
        chain(tmp_path, module("", tags(sixteen)), module("", tags("a,q")))


def test_losses_before_a_batch_are_told_to_those_behind(tmp_path: Path) -> None:
    """The last filter keeps a batch only if it is told that something was lost."""
    told = module(each("(i32.and (i32.load offset=36 (local.get $h)) (i32.const 1))"))
    with Chain(
        [spec(tmp_path, module(on_batch("(unreachable)")), OnError.DROP, name="a"), spec(tmp_path, told, name="b")],
        clock := Time(),
    ) as ours:
        assert len(ours.apply(batch(1))) == 0
        ours.filters[0].switch(False)
        assert [len(ours.apply(batch(1))) for _ in range(2)] == [1, 0]
        assert len(ours.apply(batch(1), lost=True)) == 1
        assert clock.now


def test_the_time_of_a_replay_is_that_of_its_events(tmp_path: Path) -> None:
    newest = each("(i32.wrap_i64 (i64.sub (i64.load offset=40 (local.get $h)) (i64.load (local.get $event))))")
    with chain(tmp_path, module(newest)) as ours:
        assert ours.apply(batch(4)).events["weight"].tolist() == [6, 4, 2]
        assert ours.apply(batch(1), now_ns=1_005).events["weight"].tolist() == [10]


def test_a_filter_can_be_switched_off_and_begins_anew_when_it_is_on_again(tmp_path: Path) -> None:
    once = each("(i32.eqz (global.get $n))", after="(global.set $n (i32.const 1)) (i32.const 0)")
    with chain(tmp_path, module(once, "(global $n (mut i32) (i32.const 0))")) as ours:
        one = ours.named("f0")
        assert [len(ours.apply(batch(2))) for _ in range(2)] == [2, 0]
        one.switch(False)
        assert len(ours.apply(batch(2))) == 2
        assert one.health().state is State.STOPPED
        one.switch(True)
        assert [len(ours.apply(batch(2))) for _ in range(2)] == [2, 0]
        assert one.health().state is State.RUNNING
        with pytest.raises(FilterError, match="no filter is called 'f9'"):
            ours.named("f9")


def test_empty_batches_reach_no_program(tmp_path: Path) -> None:
    with chain(tmp_path, module()) as ours:
        assert len(ours.apply(batch(0))) == 0
        assert ours.filters[0].counters.calls == 0


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    one = spec(tmp_path, module())
    with Chain([one, one, one]) as ours:
        assert [each_one.name for each_one in ours.filters] == ["f", "f#2", "f#3"]
        assert [health.name for health in ours.health()] == ["filter f", "filter f#2", "filter f#3"]


def test_health_tells_what_came_through(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(ONLY_PID_42))) as ours:
        ours.apply(batch(100))
        (health,) = ours.health()
        assert (health.state, health.message, health.delivered) == (State.RUNNING, "takes away 98 of 100 events", 2)
        assert not health.lost
        assert not health.degraded
        assert health.cpu_ns
        assert health.memory_bytes
        assert ours.filters[0].counters.ns_per_event


def test_tables_that_outgrow_an_arena_get_a_larger_one(tmp_path: Path) -> None:
    symbols = Symbols()
    with chain(tmp_path, module(each(ONLY_PID_42))) as ours:
        assert len(ours.apply(batch(100, symbols))) == 2
        for i in range((1 << 17) + 1):
            symbols.string(str(i))
        assert len(ours.apply(batch(100, symbols))) == 2
        one = ours.filters[0]
        assert (one.counters.errors, one.counters.restarts) == (0, 1)
        assert any("outgrown" in line.text for line in one.log.lines)
        assert len(ours.apply(batch(100, symbols))) == 2
        assert one.counters.restarts == 1


def test_without_wasmtime_the_command_that_mends_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(FilterError, match="pip install 'aperture-tui"):
        open_chain([spec(tmp_path, module())])


def test_a_chain_is_opened_from_specs(tmp_path: Path) -> None:
    with open_chain([spec(tmp_path, module(each(ONLY_PID_42)))]) as ours:
        assert len(ours.apply(batch(50))) == 1


def test_asking_for_filters_costs_neither_numpy_nor_wasmtime() -> None:
    code = (
        "import sys, aperture_tui.filters.opening, aperture_tui.filters.spec; "
        "sys.exit('numpy' in sys.modules or 'wasmtime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_chain_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="f1"):
        chain(tmp_path, module(), b"no module")


def test_memory_is_given_back(tmp_path: Path) -> None:
    """Instances are made by the hundred; the binding keeps what it is not told to let go."""
    from wasmtime import _func

    failing = module(on_batch("(unreachable)"))
    clock = Time()
    before = len(_func.FUNCTIONS.handles)  # type: ignore[attr-defined]  # the binding's, without types
    with chain(tmp_path, failing, clock=clock) as ours:
        for _ in range(20):
            ours.apply(batch(1))
            ours.filters[0].switch(True)
        assert ours.filters[0].counters.errors == 20
    assert len(_func.FUNCTIONS.handles) <= before + 1  # type: ignore[attr-defined]
    assert np.all(batch(1).events["weight"] == 2)


def test_filters_work_where_address_space_is_limited(tmp_path: Path) -> None:
    """An instance has 4 GB of it by default; ten of them would not start under `ulimit -v`."""
    ours = spec(tmp_path, module(each(ONLY_PID_42)))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "from aperture_tui.filters.chain import Chain; from aperture_tui.filters.spec import Spec;"
        "from tests.filters.wat import batch; from pathlib import Path;"
        f"chain = Chain([Spec(Path({str(ours.path)!r}))] * 10); sys.exit(len(chain.apply(batch(50))) != 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_it_takes_away_is_said_and_that_it_ended(tmp_path: Path) -> None:
    with chain(tmp_path, module(each(ONLY_PID_42))) as ours:
        given_events = events(100)
        kept = int(np.count_nonzero(given_events["pid"] == 42))
        ours.apply(Batch(Symbols(), given_events))
        words = f"takes away {100 - kept} of 100 events"
        (running,) = ours.health()
        assert (running.state, running.message) == (State.RUNNING, words)
    (ended,) = ours.health()
    assert (ended.state, ended.message) == (State.STOPPED, words)
