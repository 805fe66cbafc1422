"""Work that is given to a GPU, seen from outside: bpf/gpu.bpf.c at the entries of libcuda. Nothing is injected, and a
process that runs already is seen as well; what the GPU makes of it is not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, compiler, uprobe
from aperture_tui.collect.gpu import libraries
from aperture_tui.collect.gpu.activity import shape_frames
from aperture_tui.collect.gpu.driver_calls import CALLS, LAUNCHES, cookies, shown
from aperture_tui.collect.gpu.leaves import with_leaves
from aperture_tui.collect.naming import RECORD, WHO
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.sums import Sums
from aperture_tui.collect.traced import Traced
from aperture_tui.collect.unwind import walking
from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Flag, Kind
from aperture_tui.symbolize.elf import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.collect.gpu.libraries import Library
    from aperture_tui.profile.symbols import Symbols

GPU_KEY: Final = np.dtype(
    [
        *((name, "<u8") for name in ("function", "amount", "stack")),
        *((name, "<u4") for name in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "tid", "call")),
    ]
)
"""struct gpu_key of bpf/gpu.bpf.c."""
TAKEN: Final = np.dtype([*WHO, ("flags", "<u4"), ("unused", "<u4")])
"""struct moment of bpf/gpu.bpf.c."""
_TAKEN_RING: Final = 1 << 20
"""Bytes: some 20,000 stacks, as many as ten CPUs may take in a second."""
_ENTRIES: Final = 1 << 13
_NO_ENTRY, _UNREADABLE, _NOT_WALKED, _NO_ROOM = range(4)
_MAX_LIBRARIES: Final = 16
MOST_CALLS_S: Final = 20_000
"""Calls a second, of all programs, past which their probes are taken away: each takes some microseconds of them."""
_OVER_S: Final = 5.0
_PART: Final = b"libcuda.so"
NAME: Final = "gpu_call"


class LaunchCollector(Traced):
    """Calls to NVIDIA's driver; the name is that of Kind.GPU_CALL."""

    def __init__(self, common: Common) -> None:
        super().__init__(common, (NAME,))
        self._delivered = 0
        self._degraded: Counter[str] = Counter()
        self._known: set[tuple[int, int]] = set()
        self._heard: set[int] = set()
        """Processes that have just mapped it."""
        self._program = -1
        self._counted, self._since = 0, time.monotonic()

    def load(self) -> None:
        """Load, then attach to the libraries that are there."""
        if not uprobe.is_possible():
            raise OSError(errno.ENOSYS, "this kernel has no probes in programs (CONFIG_UPROBE_EVENTS)")
        settings = self._common.settings
        filtered = int(bool(settings.pids or settings.cgroups))
        defines = {"ENTRIES": _ENTRIES, "FILTERED": filtered, "STACKS": int(settings.wait_stacks)}
        self._program = self.take(lambda sizes: _source({**defines, **sizes}), {"moments": _TAKEN_RING})["on_call"]
        self._tables = Sums(self._maps, {"launches": GPU_KEY}, _ENTRIES)
        self._moments = Ring(self._maps["moments"], _TAKEN_RING)
        self.hold(self._moments.close)
        heard = self._common.processes.heard
        heard[_PART] = self._heard.add
        self.hold(lambda: heard.pop(_PART, None) and None)
        self._attach_to(libraries.installed())
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            self._attach_to(libraries.mapped(int(pid)))

    def _attach_to(self, found: Iterable[Library]) -> None:
        """Probe those that are not probed yet. Raises OSError if the kernel lets nothing be probed at all."""
        for library in found:
            if library[:2] in self._known:
                continue
            if len(self._known) >= _MAX_LIBRARIES:
                self._degraded["files named libcuda that are not looked at: too many"] += 1
                return
            self._known.add(library[:2])
            try:
                self._probe(library)
            except ElfError:
                self._degraded["files named libcuda that are none"] += 1

    def _probe(self, library: Library) -> None:
        told = cookies()
        try:
            file = libraries.opened(library)
        except OSError:  # its process has ended, or keeps it from us
            self._degraded["files named libcuda that cannot be opened"] += 1
            return
        with contextlib.closing(file):
            offsets = libraries.offsets(file, told)
            # by its path another file could be met now, and amid an instruction of that a probe breaks who runs it
            path = f"/proc/self/fd/{file.fileno()}"
            held, failed = uprobe.attach(path, {at: told[name] for name, at in offsets.items()}, self._program)
        for fd in held:
            self.attach(fd)
        for error in failed:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise error
        if failed:
            self._degraded["functions of libcuda that cannot be probed"] += len(failed)

    # -- draining

    def read(self) -> None:
        """Take what was summed, and when stacks were taken; then probe what was mapped since."""
        super().read()
        self._common.recent.add(self._moments.records(TAKEN))
        for pid in self._heard:
            self._attach_to(libraries.mapped(pid))
        self._heard.clear()

    def named(self, sums: Mapping[str, NDArray[np.void]] | None, symbols: Symbols) -> list[NDArray[np.void]]:
        """Calls since the last time."""
        if sums is None or not len(sums["launches"]) or self._tables is None:
            return []
        rows = sums["launches"]
        records = np.zeros(len(rows), RECORD)
        records["time_ns"] = self._tables.time_ns
        for field in ("stack", "start_ns", "pid", "tid", "flags", "comm"):
            records[field] = rows[field]
        events = self._common.naming.events(records, symbols)
        events["flags"][rows["stack"] == 0] = Flag.NONE  # it was not taken: that is no loss
        names = np.array([symbols.string(shown(call)) for call in CALLS], np.uint32)
        events["name"] = names[np.minimum(rows["call"], len(CALLS) - 1)]
        events["stack"] = with_leaves(events["stack"], _shapes(rows, symbols), symbols)
        events["value"] = _values(rows)
        events["weight"] = rows["n"]
        events["kind"] = Kind.GPU_CALL
        self._delivered += int(rows["n"].sum())
        self._let_go_if_dear(int(rows["n"].sum()))
        return [events]

    def _let_go_if_dear(self, calls: int) -> None:
        """Whoever looks must not be what is slow."""
        self._counted += calls
        if self._counted > MOST_CALLS_S * _OVER_S and self._attached:
            self._detach()
            self._common.processes.heard.pop(_PART, None)  # nor is anything probed from now on
            self._heard.clear()
            self._message = f"let go: more than {MOST_CALLS_S:,} calls a second, and a probe takes microseconds of each"
        now = time.monotonic()
        if now - self._since > _OVER_S:
            self._counted, self._since = 0, now

    def words(self) -> list[Health]:
        """Losses by cause."""
        counts = bpf.counters(self._maps["counters"], 4)
        message = self._message
        if not self._known:
            message = message or "no process has libcuda mapped, and it is not where drivers are installed"
        return [
            Health(
                NAME,
                State.RUNNING,
                message,
                delivered=self._delivered,
                lost={"calls: table full": counts[_NO_ENTRY]},
                degraded={
                    "call without its stack: too many": counts[_NOT_WALKED],
                    "stacks whose moment found no room: ring full": counts[_NO_ROOM],
                    "launches whose shape could not be read": counts[_UNREADABLE],
                    **self._degraded,
                },
            )
        ]


