"""From an aggregator's answers to one snapshot for the screen. Runs in the presenter's thread; imports numpy."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.kinds import Kind
from aperture_tui.store.remote.link import FLEET, INTERVAL_MS, Fleet, Focus, RemoteError
from aperture_tui.store.remote.store import RemoteStore, is_of
from aperture_tui.tui.answer import Answers, Data
from aperture_tui.tui.forms.pictures import Shown
from aperture_tui.tui.gpu import answer as gpu_answer
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Span
    from aperture_tui.store.fleet_base import HostState
    from aperture_tui.tui.model import Baseline, LatencyKey

_LEAST_S: Final = 1.0
"""How old a picture is before a newer one is asked for; of one that took long to get, longer."""
_TIMES_THE_COST: Final = 4
_UNTOLD_S: Final = 10.0
"""How long it is believed that there is nothing new, because nothing new was told."""
_FLEET_S: Final = 2.0
_LONGEST_INTERVAL_NS: Final = 60_000_000_000
_KINDS: Final = frozenset(Kind)


class RemoteAnswers:
    """Answers requests about any machines of an aggregator, and for the list of them."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store
        self._store.follow()
        self._of: _AnswersOf | None = None
        self._fleet = _Fleets(store)

    @property
    def narrowed(self) -> Query | None:
        """What was asked for last, but for the machines and the range."""
        return None if self._of is None else self._of.narrowed

    def interval_ns(self) -> int:
        """How often the machines push that are looked at: the longest of all."""
        with contextlib.suppress(RemoteError):  # what cannot be reached has said so in its answer
            if self._of is not None:
                return self._of.interval_ns()
        return INTERVAL_MS * 1_000_000

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """The snapshot for a request. fresh: a newer one would be welcome. Raises RemoteError where there is none."""
        if request.fleet:
            return ViewSnapshot(request, fleet=self._fleet.now(fresh))
        if self._of is None or self._of.focus != request.focus:
            self._of = _AnswersOf(self._store, request.focus)
        return self._of.answer(request, fresh)


class _Paced:
    """When something is asked for again: no sooner than it pays, measured by what it costs."""

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._at = -math.inf
        self._cost_s = 0.0

    @property
    def age_s(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self._at

    @property
    def is_due(self) -> bool:
        """Whether it is time."""
        return self.age_s >= max(self._least_s, _TIMES_THE_COST * self._cost_s)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While it is asked for."""
        began = time.monotonic()
        yield
        self._at = time.monotonic()
        self._cost_s = self._at - began


class _Fleets:
    """The list of machines, asked for again every few seconds."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store
        self._fleet: Fleet | None = None
        self._pace = _Paced(_FLEET_S)

    def now(self, fresh: bool) -> Fleet:
        """Raises RemoteError, also if it is known how it was."""
        if self._fleet is None or (fresh and self._pace.is_due):
            with self._pace.asking():
                self._fleet = self._store.fleet()
        return self._fleet


class _AnswersOf(Answers):
    """Answers about some machines. What was shown last is shown on where the aggregator cannot be reached.

    What happened in each of the last seconds is not told: agents push what was alike in an interval as one.
    """

    def __init__(self, store: RemoteStore, focus: Focus) -> None:
        self._remote = store.of(focus)
        self._remote.follow()
        self._everywhere = store.of(FLEET)
        super().__init__(self._remote)
        self._everywhere.note = self._note
        self.focus = focus
        self._pace = _Paced(_LEAST_S)
        self._news = -1
        self._failed = False
        self._last: ViewSnapshot | None = None

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """As of any store, but nothing is asked for before it is due.

        Raises RemoteError where something else is wanted than what was shown last.
        """
        due = fresh and self._is_due()
        again = self._again(request)
        if again is not None and not due and not self._failed:
            return again
        try:
            snapshot = super().answer(request, due)
            kinds = self._remote.kinds()
        except RemoteError as error:
            self._failed = True
            if again is None:
                raise
            return replace(again, error=str(error))
        self._failed = False
        self._last = replace(snapshot, pushed=_KINDS & kinds)
        return self._last

    def _is_due(self) -> bool:
        return self._pace.is_due and (self._news != self._remote.news or self._pace.age_s > _UNTOLD_S)

    def _again(self, request: ViewRequest) -> ViewSnapshot | None:
        """The last picture in another size or order; None if another is wanted."""
        last, data = self._last, self._data
        if last is None or data is None or self.wants_more(request, fresh=False):
            return None
        shown = self._lay_out(request, data) if request.width > 0 else Shown()
        gpu = None if data.gpu is None else gpu_answer.view(data.gpu, request.lanes)
        return replace(last, request=request, icicle=shown.icicle, functions=shown.functions, gpu=gpu)

    def _fetch(self, choice: ViewRequest, health: list[Health], held: Held, end_ns: int | None) -> Data:
        news = self._remote.news
        with self._pace.asking():
            data = super()._fetch(choice, health, held, end_ns)
        self._news = news
        return data

    def _both(self, base: Query, after: Query, baseline: Baseline) -> tuple[CallTree, CallTree]:
        """Each of machines of its own."""
        then = replace(base, hosts=baseline.focus.hosts, service=baseline.focus.service)
        return self._everywhere.compared(then, replace(after, hosts=self.focus.hosts, service=self.focus.service))

    def _gpu(self, query: Query, tree: CallTree) -> gpu_answer.GpuData | None:
        """Agents push what was alike in an interval as one: when each kernel was is not known."""
        wanted = query.kind is Kind.GPU_KERNEL
        return gpu_answer.fetched(self._store, query, tree, sums_only=True) if wanted else None

    def _held(self, span: Span) -> Held:
        end = max(span.end_ns, self._remote.newest_ns())
        return Held(span.start_ns or end, end)

    def _newest(self, held: Held) -> int:
        """Of several machines the moment up to which all have told: they push in turns."""
        if self.focus.is_one:
            return held.end_ns
        if len(self._mine()) < 2:
            return held.end_ns
        return max(held.first_ns, held.end_ns - self.interval_ns())

    def _mine(self) -> list[HostState]:
        return [host for host in self._remote.known_fleet() if is_of(host, self.focus)]

    def interval_ns(self) -> int:
        """The longest time between two pushes of one of the machines."""
        longest_ms = max((host.interval_ms or INTERVAL_MS for host in self._mine()), default=INTERVAL_MS)
        return min(longest_ms * 1_000_000, _LONGEST_INTERVAL_NS)

    def _since(self, kind: Kind, health: list[Health], end: int, live: bool) -> int:
        return 0

    def _busy_before(self, end: int, began_ns: int | None) -> Recent[tuple[int, int]]:
        return Recent()

    def _rates_before(self, choice: ViewRequest, query: Query, began_ns: int | None) -> Recent[LatencyKey]:
        return Recent()
