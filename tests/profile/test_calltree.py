"""Call trees against sums over lists of stacks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.symbols import Symbols
from tests.profile.paths import Path, paths, stacks_of, symbols_of_six, tree_of, weighted

Stacks = list[tuple[Path, int]]


def summed(stacks: Stacks, keep: Callable[[Path], bool] = lambda path: True) -> dict[Path, int]:
    out: Counter[Path] = Counter()
    for path, weight in stacks:
        if keep(path):
            out[path] += weight
    return {path: weight for path, weight in out.items() if weight}


@given(weighted)
def test_equal_stacks_are_summed(stacks: Stacks) -> None:
    tree = tree_of(symbols_of_six(), stacks)
    assert stacks_of(tree) == summed(stacks)
    assert tree.weight == sum(weight for _, weight in stacks)


@given(weighted)
def test_a_total_is_the_weight_of_all_stacks_through_a_node(stacks: Stacks) -> None:
    tree = tree_of(symbols_of_six(), stacks)
    for node in range(len(tree.trie)):
        here = tuple(tree.trie.path(node))
        assert tree.total[node] == sum(weight for path, weight in stacks if path[: len(here)] == here)


@given(weighted, weighted, weighted)
def test_merging_is_commutative_and_associative(a: Stacks, b: Stacks, c: Stacks) -> None:
    symbols = symbols_of_six()
    x, y, z = (tree_of(symbols, stacks) for stacks in (a, b, c))
    assert stacks_of(x.merge(y)) == stacks_of(y.merge(x)) == summed(a + b)
    assert stacks_of(x.merge(y).merge(z)) == stacks_of(x.merge(y.merge(z))) == summed(a + b + c)


@given(weighted, weighted)
def test_subtracting_undoes_merging(a: Stacks, b: Stacks) -> None:
    symbols = symbols_of_six()
    x, y = tree_of(symbols, a), tree_of(symbols, b)
    assert stacks_of(x.merge(y).subtract(y)) == summed(a)
    assert stacks_of(x.subtract(x)) == {}


def test_trees_of_different_tables_do_not_mix() -> None:
    with pytest.raises(ValueError, match="generations"):
        tree_of(symbols_of_six(), []).merge(tree_of(symbols_of_six(), []))


@given(weighted, paths)
def test_a_subtree_has_the_stacks_through_its_node(stacks: Stacks, top: Path) -> None:
    tree = tree_of(symbols_of_six(), stacks)
    node, found = tree.trie.find(list(top))
    here = top[:found]
    assert stacks_of(tree.subtree(node)) == summed(stacks, lambda path: path[: len(here)] == here)


@given(weighted, st.sets(st.integers(1, 9)))
def test_filtering_keeps_whole_stacks_with_a_frame(stacks: Stacks, wanted: set[int]) -> None:
    tree = tree_of(symbols_of_six(), stacks)
    on = np.zeros(max(wanted, default=0) + 1, bool)  # shorter or longer than the frames: both must do
    on[list(wanted)] = True
    assert stacks_of(tree.filtered(on)) == summed(stacks, lambda path: bool(wanted & set(path)))


@given(weighted, st.sampled_from(["^f[12]$", "m1", r"0\.py", "", "nothing"]))
def test_matching_keeps_whole_stacks_with_a_frame_that_says_so(stacks: Stacks, pattern: str) -> None:
    symbols = symbols_of_six()
    tree = tree_of(symbols, stacks)
    on = {i for i in range(1, 7) if any(re.search(pattern, text) for text in symbols.frame_at(i)[:3])}
    assert stacks_of(tree.matching(pattern)) == summed(stacks, lambda path: bool(on & set(path)))


@given(weighted)
def test_inverting_turns_every_stack_around(stacks: Stacks) -> None:
    tree = tree_of(symbols_of_six(), stacks)
    inverted = tree.inverted()
    assert stacks_of(inverted) == {path[::-1]: weight for path, weight in summed(stacks).items()}
    assert inverted.weight == tree.weight
    assert stacks_of(inverted.inverted()) == stacks_of(tree)


@given(weighted)
def test_totals_of_an_inverted_tree_are_those_of_call_suffixes(stacks: Stacks) -> None:
    inverted = tree_of(symbols_of_six(), stacks).inverted()
    for node in range(len(inverted.trie)):
        tail = tuple(inverted.trie.path(node))[::-1]
        assert inverted.total[node] == sum(w for path, w in stacks if path[len(path) - len(tail) :] == tail)


@given(weighted)
def test_a_recursive_frame_counts_each_stack_once(stacks: Stacks) -> None:
    symbols = symbols_of_six()
    own, total = tree_of(symbols, stacks).frame_weights()
    for frame in range(1, len(total)):
        assert own[frame] == sum(w for path, w in stacks if path and path[-1] == frame)
        assert total[frame] == sum(w for path, w in stacks if frame in path)
    assert total[0] == sum(w for _, w in stacks)


@given(weighted, weighted)
def test_a_tree_stays_true_after_the_trie_has_grown(first: Stacks, later: Stacks) -> None:
    symbols = symbols_of_six()
    tree = tree_of(symbols, first)
    tree_of(symbols, later)
    assert stacks_of(tree) == summed(first)
    assert tree.total[0] == tree.weight
    assert len(tree.total) == len(tree.trie)


def test_an_empty_tree() -> None:
    tree = CallTree.of_stacks(Symbols(), np.zeros(0, np.int32), np.zeros(0, np.int64))
    assert tree.weight == 0
    assert tree.total.tolist() == [0]
    assert stacks_of(tree.inverted()) == {}
    assert [w.tolist() for w in tree.frame_weights()] == [[0], [0]]


def test_a_shorter_vector_than_the_trie_is_a_tree_too() -> None:
    symbols = symbols_of_six()
    tree = tree_of(symbols, [((1, 2), 5)])
    symbols.stacks([(3, 4)])
    short = CallTree(symbols, symbols.trie, tree.self_weight)
    assert short.total[0] == 5
    assert stacks_of(short.subtree(0)) == stacks_of(short.inverted().inverted()) == {(1, 2): 5}
    assert short.frame_weights()[1][[1, 2, 3]].tolist() == [5, 5, 0]
