"""A session into memory: what the tests that need samples of this machine share."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from aperture_tui.collect.settings import Settings
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.symbols import Process
from aperture_tui.session import Session
from aperture_tui.store.memory import MemoryStore

HZ = 999
FRAME_POINTERS = ("-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer")
"""For a program that the kernel's own walk must get through."""
_ATTACHING_S: Final = 20.0


@dataclass
class Kept:
    """A sink that keeps everything. The collecting thread appends to it; read what is there.

    arrived_ns: CLOCK_MONOTONIC when each batch came. store: what a screen would ask; `collecting`
    gives it the same events.
    """

    batches: list[Batch] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    gauges: list[HostSample] = field(default_factory=list)
    health: Sequence[Health] = ()
    lost: int = 0

    def append(self, batch: Batch) -> None:
        self.arrived_ns.append(time.monotonic_ns())
        self.batches.append(batch)

    def append_gauges(self, sample: HostSample) -> None:
        self.gauges.append(sample)

    def set_health(self, health: Sequence[Health]) -> None:
        self.health = health

    def health_of(self, name: str) -> Health | None:
        """What a collector last said of itself; None if it said nothing yet."""
        return next((health for health in self.health if health.name == name), None)

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        pass

    def events(self) -> np.ndarray:
        """All events, in the order of their drains."""
        return np.concatenate([batch.events for batch in self.batches])

    def of(self, pid: int) -> np.ndarray:
        """All events of a process."""
        events = self.events()
        found: np.ndarray = events[events["pid"] == pid]
        return found

    def by_process(self) -> Iterator[tuple[Process, Batch]]:
        """Each batch in parts, one for each process that has events in it."""
        for batch in self.batches:
            for row in np.unique(batch.events["process"]).tolist():
                yield batch.symbols.process_at(row), Batch(batch.symbols, batch.events[batch.events["process"] == row])

    def stacks(self, pid: int, since_ns: int = 0) -> Counter[tuple[str, ...]]:
        """The stacks of a process in words, root first, with their samples. since_ns: Unix, of those after this."""
        found: Counter[tuple[str, ...]] = Counter()
        for batch in self.batches:
            events = batch.events[(batch.events["pid"] == pid) & (batch.events["time_ns"] > since_ns)]
            for node, n in zip(*np.unique(events["stack"], return_counts=True), strict=True):
                words = (batch.symbols.frame_at(f).function for f in batch.symbols.trie.path(int(node)))
                found[tuple(words)] += int(n)
        return found


@contextmanager
def collecting(**settings: object) -> Iterator[Kept]:
    """Samples of the whole machine, or of what these settings say, at 999 Hz; the session must not fail.

    With `events` given, all of them are attached when it begins, and processes that are given have their unwind tables:
    of what waits for milliseconds the first stacks would come before them.
    """
    kept = Kept()
    session = Session(Settings(**{"hz": HZ, **settings}), {"kept": kept, "memory": kept.store})  # type: ignore[arg-type]  # test's own words
    session.start()
    try:
        for name in settings.get("events", ()):  # type: ignore[attr-defined]  # names
            _await_running(kept, name)
        if settings.get("events") and settings.get("pids"):
            await_true(lambda: _has_tables(session), told=session._supply.health)
        yield kept
    finally:
        session.stop()
    assert session.failure == ""


def _await_running(kept: Kept, name: str) -> None:
    until = time.monotonic() + _ATTACHING_S
    while (health := kept.health_of(name)) is None or health.state is not State.RUNNING:
        assert health is None or health.state is not State.FAILED, f"{name}: {health.message}"
        assert time.monotonic() < until, f"{name} is not attached: {health}"
        time.sleep(0.02)


def _has_tables(session: Session) -> bool:
    health = session._supply.health()
    return health.state is not State.RUNNING or (health.delivered > 0 and not health.message)


def run(*command: str | Path) -> tuple[int, str]:
    """A program to its end -> pid, what it printed."""
    child = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return child.pid, out


def await_true(what: Callable[[], bool], seconds: float = 20, told: Callable[[], object] = str) -> None:
    """Until it holds, which has to be within these seconds. told: what to say if it does not."""
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    assert what(), told()


def share(stacks: Counter[tuple[str, ...]], name: str) -> float:
    """The part of the samples that have a function of this name."""
    return sum(n for stack, n in stacks.items() if name in stack) / stacks.total()
