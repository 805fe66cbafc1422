"""How a store answers out of rows: what it selects of its events, alike ones summed."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, completeness
from aperture_tui.profile.query import Group
from aperture_tui.store.compaction import WHOLE
from aperture_tui.store.group_stacks import GROUPED, GroupStacks
from aperture_tui.store.latencies import latencies
from aperture_tui.store.processes import process_uses
from aperture_tui.store.selection import FrameSearch, measured

if TYPE_CHECKING:
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.base import Estimate, ProcessUse

OTHER_GROUP = "stacks by another group differ from all others"
OF_PROCESSES = ("pid", "tid", "process", "flags")
OF_LATENCIES = ("pid", "tid", "process", "name", "value", "aux", "flags", "bucket")


class Rows(NamedTuple):
    """What one or more queries select: for each (n,) of EVENT, or of compaction.COMPACT, and their tables."""

    symbols: Symbols
    parts: list[NDArray[np.void]]


class Answers(abc.ABC):
    """The questions of a Store, over rows that a subclass finds. Each method may be called from any thread."""

    def __init__(self) -> None:
        self.watch: Callable[[float], None] = lambda _: None
        self.note: Callable[[Estimate], None] = lambda _: None
        self._search = FrameSearch()
        self._grouped: dict[Group, GroupStacks] = {}
        self._grouped_lock = threading.Lock()

    @abc.abstractmethod
    def rows(self, queries: Sequence[Query], alike: Sequence[str]) -> Rows:
        """The events of each query; those that are equal in these columns, of compaction.WHOLE, may be one row.

        Of what is in flight it is the newest word alone. Raises re.error and TooManyError.
        """

    def processes(self, query: Query) -> list[ProcessUse]:
        """Processes with events in the query, most first; equal ones by pid."""
        symbols, (events,) = self.rows([query], OF_PROCESSES)
        return process_uses(symbols, events, query.measure)

    def call_tree(self, query: Query) -> CallTree:
        """The stacks of the query with their weights."""
        symbols, (events,) = self.rows([query], of_stacks(query))
        return self._tree_of(symbols, query.group)(events, measured(events, query.measure))

    def completeness(self, query: Query) -> Completeness:
        """How many of the query's events have a whole user stack."""
        _, (events,) = self.rows([query], ("flags",))
        return completeness(events["flags"], events["weight"])

    def latencies(self, query: Query) -> list[Latency]:
        """Calls or waits by process, name and value, most first by the measure."""
        symbols, (events,) = self.rows([query], OF_LATENCIES)
        return latencies(symbols, events, query)

    def diff(self, base: Query, after: Query) -> CallTree:
        """Weights of `after` less those of `base`."""
        then, since = self.compared(base, after)
        return since.subtract(then)

    def compared(self, base: Query, after: Query) -> tuple[CallTree, CallTree]:
        """The call trees of both, over one trie."""
        if base.group is not after.group:
            raise ValueError(OTHER_GROUP)
        symbols, (then, since) = self.rows([base, after], of_stacks(after))
        tree = self._tree_of(symbols, after.group)
        return tree(then, measured(then, base.measure)), tree(since, measured(since, after.measure))

    def selected(self, query: Query) -> tuple[Symbols, NDArray[np.void]]:
        """The events of a query, (n,) of EVENT; of a range with very many, alike ones as one: of compaction.COMPACT."""
        symbols, (events,) = self.rows([query], WHOLE)
        return symbols, events

    def _tree_of(self, symbols: Symbols, group: Group) -> Callable[[NDArray[np.void], NDArray[np.int64]], CallTree]:
        """Sums weights, (n,) int64, of the stacks of events, (n,) of EVENT. All its answers share a trie."""
        if group is Group.PROCESS:
            return lambda events, weights: CallTree.of_stacks(symbols, events["stack"], weights)
        with self._grouped_lock:
            known = self._grouped.get(group)
            if known is None or known.full or known.symbols is not symbols:
                known = self._grouped[group] = GroupStacks(symbols, group)
            return known.tree


def of_stacks(query: Query) -> tuple[str, ...]:
    """By what the events of a call tree are told apart."""
    return ("stack", *GROUPED[query.group])
