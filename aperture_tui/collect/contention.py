"""Waits for locks of the kernel: bpf/contention.bpf.c, at the tracepoints lock:contention_begin and _end."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, compiler
from aperture_tui.collect.naming import RECORD
from aperture_tui.collect.shortest import with_shortest_alone
from aperture_tui.collect.sums import Sums, slot_count
from aperture_tui.collect.traced import ENTRIES, Traced
from aperture_tui.collect.unwind import walking
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Flag, Kind
from aperture_tui.symbolize.data_names import DataNames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.profile.symbols import Symbols

LOCK_KEY: Final = np.dtype(
    [("address", "<u8"), ("stack", "<u8"), ("tid", "<u4"), ("error", "<u2"), ("kind", "u1"), ("bucket", "u1")]
)
"""struct lock_key of bpf/contention.bpf.c."""
_SLOTS: Final = 1 << 16
_SPIN, _READ, _WRITE, _RT, _PERCPU, _MUTEX = 1, 2, 4, 8, 16, 32
"""LCB_F_* of include/trace/events/lock.h."""
_NO_ENTRY, _NO_SLOT, _NESTED, _NOT_WALKED = range(4)


class ContentionCollector(Traced):
    """Locks of the kernel; a kernel without the tracepoints (before 5.19) has none, and that is said."""

    def __init__(self, common: Common) -> None:
        super().__init__(common, ("kernel locks",))
        self._delivered = 0
        self._data = DataNames()

    def load(self) -> None:
        """Load and attach."""
        settings = self._common.settings
        filtered = int(bool(settings.pids or settings.cgroups))
        defines = {"SLOTS": slot_count(_SLOTS), "ENTRIES": ENTRIES, "FILTERED": filtered}
        defines["STACKS"] = int(settings.wait_stacks)
        programs = self.take(lambda sizes: _source({**defines, **sizes}))
        self._tables = Sums(self._maps, {"locks": LOCK_KEY}, ENTRIES)
        try:
            self.attach(bpf.open_raw_tracepoint("contention_end", programs["on_end"]))
            self.attach(bpf.open_raw_tracepoint("contention_begin", programs["on_begin"]))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):
                raise
            self.limit("this kernel does not tell of its locks (lock:contention_begin comes with 5.19)")

    def named(self, sums: Mapping[str, NDArray[np.void]] | None, symbols: Symbols) -> list[NDArray[np.void]]:
        """Waits since the last time."""
        if sums is None or not len(sums["locks"]) or self._tables is None:
            return []
        rows = sums["locks"]
        records = np.zeros(len(rows), RECORD)
        records["time_ns"] = self._tables.time_ns
        for field in ("stack", "start_ns", "pid", "flags", "comm"):
            records[field] = rows[field]
        records["tid"] = np.where(rows["tid"] >> np.uint32(31), 0, rows["tid"])
        events = self._common.naming.events(records, symbols)
        events["flags"][rows["stack"] == 0] = Flag.NONE  # it was not taken: that is no loss
        events["value"], events["aux"] = rows["address"], rows["error"]
        events["weight"], events["duration_ns"], events["maximum_ns"] = rows["n"], rows["total_ns"], rows["max_ns"]
        events["kind"] = Kind.LOCK
        pairs = zip(rows["kind"].tolist(), rows["address"].tolist(), strict=True)
        events["name"] = [symbols.string(self._name(kind, address)) for kind, address in pairs]
        self._delivered += int(events["weight"].sum())
        return [with_shortest_alone(events, rows["min_ns"])]

    def _name(self, how: int, address: int) -> str:
        """The kind of a lock, and its symbol where it is static."""
        symbol = self._data.kernel_data_name(address)
        return f"{kind_of(how)} {symbol}" if symbol else kind_of(how)

    def words(self) -> list[Health]:
        """Losses by cause."""
        counts = bpf.counters(self._maps["counters"], 4)
        return [
            Health(
                self.name,
                State.RUNNING,
                self._message,
                delivered=self._delivered,
                lost={
                    "waits: table full": counts[_NO_ENTRY],
                    "waits: two at one place": counts[_NO_SLOT],
                    "waits: in an interrupt while another one was counted": counts[_NESTED],
                },
                degraded={"wait without its stack: too many": counts[_NOT_WALKED]},
            )
        ]


def kind_of(how: int) -> str:
    """The kind of lock, by the LCB_F_* of its wait."""
    if how & _MUTEX:
        return "kernel mutex"
    way = " read" if how & _READ else " write" if how & _WRITE else ""
    if how & _SPIN:
        return f"kernel rwlock{way}" if way else "kernel spinlock"
    if how & _PERCPU:
        return f"kernel percpu-rwsem{way}"
    if how & _RT:
        return f"kernel rtmutex{way}"
    return f"kernel rwsem{way}" if way else "kernel semaphore"


def _source(defines: Mapping[str, int]) -> compiler.Source:
    programs = dict.fromkeys(("on_begin", "on_end"), bpf.PROG_RAW_TRACEPOINT)
    made = walking.source(programs, "contention", bpf.PROG_RAW_TRACEPOINT, {})
    return replace(made, defines={**made.defines, **defines, "UNWIND_ROWS": 0})
