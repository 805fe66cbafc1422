"""What a picture of the GPU screen's lanes costs, by how many synthetic slices there are: `python -m bench.gpu_lanes`.

Prints a line for each number: milliseconds of CPU (median) to fetch the window from a store, as once at every refresh,
and to draw a picture of 200 columns, as at every key; and that as a multiple of the one of the fewest slices.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.gpu import answer
from aperture_tui.tui.gpu.lane_rows import Cursor, lanes_rows
from aperture_tui.tui.gpu.model import Sight

START_NS: Final = 1_700_000_000 * 1_000_000_000
WINDOW_NS: Final = 10_000_000_000
NUMBERS: Final = (1_000, 200_000)
NAMES, STREAMS, GPUS = 60, 8, 2
COLUMNS: Final = 200
TIMES: Final = 21


def synthetic(n: int) -> MemoryStore:
    """A store with n kernels of some names, on some streams."""
    rng, symbols = np.random.default_rng(1), Symbols()
    names = [f"synthetic_kernel_{i}(float*, int)" for i in range(NAMES)]
    process = symbols.frame(Frame("python3", kind=FrameKind.PROCESS))
    stacks = symbols.stacks([[process, symbols.frame(Frame(name, kind=FrameKind.GPU))] for name in names])
    which, events = rng.integers(0, NAMES, n), empty(n)
    events["time_ns"] = START_NS + np.sort(rng.integers(0, WINDOW_NS, n))
    events["duration_ns"] = events["maximum_ns"] = rng.integers(1_000, 6 * WINDOW_NS // n, n)
    events["name"] = np.array([symbols.string(name) for name in names])[which]
    events["stack"], events["weight"], events["kind"] = stacks[which], 1, Kind.GPU_KERNEL
    events["pid"], events["tid"], events["process"] = 7, 8, symbols.process(Process(7, 1, "python3"))
    events["cpu"], events["aux"] = rng.integers(0, GPUS, n), rng.integers(0, STREAMS, n)
    events["value"] = Launch(256, 32, 4096, 4, warps=64).packed()
    store = MemoryStore(recorded=True)
    store.append(Batch(symbols, events))
    return store


def cpu_ms(work: Callable[[], object]) -> float:
    """The median of several times."""
    spent = []
    for _ in range(TIMES):
        began = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - began) / 1e6)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
    least = 0.0
    for n in NUMBERS:
        store = synthetic(n)
        query = Query(Kind.GPU_KERNEL, start_ns=START_NS, end_ns=START_NS + WINDOW_NS + 1, measure=Measure.TIME)
        tree = store.call_tree(query)
        data = answer.fetched(store, query, tree)
        lanes = answer.view(data, Sight(COLUMNS)).lanes
        fetch = cpu_ms(lambda store=store, query=query, tree=tree: answer.fetched(store, query, tree))  # type: ignore[misc]
        picture = cpu_ms(lambda data=data: answer.view(data, Sight(COLUMNS)))  # type: ignore[misc]
        rows = cpu_ms(lambda lanes=lanes: lanes_rows(lanes, COLUMNS + 31, 50, Cursor(0, 0)))  # type: ignore[misc]
        least = least or picture + rows
        print(
            f"{n:>8,} slices, {len(lanes.lanes)} lanes: fetched {fetch:.1f} ms, picture {picture:.2f} ms and its rows "
            f"{rows:.2f} ms of CPU: {(picture + rows) / least:.2f} times"
        )


if __name__ == "__main__":
    main()
