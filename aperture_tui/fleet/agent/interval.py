"""What a file of the spool holds: the events of an interval, and what was told of the machine and of ourselves.

The files are recordings (docs/recording.md), so what a killed agent left open is read up to its last whole block.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.fleet.agent.condense import condensed
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.packed.tables import MAX_DEPTH
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.tags import MAX_TAGS, Tags
from aperture_tui.recording.blocks import BlockType
from aperture_tui.recording.reader import Reader, RecordingError
from aperture_tui.recording.writer import Writer
from aperture_tui.store.slices import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

EVENTS: Final = "events"
"""In the header of a file of condensed events: how many they were."""
_GAUGES: Final = 6
"""Readings of the machine that are kept of each stretch that is condensed."""


@dataclass(frozen=True)
class Interval:
    """The contents of one file. events: (n,) of EVENT in the order of the file, with ids of `symbols`. tags: the names
    of their bits.

    unread: events that are in the file and cannot be read. damage: what else cannot, in one line.
    """

    symbols: Symbols
    events: NDArray[np.void]
    tags: tuple[str, ...] = ()
    hosts: Sequence[HostFacts] = ()
    gauges: Sequence[HostSample] = ()
    health: Sequence[Health] = ()
    unread: int = 0
    damage: str = ""


def counted(path: Path) -> int:
    """The events that went into a file. Raises RecordingError, or OSError."""
    with Reader(path) as reader:
        return _counted(reader)


def is_empty(path: Path) -> bool:
    """Whether there is nothing in a file that anybody would miss. Raises RecordingError, or OSError."""
    with Reader(path) as reader:
        return not np.isin(reader.rows["type"], (BlockType.EVENTS, BlockType.GAUGES)).any()


def read(path: Path, symbols: Symbols | None = None) -> Interval:
    """All of a file. symbols: where its tables go, else into new ones. Raises RecordingError, or OSError."""
    symbols = symbols if symbols is not None else Symbols()
    with Reader(path) as reader:
        tags = reader.tags
        parts = [np.zeros(0, EVENT), *_parts(reader, symbols)]
        told = [words for words in map(reader.words, reader.rows) if words is not None]
        damage = reader.damage
    hosts = next((words.hosts for words in reversed(told) if words.hosts), ())
    health = next((words.health for words in reversed(told) if words.health), ())
    gauges = [sample for words in told for sample in words.gauges]
    events = _cut(symbols, joined(parts))
    whole = damage.blocks or damage.skipped_bytes or damage.events
    return Interval(symbols, events, tags, hosts, gauges, health, damage.events, damage.message if whole else "")


class Merged(NamedTuple):
    """What could not be merged. unread: events. damage: a line for each file that was not whole."""

    unread: int
    damage: list[str]


def merged(paths: Sequence[Path], target: Path, resolution_ns: int, facts: Mapping[str, Any]) -> Merged:
    """Write the events of files, oldest first, condensed into a new one, and wait for the disk.

    What cannot be read is left out. Raises OSError, and leaves nothing then.
    """
    symbols = Symbols()
    tags = Tags()
    events = np.zeros(0, EVENT)
    hosts: Sequence[HostFacts] = ()
    health: Sequence[Health] = ()
    gauges: list[HostSample] = []
    lines: list[str] = []
    count = unread = 0
    for path in paths:
        try:
            expected, one = counted(path), read(path, symbols)
        except RecordingError as error:
            lines.append(str(error))
            continue
        count, unread = count + expected - one.unread, unread + one.unread
        events = condensed(joined([events, tags.taken(one.events, one.tags)]), resolution_ns)
        hosts, health = one.hosts or hosts, one.health or health
        gauges += one.gauges
        lines += [f"{path}: {one.damage}"] * bool(one.damage)
    if tags.left_out:
        words = ", ".join(sorted(tags.left_out))
        lines.append(f"{target}: events are without their tags {words}: no more than {MAX_TAGS} have room")
    whole = Interval(symbols, events, tags.names, hosts, _fewer(gauges, resolution_ns), health)
    _write(target, {**facts, EVENTS: count}, whole)
    return Merged(unread, lines)


def _write(path: Path, facts: Mapping[str, Any], interval: Interval) -> None:
    try:
        writer = Writer(path, facts, new=True)
        with contextlib.closing(writer):
            writer.set_hosts(interval.hosts)
            writer.append(Batch(interval.symbols, interval.events, interval.tags))
            for sample in interval.gauges:
                writer.append_gauges(sample)
            writer.set_health(interval.health)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _fewer(gauges: Sequence[HostSample], resolution_ns: int) -> list[HostSample]:
    """The first reading of each of some parts of each stretch."""
    first = {sample.time_ns // max(1, resolution_ns // _GAUGES): sample for sample in reversed(gauges)}
    return list(first.values())[::-1]


def _counted(reader: Reader) -> int:
    told = reader.header.get(EVENTS)
    return told if isinstance(told, int) and told >= 0 else int(reader.rows["events"].sum())


def _parts(reader: Reader, symbols: Symbols) -> list[NDArray[np.void]]:
    """The events of each block."""
    rows = reader.rows[reader.rows["type"] == BlockType.EVENTS]
    tables = {generation: reader.tables(generation, symbols) for generation in np.unique(rows["generation"]).tolist()}
    return [reader.events(row, tables[int(row["generation"])]) for row in rows]


def _cut(symbols: Symbols, events: NDArray[np.void]) -> NDArray[np.void]:
    """Of stacks that are deeper than anybody takes them the innermost frame goes: reading has left but one too many."""
    trie = symbols.trie
    stacks = events["stack"]
    deep = trie.depth[stacks] >= MAX_DEPTH
    if deep.any():
        events["stack"] = np.where(deep, trie.parent[stacks], stacks)
    return events
