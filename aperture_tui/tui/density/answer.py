"""Answers, and with them the timeline: the picture first, and what is looked at in time after it.

Runs in the presenter's thread.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.text import clean
from aperture_tui.store.base import Span
from aperture_tui.tui.density.columns import Columns
from aperture_tui.tui.density.grid import Around, grain_ns, grid_of
from aperture_tui.tui.density.looked import Stretches, Watched, between
from aperture_tui.tui.density.model import UNKNOWN, Density, Grid
from aperture_tui.tui.latency_lines import of_lock
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.playhead import Held

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.store.base import Store

_SETTLED_NS: Final = 5_000_000_000
"""How late an event of a live session comes at most: what GPUs did waits for two drains."""
_INTERVALS: Final = 3
"""How many intervals late an agent's push comes, before all is asked again."""
_ALL_AGAIN_S: Final = 60.0
"""An agent that could not be reached tells later what it had spooled."""
_REMEMBERED: Final = 8
"""Selections."""


class Answering(Protocol):
    """What answers everything but the timeline. narrowed: the selection that it answered last, whatever its range."""

    @property
    def narrowed(self) -> Query | None:
        """None while nothing was answered."""
        ...

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """The snapshot for a request."""
        ...


class InTime:
    """The same answers with a timeline. Answers say `more` while some of it is unread: ask again for the next part.

    recorded: what the store holds never changes. interval_ns: of an aggregator, which is asked for all at once: how
    often those push whose events are looked at.
    """

    def __init__(
        self, answers: Answering, store: Store, recorded: bool, interval_ns: Callable[[], int] | None = None
    ) -> None:
        self._answers, self._store = answers, store
        self._recorded, self._remote = recorded, interval_ns is not None
        self._interval_ns = interval_ns or (lambda: 0)
        self._known: OrderedDict[tuple[Query, int], Columns] = OrderedDict()
        self._watched = Watched()
        self._read: tuple[Grid, Stretches] | None = None
        self._request: ViewRequest | None = None
        self._span = Span()
        self._began = time.monotonic()

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """The snapshot for a request. fresh: fetch new data. Raises what the store raises."""
        snapshot = self._answers.answer(request, fresh)
        if fresh and not (self._recorded or self._remote):
            self._watched.note(snapshot.health, snapshot.held.end_ns)
        at_once = fresh or request == self._request
        moved = fresh and snapshot.span != self._span  # an answer that is due may be the last one again
        self._request, self._span = request, snapshot.span
        query = self._answers.narrowed
        if not request.scale.columns or query is None or not snapshot.span.end_ns or snapshot.error:
            return snapshot
        return replace(snapshot, density=self._density(snapshot, query, moved, at_once))

    def _density(self, snapshot: ViewSnapshot, query: Query, moved: bool, at_once: bool) -> Density:
        """moved: there are events that were not there before. at_once: ask now, not with the next answer."""
        request = snapshot.request
        if request.lock is not None and query.kind is Kind.LOCK:
            query = of_lock(query, request.lock)
        if self._remote:
            query = replace(query, hosts=request.focus.hosts, service=request.focus.service)
        start_ns = snapshot.end_ns - snapshot.range_ns
        grain = grain_ns(query.kind, self._interval_ns())
        around = Around(start_ns, snapshot.end_ns, snapshot.held, grain, self._recorded, self._remote)
        grid = grid_of(request.scale, around)
        columns = self._columns(query, grid, moved)
        wanted = columns.wanted(grid, snapshot.span, moved)
        left, problem = wanted, ""
        if at_once and wanted:
            near = grid.start_ns if grid.end_ns < snapshot.end_ns else snapshot.end_ns
            try:
                columns.ask(self._store, wanted, near, snapshot.span, self._remote)
            except (OSError, RuntimeError, ValueError) as error:  # the picture is there all the same
                problem = clean(" ".join(str(error).split())) or type(error).__name__
            left = columns.wanted(grid, snapshot.span, moved=False)
        more = bool(left) and not problem and (not at_once or len(left) < len(wanted))  # else the next refresh tries
        return Density(grid, self._told(snapshot, columns, grid), more, problem)

    def _columns(self, query: Query, grid: Grid, moved: bool) -> Columns:
        """What is known of a selection. Everything is asked again now and then where old events may come."""
        if self._remote and moved and time.monotonic() - self._began > _ALL_AGAIN_S:
            for columns in self._known.values():
                columns.reopen()
            self._began = time.monotonic()
        key = _anytime(query), grid.bucket_ns
        found = self._known.pop(key, None)
        if found is None:
            late = _INTERVALS * self._interval_ns() if self._remote else _SETTLED_NS
            found = Columns(*key, 0 if self._recorded else late)
        self._known[key] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _told(self, snapshot: ViewSnapshot, columns: Columns, grid: Grid) -> tuple[int, ...]:
        """The columns as they may be drawn: 0 only where it is known that there was nothing."""
        weights = columns.of(grid, snapshot.span)
        if 0 not in weights:
            return tuple(weights)
        nothing = self._nothing_remote(snapshot, columns, grid) if self._remote else self._nothing(snapshot, grid)
        return tuple(UNKNOWN if not w and not known else w for w, known in zip(weights, nothing, strict=True))

    def _nothing(self, snapshot: ViewSnapshot, grid: Grid) -> list[bool]:
        """Of which columns it is known that there was nothing, if there is nothing in them: somebody looked."""
        kind, held = snapshot.request.kind, snapshot.held
        if snapshot.recorded is not None and kind not in snapshot.recorded:
            return [False] * grid.columns
        gone_ns, looked = snapshot.span.dropped_until_ns, self._looked(grid, held)
        return [
            start >= gone_ns
            and looked.reach(start, start + grid.bucket_ns)
            and (self._recorded or self._ran(kind, start, grid, held.end_ns))
            for start in map(grid.begin_of, range(grid.columns))
        ]

    def _ran(self, kind: Kind, start_ns: int, grid: Grid, now_ns: int) -> bool:
        """Whether a column of a live session has been told of, and nothing will come any more."""
        end_ns = start_ns + grid.bucket_ns
        return end_ns <= now_ns - _SETTLED_NS and self._watched.ran(kind, start_ns, end_ns)

    def _looked(self, grid: Grid, held: Held) -> Stretches:
        """When the host was read. Of a recording that is read once; files of other tools have no readings."""
        if self._recorded and self._read is not None and self._read[0] == grid:
            return self._read[1]
        times = [one.time_ns for one in self._store.gauges(Query(start_ns=grid.start_ns, end_ns=grid.end_ns))]
        looked = between(times) if times or self._store.gauges(Query()) else Stretches([held.start_ns], [held.end_ns])
        self._read = grid, looked
        return looked

    def _nothing_remote(self, snapshot: ViewSnapshot, columns: Columns, grid: Grid) -> list[bool]:
        """Of several machines it is known by what else they told then: an agent sees at least itself."""
        query = columns.query
        everything = Query(query.kind, hosts=query.hosts, service=query.service)
        base = self._known.get((everything, grid.bucket_ns))
        if base is None or base is columns:
            return [False] * grid.columns
        return [weight > 0 for weight in base.of(grid, snapshot.span)]


def _anytime(query: Query) -> Query:
    """The selection, of no range; by what stacks are told apart does not matter."""
    return replace(query, start_ns=None, end_ns=None, role=Role.OWN, group=Group.PROCESS, measure=Measure.COUNT)
