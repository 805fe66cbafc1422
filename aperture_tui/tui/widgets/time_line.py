"""The line of time of a recording: what time is looked at, how it moves, and where in the recording that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.wall_clock import clock, moment, passed
from aperture_tui.tui.widgets.rows import RowsView

_BAR: Final = 12
"""Cells that the bar wants before words are left out."""
_SHORTEST_BAR: Final = 4
_NAME: Final = 32
_HEAD: Final = 7
"""Cells of the mark that says whether time passes, and how fast."""


@dataclass(frozen=True, slots=True)
class TimeFacts:
    """What the line says. at_ns, window_ns: the end of the window, and how long it is. held: from where to where.

    name: of the recording. host: that it was made on. now_ns: what day it is. All in Unix nanoseconds. opening: it is
    being read, and what it holds is not known yet.
    """

    at_ns: int
    window_ns: int
    held: Held
    plays: bool = False
    speed: float = 1.0
    name: str = ""
    host: str = ""
    now_ns: int = 0
    opening: bool = False


def mark(plays: bool, speed: float, ascii_only: bool = False) -> str:
    """ "▶ 4x", "▮▮ ½x"; in ASCII "> 4x", "|| 0.5x"."""
    if ascii_only:
        return f"{'>' if plays else '||'} {speed:g}x"
    return f"{'▶' if plays else '▮▮'} {'½' if speed == 0.5 else f'{speed:g}'}x"


def position_bar(at_ns: int, window_ns: int, held: Held, width: int, ascii_only: bool = False) -> list[Span]:
    """ "├────━━━●──┤": the recording, in it the window, and at its end the moment that is looked at."""
    inner = width - 2
    at = cell_of(at_ns, held, inner)
    first = min(at, cell_of(at_ns - window_ns, held, inner))
    left, thin, thick, knob, right = "|-=o|" if ascii_only else "├─━●┤"
    return [
        (left + thin * first, "muted@bar"),
        (thick * (at - first), "accent@bar"),
        (knob, "*accent@bar"),
        (thin * (inner - at - 1) + right, "muted@bar"),
    ]


def cell_of(at_ns: int, held: Held, cells: int) -> int:
    """In which of so many cells a moment lies."""
    length = held.end_ns - held.start_ns
    if length <= 0:
        return cells - 1
    return max(0, min(cells - 1, (at_ns - held.start_ns) * (cells - 1) // length))


def moment_of(cell: int, held: Held, cells: int) -> int:
    """A moment that lies in a cell, Unix nanoseconds; beside the bar, that of its end."""
    cell = max(0, min(cells - 1, cell))
    return held.start_ns + (held.end_ns - held.start_ns) * cell // max(1, cells - 1)


def time_row(facts: TimeFacts, width: int, ascii_only: bool = False) -> tuple[Spans, range]:
    """One row, and the cells that are the inside of the bar. The host, the zone and the name give way to the bar."""
    head = f" {mark(facts.plays, facts.speed, ascii_only):<{_HEAD - 1}}"
    if not facts.held.end_ns:
        what = "opening" if facts.opening else "nothing in"
        return _without_bar([(head, "*accent@bar"), (f" {what} {plain(facts.name)}", "text@bar")], width)
    for when, tail, least in _forms(facts):
        left = [(head, "*accent@bar"), (f" {when} ", "*text@bar")]
        right = [(f" {text}", key) for text, key in tail if text]
        room = width - _cells(left) - _cells(right) - 1
        if room >= least:
            bar = position_bar(facts.at_ns, facts.window_ns, facts.held, room, ascii_only)
            begin = _cells(left) + 1
            return (*left, *bar, *right, (" ", "text@bar")), range(begin, begin + room - 2)
    return _without_bar([(head, "*accent@bar"), (f" {clock(facts.at_ns)}", "*text@bar")], width)


def _forms(facts: TimeFacts) -> list[tuple[str, list[Span], int]]:
    """The time, what stands behind the bar, and the fewest cells of the bar; the fullest first."""
    when, held = moment(facts.at_ns, facts.now_ns), facts.held
    so_far, whole = passed(facts.at_ns - held.start_ns), passed(held.end_ns - held.start_ns)
    far: Span = (f"{so_far} / {whole}", "text@bar")
    name: Span = (f" replay {fit(facts.name, min(_NAME, width_of(facts.name)))}", "muted@bar")
    host: Span = (f"on {plain(facts.host)}" if facts.host else "", "muted@bar")
    bare = when.rpartition(" ")[0]
    return [
        (when, [far, name, host], _BAR),
        (when, [far, name], _BAR),
        (bare, [far, name], _BAR),
        (bare, [far], _BAR),
        (clock(facts.at_ns), [far], _BAR),
        (clock(facts.at_ns), [(so_far, "text@bar")], _SHORTEST_BAR),
    ]


def _without_bar(spans: Sequence[Span], width: int) -> tuple[Spans, range]:
    return ((fit("".join(text for text, _ in spans), width), "*accent@bar"),), range(0)


def _cells(spans: Sequence[Span]) -> int:
    return sum(width_of(text) for text, _ in spans)


class TimeLine(RowsView):
    """The line of time. A click on the bar looks at that moment, on the mark it lets time pass or stand still, on the
    time it asks for another.
    """

    DEFAULT_CSS = "TimeLine { height: 1; display: none; }"

    class Chosen(Message):
        """A moment was chosen, Unix nanoseconds."""

        def __init__(self, at_ns: int) -> None:
            super().__init__()
            self.at_ns = at_ns

    class Toggled(Message):
        """Play, or pause."""

    class Asked(Message):
        """A time is to be typed."""

    def __init__(self) -> None:
        super().__init__(id="time")
        self._bar = range(0)
        self._has_mark = False
        self._held = Held()

    def show(self, facts: TimeFacts) -> None:
        """Say this."""
        self._held = facts.held
        self.draw(lambda: self._row(facts))

    def _row(self, facts: TimeFacts) -> list[Spans]:
        row, self._bar = time_row(facts, self.size.width, not self.palette.rich)
        self._has_mark = bool(facts.held.end_ns)
        return [row]

    def on_click(self, event: Click) -> None:
        """Look at what stands there."""
        if self._has_mark and event.x < _HEAD:
            self.post_message(self.Toggled())
        elif self._has_mark and event.x < self._bar.start - 1:
            self.post_message(self.Asked())
        elif event.x in self._bar:
            self.post_message(self.Chosen(moment_of(event.x - self._bar.start, self._held, len(self._bar))))
