"""Stacks told apart by thread: a frame for the thread stands between its process and the rest of the stack."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.trie import ROOT

_PAIRS: Final = 50_000  # of a thread and a stack: with more, what the last answer had not is let go
_CHUNK: Final = 4096  # stacks that are unfolded into frames at the same time
_HALF: Final = np.uint64(32)


class ThreadStacks:
    """The stacks of one Symbols by thread, in tables of their own. Safe for threads.

    The tables only grow, so that frames and nodes keep their ids from one answer to the next: by them the screens know
    again what they have drawn, and differences are taken. `full` says when to begin anew.
    """

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self._own = Symbols()
        self._lock = threading.Lock()
        self._threads: dict[int, int] = {}  # tid << 32 | name -> frame
        self._frames = np.zeros(0, np.uint32)  # frame of `symbols` -> own frame; 0 for those not met yet
        self._pairs = np.zeros(0, np.uint64)  # thread's frame << 32 | stack of `symbols`, sorted
        self._nodes = np.zeros(0, np.int32)  # the own stack of each
        self._last = 0

    @property
    def full(self) -> bool:
        """Whether it holds far more than what was asked last."""
        return len(self._pairs) > max(_PAIRS, 2 * self._last)

    def tree(self, events: NDArray[np.void], weights: NDArray[np.int64]) -> CallTree:
        """Sum the weights of equal stacks of equal threads. events: (n,) of EVENT; weights: (n,)."""
        threads, which = np.unique(events["tid"].astype(np.uint64) << _HALF | events["thread"], return_inverse=True)
        with self._lock:
            frames = np.array([self._thread(thread) for thread in threads.tolist()], np.uint64)
            pairs, of = np.unique(frames[which] << _HALF | events["stack"], return_inverse=True)
            nodes = self._nodes_of(pairs)
            self._last = len(pairs)
            return CallTree.of_stacks(self._own, nodes[of], weights)

    def _thread(self, thread: int) -> int:
        frame = self._threads.get(thread)
        if frame is None:
            name, tid = self.symbols.strings[thread & 0xFFFFFFFF], thread >> 32
            text = f"{name} {tid or ''}".strip() or "?"
            frame = self._threads[thread] = self._own.frame(Frame(text, kind=FrameKind.THREAD))
        return frame

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
        """(n,): new stacks. Those without any frame, and so without a process, stay so."""
        trie = self.symbols.trie
        at = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        depth = trie.depth[at].astype(np.int64)
        paths = np.zeros((len(pairs), int(depth.max(initial=0)) + 1), np.uint32)
        for up in range(paths.shape[1] - 1):
            rows = np.flatnonzero(depth > up)
            column = depth[rows] - up
            column -= column == 1  # the process stays first: its callee's place is the thread's
            paths[rows, column] = trie.frame[at[rows]]
            at[rows] = trie.parent[at[rows]]
        paths = self._translated(paths)
        paths[:, 1:2] = (pairs >> _HALF).astype(np.uint32)[:, np.newaxis]
        return self._own.stack_rows(paths, np.where(depth > ROOT, depth + 1, 0))

    def _translated(self, frames: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The own ids of frames of `symbols`, in the same shape. What fills the space behind paths, 0, stays 0."""
        met = np.unique(frames)
        more = int(met[-1]) + 1 - len(self._frames)
        if more > 0:
            self._frames = np.append(self._frames, np.zeros(more, np.uint32))
        for frame in met[self._frames[met] == 0].tolist():
            self._frames[frame] = self._own.frame(self.symbols.frame_at(frame))
        return self._frames[frames]
