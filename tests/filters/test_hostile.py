"""Programs that mean harm, or are broken: the profiler goes on, no event is lost unseen, and the reason is told."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from aperture_tui.filters.call import StockCall
from aperture_tui.filters.chain import Chain
from aperture_tui.filters.engine import Engine
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.log import Level
from aperture_tui.filters.spec import OnError
from aperture_tui.profile.health import State
from aperture_tui.profile.symbols import Frame, Process, Symbols
from tests.filters.wat import (
    ALLOC,
    CONFIGURED,
    KEEP_ALL,
    LOG,
    ONLY_PID_42,
    Time,
    batch,
    chain,
    each,
    log,
    module,
    on_batch,
    spec,
    tags,
)

LOOP = "(loop $for_ever (br $for_ever)) (unreachable)"
AWAY = '(func (export "ap_alloc") (param i32) (result i32) (i32.const {}))'

AT_WORK = {
    "infinite loop": (module(on_batch(LOOP)), "took too long"),
    "infinite recursion": (module(on_batch("(call $r)"), "(func $r (result i32) (call $r))"), "stack overflowed"),
    "slow recursion": (
        module(on_batch("(call $r (i32.const 0))"), f"(func $r (param i32) (result i32) {LOOP})"),
        "took too long",
    ),
    "reads outside": (module(on_batch("(i32.load (i32.const -4))")), "outside of its memory"),
    "writes outside": (module(on_batch("(i32.store (i32.const -4) (i32.const 1)) (i32.const 0)")), "outside of its"),
    "divides by zero": (module(on_batch("(i32.div_u (i32.const 1) (i32.const 0))")), "divided by zero"),
    "gives up": (module(on_batch("(unreachable)")), "gave up"),
    "says it failed": (module(on_batch("(i32.const -7)")), "ap_on_batch gave the error 4294967289"),
    "verdict too large": (module(each("(i32.const 65536)")), "verdict 65,536"),
    "verdict of all ones": (module(each("(i32.const -1)")), "verdict"),
    "calls through an empty table": (
        module(on_batch("(call_indirect (result i32) (i32.const 3))"), "(table 5 funcref)"),
        "trapped|null|uninitialized",
    ),
    "logs for ever": (
        module(on_batch(f"(loop $l {log('(i32.const 0)', '(i32.const 10)')} (br $l)) (unreachable)"), LOG),
        "took too long",
    ),
    "bomb": (
        module(
            on_batch("(loop $grow (br_if $grow (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) (unreachable)")
        ),
        "gave up",
    ),
}


@pytest.mark.parametrize("name", AT_WORK)
@pytest.mark.parametrize("on_error", [OnError.KEEP, OnError.DROP])
def test_a_program_that_fails_at_work_is_ended_and_its_batch_is_counted(
    tmp_path: Path, name: str, on_error: OnError
) -> None:
    wasm, words = AT_WORK[name]
    with chain(tmp_path, wasm, module(each(KEEP_ALL)), on_error=on_error) as ours:
        out = ours.apply(batch(100))
        failed, good = ours.filters
        assert failed.counters.errors == 1
        health = failed.health()
        assert health.state is State.STARTING
        assert re.search(words, health.message)
        assert health.message.isprintable()
        if on_error is OnError.KEEP:
            assert (len(out), good.counters.events_in) == (100, 100)
            assert health.degraded["events: passed unfiltered"] == 100
        else:
            assert (len(out), good.counters.events_in) == (0, 0)
            assert health.lost == {"events: filter failed": 100}
        assert failed.counters.events_in == 100


LAST_SIX = "(i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 6))"

AT_START = {
    "start loops": (module("", f"(func $s {LOOP}) (start $s)"), "at its start it took too long"),
    "start traps": (module("", "(func $s (unreachable)) (start $s)"), "at its start it gave up"),
    "version loops": (
        module(version=f'(func (export "ap_abi_version") (result i32) {LOOP})'),
        "took too long",
    ),
    "version traps": (module(version='(func (export "ap_abi_version") (result i32) (unreachable))'), "gave up"),
    "another major version": (
        module(version='(func (export "ap_abi_version") (result i32) (i32.const 0x20000))'),
        "built for version 2.0 of the filter ABI; this is 1.0",
    ),
    "a newer minor version": (
        module(version='(func (export "ap_abi_version") (result i32) (i32.const 0x10001))'),
        "version 1.1",
    ),
    "alloc loops": (module(alloc=f'(func (export "ap_alloc") (param i32) (result i32) {LOOP})'), "took too long"),
    "alloc has nothing": (module(alloc=AWAY.format(0)), "no room"),
    "alloc gives -16": (module(alloc=AWAY.format(-16)), "do not fit"),
    "alloc gives -64": (module(alloc=AWAY.format(-64)), "do not fit"),
    "alloc gives the largest": (module(alloc=AWAY.format(0x7FFFFFC0)), "do not fit"),
    "alloc gives the end": (module(alloc=AWAY.format(65536)), "do not fit"),
    "alloc without memory": (module(alloc=AWAY.format(1024)), "do not fit"),
    "alloc askew": (
        module(memory='(memory (export "memory") 500)', alloc=AWAY.format(1028)),
        "do not fit",
    ),
    "memory that may not grow": (module(memory='(memory (export "memory") 1 1)'), "no room"),
    "65 MB of memory": (module(memory='(memory (export "memory") 1040)'), "cannot be started: memory minimum size"),
    "a large table": (module("", "(table 10001 funcref)"), "cannot be started: table minimum size"),
    "configure loops": (
        module("", f'(func (export "ap_configure") (param i32 i32) (result i32) {LOOP})'),
        "took too long",
    ),
    "configure refuses": (
        module("", '(func (export "ap_configure") (param i32 i32) (result i32) (i32.const 3))'),
        "refuses its configuration",
    ),
    "tags loop": (module("", f'(func (export "ap_tags") (result i32) {LOOP})'), "took too long"),
    "tags at -1": (module("", '(func (export "ap_tags") (result i32) (i32.const -1))'), "not inside|does not end"),
    "tags without an end": (
        module(
            "",
            f"""(func (export "ap_tags") (result i32)
              (memory.fill {LAST_SIX} (i32.const 97) (i32.const 6)) {LAST_SIX})""",
        ),
        "does not end within 1,024 bytes of its memory",
    ),
    "tags too long": (module("", tags("x" * 1024)), "does not end within 1,024"),
    "17 tags": (module("", tags(",".join("abcdefghijklmnopq"))), "17 tags"),
    "a tag twice": (module("", tags("a,b,a")), "not 3 different names"),
    "a tag without a name": (module("", tags("a,,b")), "not 3 different names"),
    "tags that are no text": (module("", tags(r"a\ff")), "not UTF-8"),
    "a second instance's worth of elements": (module("", "(table 10 funcref) (table 10 funcref)"), "cannot be started"),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_START)
def test_a_program_that_cannot_be_put_to_work_is_refused_in_one_clear_line(tmp_path: Path, name: str) -> None:
    wasm, words = AT_START[name]
    with pytest.raises(FilterError, match=words) as refused:
        chain(tmp_path, wasm)
    assert str(refused.value).startswith("f0: ")
    assert str(refused.value).isprintable()


def test_a_call_that_had_to_wait_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine a call of no time waits for longer than it may take: what counts is its own CPU time."""
    monkeypatch.setattr("aperture_tui.filters.allowance.time.thread_time_ns", lambda: 1)
    turns = "(i64.const 200000000)"
    slow = f"""(local $i i64) (loop $l (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $l (i64.lt_u (local.get $i) {turns}))) (i32.const 0)"""
    with chain(tmp_path, module(on_batch(slow))) as ours:
        began = time.monotonic()
        ours.apply(batch(1))
        assert time.monotonic() - began > 0.03  # or it shows nothing
        assert ours.filters[0].counters.errors == 0


