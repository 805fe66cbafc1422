"""Functions and call trees in plain text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.export.names import NO_STACK, frame_name
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aperture_tui.profile.calltree import CallTree

FUNCTIONS: Final = 20
TREE_LINES: Final = 80
SMALLEST: Final = 0.01  # the share of the whole under which a branch is left out


def functions(tree: CallTree) -> Iterator[str]:
    """The functions with most of their own, and what they have with their callees."""
    own, total = _by_function(tree).frame_weights()
    total[ROOT] = own[ROOT]  # of the root only what came without a stack is a line of its own
    by = np.lexsort((np.arange(len(own)), -total, -own))
    by = by[own[by] > 0]
    yield f"{'self %':>6} {'total %':>7}  function  module"
    for frame in by[:FUNCTIONS].tolist():
        words = tree.symbols.frame_at(frame)
        name = frame_name(words) if frame else NO_STACK
        shares = f"{percent(own[frame], tree.weight)} {percent(total[frame], tree.weight):>7}"
        yield f"{shares}  {name}  {words.module or words.file}"
    if len(by) > FUNCTIONS:
        yield f"{'':>6} {'':>7}  and {len(by) - FUNCTIONS:,} more functions"


def _by_function(tree: CallTree) -> CallTree:
    """The same tree with one frame for all lines of a function: good for frame_weights, not for finding children."""
    frames = tree.symbols.frames
    columns = np.stack([frames[column] for column in ("function", "module", "file", "kind")], axis=1)
    _, first, group = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    return replace(tree, trie=replace(tree.trie, frame=first[group].astype(np.uint32)[tree.trie.frame]))


def branches(tree: CallTree, title: str = "call tree") -> Iterator[str]:
    """Indented by branch, not by depth: a callee with its caller's whole share stands below it without repeating it."""
    yield f"{'%':>6}  {title} (branches from {SMALLEST:.0%}; a line without a share has that of its caller above)"
    if unplaced := int(tree.self_weight[ROOT]):
        yield f"{percent(unplaced, tree.weight)}  {NO_STACK}"
    waiting = [(node, 0, True) for node in _branches(tree, ROOT)]
    for _ in range(TREE_LINES):
        if not waiting:
            return
        node, indent, branch = waiting.pop()
        share = percent(tree.total[node], tree.weight)
        name = frame_name(tree.symbols.frame_at(int(tree.trie.frame[node])))
        yield f"{share if branch else '':>6}  {'  ' * indent}{name}"
        below = _branches(tree, node)
        if len(below) == 1 and percent(tree.total[below[0]], tree.weight) == share:
            waiting.append((below[0], indent, False))
        else:
            waiting += [(child, indent + 1, True) for child in below]
    if waiting:
        yield f"{'':>6}  … and more branches"


def _branches(tree: CallTree, node: int) -> list[int]:
    """The children of a node that are large enough to show, smallest first."""
    kids = tree.trie.children(node)
    weights = tree.total[kids]
    order = np.argsort(weights, kind="stable")
    return [int(kids[i]) for i in order if weights[i] >= max(1, SMALLEST * tree.weight)]


def percent(part: int, whole: int) -> str:
    """A share in six cells."""
    return f"{100 * int(part) / whole:>6.1f}"
