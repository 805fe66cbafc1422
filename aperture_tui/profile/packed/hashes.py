"""The names that stacks, processes and sets of tags have outside of a session: 64-bit hashes of what they say.

A stack's hash is made of its frames' words alone (function, module, file, line, kind), so the same stack has the same
hash on every machine and after every restart. Of ten million stacks two have the same with a chance of 3e-6 (n²/2⁶⁵).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aperture_tui.profile.symbols import Symbols

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)

_Hashes = NDArray[np.uint64]


class StackHashes:
    """The hash of each stack node of some Symbols, found once. 0 is the empty stack's, and no other's.

    Belongs to one thread.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._frames = np.zeros(1, np.uint64)
        self._nodes = np.zeros(1, np.uint64)

    def of(self, nodes: NDArray[np.integer]) -> _Hashes:
        """(n,) for (n,) nodes."""
        if len(self._symbols.trie) > len(self._nodes):
            self._extend()
        out: _Hashes = self._nodes[nodes]
        return out

    def _extend(self) -> None:
        trie = self._symbols.trie
        self._extend_frames()
        known = len(self._nodes)
        self._nodes = np.append(self._nodes, np.zeros(len(trie) - known, np.uint64))
        fresh = np.arange(known, len(trie))
        depth = trie.depth[fresh]
        order = np.argsort(depth, kind="stable")
        for level in np.split(fresh[order], np.flatnonzero(np.diff(depth[order])) + 1):
            self._nodes[level] = mixed(self._nodes[trie.parent[level]], self._frames[trie.frame[level]])

    def _extend_frames(self) -> None:
        strings = self._symbols.strings
        rows = self._symbols.frames[len(self._frames) :].tolist()
        fresh = [_of_words((strings[f], strings[m], strings[p], str(line), str(kind))) for f, m, p, line, kind in rows]
        self._frames = np.append(self._frames, np.array(fresh, np.uint64))


def process_hashes(symbols: Symbols, rows: NDArray[np.integer]) -> _Hashes:
    """(n,): of rows of Symbols.processes; 0 for row 0."""
    processes = [symbols.process_at(row) for row in rows.tolist()]
    words = [(str(p.pid), str(p.start_ns), p.name, p.cgroup, p.container) for p in processes]
    hashes = np.array([_of_words(each) for each in words], np.uint64)
    hashes[rows == 0] = 0
    return hashes


def tag_set_hash(names: Iterable[str]) -> int:
    """Of a set of tags, in whatever order; 0 of none."""
    tags = sorted(set(names))
    return _of_words(tags) if tags else 0


def mixed(parents: _Hashes, frames: _Hashes) -> _Hashes:
    """(n,): of a stack from that of the stack above it and that of its last frame (splitmix64's finalizer)."""
    x = parents * _ODD + frames
    x = (x ^ (x >> _S30)) * _FIRST
    x = (x ^ (x >> _S27)) * _SECOND
    x ^= x >> _S31
    x[x == 0] = 1
    return x


def _of_words(words: Iterable[str]) -> int:
    text = "\0".join(words).encode("utf-8", "backslashreplace")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") or 1