def test_a_call_is_stopped_after_about_50_ms(tmp_path: Path) -> None:
    with chain(tmp_path, module(on_batch(LOOP))) as ours:
        began = time.monotonic()
        ours.apply(batch(1))
        assert 0.03 < time.monotonic() - began < 5  # how late depends on the machine's load


def test_what_a_program_does_to_its_arena_changes_no_event(tmp_path: Path) -> None:
    """Everything in it is overwritten: header, events, tables."""
    symbols = Symbols()
    stack = int(symbols.stacks([[symbols.frame(Frame("main", "app"))]])[0])
    process = symbols.process(Process(7, 1, "app"))
    given = batch(1000, symbols)
    given.events["stack"], given.events["process"] = stack, process
    before = given.events.tobytes()
    all_over = each(
        KEEP_ALL,
        after="(memory.fill (i32.add (local.get $h) (i32.load offset=20 (local.get $h))) (i32.const 1)"
        " (i32.const 13000000)) (memory.fill (local.get $h) (i32.const 255) (i32.const 128)) (i32.const 0)",
    )
    with chain(tmp_path, module(all_over)) as ours:
        for _ in range(3):
            out = ours.apply(given)
            # it marked every frame as hidden on its way, so what is the same are the fields
            assert out.events["time_ns"].tolist() == given.events["time_ns"].tolist()
            assert out.events["weight"].tolist() == given.events["weight"].tolist()
        assert given.events.tobytes() == before
        assert symbols.frame_at(1) == Frame("main", "app")
        assert ours.filters[0].counters.errors == 0


