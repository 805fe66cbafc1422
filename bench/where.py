"""What a filter line costs, over a million held samples and a call tree of 100,000 nodes: `python -m bench.where`.

Prints a line for each filter line and range: milliseconds of CPU (median) for a call tree and for the table of
processes, as multiples of the same without a filter, and for the share that the header says; the first time has the
search of the names in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.memory import Limits, MemoryStore
from aperture_tui.store.passed import passed

SECOND: Final = 1_000_000_000
START_NS: Final = 1_700_000_000 * SECOND
EVENTS, SECONDS = 1_000_000, 900
FUNCTIONS, PATHS, PROCESSES, THREADS = 20_000, 14_000, 200, 500
TIMES: Final = 7
LINES: Final = (
    "",
    "comm:process7",
    "comm:/process1.*/ -lib:lib3",
    "fn:/parse.*/",
    "-lib:lib3 fn:/parse.*/ pid:100,101,102 cgroup:/system.slice",
    "thread:worker-1* tid:1,2,3",
    "parse -read",
    " ".join(f"-fn:/x{i}y/" for i in range(20)),
)


def synthetic() -> MemoryStore:
    """A store of made-up samples, always the same."""
    rng, symbols = np.random.default_rng(1), Symbols()
    verbs = rng.choice(["parse", "read", "write", "handle", "sort"], FUNCTIONS)
    frames = [
        symbols.frame(Frame(f"{verb}_{i}::item<{i % 97}>", f"lib{i % 60}.so.{i % 7}", f"/src/f{i % 900}.py", i))
        for i, verb in enumerate(verbs.tolist())
    ]
    names = [f"process{i}" for i in range(PROCESSES)]
    roots = [symbols.frame(Frame(name, kind=FrameKind.PROCESS)) for name in names]
    processes = np.array(
        [symbols.process(Process(100 + i, START_NS, name, f"/system.slice/{i % 40}")) for i, name in enumerate(names)]
    )
    common = rng.choice(frames, (400, 12))
    paths = [
        [roots[i % PROCESSES], *common[i % 400][: rng.integers(2, 12)], *rng.choice(frames, rng.integers(3, 12))]
        for i in range(PATHS)
    ]
    stacks = symbols.stacks([[int(frame) for frame in path] for path in paths])
    threads = np.array([symbols.string(f"worker-{i}") for i in range(THREADS)])
    store = MemoryStore(Limits(seconds=None, bytes=None), recorded=True)
    for second in range(SECONDS):
        n = EVENTS // SECONDS
        which, events = rng.integers(0, PATHS, n), empty(n)
        events["time_ns"] = START_NS + second * SECOND + rng.integers(0, SECOND, n)
        events["kind"], events["weight"], events["flags"] = 1, 1, Flag.WHOLE
        events["duration_ns"] = events["maximum_ns"] = SECOND // 99
        events["stack"], events["process"], events["pid"] = stacks[which], processes[which % 200], 100 + which % 200
        events["tid"], events["thread"] = 1 + which % 5000, threads[which % THREADS]
        store.append(Batch(symbols, events))
    return store


def cost_ms(act: Callable[[], object]) -> tuple[float, float]:
    """The first, and the median of those after it, of CPU."""
    took = []
    for _ in range(TIMES + 1):
        began = time.process_time()
        act()
        took.append((time.process_time() - began) * 1e3)
    return took[0], statistics.median(took[1:])


def main() -> None:
    """The lines."""
    store = synthetic()
    end, nodes = store.span().end_ns, len(store.call_tree(Query()).trie)
    print(f"{store.span().events:,} samples, {nodes:,} nodes")
    for seconds in (SECONDS, 30):
        plain: list[float] = []
        for line in LINES:
            query = Query(start_ns=end - seconds * SECOND, where=parse(line))
            first, tree = cost_ms(lambda query=query: store.call_tree(query))  # type: ignore[misc]
            _, table = cost_ms(lambda query=query: store.processes(query))  # type: ignore[misc]
            _, share = cost_ms(lambda query=query: passed(store, query))  # type: ignore[misc]
            plain = plain or [tree, table]
            told = f"tree {tree:.1f} ms ({tree / plain[0]:.2f} x, first {first:.1f} ms)"
            told += f"  processes {table:.1f} ms ({table / plain[1]:.2f} x)  share {share:.1f} ms"
            print(f"{seconds:>4} s  {line[:60] or '(no filter)':60}  {told}")


if __name__ == "__main__":
    main()
