"""How much of what is looked at a filter line lets pass. Free of numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from aperture_tui.profile.query import Group, Measure
from aperture_tui.profile.where import EVERYTHING

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Estimate, Store


class Passed(NamedTuple):
    """How many events a filter line lets pass, of how many that are looked at without it; by their weights.

    about: these are estimates, out of a part of the events.
    """

    shown: int
    whole: int
    about: bool = False

    @property
    def percent(self) -> str:
        """ "12 %"; nothing and everything are said of nothing and everything alone."""
        return f"{'~' * self.about}{self._percent}"

    @property
    def _percent(self) -> str:
        share = 100 * self.shown / self.whole if self.whole else 0.0
        if self.shown in (0, self.whole):
            return f"{share:.0f} %"
        if share < 0.1:
            return "<0.1 %"
        if share < 10:
            return f"{share:.1f} %"
        return f"{share:.0f} %" if share < 99.5 else ">99 %"


def passed(store: Store, query: Query) -> Passed | None:
    """Of a query's events those that its line lets pass, and all that there are without it; None without a line.

    In the presenter's thread.
    """
    if not query.where:
        return None
    counted = replace(query, measure=Measure.COUNT, group=Group.PROCESS)
    noted: list[Estimate] = []
    before, store.note = store.note, noted.append  # it is no word on the picture beside it
    try:
        shown, whole = (
            int(store.timeline(one, 1).weights.sum()) for one in (counted, replace(counted, where=EVERYTHING))
        )
    finally:
        store.note = before
    return Passed(min(shown, whole), whole, bool(noted))