def test_memory_that_moves_or_grows_between_calls_is_found_again(tmp_path: Path) -> None:
    growing = each(ONLY_PID_42, before="(drop (memory.grow (i32.const 3)))")
    with chain(tmp_path, module(growing)) as ours:
        for _ in range(50):
            assert ours.apply(batch(100)).events["pid"].tolist() == [42, 42]
        assert ours.filters[0].counters.errors == 0


def test_a_program_gets_no_more_memory_than_its_share(tmp_path: Path) -> None:
    bomb = "(loop $grow (br_if $grow (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) (i32.const 0)"
    with chain(tmp_path, module(on_batch(bomb))) as ours:
        ours.apply(batch(1))
        guest = ours.filters[0]._guest
        assert guest is not None
        assert 60 << 20 < guest.instance.memory_bytes <= 64 << 20


def test_a_program_that_changes_its_mind_is_followed(tmp_path: Path) -> None:
    """It keeps every other batch. There is nothing to import that two runs could differ by."""
    flips = each(
        "(local.get $k)",
        before="(global.set $n (i32.xor (global.get $n) (i32.const 1))) (local.set $k (global.get $n))",
    )
    wasm = module(flips, "(global $n (mut i32) (i32.const 0))")
    runs = []
    for _ in range(2):
        with chain(tmp_path, wasm) as ours:
            runs.append([len(ours.apply(batch(10))) for _ in range(6)])
    assert runs == [[10, 0, 10, 0, 10, 0]] * 2


