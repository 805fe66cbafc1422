"""The tables of a session: stable ids, words given back, nothing unsafe kept, generations."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols, carry
from aperture_tui.profile.text import clean

texts = st.text(max_size=8)
frames = st.builds(Frame, texts, texts, texts, st.integers(0, (1 << 32) - 1), st.sampled_from(FrameKind))
processes = st.builds(Process, st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), texts, texts, texts)


def cleaned(row: Frame | Process) -> Frame | Process:
    return type(row)(*(clean(value) if isinstance(value, str) else value for value in row))  # type: ignore[arg-type]  # field by field of the same type


@given(st.lists(texts))
def test_a_string_keeps_its_id(given_texts: list[str]) -> None:
    symbols = Symbols()
    ids = [symbols.string(text) for text in given_texts]
    assert [symbols.string(text) for text in given_texts] == ids
    assert [symbols.strings[i] for i in ids] == [clean(text) for text in given_texts]
    assert len(set(symbols.strings)) == len(symbols.strings)


@given(st.lists(frames))
def test_a_frame_keeps_its_id_and_its_words(rows: list[Frame]) -> None:
    symbols = Symbols()
    ids = [symbols.frame(row) for row in rows]
    assert [symbols.frame_at(i) for i in ids] == [cleaned(row) for row in rows]
    assert len(set(ids)) == len({cleaned(row) for row in rows} | {Frame("all", kind=FrameKind.ROOT)}) - (
        Frame("all", kind=FrameKind.ROOT) not in rows
    )


@given(st.lists(processes))
def test_a_process_keeps_its_id_and_its_words(rows: list[Process]) -> None:
    symbols = Symbols()
    ids = [symbols.process(row) for row in rows]
    assert [symbols.process_at(i) for i in ids] == [cleaned(row) for row in rows]


def test_ids_and_earlier_views_survive_growth() -> None:
    symbols = Symbols()
    early = symbols.frame(Frame("early", "m"))
    view, strings = symbols.frames, symbols.strings
    length = len(view)
    for i in range(3000):
        assert symbols.frame(Frame(f"f{i}")) == early + 1 + i
        symbols.process(Process(i + 1))
    assert symbols.frame_at(early) == Frame("early", "m")
    assert symbols.frame(Frame("early", "m")) == early
    assert len(view) == length
    assert strings[view["function"][early]] == "early"
    assert symbols.process_at(2500).pid == 2500
    assert symbols.size() == len(symbols.strings) + len(symbols.frames) + len(symbols.processes) + len(symbols.trie)


def test_bytes_and_text_of_the_same_name_are_one_string() -> None:
    symbols = Symbols()
    assert symbols.string("écrire".encode()) == symbols.string("écrire")
    assert symbols.string(b"\x1b[31m\xff") == symbols.string("\x1b[31m\\xff")


def test_id_0_is_nothing() -> None:
    symbols = Symbols()
    assert symbols.strings[0] == ""
    assert symbols.frame_at(0) == Frame("all", kind=FrameKind.ROOT)
    assert symbols.process_at(0) == Process(0)
    assert symbols.stacks([()]).tolist() == [0]


@given(st.lists(frames), st.sampled_from(["a", "^a", "", r"\d", "[^a-z]"]), st.sampled_from([0, re.IGNORECASE]))
def test_matching_frames_are_those_with_a_matching_text(rows: list[Frame], pattern: str, flags: int) -> None:
    symbols = Symbols()
    for row in rows:
        symbols.frame(row)
    got = symbols.matching_frames(pattern, flags)
    expected = [
        any(text and re.search(pattern, text, flags) for text in symbols.frame_at(i)[:3])
        for i in range(len(symbols.frames))
    ]
    assert got.tolist() == [False, *expected[1:]]


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(re.error):
        Symbols().matching_frames("(")


@given(st.lists(st.lists(frames, max_size=4), min_size=1, max_size=6), st.lists(processes, max_size=4), st.data())
def test_carrying_keeps_every_word_and_only_what_is_asked_for(
    stacks: list[list[Frame]], rows: list[Process], data: st.DataObject
) -> None:
    old, new = Symbols(), Symbols()
    new.frame(Frame("makes all ids differ"))
    nodes = old.stacks([[old.frame(f) for f in stack] for stack in stacks])
    process_ids = [old.process(row) for row in rows]
    name = old.string("futex")
    kept = data.draw(st.lists(st.sampled_from(range(len(stacks))), unique=True))
    sizes = len(new.trie), len(new.processes)
    remap = carry(old, new, [name], nodes[kept], process_ids)
    trie = new.trie
    for i in kept:
        path = trie.path(int(remap.stacks[nodes[i]]))
        assert [new.frame_at(f) for f in path] == [cleaned(f) for f in stacks[i]]
    assert [new.process_at(int(remap.processes[i])) for i in process_ids] == [cleaned(row) for row in rows]
    assert new.strings[remap.strings[name]] == "futex"
    assert remap.stacks[0] == 0
    assert remap.processes[0] == 0
    assert (len(remap.strings), len(remap.stacks)) == (len(old.strings), len(old.trie))
    if not kept:
        assert len(trie) == sizes[0]


def test_carrying_takes_room_for_the_stacks_and_not_for_the_deepest_of_them_each() -> None:
    old, new = Symbols(), Symbols()
    frames = np.array([old.frame(Frame(f"f{i}")) for i in range(2000)], np.uint32)
    nodes = old.stacks([frames, *(frames[i : i + 3] for i in range(1900))])
    tracemalloc.start()
    try:
        remap = carry(old, new, [], nodes, [])
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
    assert len(new.trie) == len(old.trie)
    assert [new.frame_at(f).function for f in new.trie.path(int(remap.stacks[nodes[7]]))] == ["f6", "f7", "f8"]


def test_a_batch_of_stacks_may_repeat_itself() -> None:
    symbols = Symbols()
    a, b = symbols.frame(Frame("a")), symbols.frame(Frame("b"))
    assert symbols.stacks([(a, b), (a,), (a, b), ()]).tolist() == [2, 1, 2, 0]
    assert symbols.stacks([]).dtype == np.int32
