"""`python -m bench.filters.work SECONDS`: measures the filters that come with the package, in this process.

Prints JSON: costs [[filter, events of a batch, ns of an event]], shares [[chain, percent of a core]], memory_mb.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Final

from aperture_tui.filters import trial
from aperture_tui.filters.shipped import FOLDER
from aperture_tui.filters.spec import Spec
from bench.filters import STOCK
from bench.procfs import rss_bytes

_SPECS: Final = {
    "process name": Spec(FOLDER / "process_name.wasm", '{"name": "proc-7"}'),
    "stack frame": Spec(FOLDER / "stack_frame.wasm", '{"function": "function_77"}'),
    "sampling": Spec(FOLDER / "time_sample.wasm", '{"every": 10}'),
}
_FIVE: Final = [
    Spec(FOLDER / "process_name.wasm", '{"name": "proc-7", "drop": true}'),
    Spec(FOLDER / "stack_frame.wasm", '{"function": "function_"}'),
    Spec(FOLDER / "slow_syscalls.wasm"),
    Spec(FOLDER / "time_sample.wasm", '{"every": 10}'),
    Spec(FOLDER / "rate_limit.wasm"),
]
"""The first three let nearly everything pass."""
_RATE, _DRAINS_A_SECOND = 100_000, 4
_SETTLE_S: Final = 5.0

# What a program of one typed call for each event would look like: the fields as numbers, the decision as one.
_TYPED: Final = """(module (func (export "on_event")
  (param i64 i64 i32 i32 i32 i32 i32 i32) (result i32) (i32.eq (local.get 2) (i32.const 7))))"""


def main() -> None:
    """Measure, and print."""
    batch = trial.made_up()
    give_back = ctypes.CDLL(None).malloc_trim  # as a session does every ten seconds
    give_back(0)
    before = rss_bytes(os.getpid())
    from aperture_tui.filters.chain import Chain

    costs: list[tuple[str, int, float]] = []
    with Chain(_FIVE) as five:
        for _ in range(3):
            five.apply(batch)
        give_back(0)
        memory = rss_bytes(os.getpid()) - before
    for name, spec in _SPECS.items():
        with Chain([spec]) as chain:
            costs += [(name, size, trial.cost(chain, batch, size).best) for size in trial.SIZES]
            if chain.filters[0].counters.errors:
                sys.exit(f"{name}: {chain.health()[0].message}")
    costs.append((STOCK, 1, _typed()))
    seconds = float(sys.argv[1])
    shares = [
        ("process name", _share([_SPECS["process name"]], seconds)),
        ("five filters", _share(_FIVE, seconds)),
    ]
    print(json.dumps({"costs": costs, "shares": shares, "memory_mb": memory / (1 << 20)}))


def _typed() -> float:
    """Nanoseconds of one call by wasmtime's own binding."""
    import wasmtime

    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    called = wasmtime.Instance(store, wasmtime.Module(engine, _TYPED), []).exports(store)["on_event"]
    if not isinstance(called, wasmtime.Func):
        sys.exit("on_event is no function")
    function = called
    return min(trial.stretches(lambda: function(store, 1, 2, 3, 4, 5, 6, 7, 8)))


def _share(specs: list[Spec], seconds: float) -> float:
    """Percent of a core, user and kernel, that the whole process takes; it does nothing else."""
    from aperture_tui.filters.chain import Chain
    from aperture_tui.filters.worker import Worker

    worker = Worker(Chain(specs))
    worker.start()
    batch = trial.made_up(_RATE // _DRAINS_A_SECOND)
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
