"""Kernels and copies as agents in the programs tell them, and the gauges of the GPUs beside them."""

from __future__ import annotations

import struct
import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf
from aperture_tui.collect.gpu import activity
from aperture_tui.collect.gpu.agents import Agents
from aperture_tui.collect.gpu.awaiting import Awaiting
from aperture_tui.collect.gpu.finding import MAX_SOCKETS
from aperture_tui.collect.gpu.frames import ROWS, Frames
from aperture_tui.collect.gpu.gauges import GpuGauges
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.joining import joined
from aperture_tui.collect.gpu.launched import How, Likeness, likeness
from aperture_tui.collect.gpu.status import clock_offset_ns, losses, problem
from aperture_tui.collect.gpu.unrecorded import Heard, Stretch, started_ns
from aperture_tui.collect.gpu.unrecorded import events as unrecorded
from aperture_tui.collect.naming import RECORD
from aperture_tui.collect.settings import GPU_RECORDS
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.gpu_launch import CORRELATION_MASK, devices_and_streams, lane
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.collect.gpu.agents import Agent
    from aperture_tui.profile.occupancy import Multiprocessor
    from aperture_tui.profile.symbols import Symbols

_NOBODY: Final = "no program tells of its GPU: start it by `aperture gpu run -- COMMAND`"
_MAX_COMMS: Final = 1 << 14
_NEW_COMMS: Final = 1 << 10
"""Threads whose names are looked up at once; those beyond have their process's."""
_MAX_UUIDS: Final = 256
"""GPUs that agents name and no gauge does, as many as a lane can tell apart."""
_TURN_NS: Final = 40_000_000
"""How much farther than a period of the clock a sample may be from a launch that it is to tell of: a thread that runs
is sampled once a period; where CPUs are short it waits for its turn meanwhile, some tens of milliseconds."""
_NEAR_MOST_NS: Final = 100_000_000
_LIKENESS: Final = {wire.KERNELS: activity.KERNEL_LIKENESS, wire.COPIES: activity.COPY_LIKENESS}
_DEGRADED: Final = {
    How.ALIKE: "launch stacks estimated, by launches like them",
    How.NEAR: "launch stacks estimated, by samples about them",
    How.UNKNOWN: "launch stacks not known",
}


class _Known:
    """What is known of one agent's process, over all its records. Owned by the collecting thread."""

    def __init__(self, agent: Agent, since_ns: int) -> None:
        """since_ns: what it did before is of no interest."""
        self.agent = agent
        self.start_ns = started_ns(agent.pid)
        self.heard = Heard(time.time_ns(), since_ns)
        self.comm = _comm(agent.pid, agent.pid)
        self.missed: list[Stretch] = []
        """Time of which it is not known, and not told yet, what it had its GPUs do."""
        self.awaiting = Awaiting()
        self.alike = {frame: Likeness() for frame in _LIKENESS}
        self.devices: dict[int, Multiprocessor] = {}
        self.numbers: dict[int, int] = {}
        """The process's number of a GPU -> the machine's."""
        self.used: set[int] = set()
        """Those, by the machine's numbers, that it was seen to use."""
        self.names: activity.Names | None = None

    def names_in(self, symbols: Symbols) -> activity.Names:
        """Of these tables."""
        if self.names is None or self.names.symbols is not symbols:
            self.names = activity.Names(symbols, self.agent.frames.names)
        return self.names

    def forget(self) -> None:
        """What only its records are read by, of which there are no more."""
        self.names, self.agent.frames, self.awaiting = None, Frames(), Awaiting()
        self.alike.clear()


