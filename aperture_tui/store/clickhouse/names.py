"""What hashes stand for: stacks, processes and sets of tags of a tenant as rows of common Symbols, read once and kept.

Past their limit the tables begin anew; what is asked for then is read again.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import FRAME, Frame, Process, Symbols
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.store.clickhouse.inserting import FIELDS, SEPARATOR
from aperture_tui.store.clickhouse.selecting import Conditions
from aperture_tui.store.pruning import Outline, left_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from aperture_tui.store.clickhouse.connection import Connection

_MAX_SYMBOLS: Final = 8_000_000
"""Rows past which the tables begin anew: some 500 MB. The 200,000 stacks of a large fleet have 2.4 million."""
_AT_ONCE: Final = 20_000
"""Hashes that are asked for in one question."""
_MANY: Final = 10_000
"""Hashes from which on an index of their first bits is worth its while."""
_SMALL: Final = 200_000
"""Nodes up to which an outline is made in no time."""
_LATE: Final = 0.001
"""Part of an answer that may be shown in less detail because its stacks are new."""
_UNKNOWN: Final = Frame("(stack not known)", kind=FrameKind.UNKNOWN)
_UNKNOWN_TAGS: Final = ("(tags not known)",)
_TAGS_S: Final = 30.0
"""How long the names of all tags are believed: other aggregators may store some, too."""
_MOST_TAGS: Final = 10_000
_LOADED: Final = 5_000
"""Stacks that are read at a time before anybody asks: whoever does waits for no more."""
_BY_SQL: Final = {"max_execution_time": 30}


class _Known:
    """Hash -> row: sorted arrays, and where in them the hashes with the same first bits begin."""

    def __init__(self) -> None:
        self._hashes = np.zeros(1, np.uint64)
        self._rows = np.zeros(1, np.uint32)
        self._first: tuple[np.uint64, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def rows(self) -> NDArray[np.uint32]:
        """(n,): of all hashes."""
        return self._rows

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """(n,): rows; (n,): whether they are known."""
        place = self._places(hashes)
        return self._rows[place], self._hashes[place] == hashes

    def add(self, hashes: NDArray[np.uint64], rows: NDArray[np.integer]) -> None:
        """Hashes that are not known yet."""
        order = np.argsort(hashes)
        place = np.searchsorted(self._hashes, hashes[order])
        self._hashes = np.insert(self._hashes, place, hashes[order])
        self._rows = np.insert(self._rows, place, rows[order].astype(np.uint32))
        self._first = None

    def _places(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,): where each hash is, if it is anywhere. Of many in no order six times as fast as a search for each."""
        last = len(self._hashes) - 1
        if len(hashes) < _MANY:
            return np.minimum(np.searchsorted(self._hashes, hashes), last)
        if self._first is None:
            bits = max(1, last.bit_length())
            shift = np.uint64(64 - bits)
            self._first = shift, np.searchsorted(self._hashes, np.arange(1 << bits, dtype=np.uint64) << shift)
        shift, first = self._first
        place: NDArray[np.int64] = np.minimum(first[hashes >> shift], last)
        rows = np.flatnonzero(self._hashes[place] < hashes)
        while len(rows):
            rows = rows[place[rows] < last]
            place[rows] += 1
            rows = rows[self._hashes[place[rows]] < hashes[rows]]
        return place


@dataclass
class _Held:
    """outline: of the stacks when there were `outlined` of them. renewing: somebody makes a newer one."""

    symbols: Symbols = field(default_factory=Symbols)
    stacks: _Known = field(default_factory=_Known)
    processes: _Known = field(default_factory=_Known)
    tag_sets: _Known = field(default_factory=_Known)
    outline: Outline | None = None
    outlined: int = 0
    renewing: bool = False


