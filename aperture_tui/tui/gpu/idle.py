"""When GPUs did nothing, when nobody knows what they did, and what the CPU did meanwhile. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.export.names import frame_name
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.trie import ROOT
from aperture_tui.tui.gpu.intervals import NONE, Intervals, amount_ns, between, common
from aperture_tui.tui.gpu.model import Engine, Gap, Idle, Scope, Stretch

if TYPE_CHECKING:
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.tui.gpu.lanes import LaneSlices

MOST_GAPS: Final = 200
"""Of all GPUs together: those that are looked into."""
LATE_NS: Final = 2_000_000_000
"""What a GPU did is told about a second later: that it does nothing since is believed from here on."""
_SAMPLED: Final = 3
"""Periods of sampling that a gap must last before no sample at all says that nothing ran."""


class Told(NamedTuple):
    """Of each slice, (n,): an index of names, the process that had it done, the thread; 0 for unknown."""

    names: Sequence[str]
    name: NDArray[np.int32]
    pid: NDArray[np.uint32]
    tid: NDArray[np.uint32]


def gaps(lane: LaneSlices, window: Stretch, told: Told, unrecorded: Intervals = NONE) -> tuple[list[Gap], Idle]:
    """The longest gaps of a GPU, and all of them summed. lane: that of the GPU as a whole.

    What lies in unrecorded time is told as such, and is no gap. The time until the end of the window is a gap only when
    it is long.
    """
    nothing = between(lane.busy_ns, window)
    unknown, known = common(nothing, unrecorded), common(nothing, between(unrecorded, window))
    if len(known) and known[-1, 1] == window.end_ns and known[-1, 1] - known[-1, 0] < LATE_NS:
        known = known[:-1]
    total = Idle(lane.key.device, len(known), amount_ns(known), window.length_ns, amount_ns(unknown))
    found = [Gap(lane.key.device, a, b, unrecorded=True) for a, b in _longest(unknown).tolist()]
    return _between_slices(lane, window, told, _longest(known)) + found, total


def _longest(of: Intervals) -> Intervals:
    return of[np.argsort(of[:, 0] - of[:, 1], kind="stable")[:MOST_GAPS]]


def _between_slices(lane: LaneSlices, window: Stretch, told: Told, of: Intervals) -> list[Gap]:
    """With what ended and began each, and who launched that."""
    next_ = np.searchsorted(lane.start_ns, of[:, 1])
    out = []
    for (a, b), i in zip(of.tolist(), next_.tolist(), strict=True):
        last = int(lane.open[i - 1]) if i else -1
        begins = last >= 0 and a > window.start_ns and int(lane.end_ns[last]) == a
        ends = b < window.end_ns and i < len(lane.row) and int(lane.start_ns[i]) == b
        row = int(lane.row[i if ends else last]) if ends or i else -1
        out.append(
            Gap(
                *(lane.key.device, a, b, not (begins and ends)),
                before=told.names[told.name[lane.row[last]]] if begins else "",
                after=told.names[told.name[row]] if ends else "",
                pid=int(told.pid[row]) if row >= 0 else 0,
                tid=int(told.tid[row]) if row >= 0 else 0,
            )
        )
    return out


def longest(of_each: Iterable[Sequence[Gap]]) -> list[Gap]:
    """The longest of several GPUs; and as many times that were not recorded, among them by their length."""
    found = sorted((gap for some in of_each for gap in some), key=lambda gap: (-gap.length_ns, gap.start_ns))
    ranks = {False: count(), True: count()}
    return [gap for gap in found if next(ranks[gap.unrecorded]) < MOST_GAPS]


def explained(found: Sequence[Gap], symbols: Symbols, samples: NDArray[np.void]) -> list[Gap]:
    """The same, with what the CPU did in each. samples: (n,) of EVENT, of Kind.CPU and of the gaps' processes.

    What the thread did that launched what ended the gap, or what came before the last one; if it was not seen on a
    CPU, what others of its process did.
    """
    samples = samples[np.argsort(samples["time_ns"], kind="stable")]
    times = samples["time_ns"].astype(np.int64)
    period_ns = int(np.median(samples["duration_ns"])) if len(samples) else 0
    out = []
    for gap in found:
        low, high = np.searchsorted(times, (gap.start_ns, gap.end_ns))
        inside = samples[low:high]
        out.append(_explained(gap, symbols, inside[inside["pid"] == gap.pid], period_ns) if gap.pid else gap)
    return out


def _explained(gap: Gap, symbols: Symbols, mine: NDArray[np.void], period_ns: int) -> Gap:
    if not period_ns:
        return gap
    if not len(mine):
        short = gap.length_ns < _SAMPLED * period_ns
        return gap._replace(scope=Scope.SHORT if short else Scope.NONE)
    of_thread = mine[mine["tid"] == gap.tid]
    scope = Scope.THREAD if len(of_thread) else Scope.PROCESS
    chosen = of_thread if len(of_thread) else mine
    trie = symbols.trie
    leaves, which = np.unique(trie.frame[chosen["stack"]], return_inverse=True)
    weights = np.bincount(which, chosen["weight"])
    most = int(np.argmax(weights))
    node = int(chosen["stack"][np.flatnonzero(which == most)[-1]])
    leaf = frame_name(symbols.frame_at(int(leaves[most]))) if leaves[most] else ""
    caller = _python_above(symbols, node)
    of = int(weights.sum())
    return gap._replace(scope=scope, leaf=leaf, caller=caller, samples=int(weights[most]), of=of)


def _python_above(symbols: Symbols, node: int) -> str:
    """The innermost Python function of a stack, if it is not the innermost of all; "" for none."""
    trie, kinds = symbols.trie, symbols.frames["kind"]
    if kinds[trie.frame[node]] == FrameKind.PYTHON:
        return ""
    while node > ROOT and kinds[trie.frame[node]] != FrameKind.PYTHON:
        node = int(trie.parent[node])
    return frame_name(symbols.frame_at(int(trie.frame[node]))) if node > ROOT else ""


def of_whole(lanes: Iterable[LaneSlices]) -> list[LaneSlices]:
    """Those of the GPUs as wholes."""
    return [lane for lane in lanes if lane.key.engine is Engine.ANY]
