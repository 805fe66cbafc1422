"""Folded stacks: one line a stack, as flamegraph.pl, inferno and most other tools read them.

`process;outer;…;leaf weight`; weights of time are nanoseconds. Kernel frames end in `_[k]` and frames of a JIT in
`_[j]`, which these tools colour (https://github.com/brendangregg/FlameGraph, the --colors=java palette; inferno's
`--colors java` alike).
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.export import offcpu
from aperture_tui.export.names import NO_STACK, frame_name
from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.text import clean
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Frame
    from aperture_tui.store.base import Store

_MARKS: Final = {FrameKind.KERNEL: "_[k]", FrameKind.JIT: "_[j]"}
_UNKNOWN: Final = "[unknown]"


def of_query(store: Store, query: Query) -> str:
    """The stacks of a query in its measure. Every event counts in exactly one line. Raises re.error.

    Of syscalls the innermost frame is the name of the call: most calls have no other below their process. Of off-CPU
    time the innermost frame is `[runnable]` where a thread was not blocked but waited for a CPU.
    """
    return _written(_lines(parts(store, query)))


def parts(store: Store, query: Query) -> list[tuple[str, CallTree]]:
    """The trees of a query over one trie, each with the frame that all its stacks end in; "" for none.

    Raises re.error.
    """
    if query.kind is Kind.SYSCALL:
        names = {one.name for one in store.latencies(query)}
        return [(name or _UNKNOWN, store.call_tree(replace(query, name=name))) for name in names]
    if query.kind is not Kind.OFFCPU:
        return [("", store.call_tree(query))]
    trees = [("", offcpu.blocked_tree(store, query))]
    if query.name in (None, offcpu.RUNNABLE):
        trees.append((f"[{offcpu.RUNNABLE}]", store.call_tree(replace(query, name=offcpu.RUNNABLE))))
    return trees


def text(tree: CallTree) -> str:
    """The stacks of a tree, sorted; equal trees give equal text. Stacks that read alike are one line.

    A semicolon in a name becomes a colon, as in stackcollapse-perf.pl. Raises ValueError for a difference: a folded
    file has no negative counts.
    """
    if len(tree.self_weight) and int(tree.self_weight.min()) < 0:
        raise ValueError("folded stacks cannot hold a difference")
    return _written(_lines([("", tree)]))


def together(texts: Iterable[str]) -> str:
    """Several texts as one: the weights of equal stacks are added."""
    out: dict[str, int] = defaultdict(int)
    for text in texts:
        for line in text.splitlines():
            stack, _, weight = line.rpartition(" ")
            out[stack] += int(weight)
    return _written(out)


def _written(lines: Mapping[str, int]) -> str:
    return "".join(f"{stack} {weight}\n" for stack, weight in sorted(lines.items()))


def _lines(trees: Sequence[tuple[str, CallTree]]) -> dict[str, int]:
    """Folded stack -> weight. trees: each with the frame to append to all its stacks, "" for none.

    Walks down once from the root, so that only one path of texts is held beside the answer.
    """
    if not trees:
        return {}
    whole = functools.reduce(CallTree.merge, (tree for _, tree in trees))
    ends: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for leaf, tree in trees:
        nodes = np.flatnonzero(tree.self_weight)
        for node, weight in zip(nodes.tolist(), tree.self_weight[nodes].tolist(), strict=True):
            ends[node].append((_plain(leaf), weight))
    total, frames = whole.total.tolist(), whole.trie.frame.tolist()
    kids, first = whole.trie.kids.tolist(), whole.trie.first_child.tolist()
    labels: dict[int, str] = {}
    out: dict[str, int] = defaultdict(int)
    waiting = [(ROOT, "")]
    while waiting:
        node, path = waiting.pop()
        for leaf, weight in ends.get(node, ()):
            stack = path or NO_STACK
            out[f"{stack};{leaf}" if leaf else stack] += weight
        for child in kids[first[node] : first[node + 1]]:
            if total[child]:
                frame = frames[child]
                if frame not in labels:
                    labels[frame] = label(whole.symbols.frame_at(frame))
                waiting.append((child, f"{path};{labels[frame]}" if path else labels[frame]))
    return out


def label(frame: Frame) -> str:
    """A frame as it stands in a line."""
    return _plain(frame_name(frame)) + _MARKS.get(frame.kind, "")


def _plain(name: str) -> str:
    return clean(name).replace(";", ":")
