"""How much of what is looked at a filter line lets pass. Free of numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from aperture_tui.profile.query import Group, Measure
from aperture_tui.profile.where import EVERYTHING

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store


class Passed(NamedTuple):
    """How many events a filter line lets pass, of how many that are looked at without it; by their weights."""

    shown: int
    whole: int

    @property
    def percent(self) -> str:
        """ "12 %"; nothing and everything are said of nothing and everything alone."""
        share = 100 * self.shown / self.whole if self.whole else 0.0
        if self.shown == 0 or self.shown == self.whole:
            return f"{share:.0f} %"
        if share < 0.1:
            return "<0.1 %"
        return f"{share:.1f} %" if share < 10 else f"{min(share, 99.9):.0f} %" if share < 99.5 else ">99 %"


def passed(store: Store, query: Query) -> Passed | None:
    """Of a query's events those that its line lets pass, and all that there are without it; None without a line.

    In the presenter's thread.
    """
    if not query.where:
        return None
    counted = replace(query, measure=Measure.COUNT, group=Group.PROCESS)
    shown, whole = (int(store.timeline(one, 1).weights.sum()) for one in (counted, replace(counted, where=EVERYTHING)))
    return Passed(min(shown, whole), whole)
