"""Symbols in blocks: what was added to the tables since the block before, and the tables built up again."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import FRAME, PROCESS, Frame, Process, Symbols

MAX_ROWS: Final = 4_000_000
"""Rows in one table of one generation; a session begins a new one after a quarter of that."""
MAX_TEXT: Final = 64 << 10
"""Bytes of one string that are kept in a recording."""
MAX_DEPTH: Final = 1024
"""Frames of one stack; deeper ones lose their innermost frames when a recording is read."""

_MAX_TEXTS: Final = 256 << 20  # bytes of all strings of one generation
_CHUNK_ROWS: Final = 50_000
_CHUNK_PATHS: Final = 4096
_MAX_STEPS: Final = 64 << 20  # frames in all new stacks of one block together: a hostile trie is deep and wide
_HEAD: Final = struct.Struct("<9I")  # generation; first row and rows of strings, frames, nodes, processes


class Marks(NamedTuple):
    """How many rows of each table are known. Row 0 of each is the same in all tables and never stored."""

    strings: int = 1
    frames: int = 1
    nodes: int = 1
    processes: int = 1


def marks_of(symbols: Symbols) -> Marks:
    """All rows that there are now."""
    return Marks(len(symbols.strings), len(symbols.frames), len(symbols.trie), len(symbols.processes))


def increments(symbols: Symbols, generation: int, known: Marks) -> Iterator[tuple[bytes, Marks]]:
    """Payloads of symbols blocks with the rows beyond `known`, and what is known after each.

    A payload refers only to itself and to those before it.
    """
    end = marks_of(symbols)
    trie, frames, processes = symbols.trie, symbols.frames, symbols.processes
    while known != end:
        # a table waits until the one that it refers to is complete
        strings = _upto(known.strings, end.strings)
        frame = _upto(known.frames, end.frames if strings == end.strings else 0)
        process = _upto(known.processes, end.processes if strings == end.strings else 0)
        node = _upto(known.nodes, end.nodes if frame == end.frames else 0)
        texts = [_cut(text) for text in symbols.strings[known.strings : strings]]
        upto = Marks(strings, frame, node, process)
        payload = b"".join(
            (
                _HEAD.pack(generation, *(n for a, b in zip(known, upto, strict=True) for n in (a, b - a))),
                np.array([len(text) for text in texts], "<u4").tobytes(),
                *texts,
                frames[known.frames : frame].tobytes(),
                trie.parent[known.nodes : node].astype("<u4").tobytes(),
                trie.frame[known.nodes : node].astype("<u4").tobytes(),
                processes[known.processes : process].tobytes(),
            )
        )
        yield payload, upto
        known = upto


def _upto(known: int, end: int) -> int:
    return max(known, min(end, known + _CHUNK_ROWS))


def _cut(text: str) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    return data if len(data) <= MAX_TEXT else data[:MAX_TEXT].decode("utf-8", "ignore").encode()


class _Ids:
    """Growing array of uint32: what a row of the file has become here. Row 0 is 0."""

    def __init__(self) -> None:
        self._rows = np.zeros(256, np.uint32)
        self.n = 1

    @property
    def rows(self) -> NDArray[np.uint32]:
        return self._rows[: self.n]

    def extend(self, new: NDArray[np.uint32]) -> None:
        n = self.n + len(new)
        if n > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros(max(n, 2 * len(self._rows)), np.uint32)])
        self._rows[self.n : n] = new
        self.n = n


class DamagedError(ValueError):
    """Rows that cannot be: out of range, too many, or not the next ones."""


class Tables:
    """The tables of one generation, rebuilt from blocks that are not trusted.

    Rows get new ids where need be (a text that had to be cleaned, a stack that had to be cut); `remapped` gives
    events those. A block that is missing makes all later ones of its generation useless, but not those before.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.symbols = Symbols()
        self._strings, self._frames, self._nodes, self._processes = _Ids(), _Ids(), _Ids(), _Ids()
        self._parents, self._node_frames, self._depths = _Ids(), _Ids(), _Ids()
        self._text_bytes = 0

    @property
    def known(self) -> Marks:
        """How many rows of the file are known."""
        return Marks(self._strings.n, self._frames.n, self._nodes.n, self._processes.n)

    def extend(self, payload: bytes) -> None:
        """Take the rows of a symbols block. Raises DamagedError, with the tables as far as they are good."""
        counts, sections = _sections(payload, self.known)
        if any(known + n > MAX_ROWS for known, n in zip(self.known, counts, strict=True)):
            raise DamagedError("too many symbols")
        lengths, texts, frames, parents, node_frames, processes = sections
        self._add_strings(np.frombuffer(lengths, "<u4"), texts)
        self._add_frames(np.frombuffer(frames, FRAME))
        self._add_nodes(np.frombuffer(parents, "<u4"), np.frombuffer(node_frames, "<u4"))
        self._add_processes(np.frombuffer(processes, PROCESS))

    def remapped(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """The events, (n,) of EVENT, whose ids are all known, with the ids of `symbols`."""
        known = np.ones(len(events), bool)
        columns = {"thread": self._strings, "name": self._strings, "process": self._processes, "stack": self._nodes}
        for column, ids in columns.items():
            known &= events[column] < ids.n
        out = events[known]
        for column, ids in columns.items():
            out[column] = ids.rows[out[column]]
        return out

    def _add_strings(self, lengths: NDArray[np.uint32], texts: bytes) -> None:
        self._text_bytes += len(texts)
        if self._text_bytes > _MAX_TEXTS:
            raise DamagedError("too much text in symbols")
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        ids = [self.symbols.string(texts[a:b]) for a, b in itertools.pairwise([0, *ends])]
        self._strings.extend(np.array(ids, np.uint32))

    def _add_frames(self, rows: NDArray[np.void]) -> None:
        _check(rows, ("function", "module", "file"), self._strings.n)
        words, ids = self.symbols.strings, self._strings.rows
        new = [
            self.symbols.frame(Frame(words[ids[function]], words[ids[module]], words[ids[file]], line, _kind(kind)))
            for function, module, file, line, kind in rows.tolist()
        ]
        self._frames.extend(np.array(new, np.uint32))

    def _add_processes(self, rows: NDArray[np.void]) -> None:
        _check(rows, ("name", "cgroup", "container"), self._strings.n)
        words, ids = self.symbols.strings, self._strings.rows
        new = [
            self.symbols.process(Process(pid, start_ns, words[ids[name]], words[ids[cgroup]], words[ids[container]]))
            for start_ns, pid, name, cgroup, container in rows.tolist()
        ]
        self._processes.extend(np.array(new, np.uint32))

    def _add_nodes(self, parents: NDArray[np.uint32], frames: NDArray[np.uint32]) -> None:
        first, n = self._nodes.n, len(parents)
        if n and ((parents >= np.arange(first, first + n)).any() or (frames >= self._frames.n).any()):
            raise DamagedError("a stack that refers to what is not there")
        if n and not frames.all():
            raise DamagedError("a root inside a stack")
        depth = self._depth_of(parents, first)
        shallow = depth <= MAX_DEPTH
        leaf = shallow.copy()
        inner = parents[shallow].astype(np.int64) - first
        leaf[inner[inner >= 0]] = False
        if int(depth[leaf].sum(dtype=np.int64)) > _MAX_STEPS:
            raise DamagedError("stacks that are too deep and too many")
        self._parents.extend(parents)
        self._node_frames.extend(self._frames.rows[frames])
        self._depths.extend(depth)
        self._nodes.extend(self._interned(first, parents, leaf, shallow))

    def _depth_of(self, parents: NDArray[np.uint32], first: int) -> NDArray[np.uint32]:
        """(n,): the depths of new nodes, the first of which has id `first`."""
        known = self._depths.rows[np.minimum(parents, first - 1)].tolist()
        out: list[int] = []
        for i, parent in enumerate(parents.tolist()):
            out.append((known[i] if parent < first else out[parent - first]) + 1)
        return np.array(out, np.uint32)

    def _interned(
        self, first: int, parents: NDArray[np.uint32], leaf: NDArray[np.bool_], shallow: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        """The nodes of this session for new nodes of the file: (n,). Leaves by their paths, the others above them."""
        new = np.zeros(len(parents), np.uint32)
        leaves = np.flatnonzero(leaf)
        for start in range(0, len(leaves), _CHUNK_PATHS):
            chunk = leaves[start : start + _CHUNK_PATHS]
            new[chunk] = self.symbols.stacks(self._paths(chunk + first))
        trie = self.symbols.trie
        nodes, above = new.tolist(), (parents.astype(np.int64) - first).tolist()
        for i in range(len(nodes) - 1, -1, -1):
            if shallow[i] and above[i] >= 0:
                nodes[above[i]] = int(trie.parent[nodes[i]])
        known = self._nodes.rows
        for i in np.flatnonzero(~shallow).tolist():
            nodes[i] = nodes[above[i]] if above[i] >= 0 else int(known[parents[i]])
        return np.array(nodes, np.uint32)

    def _paths(self, nodes: NDArray[np.int64]) -> list[list[int]]:
        """The frames of nodes of the file, root to leaf, with the ids of `symbols`."""
        lengths = self._depths.rows[nodes].astype(np.int64)
        matrix = np.zeros((len(nodes), int(lengths.max(initial=0))), np.uint32)
        at = nodes.copy()
        for level in range(matrix.shape[1]):
            rows = np.flatnonzero(lengths > level)
            matrix[rows, lengths[rows] - 1 - level] = self._node_frames.rows[at[rows]]
            at[rows] = self._parents.rows[at[rows]]
        return [row[:n].tolist() for row, n in zip(matrix, lengths.tolist(), strict=True)]


def generation_of(payload: bytes) -> int:
    """The generation that a symbols block belongs to. Raises DamagedError."""
    if len(payload) < _HEAD.size:
        raise DamagedError("a short block")
    return int.from_bytes(payload[:4], "little")


def _sections(payload: bytes, known: Marks) -> tuple[Marks, list[bytes]]:
    """Rows of each table, and the bytes of each column. Raises DamagedError unless all fits exactly."""
    if len(payload) < _HEAD.size:
        raise DamagedError("a short block")
    fields = _HEAD.unpack_from(payload)
    if fields[1::2] != known:
        raise DamagedError("symbols before these are missing")
    counts = Marks(*fields[2::2])
    lengths_end = _HEAD.size + 4 * counts.strings
    if lengths_end > len(payload):
        raise DamagedError("a short block")
    text_bytes = int(np.frombuffer(payload[_HEAD.size : lengths_end], "<u4").sum(dtype=np.int64))
    node_bytes = 4 * counts.nodes
    rest = (
        text_bytes,
        FRAME.itemsize * counts.frames,
        node_bytes,
        node_bytes,
        PROCESS.itemsize * counts.processes,
    )
    if lengths_end + sum(rest) != len(payload):
        raise DamagedError("a block of the wrong length")
    edges = np.cumsum([lengths_end, *rest]).tolist()
    pieces = [payload[a:b] for a, b in itertools.pairwise(edges)]
    return counts, [payload[_HEAD.size : lengths_end], *pieces]


def _check(rows: NDArray[np.void], columns: tuple[str, ...], n: int) -> None:
    if any((rows[column] >= n).any() for column in columns):
        raise DamagedError("a row that refers to a string that is not there")


def _kind(kind: int) -> FrameKind:
    """A kind of a later version, or a second root, is unknown here."""
    return FrameKind(kind) if FrameKind.ROOT < kind <= max(FrameKind) else FrameKind.UNKNOWN


__all__ = ["DamagedError", "Marks", "Tables", "generation_of", "increments", "marks_of"]
