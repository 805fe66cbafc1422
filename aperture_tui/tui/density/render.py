"""The timeline in rows of characters. Pure.

22:09:20 ▁▁▃▂▄▃▂▃▅▇█▆▅▃▂▂▃  22:14:20     how many events there were in each column
 2 k/s   ──────────━━━━━━━────  6 s      the window, the cursor; the highest that is drawn, the length of a column
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from aperture_tui.tui import figures
from aperture_tui.tui.cells import LEVELS, fit
from aperture_tui.tui.density.model import UNREAD, Density, Grid
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.wall_clock import clock, short

LABEL: Final = 10
"""Cells at each end, for a moment."""
LEAST: Final = 8
"""Columns without which a timeline says nothing."""
_SECOND: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND
_RICH: Final = LEVELS[1:]
_ASCII: Final = "_.:-=+*#"
"""The first is nothing, the others the more the higher."""
_UNREAD: Final = {False: "·", True: "~"}
_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, slots=True)
class TimelineFacts:
    """What the timeline says. start_ns, end_ns: the window. held: all there is. cursor_ns: None while nobody points at
    anything. anchor_ns: where a range begins that is being chosen; None while none is. noun: what is counted. Times are
    Unix nanoseconds.
    """

    density: Density | None = None
    start_ns: int = 0
    end_ns: int = 0
    held: Held = field(default_factory=Held)
    cursor_ns: int | None = None
    anchor_ns: int | None = None
    noun: str = ""

    @property
    def chosen(self) -> tuple[int, int] | None:
        """The range that is being chosen, whole columns, half-open; of a cursor alone its column."""
        if self.density is None or self.cursor_ns is None:
            return None
        bucket = self.density.grid.bucket_ns
        both = sorted(
            at // bucket for at in (self.cursor_ns, self.cursor_ns if self.anchor_ns is None else self.anchor_ns)
        )
        return both[0] * bucket, (both[1] + 1) * bucket


def columns_of(width: int) -> int:
    """How many columns a timeline of so many cells has; 0 if that is too few."""
    return width - 2 * LABEL if width - 2 * LABEL >= LEAST else 0


def timeline_rows(facts: TimelineFacts, width: int, height: int, ascii_only: bool = False) -> list[Spans]:
    """One or two rows."""
    density, columns = facts.density, columns_of(width)
    if density is None or not columns or density.problem:
        said = f"no timeline: {density.problem}" if density is not None and density.problem else "…"
        return [_words(said if i == 0 else "", width) for i in range(height)]
    top = ceiling(max(density.weights, default=0))
    bars = [_bar(weight, top, ascii_only) for weight in density.weights]
    marks = _marks(facts, density.grid)
    left, right = _ends(facts, density.grid)
    if height < 2:
        if ascii_only:
            bars = _bracketed(bars, marks)
        keys = [_INK[mark] for mark in marks]
        return [_row(left, list(zip(bars, keys, strict=True)), right, columns)]
    keys = [_INK_ABOVE[mark] for mark in marks]
    upper = _row(left, list(zip(bars, keys, strict=True)), right, columns)
    axis = [
        (_AXIS[ascii_only][mark] if weight >= 0 or mark != _OUT else " ", _INK_BELOW[mark])
        for mark, weight in zip(marks, density.weights, strict=True)
    ]
    rate = f"≤{figures.rate(top * _SECOND / density.grid.bucket_ns)}/s" if top else ""
    scale: Span = (f" {fit(rate.replace('≤', '<=') if ascii_only else rate, LABEL - 2)} ", "muted@bar")
    length: Span = (f" {fit(figures.duration(density.grid.bucket_ns), LABEL - 2)} ", "muted@bar")
    return [upper, _row(scale, axis, length, columns)]


def ceiling(most: int) -> int:
    """What a full cell stands for, at least so many events: one of few numbers, so that it seldom changes."""
    if most <= 0:
        return 0
    power = int(10 ** (len(str(most)) - 1))
    return next(round(step * power) for step in _STEPS if round(step * power) >= most)


_OUT, _IN, _CHOSEN, _CURSOR = range(4)
_INK: Final = ("muted@bar", "*accent@cursor", "*warning@cursor", "*background@accent")
_INK_ABOVE: Final = ("muted@bar", "accent@bar", "*warning@bar", "*background@accent")
_INK_BELOW: Final = ("faint@bar", "*accent@bar", "*warning@bar", "*background@accent")
_AXIS: Final = {False: "─━┅┃", True: "-=o^"}


def _bar(weight: int, top: int, ascii_only: bool) -> str:
    if weight < 0:
        return _UNREAD[ascii_only] if weight == UNREAD else " "
    levels = _ASCII if ascii_only else _RICH
    return levels[0] if not weight else levels[1 + min(6, 7 * weight // (top + 1))]


def _marks(facts: TimelineFacts, grid: Grid) -> list[int]:
    """What each column is: beside the window, in it, in the range that is being chosen, or under the cursor."""
    marks = [_OUT] * grid.columns
    _mark(marks, grid, facts.start_ns, facts.end_ns, _IN)
    if (chosen := facts.chosen) is not None and facts.cursor_ns is not None:
        if facts.anchor_ns is not None:
            _mark(marks, grid, *chosen, _CHOSEN)
        _mark(marks, grid, facts.cursor_ns, facts.cursor_ns + 1, _CURSOR)
    return marks


def _mark(marks: list[int], grid: Grid, start_ns: int, end_ns: int, mark: int) -> None:
    """As many columns as a stretch is long, at least one, the last of them that in which it ends: so the mark of a
    window that moves on keeps its length.
    """
    last = (end_ns - 1 - grid.start_ns) // grid.bucket_ns
    first = last + 1 - max(1, round((end_ns - start_ns) / grid.bucket_ns))
    for i in range(max(0, first), min(grid.columns, last + 1)):
        marks[i] = mark


def _bracketed(bars: Sequence[str], marks: Sequence[int]) -> list[str]:
    """Without colours: the window between [ and ], what is being chosen between { and }, the cursor as |.

    They stand in the cells beside it, and where there are none in its first and last.
    """
    out = list(bars)
    for mark, (opening, closing) in ((_IN, "[]"), (_CHOSEN, "{}")):
        inside = [i for i, one in enumerate(marks) if one == mark]
        if inside:
            out[max(0, inside[0] - 1)], out[min(len(out) - 1, inside[-1] + 1)] = opening, closing
    return ["|" if mark == _CURSOR else bar for bar, mark in zip(out, marks, strict=True)]


def _ends(facts: TimelineFacts, grid: Grid) -> tuple[Span, Span]:
    """When the first and the last column begin; of what is being chosen, from when to when."""
    if (chosen := facts.chosen) is not None:
        return _end(chosen[0], grid, "*warning@bar"), _end(chosen[1], grid, "*warning@bar")
    return _end(grid.start_ns, grid, "text@bar"), _end(grid.begin_of(grid.columns - 1), grid, "text@bar")


def _end(at_ns: int, grid: Grid, key: str) -> Span:
    long = grid.end_ns - grid.start_ns > _DAY_NS
    words = time.strftime("%b %d", time.localtime(at_ns // _SECOND)) if long else clock(at_ns)
    return f" {fit(words, LABEL - 2)} ", key


def _row(left: Span, cells: Sequence[Span], right: Span, columns: int) -> Spans:
    """Neighbours with the same ink are one span; what columns there are not is left free at the right."""
    spans = [("".join(text for text, _ in run), key) for key, run in groupby(cells, key=lambda cell: cell[1])]
    return (left, *spans, right, (" " * (columns - len(cells)), "text@bar"))


def _words(text: str, width: int) -> Spans:
    return ((fit(f" {text}", width), "muted@bar"),)


def chosen_facts(facts: TimelineFacts) -> list[str]:
    """What there is to say of the column under the cursor, or of the range that is being chosen: its length, how many
    events there are, and how many a second.
    """
    chosen, density = facts.chosen, facts.density
    if chosen is None or density is None:
        return []
    grid = density.grid
    first, end = ((at - grid.start_ns) // grid.bucket_ns for at in chosen)
    weights = density.weights[max(0, first) : max(0, min(end, grid.columns))]
    known = [weight for weight in weights if weight >= 0]
    length = chosen[1] - chosen[0]
    said = [length_words(length)]
    if not known:
        return [*said, "not read yet" if UNREAD in weights else "nothing is known of it"]
    total, known_ns = sum(known), len(known) * grid.bucket_ns
    said += [f"{figures.count(total)} {facts.noun}", f"{figures.rate(total * _SECOND / known_ns)}/s"]
    return said + [f"of {length_words(known_ns)} of it"] * (known_ns < length)


def between_words(start_ns: int, end_ns: int, now_ns: int) -> str:
    """ "14:02:11 to 14:02:37", with the date where it is not today's, and of both ends where these differ."""
    start, end = short(start_ns, now_ns), short(end_ns, now_ns)
    same = start.rpartition(" ")[0] == end.rpartition(" ")[0]
    return f"{start} to {clock(end_ns) if same else end}"


def length_words(ns: int) -> str:
    """A length as exact as its ends are told: "0.4 s", "26 s", "2:17 min", "1:02:03 h"."""
    tenths = round(ns / (_SECOND // 10))
    if tenths < 1200:
        return f"{tenths / 10:g} s"
    seconds = round(tenths / 10)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02} h" if hours else f"{minutes}:{seconds % 60:02} min"