def _is_launch(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    return np.isin(rows["call"], list(LAUNCHES))


def _shapes(rows: NDArray[np.void], symbols: Symbols) -> NDArray[np.uint32]:
    """(n,): the frame of each launch's grid and block, 0 of everything else."""
    return np.where(_is_launch(rows), shape_frames(rows, symbols), np.uint32(0))


def _values(rows: NDArray[np.void]) -> NDArray[np.uint64]:
    """(n,): of launches profile.gpu_launch.Launch, of everything else bytes."""
    threads = rows["block_x"].astype(np.uint64) * rows["block_y"] * rows["block_z"]
    units = np.array([call.unit for call in CALLS], np.uint64)[np.minimum(rows["call"], len(CALLS) - 1)]
    out: NDArray[np.uint64] = rows["amount"] * units
    for i in np.flatnonzero(_is_launch(rows)).tolist():  # few: one a shape, thread and second
        out[i] = Launch(int(threads[i]), shared_bytes=int(rows["amount"][i])).packed()
    return out


def _source(defines: Mapping[str, int]) -> compiler.Source:
    kind = bpf.PROG_KPROBE
    made = walking.source({"on_call": kind}, "gpu", kind, defines if defines.get("UNWIND_ROWS") else {})
    return replace(made, defines={**made.defines, **defines})
