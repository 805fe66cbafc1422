"""Which tables an answer is made of: exact if that is cheap, else as exact as can be seen, or afforded. Pure.

A range is made of whole days, hours and minutes, which are summed already, and of the events at its edges. What would
be too much to read is read of a table that has one of 5, 25, ... of the events, and scaled; the answer says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED, Rollup

_GRANULE: Final = 2048
"""What it costs at least to look for the range of a machine or service: 8,192 rows are read, most of them in vain."""
_ROWS_PER_S: Final = 20_000_000
"""Rows of sums that one core adds up by one column in a second, of 200,000 stacks (docs/capacity.md)."""
_EVENT: Final = 2.0
"""What a row of events costs, compared with one of sums: its time has to be looked at."""
_SHORT: Final = 2.0
_SHORTER_S: Final = 600
"""What a row of sums of shorter stretches costs, measured; each has fewer of them side by side."""
_BESIDE: Final = 0.5
"""By how much more of a question's time goes into other things than rows, for each query that is asked with it."""
_RARE: Final = 0.001
"""Part of all events of a command that is not among the many."""
_INVISIBLE: Final = 5e-4
"""An error of a share that nobody can see: shares are shown to a tenth of a percent."""
_TOLERABLE: Final = 5e-3
"""An error of a share that is worth its speed; a larger one is worth a longer wait."""
_PATIENCE: Final = 4.0
"""How many times the budget that may be."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What one question may cost. seconds: on this many cores, of the database alone."""

    seconds: float = 0.025
    cores: int = 2

    def rows(self, columns: int) -> float:
        """Rows of sums that may be read when they are told apart by so many columns."""
        return self.seconds * self.cores * _ROWS_PER_S / max(1, columns)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the tables are: rows, and rows in a second of their time. since_ns: from when on they have what came,
    what is older may be gone. commands: whose part of all events.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    per_s: Mapping[str, float] = field(default_factory=dict)
    since_ns: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be read. machines, services: how many of them. share: their part of all events, by machine; and by
    service of all machines. columns: by how many the rows are told apart.

    stacks: nothing else is asked of the events, so that the sums by stack will do. by_host: some machines of a service.
    command: it is about processes of this name alone. cut_ns: every stretch that is summed has to lie in one of those
    that begin at multiples of it; 0: in the range.
    """

    start_ns: int
    end_ns: int
    machines: int
    services: int
    share: float
    service_share: float
    columns: int = 1
    stacks: bool = False
    by_host: bool = False
    command: str | None = None
    cut_ns: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A half-open range of one table. one_of: 1, or of so many events one is there. rollup: None for events."""

    table: str
    start_ns: int
    end_ns: int
    one_of: int = 1
    rollup: Rollup | None = None


def plan(need: Need, sizes: Sizes, budget: Budget, queries: int = 1) -> list[Piece]:
    """The pieces that make up the range, each moment in one of them. queries: how many share the budget.

    What some table has not any more is read from one that still has it; where none has, it is missing.
    """
    every = list(_ways(need))
    least = min(gone_ns(pieces, sizes) for pieces in every)
    held = [pieces for pieces in every if gone_ns(pieces, sizes) == least]
    ways = [_Way(pieces, cost(pieces, need, sizes), _error(pieces, need, sizes)) for pieces in held]
    return _best(ways, budget.rows(need.columns) / (queries * (1 + _BESIDE * (queries - 1)))).pieces


class _Way(NamedTuple):
    pieces: list[Piece]
    cost: float
    error: float


def _best(ways: Sequence[_Way], most: float) -> _Way:
    """An exact one that can be afforded; else the cheapest whose error nobody sees; else the least error that can be
    afforded, if that is small; else what makes it small, or if nothing does the least that there is.
    """
    for error in (0.0, _INVISIBLE):
        if found := [way for way in ways if way.error <= error and way.cost <= most]:
            return min(found, key=lambda way: way.cost)
    if found := [way for way in ways if way.error <= _TOLERABLE and way.cost <= most]:
        return min(found, key=lambda way: (way.error, way.cost))
    longer = [way for way in ways if way.cost <= _PATIENCE * most]
    if found := [way for way in longer if way.error <= _TOLERABLE]:
        return min(found, key=lambda way: way.cost)
    return min(longer, key=lambda way: (way.error, way.cost)) if longer else min(ways, key=lambda way: way.cost)


