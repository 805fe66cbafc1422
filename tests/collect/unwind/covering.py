"""The kernel's maps and programs as the supply has them, without its thread."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from aperture_tui.collect import bpf, compiler
from aperture_tui.collect.unwind import supply
from aperture_tui.collect.unwind.coverage import Coverage
from aperture_tui.collect.unwind.files import Files
from aperture_tui.collect.unwind.kernel_maps import KernelMaps
from aperture_tui.profile.kinds import Stop
from aperture_tui.symbolize.unwind_cache import UnwindCache


class Kernel:
    """The maps, the programs that follow processes, and what fills them."""

    def __init__(self, cache: Path) -> None:
        self.maps = KernelMaps()
        self.loaded = bpf.load(compiler.object_code(supply.source()), given=self.maps.fds)
        self.points = [
            bpf.open_raw_tracepoint(f"sched_process_{what}", self.loaded.programs[f"on_{what}"])
            for what in ("fork", "exec", "exit")
        ]
        self.files = Files(self.maps, UnwindCache(cache))
        self.coverage = Coverage(self.maps, self.files)

    def cover(self, pid: int) -> None:
        self.coverage.cover(pid, Stop.NO_TABLES)
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + 30
        while self.files.pending and time.monotonic() < deadline:
            self.coverage.advance()
            time.sleep(0.01)
        assert not self.files.pending

    def mappings(self, pid: int) -> np.ndarray:
        first = self.maps.slices()[pid]
        (one,) = [s for s in self.coverage._slices.values() if s.first == first]
        return self.maps.mappings[first : first + len(one.entries)]

    def close(self) -> None:
        for fd in self.points:
            os.close(fd)
        self.files.close()
        self.loaded.close()
        self.maps.close()
