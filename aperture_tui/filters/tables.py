"""Symbols in a program's memory: only what is new is written, and a program remembers what it has seen."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters import abi

if TYPE_CHECKING:
    from aperture_tui.profile.symbols import Symbols


class Rows(NamedTuple):
    """Rows of each table; text: bytes of all strings."""

    strings: int
    text: int
    frames: int
    stacks: int
    processes: int


FIRST: Final = Rows(strings=1 << 17, text=8 << 20, frames=1 << 17, stacks=1 << 18, processes=1 << 14)
"""What an arena has room for at first. Pages that nothing is written to cost no memory."""
_NONE: Final = Rows(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies in an arena: offsets from its header, each a multiple of 64.

    batch: verdicts, tags and events of a batch, one behind the other. size: bytes.
    """

    capacity: Rows
    batch: int
    strings: int
    frames: int
    stacks: int
    processes: int
    redacted: int
    text: int
    size: int

    @classmethod
    def of(cls, capacity: Rows) -> Layout:
        """The arena for so many rows."""
        sizes = {
            "batch": abi.MAX_BATCH * (8 + abi.EVENT.itemsize),
            "strings": capacity.strings * abi.STRING.itemsize,
            "frames": capacity.frames * abi.FRAME.itemsize,
            "stacks": capacity.stacks * abi.NODE.itemsize,
            "processes": capacity.processes * abi.PROCESS.itemsize,
            "redacted": capacity.frames,
            "text": capacity.text,
        }
        at, offsets = abi.HEADER.itemsize, {}
        for name, size in sizes.items():
            offsets[name] = at
            at += -(-size // abi.ALIGNMENT) * abi.ALIGNMENT
        return cls(capacity=capacity, size=at, **offsets)


class Update(NamedTuple):
    """What was written. rows: of all tables together. first_frame: from this one on frames are new to the program."""

    rows: int
    first_frame: int


class Seen(NamedTuple):
    """The rows that Symbols have at one moment, and what they are."""

    rows: Rows
    strings: list[bytes]
    frames: NDArray[np.void]
    parent: NDArray[np.int32]
    frame: NDArray[np.uint32]
    processes: NDArray[np.void]


class Tables:
    """What one program's arena holds of Symbols. header: (1,) of HEADER, in which the numbers of rows are kept."""

    def __init__(self, layout: Layout, header: NDArray[np.void]) -> None:
        self.layout = layout
        self.symbols: Symbols | None = None
        self.held = _NONE
        self._size = 0
        self._header = header
        self._counts: list[Any] = [header[name] for name in ("n_strings", "n_frames", "n_stacks", "n_processes")]
        self._generation = header["generation"]

    def news(self, symbols: Symbols) -> Seen | None:
        """What the arena lacks of these Symbols; None if it has it all. Other Symbols than before are all new."""
        same = symbols is self.symbols
        if same and symbols.size() == self._size:  # tables only grow: nothing is new
            return None
        held = self.held if same else _NONE
        # rows before the strings that they name: another thread may be adding both
        trie, frames, processes = symbols.trie, symbols.frames, symbols.processes
        n = len(symbols.strings)
        texts = [text.encode("utf-8", "backslashreplace") for text in symbols.strings[held.strings : n]]
        rows = Rows(n, held.text + sum(map(len, texts)), len(frames), len(trie), len(processes))
        return Seen(
            rows,
            texts,
            frames[held.frames :],
            trie.parent[held.stacks :],
            trie.frame[held.stacks :],
            processes[held.processes :],
        )

    def needed(self, news: Seen) -> Rows | None:
        """The capacity that an arena needs to hold it; None if this one does."""
        capacity = self.layout.capacity
        if all(n <= room for n, room in zip(news.rows, capacity, strict=True)):
            return None
        return Rows(*(_grown(room, n) for n, room in zip(news.rows, capacity, strict=True)))

    def write(self, symbols: Symbols, news: Seen, arena: int) -> Update:
        """Write it, into an arena that has room, at this address."""
        if symbols is not self.symbols:
            self.symbols, self.held = symbols, _NONE
            self._generation += 1
        held, rows, layout = self.held, news.rows, self.layout
        _copy(arena + layout.strings, held.strings, _placed(news.strings, layout.text + held.text))
        text = b"".join(news.strings)
        ctypes.memmove(arena + layout.text + held.text, text, len(text))
        _copy(arena + layout.frames, held.frames, news.frames)
        ctypes.memset(arena + layout.redacted + held.frames, 0, len(news.frames))
        _copy(arena + layout.stacks, held.stacks, _nodes(news))
        _copy(arena + layout.processes, held.processes, news.processes)
        self.held = rows
        self._size = sum(rows) - rows.text
        for count, n in zip(self._counts, (rows.strings, rows.frames, rows.stacks, rows.processes), strict=True):
            count[0] = n
        return Update(self._size - sum(held) + held.text, held.frames)


def _grown(room: int, needed: int) -> int:
    while room < needed:
        room *= 2
    return room


def _placed(texts: list[bytes], at: int) -> NDArray[np.void]:
    """Where each text lies, of those that are put one behind the other from `at` on: (n,) of STRING."""
    out = np.zeros(len(texts), abi.STRING)
    out["length"] = np.fromiter(map(len, texts), np.uint32, len(texts))
    ends = np.cumsum(out["length"], dtype=np.uint64)
    out["offset"] = ends - out["length"] + np.uint64(at)
    return out


def _nodes(news: Seen) -> NDArray[np.void]:
    out = np.zeros(len(news.parent), abi.NODE)
    out["parent"] = np.maximum(news.parent, 0)  # the root's is -1
    out["frame"] = news.frame
    return out


def _copy(table: int, first: int, rows: NDArray[np.void]) -> None:
    """Put rows at their place in a table at this address."""
    data = np.ascontiguousarray(rows)
    ctypes.memmove(table + first * data.itemsize, data.ctypes.data, data.nbytes)
