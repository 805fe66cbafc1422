"""The statements that answers are made of, and how exact what they find is. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.selecting import Conditions, sums, within
from aperture_tui.store.clickhouse.sources import Piece
from aperture_tui.store.selection import LONGEST_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

SUMS: Final = {Measure.COUNT: "weight_", Measure.TIME: "duration_"}
"""The columns of an answer that have its sums."""
_SUMMED: Final = {Measure.COUNT: "weight", Measure.TIME: "duration_ns"}
_NS: Final = 1_000_000_000


def by_columns(database: str, query: Query, where: Conditions, keys: Sequence[str], piece: Piece) -> str:
    """All that rows of compaction.COMPACT have, of events that are told apart by some columns."""
    named = ", ".join(keys)
    by = f"GROUP BY {named}" if keys else ""
    return f"""SELECT {named}{", " if keys else ""}{sums(query, piece.one_of)}, {_variance(query)}
        FROM {database}.{piece.table} WHERE {where.sql} AND {within(piece.start_ns, piece.end_ns)} {by}"""


class Share(NamedTuple):
    """What one statement adds up for one of the queries that it is about, as sums whose names end in `suffix`.

    pieces: of tables that all have all events, or of one that has a part of them.
    """

    query: Query
    where: Conditions
    pieces: Sequence[Piece]
    measures: Sequence[Measure]
    suffix: str = ""


def by_stack(database: str, shares: Sequence[Share]) -> tuple[str, Conditions]:
    """Sums by stack out of several tables, of several queries at once: the stacks of all are told apart but once."""
    together = Conditions()
    parts: list[str] = []
    found: list[str] = []
    sampled = any(piece.one_of > 1 for share in shares for piece in share.pieces)
    for place, share in enumerate(shares):
        where = share.where.renamed(f"of_{place}_") if len(shares) > 1 else share.where
        together.parameters |= where.parameters
        parts += _parts(database, share, where, place, sampled)
        mine = f"place = {place}"
        sums_ = {SUMS[measure]: _each_of(i) for i, measure in enumerate(share.measures)}
        found += [f"sumIf({each}, {mine}) AS {name}{share.suffix}" for name, each in sums_.items()]
        if sampled:
            found += [f"countIf({mine}) AS n_{share.suffix}", f"sumIf(q * q, {mine}) AS q_{share.suffix}"]
    return f"SELECT stack, {', '.join(found)} FROM ({' UNION ALL '.join(parts)}) GROUP BY stack", together


def _parts(database: str, share: Share, where: Conditions, place: int, sampled: bool) -> Iterator[str]:
    """The rows of each table that are added up, all with the same columns."""
    for table in dict.fromkeys(piece.table for piece in share.pieces):
        each = [piece for piece in share.pieces if piece.table == table]
        columns = ["stack", f"{place} AS place"]
        columns += [f"{_each(each[0], measure)} AS {_each_of(i)}" for i, measure in enumerate(share.measures)]
        columns += [f"toFloat64({measured(share.query)}) AS q"] * sampled
        times = " OR ".join(f"({_in(piece)})" for piece in each)
        yield f"SELECT {', '.join(columns)} FROM {database}.{table} WHERE {where.sql} AND ({times})"


def _each_of(place: int) -> str:
    """Not the name of a column: within a statement that would stand for its sum."""
    return f"each_{place}"


def over_time(
    database: str, query: Query, where: Conditions, pieces: Sequence[Piece], start_ns: int, width_ns: int
) -> str:
    """Sums by place in a range that is cut into buckets, and by stack if the query is about frames."""
    by = ", stack" if query.by_frames else ""
    parts = []
    for piece in pieces:
        moment = "time_ns" if piece.rollup is None else f"toUInt64(toUnixTimestamp(ts)) * {_NS}"
        parts.append(f"""SELECT intDiv({moment} - {start_ns}, {width_ns}) AS place{by},
            {_each(piece, query.measure)} AS each, toFloat64({measured(query)}) AS q
            FROM {database}.{piece.table} WHERE {where.sql} AND {_in(piece)}""")
    return f"""SELECT place{by}, sum(each) AS {SUMS[query.measure]}, count() AS n_, sum(q * q) AS q_
        FROM ({" UNION ALL ".join(parts)}) GROUP BY place{by}"""


def measured(query: Query) -> str:
    """Of an event, what a query measures."""
    return "weight" if query.measure is Measure.COUNT else f"least(duration_ns, {LONGEST_NS})"


def estimate(table: pa.Table, pieces: Sequence[Piece], query: Query, suffix: str = "") -> Estimate:
    """How exact sums of a part of the events are (Kish's effective size of a sample of unequal weights).

    suffix: of the names of the columns that have them.
    """
    import pyarrow.compute as pc

    one_of = max(piece.one_of for piece in pieces)
    if one_of == 1 or not len(table):
        return Estimate()
    n, squares, whole = (pc.sum(table[name + suffix]).as_py() or 0 for name in ("n_", "q_", SUMS[query.measure]))
    if not whole:
        return Estimate(one_of, n, 0.0)
    # half of the 95 % interval of a share of one half: 1.96 * one_of * sqrt(sum of squares) / 2 / whole
    return Estimate(one_of, n, min(1.0, 0.98 * one_of * math.sqrt(squares) / whole))


def _each(piece: Piece, measure: Measure) -> str:
    if piece.rollup is not None:
        return f"toInt64({_SUMMED[measure]})"
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
