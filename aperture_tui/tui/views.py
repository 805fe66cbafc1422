"""The views: their names, their titles, the keys that open them. Their screens are read when they are first shown."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, NamedTuple

from textual.binding import Binding

from aperture_tui.profile.kinds import Kind

if TYPE_CHECKING:
    from aperture_tui.tui.screens.base import BaseScreen

HOSTS: Final = "hosts"
FILTERS: Final = "filters"
GPU: Final = "gpu"


class View(NamedTuple):
    """kind: of the events that it shows. module, name: of its screen's class."""

    title: str
    kind: Kind
    module: str
    name: str

    @property
    def screen(self) -> type[BaseScreen]:
        """The class of its screen."""
        found: type[BaseScreen] = getattr(importlib.import_module(f"aperture_tui.tui.screens.{self.module}"), self.name)
        return found

    def make(self) -> BaseScreen:
        """A screen."""
        return self.screen()


VIEWS: Final = {
    "overview": View("Overview", Kind.CPU, "overview", "OverviewScreen"),
    "cpu": View("CPU", Kind.CPU, "cpu", "CpuScreen"),
    "syscalls": View("Syscalls", Kind.SYSCALL, "syscalls", "SyscallsScreen"),
    "locks": View("Locks", Kind.LOCK, "locks", "LocksScreen"),
    "offcpu": View("Off-CPU", Kind.OFFCPU, "offcpu", "OffCpuScreen"),
    GPU: View("GPU", Kind.GPU_KERNEL, "gpu", "GpuScreen"),
}
"""Those that show something of a window of time."""
ALL: Final = {
    **VIEWS,
    HOSTS: View("Hosts", Kind.CPU, "hosts", "HostsScreen"),
    FILTERS: View("Filters", Kind.CPU, "filters", "FiltersScreen"),
}
NUMBERS: Final = (HOSTS, "overview", "cpu", "syscalls", "locks", "offcpu", FILTERS, GPU)
"""By the numbers of their keys."""
VIEW_KEYS: Final = (
    Binding("0", "view('hosts')", "hosts", show=False),
    Binding("1", "view('overview')", "overview", show=False),
    Binding("2", "view('cpu')", "CPU", show=False),
    Binding("3", "view('syscalls')", "system calls", show=False),
    Binding("4", "view('locks')", "locks", show=False),
    Binding("5", "view('offcpu')", "off-CPU time", show=False),
    Binding("6,F", "view('filters')", "filters", show=False),
    Binding("7,G", "view('gpu')", "GPU", show=False),
)


def titles(without: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """(key, title) of each view but some."""
    return tuple((str(i), ALL[name].title) for i, name in enumerate(NUMBERS) if name not in without)