class ActivityCollector:
    """Owned by the collecting thread, but for `start`."""

    name = GPU_RECORDS[0]

    def __init__(self, common: Common) -> None:
        self._common = common
        self._state = State.STARTING
        self._agents = Agents(self._is_wanted, common.settings.gpu_limit)
        self._known: dict[str, _Known] = {}
        self._leaving: list[_Known] = []
        self._unheard: dict[str, _Known] = {}
        """Programs that live on without their agent."""
        self._last = False
        self._since_ns = 0
        """When it was begun to look for agents: what was before is in nobody's sight."""
        self._gauges = GpuGauges()
        self._uuids: dict[bytes, int] = {}
        self._comms: dict[tuple[int, int, int], bytes] = {}
        """By process, when it began, and thread."""
        self._delivered: Counter[Kind] = Counter()
        self._lost: Counter[str] = Counter()
        self._degraded: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        """What agents that have left had counted as lost."""
        self._last_words = [Health(name, State.STARTING) for name in GPU_RECORDS]
        self._cpu_ns = 0
        self._read_ns = 0
        self._near_ns = min(1_000_000_000 // common.settings.hz + _TURN_NS, _NEAR_MOST_NS)

    # -- as a Collector

    def start(self) -> None:
        """Look for agents from now on, and read the gauges."""
        self._since_ns = time.time_ns()
        self._gauges.begin()
        self._common.gpus = lambda: self._gauges.newest
        self._state = State.RUNNING

    def read(self) -> None:
        """Take what agents have sent."""
        began = time.thread_time_ns()
        self._read_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._agents.update()
        for path, agent in self._agents.talking.items():
            if path not in self._known:
                before = self._unheard.get(path)
                self._known[path] = _Known(agent, before.heard.untold_ns if before else self._since_ns)
            if agent.hello:
                self._unheard.pop(path, None)
        for agent in self._agents.take_ended():
            self._leaving.append(self._known.pop(agent.door.path))
            self._before.update(losses(agent))
        self._common.recent.pids = frozenset(agent.pid for agent in self._agents.talking.values())
        self._cpu_ns += time.thread_time_ns() - began

    def events(self, symbols: Symbols) -> NDArray[np.void]:
        """What was taken: (n,) of EVENT with ids in `symbols`."""
        began = time.thread_time_ns()
        parts = [np.zeros(0, EVENT)]
        moments = self._common.recent.moments(self._read_ns)
        moments["time_ns"] += np.uint64(self._common.clock.monotonic_ns)
        for known in (*self._known.values(), *self._leaving):
            mine = moments[moments["pid"] == known.agent.pid]  # what an agent says of threads is not to be believed
            parts += self._events_of(known, symbols, mine, last=self._last or known in self._leaving)
        parts += self._unrecorded(symbols)
        self._forget_gone()
        events = np.concatenate(parts)
        for kind in (Kind.GPU_KERNEL, Kind.GPU_COPY):
            own = (events["kind"] == kind) & (events["flags"] >> np.uint16(ROLE_SHIFT) & np.uint16(3) == Role.OWN)
            self._delivered[kind] += int(events["weight"][own].sum())
        self._cpu_ns += time.thread_time_ns() - began
        return events

    def finish(self) -> None:
        """What comes now is the last: nothing waits for a sample any more."""
        self._last = True

    def stop(self) -> None:
        """End all conversations."""
        self._last_words = [replace(one, state=State.STOPPED, message="") for one in self.health()]
        self._state = State.STOPPED
        self._agents.close()
        self._common.recent.pids = frozenset()
        self._gauges.end()
        self._common.gpus = tuple

    @property
    def programs(self) -> list[int]:
        """Nothing of it runs in the kernel."""
        return []

    # -- records

    def _events_of(
        self, known: _Known, symbols: Symbols, moments: NDArray[np.void], last: bool
    ) -> list[NDArray[np.void]]:
        told, known.agent.told = known.agent.told, []
        rows = {frame: [one.rows for one in told if one.frame == frame] for frame in wire.LAYOUTS}
        self._learn_devices(known, rows[wire.DEVICES])
        spans = self._sane(known, wire.UNRECORDED, rows[wire.UNRECORDED])
        known.missed += known.heard.told(spans, time.time_ns())
        timeless = (wire.DEVICES, wire.UNRECORDED)
        mine = {frame: self._sane(known, frame, some) for frame, some in rows.items() if frame not in timeless}
        due = known.awaiting.due(mine, moments, self._read_ns + self._common.clock.monotonic_ns, self._near_ns, last)
        names = known.names_in(symbols)
        parts = {
            wire.KERNELS: activity.kernels(due[wire.KERNELS], names, known.devices),
            wire.COPIES: activity.copies(due[wire.COPIES], symbols),
            wire.CALLS: activity.calls(due[wire.CALLS], names),
            wire.SYNCS: activity.waits(due[wire.SYNCS], symbols),
        }
        out = [self._whole(known, frame, due[frame], events, symbols) for frame, events in parts.items() if len(events)]
        self._degraded["records whose name has not come"] += names.unknown
        names.unknown = 0
        return out

    def _sane(self, known: _Known, frame: int, rows: list[NDArray[np.void]]) -> NDArray[np.void]:
        whole = np.concatenate([np.zeros(0, ROWS[frame]), *rows])
        kept, odd = activity.sane(whole, clock_offset_ns(known.agent), time.time_ns())
        self._lost["records whose time makes no sense"] += odd
        return kept

    def _whole(
        self, known: _Known, frame: int, rows: NDArray[np.void], events: NDArray[np.void], symbols: Symbols
    ) -> NDArray[np.void]:
        """The same events, with who, where, on which device, and in a stack."""
        launches = self._launches(known, frame, rows)
        if frame != wire.CALLS:
            events["tid"] = launches["tid"]
        events["cpu"] = rows["correlation"] & np.uint32(CORRELATION_MASK)
        self._degraded["records whose thread is not known"] += int(np.count_nonzero(events["tid"] == 0))
        records = np.zeros(len(events), RECORD)
        records["pid"], records["tid"], records["start_ns"] = known.agent.pid, events["tid"], known.start_ns
        records["time_ns"] = events["time_ns"] - np.uint64(self._common.clock.monotonic_ns)
        records["comm"] = self._comms_of(known, events["tid"])
        who, how = joined(launches, records, self._common.naming, symbols)
        for field in ("pid", "process", "thread", "stack", "flags"):
            events[field] = who[field]
        if frame in (wire.KERNELS, wire.COPIES):
            events["stack"] = activity.below(who["stack"], rows, launches["call"], events, known.names_in(symbols))
            events["aux"] = self._lanes(known, rows)
            known.used |= set(np.unique(devices_and_streams(events["aux"])[0]).tolist())
            events["flags"] |= np.where(rows["pauses"], np.uint16(Flag.PAUSES), np.uint16(0))
            for one, words in _DEGRADED.items():
                self._degraded[words] += int(events["weight"][how == one].sum())
        return events

    def _launches(self, known: _Known, frame: int, rows: NDArray[np.void]) -> NDArray[np.void]:
        """(n,) of LAUNCH: what is known of how each record came about."""
        launches = known.awaiting.launches.of(rows["correlation"])
        if frame in known.alike:
            alike = likeness(rows, launches["tid"], _LIKENESS[frame])
            launches = known.alike[frame].lend(launches, alike, rows["start_ns"])
        return launches

    def _comms_of(self, known: _Known, tids: NDArray[np.uint32]) -> NDArray[np.bytes_]:
        found, which = np.unique(tids, return_inverse=True)
        keys = [(known.agent.pid, known.start_ns, tid) for tid in found.tolist()]
        if len(self._comms) > _MAX_COMMS - _NEW_COMMS:
            self._comms.clear()
        for key in [key for key in keys if key[2] and key not in self._comms][:_NEW_COMMS]:
            self._comms[key] = _comm(known.agent.pid, key[2]) or known.comm
        return np.array([self._comms.get(key, known.comm) for key in keys], "S16")[which]

    # -- what nobody recorded

    def _unrecorded(self, symbols: Symbols) -> list[NDArray[np.void]]:
        """Of each program the time of which it is not known what it had its GPUs do."""
        now_ns = time.time_ns()
        for known in self._known.values():
            known.heard.word(known.agent.status, clock_offset_ns(known.agent), now_ns)
        for known in self._leaving:
            known.heard.word(known.agent.status, clock_offset_ns(known.agent), now_ns)
            if known.agent.status.get("ended") is not True:
                self._unheard[known.agent.door.path] = known
        for path, known in list(self._unheard.items()):
            known.missed += known.heard.silent(now_ns)
            if started_ns(known.agent.pid) != known.start_ns or not known.start_ns:
                del self._unheard[path]  # after its death a GPU does nothing of it any more
        everybody = (*self._known.values(), *self._leaving, *self._unheard.values())
        return [self._missed(known, symbols) for known in dict.fromkeys(everybody) if known.missed]

    def _missed(self, known: _Known, symbols: Symbols) -> NDArray[np.void]:
        """As events; of the GPUs that it was seen to use, else of all that it has, else of all that are known."""
        every = (number for one in self._known.values() for number in one.numbers.values())
        devices = known.used or set(known.numbers.values()) or set(every)
        missed, known.missed = known.missed, []
        if not devices:  # they will be told; of which of these times does not matter until then
            known.missed = [Stretch(min(one.start_ns for one in missed), max(one.end_ns for one in missed))]
        events = unrecorded(missed, devices)
        records = np.zeros(len(events), RECORD)
        records["pid"], records["start_ns"], records["comm"] = known.agent.pid, known.start_ns, known.comm
        records["time_ns"] = events["time_ns"] - np.uint64(self._common.clock.monotonic_ns)
        who = self._common.naming.events(records, symbols)
        for field in ("pid", "process", "thread", "stack"):
            events[field] = who[field]
        return events

    def _forget_gone(self) -> None:
        """What those have said that have left; and those of whom there are too many, the first ones."""
        for known in self._leaving:
            known.forget()
        self._leaving = []
        for path in list(self._unheard)[: max(0, len(self._unheard) - MAX_SOCKETS)]:
            del self._unheard[path]
            self._lost["programs without their agent, more than are looked after"] += 1

    # -- devices

    def _learn_devices(self, known: _Known, told: list[NDArray[np.void]]) -> None:
        rows = np.concatenate([np.zeros(0, ROWS[wire.DEVICES]), *told])
        few = rows[rows["number"] < wire.MAX_DEVICES][: wire.MAX_DEVICES]
        self._lost["GPUs that are more than a program can have"] += len(rows) - len(few)
        for row in few:
            number, raw = int(row["number"]), row["uuid"].tobytes()
            of = activity.multiprocessor(row)
            if of is not None:
                known.devices[number] = of
            ours = self._gauges.number(f"GPU-{uuid.UUID(bytes=raw)}")
            if ours is None and any(raw) and (raw in self._uuids or len(self._uuids) < _MAX_UUIDS):
                ours = self._uuids.setdefault(raw, len(self._uuids))
            known.numbers[number] = number if ours is None else ours

    def _lanes(self, known: _Known, rows: NDArray[np.void]) -> NDArray[np.uint32]:
        found, which = np.unique(np.column_stack((rows["device"], rows["stream"])), axis=0, return_inverse=True)
        lanes = [lane(known.numbers.get(device, device), stream) for device, stream in found.tolist()]
        return np.array(lanes, np.uint32)[which.reshape(-1)]

    # -- whom to ask, and what to say

    def _is_wanted(self, pid: int) -> bool:
        settings = self._common.settings
        if settings.pids:  # the kernel's own list, which has their children as well
            return bpf.lookup(self._common.targets.fds["filter_pids"], struct.pack("=I", pid), 1) is not None
        if not settings.cgroups:
            return True
        try:
            path = Path(f"/proc/{pid}/cgroup").read_text().rpartition("::")[2].strip("\n")
        except OSError:
            return False
        return any(f"{path}/".startswith(f"/{one.split('/', 4)[-1]}/") for one in settings.cgroups)

    def health(self) -> list[Health]:
        """Losses by cause, and who tells."""
        if self._state is not State.RUNNING:
            return self._last_words
        agents = list(self._agents.talking.values())
        lost = Counter(self._lost) + self._before
        for agent in agents:
            lost.update(losses(agent))
        words = [problem(one, self._common.settings.gpu_limit) for one in agents[:4]] if agents else [_NOBODY]
        words.append(f"and {len(agents) - 4} more" if len(agents) > 4 else "")
        words += [f"{n} {why}" for why, n in self._agents.refused.most_common(2)]
        one = Health(
            GPU_RECORDS[0],
            State.RUNNING,
            "; ".join(filter(None, [*words, self._gauges.problem])),
            delivered=self._delivered[Kind.GPU_KERNEL],
            lost={cause: n for cause, n in lost.items() if n},
            degraded={cause: n for cause, n in self._degraded.items() if n},
            cpu_ns=self._cpu_ns,
        )
        other = Health(GPU_RECORDS[1], State.RUNNING, delivered=self._delivered[Kind.GPU_COPY])
        return [one, other if agents else replace(other, message=_NOBODY)]


def _comm(pid: int, tid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/task/{tid}/comm").read_bytes().rstrip(b"\n")
    except OSError:
        return b""
