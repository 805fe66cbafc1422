"""From a store's answers to what GPUs did in a window. Runs in the presenter's thread; imports numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT, tells_one
from aperture_tui.profile.gpu_launch import devices_and_streams, is_shape
from aperture_tui.profile.gpu_use import copy_uses, kernel_uses
from aperture_tui.profile.kinds import UNRECORDED, Flag, FrameKind, Kind
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.where import OF_MACHINES
from aperture_tui.store.compaction import TooManyError
from aperture_tui.store.selection import LONGEST_NS
from aperture_tui.tui.gpu import idle
from aperture_tui.tui.gpu.intervals import NONE, Intervals, amount_ns, merged, shares
from aperture_tui.tui.gpu.lanes import LaneSlices, Slices, by_lane, drawn, edges, picture
from aperture_tui.tui.gpu.model import Engine, Gap, GpuView, KernelRow, Lanes, Sight, Stretch
from aperture_tui.tui.gpu.stretch import clamped

if TYPE_CHECKING:
    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.base import Store

MOST_ROWS: Final = 500
_BEFORE_NS: Final = 1_000_000_000
"""What began so long before the window may reach into it; what took longer is missed."""
_SHORTEST_NS: Final = 1_000_000
_ENGINES: Final = {"host to": Engine.COPY_IN, "device to host": Engine.COPY_OUT, "array to host": Engine.COPY_OUT}
_ONLY_SUMS: Final = "An aggregator keeps sums: when each kernel and each copy was is not known here."


@dataclass(frozen=True)
class GpuData:
    """What a store said of a window: all that is drawn, at whatever zoom, is made of it.

    partial: GPUs of which not all that ran is drawn. unrecorded: by GPU, the time in which somebody's work was not.
    """

    window: Stretch
    lanes: tuple[LaneSlices, ...]
    names: tuple[str, ...]
    told: Lanes
    view: GpuView
    partial: frozenset[int] = frozenset()
    unrecorded: Mapping[int, Intervals] = field(default_factory=dict)


class _Part(NamedTuple):
    """Events of one kind, (n,) of EVENT, the newest of a window. since_ns: from when on they are all there.

    one: (n,), those that tell of one execution: when those of a sum were is not known.
    """

    symbols: Symbols
    events: NDArray[np.void]
    since_ns: int
    one: NDArray[np.bool_]

    @classmethod
    def of(cls, symbols: Symbols, events: NDArray[np.void], since_ns: int) -> _Part:
        return cls(symbols, events, since_ns, tells_one(events))


def fetched(store: Store, query: Query, tree: CallTree, sums_only: bool = False) -> GpuData:
    """query: of kernels, with a range. tree: of their stacks. sums_only: the store does not have single events."""
    window = Stretch(query.start_ns or 0, (query.end_ns or 1) - 1)
    kernels = replace(query, kind=Kind.GPU_KERNEL, measure=Measure.TIME, group=Group.PROCESS)
    copies = replace(kernels, kind=Kind.GPU_COPY)
    uses, told_copies = kernel_uses(store.latencies(kernels)), copy_uses(store.latencies(copies))
    shapes = launch_shapes(tree)
    rows = tuple(KernelRow(use, *shapes.get(use.name, ("", "", 0))) for use in uses[:MOST_ROWS])
    view = GpuView(Lanes(window), rows, max(0, len(uses) - MOST_ROWS), tuple(told_copies[:MOST_ROWS]))
    if sums_only:
        told = Lanes(window, problem=_ONLY_SUMS if rows or told_copies else "")
        return GpuData(window, (), (), told, view)
    parts = [_newest(store, one, window) for one in (kernels, copies)]
    return _in_time(store, query, window, parts, view, _newest(store, replace(kernels, role=UNRECORDED), window))


def _newest(store: Store, query: Query, window: Stretch) -> _Part:
    """The events of a kind; of too many, those of the newest part of the window in which there are not."""
    start = window.start_ns
    while True:
        narrowed = replace(query, start_ns=max(0, start - (_BEFORE_NS if start == window.start_ns else 0)))
        try:
            symbols, events = store.selected(narrowed)
        except TooManyError:
            events = np.zeros(0, np.uint8)
        if events.dtype == EVENT:
            return _Part.of(symbols, events, start)
        if window.end_ns - start < _SHORTEST_NS:
            return _Part.of(symbols, np.zeros(0, EVENT), window.end_ns)
        start = (start + window.end_ns) // 2


def _unrecorded(part: _Part, window: Stretch) -> dict[int, Intervals]:
    """By GPU, the time of a window in which somebody's work was not recorded."""
    events = part.events[np.argsort(part.events["time_ns"], kind="stable")]
    start = events["time_ns"].astype(np.int64)
    end = start + np.minimum(events["maximum_ns"], np.uint64(LONGEST_NS)).astype(np.int64)
    inside = (end > window.start_ns) & (start < window.end_ns)
    start, end = np.maximum(start[inside], window.start_ns), np.minimum(end[inside], window.end_ns)
    device, _ = devices_and_streams(events["aux"][inside])
    return {int(one): merged(start[device == one], end[device == one]) for one in np.unique(device)}


