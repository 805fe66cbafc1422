"""Recordings as a Store: what is asked for is read, and no more is held than what was asked for last."""

from __future__ import annotations

import contextlib
import itertools
import resource
import threading
from collections import Counter, OrderedDict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.tags import in_sets
from aperture_tui.profile.text import clean
from aperture_tui.profile.where import OF_MACHINES
from aperture_tui.recording.blocks import MAGIC, BlockType, RecordingError
from aperture_tui.recording.filtered import Pass, filters_told
from aperture_tui.recording.reader import Reader, Words, plausible
from aperture_tui.store.base import Span
from aperture_tui.store.compaction import TooManyError
from aperture_tui.store.held import Held, HeldAnswers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.packed.tables import Tables
    from aperture_tui.profile.query import Query

SUFFIX: Final = ".aperture"
_HELD_BYTES: Final = 32 << 20
"""Of events that were read, the last used last to go."""
_HELD_TABLES: Final = 8
"""Generations of which it is known what became of their ids: a minute of a busy machine has two or three."""
_MAX_SYMBOLS: Final = 1_000_000
"""Rows of symbols past which those that are held are let go of before the next question, unless one needs as many."""
_MOST_SYMBOLS: Final = 4_000_000
_MOST_TEXT: Final = 256 << 20
"""Rows of symbols, and characters in them, that one question may need."""
_MAX_GAUGES: Final = 4096
"""Readings of the host in an answer: of more every so manieth."""
_GAUGES_READ: Final = 16 * _MAX_GAUGES
_MAX_HOSTS: Final = 16
"""Machines that a file may be of."""
_SPARE_FILES: Final = 64
_LAST_NS: Final = (1 << 63) - 1


class _Blocks(NamedTuple):
    """The blocks of all files: rows, (n,) of INDEX, and for each the number of its file, (n,)."""

    rows: NDArray[np.void]
    file: NDArray[np.int64]

    @property
    def of_events(self) -> NDArray[np.bool_]:
        out: NDArray[np.bool_] = self.rows["type"] == BlockType.EVENTS
        return out


