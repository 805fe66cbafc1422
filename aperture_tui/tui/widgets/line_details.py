"""A row of a table of calls or waits in full: what goes on, who holds it, what failed."""

from __future__ import annotations

from typing import Final

from aperture_tui.profile.latency import Latency
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.model import LatencyLine
from aperture_tui.tui.palette import Span, Spans

_OLD_NS: Final = 1_000_000_000
"""What goes on for longer is worth a colour."""
_THREADS: Final = 3
_HELD: Final = ("mutex", "rwlock", "futex", "kernel")
"""What kinds of locks begin with that have a holder."""


def line_rows(line: LatencyLine | None, width: int, height: int) -> list[Spans]:
    """At most two rows: what it is; what goes on now, then what ended."""
    if height < 1:
        return []
    if line is None:
        return [_row([], width)] * height
    facts = _facts(line)
    name = [(" ", "text"), *_name(line)]
    if height == 1:
        room = max(min(12, width), width - _cells(facts[0]) - 3)
        return [_row([*_cut(name[: 2 + (not line.key.value)], room), ("  ", "text"), *_joined(facts)], width)]
    rows = [_row(name, width), _row([(" ", "text"), *_joined(facts)], width)]
    return rows + [_row([], width)] * (height - len(rows))


def _name(line: LatencyLine) -> list[Span]:
    key = line.key
    address = f" 0x{key.value:x}" if key.value else ""
    return [
        (plain(key.name) or "?", "*text"),
        (address, "text"),
        (f"  {plain(line.process.words)}", "accent"),
    ]


def _facts(line: LatencyLine) -> list[list[Span]]:
    """The most wanted first."""
    told = line.told
    facts: list[list[Span]] = []
    if line.in_flight is not None:
        key = "*warning" if line.in_flight.maximum_ns > _OLD_NS else "*text"
        facts.append([(in_flight_words(line.in_flight), key)])
    if line.holders:
        facts.append([("held by ", "muted"), (_threads(line.holders), "text")])
    elif line.key.value and line.key.name.startswith(_HELD):
        facts.append([("held by ", "muted"), ("?", "text")])
    if line.wakers:
        facts.append([("let go by ", "muted"), (_threads(line.wakers), "text")])
    if told.count:
        mean = figures.latency(told.time_ns / told.count)
        facts.append([(figures.count(told.count), "text"), (" ended, mean ", "muted"), (mean, "text")])
        if told.errors:
            share = figures.percent(told.errors, told.count)
            facts.append([(f"{figures.count(told.errors)} failed ({share})", "warning")])
    else:
        facts.append([("none has ended in view", "muted")])
    return facts


def in_flight_words(latency: Latency) -> str:
    """ "3 in flight, oldest 40 s (tid 4711)"; "≥ 40 s" where it began before anybody looked."""
    age = f"{'≥ ' if latency.at_least else ''}{figures.latency(latency.maximum_ns)}"
    thread = f" (tid {latency.tid})" if latency.tid else ""
    many = latency.count > 1
    return f"{figures.count(latency.count)} in flight, {'oldest ' if many else 'for '}{age}{thread}"


def _threads(found: tuple[tuple[int, int], ...]) -> str:
    """ "tid 4711 (12×), 4712 (3×) + 2 more"."""
    shown = ", ".join(f"{tid} ({figures.short(n)}×)" for tid, n in found[:_THREADS])
    more = len(found) - _THREADS
    return f"tid {shown}{f' + {more} more' if more > 0 else ''}"


def _joined(facts: list[list[Span]]) -> list[Span]:
    out: list[Span] = []
    for i, fact in enumerate(facts):
        out += [("  │ ", "faint"), *fact] if i else fact
    return out


def _cells(spans: list[Span]) -> int:
    return sum(width_of(text) for text, _ in spans)


def _cut(spans: list[Span], width: int) -> list[Span]:
    out: list[Span] = []
    left = width
    for text, key in spans:
        cells = width_of(text)
        if left > 0:
            out.append((text, key) if cells <= left else (fit(text, left), key))
        left -= cells
    return out


def _row(spans: list[Span], width: int) -> Spans:
    cut = _cut(spans, width)
    return (*cut, (" " * (width - _cells(cut)), "text"))