def _in_time(
    store: Store, query: Query, window: Stretch, parts: Sequence[_Part], view: GpuView, missing: _Part
) -> GpuData:
    since = max(part.since_ns for part in (*parts, missing))
    sums = sum(int(part.events["weight"][~part.one].sum(dtype=np.int64)) for part in parts)
    partial = frozenset[int]().union(*map(_partial, parts))
    seen = Stretch(since, window.end_ns)
    unrecorded = _unrecorded(missing, seen)
    events = [_alone(part, since) for part in parts]
    slices, told = _slices([part.symbols for part in parts], events)
    every = by_lane(slices)
    shown, left_out = drawn(every)
    if not query.where.but(OF_MACHINES):  # or what is left out would be taken for idleness
        whole = [lane for lane in idle.of_whole(every) if lane.key.device not in partial]
        found = [idle.gaps(lane, seen, told, unrecorded.get(lane.key.device, NONE)) for lane in whole]
        gaps = _explained(store, query, idle.longest(some for some, _ in found), parts)
        totals = tuple(total for _, total in found)
        unknown = partial | _unseen(unrecorded, seen) - {total.device for total in totals}
        view = replace(view, gaps=tuple(gaps), idle=totals, unknown=tuple(sorted(unknown)))
    sampled, stand_for = _sampled(events, slices.end_ns > since)
    lanes = Lanes(window, since_ns=since, left_out=left_out, sums=sums, sampled=sampled, stand_for=stand_for)
    return GpuData(window, tuple(shown), tuple(told.names), lanes, view, partial, unrecorded)


def _unseen(unrecorded: Mapping[int, Intervals], seen: Stretch) -> set[int]:
    """The GPUs that were not recorded in all of a stretch, but for what is told late."""
    return {one for one, some in unrecorded.items() if seen.length_ns - amount_ns(some) < idle.LATE_NS}


def _partial(part: _Part) -> set[int]:
    """The GPUs of which something ran that is not drawn, at times that are not known: what stands for several, sums,
    and what was paused behind.
    """
    events = part.events
    missing = events["aux"][(events["weight"] > 1) | (events["flags"] & Flag.PAUSES != 0)]
    return set(devices_and_streams(np.unique(missing))[0].tolist())


def _sampled(parts: Sequence[NDArray[np.void]], in_view: NDArray[np.bool_]) -> tuple[int, int]:
    """How many executions are in view, and how many they stand for; (0, 0) where each stands for itself."""
    weights = np.concatenate([events["weight"] for events in parts])[in_view]
    stand_for = int(weights.sum(dtype=np.int64))
    return (len(weights), stand_for) if stand_for > len(weights) else (0, 0)


def _alone(part: _Part, since_ns: int) -> NDArray[np.void]:
    """The events that tell of one execution each and are not over before a moment."""
    events = part.events if part.one.all() else part.events[part.one]
    if part.since_ns < since_ns:
        events = events[events["time_ns"] + events["maximum_ns"] > since_ns]
    return events


def _slices(symbols: Sequence[Symbols], parts: Sequence[NDArray[np.void]]) -> tuple[Slices, idle.Told]:
    """Of kernels and of copies, together."""
    texts: list[str] = []
    names, engines = [], []
    for tables, events in zip(symbols, parts, strict=True):
        found, which = _distinct(events["name"])
        new = [tables.strings[i] or "[unknown]" for i in found.tolist()]
        is_copy = len(events) > 0 and int(events["kind"][0]) == Kind.GPU_COPY
        kinds = np.array([engine_of(text) if is_copy else Engine.COMPUTE for text in new], np.int64)
        names.append((which + len(texts)).astype(np.int32))
        engines.append(kinds[which])
        texts += new
    start, took, lane, pid, tid = (
        np.concatenate([events[column] for events in parts])
        for column in ("time_ns", "maximum_ns", "aux", "pid", "tid")
    )
    device, stream = devices_and_streams(lane)
    start = start.astype(np.int64)
    end = start + np.minimum(took, np.uint64(LONGEST_NS)).astype(np.int64)
    name = np.concatenate(names)
    places = device, np.concatenate(engines), stream
    return Slices(start, end, name, *places), idle.Told(texts, name, pid, tid)


