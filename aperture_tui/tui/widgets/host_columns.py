"""The columns of the list of machines, and what stands in them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from aperture_tui.store.remote.link import is_stale
from aperture_tui.tui import figures
from aperture_tui.tui.palette import Span
from aperture_tui.tui.remote import service_words
from aperture_tui.tui.widgets.host_lines import HostLine
from aperture_tui.tui.widgets.placing import Column


class Now(NamedTuple):
    """now_ns: the aggregator's clock. ascii_only: the terminal has no more than that."""

    now_ns: int
    ascii_only: bool = False


def age(seen_ns: int, now_ns: int) -> str:
    """How long ago, in at most 6 cells; "–" of never, "now" of what lies ahead by a wrong clock."""
    return figures.age(now_ns - seen_ns) if seen_ns else "–"


def _host(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(line.name, "text")]


def _place(line: HostLine, now: Now, _: int) -> list[Span]:
    """A service with a mark that says whether its machines stand below, or one of them."""
    if line.inside:
        return [(f"   {line.host}", "text")]
    mark = ("-" if line.unfolded else "+") if now.ascii_only else ("▾" if line.unfolded else "▸")
    return [(f"{mark} {line.name}", "text")]


def _service(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(service_words(line.service), "text" if line.service else "muted")]


def _hosts(line: HostLine, _now: Now, _width: int) -> list[Span]:
    if line.inside:
        return [("", "text")]
    return [(f"{line.hosts:,}" if line.hosts == line.known else f"{line.hosts:,}/{line.known:,}", "text")]


def _stale(line: HostLine, _now: Now, _width: int) -> list[Span]:
    if line.inside:
        return [("", "text")]
    return [(f"{line.stale:,}", "warning" if line.stale else "muted")]


def _seen(line: HostLine, now: Now, _: int) -> list[Span]:
    """The sign says it without colours too."""
    stale = is_stale(line.seen_ns, line.interval_ms, now.now_ns)
    return [(f"{'! ' if stale else ''}{age(line.seen_ns, now.now_ns)}", "*warning" if stale else "text")]


def _lost(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(figures.short(line.lost), "*error" if line.lost else "muted")]


def _events(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(figures.short(line.events), "text")]


def _cpus(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(f"{line.cpus:,}" if line.cpus else "?", "text" if line.cpus else "muted")]


def _memory(line: HostLine, _now: Now, _width: int) -> list[Span]:
    known = line.memory_bytes > 0
    return [(figures.size(line.memory_bytes) if known else "?", "text" if known else "muted")]


def _version(line: HostLine, _now: Now, _width: int) -> list[Span]:
    return [(line.version or "?", "text" if line.version else "muted")]


def _problem(line: HostLine, _now: Now, _width: int) -> list[Span]:
    if line.inside or line.host or line.problems < 2:
        return [(line.problem, "warning")]
    return [(f"{line.problems:,} hosts; {line.problem}", "warning")]


_SHARED: Final = (
    Column("LAST SEEN", "last seen", 1, 9, 9, _seen),
    Column("LOST", "lost", 3, 6, 6, _lost),
    Column("EVENTS", "events", 4, 7, 7, _events),
    Column("CPUS", "", 9, 6, 6, _cpus),
    Column("MEMORY", "", 10, 7, 7, _memory),
    Column("VERSION", "version", 7, 8, 14, _version, left=True),
    Column("PROBLEM", "problem", 6, 12, 400, _problem, left=True),
)


def columns(grouped: bool, longest: Mapping[str, int]) -> list[Column[HostLine, Now]]:
    """Those of a table. longest: by title, cells that names need at the most; the rest is for the others."""
    return [
        column._replace(most=max(column.least, min(column.most, longest.get(column.title, column.most))), part=0.0)
        if column.title in longest
        else column
        for column in COLUMNS[grouped]
    ]


COLUMNS: Final[Mapping[bool, tuple[Column[HostLine, Now], ...]]] = {
    False: (
        Column("HOST", "name", 0, 14, 36, _host, left=True, part=0.16),
        Column("SERVICE", "service", 2, 10, 24, _service, left=True),
        *_SHARED,
    ),
    True: (
        Column("SERVICE", "name", 0, 16, 40, _place, left=True, part=0.2),
        Column("HOSTS", "hosts", 2, 7, 11, _hosts),
        Column("STALE", "stale", 5, 6, 6, _stale),
        *_SHARED,
    ),
}
"""By whether machines stand together by service."""
