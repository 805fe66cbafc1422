"""Samples in the order of time as the boxes of a flame chart: how long a function stood on the stack of a thread."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.export.names import frame_name
from aperture_tui.export.samples import Paths, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aperture_tui.profile.symbols import Frame, Symbols

_GAP: Final = 0.5
"""Of a period: what may lie between two samples of a thread that ran without a break. Clocks are not that exact."""


@dataclass(slots=True)
class Slice:
    """A function that was found on a thread's stack again and again. samples: how often; depth: 0 is the outermost."""

    pid: int
    tid: int
    frame: Frame
    depth: int
    start_ns: int
    end_ns: int
    samples: int


def slices(symbols: Symbols, events: NDArray[np.void]) -> list[Slice]:
    """events: (n,) of EVENT, samples that stand for themselves alone. A thread's slices nest, the outer ones first.

    A sample stands for the period that ends with it: that its thread ran all the while is an estimate, and so is where
    a slice begins and ends, each by a period. Where no sample follows within a period and a half, the thread left the
    CPU. Lines of one function are the function.
    """
    events = events[np.lexsort([events["time_ns"], events["tid"], events["pid"]])]
    paths = Paths(symbols)
    known: dict[Place, tuple[tuple[Frame, ...], list[int]]] = {}
    numbers: dict[tuple[str, str], int] = {}
    out: list[Slice] = []
    thread: tuple[int, int] | None = None
    open_now = _Open((0, 0), out)
    for row in events:
        place = paths.place(row)
        if place not in known:
            path = paths.path(place)
            known[place] = path, [numbers.setdefault((frame_name(f), f.module), len(numbers)) for f in path]
        if thread != (thread := (int(row["pid"]), int(row["tid"]))):
            open_now.close(0)
            open_now = _Open(thread, out)
        open_now.take(int(row["time_ns"]), int(row["duration_ns"]), *known[place])
    open_now.close(0)
    return out


class _Open:
    """The slices of a thread that may go on: one for each frame of its last sample."""

    def __init__(self, thread: tuple[int, int], out: list[Slice]) -> None:
        self._thread = thread
        self._out = out
        self._slices: list[Slice] = []
        self._numbers: Sequence[int] = ()
        self._end_ns = self._samples = 0

    def take(self, time_ns: int, period_ns: int, path: Sequence[Frame], numbers: Sequence[int]) -> None:
        """One more sample, no older than those before. numbers: what each frame is known by."""
        start_ns = max(time_ns - period_ns, 0)
        common = 0
        if self._slices and start_ns <= self._end_ns + _GAP * period_ns:
            start_ns = self._end_ns
            alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(self._numbers, numbers, strict=False))
            common = sum(1 for _ in alike)
        self.close(common)
        for depth in range(common, len(path)):
            one = Slice(*self._thread, path[depth], depth, start_ns, time_ns, -self._samples)
            self._slices.append(one)
            self._out.append(one)
        self._numbers, self._end_ns = numbers, time_ns
        self._samples += 1

    def close(self, depth: int) -> None:
        """End the slices from this depth on where the last sample was taken."""
        for one in self._slices[depth:]:
            one.end_ns = self._end_ns
            one.samples += self._samples
        del self._slices[depth:]
