"""The functions of call trees, as lines of a table. Imports numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.closure import Closure, functions_of
from aperture_tui.profile.reshape import longest, used_nodes
from aperture_tui.profile.shape import NO_FUNCTIONS
from aperture_tui.tui.forms.model import SHOWN, FunctionLine
from aperture_tui.tui.model import FrameLabel

Ints = NDArray[np.int64]


def function_lines(
    trees: Sequence[CallTree],
    label: Callable[[int], FrameLabel],
    least: float = 0.0,
    wholes: Sequence[int] = (),
    function: Ints | None = None,
) -> tuple[tuple[FunctionLine, ...], int, int]:
    """The lines, how many functions are not among them, and how many of those have less than the threshold.

    trees: one, or one and what it is compared with, over one trie. label: of a frame. least: part of the whole that a
    function must have on either side. wholes: the weight of each side's whole. function: by frame id,
    where it is known.
    """
    own, total, frame = by_function(trees, functions_of(trees[0].symbols) if function is None else function)
    wide = np.zeros(len(frame), bool)
    for side, whole in zip(total, wholes or [tree.weight for tree in trees], strict=True):
        wide |= (side > 0) & (side >= least * whole)
    shown = _first(own[:, wide], total[:, wide], [max(tree.weight, 1) for tree in trees])
    at = np.flatnonzero(wide)[shown]
    lines = tuple(
        FunctionLine(label(one), *(int(of[side][i]) for side in range(len(trees)) for of in (own, total)))
        for i, one in zip(at.tolist(), frame[at].tolist(), strict=True)
    )
    return lines, len(frame) - len(lines), int(len(frame) - np.count_nonzero(wide))


def by_function(trees: Sequence[CallTree], function: Ints) -> tuple[Ints, Ints, Ints]:
    """Self and total weights, (sides, n) each, and the widest frame of each function that has any, (n,).

    A function that is in a stack several times is counted there once. function: that of each frame, by id.
    """
    trie, symbols = longest(trees), trees[0].symbols
    closure = Closure.of(trie, used_nodes(trees))
    every = np.ones(len(closure.nodes), bool)
    outer = closure.first_calls(function, every) == np.arange(len(every))
    of = function[closure.frame]
    n = int(function.max()) + 1
    own, total = np.zeros((len(trees), n), np.int64), np.zeros((len(trees), n), np.int64)
    for side, tree in enumerate(trees):
        known = closure.nodes < len(tree.self_weight)
        np.add.at(own[side], of[known], tree.self_weight[closure.nodes[known]])
        top = outer & (closure.nodes < len(tree.total))
        np.add.at(total[side], of[top], tree.total[closure.nodes[top]])
    widest = _widest(trees, closure, of, n)
    told = np.flatnonzero((total.sum(axis=0) > 0) & (widest >= 0))
    told = told[~np.isin(symbols.frames["kind"][widest[told]], NO_FUNCTIONS)]
    return own[:, told], total[:, told], widest[told]


def _widest(trees: Sequence[CallTree], closure: Closure, of: Ints, n: int) -> Ints:
    """(n,): of each function the frame with most weight, the lower id of two; -1 of those that have none."""
    weight = np.zeros(len(closure.nodes), np.int64)
    for tree in trees:
        known = closure.nodes < len(tree.total)
        weight[known] += tree.total[closure.nodes[known]]
    frame = closure.frame.astype(np.int64)
    out = np.full(n, -1, np.int64)
    order = np.lexsort((-frame, weight))
    out[of[order]] = frame[order]
    return out


def _first(own: Ints, total: Ints, wholes: Sequence[int]) -> Ints:
    """The places of those that are among the first in any order, the widest first."""
    n = own.shape[1]
    if n <= SHOWN:
        shown = np.arange(n)
    else:
        orders = [own.max(axis=0), total.max(axis=0)]
        if len(wholes) > 1:
            scale = np.array(wholes, float)[:, np.newaxis]
            orders += [np.abs(np.diff(one, axis=0)[0]) for one in (own, total, own / scale, total / scale)]
        shown = np.unique(np.concatenate([np.argsort(-order, kind="stable")[:SHOWN] for order in orders]))
    return shown[np.argsort(-total[0, shown], kind="stable")]