LIES = {
    "behind its memory": ("(i32.const -16)", "(i32.const 64)", "outside of its memory"),
    "longer than its memory": ("(i32.const 0)", "(i32.const 0x7fffffff)", "outside of its memory"),
    "of negative length": ("(i32.const 0)", "(i32.const -1)", "outside of its memory"),
    "around the end": ("(i32.const -8)", "(i32.const 16)", "outside of its memory"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_log_line_that_is_not_there_is_no_harm(tmp_path: Path, name: str) -> None:
    at, size, words = LIES[name]
    with chain(tmp_path, module(on_batch(f"{log(at, size)} (i32.const 0)"), LOG)) as ours:
        assert len(ours.apply(batch(3))) == 3
        (line,) = ours.filters[0].log.lines
        assert words in line.text


def test_log_lines_are_made_safe(tmp_path: Path) -> None:
    data = r'(data (i32.const 0) "\1b]0;title\07 \ff\fe \e2\80\ae end")'
    with chain(
        tmp_path, module(on_batch(f"{log('(i32.const 0)', '(i32.const 21)')} (i32.const 0)"), LOG, data)
    ) as ours:
        ours.apply(batch(1))
        (line,) = ours.filters[0].log.lines
        assert line.text == r"\x1b]0;title\x07 \xff\xfe \u202e end"


def test_a_program_may_log_from_its_start_on(tmp_path: Path) -> None:
    start = f"(func $s {log('(i32.const 0)', '(i32.const 5)', '(i32.const 0)')}) (start $s)"
    with chain(tmp_path, module("", LOG, '(data (i32.const 0) "begun")', start)) as ours:
        (line,) = ours.filters[0].log.lines
        assert (line.level, line.text, line.ours) == (Level.ERROR, "begun", False)


def test_a_flood_of_log_lines_is_cut_and_counted(tmp_path: Path) -> None:
    flood = (
        "(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        f" {log('(i32.const 0)', '(i32.const 5)')} (br_if $l (i32.lt_u (local.get $i) (i32.const 500)))) (i32.const 0)"
    )
    with chain(tmp_path, module(on_batch(flood), LOG, '(data (i32.const 0) "hello")')) as ours:
        ours.apply(batch(1))
        one = ours.filters[0]
        said = [line.text for line in one.log.lines if not line.ours]
        assert 20 <= len(said) <= 60
        assert set(said) == {"hello"}
        assert one.log.suppressed == 500 - len(said)
        assert one.health().degraded["log lines: too many"] == one.log.suppressed


def test_an_abort_of_assemblyscript_is_told(tmp_path: Path) -> None:
    text = "".join(f"\\{b:02x}" for b in "no".encode("utf-16-le"))
    data = rf'(data (i32.const 12) "\04\00\00\00{text}")'
    abort = '(import "env" "abort" (func $abort (param i32 i32 i32 i32)))'
    body = "(call $abort (i32.const 16) (i32.const -1) (i32.const 3) (i32.const 4)) (unreachable)"
    with chain(tmp_path, module(on_batch(body), abort, data)) as ours:
        ours.apply(batch(1))
        assert ours.filters[0].log.lines[0].text == "abort: no (?:3:4)"


def test_a_filter_that_keeps_failing_is_tried_less_and_less_often_and_then_no_more(tmp_path: Path) -> None:
    clock = Time()
    with chain(tmp_path, module(on_batch("(unreachable)")), clock=clock) as ours:
        one = ours.filters[0]
        tried = []
        for _ in range(60 * 4):
            before = one.counters.errors
            assert len(ours.apply(batch(1))) == 1
            if one.counters.errors > before:
                tried.append(clock.now - 1000)
            clock.now += 0.25
        assert tried == [0, 1, 3, 7, 15]
        assert one.disabled
        assert one.health().state is State.FAILED
        assert "disabled after 5 failures in a minute, everything passes unfiltered" in one.health().message
        one.switch(True)
        ours.apply(batch(1))
        assert one.counters.errors == 6
        assert not one.disabled


def test_a_filter_that_fails_now_and_then_begins_anew_without_its_state(tmp_path: Path) -> None:
    """It counts batches, and fails at the third."""
    counting = each(
        "(global.get $n)",
        before="(global.set $n (i32.add (global.get $n) (i32.const 1)))"
        " (if (i32.eq (global.get $n) (i32.const 3)) (then (unreachable)))",
    )
    clock = Time()
    with chain(tmp_path, module(counting, "(global $n (mut i32) (i32.const 0))"), clock=clock) as ours:
        weights = []
        for _ in range(6):
            weights.append(int(ours.apply(batch(1)).events["weight"][0]))
            clock.now += 11
        assert weights == [2, 4, 2, 2, 4, 2]
        assert ours.filters[0].counters.errors == 2
        assert not ours.filters[0].disabled


def test_a_program_that_must_not_be_passed_by_stops_the_chain(tmp_path: Path) -> None:
    with chain(tmp_path, module(on_batch("(unreachable)")), on_error=OnError.STOP) as ours:
        for _ in range(3):
            assert len(ours.apply(batch(10))) == 0
        assert "nothing passes" in ours.failure
        assert ours.health()[0].lost == {"events: filter failed": 30}
        assert ours.health()[0].state is State.FAILED


def test_tables_beyond_its_memory_fail_with_a_clear_line(tmp_path: Path) -> None:
    """A module that needs most of its memory for itself."""
    hog = module(memory='(memory (export "memory") 700)', alloc=ALLOC.replace("4096", str(640 << 16)))
    symbols = Symbols()
    with chain(tmp_path, hog) as ours:
        assert len(ours.apply(batch(1, symbols))) == 1
        for i in range(1 << 17):
            symbols.string(f"string number {i}")
        symbols.string("x" * (16 << 20))
        assert len(ours.apply(batch(1, symbols))) == 1
        assert "no room" in ours.filters[0].health().message


def test_the_slow_binding_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the private entry does not do what it should, filters go on more slowly."""
    monkeypatch.setattr("aperture_tui.filters.engine.works", lambda engine: False)
    wasm = module(each(ONLY_PID_42), CONFIGURED)
    with Chain([spec(tmp_path, wasm, config="3"), spec(tmp_path, AT_WORK["gives up"][0], name="g")]) as ours:
        guest = ours.filters[0]._guest
        assert guest is not None
        assert isinstance(guest.instance._calls["ap_on_batch"], StockCall)
        assert ours.apply(batch(100)).events["pid"].tolist() == [42, 42]
        assert "gave up" in ours.filters[1].health().message


def test_the_fast_way_is_found_to_work() -> None:
    with Engine() as engine:
        assert engine.fast


def test_the_clock_sleeps_between_calls(tmp_path: Path) -> None:
    with chain(tmp_path, module()) as ours:
        ours.apply(batch(1))
        deadline = time.monotonic() + 10
        while ours._engine.clock.awake and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not ours._engine.clock.awake
        ours.apply(batch(1))
        assert ours._engine.clock.awake
