"""What filters cost: an event in batches of 1, 100 and 10,000, beside a call of wasmtime's own binding for each event;
a core's share at 100,000 events a second; memory.

`measure` gives the group `filters`. `work` imports the product, and runs as a process of its own: numpy in this one
would raise the floor of every peak of memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

_BUDGETS: Final = {1: 10_000.0, 10_000: 10.0}
"""ns of an event, by events of a batch: filters/trial.LIMITS_NS, which costs numpy to import."""
_PATIENCE_S: Final = 300
STOCK: Final = "wasmtime-py, a typed call for each event"


def measure(rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: of events at 100,000 a second in each arm."""
    costs: dict[tuple[str, int], list[float]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []
    for n in range(rounds):
        tell(f"filters, round {n + 1} of {rounds}")
        done = subprocess.run(
            [sys.executable, "-m", "bench.filters.work", str(seconds)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode:
            return [Figure("a filter's cost of an event", "aperture", "ns", why=done.stderr.strip().splitlines()[-1])]
        found = json.loads(done.stdout)
        for name, size, ns in found["costs"]:
            costs[name, size].append(ns)
        for name, share in found["shares"]:
            shares[name].append(share)
        memory.append(found["memory_mb"])
    words = "wasmtime's library and bindings are in it; after free pages were given back"
    held = Figure("engine with five filters, resident memory", "aperture", "MB", tuple(memory), why=words)
    return [*_costs(costs), *_shares(shares), held]


def _costs(found: dict[tuple[str, int], list[float]]) -> list[Figure]:
    out = []
    stock = tuple(value for (name, _), values in found.items() if name == STOCK for value in values)
    for size in sorted({size for name, size in found if name != STOCK}):
        measure = f"a filter's cost of an event, in batches of {size:,}"
        for name in sorted({name for name, _ in found if name != STOCK}):
            words = "the fastest 20 ms of 15; with all that is done about it in Python"
            out.append(Figure(measure, f"aperture, {name}", "ns", tuple(found[name, size]), _BUDGETS.get(size), words))
        out.append(Figure(measure, STOCK, "ns", stock, why="of eight numbers, of which it compares one"))
    return out


def _shares(found: dict[str, list[float]]) -> list[Figure]:
    words = "drained four times a second; the thread and the clock are in it"
    return [
        Figure("share of a core at 100,000 events a second", f"aperture, {name}", "%", tuple(values), why=words)
        for name, values in found.items()
    ]
