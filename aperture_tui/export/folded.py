"""Folded stacks: one line a stack, as flamegraph.pl, inferno and most other tools read them.

`process;outer;…;leaf count`. Kernel frames end in `_[k]` and frames of a JIT in `_[j]`, which these tools colour
(https://github.com/brendangregg/FlameGraph, the --colors=java palette; inferno's `--colors java` alike).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from aperture_tui.export.names import NO_STACK, frame_name
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.text import clean
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.symbols import Frame

_MARKS: Final = {FrameKind.KERNEL: "_[k]", FrameKind.JIT: "_[j]"}


def text(tree: CallTree) -> str:
    """The stacks of a tree, sorted; equal trees give equal text. Stacks that read alike are one line.

    A semicolon in a name becomes a colon, as in stackcollapse-perf.pl. Raises ValueError for a difference: a folded
    file has no negative counts.
    """
    if len(tree.self_weight) and int(tree.self_weight.min()) < 0:
        raise ValueError("folded stacks cannot hold a difference")
    lines = _lines(tree)
    return "".join(f"{stack} {count}\n" for stack, count in sorted(lines.items()))


def _lines(tree: CallTree) -> dict[str, int]:
    """Folded stack -> weight. Walks down from the root, so that only one path of texts is held beside the answer."""
    own, total = tree.self_weight.tolist(), tree.total.tolist()
    own += [0] * (len(total) - len(own))
    frames, kids, first = tree.trie.frame.tolist(), tree.trie.kids.tolist(), tree.trie.first_child.tolist()
    labels: dict[int, str] = {}
    out: dict[str, int] = defaultdict(int)
    waiting = [(ROOT, "")]
    while waiting:
        node, path = waiting.pop()
        if own[node]:
            out[path or NO_STACK] += own[node]
        for child in kids[first[node] : first[node + 1]]:
            if total[child]:
                frame = frames[child]
                if frame not in labels:
                    labels[frame] = _label(tree.symbols.frame_at(frame))
                waiting.append((child, f"{path};{labels[frame]}" if path else labels[frame]))
    return out


def _label(frame: Frame) -> str:
    return clean(frame_name(frame)).replace(";", ":") + _MARKS.get(frame.kind, "")
