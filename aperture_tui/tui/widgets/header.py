"""The first line: which view, of what, of when, and whether it stands still."""

from __future__ import annotations

from dataclasses import dataclass

from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.rows import RowsView

MARK = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""What moves while collectors start."""


@dataclass(frozen=True)
class Heading:
    """What the header says. views: (key, title) of each; starting: what is being waited for, "" when nothing is."""

    views: tuple[tuple[str, str], ...]
    current: str
    host: str = ""
    pinned: str = ""
    process: str = ""
    window_s: float | None = None
    range_ns: int = 0
    samples: int | None = None
    frozen: str = ""
    starting: str = ""
    search: str = ""


def header_row(heading: Heading, width: int) -> Spans:
    """One row. What does not fit is left out, the least needed first: never the view's name, nor that it is frozen."""
    left = _views(heading)
    state = _state(heading)
    facts = _facts(heading)
    used = _cells(left) + _cells(state)
    while facts and used + sum(_cells(spans) for _, spans in facts) > width:
        facts.remove(max(facts, key=lambda fact: fact[0]))
    middle = [span for _, spans in facts for span in spans]
    room = width - _cells(left) - _cells(state)
    if room < 0:  # one name instead of all
        left = [(f" {heading.current} ", "*accent@bar")]
        room = width - _cells(left) - _cells(state)
    if room < 0:
        return ((fit(" ".join(text.strip() for text, _ in [*state, *left]), width), "*warning@bar"),)
    fill = room - _cells(middle)
    return (*left, *middle, (" " * fill, "text@bar"), *state)


def _cells(spans: list[Span]) -> int:
    return sum(width_of(text) for text, _ in spans)


def _views(heading: Heading) -> list[Span]:
    spans = [(" aperture ", "*text@bar")]
    for key, title in heading.views:
        if title == heading.current:
            spans.append((f" {key} {title} ", "*background@accent"))
        else:
            spans.append((f" {key} {title} ", "muted@bar"))
    return spans


def _facts(heading: Heading) -> list[tuple[int, list[Span]]]:
    """(how dispensable, spans) from left to right."""
    facts: list[tuple[int, list[Span]]] = []
    if heading.process:
        facts.append((1, [("  ", "text@bar"), (heading.process, "*accent@bar")]))
    if heading.samples is not None:
        facts.append((2, [("  ", "text@bar"), (_when(heading), "text@bar")]))
        facts.append((4, [("  ", "text@bar"), (f"{figures.count(heading.samples)} samples", "text@bar")]))
    if heading.pinned:
        facts.append((3, [("  only ", "muted@bar"), (heading.pinned, "text@bar")]))
    if heading.host:
        facts.append((5, [("  on ", "muted@bar"), (heading.host, "muted@bar")]))
    return facts


def _when(heading: Heading) -> str:
    """ "last 30 s", "all 12 min", and what there is of it while that is less."""
    held = figures.duration(heading.range_ns)
    if heading.window_s is None:
        return f"all {held}"
    asked = figures.window(heading.window_s)
    full = heading.range_ns == 0 or heading.range_ns > 0.95e9 * heading.window_s
    return f"last {asked}" if full else f"last {asked} (has {held})"


def _state(heading: Heading) -> list[Span]:
    spans: list[Span] = []
    if heading.starting:
        spans.append((f" {heading.starting} ", "accent@bar"))
    if heading.frozen:
        spans.append((f" FROZEN {heading.frozen} ", "*background@warning"))
    return spans


class Header(RowsView):
    """The header line."""

    DEFAULT_CSS = "Header { height: 1; dock: top; }"

    def show(self, heading: Heading) -> None:
        """Say this."""
        self.draw(lambda: [header_row(heading, self.size.width)])