def _ways(need: Need) -> Iterator[list[Piece]]:
    """All that there are: sums down to those of some length, and for what is left any part of the events."""
    gaps = [(need.start_ns, need.end_ns)]
    sums: list[Piece] = []
    rollups = [
        rollup
        for rollup in ROLLUPS
        if need.stacks and rollup.hosts == need.by_host and need.cut_ns % (rollup.seconds * _NS) == 0
    ]
    for rollup in (None, *sorted(rollups, key=lambda rollup: -rollup.seconds)):
        if rollup is not None:
            width = rollup.seconds * _NS
            whole = [(-(-start // width) * width, end // width * width) for start, end in gaps]
            sums += [Piece(rollup.name, start, end, rollup=rollup) for start, end in whole if start < end]
            gaps = [gap for (start, end), (a, b) in zip(gaps, whole, strict=True) for gap in _outside(start, end, a, b)]
        for one_of in (1, *SAMPLED):
            events = [Piece(_sampled(one_of), start, end, one_of) for start, end in gaps]
            yield sorted([*sums, *events], key=lambda piece: piece.start_ns)


def gone_ns(pieces: Sequence[Piece], sizes: Sizes) -> int:
    """How much of a range is older than what its pieces' tables have."""
    since = [min(piece.end_ns, sizes.since_ns.get(piece.table, 0)) for piece in pieces]
    return sum(max(0, at - piece.start_ns) for at, piece in zip(since, pieces, strict=True))


def cost(pieces: Sequence[Piece], need: Need, sizes: Sizes) -> float:
    """About how many rows are read, as if all were sums; of each table no more than it has."""
    rows: dict[str, float] = {}
    for piece in pieces:
        rows[piece.table] = rows.get(piece.table, 0.0) + _rows(piece, need, sizes)
    price = {piece.table: _price(piece) for piece in pieces}
    return sum(price[table] * min(n, float(sizes.rows.get(table, 0))) for table, n in rows.items())


def _price(piece: Piece) -> float:
    if piece.rollup is None:
        return _EVENT
    return _SHORT if piece.rollup.seconds < _SHORTER_S else 1.0


def _rows(piece: Piece, need: Need, sizes: Sizes) -> float:
    rows = sizes.per_s.get(piece.table, 0.0) * (piece.end_ns - piece.start_ns) / _NS
    if piece.rollup is None and piece.one_of > 1:  # in the order of minutes, and of commands within them
        part = 1.0 if need.command is None else sizes.commands.get(need.command, _RARE)
        return rows * part + _GRANULE * (need.command is not None) * (piece.end_ns - piece.start_ns) / (60 * _NS)
    if piece.rollup is None or piece.rollup.hosts:
        return rows * need.share + _GRANULE * need.machines
    stretches = (piece.end_ns - piece.start_ns) // (piece.rollup.seconds * _NS)  # in each a service is looked for
    return min(rows, rows * need.service_share + _GRANULE * need.services * stretches)


def _error(pieces: Sequence[Piece], need: Need, sizes: Sizes) -> float:
    """About how far off a share of the whole range may be."""
    per_s = sizes.per_s.get("events", 0.0) * need.share
    per_s *= 1.0 if need.command is None else sizes.commands.get(need.command, _RARE)
    whole = per_s * (need.end_ns - need.start_ns) / _NS
    part = sum(piece.one_of * (piece.end_ns - piece.start_ns) for piece in pieces if piece.one_of > 1)
    return (math.sqrt(per_s * part / _NS) / whole if whole else 1.0) if part else 0.0


def _sampled(one_of: int) -> str:
    return "events" if one_of == 1 else f"events_{one_of}"


def _outside(start: int, end: int, a: int, b: int) -> list[tuple[int, int]]:
    """What of a range is not in a part of it; all of it, if that is empty."""
    if a >= b:
        return [(start, end)]
    return [gap for gap in ((start, a), (b, end)) if gap[0] < gap[1]]
