"""Call trees in other shapes against the same done to lists of stacks, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.closure import Closure, functions_of
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.reshape import (
    LEAST,
    SMALLER,
    Moved,
    Shaper,
    Tables,
    callees,
    callers,
    calls_of,
    longest,
    shares,
    used_nodes,
)
from aperture_tui.profile.shape import PLAIN, Shape
from aperture_tui.profile.symbols import Frame, Symbols

FRAMES = (
    Frame("web", kind=FrameKind.PROCESS),
    Frame("main", "app"),
    Frame("parse", "app", "parse.c", 10),
    Frame("parse", "app", "parse.c", 20),
    Frame("read", "libc"),
    Frame("sys_read", "[kernel]", kind=FrameKind.KERNEL),
    Frame("copy", "[kernel]", kind=FrameKind.KERNEL),
    Frame("handle", "", "web.py", 7, FrameKind.PYTHON),
)
Words = tuple[Frame, ...]
Stacks = list[tuple[Words, int]]

words = st.lists(st.sampled_from(FRAMES), max_size=8).map(tuple)
stacks = st.lists(st.tuples(words, st.integers(1, 50)), max_size=14)
hidings = st.sampled_from(
    [Shape(kernel=False), Shape(without=("app",)), Shape(kernel=False, without=("web.py", "libc"))]
)
shapes = st.builds(
    Shape,
    kernel=st.booleans(),
    without=st.sets(st.sampled_from(["app", "libc", "web.py", "[kernel]", "no such"])).map(tuple),
    folded=st.booleans(),
    by_module=st.booleans(),
)


def tree_of(symbols: Symbols, told: Stacks) -> CallTree:
    nodes = symbols.stacks([[symbols.frame(frame) for frame in path] for path, _ in told])
    return CallTree.of_stacks(symbols, nodes, np.array([weight for _, weight in told], np.int64))


def stacks_of(tree: CallTree) -> dict[Words, int]:
    told = ((tree.trie.path(node), weight) for node, weight in enumerate(tree.self_weight.tolist()) if weight)
    return {tuple(tree.symbols.frame_at(frame) for frame in path): weight for path, weight in told}


def summed(told: Iterable[tuple[Words, int]]) -> dict[Words, int]:
    out: Counter[Words] = Counter()
    for path, weight in told:
        out[path] += weight
    return dict(out)


def same(frame: Frame) -> tuple[object, ...]:
    """What makes two frames one function."""
    return frame.function, frame.module, frame.file, frame.kind


# -- the same, stack by stack


def shown(frame: Frame, shape: Shape) -> bool:
    if frame.kind is FrameKind.PROCESS:
        return True
    hidden = frame.kind is FrameKind.KERNEL and not shape.kernel
    return not hidden and (frame.module or frame.file) not in shape.without


def folded(path: Words) -> Words:
    """A call of a function that was called before in this stack goes back to the first call of it."""
    at: list[Words] = []
    for i, frame in enumerate(path):
        first = next(j for j in range(i + 1) if same(path[j]) == same(frame))
        at.append(at[first] if first < i else (*(at[i - 1] if i else ()), frame))
    return at[-1] if at else ()


def reshaped(path: Words, shape: Shape) -> Words:
    path = tuple(frame for frame in path if shown(frame, shape))
    if shape.folded:
        path = folded(path)
    if not shape.by_module:
        return path
    leaf = path[-1] if path else FRAMES[0]
    place = "" if leaf.kind is FrameKind.PROCESS else leaf.module or leaf.file
    return (Frame(f"module: {place or '?'}", kind=FrameKind.TAG), *path)


def moved_by(shape: Shape) -> Callable[[CallTree], CallTree]:
    return lambda tree: Shaper(tree.symbols, shape).moved([tree]).tree(tree)


# -- shapes


@given(stacks, shapes)
def test_a_shape_is_what_it_does_to_each_stack(told: Stacks, shape: Shape) -> None:
    tree = moved_by(shape)(tree_of(Symbols(), told))
    assert stacks_of(tree) == summed((reshaped(path, shape), weight) for path, weight in told)


@given(stacks, shapes)
def test_no_weight_is_lost_or_made(told: Stacks, shape: Shape) -> None:
    tree = tree_of(Symbols(), told)
    moved = moved_by(shape)(tree)
    assert moved.weight == tree.weight == moved.total[0]


@given(stacks, st.one_of(hidings, st.just(Shape(folded=True)), st.just(Shape(kernel=False, folded=True))))
def test_what_is_hidden_or_folded_stays_so(told: Stacks, shape: Shape) -> None:
    once = moved_by(shape)(tree_of(Symbols(), told))
    assert stacks_of(moved_by(shape)(once)) == stacks_of(once)


@given(stacks)
def test_folding_leaves_each_function_once_in_a_stack_and_what_it_has_by_itself(told: Stacks) -> None:
    tree = tree_of(Symbols(), told)
    moved = moved_by(Shape(folded=True))(tree)
    for path in stacks_of(moved):
        assert len({same(frame) for frame in path}) == len(path)

    def own(tree: CallTree) -> Counter[object]:
        out: Counter[object] = Counter()
        for path, weight in stacks_of(tree).items():
            out[same(path[-1]) if path else ()] += weight
        return out

    assert own(moved) == own(tree)


def test_recursion_through_others_goes_back_to_the_first_call() -> None:
    main, parse, read = FRAMES[1], FRAMES[2], FRAMES[4]
    tree = tree_of(Symbols(), [((main, parse, read, parse, read), 3), ((main, parse, parse._replace(line=99)), 2)])
    assert stacks_of(moved_by(Shape(folded=True))(tree)) == {(main, parse, read): 3, (main, parse): 2}


@given(stacks, stacks, shapes)
def test_both_sides_of_a_comparison_are_over_one_trie(told: Stacks, more: Stacks, shape: Shape) -> None:
    symbols = Symbols()
    base, after = tree_of(symbols, told), tree_of(symbols, more)
    moved = Shaper(symbols, shape).moved([after, base])
    difference = moved.tree(after).subtract(moved.tree(base))
    assert difference.weight == after.weight - base.weight
    assert stacks_of(moved.tree(base)) == summed((reshaped(path, shape), weight) for path, weight in told)


@given(stacks, stacks, shapes)
def test_what_was_moved_before_is_where_it_was(told: Stacks, more: Stacks, shape: Shape) -> None:
    symbols = Symbols()
    first = tree_of(symbols, told)
    shaper = Shaper(symbols, shape)
    before = shaper.moved([first]).tree(first)
    later = tree_of(symbols, told + more)
    after = shaper.moved([later]).tree(later)
    assert before.trie.lineage == after.trie.lineage
    assert stacks_of(after.subtract(before)) == summed((reshaped(p, shape), w) for p, w in more)


def test_plain_is_the_default_and_changes_nothing() -> None:
    assert Shape().plain
    assert not Shape(folded=True).plain
    tree = tree_of(Symbols(), [((FRAMES[1], FRAMES[5]), 4)])
    assert stacks_of(moved_by(PLAIN)(tree)) == stacks_of(tree)


# -- callers, callees


def inverted(tree: CallTree) -> Moved:
    nodes = used_nodes([tree])
    return callers(Tables(tree.symbols), longest([tree]), nodes, shares([tree], nodes))


@given(stacks)
def test_callers_are_the_stacks_backwards(told: Stacks) -> None:
    tree = tree_of(Symbols(), told)
    assert stacks_of(inverted(tree).tree(tree)) == summed((path[::-1], weight) for path, weight in told)


@given(stacks)
def test_callers_are_those_of_the_whole_inverted_tree(told: Stacks) -> None:
    tree = tree_of(Symbols(), told)
    assert stacks_of(inverted(tree).tree(tree)) == stacks_of(tree.inverted())


def test_callers_too_narrow_to_be_seen_are_one_and_can_be_zoomed_into() -> None:
    symbols = Symbols()
    leaf = Frame("leaf", "app")
    rare = Frame("rare", "app")
    paths: Stacks = [((Frame(f"caller {i}"), rare), 1) for i in range(6)]
    tree = tree_of(symbols, [*paths, ((Frame("main"), leaf), int(4 / LEAST))])
    tables, nodes = Tables(symbols), used_nodes([tree])
    coarse = callers(tables, tree.trie, nodes, shares([tree], nodes)).tree(tree)
    assert stacks_of(coarse)[(rare, SMALLER)] == 6
    assert coarse.weight == tree.weight
    path = [tables.symbols.frame(rare)]
    fine = callers(tables, tree.trie, nodes, shares([tree], nodes), path).tree(tree)
    assert {path for path in stacks_of(fine) if path[0] == rare} == {(rare, p[0]) for p, _ in paths}


def both_sides(tree: CallTree, function: Frame) -> tuple[CallTree, CallTree]:
    tables = Tables(tree.symbols)
    nodes, first = calls_of(tables, [tree], function)
    above = callers(tables, tree.trie, nodes, shares([tree], nodes, below=True), first=first, below=True)
    return above.tree(tree), callees(tables, [tree], nodes, first).tree(tree)


@given(stacks, st.sampled_from(FRAMES[1:]))
def test_both_sides_of_a_function(told: Stacks, function: Frame) -> None:
    """A stack is split at its outermost call of the function, however often it has it."""
    above, below = both_sides(tree_of(Symbols(), told), function)
    over: Stacks = []
    under: Stacks = []
    for path, weight in told:
        at = next((i for i, frame in enumerate(path) if same(frame) == same(function)), None)
        if at is not None:
            over.append(((function, *path[:at][::-1]), weight))
            under.append(((function, *path[at + 1 :]), weight))
    assert stacks_of(above) == summed(over)
    assert stacks_of(below) == summed(under)
    assert above.weight == below.weight


def test_a_function_that_is_nowhere_has_no_sides() -> None:
    tree = tree_of(Symbols(), [((FRAMES[1],), 4)])
    assert [one.weight for one in both_sides(tree, Frame("gone"))] == [0, 0]


# -- who is above whom


@given(st.lists(words, max_size=12))
def test_first_calls_and_what_is_reached_below(told: list[Words]) -> None:
    symbols = Symbols()
    nodes = symbols.stacks([[symbols.frame(frame) for frame in path] for path in told])
    closure = Closure.of(symbols.trie, nodes)
    function = functions_of(symbols)
    first = closure.first_calls(function, np.ones(len(closure.nodes), bool))
    enter, end = closure.reach
    trie = symbols.trie
    for place, node in enumerate(closure.nodes.tolist()):
        line, at = [], node
        while at > 0:
            line.append(at)
            at = int(trie.parent[at])
        outermost = [n for n in line if function[trie.frame[n]] == function[trie.frame[node]]][-1]
        assert closure.nodes[first[place]] == outermost
        below = {n for p, n in enumerate(closure.nodes.tolist()) if enter[place] <= enter[p] < end[place]}
        assert node in below
        assert all((n in below) == (n in line or n == node) for n in line if n >= node)


@pytest.mark.parametrize("line", [0, 7])
def test_the_line_does_not_tell_functions_apart(line: int) -> None:
    symbols = Symbols()
    one, other = symbols.frame(Frame("f", "m", "x.py", 1)), symbols.frame(Frame("f", "m", "x.py", line))
    third = symbols.frame(Frame("f", "m", "y.py", 1))
    told = functions_of(symbols)
    assert told[one] == told[other] != told[third]
