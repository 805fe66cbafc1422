"""Names that a filter hides: they are in nothing that a sink is given, and nothing else is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.filters.chain import Chain
from aperture_tui.filters.redaction import HIDDEN, Redactor, union
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.filters.wat import Time, chain, events, module, on_batch, spec

# of every frame whose function's name begins with "s": table of frames, then that of strings
MARKS_S = """
(local $frame i32) (local $string i32) (local $i i32)
(local.set $i (global.get $seen))
(if (i32.ne (global.get $generation) (i32.load offset=32 (local.get $h))) (then
  (global.set $generation (i32.load offset=32 (local.get $h))) (local.set $i (i32.const 0))))
(block $done (loop $next
  (br_if $done (i32.ge_u (local.get $i) (i32.load offset=72 (local.get $h))))
  (local.set $frame (i32.add (i32.add (local.get $h) (i32.load offset=76 (local.get $h)))
    (i32.mul (local.get $i) (i32.const 20))))
  (local.set $string (i32.add (i32.add (local.get $h) (i32.load offset=68 (local.get $h)))
    (i32.mul (i32.load (local.get $frame)) (i32.const 8))))
  (if (i32.load offset=4 (local.get $string)) (then
    (i32.store8 (i32.add (i32.add (local.get $h) (i32.load offset=96 (local.get $h))) (local.get $i))
      (i32.eq (i32.load8_u (i32.add (local.get $h) (i32.load (local.get $string)))) (i32.const 115)))))
  (local.set $i (i32.add (local.get $i) (i32.const 1)))
  (br $next)))
