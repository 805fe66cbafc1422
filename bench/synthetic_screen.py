"""The screens over made-up samples: `python -m bench.synthetic_screen [--refresh HZ] [--window S] [--nodes N] …`.

A real MemoryStore holds a call tree of so many nodes and goes on being fed, as a session would feed it: samples move
from stack to stack, some stacks are new, and the old ones leave the window. The same every time, but for the clock.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.settings import Settings
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.session import Session
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.app import ApertureApp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROCESSES: Final = ("postgres", "nginx", "java", "python3", "envoy", "redis-server", "node", "kworker")
_WORDS: Final = (
    "handle",
    "parse",
    "read",
    "flush",
    "copy",
    "lock",
    "encode",
    "lookup",
    "merge",
    "plan",
    "send",
    "scan",
)
_ALL: Final = ("cpu", "offcpu", "syscall", "lock", "gpu")
_FUNCTIONS: Final = 5000
_NEW_FRAMES: Final = 11
"""Frames of a stack below the one that it shares with an earlier stack."""
_DEEPEST: Final = 60
_SAMPLES_A_SECOND: Final = 2000
_FEED_S: Final = 0.25
_UNSEEN: Final = 0.005
"""Part of a feed's samples that is on stacks never seen before: 2 % a second."""
_HELD_S: Final = 20
_CALLS_OF_ONE: Final = 100
"""Different calls of a process."""


