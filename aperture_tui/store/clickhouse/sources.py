"""Which tables an answer is made of: the coarsest that are exact, and for what is left the finest that is cheap. Pure.

A range is made of whole days, hours and minutes, which are summed already, and of the events at its edges. What would
be too much to read is read of a table that has one of 5, 25, ... of the events, and scaled; the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED, Rollup

_GRANULE: Final = 8192
"""Rows that are read at least of every machine or service whose range is looked for."""
_ROWS_PER_S: Final = 40_000_000
"""Rows that one core sums in a second by one column (measured, bench/results)."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What one question may cost. seconds: on this many cores."""

    seconds: float = 0.07
    cores: int = 2

    def rows(self, columns: int) -> float:
        """Rows that may be read when they are told apart by so many columns."""
        return self.seconds * self.cores * _ROWS_PER_S / max(1, columns)


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be read. machines, services: how many of them. share: their part of all events, by machine; and by
    service of all machines. columns: by how many the rows are told apart.

    stacks: nothing else is asked of the events, so that the sums by stack will do. by_host: some machines of a service.
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


@dataclass(frozen=True, slots=True)
class Piece:
    """A half-open range of one table. one_of: 1, or of so many events one is there. rollup: None for events."""

    table: str
    start_ns: int
    end_ns: int
    one_of: int = 1
    rollup: Rollup | None = None


def plan(need: Need, rates: Mapping[str, float], budget: Budget) -> list[Piece]:
    """The pieces that make up the range, each moment in one of them. rates: rows in a second of each table."""
    most = budget.rows(need.columns)
    pieces, edges = _rolled(need, rates, most) if need.stacks else ([], [(need.start_ns, need.end_ns)])
    left = most - sum(_rows(piece, need, rates) for piece in pieces)
    for one_of in (1, *SAMPLED):
        events = [Piece(_sampled(one_of), start, end, one_of) for start, end in edges]
        if sum(_rows(piece, need, rates) for piece in events) <= left or one_of == SAMPLED[-1]:
            return sorted([*pieces, *events], key=lambda piece: piece.start_ns)
    raise AssertionError("the last of them is always taken")


def _sampled(one_of: int) -> str:
    return "events" if one_of == 1 else f"events_{one_of}"


def _rolled(need: Need, rates: Mapping[str, float], most: float) -> tuple[list[Piece], list[tuple[int, int]]]:
    """Pieces of the sums, coarsest first, as many as may be read; and what is left of the range."""
    out: list[Piece] = []
    gaps = [(need.start_ns, need.end_ns)]
    for rollup in sorted((r for r in ROLLUPS if r.hosts == need.by_host), key=lambda r: -r.seconds):
        width = rollup.seconds * _NS
        whole = [(-(-start // width) * width, end // width * width) for start, end in gaps]
        pieces = [Piece(rollup.name, start, end, rollup=rollup) for start, end in whole if start < end]
        if sum(_rows(piece, need, rates) for piece in (*out, *pieces)) > most:
            continue
        out += pieces
        gaps = [gap for (start, end), (a, b) in zip(gaps, whole, strict=True) for gap in _outside(start, end, a, b)]
    return out, gaps


def _outside(start: int, end: int, a: int, b: int) -> list[tuple[int, int]]:
    """What of a range is not in a part of it; all of it, if that is empty."""
    if a >= b:
        return [(start, end)]
    return [gap for gap in ((start, a), (b, end)) if gap[0] < gap[1]]


def _rows(piece: Piece, need: Need, rates: Mapping[str, float]) -> float:
    """About how many are read."""
    rows = rates.get(piece.table, 0.0) * (piece.end_ns - piece.start_ns) / _NS
    if piece.rollup is None and piece.one_of > 1:
        return rows  # in the order of time: all of the range is read
    if piece.rollup is not None and not piece.rollup.hosts:
        return rows * need.service_share + _GRANULE * need.services
    return rows * need.share + _GRANULE * need.machines
