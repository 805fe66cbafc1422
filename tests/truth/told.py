"""Programs that tell their own truth, and what a Session says of them."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aperture_tui.profile.kinds import ROLE_SHIFT, FrameKind, Kind, Role
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from tests.collect.collecting import Kept
from tests.programs import build

NO_FRAME_POINTERS: Final = ("-O2", "-fomit-frame-pointer")
_LONGEST_S: Final = 60


@dataclass
class Program:
    """A program of tests/programs that has begun, and does nothing before `go`."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Its pid, and the tid of its main thread."""
        return self.process.pid

    def go(self) -> None:
        """Let it do what it is for."""
        assert self.process.stdin
        self.process.stdin.close()

    def line(self) -> dict[str, Any]:
        """The next line it tells."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(_LONGEST_S)} before it told"
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> dict[str, Any]:
        """What it tells last, once it has ended well."""
        told = self.line()
        assert self.process.wait(_LONGEST_S) == 0
        return told

    def run(self) -> dict[str, Any]:
        """`go` and `end`."""
        self.go()
        return self.end()


@contextmanager
def started(name: str, *arguments: object, flags: tuple[str, ...] = NO_FRAME_POINTERS) -> Iterator[Program]:
    """tests/programs/NAME.c with these arguments, waiting for `go`; it does not outlive the block."""
    command = [str(build(name, *flags)), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


@dataclass(frozen=True)
class Seen:
    """One event as it arrived. arrived_ns, time_ns: CLOCK_MONOTONIC; stack: function names, root first."""

    arrived_ns: int
    time_ns: int
    name: str
    pid: int
    tid: int
    value: int
    weight: int
    duration_ns: int
    maximum_ns: int
    errno: int
    flags: int
    stack: tuple[str, ...]

    @property
    def began_ns(self) -> int:
        """Of what goes on: when the oldest began."""
        return self.time_ns - self.maximum_ns


def events(kept: Kept, kind: Kind, role: Role = Role.OWN, pid: int | None = None) -> list[Seen]:
    """Events of a kind and role, of one process or all, in the order in which they arrived."""
    to_monotonic = time.monotonic_ns() - time.time_ns()
    found = []
    for arrived, batch in zip(tuple(kept.arrived_ns), tuple(kept.batches), strict=False):  # it may be growing
        rows = batch.events
        mask = (rows["kind"] == kind) & (rows["flags"] >> ROLE_SHIFT & 3 == role)
        if pid is not None:
            mask &= rows["pid"] == pid
        found += [_seen(batch.symbols, row, arrived, to_monotonic) for row in rows[mask]]
    return found


def _seen(symbols: Symbols, row: np.void, arrived_ns: int, to_monotonic: int) -> Seen:
    numbers = {name: int(row[name]) for name in ("pid", "tid", "value", "weight", "duration_ns", "maximum_ns", "flags")}
    return Seen(
        arrived_ns=arrived_ns,
        time_ns=int(row["time_ns"]) + to_monotonic,
        name=symbols.strings[int(row["name"])],
        errno=int(row["aux"]),
        stack=tuple(symbols.frame_at(frame).function for frame in symbols.trie.path(int(row["stack"]))),
        **numbers,
    )


def latencies(kept: Kept, kind: Kind, pid: int, **narrowed: Any) -> list[Latency]:
    """What the store says of a process, as a screen would ask."""
    return kept.store.latencies(Query(kind=kind, pids=(pid,), **narrowed))


def times_of_thread(kept: Kept, tid: int) -> Counter[str]:
    """Off-CPU time of a thread by its reason, ns: what is over, and what goes on."""
    found: Counter[str] = Counter()
    for role in (Role.OWN, Role.IN_FLIGHT):
        for one in kept.store.latencies(Query(kind=Kind.OFFCPU, tids=(tid,), role=role)):
            found[one.name] += one.time_ns
    return found


def stack_weights(kept: Kept, query: Query) -> Counter[tuple[str, ...]]:
    """The stacks of a query by function names, root first, with their weights in its measure."""
    tree = kept.store.call_tree(query)
    found: Counter[tuple[str, ...]] = Counter()
    for node in np.flatnonzero(tree.self_weight).tolist():
        words = (tree.symbols.frame_at(frame).function for frame in tree.trie.path(node))
        found[tuple(words)] += int(tree.self_weight[node])
    return found


def share_with(stacks: Counter[tuple[str, ...]], function: str) -> float:
    """The part of the weight whose stacks have this function; 0 of nothing."""
    total = stacks.total()
    return sum(weight for stack, weight in stacks.items() if function in stack) / total if total else 0.0


def kernel_functions(kept: Kept, query: Query) -> set[str]:
    """All functions of the kernel in the stacks of a query."""
    tree = kept.store.call_tree(query)
    nodes = np.flatnonzero(tree.total)
    frames = [tree.symbols.frame_at(frame) for frame in np.unique(tree.trie.frame[nodes]).tolist()]
    return {frame.function for frame in frames if frame.kind is FrameKind.KERNEL}


def assert_exact(kept: Kept, collector: str, seen: int, true: int) -> None:
    """Nothing is invented; nothing is missing but what the collector's health says is lost."""
    health = kept.health_of(collector)
    assert health is not None, f"{collector} says nothing of itself"
    assert true - health.lost_total <= seen <= true, f"{seen} of {true}; lost: {dict(health.lost)}"
