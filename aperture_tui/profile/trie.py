"""Stacks as a trie: a stack is one node {parent, frame}, so a call tree is this trie and a vector of weights.

The same sorted key array serves to find a node (`intern`) and to list the children of a node, so there is no
dict of a million entries to build, to copy or to collect.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = 0
_LINEAGES = itertools.count(1)
_FRAME_BITS: Final = np.uint64(32)
FEW: Final = 64
"""Stacks up to which it is faster to intern them one by one (measured at depths of 30 to 200)."""
_MAX_SEEN: Final = 20_000


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
            child = self.child(node, frame)
            if child is None:
                return node, found
            node = child
        return node, len(path)

    def child(self, node: int, frame: int) -> int | None:
        """The child of a node by its frame; None if there is none."""
        key = np.uint64(node << 32 | frame)
        at = int(self.keys.searchsorted(key))
        return int(self.kids[at]) if at < len(self.keys) and self.keys[at] == key else None

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
        self._seen: dict[int, int] = {}  # node << 32 | frame -> child, of stacks that came few at a time
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
        if len(paths) <= FEW:
            return self.intern_few([path[:n].tolist() for path, n in zip(paths, lengths.tolist(), strict=True)])
        old = self._view
        at = np.zeros(len(paths), np.int64)
        n = len(old)
        fresh: list[NDArray[np.uint64]] = []
        for level in range(int(lengths.max(initial=0))):
            rows = np.flatnonzero(lengths > level)
            keys, inverse = np.unique(
                at[rows].astype(np.uint64) << _FRAME_BITS | paths[rows, level], return_inverse=True
            )
            nodes = self._found(old, keys)
            new = keys[nodes < 0]
            nodes[nodes < 0] = np.arange(n, n + len(new))
            n += len(new)
            fresh.append(new)
            at[rows] = nodes[inverse]
        if n > len(old):
            depths = np.repeat(np.arange(1, len(fresh) + 1, dtype=np.uint16), [len(keys) for keys in fresh])
            self._append(np.concatenate(fresh), depths)
        return at.astype(np.int32)

    def intern_few(self, paths: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """Like `intern`, stack by stack: fewer array operations where there is little to do at once."""
        old, seen = self._view, self._seen
        if len(seen) > _MAX_SEEN:
            seen.clear()
        made: list[int] = []
        depths: list[int] = []
        nodes = np.empty(len(paths), np.int32)
        for i, path in enumerate(paths):
            node = ROOT
            for depth, frame in enumerate(path, 1):
                key = node << 32 | frame
                child = seen.get(key)
                if child is None:
                    child = old.child(node, frame) if node < len(old) else None
                    if child is None:
                        child = len(old) + len(made)
                        made.append(key)
                        depths.append(depth)
                    seen[key] = child
                node = child
            nodes[i] = node
        if made:
            self._append(np.array(made, np.uint64), np.array(depths, np.uint16))
        return nodes

    def graft(self, above: NDArray[np.int64], frames: NDArray[np.uint32], deepest: int) -> NDArray[np.int32]:
        """The nodes for those of another trie, new ones made as needed: (n,).

        above: (n,), the parent of each: the place here of one before it, or -1 less a node of this trie. frames: (n,).
        What is deeper than `deepest`, at most 65,535, becomes its parent. Level by level, as in `intern`.
        """
        old = self._view
        depth = self._depths(above)
        nodes = np.where(above < 0, -1 - above, -1)  # until a node is known, what is above the first
        n, fresh, fresh_depth = len(old), [], []
        order = np.argsort(depth, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(depth[order])) + 1):
            inner = above[rows] >= 0
            parents = nodes[rows]
            parents[inner] = nodes[above[rows][inner]]
            level = int(depth[rows[0]]) if len(rows) else 0
            if level > deepest:
                nodes[rows] = parents
                continue
            keys, inverse = np.unique(parents.astype(np.uint64) << _FRAME_BITS | frames[rows], return_inverse=True)
            found = self._found(old, keys)
            new = keys[found < 0]
            found[found < 0] = np.arange(n, n + len(new))
            n += len(new)
            fresh.append(new)
            fresh_depth.append(np.full(len(new), level, np.uint16))
            nodes[rows] = found[inverse]
        if n > len(old):
            self._append(np.concatenate(fresh), np.concatenate(fresh_depth))
        return nodes.astype(np.int32)

    def _depths(self, above: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,): the depth of each node of `graft`, from its parent down."""
        depth = np.zeros(len(above), np.int64)
        order = np.argsort(above, kind="stable")
        parents = above[order]
        level = np.flatnonzero(above < 0)
        depth[level] = self._view.depth[-1 - above[level]].astype(np.int64) + 1
        while len(level):
            first = np.searchsorted(parents, level)
            many = np.searchsorted(parents, level, "right") - first
            owner = np.repeat(np.arange(len(level)), many)
            place = np.arange(len(owner)) - np.repeat(np.cumsum(many) - many, many) + first[owner]
            kids = order[place]
            depth[kids] = depth[level[owner]] + 1
            level = kids
        return depth

    @staticmethod
    def _found(old: Trie, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,): the nodes of these keys; -1 for those that are new."""
        place = np.minimum(np.searchsorted(old.keys, keys), max(len(old.keys) - 1, 0))
        known = old.keys[place] == keys if len(old.keys) else np.zeros(len(keys), bool)
        nodes = np.full(len(keys), -1, np.int64)
        nodes[known] = old.kids[place[known]]
        return nodes

    def _append(self, keys: NDArray[np.uint64], depths: NDArray[np.uint16]) -> None:
        """Make the nodes of these keys, in order."""
        old = self._view
        n = len(old) + len(keys)
        self._reserve(n)
        nodes = np.arange(len(old), n, dtype=np.int32)
        self._parent[nodes] = (keys >> _FRAME_BITS).astype(np.int32)
        self._frame[nodes] = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        self._depth[nodes] = depths
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
