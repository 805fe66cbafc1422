"""Time off the CPU: bpf/offcpu.bpf.c, attached to the scheduler's switches and wakes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.estimates import estimated
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.sums import Slots, Sums, slot_count
from aperture_tui.collect.traced import ENTRIES, Traced
from aperture_tui.collect.unwind import walking
from aperture_tui.collect.waits import BLOCKED, OFF, PART, PREEMPTED, RUNNABLE, WAIT, Waits, names
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.profile.symbols import Symbols

OFF_KEY: Final = np.dtype([("stack", "<u8"), ("tid", "<u4"), ("why", "<u4")])
"""struct off_key of bpf/offcpu.bpf.c."""
WAKE_KEY: Final = np.dtype([("stack", "<u8"), ("tid", "<u4"), ("woken", "<u4")])
"""struct wake_key."""

_SLOTS: Final = 1 << 16
_RING_BYTES: Final = 1 << 18
_SWITCH: Final = "sched_switch"
_WAKES: Final = {"on_waking": "sched_waking", "on_wakeup": "sched_wakeup"}
"""The programs of bpf/wakes.bpf.c and their tracepoints."""
_ACCOUNT: Final = ("run_delay", "last_arrival", "last_queued")
_NO_ENTRY, _NO_SLOT, _NO_ROOM, _UNTOLD, _SHORT, _SHORT_NS = range(6)


class OffCpuCollector(Traced):
    """Waits of threads, and who ended them."""

    def __init__(self, common: Common) -> None:
        super().__init__(common, ("offcpu",))
        self._waits = Waits(common.settings, common.standstill if common.settings.wait_stacks else None)
        self._long = np.zeros(0, WAIT)
        self._delivered = 0
        self._degraded: Counter[str] = Counter()

    # -- attaching

    def load(self) -> None:
        """Load, map, attach; then look at what goes on already."""
        settings = self._common.settings
        slots = slot_count(_SLOTS)
        defines = {
            "SLOTS": slots,
            "ENTRIES": ENTRIES,
            "FILTERED": int(bool(settings.pids or settings.cgroups)),
            "STACKS": int(settings.wait_stacks),
            "MIN_NS": settings.min_block_ns,
        }
        programs = self.take(lambda sizes: _source({**defines, **sizes}), {"long_waits": _RING_BYTES})
        wakes = [name for name, wanted in self._wakes_wanted().items() if wanted]
        if wakes:
            given = {name: self._maps[name] for name in ("off_slots", "counters", "epoch", "entries")}
            programs = {**programs, **self.take(lambda sizes: _wakes_source({**defines, **sizes}), given=given)}
        self._tables = Sums(self._maps, {"waits": OFF_KEY, **({"wakes": WAKE_KEY} if wakes else {})}, ENTRIES)
        self._slots = Slots(self._maps["off_slots"], OFF, slots, "out_ns")
        self.hold(self._slots.close)
        self._ring = Ring(self._maps["long_waits"], _RING_BYTES)
        self.hold(self._ring.close)
        for name in wakes:
            self.attach(bpf.open_raw_tracepoint(_WAKES[name], programs[name]))
        self.attach(bpf.open_raw_tracepoint("" if _typed() else _SWITCH, programs["on_switch"]))
        self._waits.look_at_what_goes_on()

    def _wakes_wanted(self) -> dict[str, bool]:
        """Which programs of bpf/wakes.bpf.c there is work for."""
        return {"on_waking": self._common.settings.wait_stacks, "on_wakeup": not _scheduler_tells()}

    # -- draining

    def read(self) -> None:
        """Take what has been summed, and the long waits."""
        super().read()
        self._long = self._ring.records(WAIT)

    def named(self, sums: Mapping[str, NDArray[np.void]] | None, symbols: Symbols) -> list[NDArray[np.void]]:
        """Waits since the last time; of long ones that go on, so far."""
        parts = [self._waits.over(self._long), self._waits.so_far(self._slots, self._last)]
        wakes = []
        if sums is not None:
            time_ns = self._tables.time_ns if self._tables else 0
            parts.append(_summed(sums["waits"], time_ns))
            if "wakes" in sums:
                wakes.append(self._wakes(sums["wakes"], time_ns, symbols))
        return [self._told(np.concatenate(parts), symbols), *wakes]

    def _told(self, parts: NDArray[np.void], symbols: Symbols) -> NDArray[np.void]:
        events = self._common.naming.events(parts, symbols)
        if not len(events):
            return events
        taken = parts["stack"] != 0
        events["flags"][~taken] = Flag.NONE  # that it was not taken is no loss
        if self._common.settings.wait_stacks:
            self._degraded["wait without its stack: too many switches"] += int(parts["n"][~taken].sum())
        events["flags"] |= np.where(parts["estimated"], np.uint16(Flag.ESTIMATED), np.uint16(0))
        events["name"] = names(parts["why"], parts["part"], symbols)
        events["weight"], events["duration_ns"], events["maximum_ns"] = parts["n"], parts["total_ns"], parts["max_ns"]
        events["kind"] = Kind.OFFCPU
        self._delivered += int(parts["n"][parts["part"] != RUNNABLE].sum())
        return events

    def _wakes(self, rows: NDArray[np.void], time_ns: int, symbols: Symbols) -> NDArray[np.void]:
        out = np.zeros(len(rows), PART)
        for field in ("stack", "tid", "pid", "start_ns", "flags", "comm"):
            out[field] = rows[field]
        out["time_ns"] = time_ns
        events = self._common.naming.events(out, symbols)
        events["value"], events["weight"] = rows["woken"], rows["n"]
        events["kind"] = Kind.OFFCPU
        events["flags"] |= np.uint16(Role.WAKER << ROLE_SHIFT)
        return events

    # -- telling

    def words(self) -> list[Health]:
        """Losses by cause."""
        counts = bpf.counters(self._maps["counters"], 6)
        least, message = self._common.settings.min_block_ns, self._message
        if least and not message:  # of all threads together: the time of each lacks them
            few = f"waits shorter than {least / 1000:g} µs are left out"
            message = f"{few}: {counts[_SHORT]:,}, {counts[_SHORT_NS] / 1e9:.3g} s together"
        return [
            Health(
                "offcpu",
                State.RUNNING,
                message,
                delivered=self._delivered,
                lost={
                    "waits: table full": counts[_NO_ENTRY],
                    "waits: two threads at one place": counts[_NO_SLOT],
                    "long waits: ring full": counts[_NO_ROOM],
                },
                degraded={**self._degraded, "switches that the kernel does not tell of": counts[_UNTOLD]},
            )
        ]


def _summed(rows: NDArray[np.void], time_ns: int) -> NDArray[np.void]:
    """Sums of waits that are over, blocked and runnable apart, with stacks wherever their threads have any: (n,) of
    PART. rows: (m,) with the fields of OFF_KEY and TOOK."""
    blocked = rows[rows["why"] >> np.uint32(16) != PREEMPTED]
    waited = rows[rows["runnable_ns"] > 0]
    out = np.zeros(len(blocked) + len(waited), PART)
    both = np.concatenate((blocked, waited))
    for field in ("stack", "tid", "why", "pid", "start_ns", "flags", "comm", "n"):
        out[field] = both[field]
    n = len(blocked)
    out["part"][:n], out["part"][n:] = BLOCKED, RUNNABLE
    out["n"][n:] = waited["runnable_n"]
    out["total_ns"][:n], out["total_ns"][n:] = blocked["total_ns"], waited["runnable_ns"]
    out["max_ns"][:n], out["max_ns"][n:] = blocked["max_ns"], waited["runnable_max_ns"]
    out["time_ns"] = time_ns
    return estimated(out)


def _source(defines: Mapping[str, int]) -> compiler.Source:
    kind = bpf.PROG_TRACING if _typed() else bpf.PROG_RAW_TRACEPOINT
    sizes = defines if defines.get("UNWIND_ROWS") else {}
    made = walking.source({"on_switch": kind}, "offcpu", kind, sizes, _SWITCH)
    return replace(made, defines={**made.defines, **_offsets(), **defines})


def _wakes_source(defines: Mapping[str, int]) -> compiler.Source:
    sizes = defines if defines.get("UNWIND_ROWS") else {}
    made = walking.source(dict.fromkeys(_WAKES, bpf.PROG_RAW_TRACEPOINT), "wakes", bpf.PROG_RAW_TRACEPOINT, sizes)
    return replace(made, defines={**made.defines, **defines})


def _typed() -> bool:
    """Whether members of the arguments are loaded (MEMBER64 of bpf/task.h)."""
    return compiler.kernel_version() >= compiler.version_code("5.11")


def _offsets() -> dict[str, int]:
    try:
        state = btf.member_offsets("task_struct", ("__state",))["__state"]
    except btf.BtfError:  # before 5.14
        state = btf.member_offsets("task_struct", ("state",))["state"]
    return {"TASK_STATE": state, **_account()}


def _account() -> dict[str, int]:
    """Where the scheduler accounts when a thread was queued and when it arrived; 0 where it does not."""
    try:
        at = btf.member_offsets("task_struct", ("sched_info",))["sched_info"]
        inside = btf.member_offsets("sched_info", _ACCOUNT)
    except btf.BtfError:  # without CONFIG_SCHED_INFO
        return {member.upper(): 0 for member in _ACCOUNT}
    return {f"{member.upper()}": at + offset for member, offset in inside.items()}


def _scheduler_tells() -> bool:
    return bool(_account()["LAST_QUEUED"])
