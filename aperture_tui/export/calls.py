"""Calls and waits as the tables show them: what has ended and what goes on, side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.export.collected import process_key
from aperture_tui.export.names import amount_ns, errno_name
from aperture_tui.profile.kinds import Role
from aperture_tui.profile.latency import Latency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

ROWS: Final = 20
"""Rows of a table with calls or waits that have ended."""
ONLY_IN_FLIGHT: Final = 5
"""Rows below them of those where none has ended yet."""

NOTE: Final = 4
"""Cells by which a line below a row is indented."""


class Row(NamedTuple):
    """One process's calls or waits under one name.

    ended: of the range; its count is 0 where none has ended. in_flight: what went on at its end, None for nothing.
    """

    ended: Latency
    in_flight: Latency | None


def rows(store: Store, query: Query) -> list[Row]:
    """Most first by the query's measure; behind them those where nothing has ended, the oldest first."""
    going = {_key(one): one for one in store.latencies(replace(query, role=Role.IN_FLIGHT))}
    ended = [Row(one, going.pop(_key(one), None)) for one in store.latencies(query)]
    alone = sorted(going.values(), key=lambda one: -one.maximum_ns)
    return [*ended, *(Row(_nothing_ended(one), one) for one in alone)]


def shown(all_rows: Sequence[Row]) -> list[Row]:
    """Those that a table has room for."""
    ended = [row for row in all_rows if row.ended.count]
    alone = [row for row in all_rows if not row.ended.count]
    return ended[:ROWS] + alone[:ONLY_IN_FLIGHT]


def rest(all_rows: Sequence[Row], words: str) -> list[str]:
    """A line that tells of the others; none if there are no others. words: what the rows are."""
    left = len(all_rows) - len(shown(all_rows))
    return [f"and {left:,} more {words}"] if left else []


def in_flight_words(going: Latency | None) -> str:
    """How many, and the age of the oldest: "2, 12.3 s"; "1, ≥ 5 s" where it began before anybody looked."""
    if going is None:
        return ""
    return f"{going.count:,}, {'≥ ' if going.at_least else ''}{amount_ns(going.maximum_ns)}"


def errors_words(outcomes: Mapping[int, int]) -> str:
    """Errors by name, most first: "EAGAIN 1,200, EINTR 3"; "" for none."""
    ordered = sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{errno_name(code)} {n:,}" for code, n in ordered if n)


def _key(one: Latency) -> tuple[tuple[int, int, str], str, int]:
    return process_key(one.pid, one.start_ns, one.process), one.name, one.value


def _nothing_ended(going: Latency) -> Latency:
    return Latency(going.pid, going.start_ns, going.process, going.name, going.value)


__all__ = ["NOTE", "Row", "errors_words", "in_flight_words", "rest", "rows", "shown"]
