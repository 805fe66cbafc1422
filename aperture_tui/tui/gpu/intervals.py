"""Parts of time: (n, 2) of int64, beginnings and ends, half-open, apart and in order. Pure numpy, no loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aperture_tui.tui.gpu.model import Stretch

Intervals = NDArray[np.int64]
NONE: Final[Intervals] = np.zeros((0, 2), np.int64)


def merged(start_ns: NDArray[np.int64], end_ns: NDArray[np.int64]) -> Intervals:
    """(m, 2): intervals that together cover the same time and do not touch each other. By their beginning, n > 0."""
    last = np.maximum.accumulate(end_ns)
    begins = np.flatnonzero(np.append(True, start_ns[1:] > last[:-1]))
    ends = np.append(begins[1:], len(start_ns)) - 1
    return np.column_stack((start_ns[begins], last[ends]))


def between(of: Intervals, within: Stretch) -> Intervals:
    """The parts of a stretch that are in none of these."""
    inside = np.clip(of, within.start_ns, within.end_ns)
    start = np.append(within.start_ns, inside[:, 1])
    end = np.append(inside[:, 0], within.end_ns)
    return np.column_stack((start, end))[end > start]


def common(one: Intervals, other: Intervals) -> Intervals:
    """The time that is in both: at most as many parts as both have together."""
    first = np.searchsorted(other[:, 1], one[:, 0], side="right")
    met = np.maximum(np.searchsorted(other[:, 0], one[:, 1], side="left") - first, 0)
    mine = np.repeat(np.arange(len(one)), met)
    its = np.arange(len(mine)) + np.repeat(first - np.cumsum(met) + met, met)
    return np.column_stack((np.maximum(one[mine, 0], other[its, 0]), np.minimum(one[mine, 1], other[its, 1])))


def amount_ns(of: Intervals) -> int:
    """How much time it is."""
    return int((of[:, 1] - of[:, 0]).sum())


def sums_ns(of: Intervals) -> NDArray[np.int64]:
    """(n + 1,): how much there is before each of them, and in all."""
    return np.concatenate(([0], np.cumsum(of[:, 1] - of[:, 0])))


def until(of: Intervals, sums: NDArray[np.int64], at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k,): how much of it there is before each moment. sums: of sums_ns."""
    if not len(of):
        return np.zeros(len(at_ns), np.int64)
    at = np.searchsorted(of[:, 0], at_ns, side="right") - 1
    return np.where(at < 0, 0, sums[at] + np.minimum(at_ns, of[at, 1]) - of[at, 0])


def shares(of: Intervals, edges_ns: NDArray[np.int64]) -> tuple[float, ...]:
    """How much of each column it is, 0 to 1. edges_ns: (columns + 1,), ascending."""
    inside = np.diff(until(of, sums_ns(of), edges_ns))
    return tuple((inside / np.maximum(np.diff(edges_ns), 1)).tolist())
