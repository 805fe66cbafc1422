"""CPU samples: bpf/cpu.bpf.c on every online CPU, its rings read by a timer, whole batches at a time."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.stacks import Stacks
from aperture_tui.collect.unwind import walking
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.collect.clock import Clock
    from aperture_tui.collect.processes import Image, Processes
    from aperture_tui.collect.settings import Settings
    from aperture_tui.collect.unwind.supply import Supply
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.symbolize.resolver import Resolver

SAMPLE: Final = np.dtype(
    [
        ("time_ns", "<u8"),
        ("stack", "<u8"),
        ("start_ns", "<u8"),
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("cpu", "<u4"),
        ("flags", "<u4"),
        ("comm", "S16"),
    ]
)
"""struct sample of bpf/cpu.bpf.c."""

_SAMPLES_S: Final = 5
"""The sample ring holds what all CPUs can produce in this time."""
_LARGEST_RING: Final = 32 << 20
_STACK_RING: Final = 4 << 20
_STACK_BYTES: Final = 1024
"""Of a usual stack; the ring has room for a new one with each sample of half a second."""
_HOTPLUG_S: Final = 1.0
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MAX_CGROUPS: Final = 8
_COUNTERS: Final = 3
PROGRAMS: Final = {
    "sample": bpf.PROG_PERF_EVENT,
    "on_fork": bpf.PROG_RAW_TRACEPOINT,
    "on_exit": bpf.PROG_RAW_TRACEPOINT,
}
"""Of bpf/cpu.bpf.c, with their types; those of the unwinder come with it."""


class CpuError(RuntimeError):
    """One clear line: why there are no CPU samples, and what mends it."""


class CpuCollector:
    """Owned by the collecting thread, but for `stop`'s caller, who has joined that thread."""

    name = "cpu"

    def __init__(
        self, settings: Settings, clock: Clock, processes: Processes, resolver: Resolver, supply: Supply
    ) -> None:
        self._settings = settings
        self._supply = supply
        self._clock = clock
        self._processes = processes
        self._resolver = resolver
        self._state, self._message = State.STARTING, "loading the BPF program"
        self._events: dict[int, int] = {}
        self._looked_for_cpus = 0.0
        self._stacks = Stacks(resolver)
        self._degraded: Counter[str] = Counter()
        self._unmatched = 0
        self._delivered = 0
        self._lag_ns: int | None = None
        self._cpu_ns = 0
        self._salt = 0
        self._last_word: Health | None = None

    # -- attaching

    def start(self) -> None:
        """Load, attach, begin. Raises CpuError."""
        try:
            sizes = self._ring_sizes()
            walker = walking.load(source, self._supply.maps, sizes)
            self._loaded = walker.loaded
            self._samples = Ring(self._loaded.maps["samples"], sizes["samples"])
            self._stack_ring = Ring(self._loaded.maps["stacks"], sizes["stacks"])
            self._configure()
            self._tracepoints = self._follow_children() if self._settings.pids else []
            self._statistics = bpf.enable_statistics()
            self._attach()
        except (OSError, compiler.CompileError, btf.BtfError) as error:
            text = bpf.explain(error) if isinstance(error, OSError) else str(error)
            self._state, self._message = State.FAILED, text
            raise CpuError(text) from error
        self._state, self._message = State.RUNNING, walker.refused
        if walker.tails:
            self._supply.later(lambda: self._finish(walker))

    def _finish(self, walker: walking.Walker) -> None:
        """In the supply's thread, before it gives any process its tables."""
        self._message = walker.finish()

    def stop(self) -> None:
        """Detach. Everything also goes by itself when the process dies."""
        for fd in self._events.values():
            os.close(fd)
        self._events.clear()
        if self._state is State.RUNNING:
            self._last_word = replace(self.health(), state=State.STOPPED)
            for fd in self._tracepoints:
                os.close(fd)
            self._samples.close()
            self._stack_ring.close()
            self._loaded.close()
            if self._statistics is not None:
                os.close(self._statistics)
            self._state = State.STOPPED

    def _ring_sizes(self) -> dict[str, int]:
        rate = self._settings.hz * len(bpf.online_cpus())
        return {
            "samples": _ring_size((SAMPLE.itemsize + 8) * rate * _SAMPLES_S, 1 << 18),
            "stacks": _ring_size(_STACK_BYTES * rate // 2, _STACK_RING),
        }

    def _configure(self) -> None:
        maps, settings = self._loaded.maps, self._settings
        for pid in settings.pids:
            bpf.update(maps["pids"], struct.pack("=I", pid), b"\1")
        for place, path in enumerate(settings.cgroups[:_MAX_CGROUPS]):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                bpf.update(maps["cgroups"], struct.pack("=I", place), struct.pack("=I", fd))
            finally:
                os.close(fd)
        self._write_config()

    def _write_config(self) -> None:
        filters = bool(self._settings.pids), len(self._settings.cgroups[:_MAX_CGROUPS])
        bpf.update(self._loaded.maps["config"], bytes(4), struct.pack("=QII", self._salt, *filters))

    def _attach(self) -> None:
        """Sample every online CPU, and let go of those that went offline."""
        self._looked_for_cpus = time.monotonic()
        online = bpf.online_cpus()
        for cpu in self._events.keys() - set(online):
            os.close(self._events.pop(cpu))
        for cpu in online:
            if cpu not in self._events:
                try:
                    self._events[cpu] = bpf.sample_cpu(cpu, self._settings.hz, self._loaded.programs["sample"])
                except OSError as error:
                    if error.errno != errno.ENODEV:  # it went offline in between: looked at again in a second
                        raise
        self._processes.follow(list(self._events))

    def _follow_children(self) -> list[int]:
        programs = self._loaded.programs
        points = {"sched_process_fork": "on_fork", "sched_process_exit": "on_exit"}
        return [bpf.open_raw_tracepoint(point, programs[name]) for point, name in points.items()]

    # -- draining

    def drain(self, symbols: Symbols) -> NDArray[np.void]:
        """What was sampled since the last time: (n,) of EVENT with ids in `symbols`."""
        began = time.thread_time_ns()
        if time.monotonic() - self._looked_for_cpus > _HOTPLUG_S:
            self._attach()
        samples = self._samples.records(SAMPLE)
        for payload in self._stack_ring.payloads():  # after the samples: each one's stack was written before it
            self._stacks.receive(payload)
        self._stacks.tend()
        self._supply.changed(self._processes.update())
        events = self._events_of(samples, symbols)
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._lag_ns = now - int(samples["time_ns"].min()) if len(samples) else 0
        self._processes.forget(now)
        if self._stacks.rotate():
            self._salt += 1
            self._write_config()
        self._delivered += len(events)
        self._cpu_ns += time.thread_time_ns() - began
        return events

    def rebind(self) -> None:
        """Symbols of a new generation come with the next drain."""
        self._stacks.rebind()

    def _events_of(self, samples: NDArray[np.void], symbols: Symbols) -> NDArray[np.void]:
        events = np.zeros(len(samples), EVENT)
        if not len(samples):
            return events
        images, image_of = self._images(samples)
        rows = [self._processes.row(image, start, symbols) for image, start in images]
        comms, comm_of = np.unique(samples["comm"], return_inverse=True)
        threads = np.array([symbols.string(bytes(comm)) for comm in comms], np.uint32)
        stacks, flags = self._stacks.nodes(samples["stack"], image_of, [image for image, _ in images], symbols)
        flags |= samples["flags"].astype(np.uint16)
        events["time_ns"] = samples["time_ns"] + np.uint64(self._clock.monotonic_ns)
        events["duration_ns"] = events["maximum_ns"] = 1_000_000_000 // self._settings.hz
        events["pid"], events["tid"], events["cpu"] = samples["pid"], samples["tid"], samples["cpu"]
        events["process"] = np.array(rows, np.uint32)[image_of]
        events["thread"] = threads[comm_of]
        events["stack"] = stacks
        events["weight"] = 1
        events["kind"] = Kind.CPU
        events["flags"] = flags
        self._count_flags(flags)
        return events

    def _images(self, samples: NDArray[np.void]) -> tuple[list[tuple[Image, int]], NDArray[np.intp]]:
        """The distinct (image, start) of these samples, and for each sample which of them it is."""
        keys = samples["start_ns"] * _ODD ^ samples["pid"]
        changing = self._processes.changing
        if changing:
            # without an exec in between, all samples of a process have one image: only then their time is looked at
            keys ^= np.where(np.isin(samples["pid"], changing), samples["time_ns"], np.uint64(0))
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        found: dict[tuple[int, int], int] = {}
        images: list[tuple[Image, int]] = []
        place = np.zeros(len(first), np.intp)
        for i, sample in enumerate(samples[first]):
            image = self._processes.image(int(sample["pid"]), int(sample["time_ns"]), bytes(sample["comm"]))
            key = (id(image), int(sample["start_ns"]))
            if key not in found:
                found[key] = len(images)
                images.append((image, int(sample["start_ns"])))
            place[i] = found[key]
        return images, place[inverse]

    def _count_flags(self, flags: NDArray[np.uint16]) -> None:
        def having(wanted: Flag, among: Flag) -> int:
            return int(np.count_nonzero((flags & np.uint16(among)) == np.uint16(wanted)))

        self._unmatched += having(Flag.NO_STACK, Flag.NO_STACK)
        self._degraded["unknown frame in the stack"] += having(Flag.UNKNOWN_FRAME, Flag.UNKNOWN_FRAME)
        self._degraded["stack deeper than what is kept"] += having(Flag.TRUNCATED, Flag.TRUNCATED)
        # without the kernel's bit: a kernel thread has no user stack to read
        self._degraded["user stack unreadable"] += having(Flag.NO_USER_STACK, Flag.NO_USER_STACK | Flag.KERNEL_MODE)

    # -- telling

    def bpf_ns(self) -> int | None:
        """Run time of the program in the kernel so far; None when the kernel does not tell."""
        if self._state is not State.RUNNING or self._statistics is None:
            return None
        return bpf.run_time_ns(self._loaded.programs["sample"])[0]  # its tail calls' time is in it

    def health(self) -> Health:
        """Losses by cause, lag, cost."""
        if self._state is not State.RUNNING:
            return self._last_word or Health(self.name, self._state, self._message)
        lost_samples, lost_stacks, lost_pids = bpf.counters(self._loaded.maps["counters"], _COUNTERS)
        return Health(
            self.name,
            self._state,
            self._message,
            delivered=self._delivered,
            lost={
                "samples: ring full": lost_samples,
                "process events: ring full": self._processes.lost,
                "children not followed: map full": lost_pids,
            },
            degraded={
                "stack not delivered": self._unmatched,
                "stacks to send again: ring full": lost_stacks,
                **self._degraded,
                **self._stacks.python_counts,
                **_unresolved(self._resolver),
                **self._processes.unreadable,
            },
            lag_ns=self._lag_ns,
            cpu_ns=self._cpu_ns,
            bpf_ns=self.bpf_ns(),
            memory_bytes=self._samples.size + self._stack_ring.size + self._processes.memory_bytes,
        )


def source(sizes: Mapping[str, int]) -> compiler.Source:
    """bpf/cpu.bpf.c, by the sizes of the unwinder's maps; with none of these, without an unwinder. Raises BtfError."""
    return walking.source(PROGRAMS, "cpu", bpf.PROG_PERF_EVENT, sizes)


def _ring_size(wanted: int, least: int) -> int:
    """A power of two within the limits."""
    return min(max(1 << (wanted - 1).bit_length(), least), _LARGEST_RING)


def _unresolved(resolver: Resolver) -> dict[str, int]:
    """Cause -> files, lines, addresses or processes that gave less than they should, once there are any."""
    counts = resolver.counts
    causes = {
        "kernel addresses without kernel symbols": counts.kernel_unreadable,
        "tables in ELF files that are unreadable": counts.elf_errors,
        "mapped files that are unreadable": counts.files_unreadable,
        "process maps that are unreadable": counts.maps_unreadable,
        "perf maps that are refused": counts.perf_maps_refused,
        "lines of maps that are malformed": counts.maps_malformed + counts.perf_map_malformed,
        **resolver.unreadable,
        **resolver.inlines.counts.degraded(),
    }
    return {words: n for words, n in causes.items() if n}
