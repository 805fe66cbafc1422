"""The trie of stacks against paths kept as tuples."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.trie import ROOT, StackTable, Trie
from tests.profile.paths import Path, intern, path_lists


def prefixes(paths: list[Path]) -> set[Path]:
    return {path[:i] for path in paths for i in range(len(path) + 1)} | {()}


@given(st.lists(path_lists, max_size=4))
def test_equal_paths_have_equal_ids_and_only_they(rounds: list[list[Path]]) -> None:
    table = StackTable(1)
    ids: dict[Path, int] = {}
    for paths in rounds:
        for path, node in zip(paths, intern(table, paths), strict=True):
            assert ids.setdefault(path, node) == node
    assert len(set(ids.values())) == len(ids)


@given(st.lists(path_lists, max_size=4))
def test_a_node_gives_back_its_path(rounds: list[list[Path]]) -> None:
    table = StackTable(1)
    for paths in rounds:
        nodes = intern(table, paths)
        trie = table.view()
        assert [tuple(trie.path(node)) for node in nodes] == paths
        assert [trie.find(list(path)) for path in paths] == [
            (node, len(path)) for node, path in zip(nodes, paths, strict=True)
        ]


@given(st.lists(path_lists, max_size=4))
def test_nodes_are_the_prefixes_and_children_are_sorted_and_complete(rounds: list[list[Path]]) -> None:
    table = StackTable(1)
    for paths in rounds:
        intern(table, paths)
    trie = table.view()
    every = [tuple(trie.path(node)) for node in range(len(trie))]
    assert sorted(every) == sorted(prefixes(list(itertools.chain.from_iterable(rounds))))
    for node, path in enumerate(every):
        children = trie.children(node).tolist()
        assert [every[child] for child in children] == sorted(p for p in every if p and p[:-1] == path)
        assert trie.kids[trie.first_child[node] : trie.first_child[node + 1]].tolist() == children


@given(st.lists(path_lists, max_size=4))
def test_parents_come_before_their_children_and_levels_are_the_depths(rounds: list[list[Path]]) -> None:
    table = StackTable(1)
    for paths in rounds:
        intern(table, paths)
    trie = table.view()
    assert (trie.parent[1:] < np.arange(1, len(trie))).all()
    assert trie.parent[ROOT] == -1
    assert trie.depth.tolist() == [len(trie.path(node)) for node in range(len(trie))]
    for depth, nodes in enumerate(trie.levels):
        assert nodes.tolist() == [node for node in range(len(trie)) if trie.depth[node] == depth]


@given(path_lists, path_lists)
def test_a_view_does_not_change_when_the_trie_grows(first: list[Path], later: list[Path]) -> None:
    table = StackTable(1)
    intern(table, first)
    view = table.view()
    before = [tuple(view.path(node)) for node in range(len(view))]
    intern(table, later)
    assert [tuple(view.path(node)) for node in range(len(view))] == before
    assert table.view().lineage == view.lineage


@given(path_lists, st.data())
def test_spread_reaches_all_descendants_and_nothing_else(paths: list[Path], data: st.DataObject) -> None:
    table = StackTable()
    intern(table, paths)
    trie = table.view()
    on = np.array(data.draw(st.lists(st.booleans(), min_size=len(trie), max_size=len(trie))))
    kept = on.copy()
    expected = [on[node] or any(on[above] for above in ancestors(trie, node)) for node in range(len(trie))]
    assert trie.spread(on).tolist() == expected
    assert (on == kept).all()


def ancestors(trie: Trie, node: int) -> list[int]:
    out = []
    while (node := int(trie.parent[node])) >= 0:
        out.append(node)
    return out


def test_find_says_how_far_it_came() -> None:
    table = StackTable()
    (node,) = intern(table, [(5, 6)])
    trie = table.view()
    assert trie.find([5, 6, 7]) == (node, 2)
    assert trie.find([9]) == (ROOT, 0)
    assert trie.find([]) == (ROOT, 0)
    assert StackTable().view().find([1]) == (ROOT, 0)


def test_the_largest_frame_ids_and_the_deepest_stacks() -> None:
    table = StackTable()
    deep = tuple([0xFFFFFFFF] * 5000)
    (node,) = intern(table, [deep])
    assert tuple(table.view().path(node)) == deep
    assert intern(table, [deep, (0xFFFFFFFF,)]) == [node, 1]


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_to_intern(size: int) -> None:
    table = StackTable()
    assert intern(table, [()] * size) == [ROOT] * size
    assert len(table) == 1


def test_views_are_consistent_while_another_thread_interns() -> None:
    table, done, wrong = StackTable(1), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            trie = table.view()
            n = len(trie)
            if not (len(trie.frame) == len(trie.depth) == n and len(trie.keys) == len(trie.kids) == n - 1):
                wrong.append(n)
            if n > 1 and not (trie.path(n - 1) and (trie.parent[1:] < np.arange(1, n)).all()):
                wrong.append(n)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(300):
        intern(table, [(i % 7, i, j) for j in range(5)])
    done.set()
    reader.join()
    assert wrong == []


@given(path_lists, path_lists, st.integers(0, 6))
def test_a_grafted_trie_has_the_nodes_of_its_paths(here: list[Path], there: list[Path], deepest: int) -> None:
    """Its parents are partly known here already, as those of an earlier part of it."""
    other, table = StackTable(1), StackTable(1)
    intern(other, there)
    intern(table, here)
    trie = other.view()
    half = len(trie) // 2
    nodes = np.zeros(1, np.int64)
    for first, end in ((1, max(1, half)), (max(1, half), len(trie))):
        parents = trie.parent[first:end].astype(np.int64)
        above = np.where(parents >= first, parents - first, -1 - nodes[np.minimum(parents, first - 1)])
        nodes = np.append(nodes, table.graft(above, trie.frame[first:end], deepest))
    grown = table.view()
    paths = [tuple(trie.path(node)) for node in range(len(trie))]
    assert [tuple(grown.path(node)) for node in nodes.tolist()] == [path[:deepest] for path in paths]
    assert len(set(map(tuple, (grown.path(node) for node in range(len(grown)))))) == len(grown)
    assert (grown.parent[1:] < np.arange(1, len(grown))).all()
    assert intern(table, paths) == intern(table, paths)
