"""Names that a filter hides: batches get Symbols of their own, in which they never were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN: Final = "(redacted)"
_DEEPEST: Final = 65_535
_MAX_ROWS: Final = 1_000_000
"""Rows past which our own Symbols begin anew: some 60 MB."""

_Mask = NDArray[np.bool_]


class _Numbers:
    """Rows of one table -> rows of another; 0 for row 0 and for those that have not come over."""

    def __init__(self) -> None:
        self.of = np.zeros(1, np.uint32)

    def missing(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Those among the ids that have not come over, sorted, each once."""
        wanted = np.unique(ids).astype(np.int64)
        if len(wanted) and wanted[-1] >= len(self.of):
            more = max(int(wanted[-1]) + 1, 2 * len(self.of)) - len(self.of)
            self.of = np.append(self.of, np.zeros(more, np.uint32))
        out: NDArray[np.int64] = wanted[(wanted > 0) & (self.of[wanted] == 0)]
        return out

    def bring(self, ids: NDArray[np.integer], one: Callable[[int], int]) -> NDArray[np.uint32]:
        """The other rows of these, (n,), those that are missing made one by one."""
        missing = self.missing(ids)
        self.of[missing] = [one(i) for i in missing.tolist()]
        out: NDArray[np.uint32] = self.of[ids]
        return out


class Redactor:
    """Of one chain. Belongs to the thread that hands its batches to the sinks: a sink may add to their Symbols.

    Nothing is done until a filter first hides a name; from then on all batches have our own Symbols, so that those
    that the sinks hold do not go back and forth.
    """

    def __init__(self) -> None:
        self._source: Symbols | None = None
        self._hidden: _Mask = np.zeros(0, bool)
        self._own = Symbols()
        self._begin()

    def batch(self, batch: Batch, hidden: _Mask | None) -> Batch:
        """The batch without the names of hidden frames: (m,) bool of its first m frames; None hides none."""
        if hidden is None:
            if self._source is None:
                return batch
            hidden = np.zeros(0, bool)
        if batch.symbols is not self._source or self._own.size() > _MAX_ROWS or self._differs(hidden):
            self._source = batch.symbols
            self._own = Symbols()
            self._begin()
        self._hidden = hidden
        return Batch(self._own, self._carried(batch))

    def _begin(self) -> None:
        self._strings, self._frames, self._nodes, self._processes = (_Numbers() for _ in range(4))

    def _differs(self, hidden: _Mask) -> bool:
        """Whether a frame that has come over is hidden now and was not then, or the other way round."""
        if hidden is self._hidden:
            return False
        n = max(len(hidden), len(self._hidden))
        change, here = _padded(hidden, n) != _padded(self._hidden, n), self._frames.of[:n]
        return bool(here[change[: len(here)]].any())

    def _carried(self, batch: Batch) -> NDArray[np.void]:
        source, own, events = batch.symbols, self._own, batch.events
        out = events.copy()
        for name in ("thread", "name"):
            out[name] = self._strings.bring(events[name], lambda i: own.string(source.strings[i]))
        out["process"] = self._processes.bring(events["process"], lambda i: own.process(source.process_at(i)))
        self._bring_stacks(source, events["stack"])
        out["stack"] = self._nodes.of[events["stack"]]
        return out

    def _bring_stacks(self, source: Symbols, stacks: NDArray[np.integer]) -> None:
        trie = source.trie
        levels = [self._nodes.missing(stacks)]
        while len(levels[-1]):
            levels.append(self._nodes.missing(trie.parent[levels[-1]]))
        nodes = np.unique(np.concatenate(levels))
        if not len(nodes):
            return
        frames = self._frames.bring(trie.frame[nodes], lambda i: self._own.frame(self._frame(source, i)))
        parents = trie.parent[nodes]
        place = np.minimum(np.searchsorted(nodes, parents), len(nodes) - 1)
        above = np.where(nodes[place] == parents, place, -1 - self._nodes.of[parents].astype(np.int64))
        self._nodes.of[nodes] = self._own.graft(above, frames, _DEEPEST)

    def _frame(self, source: Symbols, frame: int) -> Frame:
        if frame < len(self._hidden) and self._hidden[frame]:
            return Frame(HIDDEN, kind=FrameKind(int(source.frames[frame]["kind"])))
        return source.frame_at(frame)


def union(masks: list[_Mask]) -> _Mask | None:
    """What any of them hides, each of frames from the first on; None if that is nothing."""
    some = [mask for mask in masks if len(mask) and mask.any()]
    if not some:
        return None
    n = max(map(len, some))
    out: Any = np.logical_or.reduce([_padded(mask, n) for mask in some])
    return np.asarray(out, bool)


def _padded(mask: _Mask, n: int) -> _Mask:
    return mask if len(mask) == n else np.append(mask, np.zeros(n - len(mask), bool))
