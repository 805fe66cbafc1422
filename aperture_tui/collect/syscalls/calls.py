"""Events of system calls: what the kernel has summed, and what goes on."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from aperture_tui.collect.groups import edges
from aperture_tui.collect.in_flight import LONG_NS, Turns, in_flight
from aperture_tui.collect.naming import RECORD
from aperture_tui.collect.outcomes import outcomes
from aperture_tui.collect.syscalls.begun import CALL_SLOT, Begun
from aperture_tui.collect.syscalls.names import COMPAT, compat_numbers, name, numbers
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import Flag, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.collect.sums import Slots
    from aperture_tui.profile.symbols import Symbols

_NR_SHIFT, _BUCKET_SHIFT, _ERROR_SHIFT = (np.uint64(n) for n in (32, 46, 52))


class Calls:
    """Owned by the collecting thread, but for `look_at_what_goes_on`."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._begun = Begun(common.settings)
        self._turns = Turns()
        self.delivered = 0
        self.degraded: Counter[str] = Counter()
        self._endless = np.array(
            [numbers()[word] for word in ("exit", "exit_group") if word in numbers()], np.uint32
        )  # calls that never return: their threads are gone
        chosen = set(common.settings.syscalls)
        self._chosen = np.array(
            [n for word, n in numbers().items() if word in chosen]
            + [n | COMPAT for word, n in compat_numbers().items() if word in chosen],
            np.uint32,
        )

    def look_at_what_goes_on(self) -> None:
        """Once, when the program is attached: what had begun before, as /proc tells."""
        self._begun.look()
        if not self._begun.is_whole:
            self.degraded["threads that sat in a call already are not all told: too many"] = 1

    def follow(self, before: Calls) -> None:
        """In place of `look_at_what_goes_on`: another one has looked earlier."""
        self._begun = before._begun

    def done(self, rows: NDArray[np.void], time_ns: int, symbols: Symbols) -> NDArray[np.void]:
        """Events of calls that have returned: (n,) of EVENT, one for each (process, syscall, outcome, bucket, stack).

        rows: (m,) with the fields of CALL_KEY and TOOK. time_ns: the end of their interval, CLOCK_MONOTONIC.
        """
        if not len(rows):
            return np.zeros(0, EVENT)
        what = _with_outcomes(rows["call"]) >> _NR_SHIFT
        order = np.lexsort((rows["stack"], what, rows["start_ns"], rows["pid"]))
        rows, what = rows[order], what[order]
        begins = edges(rows["pid"], rows["start_ns"], what, rows["stack"])
        first = rows[begins]
        records = np.zeros(len(first), RECORD)
        records["time_ns"] = time_ns
        for field in ("stack", "start_ns", "pid", "flags", "comm"):
            records[field] = first[field]
        events = self._common.naming.events(records, symbols)
        events["flags"][first["stack"] == 0] = Flag.NONE  # it was not taken: that is no loss
        call = _with_outcomes(first["call"])
        events["name"] = _names(call >> _NR_SHIFT & np.uint64((1 << 14) - 1), symbols)
        events["aux"] = call >> _ERROR_SHIFT
        events["weight"] = np.add.reduceat(rows["n"], begins)
        events["duration_ns"] = np.add.reduceat(rows["total_ns"], begins)
        events["maximum_ns"] = np.maximum.reduceat(rows["max_ns"], begins)
        events["kind"] = Kind.SYSCALL
        events["thread"] = 0
        self.delivered += int(events["weight"].sum())
        return events

    def in_flight(self, slots: Slots, symbols: Symbols) -> NDArray[np.void]:
        """Now and then: what goes on, (n,) of EVENT, one for each (process, syscall)."""
        if not self._turns.is_due():
            return np.zeros(0, EVENT)
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        rows = slots.since(now - LONG_NS)
        rows = rows[~np.isin(rows["nr"], self._endless)]
        early = self._begun.still(slots)
        if self._common.settings.syscalls:
            early = early[np.isin(early["nr"], self._chosen)]
        begun_before = np.arange(len(rows) + len(early)) >= len(rows)
        rows = np.concatenate((rows, early[list(CALL_SLOT.names or ())].astype(CALL_SLOT)))
        if not len(rows):
            return np.zeros(0, EVENT)
        events, oldest = in_flight(self._common, Kind.SYSCALL, rows, ("nr",), begun_before, now, symbols)
        events["name"] = _names(oldest["nr"], symbols)
        return events


def _with_outcomes(call: NDArray[np.uint64]) -> NDArray[np.uint64]:
    error = outcomes(call >> _ERROR_SHIFT).astype(np.uint64)
    return (call & np.uint64((1 << 52) - 1)) | error << _ERROR_SHIFT


def _names(nr: NDArray[np.integer], symbols: Symbols) -> NDArray[np.uint32]:
    """The strings of calls, by their numbers: (n,)."""
    known, which = np.unique(nr, return_inverse=True)
    return np.array([symbols.string(name(number)) for number in known.tolist()], np.uint32)[which]