class ReplayStore(HeldAnswers):
    """A Store over recordings, in the order of their beginnings.

    All files are open, and their indexes held; events are read when a question needs them. health: the last words, and
    one of what could not be read so far.

    filters: what all events go through first. The first question about a file has all of it judged.
    """

    def __init__(self, readers: Sequence[Reader], unread: Sequence[str] = (), filters: Recorded | None = None) -> None:
        """readers: at least one; they belong to the store from now on. unread: why other files are left out."""
        super().__init__()
        self.filters = filters
        self._lock = threading.Lock()
        self._readers = sorted(readers, key=_first_ns)
        self._files = tuple(self._readers)
        self._unread = list(unread)
        self._blocks = _Blocks(*_joined(self._files))
        self._hosts = [_hosts_of(reader) for reader in self._readers]
        self._sessions = [_session_of(reader, n) for n, reader in enumerate(self._readers)]
        self._loaded = _Loaded()
        self._limit, self._fresh = _MAX_SYMBOLS, True
        self._span = self._spanned()
        self._kinds = frozenset(np.unique(self._blocks.rows["kind"][self._blocks.rows["events"] > 0]).tolist())
        self._passes = (
            {} if filters is None else {n: Pass(one, filters, self._lock) for n, one in enumerate(self._files)}
        )
        self._passing = threading.Lock()

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            reader.close()

    # -- answering

    def span(self) -> Span:
        """What the files hold; of filtered ones, as far as they are judged, what passed. Its time is that of all."""
        at = self._blocks
        events = int(at.rows["events"][at.of_events].sum(dtype=np.int64))
        return replace(self._span, events=events, bytes=at.rows.nbytes) if self._span.end_ns else self._span

    def kinds(self) -> frozenset[int]:
        """The kinds of which there are events, or were before they were filtered."""
        return self._kinds

    def newest_ns(self) -> int:
        """The end of what is known."""
        rows = self._blocks.rows
        return max(self._span.end_ns, int(rows["end_ns"][rows["type"] == BlockType.GAUGES].max(initial=0)))

    def tags(self) -> tuple[str, ...]:
        """The names of the tags that events may have."""
        with self._lock:
            return tuple(sorted({name for reader in self._readers for name in reader.tags}))

    def hosts(self) -> list[HostFacts]:
        """The machines that the events are from."""
        return list(dict.fromkeys(itertools.chain.from_iterable(self._hosts)))

    def health(self) -> list[Health]:
        """The last word of all collectors, with what was lost in all sessions, of the filters, and the files' own."""
        last = _of_all_sessions(self._last_words())
        filters = self.filters.health() if self.filters is not None else []
        ours = {one.name for one in filters}
        last = [replace(one, name=f"{one.name}, when it was recorded") if one.name in ours else one for one in last]
        with self._lock:
            files = _together([reader.health() for reader in self._files], self._unread)
        names = list(dict.fromkeys(host.name for host in self.hosts()))
        mixed = f"of {len(names)} machines, whose processes are not told apart: {', '.join(names)}"
        said = [files.message, mixed * (len(names) > 1), filters_told([reader.header for reader in self._files])]
        return [*last, *filters, replace(files, message="; ".join(filter(None, said)))]

    def gauges(self, query: Query) -> list[HostSample]:
        """Readings of the host in the query's range, oldest first; of very many, every so manieth."""
        at = self._blocks
        rows = np.flatnonzero((at.rows["type"] == BlockType.GAUGES) & self._in(at, query))
        step = max(1, len(rows) // _MAX_GAUGES)
        start, end = query.start_ns or 0, _LAST_NS if query.end_ns is None else query.end_ns
        each = _GAUGES_READ // max(1, len(rows[::step]))
        readings = [sample for words in self._told(at, rows[::step].tolist()) for sample in words.gauges[:each]]
        return sorted((one for one in readings if start <= one.time_ns < end), key=lambda one: one.time_ns)

    def held(self, *queries: Query) -> list[Held]:
        """The blocks of each query's kind and range, read when they are looked at."""
        if self._passes:
            self._filter(queries)
        with self._lock:
            size = self._loaded.symbols.size()
            if self._fresh:  # what one question needs is no reason to begin anew for the next
                self._limit, self._fresh = max(_MAX_SYMBOLS, 2 * size), False
            if size > self._limit or self._loaded.full:
                self._loaded, self._fresh = _Loaded(), True
            loaded, at = self._loaded, self._blocks
        return [Held(loaded.symbols, self._read(loaded, at, query)) for query in queries]

    def _read(self, loaded: _Loaded, at: _Blocks, query: Query) -> Iterator[NDArray[np.void]]:
        kind = (at.rows["kind"] == query.kind) | (at.rows["kind"] == 0)
        needed = np.flatnonzero(at.of_events & kind & self._in(at, query)).tolist()
        for n, i in enumerate(needed):
            self.watch(n / len(needed))
            with self._lock:
                events = loaded.events(at.file[i], self._readers[at.file[i]], at.rows[i])
            of_kind = events["kind"] == query.kind
            yield events if of_kind.all() else events[of_kind]

    def _filter(self, queries: Sequence[Query]) -> None:
        """Have the filters judge each file that has events in the range of a query, of whatever kind."""
        with self._passing:
            at = self._blocks
            needed = np.logical_or.reduce([at.of_events & self._in(at, query) for query in queries])
            files = sorted(self._passes.keys() & set(at.file[needed].tolist()))
            for n, file in enumerate(files):
                self._take(file, self._passes[file].finish(partial(self._judged, n, len(files))))
                del self._passes[file]

    def _judged(self, before: int, files: int, share: float) -> None:
        self.watch((before + share) / files)

    def _take(self, file: int, passed: Reader) -> None:
        """In place of a file's events those that passed."""
        with self._lock:
            at = self._blocks
            kept = (at.file != file) | ~at.of_events
            rows = passed.rows[passed.rows["type"] == BlockType.EVENTS]
            files = np.append(at.file[kept], np.full(len(rows), len(self._readers)))
            self._blocks = _Blocks(np.concatenate([at.rows[kept], rows]), files)
            self._readers.append(passed)
            self._hosts.append(self._hosts[file])

    def _in(self, at: _Blocks, query: Query) -> NDArray[np.bool_]:
        """(n,): the blocks that may have something of the query's range."""
        start, end = max(query.start_ns or 0, 0), _LAST_NS if query.end_ns is None else max(query.end_ns, 0)
        overlapping: NDArray[np.bool_] = (at.rows["end_ns"] > start) & (at.rows["start_ns"] < end)
        if query.service is not None:
            overlapping[:] = False
        if query.hosts:
            here = [any(host.name in query.hosts for host in hosts) for hosts in self._hosts]
            overlapping &= np.array(here)[at.file]
        if query.where.about(OF_MACHINES):
            here = [any(query.where.takes(name) for name in [h.name for h in hosts] or [""]) for hosts in self._hosts]
            overlapping &= np.array(here)[at.file]
        return overlapping

    def _last_words(self) -> list[Sequence[Health]]:
        """What each session said last, oldest first: its counts go on from one of its files to the next."""
        last: dict[int, Sequence[Health]] = {}
        at = self._blocks
        for i in np.flatnonzero(at.rows["type"] == BlockType.HEALTH)[::-1].tolist():
            session = self._sessions[at.file[i]]
            if session not in last and (words := next(self._told(at, [i]), None)) is not None:
                last[session] = words.health
        return list(last.values())[::-1]

    def _told(self, at: _Blocks, rows: Sequence[int]) -> Iterator[Words]:
        for i in rows:
            with self._lock:
                words = self._readers[at.file[i]].words(at.rows[i])
            if words is not None:
                yield words

    def _spanned(self) -> Span:
        mine = self._blocks.rows[self._blocks.of_events]
        cut_short = not all(reader.complete for reader in self._readers)
        if not len(mine):
            return Span(cut_short=cut_short)
        start = int(mine["start_ns"].min(where=mine["start_ns"] > 0, initial=_LAST_NS))
        end = min(int(mine["end_ns"].max()), _LAST_NS)
        return Span(min(start, end), end, cut_short=cut_short)


class _Loaded:
    """What was read, with common tables. full: a question needed more than they may hold."""

    def __init__(self) -> None:
        self.symbols = Symbols()
        self.full = False
        self._strings = self._characters = 0
        self._tables: OrderedDict[tuple[int, int], Tables] = OrderedDict()
        self._blocks: OrderedDict[tuple[int, int], NDArray[np.void]] = OrderedDict()
        self._bytes = 0

    def events(self, file: int, reader: Reader, row: np.void) -> NDArray[np.void]:
        """The events of a block, (n,) of EVENT. Raises TooManyError."""
        key = file, int(row["offset"])
        events = self._blocks.pop(key, None)
        if events is None:
            found = reader.events(row, self._tables_of(file, reader, int(row["generation"])))
            events = plausible(in_sets(self.symbols, found, reader.tags))
            self._bytes += events.nbytes
        self._blocks[key] = events
        while self._bytes > _HELD_BYTES and len(self._blocks) > 1:
            self._bytes -= self._blocks.popitem(last=False)[1].nbytes
        return events

    def _tables_of(self, file: int, reader: Reader, generation: int) -> Tables:
        tables = self._tables.pop((file, generation), None)
        if tables is None:
            tables = reader.tables(generation, self.symbols)
            self._weigh()
        self._tables[file, generation] = tables
        if len(self._tables) > _HELD_TABLES:
            self._tables.popitem(last=False)
        return tables

    def _weigh(self) -> None:
        new = self.symbols.strings[self._strings :]
        self._strings += len(new)
        self._characters += sum(map(len, new))
        if self.symbols.size() > _MOST_SYMBOLS or self._characters > _MOST_TEXT:
            self.full = True
            raise TooManyError(f"more than {_MOST_SYMBOLS:,} symbols in this range: choose a shorter one")


def is_recording(path: str | Path) -> bool:
    """Whether a file begins as ours do, whole or not. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def replay(path: str | Path, filters: Recorded | None = None) -> ReplayStore:
    """A recording, or all recordings of a folder. Raises RecordingError, or OSError for what cannot be read.

    filters: what all events go through first; of each file then another one is open.
    """
    if not Path(path).is_dir():
        return ReplayStore([Reader(path)], filters=filters)
    files = sorted(Path(path).glob(f"*{SUFFIX}"))
    if not files:
        raise RecordingError(f"{path}: no recordings (*{SUFFIX}) in this folder")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # one is open for each file
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and len(files) * (1 if filters is None else 2) > most - _SPARE_FILES:
        raise RecordingError(
            f"{path}: {len(files):,} recordings, and only {most:,} files may be open: raise ulimit -Hn"
        )
    readers: list[Reader] = []
    unread: list[str] = []
    for file in files:
        try:
            if file.is_fifo():
                raise RecordingError(f"{file}: not a recording of aperture")
            readers.append(Reader(file))
        except (RecordingError, OSError) as error:
            unread.append(str(error) if isinstance(error, RecordingError) else f"{file}: {error.strerror}")
    if not readers:
        raise RecordingError(unread[0])
    return ReplayStore(readers, [clean(line) for line in unread], filters)


def _joined(readers: Sequence[Reader]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    sizes = [len(reader.rows) for reader in readers]
    return np.concatenate([reader.rows for reader in readers]), np.repeat(np.arange(len(sizes)), sizes)


def _hosts_of(reader: Reader) -> list[HostFacts]:
    told = map(reader.words, reader.rows[reader.rows["type"] == BlockType.HOSTS][:_MAX_HOSTS])
    return [host for words in told if words is not None for host in words.hosts][:_MAX_HOSTS]


def _first_ns(reader: Reader) -> int:
    timed = reader.rows["start_ns"][reader.rows["start_ns"] > 0]
    return int(timed.min(initial=_LAST_NS))


def _session_of(reader: Reader, n: int) -> int:
    """What the files that one session wrote have in common: when it began. n: the number of this one."""
    clocks = reader.header.get("clocks")
    began = clocks.get("unix_ns") if isinstance(clocks, dict) else None
    return began if isinstance(began, int) and began > 0 else -n


def _of_all_sessions(words: Sequence[Sequence[Health]]) -> list[Health]:
    """The newest word of each collector, with the counts of all. words: those of each session, oldest first."""
    out: dict[str, Health] = {}
    for one in itertools.chain.from_iterable(words):
        before = out.pop(one.name, None) or replace(one, delivered=0, lost={}, degraded={})
        out[one.name] = replace(
            one,
            delivered=before.delivered + one.delivered,
            lost=_added([before.lost, one.lost]),
            degraded=_added([before.degraded, one.degraded]),
        )
    return list(out.values())


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: Counter[str] = Counter()
    for one in counts:
        out.update(one)
    return dict(out)


def _together(health: Sequence[Health], unread: Sequence[str]) -> Health:
    """One line for all files."""
    lost = _added(one.lost for one in health)
    told = [one.message for one in health if one.message]
    message = f"{len(told)} of {len(health)} files: {told[0]}" if told and len(health) > 1 else "".join(told)
    more = [f"{len(unread)} files left out: {unread[0]}"] if unread else []
    return Health("recording", State.STOPPED, "; ".join(filter(None, [message, *more])), lost=lost)


__all__ = ["SUFFIX", "RecordingError", "ReplayStore", "is_recording", "replay"]
