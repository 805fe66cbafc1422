"""What the time of an answer goes into: the store is asked in this process, with a clock around each part."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final

from aperture_tui.profile.query import Query
from aperture_tui.store import exchange
from aperture_tui.store.clickhouse.connection import Connection
from aperture_tui.store.clickhouse.database import Database
from aperture_tui.store.clickhouse.names import Names
from bench.fleet.questions import BUCKETS, Kind, Question

_RUNS: Final = 15
_WARM: Final = 3


class Clock:
    """Adds up what calls take, from when the first of those at the same time begins until the last one ends."""

    def __init__(self) -> None:
        self.took: dict[str, float] = defaultdict(float)
        self._open: dict[str, int] = defaultdict(int)
        self._since: dict[str, float] = {}

    def around(self, of: Any, method: str, name: str) -> None:
        """Count a method's time under a name."""
        plain: Callable[..., Any] = getattr(of, method)

        @wraps(plain)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self._open[name]:
                self._since[name] = time.perf_counter()
            self._open[name] += 1
            try:
                return plain(*args, **kwargs)
            finally:
                self._open[name] -= 1
                if not self._open[name]:
                    self.took[name] += time.perf_counter() - self._since[name]

        setattr(of, method, timed)


def measure(folder: Path, sorts: Sequence[Kind], nodes: int) -> dict[str, dict[str, float]]:
    """Of each sort the medians, in ms, of the whole and of its parts."""
    clock = Clock()
    clock.around(Connection, "arrow", "SQL")
    clock.around(Names, "stacks", "naming")
    clock.around(Names, "pruned", "pruning")
    clock.around(exchange, "packed_rows", "packing")
    database = Database.open(f"chdb://{folder.absolute()}")
    store = database.tenant("default").store
    newest_ns = store.span().end_ns
    store.found([Query()], ("stack",), nodes)  # all names

    def ask(question: Question) -> None:
        if question.timeline:
            store.timeline_found(question.queries[0], BUCKETS)
        else:
            exchange.packed_rows(store.found(question.queries, ("stack",), nodes).rows, question.queries)

    out = {}
    for kind in sorts:
        drawn = random.Random(kind.name)
        each: dict[str, list[float]] = defaultdict(list)
        for i in range(_WARM + _RUNS):
            clock.took.clear()
            began = time.perf_counter()
            ask(kind.drawn(drawn, newest_ns))
            whole = time.perf_counter() - began
            if i >= _WARM:
                for name in ("SQL", "naming", "pruning", "packing"):
                    each[name].append(clock.took[name])
                each["the rest"].append(whole - sum(clock.took.values()))
                each["all"].append(whole)
        out[kind.name] = {name: 1e3 * statistics.median(values) for name, values in each.items()}
    database.close()
    return out
