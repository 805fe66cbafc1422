"""A filter tried out: on events that are made up, and how long it takes for them."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.kinds import Flag, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.filters.chain import Chain

SIZES: Final = (1, 100, 10_000)
"""Of batches that are timed."""
LIMITS_NS: Final = {1: 10_000.0, 10_000: 10.0}
"""What an event may cost in batches of a size, so that a filter is not felt."""
_EVENTS: Final = 10_000
_PROCESSES: Final = 20
_STACKS: Final = 300
_DEPTH: Final = 24
_FUNCTIONS: Final = 1_500
_STRETCH_S: Final = 0.02
_STRETCHES: Final = 15


class Cost(NamedTuple):
    """Nanoseconds of an event, through the whole chain: the best and the middle one of several stretches of time."""

    best: float
    middle: float


def made_up(n: int = _EVENTS) -> Batch:
    """n events of two kinds, of 20 processes with 300 stacks of 24 frames, always the same."""
    random = np.random.default_rng(1)
    symbols = Symbols()
    frames = [symbols.frame(Frame(f"module_{i % 37}::function_{i}", f"lib{i % 37}.so")) for i in range(_FUNCTIONS)]
    stacks = symbols.stacks([[frames[i] for i in random.integers(0, _FUNCTIONS, _DEPTH)] for _ in range(_STACKS)])
    processes = [symbols.process(Process(100 + i, 1, f"proc-{i}", f"/made.up/{i % 5}")) for i in range(_PROCESSES)]
    names = [symbols.string(name) for name in ("read", "write", "futex")]
    events = empty(n)
    which = random.integers(0, _PROCESSES, n)
    events["time_ns"] = 1_700_000_000_000_000_000 + np.arange(n, dtype=np.uint64) * np.uint64(100_000)
    events["pid"], events["tid"] = 100 + which, 1_000 + random.integers(0, 400, n)
    events["process"], events["stack"] = np.array(processes)[which], stacks[random.integers(0, _STACKS, n)]
    events["kind"] = np.where(random.random(n) < 0.7, Kind.CPU, Kind.SYSCALL)
    events["name"] = np.where(events["kind"] == Kind.SYSCALL, np.array(names)[which % 3], 0)
    events["duration_ns"] = events["maximum_ns"] = random.exponential(1e6, n).astype(np.uint64)
    events["weight"], events["flags"] = 1, Flag.WHOLE
    return Batch(symbols, events)


def cost(chain: Chain, batch: Batch, size: int) -> Cost:
    """What an event costs in batches of this size, at most that of the batch; with all tables known before."""
    some = Batch(batch.symbols, batch.events[:size])
    chain.apply(batch)
    means = stretches(lambda: chain.apply(some, time.time_ns()))
    return Cost(min(means) / len(some), statistics.median(means) / len(some))


def stretches(work: Callable[[], object]) -> list[float]:
    """How long it takes, in nanoseconds: the means over some stretches of 20 ms, with no clock between.

    What others take of the machine is in all of them but the least.
    """
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < _STRETCH_S:
        work()
        n += 1
    means = []
    for _ in range(_STRETCHES):
        began = time.perf_counter()
        for _ in range(n):
            work()
        means.append(1e9 * (time.perf_counter() - began) / n)
    return means
