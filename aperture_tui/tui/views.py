"""The views: their names, their screens, the keys that open them."""

from __future__ import annotations

from typing import Any, Final

from textual.binding import Binding

from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.cpu import CpuScreen
from aperture_tui.tui.screens.filters import FiltersScreen
from aperture_tui.tui.screens.gpu import GpuScreen
from aperture_tui.tui.screens.hosts import HostsScreen
from aperture_tui.tui.screens.locks import LocksScreen
from aperture_tui.tui.screens.offcpu import OffCpuScreen
from aperture_tui.tui.screens.overview import OverviewScreen
from aperture_tui.tui.screens.syscalls import SyscallsScreen
from aperture_tui.tui.screens.view import ViewScreen

HOSTS: Final = "hosts"
FILTERS: Final = "filters"
GPU: Final = "gpu"
VIEWS: Final[dict[str, type[ViewScreen]]] = {
    "overview": OverviewScreen,
    "cpu": CpuScreen,
    "syscalls": SyscallsScreen,
    "locks": LocksScreen,
    "offcpu": OffCpuScreen,
    GPU: GpuScreen,
}
"""Those that show something of a window of time."""
MODES: Final[dict[str, Any]] = {**VIEWS, HOSTS: HostsScreen, FILTERS: FiltersScreen}
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
    told: list[tuple[str, type[BaseScreen]]] = [
        (str(i), MODES[name]) for i, name in enumerate(NUMBERS) if name not in without
    ]
    return tuple((key, view.TITLE_WORD) for key, view in told)
