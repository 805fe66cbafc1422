"""What a filter line leaves out of a report or a file, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aperture_tui.export.names import COUNTED
from aperture_tui.store.passed import passed

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store


def left_out(store: Store, query: Query) -> str:
    """How much of a query's events its filter line lets pass, and what of it says nothing of them; "" for no line."""
    let = passed(store, query)
    if let is None:
        return ""
    counted = COUNTED[query.kind]
    idle = query.where.idle(query.kind)
    unsaid = f" ({idle.text} leaves out none: {counted} have no such thing)" if idle else ""
    return f"{query.where.text} shows {let.percent} of {let.whole:,} {counted}{unsaid}"
