"""What a picture is compared with where that is in another store or of other machines. Imports numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aperture_tui.profile.difference import Carrier
from aperture_tui.profile.symbols import Frame, Symbols

if TYPE_CHECKING:
    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store
    from aperture_tui.tui.model import Baseline, ProcessKey, ViewRequest


class RecordedBase:
    """A recording as the baseline: opened when it is first compared with. Of the presenter's thread.

    Its functions are those of the picture where name, module and kind are equal (`profile.difference`); files and lines
    are told as the picture has them.
    """

    def __init__(self, connect: Callable[[], Store]) -> None:
        self._connect = connect
        self._store: Store | None = None
        self._carriers: tuple[Carrier, Carrier] | None = None
        self._of: Symbols | None = None

    def both(self, base: Query, after: CallTree) -> tuple[CallTree, CallTree]:
        """The trees of the recording and of the picture, over one trie. Raises what opening raises."""
        if self._store is None:
            self._store = self._connect()
        if self._carriers is None or self._of is not after.symbols:
            symbols, words = Symbols(), dict[Frame, Frame]()
            self._carriers = Carrier(symbols, words=words), Carrier(symbols, words=words)
            self._of = after.symbols
        now, then = self._carriers
        moved = now.tree(after)  # first: its words are kept
        return then.tree(self._store.call_tree(base)), moved


def based(query: Query, choice: ViewRequest) -> Query:
    """What a query is compared with."""
    base = choice.base
    if base is None:
        return query
    if base.recording or base.at_once:
        return _elsewhere(query, base, choice.process)
    query = replace(query, start_ns=base.start_ns, end_ns=base.end_ns)
    if base.process == choice.process:
        return query
    query = replace(query, pids=(), process_start_ns=None, process=None)
    return query if base.process is None else of_one(query, base.process)


def _elsewhere(query: Query, base: Baseline, process: ProcessKey | None) -> Query:
    """The same of other machines, or of another time and machine: numbers of processes and addresses differ there."""
    name = None if process is None else process.name
    query = replace(query, pids=(), process_start_ns=None, process=name, value=None)
    return replace(query, start_ns=None, end_ns=None) if base.recording else query


def of_one(query: Query, process: ProcessKey) -> Query:
    """The events of one process, or of all of its name where it has no number."""
    if not process.pid:
        return replace(query, process=process.name)
    return replace(query, pids=(process.pid,), process_start_ns=process.start_ns)