(global.set $seen (local.get $i))
(i32.const 0)
"""
GLOBALS = "(global $seen (mut i32) (i32.const 0)) (global $generation (mut i32) (i32.const 0))"
HIDES_S = module(on_batch(MARKS_S), GLOBALS)


def _batch(symbols: Symbols, *stacks: list[str]) -> Batch:
    some = events(len(stacks))
    some["stack"] = symbols.stacks([[symbols.frame(Frame(name, "app", "a.c", 3)) for name in path] for path in stacks])
    some["process"] = symbols.process(Process(7, 5, "app", "/c", "k"))
    some["thread"], some["name"] = symbols.string("worker"), symbols.string("futex")
    return Batch(symbols, some)


def _words(batch: Batch) -> list[list[str]]:
    trie = batch.symbols.trie
    return [[batch.symbols.frame_at(f).function for f in trie.path(int(node))] for node in batch.events["stack"]]


def test_a_hidden_frame_has_no_name_module_file_or_line(tmp_path: Path) -> None:
    symbols = Symbols()
    with chain(tmp_path, HIDES_S) as ours:
        out = ours.apply(_batch(symbols, ["main", "secret", "work"], ["main", "work"]))
        assert _words(out) == [["main", HIDDEN, "work"], ["main", "work"]]
        frames = [out.symbols.frame_at(i) for i in range(len(out.symbols.frames))]
        assert Frame(HIDDEN, "", "", 0, FrameKind.NATIVE) in frames
        assert Frame("main", "app", "a.c", 3) in frames
        assert not any("secret" in text for text in out.symbols.strings)
        assert symbols.known_string("secret") > 0
        assert out.symbols.process_at(int(out.events["process"][0])) == Process(7, 5, "app", "/c", "k")
        assert [out.symbols.strings[int(out.events[name][0])] for name in ("thread", "name")] == ["worker", "futex"]


def test_until_a_name_is_hidden_the_session_s_tables_are_passed_on(tmp_path: Path) -> None:
    symbols = Symbols()
    with chain(tmp_path, HIDES_S) as ours:
        assert ours.apply(_batch(symbols, ["main"])).symbols is symbols
        out = ours.apply(_batch(symbols, ["main", "secret"]))
        assert out.symbols is not symbols
        later = ours.apply(_batch(symbols, ["main"], ["other", "secret2"], ["main", "secret"]))
        assert later.symbols is out.symbols
        assert _words(later) == [["main"], ["other", HIDDEN], ["main", HIDDEN]]


def test_a_new_generation_begins_anew_and_hides_the_same(tmp_path: Path) -> None:
    with chain(tmp_path, HIDES_S) as ours:
        first = ours.apply(_batch(Symbols(), ["secret", "a"]))
        second = ours.apply(_batch(Symbols(), ["b", "secret"]))
        assert second.symbols.generation > first.symbols.generation
        assert _words(second) == [["b", HIDDEN]]
        assert "a" not in second.symbols.strings


def test_names_stay_hidden_while_the_filter_has_failed(tmp_path: Path) -> None:
    """What it has marked is known; of what is new it can say nothing, and on_error decides."""
    third = f"(if (i64.eq (i64.load offset=48 (local.get $h)) (i64.const 1)) (then (unreachable))) {MARKS_S}"
    third = third.replace("(local $frame i32) (local $string i32) (local $i i32)", "")
    wasm = module(on_batch("(local $frame i32) (local $string i32) (local $i i32) " + third), GLOBALS)
    symbols, clock = Symbols(), Time()
    with chain(tmp_path, wasm, clock=clock) as ours:
        assert _words(ours.apply(_batch(symbols, ["secret"]))) == [[HIDDEN]]
        assert _words(ours.apply(_batch(symbols, ["secret", "a"]))) == [[HIDDEN, "a"]]
        assert ours.filters[0].counters.errors == 1
        clock.now += 2
        assert _words(ours.apply(_batch(symbols, ["secret", "some"]))) == [[HIDDEN, HIDDEN]]


def test_a_filter_that_is_switched_off_hides_nothing(tmp_path: Path) -> None:
    symbols = Symbols()
    with chain(tmp_path, HIDES_S) as ours:
        assert _words(ours.apply(_batch(symbols, ["secret"]))) == [[HIDDEN]]
        ours.filters[0].switch(False)
        assert _words(ours.apply(_batch(symbols, ["secret"]))) == [["secret"]]
        ours.filters[0].switch(True)
        out = ours.apply(_batch(symbols, ["secret"]))
        assert _words(out) == [[HIDDEN]]
        assert "secret" not in out.symbols.strings


def test_a_store_never_holds_a_hidden_name(tmp_path: Path) -> None:
    """It carries what it holds from one generation into the next by itself."""
    store, symbols = MemoryStore(recorded=True), Symbols()
    with Chain([spec(tmp_path, HIDES_S)]) as ours:
        for i in range(12):
            if i % 4 == 3:
                symbols = Symbols()
            store.append(ours.apply(_batch(symbols, ["main", f"f{i}"], ["main", "secret", f"s{i}"])))
    tree_symbols, selected = store.selected(Query())
    assert len(selected) == 24
    assert not [text for text in tree_symbols.strings if text.startswith("s")]
    assert sum(path == ["main", HIDDEN, HIDDEN] for path in _words(Batch(tree_symbols, selected))) == 12


_paths = st.lists(st.lists(st.sampled_from(["a", "b", "s1", "s2", "c"]), max_size=6), min_size=1, max_size=6)


@given(st.lists(_paths, min_size=1, max_size=6), st.sets(st.sampled_from(["a", "s1", "s2"])))
def test_any_stacks_come_over_whole_but_for_what_is_hidden(batches: list[list[list[str]]], secret: set[str]) -> None:
    redactor, symbols = Redactor(), Symbols()
    for stacks in batches:
        given_batch = _batch(symbols, *stacks)
        names = [symbols.frame_at(i).function for i in range(len(symbols.frames))]
        out = redactor.batch(given_batch, np.array([name in secret for name in names]))
        assert _words(out) == [[HIDDEN if name in secret else name for name in path] for path in stacks]
        assert not secret & set(out.symbols.strings)


@pytest.mark.parametrize("masks", [[], [[]], [[False, False]], [[], [False]]])
def test_nothing_hidden_by_any_is_none(masks: list[list[bool]]) -> None:
    assert union([np.array(mask, bool) for mask in masks]) is None


def test_what_any_filter_hides_is_hidden() -> None:
    both = union([np.array([False, True]), np.array([True, False, False, True]), np.zeros(0, bool)])
    assert both is not None
    assert both.tolist() == [True, True, False, True]
