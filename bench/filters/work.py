"""`python -m bench.filters.work SECONDS`: measures the filters that come with the package, in this process.

Prints JSON: costs [[filter, events of a batch, ns of an event]], shares [[chain, percent of a core]], memory_mb.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

import aperture_tui.filters
from aperture_tui.filters.spec import Spec
from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from bench.filters import STOCK
from bench.procfs import rss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.filters.chain import Chain

_READY: Final = Path(aperture_tui.filters.__file__).parent / "ready"
_SPECS: Final = {
    "process name": Spec(_READY / "process_name.wasm", '{"name": "process-7"}'),
    "stack frame": Spec(_READY / "stack_frame.wasm", '{"function": "function_number_77"}'),
    "sampling": Spec(_READY / "time_sample.wasm", '{"every": 10}'),
}
_FIVE: Final = [
    Spec(_READY / "process_name.wasm", '{"name": "process-7", "drop": true}'),
    Spec(_READY / "stack_frame.wasm", '{"function": "function_number"}'),
    Spec(_READY / "slow_syscalls.wasm"),
    Spec(_READY / "time_sample.wasm", '{"every": 10}'),
    Spec(_READY / "rate_limit.wasm"),
]
"""The first three let nearly everything pass."""
_SIZES: Final = (1, 100, 10_000)
_TABLES: Final = {"strings": 2000, "frames": 1500, "stacks": 300, "depth": 30, "processes": 20}
_CHUNK_S: Final = 0.02
_CHUNKS: Final = 15
_RATE, _DRAINS_A_SECOND = 100_000, 4
_SETTLE_S: Final = 5.0

# What a program of one typed call for each event would look like: the fields as numbers, the decision as one.
_TYPED: Final = """(module (func (export "on_event")
  (param i64 i64 i32 i32 i32 i32 i32 i32) (result i32) (i32.eq (local.get 2) (i32.const 7))))"""


def main() -> None:
    """Measure, and print."""
    symbols = _symbols()
    give_back = ctypes.CDLL(None).malloc_trim  # as a session does every ten seconds
    give_back(0)
    before = rss_bytes(os.getpid())
    from aperture_tui.filters.chain import Chain

    costs: list[tuple[str, int, float]] = []
    with Chain(_FIVE) as five:
        for _ in range(3):
            five.apply(_batch(symbols, 10_000))
        give_back(0)
        memory = rss_bytes(os.getpid()) - before
    for name, spec in _SPECS.items():
        with Chain([spec]) as chain:
            costs += [(name, size, _cost(chain, _batch(symbols, size))) for size in _SIZES]
            if chain.filters[0].counters.errors:
                sys.exit(f"{name}: {chain.health()[0].message}")
    costs.append((STOCK, 1, _typed()))
    seconds = float(sys.argv[1])
    shares = [
        ("process name", _share([_SPECS["process name"]], symbols, seconds)),
        ("five filters", _share(_FIVE, symbols, seconds)),
    ]
    print(json.dumps({"costs": costs, "shares": shares, "memory_mb": memory / (1 << 20)}))


def _symbols() -> Symbols:
    symbols, random = Symbols(), np.random.default_rng(1)
    for i in range(_TABLES["processes"]):
        symbols.process(Process(i + 1, 1, f"process-{i}"))
    frames = [
        symbols.frame(Frame(f"function_number_{i}", f"module_{i % 37}", f"file_{i % 200}.c", i))
        for i in range(_TABLES["frames"])
    ]
    symbols.stacks([random.choice(frames, _TABLES["depth"]) for _ in range(_TABLES["stacks"])])
    return symbols


def _batch(symbols: Symbols, n: int) -> Batch:
    """Samples 100 µs apart, of threads, processes and stacks by chance."""
    random, events = np.random.default_rng(n), empty(n)
    leaves = np.flatnonzero(symbols.trie.depth == _TABLES["depth"])
    events["time_ns"] = 1_700_000_000_000_000_000 + np.arange(n) * 100_000
    events["pid"], events["tid"] = random.integers(1, 50, n), random.integers(1, 400, n)
    events["process"] = random.integers(1, 1 + _TABLES["processes"], n)
    events["stack"] = random.choice(leaves, n)
    events["weight"], events["duration_ns"], events["kind"] = 1, 10_101_010, Kind.CPU
    return Batch(symbols, events)


def _cost(chain: Chain, batch: Batch) -> float:
    """Nanoseconds of an event: verdicts put to effect, all that a session pays."""
    return _ns(lambda: chain.apply(batch, time.time_ns())) / len(batch)


def _typed() -> float:
    """Nanoseconds of one call by wasmtime's own binding."""
    import wasmtime

    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    called = wasmtime.Instance(store, wasmtime.Module(engine, _TYPED), []).exports(store)["on_event"]
    if not isinstance(called, wasmtime.Func):
        sys.exit("on_event is no function")
    function = called
    return _ns(lambda: function(store, 1, 2, 3, 4, 5, 6, 7, 8))


def _ns(work: Callable[[], object]) -> float:
    """The least of some means over 20 ms: what others take of the machine is in all but that."""
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < _CHUNK_S:
        work()
        n += 1
    means = []
    for _ in range(_CHUNKS):
        began = time.perf_counter()
        for _ in range(n):
            work()
        means.append((time.perf_counter() - began) / n)
    return 1e9 * min(means)


def _share(specs: list[Spec], symbols: Symbols, seconds: float) -> float:
    """Percent of a core, user and kernel, that the whole process takes; it does nothing else."""
    from aperture_tui.filters.chain import Chain
    from aperture_tui.filters.worker import Worker

    worker = Worker(Chain(specs))
    worker.start()
    batch = _batch(symbols, _RATE // _DRAINS_A_SECOND)
    worker.put(batch)
    worker.settle(_SETTLE_S)
    worker.take()
    began, used = time.perf_counter(), time.process_time()
    for n in range(max(1, round(seconds * _DRAINS_A_SECOND))):
        worker.put(batch)
        time.sleep(max(0.0, began + (n + 1) / _DRAINS_A_SECOND - time.perf_counter()))
        worker.take()
    share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
    worker.stop()
    return share


if __name__ == "__main__":
    main()