class Names:
    """All methods may be called from any thread; whoever adds rows holds the lock."""

    def __init__(self, connection: Connection, database: str) -> None:
        self._connection, self._database = connection, database
        self._lock = threading.Lock()
        self._held = _Held()
        self._tags_lock = threading.Lock()
        self._tags: tuple[float, tuple[str, ...]] = (-math.inf, ())
        self._loading: threading.Thread | None = None
        self._closed = threading.Event()

    def begin(self) -> Symbols:
        """The tables for an answer; new ones if the former are full."""
        with self._lock:
            if self._held.symbols.size() > _MAX_SYMBOLS:
                self._held = _Held()
            return self._held.symbols

    def pruned(
        self,
        symbols: Symbols,
        stacks: Sequence[NDArray[np.uint32]],
        weights: Sequence[NDArray[np.int64]],
        most: int,
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Call trees, of nodes that `stacks` gave and their weights, with no more than so many nodes in all."""
        parts = self._outline(symbols).pruned(symbols.trie, stacks, weights, most)
        with self._lock:
            for part in parts:
                part.nodes[part.smaller] = left_out(symbols, part.nodes[part.smaller])
            held = self._of(symbols)
            late = sum(part.late for part in parts)
            if late > _LATE * sum(int(part.weights.sum()) for part in parts) and not held.renewing:
                held.renewing = True
                threading.Thread(target=self._renew, args=(held,), name="outline", daemon=True).start()
        return [(part.nodes, part.weights) for part in parts]

    def _outline(self, symbols: Symbols) -> Outline:
        """That of now, or if it takes long to make, of a while ago."""
        with self._lock:
            held = self._of(symbols)
            outline = held.outline
            if outline is not None and (held.outlined == len(held.stacks) or len(symbols.trie) > _SMALL):
                return outline
        return self._outlined(held)

    def _renew(self, held: _Held) -> None:
        try:
            self._outlined(held)
        finally:
            held.renewing = False

    def _outlined(self, held: _Held) -> Outline:
        with self._lock:
            trie, ends = held.symbols.trie, held.stacks.rows
        outline = Outline(trie, ends)
        with self._lock:
            left_out(held.symbols, outline.parting)  # now, or every answer would add a few to what is large
            held.outline, held.outlined = outline, len(ends)
        return outline

    def strings(self, symbols: Symbols, column: pa.ChunkedArray) -> NDArray[np.uint32]:
        """(n,): the ids of a column of texts."""
        coded = column.combine_chunks().dictionary_encode()
        with self._lock:
            ids = np.array([symbols.string(text) for text in coded.dictionary.to_pylist()], np.uint32)
        places = coded.indices.to_numpy(zero_copy_only=False)
        return ids[places] if len(ids) else np.zeros(len(places), np.uint32)

    def processes_by_name(self, symbols: Symbols, column: pa.ChunkedArray) -> NDArray[np.uint32]:
        """(n,): rows of processes of which only the name is told."""
        coded = column.combine_chunks().dictionary_encode()
        with self._lock:
            rows = [symbols.process(Process(0, name=text)) for text in coded.dictionary.to_pylist()]
        places = coded.indices.to_numpy(zero_copy_only=False)
        return np.array(rows, np.uint32)[places] if rows else np.zeros(len(places), np.uint32)

    def stacks(self, symbols: Symbols, hashes: NDArray[np.uint64], services: Sequence[str]) -> NDArray[np.uint32]:
        """(n,): the nodes of stacks, of these services, none for any. One that is not kept is so called.

        Raises StorageError.
        """
        with self._lock:
            known = self._of(symbols).stacks
            nodes, found = known.find(hashes)
            if found.all():
                return nodes
            missing = np.unique(hashes[~found])
        for at in range(0, len(missing), _AT_ONCE):
            self._read_stacks(symbols, missing[at : at + _AT_ONCE], services)
        with self._lock:
            known = self._of(symbols).stacks
            rest = missing[~known.find(missing)[1]]
            if len(rest):
                (node,) = symbols.stacks([[symbols.frame(_UNKNOWN)]])
                known.add(rest, np.full(len(rest), node))
            return known.find(hashes)[0]

    def learn(self, stacks: Sequence[tuple[int, Symbols, int]]) -> None:
        """Stacks that come in with their frames: (hash, symbols, node). They need not be read later."""
        with self._lock:
            held = self._held
            hashes = np.array([value for value, *_ in stacks], np.uint64)
            fresh = np.flatnonzero(~held.stacks.find(hashes)[1])
            paths = [
                [held.symbols.frame(symbols.frame_at(frame)) for frame in symbols.trie.path(node)]
                for _, symbols, node in (stacks[i] for i in fresh.tolist())
            ]
            if paths:
                held.stacks.add(hashes[fresh], held.symbols.stacks(paths))

    def processes(self, symbols: Symbols, hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """(n,): rows of processes; one that is not kept is row 0. Raises StorageError."""
        with self._lock:
            rows, found = self._of(symbols).processes.find(hashes)
            if found.all():
                return rows
            missing = np.unique(hashes[~found])
        for at in range(0, len(missing), _AT_ONCE):
            self._read_processes(symbols, missing[at : at + _AT_ONCE])
        with self._lock:
            rows, found = self._of(symbols).processes.find(hashes)
        return np.where(found, rows, 0).astype(np.uint32)

    def tag_sets(self, symbols: Symbols, hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """(n,): rows of symbols.tag_sets; one that is not kept is so called. Raises StorageError."""
        with self._lock:
            rows, found = self._of(symbols).tag_sets.find(hashes)
            if found.all():
                return rows
            missing = np.unique(hashes[~found])
        where = Conditions()
        where.add_any("tags", "UInt64", missing.tolist())
        sql = f"SELECT tags, names FROM {self._database}.tag_sets WHERE {where.sql} LIMIT 1 BY tags"
        told = dict(self._connection.rows(sql, where.parameters))
        with self._lock:
            known = self._of(symbols).tag_sets
            rest = missing[~known.find(missing)[1]]
            fresh = [symbols.tag_set(told.get(value, _UNKNOWN_TAGS)) for value in rest.tolist()]
            known.add(rest, np.array(fresh, np.uint32))
            return known.find(hashes)[0]

    def tags(self) -> tuple[str, ...]:
        """The names of all tags, sorted; of a little while ago. Raises StorageError."""
        with self._tags_lock:
            at, names = self._tags
            if time.monotonic() - at > _TAGS_S:
                at = time.monotonic()
                sql = f"SELECT DISTINCT arrayJoin(names) AS name FROM {self._database}.tag_sets ORDER BY name"
                names = tuple(name for (name,) in self._connection.rows(f"{sql} LIMIT {_MOST_TAGS}"))
                self._tags = at, names
            return names

    def forget_tags(self) -> None:
        """There are new ones."""
        with self._tags_lock:
            self._tags = (-math.inf, ())

    def _of(self, symbols: Symbols) -> _Held:
        """What is known by these tables: they may have begun anew meanwhile."""
        return self._held if self._held.symbols is symbols else _Held(symbols)

    def load(self) -> None:
        """Begin to read the stacks that are kept, so that nobody has to wait for them."""
        self._loading = threading.Thread(target=self._load, name="names")
        self._loading.start()

    def close(self) -> None:
        """End that."""
        self._closed.set()
        if self._loading is not None:
            self._loading.join()

    def _load(self) -> None:
        """In the order of the table, which has those of a service together, and with them their frames."""
        symbols = self.begin()
        at: tuple[str, int] | None = ("", 0)
        with contextlib.suppress(StorageError):  # whoever needs them will ask again, and be told
            while at is not None and not self._closed.is_set() and symbols.size() < _MAX_SYMBOLS // 2:
                where = Conditions()
                where.add("(service, stack) > ({service:String}, {stack:UInt64})", service=at[0], stack=at[1])
                sql = f"""SELECT service, stack, frames FROM {self._database}.stacks WHERE {where.sql}
                    ORDER BY service, stack LIMIT 1 BY service, stack LIMIT {_LOADED}"""
                table = self._connection.arrow(sql, where.parameters, _BY_SQL)
                self._learn(symbols, table)
                at = (table["service"][-1].as_py(), table["stack"][-1].as_py()) if len(table) else None

    def _read_stacks(self, symbols: Symbols, hashes: NDArray[np.uint64], services: Sequence[str]) -> None:
        where = Conditions()
        if services:
            where.add_any("service", "String", services)
        where.add_any("stack", "UInt64", hashes.tolist())
        sql = f"SELECT stack, frames FROM {self._database}.stacks WHERE {where.sql} LIMIT 1 BY stack"
        self._learn(symbols, self._connection.arrow(sql, where.parameters, _BY_SQL))

    def _learn(self, symbols: Symbols, table: pa.Table) -> None:
        """Rows of `stacks`."""
        found = table["stack"].to_numpy()
        frames = table["frames"].combine_chunks()
        coded = frames.flatten().dictionary_encode()
        lengths = np.diff(frames.offsets.to_numpy()).astype(np.int64)
        with self._lock:
            ids = _frames(symbols, coded.dictionary)
            flat = ids[coded.indices.to_numpy(zero_copy_only=False)] if len(ids) else np.zeros(0, np.uint32)
            known = self._of(symbols).stacks
            nodes = symbols.stack_rows(*_matrix(flat, lengths))
            hashes, first = np.unique(found, return_index=True)
            fresh = ~known.find(hashes)[1]
            known.add(hashes[fresh], nodes[first[fresh]])

    def _read_processes(self, symbols: Symbols, hashes: NDArray[np.uint64]) -> None:
        where = Conditions()
        where.add_any("process", "UInt64", hashes.tolist())
        sql = f"""SELECT process, start_ns, pid, name, cgroup, container FROM {self._database}.processes
            WHERE {where.sql} LIMIT 1 BY process"""
        rows = self._connection.rows(sql, where.parameters)
        with self._lock:
            known = self._of(symbols).processes
            told = np.array([row[0] for row in rows], np.uint64)
            ids = np.array([symbols.process(_process(row[1:])) for row in rows], np.uint32)
            fresh = ~known.find(told)[1]
            known.add(told[fresh], ids[fresh])


def _process(fields: Iterable[object]) -> Process:
    start_ns, pid, name, cgroup, container = fields
    return Process(pid, start_ns, name, cgroup, container)  # type: ignore[arg-type]  # as the columns are


def _frames(symbols: Symbols, texts: pa.StringArray) -> NDArray[np.uint32]:
    """(n,): the frames of `inserting.frame_texts`."""
    import pyarrow.compute as pc

    fields = pc.split_pattern(texts, SEPARATOR, max_splits=len(FIELDS) - 1)
    rows = np.zeros(len(texts), FRAME)
    for place, name in enumerate(FIELDS):
        column = pc.list_element(fields, place)
        if name in ("kind", "line"):
            rows[name] = column.cast("uint32").to_numpy(zero_copy_only=False)
            continue
        coded = column.dictionary_encode()
        ids = np.array([symbols.string(text) for text in coded.dictionary.to_pylist()], np.uint32)
        rows[name] = ids[coded.indices.to_numpy(zero_copy_only=False)] if len(ids) else 0
    return symbols.frame_rows(rows)


def _matrix(flat: NDArray[np.uint32], lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Paths one after the other as rows of a matrix."""
    out = np.zeros((len(lengths), int(lengths.max(initial=0))), np.uint32)
    starts = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    out[row, np.arange(len(flat)) - starts[row]] = flat
    return out, lengths
