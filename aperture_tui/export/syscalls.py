"""The system calls of a report in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui.export.calls import NOTE, Row, errors_words, in_flight_words, rest, rows, shown
from aperture_tui.export.collected import time_range
from aperture_tui.export.histogram import histogram
from aperture_tui.export.names import amount_ns, number
from aperture_tui.export.table import Column, table, wrapped
from aperture_tui.profile.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

HISTOGRAMS: Final = 3
_SHORTEST_NS: Final = 500_000_000  # of a shorter range no rate is told: collecting does not begin and end in a moment


def section(store: Store, query: Query, width: int) -> list[str]:
    """The table, most first by the query's measure, and the histograms of its first rows; [] where there is nothing."""
    found = rows(store, query)
    if not found:
        return []
    start, end = time_range(store, query)
    calls, time_ns = sum(row.ended.count for row in found), sum(row.ended.time_ns for row in found)
    going = sum(row.in_flight.count for row in found if row.in_flight)
    lines = wrapped(f"Syscalls: {calls:,} calls, {amount_ns(time_ns)}; {going:,} in flight at the end", width)
    lines += [*_table(shown(found), end - start, width), *rest(found, "rows of processes and their calls")]
    for row in shown(found)[:HISTOGRAMS]:
        if row.ended.count:
            lines += ["", *histogram(row.ended, Kind.SYSCALL, width)]
    return lines


def _table(listed: Sequence[Row], range_ns: int, width: int) -> list[str]:
    ended = [row.ended for row in listed]
    quantiles = [[amount_ns(one.quantile(q)) if one.count else "" for one in ended] for q in (0.5, 0.99)]
    columns = [
        Column("total", [amount_ns(one.time_ns) if one.count else "" for one in ended]),
        Column("calls", [f"{one.count:,}" for one in ended], 1),
        Column("calls/s", [_rate(one.count, range_ns) for one in ended], 6),
        Column("p50", quantiles[0], 5),
        Column("p99", quantiles[1], 3),
        Column("max", [amount_ns(one.maximum_ns) if one.count else "" for one in ended], 4),
        Column("in flight", [in_flight_words(row.in_flight) for row in listed], 2),
        Column("pid", [number(one.pid) for one in ended]),
        Column("syscall", [one.name or "[unknown]" for one in ended], left=True),
        Column("process", [one.process or "[unknown]" for one in ended], left=True),
    ]
    heading, *lines = table(columns, width)
    out = [heading]
    for one, line in zip(ended, lines, strict=True):
        out.append(line)
        if one.errors:
            out += wrapped(f"errors {one.errors:,}: {errors_words(one.outcomes)}", width, NOTE)
    return out


def _rate(count: int, range_ns: int) -> str:
    if range_ns < _SHORTEST_NS:
        return "?"
    per_second = count * 1e9 / range_ns
    return f"{per_second:,.0f}" if per_second >= 99.5 else f"{per_second:.3g}"
