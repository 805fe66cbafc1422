"""The first line: which view, of what, of when, and whether it stands still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from textual.events import Click
from textual.message import Message

from aperture_tui.profile.health import State
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.facts import Fact, cells, fitting
from aperture_tui.tui.widgets.rows import RowsView

MARK = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""What moves while collectors start."""

_NEEDED: Final = 2
"""Facts up to here are worth more than the names of the other views."""
_SHORT: Final = {"syscall": "sys", "offcpu": "off"}
_STATES: Final = {
    State.RUNNING: ("●", "good@bar"),
    State.STARTING: ("○", "accent@bar"),
    State.FAILED: ("!", "*error@bar"),
}


class Chip(NamedTuple):
    """Words that the header never leaves out, "" for nothing; the same in fewer cells; and their style key."""

    full: str = ""
    short: str = ""
    key: str = "text@bar"


NOTHING: Final = Chip()


@dataclass(frozen=True)
class Heading:
    """What the header says. views: (key, title) of each; starting: what is being waited for, "" when nothing is.

    between: a range that was chosen, in words, and in fewer; "" for one of the windows.
    amount: how much is in view, with its unit. grouped: by what stacks are told apart, beside their process. against:
    what it is compared with. collectors: (name, state) of those that are attached or should be.
    frozen: since when time stands still, "" while it passes. past: it is a recording, and nothing in it is the last of
    anything. clock: how a recording plays and where, if no line of its own says so. filtered: that filters took
    something away. where: that a filter line leaves something out. slow: that less is painted than was asked for, as
    the line to the terminal is slow.
    """

    views: tuple[tuple[str, str], ...]
    current: str
    host: str = ""
    pinned: str = ""
    process: str = ""
    window_s: float | None = None
    range_ns: int = 0
    between: tuple[str, str] = ("", "")
    amount: str = ""
    grouped: str = ""
    against: str = ""
    frozen: str = ""
    past: bool = False
    clock: str = ""
    starting: str = ""
    collectors: tuple[tuple[str, State], ...] = ()
    filtered: Chip = NOTHING
    slow: str = ""
    where: Chip = NOTHING


def header_row(heading: Heading, width: int) -> Spans:
    """One row. What does not fit is left out, the least needed first: never the view's name, nor that it is frozen or
    filtered.

    The names of the other views give way to their keys before the window and the process do; before that, what is said
    of filters is said in fewer words.
    """
    full, state = _state(heading, short=False), _state(heading, short=True)
    views, keys = _views(heading), _keys(heading)
    for left, right, needed in (
        (views, full, _NEEDED),
        (views, state, _NEEDED),
        (keys, full, _NEEDED),
        (keys, state, 0),
    ):
        room = width - cells(left) - cells(right)
        middle = fitting(_facts(heading), room, needed)
        if (fill := room - cells(middle)) >= 0:
            return (*left, *middle, (" " * fill, "text@bar"), *right)
    left = [(f" {heading.current} ", "*accent@bar")]  # one name instead of all
    if (fill := width - cells(left) - cells(state)) >= 0:
        return (*left, (" " * fill, "text@bar"), *state)
    return ((fit(" ".join(text.strip() for text, _ in [*state, *left]), width), "*warning@bar"),)


def _views(heading: Heading) -> list[Span]:
    spans = [(" aperture ", "*text@bar")]
    for key, title in heading.views:
        if title == heading.current:
            spans.append((f" {key} {title} ", "*background@accent"))
        else:
            spans.append((f" {key} {title} ", "muted@bar"))
    return spans


def _keys(heading: Heading) -> list[Span]:
    """The present view, and the keys of the others."""
    return [
        (f" {key} {title} ", "*background@accent") if title == heading.current else (f" {key} ", "muted@bar")
        for key, title in heading.views
    ]


