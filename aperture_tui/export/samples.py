"""A query's events as the files of other profilers want them: summed by process, thread, stack, name and tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.export.names import NO_STACK
from aperture_tui.export.offcpu import RUNNABLE
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.groups import grouped
from aperture_tui.store.selection import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

_UNKNOWN: Final = "[unknown]"
_STEP: Final = 4096
_TOGETHER: Final = ("process", "tid", "thread", "stack", "name", "tags")


@dataclass(frozen=True)
class Samples:
    """Sums of the events that have process, thread, stack, name and tags in common, by process and thread.

    rows: (n,) of EVENT, one event of each; those six columns are true of all that were summed. counts, times_ns: (n,)
    int64, what Measure.COUNT and Measure.TIME count.
    """

    symbols: Symbols
    rows: NDArray[np.void]
    counts: NDArray[np.int64]
    times_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def of_query(store: Store, query: Query) -> Samples:
    """The samples of a query, whatever its measure. Raises re.error."""
    return summed(*store.selected(query))


def summed(symbols: Symbols, events: NDArray[np.void]) -> Samples:
    """The samples of events, (n,) of EVENT."""
    if not len(events):
        return Samples(symbols, events, np.zeros(0, np.int64), np.zeros(0, np.int64))
    groups = grouped([np.ascontiguousarray(events[column]) for column in _TOGETHER])
    rows = events[groups.first]
    order = np.lexsort([rows[column] for column in reversed(_TOGETHER)])
    counts, times_ns = (groups.sums(measured(events, measure))[order] for measure in (Measure.COUNT, Measure.TIME))
    return Samples(symbols, rows[order], counts, times_ns)


def watched(rows: NDArray[np.void], watch: Callable[[float], None]) -> Iterator[np.void]:
    """The rows, (n,). watch: of the store that gave them, told now and then that all is read, so that whoever waits for
    what is made of them can have enough of it.
    """
    for begin in range(0, len(rows), _STEP):
        watch(1.0)
        yield from rows[begin : begin + _STEP]


Place = tuple[int, str]
"""A node of the trie, and what stands below it (`leaf`): equal ones have equal paths."""


class Paths:
    """The stacks of samples in words."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._trie = symbols.trie
        self._frames: dict[int, Frame] = {}

    def place(self, row: np.void) -> Place:
        """What an event's path is known by, cheaper than the path itself."""
        return int(row["stack"]), leaf(int(row["kind"]), self._symbols.strings[row["name"]])

    def path(self, place: Place) -> tuple[Frame, ...]:
        """The frames of a stack, outermost first, without its process; and the leaf. Never empty."""
        frames = [self._frame(frame) for frame in self._trie.path(place[0])]
        frames = [frame for frame in frames if frame.kind is not FrameKind.PROCESS]
        if place[1]:
            frames.append(Frame(place[1], kind=FrameKind.UNKNOWN))
        return tuple(frames) or (Frame(NO_STACK, kind=FrameKind.UNKNOWN),)

    def _frame(self, frame: int) -> Frame:
        if frame not in self._frames:
            self._frames[frame] = self._symbols.frame_at(frame)
        return self._frames[frame]


def leaf(kind: int, name: str) -> str:
    """What stands below the functions of a stack: the system call; `[runnable]` where a thread waited for a CPU."""
    if kind == Kind.SYSCALL:
        return name or _UNKNOWN
    return f"[{RUNNABLE}]" if kind == Kind.OFFCPU and name == RUNNABLE else ""


__all__ = ["Paths", "Place", "Samples", "leaf", "of_query", "summed", "watched"]
