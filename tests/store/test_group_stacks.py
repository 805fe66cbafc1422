"""Stacks by thread and by tag: what stays as it was from one answer to the next, and what they may not touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store import group_stacks
from aperture_tui.store.memory import MemoryStore
from tests.store.conformance import HOST, PYTHON, SH, STACK
from tests.store.facts import SECOND, T0, TAGS, Fact, Reference, batch_of, facts, queries, words

BY_THREAD, BY_TAG = Query(group=Group.THREAD), Query(group=Group.TAG)


def store_of(*events: Fact) -> tuple[MemoryStore, Symbols]:
    store, symbols = MemoryStore(), Symbols()
    store.set_hosts([HOST])
    store.append(batch_of(events, symbols))
    return store, symbols


def drawn(tree: CallTree) -> dict[int, int]:
    """What a screen remembers of a tree: the frame of each node with weight."""
    nodes = np.flatnonzero(tree.total)
    return dict(zip(nodes.tolist(), tree.trie.frame[nodes].tolist(), strict=True))


def test_the_thread_stands_below_its_process() -> None:
    store, _ = store_of(Fact(T0, SH, 4711, STACK, thread="worker"), Fact(T0, SH, 4712, STACK, thread=""))
    process, *rest = STACK
    assert words(store.call_tree(BY_THREAD)) == {
        (process, Frame(name, kind=FrameKind.THREAD), *rest): 1 for name in ("worker 4711", "4712")
    }


def test_the_tags_stand_above_the_process() -> None:
    tagged = Fact(T0, SH, 1, STACK, tags=frozenset(TAGS[:2]))
    store, _ = store_of(tagged, Fact(T0, SH, 1, STACK), Fact(T0, SH, 1, tags=frozenset(TAGS[:1])))
    assert words(store.call_tree(BY_TAG)) == {
        (Frame("tag: slow, tenant-a", kind=FrameKind.TAG), *STACK): 1,
        (Frame("untagged", kind=FrameKind.TAG), *STACK): 1,
        (Frame("tag: slow", kind=FrameKind.TAG),): 1,
    }


def test_nodes_and_frames_keep_their_ids_when_others_come() -> None:
    store, symbols = store_of(Fact(T0, SH, 1, STACK), Fact(T0, SH, 2, STACK))
    before = store.call_tree(BY_THREAD)
    known = drawn(before)
    store.call_tree(BY_TAG)  # has tables of its own
    more = [Fact(T0, PYTHON, 0, (Frame("python3", kind=FrameKind.PROCESS), Frame("early"))), Fact(T0, SH, 1, STACK[:1])]
    store.append(batch_of(more, symbols))
    after = store.call_tree(BY_THREAD)
    assert after.symbols is before.symbols
    assert after.trie.lineage == before.trie.lineage
    assert drawn(after).items() >= known.items()
    assert after.subtract(before).weight == 2


def test_asking_by_thread_adds_nothing_to_the_tables_of_the_session() -> None:
    store, symbols = store_of(*(Fact(T0, SH, tid, STACK) for tid in range(1, 50)))
    size = symbols.size()
    store.call_tree(BY_THREAD)
    store.diff(BY_THREAD, BY_THREAD)
    assert symbols.size() == size


@settings(max_examples=40, deadline=None)
@given(st.lists(facts, max_size=20), st.lists(queries, min_size=2, max_size=5))
def test_an_answer_does_not_depend_on_what_was_asked_before(events: list[Fact], asked: list[Query]) -> None:
    store, _ = store_of(*events)
    for query in asked:
        for group in Group:
            grouped = replace(query, group=group)
            assert words(store.call_tree(grouped)) == Reference(events).tree(grouped)


def test_many_stacks_of_many_depths_at_once() -> None:
    events = [
        Fact(
            T0,
            SH,
            1 + i % 7,
            (*STACK, *(Frame(f"f{i % 13 + k}") for k in range(i % 40))),
            weight=i,
            tags=frozenset(TAGS[: i % 3]),
        )
        for i in range(900)
    ]
    store, _ = store_of(*events)
    for query in (BY_THREAD, BY_TAG):
        assert words(store.call_tree(query)) == Reference(events).tree(query)


def test_a_new_generation_of_tables_is_followed() -> None:
    event = Fact(T0, SH, 1, STACK, tags=frozenset(TAGS[2:]))
    for query in (BY_THREAD, BY_TAG):
        store, _ = store_of(event)
        before = store.call_tree(query)
        store.rebase(Symbols())
        after = store.call_tree(query)
        assert after.symbols is not before.symbols
        assert words(after) == words(before) == Reference([event]).tree(query)


def test_threads_that_are_gone_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that makes a thread for every request goes on with the same stacks."""
    monkeypatch.setattr(group_stacks, "_PAIRS", 100)
    store, symbols = store_of(Fact(T0, SH, 1, STACK))
    sizes = []
    for i in range(1, 60):
        second = T0 + i * SECOND
        event = [Fact(second, SH, 100 * i + k, STACK) for k in range(20)]
        store.append(batch_of(event, symbols))
        recent = replace(BY_THREAD, start_ns=second)
        tree = store.call_tree(recent)
        assert words(tree) == Reference(event).tree(recent)
        sizes.append(len(tree.trie))
    assert max(sizes) < 500
    whole = store.call_tree(BY_THREAD)
    assert whole.weight == 1 + 59 * 20
    assert store.call_tree(BY_THREAD).symbols is whole.symbols  # what is asked for again is kept, however much
