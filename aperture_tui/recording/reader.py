"""Reads a recording from anyone, whole or cut, up to its last whole block: front to back, or block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.packed import words
from aperture_tui.profile.packed.tables import DamagedError, Tables, generation_of
from aperture_tui.recording.blocks import BlockType, RecordingError, block_at, read_header
from aperture_tui.recording.index import EVENTS_HEAD, Index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aperture_tui.profile.host import HostFacts, HostSample
    from aperture_tui.profile.symbols import Symbols

_LAST_NS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Words:
    """What a recording tells beside events; each list is empty unless this block was of that kind."""

    hosts: tuple[HostFacts, ...] = ()
    gauges: tuple[HostSample, ...] = ()
    health: tuple[Health, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Damage:
    """What could not be read, so far.

    truncated_bytes: at the end, as after a crash or a full disk. skipped_bytes: between whole blocks.
    blocks: whole but with contents that are damaged or cannot be. events: with symbols that were in such blocks.
    unknown_blocks: of a type that only a newer aperture knows.
    """

    truncated_bytes: int = 0
    skipped_bytes: int = 0
    blocks: int = 0
    events: int = 0
    unknown_blocks: int = 0

    @property
    def message(self) -> str:
        """One line; "" if everything could be read."""
        parts = [
            (self.truncated_bytes, "the end is cut off ({:,} bytes of an unfinished block)"),
            (self.blocks, "{:,} damaged blocks skipped"),
            (self.skipped_bytes, "{:,} damaged bytes skipped"),
            (self.events, "{:,} events without their symbols skipped"),
            (self.unknown_blocks, "{:,} blocks of a newer version skipped"),
        ]
        return "; ".join(text.format(n) for n, text in parts if n)


class Reader:
    """One file, read in bounded memory. Raises RecordingError, or OSError if it cannot be read. Not safe for threads.

    What is written after it was opened is not seen. header: the facts that the writer gave. rows: its blocks, (n,) of
    INDEX. complete: the file was closed in order. damage: what could not be read, as far as it was tried.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            self.header: dict[str, Any] = read_header(self._file, self.path)
            index = Index(self._file, self._file.tell(), os.fstat(self._file.fileno()).st_size, self.path)
        except BaseException:
            self._file.close()
            raise
        in_order = _in_order(index.rows)
        self.rows, self.complete = index.rows[in_order], index.complete
        unknown = int(np.count_nonzero(self.rows["type"] > max(BlockType)))
        damaged = index.damaged + int(np.count_nonzero(~in_order))
        self.damage = Damage(index.cut_bytes, index.skipped_bytes, damaged, unknown_blocks=unknown)
        self._counted: set[int] = set()
        self._tags: tuple[str, ...] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the bits of all its events' tags, that of bit 0 first: what it said last, as they only grow."""
        if self._tags is None:
            told = map(self.words, self.rows[self.rows["type"] == BlockType.TAGS][::-1])
            self._tags = next((words.tags for words in told if words is not None), ())
        return self._tags

    def contents(self) -> Iterator[Batch | Words]:
        """Everything in the order of the file. Batches of one generation share one Symbols, which grows meanwhile."""
        tables = Tables(-1)
        for row in self.rows:
            if row["type"] in (BlockType.SYMBOLS, BlockType.EVENTS) and row["generation"] != tables.generation:
                tables = Tables(int(row["generation"]))
            if row["type"] == BlockType.SYMBOLS:
                self._take_symbols(int(row["offset"]), tables)
            elif row["type"] == BlockType.EVENTS:
                events = self.events(row, tables)
                if len(events):
                    yield Batch(tables.symbols, events, self.tags)
            elif (told := self.words(row)) is not None:
                yield told

    def batches(self) -> Iterator[Batch]:
        """The events alone."""
        return (content for content in self.contents() if isinstance(content, Batch))

    def tables(self, generation: int, symbols: Symbols) -> Tables:
        """All symbols of one generation, taken into tables that others may share."""
        tables = Tables(generation, symbols)
        mine = (self.rows["type"] == BlockType.SYMBOLS) & (self.rows["generation"] == generation)
        for offset in self.rows["offset"][mine].tolist():
            self._take_symbols(offset, tables)
        return tables

    def events(self, row: np.void, tables: Tables) -> NDArray[np.void]:
        """The events of a block, (n,) of EVENT, with ids of the tables of its generation."""
        offset = int(row["offset"])
        payload = self._payload(offset, BlockType.EVENTS)
        if payload is None:
            return np.zeros(0, EVENT)
        if len(payload) < EVENTS_HEAD.size:
            return self._damaged(offset)
        generation, count = EVENTS_HEAD.unpack_from(payload)
        if len(payload) != EVENTS_HEAD.size + count * EVENT.itemsize or generation != tables.generation:
            return self._damaged(offset)
        events = tables.remapped(np.frombuffer(payload, EVENT, offset=EVENTS_HEAD.size))
        if offset not in self._counted:
            self._counted.add(offset)
            self.damage.events += count - len(events)
        return events

    def words(self, row: np.void) -> Words | None:
        """What a block tells beside events and symbols; None if that is nothing, or damaged."""
        kind, offset = int(row["type"]), int(row["offset"])
        if kind not in _WORDS:
            return None
        name, read = _WORDS[BlockType(kind)]
        payload = self._payload(offset, BlockType(kind))
        told = None if payload is None else read(payload)
        if told is None:
            self._damaged(offset)
            return None
        return Words(**{name: tuple(told)})

    def health(self) -> Health:
        """The file's own line of truth, for the screens."""
        d = self.damage
        lost = {"events without symbols": d.events, "damaged blocks": d.blocks, "damaged bytes": d.skipped_bytes}
        end = "" if self.complete or d.truncated_bytes else "it ends without having been closed"
        message = "; ".join(part for part in (d.message, end) if part)
        return Health("recording", State.STOPPED, message, lost={cause: n for cause, n in lost.items() if n})

    def _payload(self, offset: int, kind: BlockType) -> bytes | None:
        """Of the block that the index says is there."""
        block = block_at(self._file, offset)
        if block is None or block.kind != kind or block.payload is None:
            self._damaged(offset)
            return None
        return block.payload

    def _take_symbols(self, offset: int, tables: Tables) -> None:
        payload = self._payload(offset, BlockType.SYMBOLS)
        if payload is None:
            return
        try:
            if generation_of(payload) != tables.generation:
                raise DamagedError("symbols of another generation")
            tables.extend(payload)
        except DamagedError:
            self._damaged(offset)

    def _damaged(self, offset: int) -> NDArray[np.void]:
        """Count the block, once -> no events."""
        if offset not in self._counted:
            self._counted.add(offset)
            self.damage.blocks += 1
        return np.zeros(0, EVENT)


def plausible(events: NDArray[np.void]) -> NDArray[np.void]:
    """Times that are none, 0 or after the year 2262, become that of the newest event beside them, in place."""
    times = events["time_ns"]
    odd = (times == 0) | (times > _LAST_NS)
    if odd.any():
        events["time_ns"][odd] = times[~odd].max(initial=1)
    return events


def _in_order(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,): the blocks that are not of a generation before that of another in front of them.

    No writer goes back; a reader would have to build up the tables of a generation again and again.
    """
    of_one = np.isin(rows["type"], (BlockType.SYMBOLS, BlockType.EVENTS))
    newest = np.maximum.accumulate(np.where(of_one, rows["generation"], 0))
    in_order: NDArray[np.bool_] = ~of_one | (rows["generation"] == newest)
    return in_order


_WORDS: Final[dict[int, tuple[str, Callable[[bytes], Sequence[Any] | None]]]] = {
    BlockType.HOSTS: ("hosts", words.hosts),
    BlockType.GAUGES: ("gauges", words.gauges),
    BlockType.HEALTH: ("health", words.health),
    BlockType.TAGS: ("tags", words.tags),
}


__all__ = ["Damage", "Reader", "RecordingError", "Words", "plausible"]
