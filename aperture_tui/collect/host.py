"""The gauges of this machine and the profiler's own cost, by psutil."""

from __future__ import annotations

import os
import platform
import resource
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.collect.clock import Clock
    from aperture_tui.profile.gpu import GpuSample

_SWAP_S: Final = 10.0


def facts() -> HostFacts:
    """This machine."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return HostFacts(
        name=clean(socket.gethostname()),
        kernel=platform.release(),
        cpus=os.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        boot_id=boot.read_text().strip() if boot.exists() else "",
    )


class HostGauges:
    """Reads the gauges; CPU shares are of the time since the reading before. Owned by one thread."""

    def __init__(
        self, clock: Clock, bpf_ns: Callable[[], int | None], gpus: Callable[[], tuple[GpuSample, ...]] = tuple
    ) -> None:
        """gpus: the newest readings of the GPUs, () where nobody reads them."""
        self._gpus = gpus
        self._clock = clock
        self._bpf_ns = bpf_ns
        self._process = psutil.Process()
        self._times = psutil.cpu_times()
        self._own = self._own_seconds()
        self._at = time.monotonic()
        self._swap, self._swapped_at = (0, 0), -_SWAP_S

    def read(self) -> HostSample:
        """One reading, of now."""
        times, own, at = psutil.cpu_times(), self._own_seconds(), time.monotonic()
        passed = {name: getattr(times, name) - getattr(self._times, name) for name in times._fields}
        # guest time is contained in user time (Documentation/filesystems/proc.rst, /proc/stat)
        whole = sum(v for name, v in passed.items() if not name.startswith("guest"))
        share = {name: max(0.0, v / whole) if whole > 0 else None for name, v in passed.items()}
        capacity = (at - self._at) * (os.cpu_count() or 1)
        own_cpu = (own - self._own) / capacity if capacity > 0 else None
        self._times, self._own, self._at = times, own, at
        memory, swap = psutil.virtual_memory(), self._swap_now(at)
        system = [share[name] for name in ("system", "irq", "softirq") if share.get(name) is not None]
        user = [share[name] for name in ("user", "nice") if share.get(name) is not None]
        return HostSample(
            time_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC) + self._clock.monotonic_ns,
            cpu_user=sum(v for v in user if v is not None) if user else None,
            cpu_system=sum(v for v in system if v is not None) if system else None,
            cpu_iowait=share.get("iowait"),
            cpu_steal=share.get("steal"),
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            swap_used_bytes=swap[0],
            swap_total_bytes=swap[1],
            load=os.getloadavg(),
            own_cpu=own_cpu,
            own_memory_bytes=self._process.memory_info().rss,
            gpus=self._gpus(),
        )

    def _swap_now(self, at: float) -> tuple[int, int]:
        """Used and total bytes; it moves slowly, and is a third of the cost of a reading."""
        if at - self._swapped_at >= _SWAP_S:
            swap = psutil.swap_memory()
            self._swap, self._swapped_at = (swap.used, swap.total), at
        return self._swap

    def _own_seconds(self) -> float:
        """CPU of this process, of its children that have ended, and of its programs in the kernel."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime + (self._bpf_ns() or 0) / 1e9
