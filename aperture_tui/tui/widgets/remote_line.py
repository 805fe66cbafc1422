"""The line of an aggregator: how well it answers, whose machines are looked at and when, and how exact that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aperture_tui.store.base import Estimate
from aperture_tui.store.remote.link import Link, LinkState
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.model import EXACT
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.wall_clock import moment
from aperture_tui.tui.widgets.facts import Fact, cells, fitting
from aperture_tui.tui.widgets.time_line import TimeLine, position_bar

_NAME: Final = 24
_BAR: Final = (16, 60)
"""Cells that the bar has at least, and at most; with less room it is left out."""
_NEEDED: Final = 1


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What the line says. aggregator: its name. looked_at: which machines, in words; briefly: in fewer, if there are.

    at_ns, window_ns: the end of the window and how long it is, held: from where to where there is anything, all as of
    the picture that is shown. past: it stands still. now_ns: what day it is.
    """

    link: Link
    aggregator: str
    looked_at: str
    at_ns: int = 0
    window_ns: int = 0
    held: Held = field(default_factory=Held)
    past: bool = False
    estimate: Estimate = EXACT
    now_ns: int = 0
    briefly: str = ""


def remote_row(facts: RemoteFacts, width: int, ascii_only: bool = False) -> tuple[Spans, range]:
    """One row, and the cells that are the inside of the bar, if it has room for one."""
    aggregator: list[Span] = [(f"  {plain(facts.aggregator)} ", "muted@bar")]
    told = [*_state(facts), *_what(facts), Fact(6, aggregator)]
    left, right = told[:-1], aggregator
    if sum(cells(fact.spans) for fact in told) > width:
        spans = fitting(told, width, _NEEDED)
        used = cells(spans)
        if used > width:
            return ((fit("".join(text for text, _ in spans), width), spans[0][1]),), range(0)
        return (*spans, (" " * (width - used), "text@bar")), range(0)
    spans = [span for fact in left for span in fact.spans]
    room = width - cells(spans) - cells(right) - 2
    length = min(room, _BAR[1])
    if length < _BAR[0] or not facts.held.end_ns:
        return (*spans, (" " * (width - cells(spans) - cells(right)), "text@bar"), *right), range(0)
    bar = position_bar(facts.at_ns, facts.window_ns, facts.held, length, ascii_only)
    begin = width - cells(right) - length
    return (*spans, (" " * (begin - cells(spans)), "text@bar"), *bar, *right), range(begin + 1, begin + length - 1)


def _state(facts: RemoteFacts) -> list[Fact]:
    """The mark says it without colours too."""
    link = facts.link
    since = figures.age(max(1.0, link.since_s) * 1e9)
    match link.state:
        case LinkState.CONNECTING:
            return [Fact(0, [(f" ○ connecting {since} ", "accent@bar")], [(" ○", "accent@bar")])]
        case LinkState.SLOW:
            since = figures.duration(link.since_s * 1e9)
            full: Span = (f" ~ slow: {since} an answer ", "*warning@bar")
            return [Fact(0, [full], [(f" ~ slow {since} ", "*warning@bar")])]
        case LinkState.STALE:
            return [Fact(0, [(f" ? nothing new for {since} ", "*warning@bar")], [(f" ? {since} ", "*warning@bar")])]
        case LinkState.LOST:
            why = f": {fit(link.why, min(60, width_of(link.why)))} " if link.why else " "
            return [
                Fact(0, [(f" ! lost for {since}", "*error@bar")], [(f" ! {since} ", "*error@bar")]),
                Fact(5, [(why, "error@bar")], [(" ", "error@bar")]),
            ]
    return [Fact(0, [(" ●", "good@bar")])]


def _what(facts: RemoteFacts) -> list[Fact]:
    name = plain(facts.looked_at)
    short = facts.briefly or fit(name, min(_NAME, width_of(name)))
    out = [Fact(1, [(f" {name} ", "*text@bar")], [(f" {short} ", "*text@bar")] if short != name else ())]
    if facts.at_ns:
        out.append(_when(facts))
    if facts.estimate.sampled > 1:
        one_of, points = facts.estimate.sampled, 100 * facts.estimate.share_error
        full = f" 1/{one_of} of events, ±{points:.1f} points "
        out.append(Fact(3, [(full, "accent@bar")], [(f" ≈1/{one_of} ", "accent@bar")]))
    if missing_ns := facts.estimate.missing_ns:
        gone = figures.duration(missing_ns)
        out.append(Fact(2, [(f" without {gone} kept no more ", "*warning@bar")], [(f" −{gone} ", "*warning@bar")]))
    return out


def _when(facts: RemoteFacts) -> Fact:
    """What stands still has its time; what is live only tells how old it is, and whether that is more than it was."""
    if facts.past:
        full = moment(facts.at_ns, facts.now_ns)
        return Fact(4, [(f" past: {full} ", "text@bar")], [(f" {full.rpartition(' ')[0]} ", "text@bar")])
    behind_ns = facts.link.now_ns - facts.at_ns
    if not facts.link.now_ns or behind_ns < 0:
        return Fact(4, [(" live ", "text@bar")])
    behind = "now" if behind_ns < 1e9 else f"{figures.age(behind_ns)} ago"
    if facts.link.state is LinkState.LOST:
        return Fact(2, [(f" as it was {behind} ", "*warning@bar")], [(f" {behind} ", "*warning@bar")])
    return Fact(4, [(f" live, {behind} ", "text@bar")], [(f" {behind} ", "text@bar")])


class RemoteLine(TimeLine):
    """The line, in the place of that of a recording. A click on the bar looks at that moment."""

    def show_remote(self, facts: RemoteFacts) -> None:
        """Say this."""
        self._held = facts.held
        self.draw(lambda: self._remote_rows(facts))

    def _remote_rows(self, facts: RemoteFacts) -> list[Spans]:
        row, self._bar = remote_row(facts, self.size.width, not self.palette.rich)
        return [row]
