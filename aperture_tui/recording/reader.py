"""Reads a recording from anyone, whole or cut, up to its last whole block."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State
from aperture_tui.recording import words
from aperture_tui.recording.blocks import Block, BlockType, Cut, RecordingError, read_header, scan
from aperture_tui.recording.tables import DamagedError, Tables, generation_of
from aperture_tui.store.memory import Limits, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aperture_tui.profile.host import HostFacts, HostSample

_EVENTS_HEAD: Final = struct.Struct("<II")  # generation, number of events
LOADED_BYTES: Final = 2 << 30
"""What `load` holds at most: 25 million events; the oldest are let go first, and the store says so."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a recording tells beside events; each list is empty unless this block was of that kind."""

    hosts: tuple[HostFacts, ...] = ()
    gauges: tuple[HostSample, ...] = ()
    health: tuple[Health, ...] = ()


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
    """One reading of a file, front to back, in bounded memory. Raises RecordingError, or OSError if it cannot be read.

    header: the facts that the writer gave. complete: the file was closed in order. damage: what could not be read.
    Both are known when `contents` has come to its end.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.complete = False
        self.damage = Damage()
        self._tables = Tables(-1)
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            self.header: dict[str, Any] = read_header(self._file, self.path)
            self._first_block = self._file.tell()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def contents(self) -> Iterator[Batch | Words]:
        """Everything in the order of the file. Batches of one generation share one Symbols, which grows meanwhile."""
        self._file.seek(self._first_block)
        self.damage, self.complete, self._tables = Damage(), False, Tables(-1)
        for found in scan(self._file):
            if isinstance(found, Cut):
                self._count(found)
            elif found.payload is None:
                self.damage.blocks += 1
            elif (content := self._content(found, found.payload)) is not None:
                yield content

    def batches(self) -> Iterator[Batch]:
        """The events alone."""
        return (content for content in self.contents() if isinstance(content, Batch))

    def health(self) -> Health:
        """The file's own line of truth, for the screens."""
        d = self.damage
        lost = {"events without symbols": d.events, "damaged blocks": d.blocks, "damaged bytes": d.skipped_bytes}
        end = "" if self.complete or d.truncated_bytes else "it ends without having been closed"
        message = "; ".join(part for part in (d.message, end) if part)
        return Health("recording", State.STOPPED, message, lost={cause: n for cause, n in lost.items() if n})

    def _count(self, cut: Cut) -> None:
        if cut.end:
            self.damage.truncated_bytes += cut.length
        else:
            self.damage.skipped_bytes += cut.length

    def _content(self, block: Block, payload: bytes) -> Batch | Words | None:
        match block.kind:
            case BlockType.SYMBOLS:
                self._take_symbols(payload)
                return None
            case BlockType.EVENTS:
                return self._events(payload)
            case BlockType.HOSTS:
                return self._told(hosts=words.hosts(payload))
            case BlockType.GAUGES:
                return self._told(gauges=words.gauges(payload))
            case BlockType.HEALTH:
                return self._told(health=words.health(payload))
            case BlockType.INDEX:
                return None
            case BlockType.END:
                self.complete = True
                return None
            case _:
                self.damage.unknown_blocks += 1
                return None

    def _told(self, **rows: list[Any] | None) -> Words | None:
        ((kind, values),) = rows.items()
        if values is None:
            self.damage.blocks += 1
            return None
        return Words(**{kind: tuple(values)})

    def _take_symbols(self, payload: bytes) -> None:
        try:
            self._tables_of(generation_of(payload)).extend(payload)
        except DamagedError:
            self.damage.blocks += 1

    def _tables_of(self, generation: int) -> Tables:
        if self._tables.generation != generation:
            self._tables = Tables(generation)
        return self._tables

    def _events(self, payload: bytes) -> Batch | None:
        if len(payload) < _EVENTS_HEAD.size:
            self.damage.blocks += 1
            return None
        generation, count = _EVENTS_HEAD.unpack_from(payload)
        if len(payload) != _EVENTS_HEAD.size + count * EVENT.itemsize:
            self.damage.blocks += 1
            return None
        tables = self._tables_of(generation)
        events = tables.remapped(np.frombuffer(payload, EVENT, offset=_EVENTS_HEAD.size))
        self.damage.events += count - len(events)
        return Batch(tables.symbols, events) if len(events) else None


def load(path: str | Path, limits: Limits | None = None) -> MemoryStore:
    """A whole recording as a store; what could not be read stands in its health, under the name "recording".

    Raises RecordingError, or OSError if the file cannot be read.
    """
    store = MemoryStore(limits or Limits(seconds=None, bytes=LOADED_BYTES, gauges=1 << 20), recorded=True)
    health: tuple[Health, ...] = ()
    with Reader(path) as reader:
        for content in reader.contents():
            if isinstance(content, Batch):
                store.append(content)
                continue
            if content.hosts:
                store.set_hosts(content.hosts)
            for sample in content.gauges:
                store.append_gauges(sample)
            health = content.health or health
        store.set_health([*health, reader.health()])
    return store


__all__ = ["LOADED_BYTES", "Damage", "Reader", "RecordingError", "Words", "load"]
