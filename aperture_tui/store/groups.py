"""Rows in groups, by what stands in several columns. Pure; nothing is done row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.latency import BUCKETS

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)

_U64 = NDArray[np.uint64]
_Ints = NDArray[np.int64]


class Groups(NamedTuple):
    """Rows in groups. of: (n,), the group of each row. first: (g,), a row of each group."""

    of: NDArray[np.intp]
    first: NDArray[np.intp]

    @property
    def n(self) -> int:
        return len(self.first)

    def sums(self, values: _Ints) -> _Ints:
        """(g,), exact."""
        return summed(self.of, self.n, values)

    def most(self, values: _U64) -> _U64:
        """(g,): the greatest of each group."""
        out = np.zeros(self.n, np.uint64)
        np.maximum.at(out, self.of, values)
        return out


def grouped(columns: Sequence[NDArray[np.integer]]) -> Groups:
    """The rows, (n,) in each column, by what stands in all columns.

    Sorting is the slow way: every row is compared with one that fell into the same place of a table, and only those
    that differ, whose whole groups found their place taken, are sorted.
    """
    n = len(columns[0])
    mixed = np.zeros(n, np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _ODD
        mixed ^= mixed >> _HALF
    bits = n.bit_length() + 1
    place = (mixed >> np.uint64(64 - bits)).astype(np.intp)
    table = np.empty(1 << bits, np.intp)
    table[place] = np.arange(n)
    leader = table[place]
    rest = np.flatnonzero(np.logical_or.reduce([column[leader] != column for column in columns]))
    if len(rest):
        rest = rest[np.lexsort([column[rest] for column in columns])]
        first = np.append(True, np.logical_or.reduce([np.diff(column[rest]) != 0 for column in columns]))
        leader[rest] = rest[first][np.cumsum(first) - 1]
    leads = leader == np.arange(n)
    return Groups((np.cumsum(leads) - 1)[leader], np.flatnonzero(leads))


def summed(of: NDArray[np.intp], groups: int, values: _Ints) -> _Ints:
    """(groups,): the exact sum of the values, (n,), of each group. of: (n,)."""
    out = np.zeros(groups, np.int64)
    np.add.at(out, of, values)
    return out


def buckets_of(longest: _U64) -> NDArray[np.intp]:
    """(n,): `profile.latency.bucket` of each."""
    # float64 rounds up to the next power of two from 2**53 on, which is beyond the last bucket
    exponent = np.frexp(np.maximum(longest, 1).astype(np.float64))[1]
    out: NDArray[np.intp] = np.minimum(exponent - 1, BUCKETS - 1).astype(np.intp)
    return out
