"""Events of waits for locks: what the kernel has summed of futexes, who ended the waits, and who held the locks."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.in_flight import LONG_NS, Turns, in_flight
from aperture_tui.collect.lock_names import LockNames
from aperture_tui.collect.lock_slots import FUTEXES, begun_waits, holder, thread
from aperture_tui.collect.naming import RECORD
from aperture_tui.collect.outcomes import outcomes
from aperture_tui.collect.shortest import with_shortest_alone
from aperture_tui.collect.syscalls.begun import Begun
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.collect.sums import Slots
    from aperture_tui.profile.symbols import Symbols

_HOLDER_AGAIN_S: Final = 10.0
"""After this it is told again who holds a lock that somebody waits for all that time."""


class Locks:
    """Owned by the collecting thread."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._names = LockNames()
        self._begun = Begun(common.settings)
        self._held: dict[tuple[int, int], tuple[int, float]] = {}  # (pid, address) -> who was told as holder, and when
        self._turns = Turns()
        self.delivered = 0
        self.degraded: Counter[str] = Counter()

    def follow(self, before: Locks) -> None:
        """Take over what is known of waits that had begun."""
        self._begun = before._begun

    def look_at_what_goes_on(self) -> None:
        """Once, when the program is attached: waits that had begun before, as /proc tells."""
        self._begun.look()

    def done(
        self, waits: NDArray[np.void], others: NDArray[np.void], time_ns: int, symbols: Symbols
    ) -> NDArray[np.void]:
        """Events of waits that are over: (n,) of EVENT, one for each (thread, lock, stack, outcome, bucket); then of
        those who ended them, and of those who held the lock.

        waits: (m,) with the fields of LOCK_KEY and TOOK; others: of OTHER_KEY and TOOK. time_ns: the end of their
        interval, CLOCK_MONOTONIC.
        """
        return np.concatenate((self._waits(waits, time_ns, symbols), self._others(others, time_ns, symbols)))

    def _waits(self, rows: NDArray[np.void], time_ns: int, symbols: Symbols) -> NDArray[np.void]:
        if not len(rows):
            return np.zeros(0, EVENT)
        events = self._named(rows, time_ns, symbols)
        events["value"] = rows["address"]
        events["aux"] = outcomes(rows["error"])
        events["weight"], events["duration_ns"], events["maximum_ns"] = rows["n"], rows["total_ns"], rows["max_ns"]
        events["kind"] = Kind.LOCK
        futexes = [FUTEXES[min(kind, len(FUTEXES) - 1)] for kind in rows["kind"].tolist()]
        self._names.name(events, futexes, symbols)
        self.delivered += int(events["weight"].sum())
        return with_shortest_alone(events, rows["min_ns"])

    def _others(self, rows: NDArray[np.void], time_ns: int, symbols: Symbols) -> NDArray[np.void]:
        role = (rows["role"] & np.uint64(255)).astype(np.uint16)
        holds = role == Role.HOLDER
        rows = rows.copy()
        for i in np.flatnonzero(holds).tolist():
            rows["tid"][i] = thread(int(rows["who"][i]), int(rows["tid"][i]), among=bool(rows["role"][i] > 255))
        there = ~holds | (rows["tid"] != 0)
        self.degraded["holder of a lock not known any more"] += int(rows["n"][~there].sum())
        rows, holds, role = rows[there], holds[there], role[there]
        if not len(rows):
            return np.zeros(0, EVENT)
        events = self._named(rows, time_ns, symbols)
        events["thread"][holds] = 0  # what is known is the name of the one that waits
        events["value"] = rows["address"]
        events["weight"] = rows["n"]
        events["kind"] = Kind.LOCK
        self._names.name_others(events, symbols)
        events["flags"] |= role << np.uint16(ROLE_SHIFT)
        return events

    def _named(self, rows: NDArray[np.void], time_ns: int, symbols: Symbols) -> NDArray[np.void]:
        records = np.zeros(len(rows), RECORD)
        records["time_ns"] = time_ns
        for field in ("stack", "start_ns", "pid", "tid", "flags", "comm"):
            records[field] = rows[field]
        events = self._common.naming.events(records, symbols)
        events["flags"][rows["stack"] == 0] = Flag.NONE  # it was not taken: that is no loss
        return events

    def in_flight(self, slots: Slots, symbols: Symbols) -> NDArray[np.void]:
        """Now and then: waits that go on, (n,) of EVENT, one for each (process, lock, stack)."""
        if not self._turns.is_due():
            return np.zeros(0, EVENT)
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        rows = slots.since(now - LONG_NS)
        rows = rows[rows["kind"] < len(FUTEXES)]
        early = begun_waits(self._begun.still(slots))
        begun_before = np.arange(len(rows) + len(early)) >= len(rows)
        rows = np.concatenate((rows, early))
        if not len(rows):
            return np.zeros(0, EVENT)
        self._common.standstill.fill(rows, rows["start_ns"], now)  # here, for they are told apart by their stacks
        by = ("address", "stack")
        events, oldest = in_flight(self._common, Kind.LOCK, rows, by, begun_before, now, symbols)
        events["value"] = oldest["address"]
        self._names.name(events, [FUTEXES[kind] for kind in oldest["kind"].tolist()], symbols)
        return np.concatenate((events, self._holders(events, oldest)))

    def _holders(self, events: NDArray[np.void], waits: NDArray[np.void]) -> NDArray[np.void]:
        """Who holds the locks that are waited for: one event each, when that is another thread than was last told."""
        now_s = time.monotonic()
        found: list[tuple[int, int]] = []
        told = {key: one for key, one in self._held.items() if now_s - one[1] < _HOLDER_AGAIN_S}
        for i, (pid, address, kind) in enumerate(waits[["pid", "address", "kind"]].tolist()):
            tid = holder(pid, address, kind)
            if tid and told.get((pid, address), (0,))[0] != tid:
                told[pid, address] = tid, now_s
                found.append((i, tid))
        self._held = told
        out: NDArray[np.void] = events[[i for i, _ in found]]
        out["tid"], out["weight"] = [tid for _, tid in found], 1
        out["duration_ns"] = out["maximum_ns"] = out["stack"] = 0
        out["flags"] = np.uint16(Role.HOLDER << ROLE_SHIFT)
        return out