class Workload:
    """Stacks of a made-up machine, and samples of them. One thread uses it."""

    def __init__(self, nodes: int, processes: int = 0, calls: int = 0) -> None:
        """processes: samples are of so many, not of those that have the stacks. calls: rows of a table of calls."""
        self._many, self._calls = processes, calls
        self._random = np.random.default_rng(1)
        self.symbols = Symbols()
        rank = self._random.permutation(_FUNCTIONS)
        self._frames = [
            self.symbols.frame(
                Frame(f"{_WORDS[i % 12]}_{_WORDS[i // 12 % 12]}_{i:04d}", f"lib{i % 40}.so", kind=_kind(i))
            )
            for i in rank.tolist()
        ]
        self._processes = [self.symbols.process(Process(1000 + i, 1, name)) for i, name in enumerate(_PROCESSES)]
        roots = [[self.symbols.frame(Frame(name, kind=FrameKind.PROCESS))] for name in _PROCESSES]
        self._paths: list[list[int]] = roots
        self._owner = list(range(len(roots)))
        self._nodes: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._grow(nodes // _NEW_FRAMES)
        self._names = [self.symbols.string(f"call_{i}") for i in range(_CALLS_OF_ONE)]
        self._processes += [self.symbols.process(Process(10_000 + i, 1, f"worker-{i}")) for i in range(processes)]

    def batch(self, samples: int, time_ns: int, span_ns: int) -> Batch:
        """This many samples, spread over the time before `time_ns`; some of them on new stacks."""
        self._grow(round(samples * _UNSEEN))
        n = len(self._nodes)
        # a few stacks are hot, most are rare, and which are hot drifts: rolling windows really move
        chosen = np.minimum((self._random.pareto(0.6, samples) * 20).astype(np.int64), n - 1)
        chosen = (chosen + int(time_ns // 3_000_000_000) % 7) % n
        return Batch(self.symbols, self._events(chosen, time_ns, span_ns))

    def everything(self, time_ns: int, span_ns: int) -> Batch:
        """One sample of each stack, so that the whole tree is held."""
        return Batch(self.symbols, self._events(np.arange(len(self._nodes)), time_ns, span_ns))

    def _events(self, chosen: NDArray[np.int64], time_ns: int, span_ns: int) -> NDArray[np.void]:
        events = np.zeros(len(chosen), EVENT)
        owner = np.array(self._owner, np.uint32)[chosen]
        events["time_ns"] = time_ns - self._random.integers(0, span_ns, len(chosen))
        events["duration_ns"] = events["maximum_ns"] = 10_101_010
        events["pid"] = events["tid"] = 1000 + owner
        events["process"] = np.array(self._processes, np.uint32)[owner]
        events["stack"] = self._nodes[chosen]
        events["weight"], events["kind"] = 1, Kind.CPU
        if self._many:
            which = self._random.integers(0, self._many, len(chosen))
            events["pid"] = events["tid"] = 10_000 + which
            events["process"] = np.array(self._processes, np.uint32)[len(_PROCESSES) + which]
        return events

    def calls(self, time_ns: int) -> Batch:
        """An event of each row of a table of calls, whose times change all the time."""
        rows = np.arange(self._calls)
        owner = rows // _CALLS_OF_ONE % len(_PROCESSES)
        events = np.zeros(self._calls, EVENT)
        events["time_ns"], events["kind"] = time_ns, Kind.SYSCALL
        events["duration_ns"] = events["maximum_ns"] = self._random.pareto(1.0, self._calls) * 10_000 + 1000
        events["weight"] = 1
        events["pid"] = 1000 + rows // _CALLS_OF_ONE
        events["process"] = np.array(self._processes, np.uint32)[owner]
        events["name"] = np.array(self._names, np.uint32)[rows % _CALLS_OF_ONE]
        events["stack"] = self._nodes[owner]
        return Batch(self.symbols, events)

    def _grow(self, stacks: int) -> None:
        """Add stacks, each a branch off an earlier one."""
        first = len(self._paths) if len(self._nodes) else 0
        for _ in range(stacks):
            like = int(self._random.integers(len(self._paths)))
            path = self._paths[like]
            shared = path[: min(int(self._random.integers(1, len(path) + 1)), _DEEPEST - _NEW_FRAMES)]
            names = (self._random.pareto(0.8, _NEW_FRAMES) * 40).astype(np.int64) % _FUNCTIONS
            names += names == np.roll(names, 1)  # no function calls itself: a move of the cursor changes the name
            self._paths.append(shared + [self._frames[i % _FUNCTIONS] for i in names.tolist()])
            self._owner.append(self._owner[like])
        if len(self._paths) > first:
            new = self.symbols.stacks(self._paths[first:]).astype(np.uint32)
            self._nodes = np.concatenate([self._nodes, new])


def _kind(i: int) -> FrameKind:
    return (FrameKind.NATIVE, FrameKind.NATIVE, FrameKind.KERNEL, FrameKind.PYTHON)[i % 4]


def fill(workload: Workload, store: MemoryStore) -> None:
    """The last seconds, as if it had been running before."""
    now = time.time_ns()
    store.set_hosts([HostFacts("synthetic", "6.1", 64, 64 << 30)])
    store.append(workload.everything(now, _HELD_S * 1_000_000_000))
    for second in range(_HELD_S, 0, -1):
        store.append(workload.batch(_SAMPLES_A_SECOND, now - second * 1_000_000_000, 1_000_000_000))
    _tell(store, 0)


def feed(workload: Workload, store: MemoryStore, stopping: threading.Event) -> None:
    """Go on, until told to stop. Runs in its own thread, as collecting does."""
    delivered = 0
    while not stopping.wait(_FEED_S):
        batch = workload.batch(round(_SAMPLES_A_SECOND * _FEED_S), time.time_ns(), round(_FEED_S * 1e9))
        store.append(batch)
        store.append(workload.calls(time.time_ns()))
        delivered += len(batch)
        _tell(store, delivered)


def _tell(store: MemoryStore, delivered: int) -> None:
    store.set_health([Health("cpu", State.RUNNING, delivered=delivered, lag_ns=0, cpu_ns=0, bpf_ns=0)])
    store.append_gauges(
        HostSample(time.time_ns(), cpu_user=0.5, cpu_system=0.1, own_cpu=0.004, own_memory_bytes=90 << 20)
    )


def main() -> None:
    """Show it until `q`."""
    parser = argparse.ArgumentParser(description="The screens over made-up samples.")
    parser.add_argument("--refresh", type=float, default=2.0)
    parser.add_argument("--window", type=float, default=10.0, help="seconds, 0 for all")
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=0, help="samples are of so many")
    parser.add_argument("--calls", type=int, default=0, help="rows of the table of system calls")
    parser.add_argument("--collect", action="store_true", help="all collectors at work beside, for their cost")
    chosen = parser.parse_args()
    workload = Workload(chosen.nodes, chosen.processes, chosen.calls)
    store, stopping = MemoryStore(), threading.Event()
    fill(workload, store)
    feeding = threading.Thread(target=feed, args=(workload, store, stopping), daemon=True)
    feeding.start()
    beside = Session(Settings(events=_ALL), {"memory": MemoryStore()}) if chosen.collect else None
    window_s = chosen.window or None
    try:
        if beside is not None:
            beside.start()
        ApertureApp(lambda: store, refresh_hz=chosen.refresh, window_s=window_s, title_host="synthetic").run()
    finally:
        stopping.set()
        if beside is not None:
            beside.stop()
        feeding.join()


if __name__ == "__main__":
    main()
