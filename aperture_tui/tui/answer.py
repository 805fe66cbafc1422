"""From a store's answers to one snapshot for the screen. Runs in the presenter's thread; imports numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aperture_tui.export.collected import time_range
from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, together
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.store.base import Estimate, ProcessUse, Span, Store
from aperture_tui.store.passed import Passed, passed
from aperture_tui.tui import latency_lines
from aperture_tui.tui.attached import Attached, recorded
from aperture_tui.tui.baselines import RecordedBase, based, of_one
from aperture_tui.tui.density.model import NO_SCALE
from aperture_tui.tui.forms.model import TREE
from aperture_tui.tui.forms.pictures import Pictures, Shown
from aperture_tui.tui.gpu import answer as gpu_answer
from aperture_tui.tui.gpu.model import NO_LANES
from aperture_tui.tui.model import (
    EXACT,
    SAMPLES,
    Baseline,
    Latencies,
    LatencyKey,
    ProcessKey,
    ProcessLine,
    Unit,
    ViewRequest,
    ViewSnapshot,
    Wall,
)
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.recent import Past, Recent
from aperture_tui.tui.wall_time import wall

_RECENT_S: Final = 2.0
_SHOWN_PROCESSES: Final = 500
_WOKEN: Final = 16
"""Threads of one process whose wakers are looked for: those that waited longest."""
_UNITS: Final = {
    Kind.CPU: SAMPLES,
    Kind.SYSCALL: Unit("in calls", timed=True),
    Kind.LOCK: Unit("waited", timed=True),
    Kind.OFFCPU: Unit("off-CPU", timed=True),
    Kind.GPU_KERNEL: Unit("of kernels", timed=True),
}
_WAKES: Final = Unit("wakes")


@dataclass(frozen=True)
class Data:
    """What the store said of one moment: everything that zoom, search, size and order are answered from.

    choice: the request as far as the store was asked for it, but for the moment. past: that was given, and is end_ns.
    base: what the tree is compared with, over the same trie; None where nothing is.
    """

    choice: ViewRequest
    past: bool
    end_ns: int
    range_ns: int
    tree: CallTree
    base: CallTree | None
    processes: tuple[ProcessLine, ...]
    latencies: Latencies
    wall: Wall | None
    gauges: tuple[HostSample, ...]
    stacks: Completeness
    estimate: Estimate
    gpu: gpu_answer.GpuData | None
    asked: tuple[Query, ...] = ()
    passed: Passed | None = None


class Answers:
    """Answers requests out of a store; between two ticks, and while time stands still, out of what was last fetched.

    recorded: what the store holds never changes, and nobody collects. It takes the store's notes. baseline: opens the
    recording that pictures may be compared with.
    """

    def __init__(self, store: Store, recorded: bool = False, baseline: Callable[[], Store] | None = None) -> None:
        self._store, self._where = store, Query().where
        self._baseline = baseline and RecordedBase(baseline)
        store.note = self._note
        self._estimate = EXACT
        self._recorded = recorded
        self._kinds: frozenset[Kind] | None = None
        self._all = Held()
        self.narrowed: Query | None = None
        self._data: Data | None = None
        self._pictures = Pictures()
        self._attached = Attached()
        self._busy: Recent[tuple[int, int]] = Recent()
        self._was_busy = Past(self._busy_until)
        self._rates: Recent[LatencyKey] = Recent()
        self._had_rates: Past[LatencyKey] | None = None
        self._rates_of: tuple[Kind, ProcessKey | None] | None = None

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """The snapshot for a request. fresh: fetch new data. Raises what the store raises."""
        health: list[Health] = self._store.health()
        span = self._store.span()
        held = self._held(span)
        data = self._data
        if data is None or self.wants_more(request, fresh):
            data = self._data = self._fetch(_choice(request), health, held, request.end_ns)
        snapshot = ViewSnapshot(
            request,
            processes=data.processes,
            latencies=data.latencies,
            wall=data.wall,
            gauges=data.gauges,
            hosts=tuple(self._store.hosts()),
            health=tuple(health),
            span=span,
            stacks=data.stacks,
            end_ns=data.end_ns,
            range_ns=data.range_ns,
            held=held,
            recorded=self._kinds,
            estimate=data.estimate,
            tags=self._store.tags(),
            gpu=None if data.gpu is None else gpu_answer.view(data.gpu, request.lanes),
            asked=data.asked,
            against=None if data.base is None else based(data.asked[0], data.choice),
            passed=data.passed,
        )
        if request.width <= 0:
            return snapshot
        shown = self._lay_out(request, data)
        return replace(snapshot, icicle=shown.icicle, functions=shown.functions)

    def wants_more(self, request: ViewRequest, fresh: bool) -> bool:
        """Whether the store has to be asked for what was not fetched. fresh: the newest, if it is wanted, is newer."""
        data = self._data
        return data is None or data.choice != _choice(request) or _is_elsewhere(data, request.end_ns, fresh)

    def _held(self, span: Span) -> Held:
        """The time that can be looked at. Of a recording it is found out once, and what it has with it."""
        if not self._recorded:
            end = self._now(span)
            return Held(span.start_ns or end, end)
        if self._kinds is None:
            self._all = Held(*time_range(self._store, Query()))
            self._kinds = recorded(self._store)
        return self._all

    # -- fetching

    def _fetch(self, choice: ViewRequest, health: list[Health], held: Held, end_ns: int | None) -> Data:
        """Ask the store for the newest, or for what ended then."""
        live = end_ns is None and not self._recorded
        end = self._newest(held) if end_ns is None else end_ns
        start = held.start_ns if choice.window_s is None else max(held.start_ns, end - round(choice.window_s * 1e9))
        start = min(start, end)
        if (since := self._since(choice.kind, health, end, live)) < end:
            start = max(start, since)
        self._estimate = EXACT
        if choice.where != self._where:  # what was busy is another, of what this line lets pass
            self._busy, self._was_busy, self._rates_of = Recent(), Past(self._busy_until), None
            self._where = choice.where
        query = Query(choice.kind, start_ns=start, end_ns=end + 1, where=choice.where)
        of_process = self.narrowed = query if choice.process is None else of_one(query, choice.process)
        began = None if live else held.start_ns
        lines, stacks = self._processes(choice, query, began)
        of_stacks = self._of_stacks(choice, of_process)
        if stacks is None:
            counts = choice.kind is not Kind.SYSCALL  # which have stacks only now and then
            stacks = self._store.completeness(of_stacks[0]) if counts else Completeness()
        tree, base = self._trees(choice, of_stacks)
        told = self._latencies(choice, of_process, began)
        walls, gauges = self._wall(of_process, health), tuple(self._store.gauges(query))
        known = lines, told, walls, gauges, stacks, self._estimate, self._gpu(of_process, tree), tuple(of_stacks)
        let = passed(self._store, of_process)
        return Data(choice, end_ns is not None, end, end - start, tree, base, *known, let)

    def _gpu(self, query: Query, tree: CallTree) -> gpu_answer.GpuData | None:
        """What GPUs did, for the kind that tells of it."""
        return gpu_answer.fetched(self._store, query, tree) if query.kind is Kind.GPU_KERNEL else None

    def _note(self, estimate: Estimate) -> None:
        """The least exact of all answers says how exact the picture is."""
        self._estimate = self._estimate.worse(estimate)

    def _newest(self, held: Held) -> int:
        """Where the newest window ends."""
        return held.end_ns

    def _since(self, kind: Kind, health: list[Health], end: int, live: bool) -> int:
        """Since when the kind's collector has told anything, Unix nanoseconds; 0 for as long as there is anything."""
        if live:
            self._attached.note(kind, health, end)
        return self._attached.since(kind)

    def _now(self, span: Span) -> int:
        """The newest moment that anything is known of: readings of the host go on while nothing runs."""
        later = self._store.gauges(Query(start_ns=span.end_ns))
        return max(span.end_ns, later[-1].time_ns) if later else span.end_ns

    def _processes(
        self, choice: ViewRequest, query: Query, began_ns: int | None
    ) -> tuple[tuple[ProcessLine, ...], Completeness | None]:
        """The table of processes if it is wanted, and what it says of the stacks of those that are looked at.

        began_ns: when what is held began, of a time that is over; None: it is now.
        """
        if not choice.processes:
            return (), None
        end, start = (query.end_ns or 1) - 1, query.start_ns or 0
        busy = self._busy_before(end, began_ns)
        uses = self._store.processes(query)
        count = sum(use.count for use in uses)
        lines = tuple(_line(use, end - start, count, busy) for use in uses[:_SHOWN_PROCESSES])
        process = choice.process
        return lines, together(u.completeness for u in uses if process is None or _is(u, process))

    def _busy_before(self, end: int, began_ns: int | None) -> Recent[tuple[int, int]]:
        """How busy each process was in the last seconds; of now it is noted once a second. began_ns: as above."""
        if began_ns is not None:
            return self._was_busy.before(end, began_ns)
        self._was_busy.forget()
        if self._busy.is_due(end):
            self._busy.note(end, self._busy_until(end))
        return self._busy

    def _busy_until(self, end: int) -> dict[tuple[int, int], float]:
        """Cores that each process had in the last seconds before a moment."""
        span_ns = int(_RECENT_S * 1e9)
        uses = self._store.processes(Query(start_ns=max(0, end - span_ns), end_ns=end + 1, where=self._where))
        return {(u.pid, u.start_ns): u.time_ns / span_ns for u in uses[:_SHOWN_PROCESSES]}

    def _latencies(self, choice: ViewRequest, query: Query, began_ns: int | None) -> Latencies:
        """The table of calls or waits, for the kinds that have one. began_ns: as above."""
        if choice.kind not in (Kind.SYSCALL, Kind.LOCK):
            return Latencies()
        return latency_lines.latencies(self._store, query, self._rates_before(choice, query, began_ns))

    def _rates_before(self, choice: ViewRequest, query: Query, began_ns: int | None) -> Recent[LatencyKey]:
        """How many there were of each in the last seconds. began_ns: as above."""
        if self._rates_of != (choice.kind, choice.process):
            self._rates, self._had_rates, self._rates_of = Recent(), None, (choice.kind, choice.process)
        end = (query.end_ns or 1) - 1
        if began_ns is not None:
            whole = replace(query, start_ns=began_ns)
            past = self._had_rates or Past(lambda until: latency_lines.rates(self._store, whole, until))
            self._had_rates = past
            return past.before(end, began_ns)
        self._had_rates = None
        if self._rates.is_due(end):
            self._rates.note(end, latency_lines.rates(self._store, query, end))
        return self._rates

    def _wall(self, query: Query, health: list[Health]) -> Wall | None:
        if query.kind is not Kind.OFFCPU:
            return None
        return wall(query, self._store.latencies(replace(query, measure=Measure.TIME)), self._store, health)

    def _of_stacks(self, choice: ViewRequest, query: Query) -> list[Query]:
        """The queries whose stacks together make the icicle."""
        query = replace(query, group=choice.group)
        if choice.wakers:
            query = replace(query, role=Role.WAKER)
            if choice.kind is Kind.OFFCPU and choice.process is not None:
                return self._of_woken(query)
        elif choice.kind is not Kind.CPU:
            query = replace(query, measure=Measure.TIME)
        if choice.lock is not None and choice.kind is Kind.LOCK:
            query = latency_lines.of_lock(query, choice.lock)
        return [query]

    def _of_woken(self, query: Query) -> list[Query]:
        """Who woke the threads of a process: it need not be a thread of that process."""
        waited = replace(query, role=Role.OWN, group=Group.THREAD, measure=Measure.TIME)
        tids = dict.fromkeys(one.tid for one in self._store.latencies(waited) if one.tid)
        return [replace(query.of_anybody(), value=tid) for tid in list(tids)[:_WOKEN]] or [replace(query, value=0)]

    def _trees(self, choice: ViewRequest, queries: list[Query]) -> tuple[CallTree, CallTree | None]:
        """The call tree, and what it is compared with: of who woke a process none, for others did then."""
        of_woken = choice.wakers and choice.kind is Kind.OFFCPU and choice.process is not None
        if choice.base is None or of_woken:
            return self._whole(choice, self._tree(queries)), None
        base, tree = self._both(based(queries[0], choice), queries[0], choice.base)
        return self._whole(choice, tree), self._whole(choice, base)

    def _both(self, base: Query, after: Query, baseline: Baseline) -> tuple[CallTree, CallTree]:
        """Their trees, over one trie."""
        if baseline.recording and self._baseline is not None:
            return self._baseline.both(base, self._store.call_tree(after))
        return self._store.compared(base, after)

    def _whole(self, choice: ViewRequest, tree: CallTree) -> CallTree:
        """Of calls only some have stacks."""
        return _with_stacks(tree, 1 if choice.group is Group.PROCESS else 2) if choice.kind is Kind.SYSCALL else tree

    def _tree(self, queries: list[Query]) -> CallTree:
        tree = self._store.call_tree(queries[0])
        for query in queries[1:]:
            other = self._store.call_tree(query)
            if other.trie.lineage == tree.trie.lineage:  # else a new generation began meanwhile: the next tick has all
                tree = tree.merge(other)
        return tree

    # -- laying out

    def _lay_out(self, request: ViewRequest, data: Data) -> Shown:
        waits = not request.wakers and request.kind in (Kind.LOCK, Kind.OFFCPU)
        unit = _WAKES if request.wakers else _UNITS[request.kind]
        return self._pictures.shown(request, data, unit, waits)


