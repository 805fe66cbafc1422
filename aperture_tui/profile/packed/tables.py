"""Symbols out of blocks: the tables of a generation built up again. `chosen.py` has the way into them."""

from __future__ import annotations

import itertools
import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import FRAME, PROCESS, Symbols

MAX_ROWS: Final = 4_000_000
"""Rows in all tables of one generation; a session begins a new one after a quarter of that."""
MAX_TEXT: Final = 64 << 10
"""Bytes of one string that are kept in a recording."""
MAX_DEPTH: Final = 1024
"""Frames of one stack; deeper ones lose their innermost frames when a recording is read."""

_MAX_TEXTS: Final = 256 << 20  # bytes of all strings of one generation
HEAD: Final = struct.Struct("<9I")  # generation; first row and rows of strings, frames, nodes, processes


class Marks(NamedTuple):
    """How many rows of each table are known. Row 0 of each is the same in all tables and never stored."""

    strings: int = 1
    frames: int = 1
    nodes: int = 1
    processes: int = 1


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

    def __init__(self, generation: int, symbols: Symbols | None = None, most: int | None = None) -> None:
        """symbols: where the rows go, else tables of their own; equal rows of several generations become one there.

        most: rows of all tables together that are taken, MAX_ROWS if it is not said.
        """
        self._most = MAX_ROWS if most is None else most
        self.generation = generation
        self.symbols = symbols if symbols is not None else Symbols()
        self._strings, self._frames, self._nodes, self._processes = _Ids(), _Ids(), _Ids(), _Ids()
        self._text_bytes = 0

    @property
    def known(self) -> Marks:
        """How many rows of the file are known."""
        return Marks(self._strings.n, self._frames.n, self._nodes.n, self._processes.n)

    def extend(self, payload: bytes) -> None:
        """Take the rows of a symbols block. Raises DamagedError, with the tables as far as they are good."""
        counts, sections = _sections(payload, self.known)
        if sum(self.known) + sum(counts) > self._most:
            raise DamagedError(f"more than {self._most:,} rows of symbols")
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

    def stacks(self, nodes: NDArray[np.uint32]) -> NDArray[np.int32]:
        """(n,): what nodes have become in `symbols`. Raises DamagedError for one that is not known."""
        if (nodes >= self._nodes.n).any():
            raise DamagedError("a stack that is not there")
        return self._nodes.rows[nodes].astype(np.int32)

    def _add_strings(self, lengths: NDArray[np.uint32], texts: bytes) -> None:
        self._text_bytes += len(texts)
        if self._text_bytes > _MAX_TEXTS:
            raise DamagedError("too much text in symbols")
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        ids = [self.symbols.string(texts[a:b]) for a, b in itertools.pairwise([0, *ends])]
        self._strings.extend(np.array(ids, np.uint32))

    def _add_frames(self, rows: NDArray[np.void]) -> None:
        rows = self._with_strings(rows, ("function", "module", "file"))
        kinds = rows["kind"]  # one of a later version, or a second root, is unknown here
        rows["kind"] = np.where((kinds > FrameKind.ROOT) & (kinds <= max(FrameKind)), kinds, FrameKind.UNKNOWN)
        self._frames.extend(self.symbols.frame_rows(rows))

    def _add_processes(self, rows: NDArray[np.void]) -> None:
        self._processes.extend(self.symbols.process_rows(self._with_strings(rows, ("name", "cgroup", "container"))))

    def _with_strings(self, rows: NDArray[np.void], columns: tuple[str, ...]) -> NDArray[np.void]:
        """The rows with strings of `symbols`. Raises DamagedError."""
        out = rows.copy()
        for column in columns:
            if (rows[column] >= self._strings.n).any():
                raise DamagedError("a row that refers to a string that is not there")
            out[column] = self._strings.rows[rows[column]]
        return out

    def _add_nodes(self, parents: NDArray[np.uint32], frames: NDArray[np.uint32]) -> None:
        first, n = self._nodes.n, len(parents)
        if n and ((parents >= np.arange(first, first + n)).any() or (frames >= self._frames.n).any()):
            raise DamagedError("a stack that refers to what is not there")
        if n and not frames.all():
            raise DamagedError("a root inside a stack")
        above = parents.astype(np.int64) - first
        outside = above < 0
        above[outside] = -1 - self._nodes.rows[parents[outside]].astype(np.int64)
        self._nodes.extend(self.symbols.graft(above, self._frames.rows[frames], MAX_DEPTH).astype(np.uint32))


def generation_of(payload: bytes) -> int:
    """The generation that a symbols block belongs to. Raises DamagedError."""
    if len(payload) < HEAD.size:
        raise DamagedError("a short block")
    return int.from_bytes(payload[:4], "little")


def _sections(payload: bytes, known: Marks) -> tuple[Marks, list[bytes]]:
    """Rows of each table, and the bytes of each column. Raises DamagedError unless all fits exactly."""
    if len(payload) < HEAD.size:
        raise DamagedError("a short block")
    fields = HEAD.unpack_from(payload)
    if fields[1::2] != known:
        raise DamagedError("symbols before these are missing")
    counts = Marks(*fields[2::2])
    lengths_end = HEAD.size + 4 * counts.strings
    if lengths_end > len(payload):
        raise DamagedError("a short block")
    text_bytes = int(np.frombuffer(payload[HEAD.size : lengths_end], "<u4").sum(dtype=np.int64))
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
    return counts, [payload[HEAD.size : lengths_end], *pieces]


__all__ = ["HEAD", "MAX_TEXT", "DamagedError", "Marks", "Tables", "generation_of"]
