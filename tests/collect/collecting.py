"""A session into memory: what the tests that need samples of this machine share."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aperture_tui.collect.settings import Settings
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.symbols import Process
from aperture_tui.session import Session

HZ = 999
FRAME_POINTERS = ("-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer")
"""For a program that the kernel's own walk must get through."""


@dataclass
class Kept:
    """A sink that keeps everything. The collecting thread appends to it; read what is there."""

    batches: list[Batch] = field(default_factory=list)
    gauges: list[HostSample] = field(default_factory=list)
    health: Sequence[Health] = ()

    def append(self, batch: Batch) -> None:
        self.batches.append(batch)

    def append_gauges(self, sample: HostSample) -> None:
        self.gauges.append(sample)

    def set_health(self, health: Sequence[Health]) -> None:
        self.health = health

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

    def stacks(self, pid: int) -> Counter[tuple[str, ...]]:
        """The stacks of a process in words, root first, with their samples."""
        found: Counter[tuple[str, ...]] = Counter()
        for batch in self.batches:
            events = batch.events[batch.events["pid"] == pid]
            for node, n in zip(*np.unique(events["stack"], return_counts=True), strict=True):
                words = (batch.symbols.frame_at(f).function for f in batch.symbols.trie.path(int(node)))
                found[tuple(words)] += int(n)
        return found


@contextmanager
def collecting(**settings: object) -> Iterator[Kept]:
    """Samples of the whole machine, or of what these settings say, at 999 Hz; the session must not fail."""
    kept = Kept()
    session = Session(Settings(**{"hz": HZ, **settings}), {"kept": kept})  # type: ignore[arg-type]  # test's own words
    session.start()
    try:
        yield kept
    finally:
        session.stop()
    assert session.failure == ""


def run(*command: str | Path) -> tuple[int, str]:
    """A program to its end -> pid, what it printed."""
    child = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return child.pid, out


def share(stacks: Counter[tuple[str, ...]], name: str) -> float:
    """The part of the samples that have a function of this name."""
    return sum(n for stack, n in stacks.items() if name in stack) / stacks.total()
