"""A timeline as a Chrome trace in JSON: https://ui.perfetto.dev, chrome://tracing and speedscope open it.

The format is the Trace Event Format (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
Of it Perfetto reads slices, counters, names and async slices, but no sampled stacks ("ph": "P"):
https://perfetto.dev/docs/getting-started/other-formats. docs/formats.md says what of it is exact.

- Slices ("X") on the threads are samples of the CPU put together (export/flame_chart.py), and say of how many samples.
- Slices on the streams of a GPU are kernels and copies as they were, and those of a thread's calls to it; flows ("s",
  "f") lead from a call to what came of it. Of sampled ones the slices say how many they stand for.
- Async slices ("b", "e") are calls and waits that went on at the end, from when they began.
- Everything else was summed by those who collected it and has no place on a thread: counters ("C") of each process.

Times are microseconds since `otherData.start_ns`, Unix nanoseconds, so that a reader's doubles hold them exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui import __version__
from aperture_tui.export.collected import collected, kind_name, of_kind
from aperture_tui.export.flame_chart import slices
from aperture_tui.export.gpu_timeline import arguments, callers, stands_for
from aperture_tui.export.names import COUNTED, frame_name
from aperture_tui.profile.event import EVENT, tells_one
from aperture_tui.profile.gpu_launch import device_and_stream
from aperture_tui.profile.kinds import UNRECORDED, Flag, Kind, Role
from aperture_tui.profile.query import Measure
from aperture_tui.store.selection import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.base import Store

MOST_SLICES: Final = 500_000
"""Slices that are drawn, those of the newest samples: some 90 MB."""
_CHUNK: Final = 100_000
"""Functions on the stacks of samples that are drawn together, at least."""

_SECOND_NS: Final = 1_000_000_000
_BUCKETS: Final = 1000  # values of a counter; in a longer range they are of more than a second
_HOST: Final = 1 << 30
_DEVICE: Final = _HOST + (1 << 20)
_STREAMS: Final = 1 << 16
_CALLS: Final = 1 << 23
_WAITS: Final = 1 << 24
"""Numbers of what is no process and no thread, far above those of processes (at most 1 << 22): the host; the GPUs, each
with room for its streams; the calls of a thread to GPUs, and its waits for them, beside its samples."""

_AT: Final = {
    Kind.CPU: "on CPU",
    Kind.OFFCPU: "off CPU",
    Kind.SYSCALL: "in system calls",
    Kind.LOCK: "waiting for locks",
    Kind.GPU_KERNEL: "running kernels",
    Kind.GPU_COPY: "copying",
    Kind.GPU_CALL: "in GPU calls",
}
_GPU: Final = (Kind.GPU_KERNEL, Kind.GPU_COPY)
_WAIT: Final = "wait "
"""How calls begin that are waits for a GPU, and no functions: they may lie across those."""


def document(store: Store, query: Query, kinds: Sequence[Kind] = (), most: int | None = None) -> dict[str, Any]:
    """The timeline of a query's range, processes and frames. kinds: of all that was collected, only these.

    most: slices that are drawn at most, else MOST_SLICES. A name or a value narrows the query's own kind alone.
    Raises re.error.
    """
    trace = _Trace(MOST_SLICES if most is None else most, store.watch)
    start, end = _held_range(store, query)
    for kind in kinds or dict.fromkeys((*collected(store), *_GPU)):
        narrowed = replace(of_kind(query, kind), role=Role.OWN)
        counts = _Counts(kind, start, end)
        for symbols, events in _parts(store, narrowed, start, end):
            trace.name_processes(symbols, events)
            counts.add(events)
            if kind is Kind.CPU:
                trace.draw_samples(symbols, events)
            elif kind in _GPU:
                trace.draw_gpu(symbols, events)
            elif kind is Kind.GPU_CALL:
                trace.draw_calls(symbols, events)
        trace.events += counts.counters()
        if kind is Kind.GPU_KERNEL:
            for _, events in _parts(store, replace(narrowed, role=UNRECORDED), start, end):
                trace.draw_unrecorded(events)
        if kind in (Kind.SYSCALL, Kind.LOCK):
            trace.draw_in_flight(*store.selected(replace(narrowed, role=Role.IN_FLIGHT)), start)
    trace.draw_flows()
    trace.draw_host(store, query)
    return trace.document(start)


def _held_range(store: Store, query: Query) -> tuple[int, int]:
    span = store.span()
    start = max(span.start_ns, query.start_ns or 0)
    return start, max(start, span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns))


def _parts(store: Store, query: Query, start: int, end: int) -> Iterator[tuple[Symbols, NDArray[np.void]]]:
    """The events of a range, the newest part first, in parts so short that the store gives each event its time."""
    symbols, events = store.selected(replace(query, start_ns=start, end_ns=end))
    if events.dtype == EVENT or end - start <= _SECOND_NS:
        yield symbols, events
        return
    del events
    middle = (start + end) // 2
    yield from _parts(store, query, middle, end)
    yield from _parts(store, query, start, middle)


def _newest_first(symbols: Symbols, events: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
    """Samples in chunks of _CHUNK functions or so, that what is too much need not be drawn to be known."""
    events = events[np.argsort(events["time_ns"], kind="stable")[::-1]]
    depths = np.cumsum(np.maximum(symbols.trie.depth[events["stack"]], 1), dtype=np.int64)
    yield from np.split(events, np.flatnonzero(np.diff(depths // _CHUNK)) + 1)


class _Counts:
    """How many events, and how long, per process and bucket of time."""

    def __init__(self, kind: Kind, start_ns: int, end_ns: int) -> None:
        self._kind = kind
        self._start_ns = start_ns
        self._width_ns = max(_SECOND_NS, -(-(end_ns - start_ns) // _BUCKETS))
        self._sums: dict[int, dict[int, tuple[int, int]]] = {}

    def add(self, events: NDArray[np.void]) -> None:
        """An event belongs to the bucket that its time ends: of a sum, the time is the end of its interval."""
        times = np.maximum(events["time_ns"].astype(np.int64) - 1 - self._start_ns, 0)
        keys = events["pid"].astype(np.uint64) << np.uint64(32) | (times // self._width_ns).astype(np.uint64)
        found, of = np.unique(keys, return_inverse=True)
        sums = np.zeros((len(found), 2), np.int64)
        np.add.at(sums[:, 0], of, measured(events, Measure.COUNT))
        np.add.at(sums[:, 1], of, measured(events, Measure.TIME))
        for key, (count, time_ns) in zip(found.tolist(), sums.tolist(), strict=True):
            buckets = self._sums.setdefault(key >> 32, {})
            before = buckets.get(key & 0xFFFFFFFF, (0, 0))
            buckets[key & 0xFFFFFFFF] = before[0] + count, before[1] + time_ns

    def counters(self) -> Iterator[dict[str, Any]]:
        """Both counters of each process; they hold until the next value, so that a gap begins with nothing."""
        for pid, buckets in self._sums.items():
            gaps = {bucket + 1: (0, 0) for bucket in buckets if bucket + 1 not in buckets}
            for bucket, (count, time_ns) in sorted((buckets | gaps).items()):
                at = {"ph": "C", "pid": pid, "ts": self._start_ns + bucket * self._width_ns}
                rate = {f"{COUNTED[self._kind]}/s": round(count * _SECOND_NS / self._width_ns, 3)}
                yield {**at, "name": kind_name(self._kind), "args": rate}
                yield {**at, "name": _AT[self._kind], "args": {"threads": round(time_ns / self._width_ns, 6)}}


class _Trace:
    """The events of a trace, their times in nanoseconds until they are written."""

    def __init__(self, room: int, watch: Callable[[float], None]) -> None:
        """room: for so many slices. watch: of the store, told that there is more to do than to read."""
        self.events: list[dict[str, Any]] = []
        self._processes: dict[int, str] = {}
        self._threads: dict[tuple[int, int], str] = {}
        self._room, self._watch = room, watch
        self._not_drawn = 0
        self._work: list[NDArray[np.void]] = [np.zeros(0, EVENT)]
        self._calls: list[NDArray[np.void]] = [np.zeros(0, EVENT)]

    def name_processes(self, symbols: Symbols, events: NDArray[np.void]) -> None:
        for row in np.unique(events["process"])[::-1].tolist():
            process = symbols.process_at(row)
            if process.name:
                self._processes.setdefault(process.pid, process.name)

    def draw_samples(self, symbols: Symbols, events: NDArray[np.void]) -> None:
        """Samples of the CPU. One with a weight stands for others, of which nobody knows when they were."""
        alone = events[events["weight"] == 1]
        self._not_drawn += int(events["weight"].sum(dtype=np.int64)) - len(alone)
        self._name_threads(symbols, alone)
        for chunk in _newest_first(symbols, alone):
            self._watch(1.0)
            drawn = slices(symbols, chunk) if self._room > 0 else []
            self._room -= len(drawn)
            self._not_drawn += 0 if drawn else len(chunk)
            for one in drawn:
                args = {"samples": one.samples, **({"module": one.frame.module} if one.frame.module else {})}
                name = frame_name(one.frame)
                self._slice(one.pid, one.tid, kind_name(Kind.CPU), name, one.start_ns, one.end_ns, args)

    def draw_gpu(self, symbols: Symbols, events: NDArray[np.void]) -> None:
        """Kernels and copies, on a track for each device and stream. Their time is that of their beginning."""
        drawn = self._executions(events)
        self._work.append(_as_events(drawn))
        for row in drawn:
            device, stream = device_and_stream(int(row["aux"]))
            pid, tid = _on_stream(row)
            self._processes[pid], self._threads[pid, tid] = f"GPU {device}", f"stream {stream}"
            name, start = symbols.strings[row["name"]] or "[unknown]", int(row["time_ns"])
            category = kind_name(Kind(row["kind"]))
            self._slice(pid, tid, category, name, start, start + int(row["maximum_ns"]), arguments(symbols, row))

    def draw_unrecorded(self, events: NDArray[np.void]) -> None:
        """Time of which it is not known what a process had a GPU do, on a track of its own: it is no idleness."""
        for row in self._executions(events):
            device, _ = device_and_stream(int(row["aux"]))
            track, start = _DEVICE + device * _STREAMS, int(row["time_ns"])
            self._processes[track], self._threads[track, track] = f"GPU {device}", "not recorded"
            end, args = start + int(row["maximum_ns"]), {"pid": int(row["pid"])}
            self._slice(track, track, kind_name(Kind.GPU_KERNEL), "not recorded", start, end, args)

    def draw_calls(self, symbols: Symbols, events: NDArray[np.void]) -> None:
        """Calls that were told one by one, beside their thread: its samples are functions that are not in step."""
        drawn = self._executions(events[(events["duration_ns"] > 0) & (events["tid"] > 0)])
        self._calls.append(drawn[~_are_waits(symbols, drawn)].astype(EVENT))
        for row in drawn:
            name, start = symbols.strings[row["name"]] or "[unknown]", int(row["time_ns"])
            waits = name.startswith(_WAIT)
            pid, tid = int(row["pid"]), int(row["tid"])
            thread = " ".join(filter(None, [symbols.strings[row["thread"]], str(tid)]))
            track = (_WAITS if waits else _CALLS) + tid
            self._threads[pid, track] = f"{thread}: {'waits for GPUs' if waits else 'calls to GPUs'}"
            end = start + int(row["maximum_ns"])
            self._slice(pid, track, kind_name(Kind.GPU_CALL), name, start, end, stands_for(row))

    def draw_flows(self) -> None:
        """From each call that is drawn to what came of it."""
        work, calls = np.concatenate(self._work), np.concatenate(self._calls)
        for i, (row, at) in enumerate(zip(work, callers(work, calls).tolist(), strict=True)):
            if at >= 0:
                call = calls[at]
                flow = {"cat": "launch", "name": "launch", "id": i}
                begin = {"pid": int(call["pid"]), "tid": _CALLS + int(call["tid"]), "ts": int(call["time_ns"])}
                pid, tid = _on_stream(row)
                end = {"pid": pid, "tid": tid, "ts": int(row["time_ns"]), "bp": "e"}
                self.events += [{"ph": "s", **flow, **begin}, {"ph": "f", **flow, **end}]

    def _executions(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """Those that are drawn; all others that they or sums stand for are counted."""
        alone = events[tells_one(events)]
        self._not_drawn += int(events["weight"].sum(dtype=np.int64)) - len(alone)
        return self._newest(alone)

    def _newest(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """As many of these as there is room for, in the order of time; the others are counted."""
        drawn = events[np.argsort(events["time_ns"], kind="stable")][max(len(events) - max(self._room, 0), 0) :]
        self._room -= len(drawn)
        self._not_drawn += len(events) - len(drawn)
        return drawn

    def draw_in_flight(self, symbols: Symbols, events: NDArray[np.void], start_ns: int) -> None:
        """What went on at the end; of several under one name the oldest. What is older begins with the range."""
        self.name_processes(symbols, events)
        self._name_threads(symbols, events)
        for row in events:
            end, age = int(row["time_ns"]), int(row["maximum_ns"])
            begin = max(end - age, min(start_ns, end))
            at = {
                "cat": "in flight",
                "name": symbols.strings[row["name"]] or "[unknown]",
                "id": f"{len(self.events):#x}",
                "pid": int(row["pid"]),
                "tid": int(row["tid"]) or int(row["pid"]),
            }
            args = {"age_ns": age, "at_least": bool(row["flags"] & Flag.TRUNCATED), "in_flight": int(row["weight"])}
            self.events.append({"ph": "b", "ts": begin, **at, "args": args})
            self.events.append({"ph": "e", "ts": end, **at})

    def draw_host(self, store: Store, query: Query) -> None:
        """The CPU of the machine."""
        for sample in store.gauges(query):
            told = {"user": sample.cpu_user, "system": sample.cpu_system, "iowait": sample.cpu_iowait}
            args = {name: round(100 * share, 3) for name, share in told.items() if share is not None}
            if args:
                self._processes[_HOST] = "host"
                self.events.append({"ph": "C", "pid": _HOST, "ts": sample.time_ns, "name": "CPU %", "args": args})

    def _name_threads(self, symbols: Symbols, events: NDArray[np.void]) -> None:
        for row in np.unique(events[["pid", "tid", "thread"]]):
            if row["tid"] and row["thread"]:
                self._threads.setdefault((int(row["pid"]), int(row["tid"])), symbols.strings[row["thread"]])

    def _slice(self, pid: int, tid: int, category: str, name: str, start: int, end: int, args: dict[str, Any]) -> None:
        at = {"pid": pid, "tid": tid or pid, "ts": start, "dur": (end - start) / 1000}
        self.events.append({"ph": "X", "cat": category, "name": name, **at, "args": args})

    def document(self, start_ns: int) -> dict[str, Any]:
        """Everything, the names first. start_ns: the beginning of the range."""
        origin = min((event["ts"] for event in self.events), default=start_ns)
        for event in self.events:
            event["ts"] = (event["ts"] - origin) / 1000
        names = [_name("process_name", pid, pid, name) for pid, name in self._processes.items()]
        names += [_name("thread_name", pid, tid, name) for (pid, tid), name in self._threads.items()]
        told = {"generator": f"aperture {__version__}", "start_ns": origin, "not_drawn": self._not_drawn}
        return {"displayTimeUnit": "ns", "otherData": told, "traceEvents": names + self.events}


def _as_events(rows: NDArray[np.void]) -> NDArray[np.void]:
    """(n,) of EVENT: rows that an aggregator summed up have more columns."""
    out = np.zeros(len(rows), EVENT)
    for name in EVENT.names or ():
        out[name] = rows[name]
    return out


def _on_stream(row: np.void) -> tuple[int, int]:
    """The track of a kernel or a copy."""
    device, stream = device_and_stream(int(row["aux"]))
    pid = _DEVICE + device * _STREAMS
    return pid, pid + 1 + stream % (_STREAMS - 1)


def _are_waits(symbols: Symbols, events: NDArray[np.void]) -> NDArray[np.bool_]:
    names, of = np.unique(events["name"], return_inverse=True)
    return np.array([symbols.strings[name].startswith(_WAIT) for name in names.tolist()], bool)[of]


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}
