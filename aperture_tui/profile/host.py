"""A machine, and its gauges. Free of numpy."""

from __future__ import annotations

from dataclasses import dataclass

from aperture_tui.profile.gpu import GpuSample


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A machine that data comes from."""

    name: str
    kernel: str
    cpus: int
    memory_bytes: int
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class HostSample:
    """One reading of a machine's gauges. Fractions are of the whole machine (0 to 1); None is unknown.

    own_cpu is the profiler's own share, in user space and in its kernel programs; own_memory_bytes its resident set.
    gpus: one reading of each, of about that time; () where they are not looked at.
    """

    time_ns: int
    cpu_user: float | None = None
    cpu_system: float | None = None
    cpu_iowait: float | None = None
    cpu_steal: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_total_bytes: int | None = None
    load: tuple[float, float, float] | None = None
    own_cpu: float | None = None
    own_memory_bytes: int | None = None
    gpus: tuple[GpuSample, ...] = ()
