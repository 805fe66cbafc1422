"""Trees made small: nothing of their weight is lost, and what is heavy stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.pruning import SMALLER, _with_parents, pruned

paths = st.lists(st.sampled_from("abcde"), max_size=6)
trees = st.lists(st.lists(st.tuples(paths, st.integers(0, 1000)), max_size=30), min_size=1, max_size=2)


def words(symbols: Symbols, nodes: np.ndarray, weights: list[int]) -> Counter[tuple[str, ...]]:
    out: Counter[tuple[str, ...]] = Counter()
    for node, weight in zip(nodes.tolist(), weights, strict=True):
        out[tuple(symbols.frame_at(f).function for f in symbols.trie.path(node))] += weight
    return out


@settings(deadline=None)
@given(trees, st.integers(1, 40))
def test_weight_moves_to_the_nearest_node_that_is_kept(made: list[list[tuple[list[str], int]]], most: int) -> None:
    symbols = Symbols()
    stacks = [
        symbols.stacks([[symbols.frame(Frame(f)) for f in path] for path, _ in tree]).astype(np.uint32) for tree in made
    ]
    weights = [np.array([w for _, w in tree], np.int64) for tree in made]
    after = pruned(symbols, stacks, weights, most)
    for old, new, tree in zip(stacks, after, made, strict=True):
        numbers = [w for _, w in tree]
        before, now = words(symbols, old, numbers), words(symbols, new, numbers)
        assert before.total() == now.total()
        for path, weight in now.items():
            if path[-1:] != (SMALLER.function,):
                assert before[path] == weight
            else:
                below = [w for p, w in before.items() if p[: len(path) - 1] == path[:-1]]
                assert weight <= sum(below)
    assert len(_with_parents(symbols, np.unique(np.concatenate(after)))) <= 2 * most + 1
    kept = {path for nodes in after for path in words(symbols, nodes, [1] * len(nodes))}
    nodes = {path[:n] for path in kept for n in range(1, len(path) + 1) if path[n - 1] != SMALLER.function}
    heavy = _totals(made)
    cut = min((heavy[path] for path in nodes if path in heavy), default=float("inf"))
    dropped = [w for path, w in heavy.items() if path not in nodes]
    assert all(w <= cut + 1e-9 for w in dropped)


def _totals(made: list[list[tuple[list[str], int]]]) -> dict[tuple[str, ...], float]:
    out: Counter[tuple[str, ...]] = Counter()
    for tree in made:
        whole = max(1, sum(w for _, w in tree))
        for path, weight in tree:
            for n in range(1, len(path) + 1):
                out[tuple(path[:n])] += weight / whole  # type: ignore[assignment]  # shares
    return dict(out)


def test_what_is_small_enough_is_as_it_was() -> None:
    symbols = Symbols()
    nodes = symbols.stacks([[symbols.frame(Frame(f)) for f in "abc"]]).astype(np.uint32)
    assert pruned(symbols, [nodes], [np.array([1])], 4)[0] is nodes
    (cut,) = pruned(symbols, [nodes], [np.array([1])], 2)
    assert [symbols.frame_at(f).function for f in symbols.trie.path(int(cut[0]))][-1] == SMALLER.function
    assert pruned(symbols, [nodes[:0]], [np.array([], np.int64)], 1)[0].size == 0
