"""CPU samples: bpf/cpu.bpf.c on every online CPU, its rings read by a timer, whole batches at a time."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.common import CollectorError, ring_size
from aperture_tui.collect.naming import WHO
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.unwind import walking
from aperture_tui.collect.unwind.copied import Copied
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.profile.symbols import Symbols

SAMPLE: Final = np.dtype([*WHO, ("cpu", "<u4"), ("flags", "<u4"), ("comm", "S16")])
"""struct sample of bpf/cpu.bpf.c."""

_SAMPLES_S: Final = 5
"""The sample ring holds what all CPUs can produce in this time, at least."""
_RINGS: Final = (1 << 18, 32 << 20)
"""The smallest and the largest."""
_STARVED_S: Final = 30
"""So long where that takes no more than _SPARE_BYTES: beside 24 others, each with its own share of the CPUs, one drain
took 21 s (measured, on two CPUs)."""
_SPARE_BYTES: Final = 4 << 20
_COPY_BYTES: Final = 8192
"""Of the stack of a process that has just begun; there is room for those of half a second in which all CPUs do nothing
but begin processes."""
_COPY_RINGS: Final = (1 << 19, 8 << 20)
_HOTPLUG_S: Final = 1.0
PROGRAMS: Final = {"sample": bpf.PROG_PERF_EVENT}
"""Of bpf/cpu.bpf.c, with their types; those of the unwinder come with it."""


class CpuCollector:
    """Owned by the collecting thread, but for `stop`'s caller, who has joined that thread."""

    name = "cpu"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._settings = common.settings
        self._state, self._message = State.STARTING, "loading the BPF program"
        self._clocks: dict[int, int] = {}
        self._looked_for_cpus = 0.0
        self._degraded: Counter[str] = Counter()
        self._unmatched = 0
        self._delivered = 0
        self._lag_ns: int | None = None
        self._cpu_ns = 0
        self._read = np.zeros(0, SAMPLE)
        self._copied: Copied | None = None
        self._last_word: Health | None = None

    # -- attaching

    def start(self) -> None:
        """Load, attach, begin. Raises CollectorError."""
        try:
            rate = self._settings.hz * len(bpf.online_cpus())
            size = samples_bytes(rate)
            copies = ring_size(rate * _COPY_BYTES // 2, *_COPY_RINGS)
            walker = self._common.load(source, {"samples": size, "copies": copies})
            self._loaded = walker.loaded
            self._samples = Ring(self._loaded.maps["samples"], size)
            if "copies" in self._loaded.maps:  # it has an unwinder
                common = self._common
                self._copied = Copied(self._loaded.maps, copies, common.supply, common.processes, common.stacks)
            self._attach()
        except (OSError, compiler.CompileError, btf.BtfError) as error:
            text = bpf.explain(error) if isinstance(error, OSError) else str(error)
            self._state, self._message = State.FAILED, text
            raise CollectorError(text) from error
        self._state, self._message = State.RUNNING, walker.refused
        if walker.tails:
            self._common.supply.later(lambda: self._finish(walker))

    def _finish(self, walker: walking.Walker) -> None:
        """In the supply's thread, before it gives any process its tables."""
        self._message = walker.finish()

    def finish(self) -> None:
        """Samples are whole as they are."""

    def stop(self) -> None:
        """Detach. Everything also goes by itself when the process dies."""
        for fd in self._clocks.values():
            os.close(fd)
        self._clocks.clear()
        if self._state is State.RUNNING:
            self._last_word = replace(self._health(), state=State.STOPPED)
            self._samples.close()
            if self._copied is not None:
                self._copied.close()
            self._loaded.close()
            self._state = State.STOPPED

    def _attach(self) -> None:
        """Sample every online CPU, and let go of those that went offline."""
        self._looked_for_cpus = time.monotonic()
        online = bpf.online_cpus()
        for cpu in self._clocks.keys() - set(online):
            os.close(self._clocks.pop(cpu))
        for cpu in online:
            if cpu not in self._clocks:
                try:
                    self._clocks[cpu] = bpf.sample_cpu(cpu, self._settings.hz, self._loaded.programs["sample"])
                except OSError as error:
                    if error.errno != errno.ENODEV:  # it went offline in between: looked at again in a second
                        raise

    # -- draining

    def read(self) -> None:
        """Take the samples of the ring."""
        began = time.thread_time_ns()
        if time.monotonic() - self._looked_for_cpus > _HOTPLUG_S:
            self._attach()
        read_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._read = self._samples.records(SAMPLE)
        if self._copied is not None:
            self._copied.read(read_ns)
        self._common.recent.add(self._read)
        self._cpu_ns += time.thread_time_ns() - began

    def events(self, symbols: Symbols) -> NDArray[np.void]:
        """What was sampled since the last time: (n,) of EVENT with ids in `symbols`."""
        began = time.thread_time_ns()
        samples, self._read = self._read, np.zeros(0, SAMPLE)
        if self._copied is not None:
            self._copied.fill(samples)
        events = self._common.naming.events(samples, symbols)
        events["duration_ns"] = events["maximum_ns"] = 1_000_000_000 // self._settings.hz
        events["cpu"] = samples["cpu"]
        events["weight"] = 1
        events["kind"] = Kind.CPU
        self._count_flags(events["flags"])
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._lag_ns = now - int(samples["time_ns"].min()) if len(samples) else 0
        self._delivered += len(events)
        self._cpu_ns += time.thread_time_ns() - began
        return events

    def _count_flags(self, flags: NDArray[np.uint16]) -> None:
        def having(wanted: Flag, among: Flag) -> int:
            return int(np.count_nonzero((flags & np.uint16(among)) == np.uint16(wanted)))

        self._unmatched += having(Flag.NO_STACK, Flag.NO_STACK)
        self._degraded["unknown frame in the stack"] += having(Flag.UNKNOWN_FRAME, Flag.UNKNOWN_FRAME)
        self._degraded["stack deeper than what is kept"] += having(Flag.TRUNCATED, Flag.TRUNCATED)
        # without the kernel's bit: a kernel thread has no user stack to read
        self._degraded["user stack unreadable"] += having(Flag.NO_USER_STACK, Flag.NO_USER_STACK | Flag.KERNEL_MODE)

    # -- telling

    @property
    def programs(self) -> list[int]:
        """Descriptors of what runs in the kernel; tail calls' time is in it."""
        return [self._loaded.programs["sample"]]

    def health(self) -> list[Health]:
        """Losses by cause, lag, cost."""
        return [self._health()]

    def _health(self) -> Health:
        if self._state is not State.RUNNING:
            return self._last_word or Health(self.name, self._state, self._message)
        return Health(
            self.name,
            self._state,
            self._message,
            delivered=self._delivered,
            lost={"samples: ring full": bpf.counters(self._loaded.maps["lost"], 1)[0]},
            degraded={
                "stack not delivered": self._unmatched,
                **self._degraded,
                **(self._copied.counts if self._copied is not None else {}),
            },
            lag_ns=self._lag_ns,
            cpu_ns=self._cpu_ns,
            memory_bytes=self._samples.size + (self._copied.memory_bytes if self._copied is not None else 0),
        )


def samples_bytes(rate: int) -> int:
    """The size of the sample ring. rate: samples a second of all CPUs together."""
    a_second = (SAMPLE.itemsize + 8) * rate
    least, most = _RINGS
    long = ring_size(a_second * _STARVED_S, least, min(most, _SPARE_BYTES))
    return max(long, ring_size(a_second * _SAMPLES_S, least, most))


def source(sizes: Mapping[str, int]) -> compiler.Source:
    """bpf/cpu.bpf.c, by the sizes of the unwinder's maps; with none of these, without an unwinder. Raises BtfError."""
    copies = {"copy": bpf.PROG_PERF_EVENT} if sizes else {}
    return walking.source({**PROGRAMS, **copies}, "cpu", bpf.PROG_PERF_EVENT, sizes)
