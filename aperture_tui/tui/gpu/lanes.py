"""Slices on a GPU's streams as lanes of columns. Pure numpy: a picture costs the same for a thousand and a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.tui.gpu.intervals import Intervals, merged, sums_ns, until
from aperture_tui.tui.gpu.model import Engine, Lane, LaneKey, Lanes, Stretch

MOST_LANES: Final = 64
_NAME_BITS: Final = 20
_MOST_NAMES: Final = (1 << _NAME_BITS) - 1
_LONGEST_NS: Final = (1 << 43) - 1
"""2.4 hours: a longer slice is not told to be longer."""


class Slices(NamedTuple):
    """What ran on GPUs: n kernels and copies, in any order. All (n,): start_ns, end_ns Unix nanoseconds; name: indexes
    of texts.
    """

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    name: NDArray[np.int32]
    device: NDArray[np.int64]
    engine: NDArray[np.int64]
    stream: NDArray[np.int64]


@dataclass(frozen=True)
class LaneSlices:
    """One lane of n slices, by their beginning. name, row: (n,) as in Slices, and which of these it is.

    busy_ns: (m, 2), the times in which any of them ran, apart and in order. ran_ns: (m + 1,), for how long before each
    of these. owner: (n,) duration << 20 | name, to find the longest. open: (n,) which of the slices up to each ends
    last.
    """

    key: LaneKey
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    row: NDArray[np.intp]
    busy_ns: Intervals
    ran_ns: NDArray[np.int64]
    owner: NDArray[np.int64]
    open: NDArray[np.intp]

    @classmethod
    def of(cls, key: LaneKey, slices: Slices, row: NDArray[np.intp]) -> LaneSlices:
        """row: which of the slices, by their beginning, at least one."""
        start, end = slices.start_ns[row], slices.end_ns[row]
        busy = merged(start, end)
        ran = sums_ns(busy)
        owner = np.minimum(end - start, _LONGEST_NS) << _NAME_BITS | np.minimum(slices.name[row], _MOST_NAMES)
        open_ = np.maximum.accumulate(np.where(end == np.maximum.accumulate(end), np.arange(len(end)), 0))
        return cls(key, start, end, row, busy, ran, owner, open_)

    def ran_until(self, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """For how long it was busy before each moment: (k,)."""
        return until(self.busy_ns, self.ran_ns, at_ns)

    def lane(self, edges_ns: NDArray[np.int64]) -> Lane:
        """In columns. edges_ns: (columns + 1,), ascending."""
        ran = np.diff(self.ran_until(edges_ns))
        width = np.maximum(np.diff(edges_ns), 1)
        first = np.searchsorted(self.start_ns, edges_ns)
        owner = self._largest(edges_ns, first)
        share = float(ran.sum() / max(1, int(edges_ns[-1] - edges_ns[0])))
        return Lane(
            self.key,
            share,
            tuple((ran / width).tolist()),
            tuple(np.where(owner < 0, -1, owner & _MOST_NAMES).tolist()),
            tuple(np.where(owner < 0, 0, owner >> _NAME_BITS).tolist()),
            tuple(np.diff(first).tolist()),
        )

    def _largest(self, edges_ns: NDArray[np.int64], first: NDArray[np.intp]) -> NDArray[np.int64]:
        """(columns,): the owner of each column; -1 for none.

        first: the first slice that begins at each edge or later.
        """
        before = first[:-1] - 1
        padded = np.append(self.owner, -1)
        inside = np.maximum.reduceat(padded, first)[:-1]
        inside = np.where(first[1:] > first[:-1], inside, -1)
        running = self.open[np.maximum(before, 0)]
        still = (before >= 0) & (self.end_ns[running] > edges_ns[:-1])
        return np.maximum(inside, np.where(still, self.owner[running], -1))


def by_lane(slices: Slices) -> list[LaneSlices]:
    """A lane for each GPU as a whole, and for each engine and stream of it, in this order."""
    if not len(slices.start_ns):
        return []
    keys = slices.device << 36 | slices.engine << 32 | slices.stream
    order = np.argsort(slices.start_ns, kind="stable")
    order = order[np.argsort(keys[order], kind="stable")]
    keys = keys[order]
    begins = np.append(0, np.flatnonzero(np.diff(keys)) + 1)
    parts = list(zip(keys[begins].tolist(), np.split(order, begins[1:]), strict=True))
    out: list[LaneSlices] = []
    for key, part in parts:
        device, engine, stream = key >> 36, Engine(key >> 32 & 15), key & 0xFFFFFFFF
        if not out or out[-1].key.device != device:
            mine = np.concatenate([rows for other, rows in parts if other >> 36 == device])
            mine = mine[np.argsort(slices.start_ns[mine], kind="stable")]
            out.append(LaneSlices.of(LaneKey(device, Engine.ANY, 0), slices, mine))
        out.append(LaneSlices.of(LaneKey(device, engine, stream), slices, part))
    return out


def drawn(lanes: Sequence[LaneSlices]) -> tuple[list[LaneSlices], int]:
    """The lanes that are drawn, and how many are not: those of the GPUs as wholes, and the busiest."""
    if len(lanes) <= MOST_LANES:
        return list(lanes), 0
    order = sorted(range(len(lanes)), key=lambda i: (lanes[i].key.engine is not Engine.ANY, -int(lanes[i].ran_ns[-1])))
    return [lanes[i] for i in sorted(order[:MOST_LANES])], len(lanes) - MOST_LANES


def edges(stretch: Stretch, columns: int) -> NDArray[np.int64]:
    """(columns + 1,): Unix nanoseconds, as equal as whole ones can be."""
    return stretch.start_ns + np.arange(columns + 1, dtype=np.int64) * stretch.length_ns // columns


def picture(lanes: Sequence[LaneSlices], names: Sequence[str], stretch: Stretch, columns: int) -> Lanes:
    """Lanes in columns. names: what the slices' names are indexes of."""
    at = edges(stretch, columns)
    told = tuple(lane.lane(at) for lane in lanes)
    return Lanes(stretch=stretch, lanes=told, names=tuple(names))
