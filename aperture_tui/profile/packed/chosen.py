"""Symbols into blocks: only the rows that events of a generation refer to, each written once, before its first use.

A generation of a file is a stretch that can be read without what is before it: its ids count from 1 again. The tables
of a session have far more rows than any stretch needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.packed.tables import HEAD, MAX_TEXT, Marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aperture_tui.profile.symbols import Symbols

_ROWS: Final = 50_000
_TEXT_BYTES: Final = 8 << 20
"""In one block: it stays far below what a reader takes."""
_FRAME_STRINGS: Final = ("function", "module", "file")
_PROCESS_STRINGS: Final = ("name", "cgroup", "container")


class _New(NamedTuple):
    """Rows for the file, with its ids."""

    texts: list[bytes]
    frames: NDArray[np.void]
    parents: NDArray[np.uint32]
    node_frames: NDArray[np.uint32]
    processes: NDArray[np.void]


class _Numbers:
    """Rows of a session's table -> their rows in the file; 0 for those that are not in it, and for row 0."""

    def __init__(self) -> None:
        self.of = np.zeros(1, np.uint32)
        self.n = 1

    def missing(self, *ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Those among the ids that are not in the file, sorted, each once."""
        wanted = np.unique(np.concatenate(ids)).astype(np.int64)
        if len(wanted) and wanted[-1] >= len(self.of):
            self.of = np.append(self.of, np.zeros(max(int(wanted[-1]) + 1, 2 * len(self.of)) - len(self.of), np.uint32))
        out: NDArray[np.int64] = wanted[(wanted > 0) & (self.of[wanted] == 0)]
        return out

    def give(self, ids: NDArray[np.int64]) -> None:
        """The next numbers, in the order of the ids."""
        self.of[ids] = np.arange(self.n, self.n + len(ids))
        self.n += len(ids)


class Chosen:
    """What one generation of a file holds of a session's Symbols."""

    def __init__(self, symbols: Symbols, generation: int) -> None:
        self.symbols = symbols
        self.generation = generation
        self._strings, self._frames, self._nodes, self._processes = _Numbers(), _Numbers(), _Numbers(), _Numbers()

    def numbered(self, events: NDArray[np.void]) -> tuple[list[bytes], NDArray[np.void]]:
        """Payloads of symbols blocks with what is new, and the events, (n,) of EVENT, with the file's ids."""
        payloads = list(self._new(events))
        out = events.copy()
        out["thread"], out["name"] = self._strings.of[events["thread"]], self._strings.of[events["name"]]
        out["process"], out["stack"] = self._processes.of[events["process"]], self._nodes.of[events["stack"]]
        return payloads, out

    def _new(self, events: NDArray[np.void]) -> Iterator[bytes]:
        trie = self.symbols.trie
        nodes = self._new_nodes(events["stack"])
        frame_ids = self._frames.missing(trie.frame[nodes])
        process_ids = self._processes.missing(events["process"])
        frames, processes = self.symbols.frames[frame_ids], self.symbols.processes[process_ids]
        used = [frames[column] for column in _FRAME_STRINGS] + [processes[column] for column in _PROCESS_STRINGS]
        string_ids = self._strings.missing(events["thread"], events["name"], *used)
        known = Marks(self._strings.n, self._frames.n, self._nodes.n, self._processes.n)
        numbers = (self._strings, string_ids), (self._frames, frame_ids), (self._nodes, nodes)
        for table, ids in (*numbers, (self._processes, process_ids)):
            table.give(ids)
        texts = [_cut(self.symbols.strings[i]) for i in string_ids.tolist()]
        parents, node_frames = self._nodes.of[trie.parent[nodes]], self._frames.of[trie.frame[nodes]]
        frames, processes = self._renumbered(frames, _FRAME_STRINGS), self._renumbered(processes, _PROCESS_STRINGS)
        yield from _payloads(self.generation, known, _New(texts, frames, parents, node_frames, processes))

    def _new_nodes(self, stacks: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The nodes of these stacks, and all above them, that are not in the file: parents come before children."""
        parent = self.symbols.trie.parent
        levels = [self._nodes.missing(stacks)]
        while len(levels[-1]):
            levels.append(self._nodes.missing(parent[levels[-1]]))
        return np.unique(np.concatenate(levels))

    def _renumbered(self, rows: NDArray[np.void], columns: tuple[str, ...]) -> NDArray[np.void]:
        out = rows.copy()
        for column in columns:
            out[column] = self._strings.of[rows[column]]
        return out


def _payloads(generation: int, known: Marks, new: _New) -> Iterator[bytes]:
    """Blocks of limited size. Each refers only to itself and those before it: a table waits for what it refers to."""
    at = Marks(0, 0, 0, 0)
    end = Marks(len(new.texts), len(new.frames), len(new.parents), len(new.processes))
    while at != end:
        string = at.strings + _fitting(new.texts[at.strings : at.strings + _ROWS])
        frame = _upto(at.frames, end.frames, string == end.strings)
        process = _upto(at.processes, end.processes, string == end.strings)
        node = _upto(at.nodes, end.nodes, frame == end.frames)
        upto = Marks(string, frame, node, process)
        rows = (n for first, a, b in zip(known, at, upto, strict=True) for n in (first + a, b - a))
        some = new.texts[at.strings : string]
        yield b"".join(
            (
                HEAD.pack(generation, *rows),
                np.array([len(text) for text in some], "<u4").tobytes(),
                *some,
                new.frames[at.frames : frame].tobytes(),
                new.parents[at.nodes : node].astype("<u4").tobytes(),
                new.node_frames[at.nodes : node].astype("<u4").tobytes(),
                new.processes[at.processes : process].tobytes(),
            )
        )
        at = upto


def _upto(at: int, end: int, ready: bool) -> int:
    return min(end, at + _ROWS) if ready else at


def _fitting(texts: list[bytes]) -> int:
    """How many of them have room in a block; at least one, if there is one."""
    room = int(np.searchsorted(np.cumsum([len(text) for text in texts]), _TEXT_BYTES, "right"))
    return min(len(texts), max(1, room))


def _cut(text: str) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    return data if len(data) <= MAX_TEXT else data[:MAX_TEXT].decode("utf-8", "ignore").encode()
