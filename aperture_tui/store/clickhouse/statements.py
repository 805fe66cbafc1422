"""The statements that answers are made of, and how exact what they find is. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.query import Measure
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.selecting import sums, within
from aperture_tui.store.selection import LONGEST_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from aperture_tui.profile.query import Query
    from aperture_tui.store.clickhouse.selecting import Conditions
    from aperture_tui.store.clickhouse.sources import Piece

SUMS: Final = {Measure.COUNT: "weight_", Measure.TIME: "duration_"}
"""The columns of an answer that have its sums."""
_SUMMED: Final = {Measure.COUNT: "weight", Measure.TIME: "duration_ns"}
_EACH: Final = {Measure.COUNT: "w", Measure.TIME: "d"}
"""Not the names of columns: within a statement these would stand for the sums."""
_NS: Final = 1_000_000_000


def by_columns(database: str, query: Query, where: Conditions, keys: Sequence[str], piece: Piece) -> str:
    """All that rows of compaction.COMPACT have, of events that are told apart by some columns."""
    named = ", ".join(keys)
    by = f"GROUP BY {named}" if keys else ""
    return f"""SELECT {named}{", " if keys else ""}{sums(query, piece.one_of)}, {_variance(query)}
        FROM {database}.{piece.table} WHERE {where.sql} AND {within(piece.start_ns, piece.end_ns)} {by}"""


def by_stack(
    database: str, query: Query, where: Conditions, pieces: Sequence[Piece], measures: Sequence[Measure]
) -> str:
    """Sums by stack out of several tables, all of which have all events, or one that has a part of them."""
    sampled = pieces[0].one_of > 1
    parts = []
    for table in dict.fromkeys(piece.table for piece in pieces):
        each = [piece for piece in pieces if piece.table == table]
        counted = [f"{_each(each[0], measure)} AS {_EACH[measure]}" for measure in measures]
        counted += [f"toFloat64({measured(query)}) AS q"] * sampled
        times = " OR ".join(f"({_in(piece)})" for piece in each)
        parts.append(f"SELECT stack, {', '.join(counted)} FROM {database}.{table} WHERE {where.sql} AND ({times})")
    found = [f"sum({_EACH[measure]}) AS {SUMS[measure]}" for measure in measures]
    found += ["count() AS n_", "sum(q * q) AS q_"] * sampled
    return f"SELECT stack, {', '.join(found)} FROM ({' UNION ALL '.join(parts)}) GROUP BY stack"


def over_time(database: str, query: Query, where: Conditions, piece: Piece, start_ns: int, width_ns: int) -> str:
    """Sums by place in a range that is cut into buckets, and by stack if the query is about frames."""
    by = ", stack" if query.frame is not None else ""
    return f"""SELECT intDiv(time_ns - {start_ns}, {width_ns}) AS place{by},
        sum(toInt64({measured(query)})) * {piece.one_of} AS {SUMS[query.measure]}, {_variance(query)}
        FROM {database}.{piece.table} WHERE {where.sql} AND {within(piece.start_ns, piece.end_ns)} GROUP BY place{by}"""


def measured(query: Query) -> str:
    """Of an event, what a query measures."""
    return "weight" if query.measure is Measure.COUNT else f"least(duration_ns, {LONGEST_NS})"


def estimate(table: pa.Table, pieces: Sequence[Piece], query: Query) -> Estimate:
    """How exact sums of a part of the events are (Kish's effective size of a sample of unequal weights)."""
    import pyarrow.compute as pc

    one_of = max(piece.one_of for piece in pieces)
    if one_of == 1 or not len(table):
        return Estimate()
    n, squares, whole = (pc.sum(table[name]).as_py() or 0 for name in ("n_", "q_", SUMS[query.measure]))
    if not whole:
        return Estimate(one_of, n, 0.0)
    # half of the 95 % interval of a share of one half: 1.96 * one_of * sqrt(sum of squares) / 2 / whole
    return Estimate(one_of, n, min(1.0, 0.98 * one_of * math.sqrt(squares) / whole))


def _each(piece: Piece, measure: Measure) -> str:
    if piece.rollup is not None:
        return _SUMMED[measure]
    plain = "weight" if measure is Measure.COUNT else f"least(duration_ns, {LONGEST_NS})"
    return f"toInt64({plain}) * {piece.one_of}"


def _in(piece: Piece) -> str:
    if piece.rollup is None:
        return within(piece.start_ns, piece.end_ns)
    start, end = (f"toDateTime({ns // _NS}, 'UTC')" for ns in (piece.start_ns, piece.end_ns))
    return f"ts >= {start} AND ts < {end}"


def _variance(query: Query) -> str:
    """What tells how exact a part of the events is."""
    return f"count() AS n_, sum(pow(toFloat64({measured(query)}), 2)) AS q_"
