"""What is watched: the pid and cgroup filters in the kernel, shared by every program (bpf/filter.h)."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import bpf, compiler
from aperture_tui.collect.object_code import MapSpec
from aperture_tui.collect.unwind import walking

if TYPE_CHECKING:
    from aperture_tui.collect.settings import Settings

MAX_CGROUPS: Final = 8
_MAX_PIDS: Final = 16_384
_PROGRAMS: Final = {"on_fork": bpf.PROG_RAW_TRACEPOINT, "on_exit": bpf.PROG_RAW_TRACEPOINT}
_TRACEPOINTS: Final = {"sched_process_fork": "on_fork", "sched_process_exit": "on_exit"}


class Targets:
    """The filters of a session. Owned by the collecting thread. Raises OSError, CompileError or BtfError."""

    def __init__(self, settings: Settings) -> None:
        self.fds: dict[str, int] = {}
        """Maps by the names of bpf/filter.h."""
        self._loaded: bpf.Loaded | None = None
        self._tracepoints: list[int] = []
        try:
            self._make(settings)
        except Exception:
            self.close()
            raise

    def _make(self, settings: Settings) -> None:
        bpf.raise_locked_memory_limit()
        cgroups = settings.cgroups
        if len(cgroups) > MAX_CGROUPS:
            raise OSError(errno.E2BIG, f"{len(cgroups)} control groups are too many: at most {MAX_CGROUPS} are watched")
        for spec in (
            MapSpec("filter", bpf.MAP_ARRAY, 4, 8, 1, 0),
            MapSpec("filter_pids", bpf.MAP_HASH, 4, 1, _MAX_PIDS, 0),
            MapSpec("filter_cgroups", bpf.MAP_CGROUP_ARRAY, 4, 4, MAX_CGROUPS, 0),
        ):
            self.fds[spec.name] = bpf.create_map(spec)
        for pid in settings.pids:
            bpf.update(self.fds["filter_pids"], struct.pack("=I", pid), b"\1")
        for place, path in enumerate(cgroups):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                bpf.update(self.fds["filter_cgroups"], struct.pack("=I", place), struct.pack("=I", fd))
            finally:
                os.close(fd)
        bpf.update(self.fds["filter"], bytes(4), struct.pack("=II", bool(settings.pids), len(cgroups)))
        if settings.pids:
            source = compiler.Source("filter", _PROGRAMS, walking.task_defines())
            self._loaded = bpf.load(compiler.object_code(source), given=self.fds)
            programs = self._loaded.programs
            self._tracepoints = [bpf.open_raw_tracepoint(point, programs[name]) for point, name in _TRACEPOINTS.items()]

    @property
    def lost(self) -> int:
        """Children of watched processes that are not followed, because the map is full."""
        return bpf.counters(self._loaded.maps["filter_lost"], 1)[0] if self._loaded else 0

    def close(self) -> None:
        """Let go of everything; programs that are still loaded keep the maps."""
        for fd in self._tracepoints:
            os.close(fd)
        self._tracepoints = []
        if self._loaded:
            self._loaded.close()
            self._loaded = None
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}