def _choice(request: ViewRequest) -> ViewRequest:
    """What of a request the store has to be asked for."""
    unasked = replace(request, width=0, zoom=(), by_weight=False, search="", end_ns=None, absolute=False)
    return replace(unasked, lanes=NO_LANES, form=TREE, scale=NO_SCALE)


def _is_elsewhere(data: Data, end_ns: int | None, fresh: bool) -> bool:
    """Whether another moment is wanted than the one that was fetched. fresh: the newest, if it is wanted, is newer."""
    return fresh or data.past if end_ns is None else end_ns != data.end_ns


def _is(use: ProcessUse, process: ProcessKey) -> bool:
    return (use.pid, use.start_ns) == process[:2] and (use.pid > 0 or use.name == process.name)


def _line(use: ProcessUse, range_ns: int, count: int, busy: Recent[tuple[int, int]]) -> ProcessLine:
    return ProcessLine(
        key=ProcessKey(use.pid, use.start_ns, use.name),
        place=use.container or use.cgroup.rstrip("/").rpartition("/")[2],
        threads=use.threads,
        cores=use.time_ns / range_ns if range_ns > 1 and use.time_ns else None,
        share=use.count / count if count else 0.0,
        recent=busy[use.pid, use.start_ns],
        stacks=use.completeness,
    )


def _with_stacks(tree: CallTree, without: int) -> CallTree:
    """Only what has a stack: most calls are counted under their process alone. without: the frames that all have."""
    depth = tree.trie.depth[: len(tree.self_weight)]
    return CallTree(tree.symbols, tree.trie, np.where(depth > without, tree.self_weight, 0))
