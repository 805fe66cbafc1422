"""What hashes stand for: stacks and processes of a tenant as rows of common Symbols, read once and kept.

Past their limit the tables begin anew; what is asked for then is read again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.clickhouse.inserting import frame_fields
from aperture_tui.store.clickhouse.selecting import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from aperture_tui.store.clickhouse.connection import Connection

_MAX_SYMBOLS: Final = 8_000_000
"""Rows past which the tables begin anew: some 500 MB. The 200,000 stacks of a large fleet have 2.4 million."""
_AT_ONCE: Final = 20_000
"""Hashes that are asked for in one question."""
_UNKNOWN: Final = Frame("(stack not known)", kind=FrameKind.UNKNOWN)
_BY_SQL: Final = {"max_execution_time": 30}


class _Known:
    """Hash -> row: sorted arrays, and a few of late."""

    def __init__(self) -> None:
        self._hashes = np.zeros(1, np.uint64)
        self._rows = np.zeros(1, np.uint32)

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """(n,): rows; (n,): whether they are known."""
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return self._rows[place], self._hashes[place] == hashes

    def add(self, hashes: NDArray[np.uint64], rows: NDArray[np.integer]) -> None:
        """Hashes that are not known yet."""
        order = np.argsort(hashes)
        place = np.searchsorted(self._hashes, hashes[order])
        self._hashes = np.insert(self._hashes, place, hashes[order])
        self._rows = np.insert(self._rows, place, rows[order].astype(np.uint32))


class _Held(NamedTuple):
    symbols: Symbols
    stacks: _Known
    processes: _Known


class Names:
    """All methods may be called from any thread; whoever adds rows holds the lock."""

    def __init__(self, connection: Connection, database: str) -> None:
        self._connection, self._database = connection, database
        self._lock = threading.Lock()
        self._held = _Held(Symbols(), _Known(), _Known())

    def begin(self) -> Symbols:
        """The tables for an answer; new ones if the former are full."""
        with self._lock:
            if self._held.symbols.size() > _MAX_SYMBOLS:
                self._held = _Held(Symbols(), _Known(), _Known())
            return self._held.symbols

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """While somebody else adds to the tables of an answer."""
        with self._lock:
            yield

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

    def _of(self, symbols: Symbols) -> _Held:
        """What is known by these tables: they may have begun anew meanwhile."""
        return self._held if self._held.symbols is symbols else _Held(symbols, _Known(), _Known())

    def _read_stacks(self, symbols: Symbols, hashes: NDArray[np.uint64], services: Sequence[str]) -> None:
        where = Conditions()
        if services:
            where.add_any("service", "String", services)
        where.add_any("stack", "UInt64", hashes.tolist())
        sql = f"SELECT stack, frames FROM {self._database}.stacks WHERE {where.sql} LIMIT 1 BY stack"
        table = self._connection.arrow(sql, where.parameters, _BY_SQL)
        found = table["stack"].to_numpy()
        frames = table["frames"].combine_chunks()
        coded = frames.flatten().dictionary_encode()
        lengths = np.diff(frames.offsets.to_numpy())
        with self._lock:
            ids = np.array([_frame(symbols, text) for text in coded.dictionary.to_pylist()], np.uint32)
            flat = ids[coded.indices.to_numpy(zero_copy_only=False)] if len(ids) else np.zeros(0, np.uint32)
            known = self._of(symbols).stacks
            nodes = symbols.stack_rows(*_matrix(flat, lengths.astype(np.int64)))
            fresh = ~known.find(found)[1]
            known.add(found[fresh], nodes[fresh])

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


def _frame(symbols: Symbols, text: str) -> int:
    kind, line, function, module, file = frame_fields(text)
    return symbols.frame(Frame(function, module, file, int(line), FrameKind(int(kind))))


def _matrix(flat: NDArray[np.uint32], lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Paths one after the other as rows of a matrix."""
    out = np.zeros((len(lengths), int(lengths.max(initial=0))), np.uint32)
    starts = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    out[row, np.arange(len(flat)) - starts[row]] = flat
    return out, lengths
