"""Trees made small: nothing of their weight is lost, what is heavy stays, and every node that stays has its weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.pruning import SMALLER, Outline, Pruned, left_out

Path = tuple[str, ...]
Tree = list[tuple[list[str], int]]

paths = st.lists(st.sampled_from("abcde"), max_size=6)
trees = st.lists(st.lists(st.tuples(paths, st.integers(0, 1000)), max_size=30), min_size=1, max_size=2)


def nodes_of(symbols: Symbols, stacks: Iterable[Sequence[str]]) -> np.ndarray:
    return symbols.stacks([[symbols.frame(Frame(f)) for f in path] for path in stacks]).astype(np.uint32)


def pruned(symbols: Symbols, outline: Outline, made: Sequence[Tree], most: int) -> list[Pruned]:
    stacks = [nodes_of(symbols, [path for path, _ in tree]) for tree in made]
    weights = [np.array([w for _, w in tree], np.int64) for tree in made]
    return outline.pruned(symbols.trie, stacks, weights, most)


def words(symbols: Symbols, part: Pruned) -> Counter[Path]:
    """Weights by path; what was left out is by a path that ends so."""
    nodes = part.nodes.copy()
    nodes[part.smaller] = left_out(symbols, nodes[part.smaller])
    out: Counter[Path] = Counter()
    for node, weight in zip(nodes.tolist(), part.weights.tolist(), strict=True):
        out[tuple(symbols.frame_at(f).function for f in symbols.trie.path(node))] += weight
    return out


def totals(weights: Iterable[tuple[Sequence[str], float]]) -> Counter[Path]:
    """Of every node with all below it, that of the root too."""
    out: Counter[Path] = Counter()
    for path, weight in weights:
        for n in range(len(path) + 1):
            out[tuple(path[:n])] += weight  # type: ignore[assignment]  # shares
    return out


def check(made: Tree, part: Pruned, now: Counter[Path]) -> None:
    """That what is left of a tree is true of it: a node has all that is below it, whether that is shown or not."""
    before = totals(made)
    after = totals((path, weight) for path, weight in now.items())
    own: Counter[Path] = Counter()
    for path, weight in made:
        own[tuple(path)] += weight
    assert after[()] == before[()]
    for path, weight in after.items():
        if path[-1:] != (SMALLER.function,):
            assert before[path] - part.late <= weight <= before[path]
            assert now[path] in (0, own[path])


@example([[([], 1), (["a"], 1)]], 1)
@example([[([], 15), (["a"], 1)]], 1)
@example([[([], 1), (["a"], 1), (["a", "a"], 1), (["b"], 1)]], 1)
@given(trees, st.integers(1, 40))
def test_weight_moves_to_the_nearest_node_that_is_kept_and_the_heaviest_are(made: list[Tree], most: int) -> None:
    symbols = Symbols()
    ends = np.concatenate([nodes_of(symbols, [p for p, _ in tree]) for tree in made])
    outline = Outline(symbols.trie, ends)
    after = pruned(symbols, outline, made, most)
    shown = [words(symbols, part) for part in after]
    for tree, now, part in zip(made, shown, after, strict=True):
        check(tree, part, now)
        assert part.late == 0
        assert len(part.nodes) <= 2 * (most + 1)  # the root is not counted
    kept = {path[:n] for now in shown for path in now for n in range(1, len(path) + 1)}
    kept = {path for path in kept if path[-1] != SMALLER.function}
    assert len(kept) <= most
    heavy: Counter[Path] = Counter()
    for tree in made:
        whole = max(1, sum(w for _, w in tree))
        heavy.update(totals((path, w / whole) for path, w in tree))
    lightest = min((heavy[path] for path in kept), default=float("inf"))
    if len([path for path in heavy if path and heavy[path]]) <= most:
        assert all(path in kept for path in heavy if path and heavy[path])
    longest = max((len(path) for path in heavy), default=0)
    if len(kept) + longest <= most:  # else one more chain may have had no room
        assert all(w <= lightest + 1e-9 for path, w in heavy.items() if path and path not in kept)


@given(st.lists(paths, max_size=10), trees, st.integers(1, 40))
def test_stacks_that_came_after_the_outline_are_where_they_leave_it(
    early: list[list[str]], made: list[Tree], most: int
) -> None:
    symbols = Symbols()
    ends = nodes_of(symbols, early)
    outline = Outline(symbols.trie, ends)
    known = set(map(tuple, early))
    for tree, part in zip(made, pruned(symbols, outline, made, most), strict=True):
        check(tree, part, words(symbols, part))
        assert part.late <= sum(weight for path, weight in tree if path and tuple(path) not in known)


def test_what_has_room_is_as_it_was() -> None:
    symbols = Symbols()
    made: Tree = [(list("abc"), 5), (list("abd"), 7), (list("ab"), 1), ([], 3), (list("x"), 0)]
    ends = nodes_of(symbols, [path for path, _ in made])
    outline = Outline(symbols.trie, ends)
    (whole,) = pruned(symbols, outline, [made], 4)
    assert words(symbols, whole) == {tuple(path): weight for path, weight in made if weight}
    (less,) = pruned(symbols, outline, [made], 3)
    assert words(symbols, less) == {tuple("abd"): 7, tuple("ab"): 1, (*"ab", SMALLER.function): 5, (): 3}
    (none,) = pruned(symbols, outline, [made], 1)
    assert words(symbols, none) == {(): 3, (SMALLER.function,): 13}
    (empty,) = pruned(symbols, outline, [[]], 4)
    assert len(empty.nodes) == 0


def test_what_was_left_out_before_is_no_stack() -> None:
    """The nodes that stand for it are below those that it was left out of, and belong to no answer."""
    symbols = Symbols()
    made: Tree = [([*"ab", str(i)], 1) for i in range(9)]
    ends = nodes_of(symbols, [path for path, _ in made])
    outline = Outline(symbols.trie, ends)
    left_out(symbols, outline.parting)
    again = Outline(symbols.trie, ends)
    assert len(again) == len(outline)
    (part,) = pruned(symbols, again, [made], 5)
    assert sorted(words(symbols, part).values()) == [1, 1, 1, 6]
    assert left_out(symbols, again.parting).max() < len(symbols.trie)


def test_sums_of_a_tree_are_exact() -> None:
    symbols = Symbols()
    nodes = nodes_of(symbols, ["ab", "ac"])
    outline = Outline(symbols.trie, nodes)
    (part,) = outline.pruned(symbols.trie, [nodes], [np.array([(1 << 60) + 1, 1 << 55])], 9)
    assert words(symbols, part) == {tuple("ab"): (1 << 60) + 1, tuple("ac"): 1 << 55}
