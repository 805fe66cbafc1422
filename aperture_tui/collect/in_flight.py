"""What goes on: calls and waits that have not ended, told now and then with their age."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.groups import edges
from aperture_tui.collect.naming import RECORD
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.profile.symbols import Symbols

EVERY_S: Final = 0.5
LONG_NS: Final = 250_000_000
"""What goes on for as long is told."""


class Turns:
    """When it is told. Owned by the collecting thread."""

    def __init__(self) -> None:
        self._told = 0.0

    def is_due(self) -> bool:
        """Whether it is now; then not again for EVERY_S."""
        now = time.monotonic()
        if now - self._told < EVERY_S:
            return False
        self._told = now
        return True


def in_flight(
    common: Common,
    kind: Kind,
    rows: NDArray[np.void],
    by: Sequence[str],
    begun_before: NDArray[np.bool_],
    now_ns: int,
    symbols: Symbols,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """One event for each process and each value of these columns, without a name; and the row that began first: (n,) of
    EVENT, (n,) of the rows' dtype.

    rows: (m,), m > 0, with `start_ns` (CLOCK_MONOTONIC), `process_ns`, `pid`, `tid`, and either `stack` and `flags` or
    neither. begun_before: (m,), which had begun before anybody looked, so that their age is a lower bound.
    """
    columns = ["pid", "process_ns", *by]
    order = np.lexsort([rows["start_ns"], *(rows[column] for column in reversed(columns))])
    rows, begun_before = rows[order], begun_before[order]
    begins = edges(*(rows[column] for column in columns))
    oldest = rows[begins]
    records = np.zeros(len(oldest), RECORD)
    records["time_ns"], records["start_ns"] = now_ns, oldest["process_ns"]
    for field in {"pid", "tid", "stack", "flags"}.intersection(rows.dtype.names or ()):
        records[field] = oldest[field]
    if "stack" not in (rows.dtype.names or ()):
        common.standstill.fill(records, oldest["start_ns"], now_ns)
    events = common.naming.events(records, symbols)
    events["flags"][records["stack"] == 0] = Flag.NONE  # it was not taken: that is no loss
    events["flags"] &= ~np.uint16(Flag.TRUNCATED)  # of what goes on it says that its age is a lower bound
    events["flags"][begun_before[begins]] |= np.uint16(Flag.TRUNCATED)
    events["flags"] |= np.uint16(Role.IN_FLIGHT << ROLE_SHIFT)
    ages = now_ns - rows["start_ns"]
    events["weight"] = np.diff(np.append(begins, len(rows)))
    events["duration_ns"] = np.add.reduceat(ages, begins)
    events["maximum_ns"] = np.maximum.reduceat(ages, begins)
    events["kind"] = kind
    events["thread"] = 0
    return events, oldest
