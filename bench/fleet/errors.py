"""How far off sampled answers are: the shares of the heaviest functions, beside those of all events."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.clickhouse.database import Database
from aperture_tui.store.clickhouse.sources import Budget
from aperture_tui.store.clickhouse.store import ClickHouseStore
from bench.fleet.questions import COMMON, HOUR_NS, RARE

_HEAVIEST: Final = 100
_EVERYTHING: Final = Budget(1e6, 2)


@dataclass(frozen=True)
class Wrong:
    """One sampled answer. share_error: what it says of itself. largest: error of the share of one of the heaviest
    functions; relative: mean of their errors as parts of their shares. pruned: the same of the tree that is sent."""

    name: str
    sampled: int
    events: int
    share_error: float
    largest: float
    relative: float
    pruned_largest: float
    pruned_relative: float

    def __str__(self) -> str:
        return (
            f"{self.name}: 1 of {self.sampled}, {self.events:,} events; says ±{100 * self.share_error:.3f} points;"
            f" of the {_HEAVIEST} heaviest functions off by {100 * self.largest:.3f} points at most,"
            f" {100 * self.relative:.2f} % of their shares on average; in the tree that is sent"
            f" {100 * self.pruned_largest:.3f} points, {100 * self.pruned_relative:.2f} %"
        )


def measure(folder: Path, newest_ns: int, nodes: int) -> list[Wrong]:
    """Of one fleet-hour each, of a common command and of a rare one, and of the whole fleet in the events' tables."""
    database = Database.open(f"chdb://{folder.absolute()}")
    store = database.tenant("default").store
    whole = Database.open(f"chdb://{folder.absolute()}", budget=_EVERYTHING)
    exact = whole.tenant("default").store
    drawn = random.Random(7)
    end = newest_ns - drawn.randrange(60 * 10**9)
    out = []
    for name, query in (
        (f"fleet-hour of {COMMON}", Query(start_ns=end - HOUR_NS, end_ns=end, process=COMMON)),
        (f"fleet-hour of {RARE}", Query(start_ns=end - HOUR_NS, end_ns=end, process=RARE)),
        ("fleet-hour", Query(start_ns=end - HOUR_NS, end_ns=end)),
    ):
        out.append(_compared(name, query, store, exact, nodes))
    whole.close()
    database.close()
    return out


def _compared(name: str, query: Query, store: ClickHouseStore, exact: ClickHouseStore, nodes: int) -> Wrong:
    true = _shares(exact, query, 0)
    heaviest = sorted(true, key=lambda function: -true[function])[:_HEAVIEST]
    wanted = np.array([true[function] for function in heaviest])
    figures: list[float] = []
    for most in (0, nodes):
        found = _shares(store, query, most)
        off = np.abs(np.array([found.get(function, 0.0) for function in heaviest]) - wanted)
        figures += [float(off.max()), float((off / wanted).mean())]
    estimate = store.found([query], ("stack",)).estimate
    return Wrong(name, estimate.sampled, estimate.events, estimate.share_error, *figures)


def _shares(store: ClickHouseStore, query: Query, nodes: int) -> dict[str, float]:
    """Of every function, the part of the samples whose stacks it is in."""
    (symbols, (part,)), _ = store.found([query], ("stack",), nodes)
    weights = part["weight"].astype(np.float64)
    rows, functions = _functions(symbols, part["stack"])
    sums = np.bincount(functions, weights[rows], len(symbols.strings)) / max(1.0, weights.sum())
    return {symbols.strings[i]: float(sums[i]) for i in np.flatnonzero(sums).tolist()}


def _functions(symbols: Symbols, stacks: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows, and the functions that their stacks have; each once."""
    trie, names = symbols.trie, symbols.frames["function"]
    at = stacks.astype(np.int64)
    rows = np.arange(len(at))
    pairs: list[NDArray[np.int64]] = []
    while len(rows):
        pairs.append(rows << 32 | names[trie.frame[at[rows]]].astype(np.int64))
        at[rows] = trie.parent[at[rows]]
        rows = rows[at[rows] > 0]
    each = np.unique(np.concatenate([np.zeros(0, np.int64), *pairs]))
    return each >> 32, each & 0xFFFFFFFF
