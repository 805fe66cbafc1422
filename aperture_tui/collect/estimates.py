"""Stacks for waits whose stack was not taken: each has its share of those of the same thread and reason that were.

Taking every stack at 100,000 switches a second would cost a third of a CPU. All waits are timed and counted; which of
the thread's stacks they belong to is estimated from those that were taken in the same second, and said (ESTIMATED).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def estimated(rows: NDArray[np.void]) -> NDArray[np.void]:
    """The same sums, with stacks in place of none wherever the thread has any: (m,) of PART.

    rows: (n,) of PART, stack 0 where none was taken. Time is shared by the time of the stacks that were taken, counts
    by their counts. Sums by thread and reason, and the longest, stay exactly what they were.
    """
    missing = rows["stack"] == 0
    group = _groups(rows)
    size = len(rows) + 1
    lacks, has = np.zeros(size, bool), np.zeros(size, bool)
    lacks[group[missing]], has[group[~missing]] = True, True
    shared = (lacks & has)[group]
    order = np.flatnonzero(shared & ~missing)
    if not len(order):
        return rows
    order = order[np.lexsort((rows["total_ns"][order], group[order]))]  # that with the most time last
    likeness, of = rows[order], group[order]
    lacking, lacking_of = rows[shared & missing], group[shared & missing]
    for column in ("total_ns", "n"):
        total = np.zeros(size, np.int64)
        np.add.at(total, lacking_of, lacking[column].astype(np.int64))
        likeness[column] = _apportioned(likeness[column].astype(np.int64), of, total)
    longest = np.zeros(size, np.uint64)
    np.maximum.at(longest, lacking_of, lacking["max_ns"])
    last = np.append(of[1:] != of[:-1], True)
    at_most = np.minimum.reduce([likeness["max_ns"], likeness["total_ns"], longest[of]])
    likeness["max_ns"] = np.where(last, longest[of], at_most)
    likeness["estimated"] = True
    some = last | (likeness["total_ns"] > 0) | (likeness["n"] > 0)
    return np.concatenate((rows[~(shared & missing)], likeness[some]))


def _groups(rows: NDArray[np.void]) -> NDArray[np.intp]:
    """(n,): which (thread, reason, part) each row belongs to."""
    order = np.lexsort((rows["part"], rows["why"], rows["tid"]))
    first = np.zeros(len(rows), bool)
    for column in ("tid", "why", "part"):
        ordered = rows[column][order]
        first[1:] |= ordered[1:] != ordered[:-1]
    group = np.zeros(len(rows), np.intp)
    group[order] = np.cumsum(first)
    return group


def _apportioned(weights: NDArray[np.int64], group: NDArray[np.intp], total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers in these shares of each group's total, which they make up exactly. group: ascending."""
    first = np.append(True, group[1:] != group[:-1])
    starts, which = np.flatnonzero(first), np.cumsum(first) - 1
    passed = np.cumsum(weights) - (np.cumsum(weights)[starts] - weights[starts])[which]
    whole = np.add.reduceat(weights, starts)[which]
    until = (total[group] * (passed / np.maximum(whole, 1))).astype(np.int64)
    until = np.where(np.append(first[1:], True), total[group], np.minimum(until, total[group]))
    out: NDArray[np.int64] = until - np.where(first, 0, np.append(0, until[:-1]))
    return out
