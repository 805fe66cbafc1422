"""Which tables an answer is made of: the coarsest that are exact, and for what is left the finest that is cheap. Pure.

A range is made of whole days, hours and minutes, which are summed already, and of the events at its edges. What would
be too much to read is read of a table that has one of 5, 25, ... of the events, and scaled; the answer says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED, Rollup

_GRANULE: Final = 2048
"""What it costs at least to look for the range of a machine or service: 8,192 rows are read, most of them in vain."""
_ROWS_PER_S: Final = 50_000_000
"""Rows of sums that one core adds up by one column in a second (docs/capacity.md)."""
_EVENT: Final = 2.0
"""What a row of events costs, compared with one of sums: its time has to be looked at."""
_RARE: Final = 0.001
"""Part of all events of a command that is not among the many."""
_NEGLIGIBLE: Final = 1e-4
"""An error of a share that nobody can see."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What one question may cost. seconds: on this many cores."""

    seconds: float = 0.045
    cores: int = 2

    def rows(self, columns: int) -> float:
        """Rows of sums that may be read when they are told apart by so many columns."""
        return self.seconds * self.cores * _ROWS_PER_S / max(1, columns)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the tables are: rows, and rows in a second of their time. commands: whose part of all events."""

    rows: Mapping[str, int] = field(default_factory=dict)
    per_s: Mapping[str, float] = field(default_factory=dict)
    commands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be read. machines, services: how many of them. share: their part of all events, by machine; and by
    service of all machines. columns: by how many the rows are told apart.

    stacks: nothing else is asked of the events, so that the sums by stack will do. by_host: some machines of a service.
    command: it is about processes of this name alone.
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


@dataclass(frozen=True, slots=True)
class Piece:
    """A half-open range of one table. one_of: 1, or of so many events one is there. rollup: None for events."""

    table: str
    start_ns: int
    end_ns: int
    one_of: int = 1
    rollup: Rollup | None = None


def plan(need: Need, sizes: Sizes, budget: Budget, queries: int = 1) -> list[Piece]:
    """The pieces that make up the range, each moment in one of them. queries: how many share the budget."""
    most = budget.rows(need.columns) / queries
    pieces, edges = _rolled(need, sizes, most) if need.stacks else ([], [(need.start_ns, need.end_ns)])
    left = most - cost(pieces, need, sizes)
    ways = [[Piece(_sampled(one_of), start, end, one_of) for start, end in edges] for one_of in (1, *SAMPLED)]
    fitting = [way for way in ways if cost(way, need, sizes) <= left] or ways[-1:]
    chosen = fitting[0]
    if chosen and chosen[0].one_of > 1:  # what is not exact need be no finer than anybody can see
        chosen = next((way for way in reversed(fitting) if _error(way, need, sizes) < _NEGLIGIBLE), chosen)
    return sorted([*pieces, *chosen], key=lambda piece: piece.start_ns)


def cost(pieces: Sequence[Piece], need: Need, sizes: Sizes) -> float:
    """About how many rows are read, as if all were sums; of each table no more than it has."""
    rows: dict[str, float] = {}
    for piece in pieces:
        rows[piece.table] = rows.get(piece.table, 0.0) + _rows(piece, need, sizes)
    events = {piece.table for piece in pieces if piece.rollup is None}
    each = {table: min(n, float(sizes.rows.get(table, 0))) for table, n in rows.items()}
    return sum(_EVENT * n if table in events else n for table, n in each.items())


def _rows(piece: Piece, need: Need, sizes: Sizes) -> float:
    rows = sizes.per_s.get(piece.table, 0.0) * (piece.end_ns - piece.start_ns) / _NS
    if piece.rollup is None and piece.one_of > 1:  # in the order of minutes, and of commands within them
        part = 1.0 if need.command is None else sizes.commands.get(need.command, _RARE)
        return rows * part + _GRANULE * (need.command is not None) * (piece.end_ns - piece.start_ns) / (60 * _NS)
    if piece.rollup is None or piece.rollup.hosts:
        return rows * need.share + _GRANULE * need.machines
    return rows * need.service_share + _GRANULE * need.services


def _error(way: list[Piece], need: Need, sizes: Sizes) -> float:
    """About how far off a share of the whole range may be."""
    per_s = sizes.per_s.get("events", 0.0) * need.share
    whole = per_s * (need.end_ns - need.start_ns) / _NS
    part = per_s * sum(piece.end_ns - piece.start_ns for piece in way) / _NS
    return math.sqrt(part * way[0].one_of) / whole if whole else 0.0


def _sampled(one_of: int) -> str:
    return "events" if one_of == 1 else f"events_{one_of}"


def _rolled(need: Need, sizes: Sizes, most: float) -> tuple[list[Piece], list[tuple[int, int]]]:
    """Pieces of the sums, coarsest first, as many as may be read; and what is left of the range."""
    out: list[Piece] = []
    gaps = [(need.start_ns, need.end_ns)]
    for rollup in sorted((r for r in ROLLUPS if r.hosts == need.by_host), key=lambda r: -r.seconds):
        width = rollup.seconds * _NS
        whole = [(-(-start // width) * width, end // width * width) for start, end in gaps]
        pieces = [Piece(rollup.name, start, end, rollup=rollup) for start, end in whole if start < end]
        if cost([*out, *pieces], need, sizes) > most:
            continue
        out += pieces
        gaps = [gap for (start, end), (a, b) in zip(gaps, whole, strict=True) for gap in _outside(start, end, a, b)]
    return out, gaps


def _outside(start: int, end: int, a: int, b: int) -> list[tuple[int, int]]:
    """What of a range is not in a part of it; all of it, if that is empty."""
    if a >= b:
        return [(start, end)]
    return [gap for gap in ((start, a), (b, end)) if gap[0] < gap[1]]
