"""Events summed by process. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.completeness import completeness_by_group
from aperture_tui.profile.query import Measure
from aperture_tui.store.base import ProcessUse
from aperture_tui.store.groups import grouped, summed
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
    pid_of, row_of, tid = (np.ascontiguousarray(events[column]) for column in ("pid", "process", "tid"))
    named = grouped([pid_of, row_of])  # few: a row for every name and cgroup that a process has had
    pids, rows = pid_of[named.first], row_of[named.first]
    starts, names = symbols.processes["start_ns"][rows], _names_alone(symbols, pids, rows)
    order = np.lexsort((rows, named.most(events["time_ns"]), names, starts, pids))
    differs = np.logical_or.reduce([np.diff(column[order]) != 0 for column in (pids, starts, names)])
    edges = np.append(0, np.flatnonzero(differs) + 1)
    groups = len(edges)
    process = np.empty(named.n, np.intp)
    process[order] = np.cumsum(np.append(False, differs))
    of = process[named.of]
    weights = measured(events, Measure.COUNT)
    counts, times = summed(of, groups, weights), summed(of, groups, measured(events, Measure.TIME))
    ranks = np.argsort(-(counts if measure is Measure.COUNT else times), kind="stable")
    newest = rows[order][np.append(edges[1:], named.n) - 1]
    complete = completeness_by_group(of, groups, events["flags"], weights)
    words = symbols.strings
    return [
        ProcessUse(pid, start, words[name], words[cgroup], words[box], threads, count, time_ns, complete[rank])
        for rank, pid, start, (_, _, name, cgroup, box), threads, count, time_ns in zip(
            ranks.tolist(),
            pids[order][edges][ranks].tolist(),
            starts[order][edges][ranks].tolist(),
            symbols.processes[newest[ranks]].tolist(),
            _threads(of, groups, tid)[ranks].tolist(),
            counts[ranks].tolist(),
            times[ranks].tolist(),
            strict=True,
        )
    ]


def names_alone(symbols: Symbols, events: NDArray[np.void]) -> NDArray[np.uint32]:
    """(n,): the name, a string's id, of processes that nothing else is known of; 0 for all others."""
    return _names_alone(symbols, events["pid"], events["process"])


def _names_alone(symbols: Symbols, pid: NDArray[np.uint32], row: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """As `names_alone`. pid, row: (n,), those of events."""
    out = np.zeros(len(pid), np.uint32)
    (nameless,) = np.nonzero(pid == 0)
    known = symbols.processes[row[nameless]]
    out[nameless] = np.where(known["start_ns"] == 0, known["name"], np.uint32(0))
    return out


def _threads(group: NDArray[np.int64], groups: int, tids: NDArray[np.uint32]) -> NDArray[np.int64]:
    """(groups,): how many different threads each group has; thread 0 is none. group, tids: (n,)."""
    pairs = np.unique((group.astype(np.uint64) << np.uint64(32) | tids)[tids > 0])
    return np.bincount((pairs >> np.uint64(32)).astype(np.int64), minlength=groups)
