"""What the terms of a query's `where` let pass, as masks over the rows of Symbols and over arrays of events. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.where import OF_STACKS, Bound, Ids, Key, Term, Where

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.selection import FrameSearch

_Bools = NDArray[np.bool_]

SIGNS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_COLUMNS: Final = {Key.LIB: "module", Key.FN: "function", Key.FILE: "file"}
_OF_PROCESSES: Final = {Key.COMM: "name", Key.CGROUP: "cgroup", Key.CONTAINER: "container"}
_OF_EVENTS: Final = {Key.THREAD: "thread", Key.NAME: "name"}
_LABELS: Final = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.TAG)
"""Frames that are no code: of them only a bare word says anything."""


def stack_nodes(search: FrameSearch, symbols: Symbols, where: Where, frame: str | None = None) -> _Bools | None:
    """(n,) bool by stack node: those that the terms about stacks let pass, and which hold the frame of a query; None
    for all. Raises re.error."""
    keep = None if frame is None else search.nodes(symbols, frame)
    for term in where.about(OF_STACKS):
        trie = symbols.trie
        passing = trie.spread(_frames(search, symbols, term)[trie.frame]) ^ term.negated
        keep = passing if keep is None else keep & passing
    return keep


def check(search: FrameSearch, query: Query) -> None:
    """Raises re.error for a pattern that this search cannot look for."""
    search.check(query.frame)
    for term in query.terms.terms:
        if isinstance(term, Term):
            search.check(term.source)


class Passing:
    """The events that all terms let pass, of one state of the tables. Each name is searched once, and no event is."""

    def __init__(self, search: FrameSearch, symbols: Symbols, where: Where) -> None:
        """Raises re.error."""
        self._nodes = stack_nodes(search, symbols, where)
        terms = [term for term in where.terms if isinstance(term, Term)]
        rows = symbols.processes
        named = [(_OF_PROCESSES[term.key], term) for term in terms if term.key in _OF_PROCESSES]
        self._processes = _all(_strings(search, symbols, term)[rows[column]] for column, term in named)
        self._tag_sets = _all(_sets(search, symbols, term) for term in terms if term.key is Key.TAG)
        self._texts = [
            (_OF_EVENTS[term.key], _strings(search, symbols, term)) for term in terms if term.key in _OF_EVENTS
        ]
        self._ids = [term for term in where.terms if isinstance(term, Ids)]
        self._bounds = [term for term in where.terms if isinstance(term, Bound)]

    def mask(self, events: NDArray[np.void]) -> _Bools:
        """(n,) bool. events: (n,) of EVENT."""
        keep = np.ones(len(events), bool)
        for column, rows in (("stack", self._nodes), ("process", self._processes), ("tags", self._tag_sets)):
            if rows is not None:
                keep &= rows[events[column]]
        for column, strings in self._texts:
            keep &= strings[events[column]]
        for ids in self._ids:
            keep &= np.isin(events[ids.key.value], np.array(ids.ids, np.uint32)) ^ ids.negated
        for bound in self._bounds:
            keep &= SIGNS[bound.sign](events["maximum_ns"], np.uint64(bound.ns))
        return keep


def _all(masks: Iterable[_Bools]) -> _Bools | None:
    some = list(masks)
    return np.logical_and.reduce(some) if some else None


def _strings(search: FrameSearch, symbols: Symbols, term: Term) -> _Bools:
    """(n,) by string id."""
    return search.strings(symbols, term.source) ^ term.negated


def _frames(search: FrameSearch, symbols: Symbols, term: Term) -> _Bools:
    """(n,) by frame id, whatever the sign of the term."""
    frames, hit = symbols.frames, search.strings(symbols, term.source)
    if term.key is Key.WORD:
        hit = hit.copy()
        hit[0] = False  # no text at all matches nothing
        found: _Bools = hit[frames["function"]] | hit[frames["module"]]
        found &= frames["kind"] != FrameKind.ROOT
    else:
        found = hit[frames[_COLUMNS[term.key]]] & ~np.isin(frames["kind"], _LABELS)
    found[0] = False
    return found


def _sets(search: FrameSearch, symbols: Symbols, term: Term) -> _Bools:
    """(n,) over symbols.tag_sets: those of which any tag matches."""
    sets = list(symbols.tag_sets)
    names = sorted({name for names in sets for name in names})
    hits = {name for name, hit in zip(names, search.matching(term.source, names), strict=True) if hit}
    return np.fromiter((not hits.isdisjoint(names) for names in sets), bool, len(sets)) ^ term.negated
