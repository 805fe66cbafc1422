"""What all collectors of a session share, and the order in which a drain goes through it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from aperture_tui.collect import bpf
from aperture_tui.collect.naming import Naming
from aperture_tui.collect.processes import Processes
from aperture_tui.collect.recent import Recent
from aperture_tui.collect.stacks import StackMaps, Stacks
from aperture_tui.collect.targets import Targets
from aperture_tui.collect.unwind import walking
from aperture_tui.collect.unwind.standstill import Standstill
from aperture_tui.profile.health import Health, State
from aperture_tui.symbolize.served import SERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.collect.clock import Clock
    from aperture_tui.collect.compiler import Source
    from aperture_tui.collect.settings import Settings
    from aperture_tui.collect.unwind.supply import Supply
    from aperture_tui.collect.unwind.walking import Walker
    from aperture_tui.profile.gpu import GpuSample
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.symbolize.resolver import Resolver

_STACK_BYTES: Final = 1024
"""Of a usual stack; the ring has room for a new one with each CPU sample of half a second."""
_STACK_RINGS: Final = (4 << 20, 32 << 20)
"""The smallest and the largest."""
_HOTPLUG_S: Final = 1.0


class CollectorError(RuntimeError):
    """One clear line: why a collector has nothing, and what mends it."""


class Collector(Protocol):
    """Something that is attached, drained, detached. `start` may be called by another thread than the rest."""

    name: str

    def start(self) -> None:
        """Load, attach, begin. Raises CollectorError."""
        ...

    def read(self) -> None:
        """Take what the kernel has written."""
        ...

    def events(self, symbols: Symbols) -> NDArray[np.void]:
        """What was read, in words: (n,) of EVENT, with ids in `symbols`."""
        ...

    def finish(self) -> None:
        """Before the last drain: have the kernel stop, so that what it counted until now can be read whole."""
        ...

    def stop(self) -> None:
        """Detach."""
        ...

    @property
    def programs(self) -> list[int]:
        """Descriptors of what runs in the kernel, while it is attached."""
        ...

    def health(self) -> list[Health]:
        """Losses by cause, lag, cost."""
        ...


class Common:
    """Owned by the collecting thread, but for `load`. Raises OSError, CompileError or BtfError."""

    def __init__(self, settings: Settings, clock: Clock, resolver: Resolver, supply: Supply) -> None:
        self.settings = settings
        self.clock = clock
        self.resolver = resolver
        self.supply = supply
        self.processes = Processes(clock)
        self.targets = Targets(settings)
        self._followed = 0.0
        self.recent = Recent()
        self.gpus: Callable[[], tuple[GpuSample, ...]] = tuple
        """The newest readings of the GPUs, while somebody takes them."""
        try:
            self._follow()
            rate = settings.hz * len(bpf.online_cpus())
            self.stacks = Stacks(resolver, StackMaps(ring_size(_STACK_BYTES * rate // 2, *_STACK_RINGS)))
        except OSError:
            self.processes.close()
            self.targets.close()
            raise
        self.naming = Naming(clock, self.processes, self.stacks)
        self.standstill = Standstill(supply, self.stacks, settings.wait_stacks)
        supply.expect(settings.pids)

    @property
    def given(self) -> dict[str, int]:
        """The maps that programs are loaded with, beside the unwinder's."""
        return {**self.targets.fds, **self.stacks.maps.fds}

    def load(
        self,
        source: Callable[[Mapping[str, int]], Source],
        sizes: Mapping[str, int],
        given: Mapping[str, int] | None = None,
    ) -> Walker:
        """Load a program that walks stacks, with these maps as well. Raises OSError, CompileError or BtfError."""
        return walking.load(source, self.supply.maps, sizes, {**self.given, **(given or {})})

    def _follow(self) -> None:
        self._followed = time.monotonic()
        self.processes.follow(bpf.online_cpus())

    def update(self) -> None:
        """After the collectors have read, before they name: each record's stack was written before it."""
        if time.monotonic() - self._followed > _HOTPLUG_S:
            self._follow()
        self.supply.changed(self.processes.update())
        self.stacks.update()

    def tidy(self) -> None:
        """After everything has been named."""
        self.processes.forget(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        self.stacks.rotate()
        self.standstill.tend()

    def health(self) -> Health:
        """What is lost or unknown of processes and names, whichever collector's records they belong to."""
        return Health(
            "naming",
            State.RUNNING,
            SERVED.words(),
            lost={
                "process events: ring full": self.processes.lost,
                "children not followed: map full": self.targets.lost,
            },
            degraded={
                "stacks to send again: ring full": self.stacks.maps.lost,
                "stacks that there was no time to name": self.stacks.unnamed,
                **self.stacks.python_counts,
                **_unresolved(self.resolver),
                **self.processes.unreadable,
                **self.standstill.counts,
            },
            memory_bytes=self.stacks.maps.ring.size + self.processes.memory_bytes,
        )

    def close(self) -> None:
        """Let go of the kernel's objects. The supply is somebody else's."""
        self.processes.close()
        self.stacks.maps.close()
        self.targets.close()


def ring_size(wanted: int, least: int, most: int) -> int:
    """Bytes of a ring: a power of two within the limits."""
    return min(max(1 << (wanted - 1).bit_length(), least), most)


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