def _distinct(ids: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """np.unique with the inverse, of ids of a table: no sorting."""
    there = np.zeros(int(ids.max(initial=0)) + 1, bool)
    there[ids] = True
    found = np.flatnonzero(there)
    place = np.zeros(len(there), np.intp)
    place[found] = np.arange(len(found))
    return found, place[ids]


def engine_of(direction: str) -> Engine:
    """What does a copy, by what it is called."""
    if direction == "memset":
        return Engine.MEMSET
    if direction.startswith("host to host"):
        return Engine.COPY
    return next((engine for words, engine in _ENGINES.items() if direction.startswith(words)), Engine.COPY)


def _explained(store: Store, query: Query, gaps: list[Gap], parts: Sequence[_Part]) -> list[Gap]:
    """With the names of processes, and what the CPU did."""
    pids = tuple(sorted({gap.pid for gap in gaps} - {0}))
    if not pids:
        return gaps
    processes: dict[int, str] = {}
    for symbols, events, *_ in parts:
        found, first = np.unique(events["pid"], return_index=True)
        rows = events["process"][first].tolist()
        processes |= {pid: symbols.process_at(row).name for pid, row in zip(found.tolist(), rows, strict=True)}
    gaps = [gap._replace(process=processes.get(gap.pid, "")) for gap in gaps]
    samples = replace(query, kind=Kind.CPU, measure=Measure.COUNT, group=Group.PROCESS, pids=pids)
    samples = replace(samples, process_start_ns=None, process=None)
    try:
        symbols, events = store.selected(samples)
    except TooManyError:
        return gaps
    return idle.explained(gaps, symbols, events) if events.dtype == EVENT else gaps


def launch_shapes(tree: CallTree) -> dict[str, tuple[str, str, int]]:
    """By a kernel's name: grid and block of the launches with most of the time, and how many different ones there are.

    They are frames of the tree, below the kernel's own (profile.gpu_launch).
    """
    symbols, trie = tree.symbols, tree.trie
    nodes = np.flatnonzero(tree.self_weight)
    frames = trie.frame[nodes]
    nodes = nodes[symbols.frames["kind"][frames] == FrameKind.GPU]
    of_gpu = {i: symbols.frame_at(i) for i in np.unique(trie.frame[nodes]).tolist()}
    shapes = {i for i, frame in of_gpu.items() if is_shape(frame)}
    nodes = nodes[np.isin(trie.frame[nodes], list(shapes))]
    pairs = trie.frame[trie.parent[nodes]].astype(np.int64) << 32 | trie.frame[nodes]
    found, which = np.unique(pairs, return_inverse=True)
    weights = np.bincount(which, tree.self_weight[nodes], len(found)) if len(found) else np.zeros(0)
    out: dict[str, tuple[str, str, int]] = {}
    for i in np.argsort(weights, kind="stable").tolist():  # the heaviest comes last, and stays
        kernel, shape = (symbols.frame_at(int(found[i] >> part & 0xFFFFFFFF)).function for part in (32, 0))
        grid, _, block = shape.removeprefix("<<<").removesuffix(">>>").partition("),(")
        out[kernel] = _extents(grid), _extents(block), out.get(kernel, ("", "", 0))[2] + 1
    return out


def _extents(text: str) -> str:
    """ "(64,1,1" -> "64", "(16,16,1" -> "16x16": what is 1 at the end says nothing."""
    sides = text.strip("()").split(",")
    while len(sides) > 1 and sides[-1] == "1":
        sides.pop()
    return "x".join(sides)


def view(data: GpuData, sight: Sight) -> GpuView:
    """What is shown of it."""
    stretch = clamped(sight.stretch, data.window)
    shown = data.told
    if sight.columns > 0:
        drawn_now = picture(data.lanes, data.names, stretch, sight.columns)
        at = edges(stretch, sight.columns)
        missing = {device: shares(some, at) for device, some in data.unrecorded.items()}
        lanes = tuple(
            lane._replace(partial=lane.key.device in data.partial, unrecorded=missing.get(lane.key.device, ()))
            for lane in drawn_now.lanes
        )
        shown = replace(shown, stretch=stretch, lanes=lanes, names=drawn_now.names)
    return replace(data.view, lanes=shown)
