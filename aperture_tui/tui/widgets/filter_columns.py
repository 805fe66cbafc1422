"""The columns of the list of filters, and what stands in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.tui import figures
from aperture_tui.tui.cells import LEVELS, width_of
from aperture_tui.tui.filter_words import short_state
from aperture_tui.tui.filtering import Pace
from aperture_tui.tui.palette import Span
from aperture_tui.tui.widgets.placing import Column, Placed, place

if TYPE_CHECKING:
    from aperture_tui.filters.told import Counters, FilterState

SWITCH: Final = "ON"
"""The title of the column that a click switches."""


class FilterLine(NamedTuple):
    """One filter: how it stands, and what it does now."""

    state: FilterState
    pace: Pace

    @property
    def told(self) -> Counters:
        """What it has done so far."""
        return self.state.at_work.counters


def curve(history: Sequence[float | None], width: int) -> str:
    """Shares, newest at the right, one cell each: a line at the foot is nothing, a blank is unknown."""
    cells = "".join(" " if share is None else LEVELS[1 + round(7 * min(1.0, share))] for share in history[-width:])
    return cells.rjust(width)


def _on(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    return [("on", "good") if line.state.on else ("off", "muted")]


def _name(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    return [(line.state.name, "text")]


def _state(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    return [short_state(line.state)]


def _drops(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    share = line.pace.dropped
    return [("–", "muted") if share is None else (figures.share(share, 1.0), "text")]


def _curve(line: FilterLine, _whole: None, width: int) -> list[Span]:
    return [(curve(line.pace.history, width), "user")]


def _rate(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    return [("?", "muted") if line.pace.rate is None else (figures.rate(line.pace.rate), "text")]


def _cost(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    """Of the events of now; if there are none, of all so far."""
    ns = line.pace.ns_per_event or line.told.ns_per_event
    return [("–", "muted") if ns is None else (figures.latency(ns), "text")]


def _number(of: Callable[[Counters], int], alarms: bool = False) -> Callable[[FilterLine, None, int], list[Span]]:
    def cell(line: FilterLine, _whole: None, _width: int) -> list[Span]:
        n = of(line.told)
        return [(figures.short(n), ("*error" if alarms else "text") if n else "muted")]

    return cell


def _memory(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    n = line.state.at_work.memory_bytes
    return [(figures.size(n), "text") if n else ("–", "muted")]


def _version(line: FilterLine, _whole: None, _width: int) -> list[Span]:
    return [(line.state.at_work.program.sha256[:8], "muted")]


def _file(line: FilterLine, _whole: None, width: int) -> list[Span]:
    """The end of a path says more than its beginning."""
    path = str(line.state.spec.path)
    if width_of(path) > width:
        path = path[1 - width :] if width > 1 else ""
        while width_of(path) > width - 1 and path:
            path = path[1:]
        path = f"…{path}"
    return [(path, "muted")]


COLUMNS: Final = (
    Column(SWITCH, "", 2, 3, 3, _on, left=True),
    Column("FILTER", "", 0, 10, 24, _name, left=True, part=0.12),
    Column("STATE", "", 1, 12, 12, _state, left=True),
    Column("DROPS", "", 3, 6, 6, _drops),
    Column("RECENT", "", 6, 14, 30, _curve),
    Column("IN/S", "", 5, 6, 6, _rate),
    Column("IN", "", 8, 6, 6, _number(lambda told: told.events_in)),
    Column("OUT", "", 9, 6, 6, _number(lambda told: told.events_out)),
    Column("DROPPED", "", 7, 7, 7, _number(lambda told: told.dropped)),
    Column("TAGGED", "", 12, 6, 6, _number(lambda told: told.tagged)),
    Column("WEIGHED", "", 13, 7, 7, _number(lambda told: told.weighed)),
    Column("PER EVENT", "", 5, 9, 9, _cost),
    Column("ERRORS", "", 4, 6, 6, _number(lambda told: told.errors, alarms=True)),
    Column("MEMORY", "", 10, 7, 7, _memory),
    Column("VERSION", "", 11, 8, 8, _version, left=True),
    Column("FILE", "", 14, 14, 48, _file, left=True),
)
"""Of those that work in a chain, from left to right."""


def placed(width: int) -> tuple[Placed[FilterLine, None], ...]:
    """Those that a width has room for."""
    return place(COLUMNS, width, "")
