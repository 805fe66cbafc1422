"""How many events there were in each column of a timeline: asked for once, and again only while more may come.

Runs in the presenter's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from aperture_tui.tui.density.model import UNREAD, Grid

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Span, Store, Timeline

_AT_ONCE: Final = 200_000
"""Events that are looked at before what is known by then is shown: about a tenth of a second out of a file."""
_KEPT: Final = 4096
"""Columns; those far away go."""


class Columns:
    """The columns of one selection, all of one length. settled_ns: how late an event may come to its column.

    Of what was asked of a column that is older than that nothing is asked again, so a refresh costs one or two columns.
    """

    def __init__(self, query: Query, bucket_ns: int, settled_ns: int) -> None:
        self.query, self.bucket_ns = query, bucket_ns
        self._settled_ns = settled_ns
        self._weights: dict[int, int] = {}
        self._open: set[int] = set()

    def of(self, grid: Grid, span: Span) -> list[int]:
        """Events in each column, UNREAD where that is not known; 0 beside of what the store has."""
        first = grid.start_ns // self.bucket_ns
        held = self._held(grid, span)
        return [self._weights.get(i, UNREAD) if i in held else 0 for i in range(first, first + grid.columns)]

    def wanted(self, grid: Grid, span: Span, moved: bool) -> list[int]:
        """The numbers of those that have to be asked for. moved: more may have come to those that are not settled."""
        return [i for i in self._held(grid, span) if i not in self._weights or (moved and i in self._open)]

    def reopen(self) -> None:
        """More may have come to any of them."""
        self._open.update(self._weights)

    def ask(self, store: Store, wanted: Sequence[int], near_ns: int, span: Span, all_at_once: bool = False) -> None:
        """Ask for some of them, those next to a moment first. all_at_once: whatever that costs."""
        rate = span.events * self.bucket_ns / max(1, span.end_ns - span.start_ns)
        most = len(wanted) if all_at_once else max(1, round(_AT_ONCE / max(1.0, rate)))
        near = near_ns // self.bucket_ns
        for first, end in _runs(sorted(sorted(wanted, key=lambda i: abs(i - near))[:most])):
            for a, b in self._whole(first, end, span):
                self._keep(a, b, self._asked(store, a, b), span.end_ns)
        self._forget(near)

    def _held(self, grid: Grid, span: Span) -> range:
        """The columns of which the store may have something."""
        first = grid.start_ns // self.bucket_ns
        low, high = span.start_ns // self.bucket_ns, -(-span.end_ns // self.bucket_ns)
        return range(max(first, low), min(first + grid.columns, high)) if span.end_ns else range(0)

    def _whole(self, first: int, end: int, span: Span) -> Iterator[tuple[int, int]]:
        """The same, but those apart that reach beyond what is held: a store cuts what it has in equal parts."""
        edges = {first, end}
        if first * self.bucket_ns < span.start_ns:
            edges.add(first + 1)
        if end * self.bucket_ns > span.end_ns:
            edges.add(end - 1)
        yield from pairwise(sorted(edges))

    def _asked(self, store: Store, first: int, end: int) -> Timeline:
        of = replace(self.query, start_ns=first * self.bucket_ns, end_ns=end * self.bucket_ns)
        return store.timeline(of, end - first)

    def _keep(self, first: int, end: int, told: Timeline, newest_ns: int) -> None:
        """What was told, unless the store has let go of something meanwhile: it is asked again then."""
        whole = told.start_ns == first * self.bucket_ns and told.bucket_ns == self.bucket_ns
        if not whole and end - first > 1:
            return
        for i, weight in enumerate(told.weights.tolist(), first):
            self._weights[i] = weight
            late = (i + 1) * self.bucket_ns > newest_ns - self._settled_ns
            (self._open.add if late else self._open.discard)(i)

    def _forget(self, near: int) -> None:
        if len(self._weights) <= _KEPT:
            return
        for i in sorted(self._weights, key=lambda i: abs(i - near))[_KEPT // 2 :]:
            del self._weights[i]
            self._open.discard(i)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of numbers that follow each other; the numbers are sorted."""
    first = end = None
    for i in numbers:
        if end != i:
            if first is not None and end is not None:
                yield first, end
            first = i
        end = i + 1
    if first is not None and end is not None:
        yield first, end
