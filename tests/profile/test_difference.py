"""Two trees of different symbols by function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.comparable import Extent, Per, scale
from aperture_tui.profile.difference import Carrier, Functions, functions, same_function
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

Stacks = Counter[tuple[Frame, ...]]
frames = st.builds(
    Frame,
    st.sampled_from("fgh"),
    st.sampled_from(["", "app"]),
    st.sampled_from(["", "/one/a/b.py", "/two/a/b.py", "/one/c/b.py"]),
    st.sampled_from([0, 7]),
    st.sampled_from([FrameKind.NATIVE, FrameKind.JIT]),
)
processes = st.sampled_from([Frame("sh", kind=FrameKind.PROCESS), Frame("web", kind=FrameKind.PROCESS)])
paths = st.builds(lambda process, path: (process, *path), processes, st.lists(frames, max_size=5)) | st.just(())
stacks = st.dictionaries(paths, st.integers(1, 1 << 40), max_size=12).map(Counter)


def tree(told: Stacks, before: Sequence[str] = ()) -> CallTree:
    """The stacks as a tree with symbols of its own, in which these texts come first."""
    symbols = Symbols()
    for text in before:
        symbols.frame(Frame(text))
    nodes = symbols.stacks([[symbols.frame(frame) for frame in path] for path in told])
    return CallTree.of_stacks(symbols, nodes, np.array(list(told.values()), np.int64))


def compared(base: Stacks, after: Stacks) -> Functions:
    carrier = Carrier(Symbols())
    return functions(carrier.tree(tree(base)), carrier.tree(tree(after, ["x", "h", "g"])))


def words(told: Functions) -> dict[Frame, tuple[int, int, int, int]]:
    columns = zip(told.frame.tolist(), *map(np.ndarray.tolist, (*told.own, *told.total)), strict=True)
    return {told.symbols.frame_at(frame): tuple(numbers) for frame, *numbers in columns}


def counted(told: Stacks) -> tuple[Counter[Frame], Counter[Frame]]:
    """Self and total weight of functions, a stack at a time."""
    own: Counter[Frame] = Counter()
    total: Counter[Frame] = Counter()
    for path, weight in told.items():
        names = [same_function(frame) for frame in path] or [Frame("all", kind=FrameKind.ROOT)]
        own[names[-1]] += weight
        for name in set(names):
            total[name] += weight
    return own, total


@given(stacks, stacks)
def test_every_function_has_what_its_stacks_have_on_either_side(base: Stacks, after: Stacks) -> None:
    (own, total), (own_after, total_after) = counted(base), counted(after)
    expected = {f: (own[f], own_after[f], total[f], total_after[f]) for f in total + total_after}
    assert words(compared(base, after)) == expected


@given(stacks, stacks)
def test_before_and_the_change_are_after_and_swapping_turns_it_round(base: Stacks, after: Stacks) -> None:
    told, turned = compared(base, after), compared(after, base)
    for pair in (told.own, told.total):
        assert (pair.before + pair.change == pair.after).all()
    there = dict(zip(map(told.symbols.frame_at, told.frame.tolist()), told.own.change.tolist(), strict=True))
    back = dict(zip(map(turned.symbols.frame_at, turned.frame.tolist()), turned.own.change.tolist(), strict=True))
    assert there == {frame: -change for frame, change in back.items()}
    assert told.own.change.sum() == after.total() - base.total()


@given(stacks)
def test_a_side_does_not_differ_from_itself(base: Stacks) -> None:
    told = compared(base, base)
    assert not told.own.change.any()
    assert not told.total.change.any()


@given(stacks, stacks)
def test_the_process_is_named_where_it_is_the_only_one(base: Stacks, after: Stacks) -> None:
    told = compared(base, after)
    for frame, process in zip(told.frame.tolist(), told.process.tolist(), strict=True):
        function = told.symbols.frame_at(frame)
        stacks = [path for path in (*base, *after) if function in map(same_function, path)]
        names = {path[0] for path in stacks}
        assert (told.symbols.frame_at(process) if process else None) == (names.pop() if len(names) == 1 else None)


@given(stacks, st.integers(0, 4))
def test_slices_of_a_side_add_up_to_it(base: Stacks, at: int) -> None:
    whole = tree(base)
    on = np.arange(len(whole.self_weight)) % 5 == at
    part = CallTree(whole.symbols, whole.trie, np.where(on, whole.self_weight, 0))
    carrier = Carrier(Symbols())
    first, one, second = (carrier.tree(each) for each in (part, whole, whole.subtract(part)))
    assert not one.subtract(first).subtract(second).self_weight.any()


@given(stacks, stacks)
def test_trees_of_other_tables_may_come_in_any_order(base: Stacks, after: Stacks) -> None:
    """As a store gives them whose tables began anew between two questions."""
    carrier = Carrier(Symbols())
    one, other, again = (carrier.tree(each) for each in (tree(base), tree(after), tree(base, ["x"])))
    assert not one.subtract(again).self_weight.any()
    assert other.weight == after.total()


def test_many_stacks_and_a_deep_one() -> None:
    told: Stacks = Counter({(Frame(f"f{i % 97}"), Frame(f"g{i}")): i + 1 for i in range(9000)})
    told[(Frame("r"),) * 3000] = 5
    told[()] = 3
    own, total = counted(told)
    assert words(compared(told, Counter())) == {frame: (own[frame], 0, n, 0) for frame, n in total.items()}


def test_a_leaf_is_appended_to_all_stacks_even_to_none() -> None:
    leaf = Frame("fsync", kind=FrameKind.KERNEL)
    one = Carrier(Symbols()).tree(tree(Counter({(Frame("f"),): 2, (): 3})), leaf)
    found = {
        tuple(one.symbols.frame_at(f) for f in one.trie.path(n)): int(w) for n, w in enumerate(one.self_weight) if w
    }
    assert found == {(Frame("f"), leaf): 2, (leaf,): 3}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Frame("f", "app", "a.c", 3), Frame("f", "app", "b/a.c", 9), True),
        (Frame("f", "app"), Frame("f", "app2"), False),
        (Frame("f", "app"), Frame("f", "app", kind=FrameKind.KERNEL), False),
        (Frame("f", "", "/srv/1.2/json/decoder.py"), Frame("f", "", "/srv/1.3/json/decoder.py", 8), True),
        (Frame("f", "", "/srv/json/__init__.py"), Frame("f", "", "/srv/yaml/__init__.py"), False),
        (Frame("f", "perf-7.map", kind=FrameKind.JIT), Frame("f", "perf-8.map", kind=FrameKind.JIT), True),
    ],
)
def test_a_function_is_the_same_in_another_build_or_process(one: Frame, other: Frame, same: bool) -> None:
    assert (same_function(one) == same_function(other)) is same


class TestScale:
    def test_shares_know_neither_length_nor_frequency(self) -> None:
        assert scale(Per.SHARE, Extent(100, 1, 10), Extent(400, 9, 7)) == 0.25

    def test_rates_and_runs_know_both(self) -> None:
        base, after = Extent(100, 10, 1e7), Extent(400, 20, 2e7)
        assert scale(Per.SECOND, base, after) == 1  # half as often, twice as long
        assert scale(Per.RUN, base, after) == 2

    @pytest.mark.parametrize("empty", [Extent(0, 1), Extent(1, 1, 0)])
    def test_nothing_can_be_compared_with_nothing(self, empty: Extent) -> None:
        for per in Per:
            assert np.isnan(scale(per, empty, Extent(1, 1)))
            assert np.isnan(scale(per, Extent(1, 1), empty))

    def test_only_what_is_compared_by_the_second_has_to_say_how_long_it_took(self) -> None:
        timeless = Extent(200, 0)
        assert np.isnan(scale(Per.SECOND, Extent(100, 1), timeless))
        assert np.isnan(scale(Per.SECOND, timeless, Extent(100, 1)))
        assert scale(Per.SHARE, Extent(100, 1), timeless) == 0.5
        assert scale(Per.RUN, Extent(100, 1), timeless) == 1
