"""Events summed by process. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.completeness import completeness_by_group
from aperture_tui.profile.query import Measure
from aperture_tui.store.base import ProcessUse
from aperture_tui.store.selection import measured

if TYPE_CHECKING:
    from aperture_tui.profile.symbols import Symbols


def process_uses(symbols: Symbols, events: NDArray[np.void], measure: Measure) -> list[ProcessUse]:
    """One entry for every (pid, start) among the events, (n,) of EVENT, most first by the measure, then by pid.

    A process that changed its name or cgroup has those of its newest event. The start is 0 where it is unknown. Where
    neither is known, as of several machines together, there is one for every name.
    """
    if not len(events):
        return []
    rows = events["process"]
    starts = symbols.processes["start_ns"][rows]
    names = names_alone(symbols, events)
    order = np.lexsort((rows, events["time_ns"], names, starts, events["pid"]))
    pid, start = events["pid"][order], starts[order]
    differs = np.logical_or.reduce([column[1:] != column[:-1] for column in (pid, start, names[order])])
    first = np.concatenate([[True], differs])
    edges = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    counts = measured(events, Measure.COUNT)[order]
    newest = rows[order][np.append(edges[1:], len(events)) - 1]
    words = symbols.strings
    uses = [
        ProcessUse(p, s, words[name], words[cgroup], words[box], threads=t, count=c, time_ns=n, completeness=whole)
        for p, s, (_, _, name, cgroup, box), t, c, n, whole in zip(
            pid[edges].tolist(),
            start[edges].tolist(),
            symbols.processes[newest].tolist(),
            _threads(group, len(edges), events["tid"][order]).tolist(),
            np.add.reduceat(counts, edges).tolist(),
            np.add.reduceat(measured(events, Measure.TIME)[order], edges).tolist(),
            completeness_by_group(group, len(edges), events["flags"][order], counts),
            strict=True,
        )
    ]
    # sorted() keeps the order of pids among equals
    return sorted(uses, key=lambda use: use.count if measure is Measure.COUNT else use.time_ns, reverse=True)


def names_alone(symbols: Symbols, events: NDArray[np.void]) -> NDArray[np.uint32]:
    """(n,): the name, a string's id, of processes that nothing else is known of; 0 for all others."""
    rows = symbols.processes[events["process"]]
    out: NDArray[np.uint32] = np.where((events["pid"] == 0) & (rows["start_ns"] == 0), rows["name"], np.uint32(0))
    return out


def _threads(group: NDArray[np.int64], groups: int, tids: NDArray[np.uint32]) -> NDArray[np.int64]:
    """(groups,): how many different threads each group has; thread 0 is none. group, tids: (n,)."""
    pairs = np.unique((group.astype(np.uint64) << np.uint64(32) | tids)[tids > 0])
    return np.bincount((pairs >> np.uint64(32)).astype(np.int64), minlength=groups)
