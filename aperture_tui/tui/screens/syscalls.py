"""Syscalls: what the processes ask of the kernel, how long that takes, what fails, what has not come back."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.screens.latencies import LatencyScreen
from aperture_tui.tui.screens.words import grouped
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.latencies import ColumnSet, LatencyTable


class SyscallTable(LatencyTable):
    """The table of system calls."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "only this process", key_display="enter")]


class SyscallsScreen(LatencyScreen):
    """System calls by process and name; an icicle where stacks of calls are sampled."""

    VIEW = ALL["syscalls"]
    COLUMNS = ColumnSet.SYSCALLS
    TABLE = SyscallTable
    WORD = "calls"

    def has_stacks(self, snapshot: ViewSnapshot) -> bool:
        """Only where they are sampled."""
        return snapshot.icicle is not None and snapshot.icicle.total > 0

    def caption(self, snapshot: ViewSnapshot) -> str:
        """What the icicle is of."""
        return ", ".join(
            filter(
                None,
                [
                    "Sampled calls, by the time in them",
                    grouped(snapshot.request.group, snapshot.request.form.shape.by_module),
                ],
            )
        )

    def on_latency_table_chosen(self, message: LatencyTable.Chosen) -> None:
        """Look at one process alone."""
        line = self.table.selected
        if line is not None and line.key == message.key:
            self.look(self.aperture.looking.only(line.process))
