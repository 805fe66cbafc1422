"""Stacks as a trie: a stack is one node {parent, frame}, so a call tree is this trie and a vector of weights.

The same sorted key array serves to find a node (`intern`) and to list the children of a node, so there is no
dict of a million entries to build, to copy or to collect.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = 0
_LINEAGES = itertools.count(1)
_FRAME_BITS: Final = np.uint64(32)
_FEW: Final = 16
"""Stacks up to which it is faster to intern them one by one (measured at depth 30)."""


@dataclass(frozen=True)
class Trie:
    """An immutable view of the stacks known at one moment; node 0 is the root, and parent < child always.

    parent: (n,) int32, -1 for the root. frame: (n,) uint32. depth: (n,) uint16, 0 for the root.
    keys: (n-1,) uint64, parent << 32 | frame, sorted. kids: (n-1,) int32, the node of each key.
    lineage: views of one growing trie share it, and share node ids.
    """

    parent: NDArray[np.int32]
    frame: NDArray[np.uint32]
    depth: NDArray[np.uint16]
    keys: NDArray[np.uint64]
    kids: NDArray[np.int32]
    lineage: int

    def __len__(self) -> int:
        return len(self.parent)

    @cached_property
    def first_child(self) -> NDArray[np.int64]:
        """(n+1,): the children of node i are kids[first_child[i]:first_child[i + 1]], by frame id."""
        counts = np.bincount(self.parent[1:], minlength=len(self))
        out = np.zeros(len(self) + 1, np.int64)
        np.cumsum(counts, out=out[1:])
        return out

    @cached_property
    def levels(self) -> list[NDArray[np.int64]]:
        """The nodes of each depth, root first."""
        order = np.argsort(self.depth, kind="stable")
        edges = np.searchsorted(self.depth[order], np.arange(int(self.depth.max()) + 2))
        return [order[a:b] for a, b in itertools.pairwise(edges)]

    def children(self, node: int) -> NDArray[np.int32]:
        """The children of a node, by frame id."""
        low, high = np.searchsorted(self.keys, np.array([node, node + 1], np.uint64) << _FRAME_BITS)
        return self.kids[low:high]

    def path(self, node: int) -> list[int]:
        """The frames from the root's first child to this node."""
        out = []
        while node > ROOT:
            out.append(int(self.frame[node]))
            node = int(self.parent[node])
        return out[::-1]

    def find(self, path: list[int]) -> tuple[int, int]:
        """The node reached by following these frames from the root, and how many of them were found."""
        node = ROOT
        for found, frame in enumerate(path):
            key = np.uint64(node << 32 | frame)
            at = int(np.searchsorted(self.keys, key))
            if at == len(self.keys) or self.keys[at] != key:
                return node, found
            node = int(self.kids[at])
        return node, len(path)

    def spread(self, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n,) bool: the nodes that are on, and all their descendants."""
        out = on.copy()
        for nodes in self.levels[1:]:
            out[nodes] |= out[self.parent[nodes]]
        return out


class StackTable:
    """The growing trie. One thread interns; any thread may take a `view`."""

    def __init__(self, capacity: int = 1024) -> None:
        self._parent = np.full(capacity, -1, np.int32)
        self._frame = np.zeros(capacity, np.uint32)
        self._depth = np.zeros(capacity, np.uint16)
        lineage = next(_LINEAGES)
        self._view = self._cut(1, np.zeros(0, np.uint64), np.zeros(0, np.int32), lineage)

    def __len__(self) -> int:
        return len(self._view)

    def view(self) -> Trie:
        """The stacks known now; cheap, and never changed afterwards."""
        return self._view

    def intern(self, paths: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The node of each stack, new nodes made as needed.

        paths: (m, d) frame ids, root to leaf, whatever stands beyond a stack's length is ignored.
        lengths: (m,), each at most d and at most 65,535. Returns (m,) node ids; an empty stack is the root.

        Level by level over all stacks at once: a new node's key can only be new on its own level, so the known
        keys are searched as they were, and are extended once at the end.
        """
        if len(paths) <= _FEW:
            return self._intern_few([path[:n].tolist() for path, n in zip(paths, lengths.tolist(), strict=True)])
        old = self._view
        at = np.zeros(len(paths), np.int64)
        n = len(old)
        fresh: list[NDArray[np.uint64]] = []
        for level in range(int(lengths.max(initial=0))):
            rows = np.flatnonzero(lengths > level)
            keys, inverse = np.unique(
                at[rows].astype(np.uint64) << _FRAME_BITS | paths[rows, level], return_inverse=True
            )
            place = np.minimum(np.searchsorted(old.keys, keys), max(len(old.keys) - 1, 0))
            known = old.keys[place] == keys if len(old.keys) else np.zeros(len(keys), bool)
            nodes = np.empty(len(keys), np.int64)
            nodes[known] = old.kids[place[known]]
            new = keys[~known]
            nodes[~known] = np.arange(n, n + len(new))
            n += len(new)
            if len(new):
                fresh.append(new)
            at[rows] = nodes[inverse]
        if fresh:
            self._append(np.concatenate(fresh), [len(keys) for keys in fresh])
        return at.astype(np.int32)

    def _intern_few(self, paths: list[list[int]]) -> NDArray[np.int32]:
        """The same, stack by stack: fewer array operations where there is little to do at once."""
        old = self._view
        made: dict[int, int] = {}
        nodes = np.empty(len(paths), np.int32)
        for i, path in enumerate(paths):
            node, found = old.find(path)
            for frame in path[found:]:
                node = made.setdefault(node << 32 | frame, len(old) + len(made))
            nodes[i] = node
        if made:
            self._append(np.fromiter(made, np.uint64, len(made)), [1] * len(made))
        return nodes

    def _append(self, keys: NDArray[np.uint64], counts: list[int]) -> None:
        """Make the nodes of these keys, in order, counts[i] of them one level below the one before."""
        old = self._view
        n = len(old) + len(keys)
        self._reserve(n)
        nodes = np.arange(len(old), n, dtype=np.int32)
        self._parent[nodes] = (keys >> _FRAME_BITS).astype(np.int32)
        self._frame[nodes] = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        start = len(old)
        for count in counts:
            self._depth[start : start + count] = self._depth[self._parent[start : start + count]] + 1
            start += count
        order = np.argsort(keys)
        place = np.searchsorted(old.keys, keys[order])
        self._view = self._cut(
            n, np.insert(old.keys, place, keys[order]), np.insert(old.kids, place, nodes[order]), old.lineage
        )

    def _reserve(self, n: int) -> None:
        if n <= len(self._parent):
            return
        capacity = max(n, len(self._parent) * 2)
        for name in ("_parent", "_frame", "_depth"):
            old = getattr(self, name)
            grown = np.zeros(capacity, old.dtype)
            grown[: len(self)] = old[: len(self)]
            setattr(self, name, grown)

    def _cut(self, n: int, keys: NDArray[np.uint64], kids: NDArray[np.int32], lineage: int) -> Trie:
        arrays = self._parent[:n], self._frame[:n], self._depth[:n]
        return Trie(*arrays, keys, kids, lineage)
