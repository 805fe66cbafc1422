"""The append-only tables of a profiling session: strings, frames, stacks, processes, sets of tags.

Every id in an event points here. One thread (the session's collecting thread) appends; other threads read what
was there when they looked: rows are never changed, only added. Past its limit a session starts a new generation:
a fresh Symbols into which a Store moves what its slices still refer to (`Store.rebase`).
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.text import clean
from aperture_tui.profile.trie import FEW, ROOT, StackTable, Trie

_GENERATIONS = itertools.count(1)

_DEEPEST: Final = 65_535
GROWTH_BYTES: Final = 16 << 20
"""What tables gain before a session begins new ones, so that what no event refers to any more does not stay for long.
"""
_NODE_BYTES: Final = 4 + 4 + 2 + 8 + 4  # a stack: parent, frame, depth, key, kid
_ROW_BYTES: Final = 150  # measured: what CPython 3.11 takes for a row's tuple of ids and its entry in a dict
_STRING_BYTES: Final = 60  # measured: a string's place in the list, and its entry in a dict

FRAME: Final = np.dtype([("function", "<u4"), ("module", "<u4"), ("file", "<u4"), ("line", "<u4"), ("kind", "<u4")])
"""One frame: string ids, a line (0 is unknown), a profile.kinds.FrameKind."""

PROCESS: Final = np.dtype(
    [("start_ns", "<u8"), ("pid", "<u4"), ("name", "<u4"), ("cgroup", "<u4"), ("container", "<u4")]
)
"""One process as it was for a while: (pid, start_ns) is the process, the rest may differ from row to row."""


class Frame(NamedTuple):
    """One frame in words. line 0 is unknown; empty strings are unknown or do not apply."""

    function: str
    module: str = ""
    file: str = ""
    line: int = 0
    kind: FrameKind = FrameKind.NATIVE


class Process(NamedTuple):
    """One process in words. start_ns: Unix nanoseconds of its start, 0 if unknown; cgroup "" if unknown."""

    pid: int
    start_ns: int = 0
    name: str = ""
    cgroup: str = ""
    container: str = ""


class _Rows:
    """A growing structured array; readers see the rows that were there when they asked."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._rows = np.zeros(256, dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def view(self) -> NDArray[np.void]:
        return self._rows[: self._n]

    def add(self, row: tuple[int, ...]) -> int:
        if self._n == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._n] = row
        self._n += 1
        return self._n - 1


def _row_ids(table: _Rows, ids: dict[tuple[int, ...], int], rows: NDArray[np.void]) -> NDArray[np.uint32]:
    out = []
    for row in rows.tolist():
        known = ids.get(row)
        if known is None:
            known = ids[row] = table.add(row)
        out.append(known)
    return np.array(out, np.uint32)


MAX_TAG_SETS: Final = 1 << 16
"""Sets of tags with an id: as many as EVENT.tags has room for. What comes when there are so many is OTHER_TAGS."""
OTHER_TAGS: Final = ("(other tags)",)


