"""Which events a query selects: masks over arrays of events and over the rows of Symbols. Pure but for one cache."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import ROLE_SHIFT, Role
from aperture_tui.profile.query import Measure, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aperture_tui.profile.symbols import Symbols

LONGEST_NS: Final = 1 << 57
"""4.6 years: a longer duration of one event is not believed, so that sums over 63 bits stay true. A thousand threads
that have all been waiting for a day are 2.7 years together."""
_PATTERNS: Final = 32  # the patterns whose matches are remembered


def measured(events: NDArray[np.void], measure: Measure) -> NDArray[np.int64]:
    """(n,) int64: what each event weighs in a measure. events: (n,) of EVENT, or of `compaction.COMPACT`."""
    if measure is Measure.COUNT:
        return events["weight"].astype(np.int64)
    if events.dtype["duration_ns"] == np.int64:  # sums of what was believed
        return events["duration_ns"].astype(np.int64)
    weights: NDArray[np.int64] = np.minimum(events["duration_ns"], np.uint64(LONGEST_NS)).astype(np.int64)
    return weights


def in_cgroup(path: str, cgroup: str) -> bool:
    """Whether a path is this cgroup or lies below it. An unknown path ("") lies nowhere."""
    top = cgroup.rstrip("/")
    return path != "" and (path == top or path.startswith(top + "/"))


def process_rows(symbols: Symbols, query: Query) -> NDArray[np.bool_] | None:
    """(n,) bool over symbols.processes: the rows that the query lets pass; None if it lets all pass."""
    rows = symbols.processes
    checks = []
    if (name := query.process) is not None:
        checks.append(_rows_with(symbols, rows["name"], lambda text: text == name))
    if (cgroup := query.cgroup) is not None:
        checks.append(_rows_with(symbols, rows["cgroup"], lambda text: in_cgroup(text, cgroup)))
    if query.process_start_ns is not None:
        checks.append(rows["start_ns"] == query.process_start_ns)
    return np.logical_and.reduce(checks) if checks else None


def tag_set_rows(symbols: Symbols, query: Query) -> NDArray[np.bool_] | None:
    """(n,) bool over symbols.tag_sets: those that the query lets pass; None if it lets all pass."""
    if not query.tags and not query.without_tags:
        return None
    wanted, unwanted = set(query.tags), set(query.without_tags)
    sets = list(symbols.tag_sets)
    passing = ((not wanted or not wanted.isdisjoint(names)) and unwanted.isdisjoint(names) for names in sets)
    return np.fromiter(passing, bool, len(sets))


def _rows_with(symbols: Symbols, column: NDArray[np.uint32], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    """(n,) bool: the rows whose string passes a test; each string is tested once."""
    hit = [i for i in np.unique(column).tolist() if test(symbols.strings[i])]
    return np.isin(column, np.array(hit, np.uint32))


class FrameSearch:
    """Stacks that hold a frame matching a regular expression; a text once searched is not searched again.

    The answers are those of Symbols.matching_frames and CallTree.filtered. Safe for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits: dict[tuple[int, str], NDArray[np.bool_]] = {}

    def frames(self, symbols: Symbols, pattern: str) -> NDArray[np.bool_]:
        """(n,) bool by frame id. Raises re.error."""
        frames = symbols.frames
        hit = self.strings(symbols, pattern).copy()
        hit[0] = False  # no text at all matches nothing
        out: NDArray[np.bool_] = hit[frames["function"]] | hit[frames["module"]] | hit[frames["file"]]
        out[0] = False
        return out

    def nodes(self, symbols: Symbols, pattern: str) -> NDArray[np.bool_]:
        """(n,) bool by stack node. Raises re.error."""
        trie = symbols.trie
        return trie.spread(self.frames(symbols, pattern)[trie.frame])

    def check(self, pattern: str | None) -> None:
        """Raises re.error for what cannot be searched for."""
        if pattern is not None:
            self.matching(pattern, [""])

    def matching(self, pattern: str, texts: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) bool: the texts in which the pattern is found. Raises re.error."""
        search = re.compile(pattern).search
        return np.fromiter((search(text) is not None for text in texts), bool, len(texts))

    def strings(self, symbols: Symbols, pattern: str) -> NDArray[np.bool_]:
        """(n,) bool by string id. Raises re.error."""
        key = symbols.generation, pattern
        with self._lock:
            known = self._hits.pop(key, np.zeros(0, bool))
        new = symbols.strings[len(known) :]
        hit = np.concatenate([known, self.matching(pattern, new)])
        with self._lock:
            self._hits[key] = hit
            while len(self._hits) > _PATTERNS:
                del self._hits[next(iter(self._hits))]
        return hit


def event_mask(
    events: NDArray[np.void],
    query: Query,
    processes: NDArray[np.bool_] | None,
    nodes: NDArray[np.bool_] | None,
    name: int | None,
    tag_sets: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """(n,) bool: the events that the query selects.

    processes: `process_rows`. nodes: (m,) bool by stack node, None if the query has no frame.
    name: the string of the query's name, -1 if no event can have it, None if the query has none. tag_sets:
    `tag_set_rows`.
    """
    keep = _of_role(events, query.role)
    if query.start_ns is not None and query.start_ns > 0:
        keep &= events["time_ns"] >= min(query.start_ns, (1 << 64) - 1)
    if query.end_ns is not None and query.end_ns < 1 << 64:
        keep &= events["time_ns"] < max(query.end_ns, 0)
    for column, wanted in (("pid", query.pids), ("tid", query.tids)):
        if wanted:
            keep &= np.isin(events[column], np.array([i for i in wanted if 0 <= i < 1 << 32], np.uint32))
    if name is not None:
        keep &= events["name"] == name if name >= 0 else False
    if query.value is not None:
        keep &= events["value"] == query.value if 0 <= query.value < 1 << 64 else False
    if processes is not None:
        keep &= processes[events["process"]]
    if nodes is not None:
        keep &= nodes[events["stack"]]
    if tag_sets is not None:
        keep &= tag_sets[events["tags"]]
    return keep


def newest_word(views: Iterable[NDArray[np.void]], start_ns: int, end_ns: int) -> int:
    """When it was last told, in this half-open range, what of one kind was in flight, for whomever; 0 for never.

    views: arrays of EVENT of that kind. To be asked before anything else narrows a query: of a process that has nothing
    in flight any more nothing is told, and its last word is not true for that.
    """
    newest = 0
    for events in views:
        times = events["time_ns"][_of_role(events, Role.IN_FLIGHT)]
        newest = max(newest, int(times[(times >= max(start_ns, 0)) & (times < max(end_ns, 0))].max(initial=0)))
    return newest


def _of_role(events: NDArray[np.void], role: Role) -> NDArray[np.bool_]:
    of_role: NDArray[np.bool_] = (events["flags"] >> np.uint16(ROLE_SHIFT) & np.uint16(3)) == role
    return of_role
