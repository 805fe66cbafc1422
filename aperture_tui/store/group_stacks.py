"""Stacks told apart by thread, tags, control group or container: each has one frame more, for its thread below its
process, or above all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Group
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import ROOT

GROUPED: Final[dict[Group, tuple[str, ...]]] = {
    Group.PROCESS: (),
    Group.THREAD: ("tid", "thread"),
    Group.TAG: ("tags",),
    Group.CGROUP: ("process",),
    Group.CONTAINER: ("process",),
}
"""The columns that say of which group an event is."""
_PAIRS: Final = 50_000  # of a group and a stack: with more, what the last answer had not is let go
_CHUNK: Final = 4096  # stacks that are unfolded into frames at the same time
_HALF: Final = np.uint64(32)


class GroupStacks:
    """The stacks of one Symbols by group, in tables of their own. Safe for threads.

    The tables only grow, so that frames and nodes keep their ids from one answer to the next: by them the screens know
    again what they have drawn, and differences are taken. `full` says when to begin anew.
    """

    def __init__(self, symbols: Symbols, group: Group) -> None:
        """group: not PROCESS."""
        self.symbols = symbols
        self._group = group
        self._by_thread = group is Group.THREAD
        self._own = Symbols()
        self._lock = threading.Lock()
        self._groups: dict[int, int] = {}  # tid << 32 | name, set of tags, or string -> frame
        self._frames = np.zeros(0, np.uint32)  # frame of `symbols` -> own frame; 0 for those not met yet
        self._pairs = np.zeros(0, np.uint64)  # group's frame << 32 | stack of `symbols`, sorted
        self._nodes = np.zeros(0, np.int32)  # the own stack of each
        self._last = 0

    @property
    def full(self) -> bool:
        """Whether it holds far more than what was asked last."""
        return len(self._pairs) > max(_PAIRS, 2 * self._last)

    def tree(self, events: NDArray[np.void], weights: NDArray[np.int64]) -> CallTree:
        """Sum the weights of equal stacks of equal groups. events: (n,) of EVENT; weights: (n,)."""
        each = self._of(events)
        groups, which = np.unique(each, return_inverse=True)
        with self._lock:
            frames = np.array([self._frame(group) for group in groups.tolist()], np.uint64)
            pairs, of = np.unique(frames[which] << _HALF | events["stack"], return_inverse=True)
            nodes = self._nodes_of(pairs)
            self._last = len(pairs)
            return CallTree.of_stacks(self._own, nodes[of], weights)

    def _of(self, events: NDArray[np.void]) -> NDArray[np.uint64]:
        """(n,): the group of each event."""
        if self._by_thread:
            thread: NDArray[np.uint64] = events["tid"].astype(np.uint64) << _HALF | events["thread"]
            return thread
        if self._group is Group.TAG:
            tags: NDArray[np.uint64] = events["tags"].astype(np.uint64)
            return tags
        place: NDArray[np.uint32] = self.symbols.processes[self._group.name.lower()]
        places: NDArray[np.uint64] = place[events["process"]].astype(np.uint64)
        return places

    def _frame(self, group: int) -> int:
        frame = self._groups.get(group)
        if frame is None:
            frame = self._groups[group] = self._own.frame(self._words(group))
        return frame

    def _words(self, group: int) -> Frame:
        if self._by_thread:
            return _thread(self.symbols, group)
        if self._group is Group.TAG:
            return _tagged(self.symbols.tag_sets[group])
        what = self._group.name.lower()
        name = self.symbols.strings[group]
        return Frame(f"{what}: {name}" if name else f"no {what} known", kind=FrameKind.TAG)

    def _nodes_of(self, pairs: NDArray[np.uint64]) -> NDArray[np.int32]:
        """(n,): the own stacks of sorted pairs, made as needed."""
        place = np.searchsorted(self._pairs, pairs)
        new = np.ones(len(pairs), bool)
        held = place < len(self._pairs)
        new[held] = self._pairs[place[held]] != pairs[held]
        if new.any():
            made = [self._made(chunk) for chunk in np.split(pairs[new], range(_CHUNK, np.count_nonzero(new), _CHUNK))]
            self._pairs = np.insert(self._pairs, place[new], pairs[new])
            self._nodes = np.insert(self._nodes, place[new], np.concatenate(made))
            place = np.searchsorted(self._pairs, pairs)
        return self._nodes[place]

    def _made(self, pairs: NDArray[np.uint64]) -> NDArray[np.int32]:
        """(n,): new stacks. By thread those without any frame, and so without a process, stay so."""
        trie = self.symbols.trie
        at = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        depth = trie.depth[at].astype(np.int64)
        paths = np.zeros((len(pairs), int(depth.max(initial=0)) + 1), np.uint32)
        for up in range(paths.shape[1] - 1):
            rows = np.flatnonzero(depth > up)
            column = depth[rows] - up
            if self._by_thread:
                column -= column == 1  # the process stays first: its callee's place is the thread's
            paths[rows, column] = trie.frame[at[rows]]
            at[rows] = trie.parent[at[rows]]
        paths = self._translated(paths)
        at_column = int(self._by_thread)
        paths[:, at_column : at_column + 1] = (pairs >> _HALF).astype(np.uint32)[:, np.newaxis]
        without = ROOT if self._by_thread else ROOT - 1
        return self._own.stack_rows(paths, np.where(depth > without, depth + 1, 0))

    def _translated(self, frames: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The own ids of frames of `symbols`, in the same shape. What fills the space behind paths, 0, stays 0."""
        met = np.unique(frames)
        more = int(met[-1]) + 1 - len(self._frames)
        if more > 0:
            self._frames = np.append(self._frames, np.zeros(more, np.uint32))
        for frame in met[self._frames[met] == 0].tolist():
            self._frames[frame] = self._own.frame(self.symbols.frame_at(frame))
        return self._frames[frames]


def _thread(symbols: Symbols, thread: int) -> Frame:
    name, tid = symbols.strings[thread & 0xFFFFFFFF], thread >> 32
    return Frame(f"{name} {tid or ''}".strip() or "?", kind=FrameKind.THREAD)


def _tagged(names: Sequence[str]) -> Frame:
    return Frame(f"tag: {', '.join(names)}" if names else "untagged", kind=FrameKind.TAG)