def _facts(heading: Heading) -> list[Fact]:
    """From left to right."""
    facts: list[Fact] = []
    if heading.process:
        facts.append(Fact(1, [("  ", "text@bar"), (heading.process, "*accent@bar")]))
    if heading.amount:
        when, shorter = _when(heading)
        facts.append(Fact(2, _plain(when), _plain(shorter) if shorter else ()))
        facts.append(Fact(4, _plain(heading.amount)))
    if heading.grouped:
        facts.append(Fact(3, [("  ", "text@bar"), (heading.grouped, "*accent@bar")]))
    if heading.against:
        facts.append(Fact(2, [("  against ", "muted@bar"), (heading.against, "*accent@bar")]))
    if heading.pinned:
        facts.append(Fact(3, [("  only ", "muted@bar"), (heading.pinned, "text@bar")]))
    if heading.host:
        facts.append(Fact(5, [("  on ", "muted@bar"), (heading.host, "muted@bar")]))
    if heading.collectors:
        facts.append(Fact(6, _collectors(heading, {}), _collectors(heading, _SHORT)))
    return facts


def _plain(text: str) -> list[Span]:
    return [("  ", "text@bar"), (text, "text@bar")]


def _collectors(heading: Heading, names: Mapping[str, str]) -> list[Span]:
    """ "● cpu  ○ syscall"; without colours, the marks differ too."""
    spans: list[Span] = [(" ", "text@bar")]
    before = None
    for name, state in heading.collectors:
        if state is not before:
            mark, key = _STATES.get(state, ("?", "muted@bar"))
            spans.append((f" {mark}", key))
        before = state
        spans.append((f" {names.get(name, name)}", "muted@bar"))
    return spans


def _when(heading: Heading) -> tuple[str, str]:
    """ "last 30 s", "all 12 min", or what there is of it while that is less; and a shorter form, if there is one.

    Of a recording only "30 s": to where is said with the time that is looked at.
    """
    if heading.between[0]:
        return heading.between
    held = figures.duration(heading.range_ns)
    if heading.window_s is None:
        return f"all {held}", ""
    asked = figures.window(heading.window_s)
    full = heading.range_ns == 0 or heading.range_ns > 0.95e9 * heading.window_s
    if heading.past:
        return (asked, "") if full else (f"{asked} (has {held})", f"{held} of {asked}")
    return (f"last {asked}", "") if full else (f"last {asked} (has {held})", f"{held} of {asked}")


def _state(heading: Heading, short: bool) -> list[Span]:
    spans: list[Span] = []
    if heading.starting:
        spans.append((f" {heading.starting} ", "accent@bar"))
    if heading.slow:
        spans.append((f" {heading.slow} ", "warning@bar"))
    for chip in (heading.where, heading.filtered):
        if words := chip.short if short else chip.full:
            spans.append((f" {words} ", chip.key))
    if heading.frozen:
        spans.append((f" FROZEN {heading.frozen} ", "*background@warning"))
    if heading.clock:
        spans.append((f" {heading.clock} ", "*background@accent"))
    return spans


def text_at(row: Spans, x: int) -> str:
    """What stands at a cell of the header, in one piece; "" beside it."""
    at = 0
    for text, _ in row:
        if at <= x < at + width_of(text):
            return text
        at += width_of(text)
    return ""


class Header(RowsView):
    """The header line; a click at the name of a view goes there, at the filter line changes it, at FROZEN goes on."""

    DEFAULT_CSS = "Header { height: 1; dock: top; }"

    class Chosen(Message):
        """The view with this number."""

        def __init__(self, number: str) -> None:
            super().__init__()
            self.number = number

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._heading: Heading | None = None

    def show(self, heading: Heading) -> None:
        """Say this."""
        self._heading = heading
        self.draw(lambda: [header_row(heading, self.size.width)])

    async def on_click(self, event: Click) -> None:
        """Go to the view that was clicked at, or do what the key would that is for what stands there."""
        heading, text = self._heading, text_at(self.shown_rows[0], event.x) if self.shown_rows else ""
        if heading is None or not text.strip():
            return
        if number := next((key for key, title in heading.views if text in (f" {key} {title} ", f" {key} ")), ""):
            self.post_message(self.Chosen(number))
        elif text in (f" {heading.where.full} ", f" {heading.where.short} "):
            await self.app.run_action("screen.filter")
        elif text == f" FROZEN {heading.frozen} ":
            await self.app.run_action("screen.freeze")
