"""From a store's answers to one snapshot for the screen. Runs in the presenter's thread; imports numpy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, together
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.query import Query
from aperture_tui.store.base import ProcessUse, Span, Store
from aperture_tui.store.selection import FrameSearch
from aperture_tui.tui.icicle.layout import Edges, Labels, lay_out, matching_weight
from aperture_tui.tui.model import IcicleView, Path, ProcessKey, ProcessLine, ViewRequest, ViewSnapshot

_RECENT_S: Final = 2.0
_RECENTS: Final = 16
_SHOWN_PROCESSES: Final = 500

_Choice = tuple[float | None, ProcessKey | None, bool]


@dataclass(frozen=True)
class _Data:
    """What the store said of one moment: everything that zoom, search, size and order are answered from."""

    choice: _Choice
    end_ns: int
    range_ns: int
    tree: CallTree
    processes: tuple[ProcessLine, ...]
    gauges: tuple[HostSample, ...]
    stacks: Completeness


@dataclass(frozen=True)
class _Sight:
    """What makes two pictures comparable, so that edges may stay where they were."""

    width: int
    zoom: Path
    by_weight: bool
    process: ProcessKey | None
    generation: int


class Answers:
    """Answers requests out of a store; between two ticks, and while frozen, out of what was last fetched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._data: _Data | None = None
        self._labels: Labels | None = None
        self._search = FrameSearch()
        self._sight: _Sight | None = None
        self._edges = Edges()
        self._recent: dict[tuple[int, int], deque[float]] = {}
        self._recent_until_ns = 0

    def answer(self, request: ViewRequest, fresh: bool) -> ViewSnapshot:
        """The snapshot for a request. fresh: fetch new data. Raises what the store raises."""
        choice: _Choice = request.window_s, request.process, request.processes
        data = self._data
        if data is None or data.choice != choice or (fresh and not request.frozen):
            data = self._data = self._fetch(choice, data.end_ns if data and request.frozen else None)
        health: list[Health] = self._store.health()
        hosts: list[HostFacts] = self._store.hosts()
        snapshot = ViewSnapshot(
            request,
            processes=data.processes,
            gauges=data.gauges,
            hosts=tuple(hosts),
            health=tuple(health),
            span=self._store.span(),
            stacks=data.stacks,
            end_ns=data.end_ns,
            range_ns=data.range_ns,
        )
        return replace(snapshot, icicle=self._lay_out(request, data.tree)) if request.width > 0 else snapshot

    # -- fetching

    def _fetch(self, choice: _Choice, end_ns: int | None) -> _Data:
        """Ask the store for the newest, or for what ended then."""
        window_s, process, with_processes = choice
        span = self._store.span()
        end = end_ns if end_ns is not None else self._now(span)
        start = span.start_ns if window_s is None else max(span.start_ns, end - int(window_s * 1e9))
        range_ns = max(end - start, 0)
        query = Query(start_ns=start, end_ns=end + 1)
        of_process = query
        if process is not None:
            of_process = replace(query, pids=(process.pid,), process_start_ns=process.start_ns)
        lines: tuple[ProcessLine, ...] = ()
        if with_processes:
            self._note_recent(end, live=end_ns is None)
            uses = self._store.processes(query)
            count = sum(use.count for use in uses)
            lines = tuple(self._line(use, range_ns, count) for use in uses[:_SHOWN_PROCESSES])
            stacks = together(u.completeness for u in uses if process is None or (u.pid, u.start_ns) == process[:2])
        else:
            stacks = self._store.completeness(of_process)
        tree, gauges = self._store.call_tree(of_process), tuple(self._store.gauges(query))
        return _Data(choice, end, range_ns, tree, lines, gauges, stacks)

    def _now(self, span: Span) -> int:
        """The newest moment that anything is known of: readings of the host go on while nothing runs."""
        later = self._store.gauges(Query(start_ns=span.end_ns))
        return max(span.end_ns, later[-1].time_ns) if later else span.end_ns

    def _note_recent(self, end: int, live: bool) -> None:
        """Once a second: how busy each process was just now."""
        if not live or end - self._recent_until_ns < 1_000_000_000:
            return
        self._recent_until_ns = end
        span_ns = int(_RECENT_S * 1e9)
        uses = self._store.processes(Query(start_ns=max(0, end - span_ns), end_ns=end + 1))
        now = {(use.pid, use.start_ns): use.time_ns / span_ns for use in uses[:_SHOWN_PROCESSES]}
        for key in now.keys() - self._recent.keys():
            self._recent[key] = deque(maxlen=_RECENTS)
        for key, past in list(self._recent.items()):
            past.append(now.get(key, 0.0))
            if not any(past):
                del self._recent[key]

    def _line(self, use: ProcessUse, range_ns: int, count: int) -> ProcessLine:
        return ProcessLine(
            key=ProcessKey(use.pid, use.start_ns, use.name),
            place=use.container or use.cgroup.rstrip("/").rpartition("/")[2],
            threads=use.threads,
            cores=use.time_ns / range_ns if range_ns else 0.0,
            share=use.count / count if count else 0.0,
            recent=tuple(self._recent.get((use.pid, use.start_ns), ())),
            stacks=use.completeness,
        )

    # -- laying out

    def _lay_out(self, request: ViewRequest, tree: CallTree) -> IcicleView:
        if self._labels is None or self._labels.symbols is not tree.symbols:
            self._labels = Labels(tree.symbols)
        sight = _Sight(request.width, request.zoom, request.by_weight, request.process, tree.symbols.generation)
        last = self._edges if sight == self._sight else None
        view, self._edges = lay_out(tree, self._labels, request.width, request.zoom, request.by_weight, last)
        self._sight = sight
        if not request.search:
            return view
        frames = self._search.frames(tree.symbols, request.search)
        return replace(view, matching=matching_weight(tree, frames, request.zoom, self._labels))
