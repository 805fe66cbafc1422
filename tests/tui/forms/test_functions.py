"""The table of functions against the same counted stack by stack; and its columns."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.closure import functions_of
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.tui.cells import width_of
from aperture_tui.tui.forms.columns import SORTS, change_of, columns, order_of
from aperture_tui.tui.forms.functions import by_function, function_lines
from aperture_tui.tui.forms.model import SHOWN, FunctionLine, FunctionsView
from aperture_tui.tui.icicle.layout import Labels
from aperture_tui.tui.model import SAMPLES, Unit
from aperture_tui.tui.widgets.placing import headings, table_row
from tests.profile.test_reshape import FRAMES, Stacks, same, stacks, tree_of

Key = tuple[object, ...]


def told(stacks: Stacks) -> dict[Key, tuple[int, int]]:
    """(self, total) of each function, a stack that has it twice counted once."""
    own: Counter[Key] = Counter()
    total: Counter[Key] = Counter()
    for path, weight in stacks:
        for key in {same(frame) for frame in path if frame.kind is not FrameKind.PROCESS}:
            total[key] += weight
        if path and path[-1].kind is not FrameKind.PROCESS:
            own[same(path[-1])] += weight
    return {key: (own[key], total[key]) for key in total}


@given(stacks)
def test_self_and_total_are_those_of_the_stacks(given_stacks: Stacks) -> None:
    tree = tree_of(Symbols(), given_stacks)
    lines, left_out, below = function_lines([tree], Labels(tree.symbols).__getitem__)
    assert {line.key: (line.own, line.total) for line in lines} == told(given_stacks)
    assert (left_out, below) == (0, 0)


@given(stacks, stacks)
def test_both_sides_are_told(after: Stacks, base: Stacks) -> None:
    symbols = Symbols()
    trees = [tree_of(symbols, after), tree_of(symbols, base)]
    lines, _, _ = function_lines(trees, Labels(symbols).__getitem__)
    now, was = told(after), told(base)
    nothing = 0, 0
    assert {line.key: line[1:] for line in lines} == {
        key: (*now.get(key, nothing), *was.get(key, nothing)) for key in {*now, *was}
    }


def test_a_function_has_the_line_of_its_widest_frame() -> None:
    tree = tree_of(Symbols(), [((FRAMES[2],), 3), ((FRAMES[3],), 4)])
    ((line,), _, _) = function_lines([tree], Labels(tree.symbols).__getitem__)
    assert (line.label.line, line.own) == (20, 7)


def test_what_has_less_than_the_threshold_is_counted_and_left_out() -> None:
    tree = tree_of(Symbols(), [((Frame("wide"),), 990), ((Frame("a"),), 4), ((Frame("b"),), 6)])
    lines, left_out, below = function_lines([tree], Labels(tree.symbols).__getitem__, 0.005)
    assert ([line.label.function for line in lines], left_out, below) == (["wide", "b"], 1, 1)


def test_those_beyond_the_first_are_counted_and_each_order_has_its_own_first() -> None:
    symbols = Symbols()
    deep = tuple(Frame(f"caller {i}") for i in range(SHOWN + 20))
    leaf = Frame("leaf")
    tree = tree_of(symbols, [(deep, 1000), ((leaf,), 20)])
    lines, left_out, _ = function_lines([tree], Labels(symbols).__getitem__)
    assert len(lines) + left_out == SHOWN + 21
    assert "leaf" in {line.label.function for line in lines}, "the second by itself"


def test_nothing_has_no_functions() -> None:
    symbols = Symbols()
    empty = CallTree(symbols, symbols.trie, np.zeros(1, np.int64))
    assert function_lines([empty], Labels(symbols).__getitem__) == ((), 0, 0)
    assert [len(part) for part in by_function([empty], functions_of(symbols))] == [1, 1, 0]


def view(*lines: FunctionLine, unit: Unit = SAMPLES, base: int | None = None, absolute: bool = False) -> FunctionsView:
    return FunctionsView(lines, 0, 0, 1000, 1000, unit, base, absolute)


def line(frame: Frame, *numbers: int) -> FunctionLine:
    symbols = Symbols()
    return FunctionLine(Labels(symbols)[symbols.frame(frame)], *numbers)


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("compared", [False, True])
def test_rows_are_as_wide_as_the_screen(width: int, compared: bool) -> None:
    numbers = (250, 10**9, 40, 30) if compared else (250, 10**9)
    shown = line(Frame("视频转码" * 9, "lib/视频.so", "/a/b/" + "深" * 30 + ".py", 7), *numbers)
    whole = view(shown, base=100 if compared else None)
    for sort in SORTS:
        placed = columns(width, compared, sort)
        assert sum(width_of(text) for text, _ in headings(placed, width, sort)) == width
        assert sum(width_of(text) for text, _ in table_row(shown, placed, width, whole, True, True)) == width


def test_changes_are_in_points_or_in_weights_and_marked_by_their_sign() -> None:
    grew = line(Frame("grew", "m"), 100, 500, 0, 10)
    points = view(grew, base=100)
    assert change_of(grew, points, own=False) == pytest.approx(0.4)
    texts = [text.strip() for text, _ in table_row(grew, columns(120, True, "change"), 120, points)]
    assert "+40.00" in texts
    assert "10.0 %" in texts
    weights = view(grew, base=100, absolute=True)
    texts = [text.strip() for text, _ in table_row(grew, columns(120, True, "change"), 120, weights)]
    assert "+490" in texts
    assert "10" in texts


def test_what_may_be_chance_has_no_colour() -> None:
    for after, key in ((11, "muted"), (400, "error"), (4, "muted"), (0, "good")):
        one = line(Frame("f", "m"), after, after, 10, 10)
        row = table_row(one, columns(120, True, "change"), 120, view(one, base=1000))
        assert [k for text, k in row if text.strip().startswith(("+", "-"))] == [key, key]


def test_against_nothing_a_change_is_unknown() -> None:
    new = line(Frame("new", "m"), 100, 500, 0, 0)
    texts = [text.strip() for text, _ in table_row(new, columns(120, True, "change"), 120, view(new, base=0))]
    assert texts.count("?") == 4


def test_what_is_sorted_by() -> None:
    one = line(Frame("one"), 100, 500, 300, 500)
    whole = view(one, base=1000)
    assert order_of(one, whole, "self") == 100
    assert order_of(one, whole, "total") == 500
    assert order_of(one, whole, "self change") == pytest.approx(0.2)
    assert order_of(one, whole, "change") == 0