class Symbols:
    """Strings, frames, stacks, processes and sets of tags with their ids.

    Id 0 is the empty string, the root, no process, no tags.
    """

    def __init__(self) -> None:
        self.generation = next(_GENERATIONS)
        self._strings: list[str] = []
        self._string_ids: dict[str, int] = {}
        self._string_bytes = 0
        self._frames = _Rows(FRAME)
        self._frame_ids: dict[tuple[int, ...], int] = {}
        self._processes = _Rows(PROCESS)
        self._process_ids: dict[tuple[int, ...], int] = {}
        self._stacks = StackTable()
        self._tag_sets: list[tuple[str, ...]] = [()]
        self._tag_set_ids: dict[tuple[str, ...], int] = {(): 0}
        self.string("")
        self.frame(Frame("all", kind=FrameKind.ROOT))
        self.process(Process(0))

    # -- appending

    def string(self, text: str | bytes) -> int:
        """The id of a text, made safe to show (profile.text.clean)."""
        if isinstance(text, bytes):
            text = clean(text)
        known = self._string_ids.get(text)
        if known is not None:
            return known
        safe = clean(text)
        known = self._string_ids.get(safe)
        if known is None:
            known = len(self._strings)
            self._strings.append(safe)
            self._string_ids[safe] = known
            self._string_bytes += sys.getsizeof(safe) + _STRING_BYTES
        return known

    def known_string(self, text: str) -> int:
        """The id of a text that has one; -1 else. For readers."""
        return self._string_ids.get(text, -1)

    def frame(self, frame: Frame) -> int:
        """The id of a frame."""
        row = (
            self.string(frame.function),
            self.string(frame.module),
            self.string(frame.file),
            frame.line,
            int(frame.kind),
        )
        known = self._frame_ids.get(row)
        if known is None:
            known = self._frame_ids[row] = self._frames.add(row)
        return known

    def process(self, process: Process) -> int:
        """The id of a process as it is now."""
        row = (
            process.start_ns,
            process.pid,
            self.string(process.name),
            self.string(process.cgroup),
            self.string(process.container),
        )
        known = self._process_ids.get(row)
        if known is None:
            known = self._process_ids[row] = self._processes.add(row)
        return known

    def tag_set(self, names: Iterable[str]) -> int:
        """The id of a set of tags, in whatever order."""
        tags = tuple(sorted({clean(name) for name in names}))
        if tags not in self._tag_set_ids and len(self._tag_sets) >= MAX_TAG_SETS - 1:
            tags = OTHER_TAGS
        known = self._tag_set_ids.setdefault(tags, len(self._tag_sets))
        if known == len(self._tag_sets):
            self._tag_sets.append(tags)
        return known

    def frame_rows(self, rows: NDArray[np.void]) -> NDArray[np.uint32]:
        """The ids of frames, (n,) of FRAME with strings of these tables: (n,)."""
        return _row_ids(self._frames, self._frame_ids, rows)

    def process_rows(self, rows: NDArray[np.void]) -> NDArray[np.uint32]:
        """The ids of processes, (n,) of PROCESS with strings of these tables: (n,)."""
        return _row_ids(self._processes, self._process_ids, rows)

    def graft(self, above: NDArray[np.int64], frames: NDArray[np.uint32], deepest: int) -> NDArray[np.int32]:
        """The stacks for those of another trie (`StackTable.graft`)."""
        return self._stacks.graft(above, frames, deepest)

    def stacks(self, paths: Sequence[Sequence[int] | NDArray[np.uint32]]) -> NDArray[np.int32]:
        """The stack ids of paths of frame ids, root to leaf: (m,) int32. Equal paths have equal ids."""
        if len(paths) <= FEW:
            return self._stacks.intern_few([np.asarray(path).tolist() for path in paths])
        lengths = np.fromiter((len(p) for p in paths), np.int64, len(paths))
        matrix = np.zeros((len(paths), int(lengths.max(initial=0))), np.uint32)
        for row, path in zip(matrix, paths, strict=True):
            row[: len(path)] = path
        return self.stack_rows(matrix, lengths)

    def stack_rows(self, paths: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The same of paths in one matrix, (m, d), of which row i has lengths[i] frames (`StackTable.intern`)."""
        return self._stacks.intern(paths, lengths)

    # -- reading

    @property
    def strings(self) -> Sequence[str]:
        """All strings by id. Only grows."""
        return self._strings

    @property
    def frames(self) -> NDArray[np.void]:
        """(n,) of FRAME."""
        return self._frames.view()

    @property
    def processes(self) -> NDArray[np.void]:
        """(n,) of PROCESS."""
        return self._processes.view()

    @property
    def tag_sets(self) -> Sequence[tuple[str, ...]]:
        """The names of each set of tags, sorted, by id. Only grows."""
        return self._tag_sets

    @property
    def trie(self) -> Trie:
        """The stacks known now."""
        return self._stacks.view()

    def frame_at(self, frame: int) -> Frame:
        """A frame in words."""
        function, module, file, line, kind = self.frames[frame].item()
        s = self._strings
        return Frame(s[function], s[module], s[file], line, FrameKind(kind))

    def process_at(self, process: int) -> Process:
        """A process in words."""
        start_ns, pid, name, cgroup, container = self.processes[process].item()
        s = self._strings
        return Process(pid, start_ns, s[name], s[cgroup], s[container])

    def matching_frames(self, pattern: str, flags: int = 0) -> NDArray[np.bool_]:
        """(n,) bool: frames whose function, module or file the regular expression matches somewhere.

        Raises re.error. The root never matches.
        """
        search = re.compile(pattern, flags).search
        frames = self.frames
        used = np.unique(np.concatenate([frames["function"], frames["module"], frames["file"]]))
        hits = [i for i in used.tolist() if i and search(self._strings[i])]
        hit = np.zeros(int(used[-1]) + 1, bool)
        hit[hits] = True
        out: NDArray[np.bool_] = hit[frames["function"]] | hit[frames["module"]] | hit[frames["file"]]
        out[0] = False
        return out

    def size(self) -> int:
        """Rows in all tables but that of tags together."""
        return len(self._strings) + len(self._frames) + len(self._stacks) + len(self._processes)

    @property
    def nbytes(self) -> int:
        """Memory held by all tables but that of tags: what a session and a store compare with their limits."""
        rows = len(self._frames) * (FRAME.itemsize + _ROW_BYTES) + len(self._processes) * (
            PROCESS.itemsize + _ROW_BYTES
        )
        return self._string_bytes + rows + len(self._stacks) * _NODE_BYTES


class Remap(NamedTuple):
    """Old id -> new id, one array a table; ids that were not kept map to 0."""

    strings: NDArray[np.uint32]
    stacks: NDArray[np.uint32]
    processes: NDArray[np.uint32]
    tag_sets: NDArray[np.uint16]


def carry(
    old: Symbols,
    new: Symbols,
    strings: Iterable[int],
    stacks: NDArray[np.integer],
    processes: Iterable[int],
    tag_sets: Iterable[int] = (),
) -> Remap:
    """Copy the rows that are still referred to from one generation into the next."""
    string_map = np.zeros(len(old.strings), np.uint32)
    for i in strings:
        string_map[i] = new.string(old.strings[i])
    process_map = np.zeros(len(old.processes), np.uint32)
    for i in processes:
        process_map[i] = new.process(old.process_at(i))
    tag_map = np.zeros(len(old.tag_sets), np.uint16)
    for i in tag_sets:
        tag_map[i] = new.tag_set(old.tag_sets[i])
    return Remap(string_map, _carried_stacks(old, new, stacks), process_map, tag_map)


def _carried_stacks(old: Symbols, new: Symbols, stacks: NDArray[np.integer]) -> NDArray[np.uint32]:
    """(n,): the new node of each old one that is, or that leads to, one of these; 0 for others."""
    trie = old.trie
    kept = np.zeros(len(trie), bool)
    kept[stacks] = True
    for level in trie.levels[:0:-1]:
        kept[trie.parent[level[kept[level]]]] = True
    kept[ROOT] = False
    nodes = np.flatnonzero(kept)
    place = np.full(len(trie), -1, np.int64)  # of the root: it is the new one's as well
    place[nodes] = np.arange(len(nodes))
    frame_map = np.zeros(len(old.frames), np.uint32)
    for frame in np.unique(trie.frame[nodes]).tolist():
        frame_map[frame] = new.frame(old.frame_at(frame))
    out = np.zeros(len(trie), np.uint32)
    out[nodes] = new.graft(place[trie.parent[nodes]], frame_map[trie.frame[nodes]], _DEEPEST)
    return out


__all__ = ["FRAME", "GROWTH_BYTES", "PROCESS", "ROOT", "Frame", "Process", "Remap", "Symbols", "carry"]
