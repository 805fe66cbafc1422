"""Facts that stand in one row, one after the other: where there is no room for all, the least needed give way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aperture_tui.tui.cells import plain, width_of
from aperture_tui.tui.palette import Span


class Fact(NamedTuple):
    """rank: how dispensable. short: the same in fewer cells, () if it cannot be said in fewer."""

    rank: int
    spans: Sequence[Span]
    short: Sequence[Span] = ()


def fitting(facts: Iterable[Fact], width: int, needed: int) -> list[Span]:
    """What there is room for, left to right: the most dispensable is shortened, then left out, down to a rank."""
    facts = list(facts)
    while sum(cells(fact.spans) for fact in facts) > width:
        may_go = [fact for fact in facts if fact.rank > needed or fact.short]
        if not may_go:
            break
        last = max(may_go, key=lambda fact: fact.rank)
        shorter = [Fact(last.rank, last.short)] if last.short else []
        at = facts.index(last)
        facts = [*facts[:at], *shorter, *facts[at + 1 :]]
    return [(plain(text), key) for fact in facts for text, key in fact.spans]  # as it was measured


def cells(spans: Sequence[Span]) -> int:
    """The cells that spans take."""
    return sum(width_of(text) for text, _ in spans)
