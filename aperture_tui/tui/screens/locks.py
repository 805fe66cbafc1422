"""Locks: which are waited for, for how long, who holds them, and in which code."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.screens.latencies import LatencyScreen
from aperture_tui.tui.screens.words import grouped
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.latencies import ColumnSet, LatencyTable


class LockTable(LatencyTable):
    """The table of locks."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "only this lock", key_display="enter")]


class LocksScreen(LatencyScreen):
    """Locks by process, and the stacks of those that waited for them, or of those that ended the waits."""

    VIEW = ALL["locks"]
    COLUMNS = ColumnSet.LOCKS
    TABLE = LockTable
    WORD = "waits"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "wakers", "waiters or wakers")]

    def has_stacks(self, _snapshot: ViewSnapshot) -> bool:
        """Always: every wait has one."""
        return True

    def caption(self, snapshot: ViewSnapshot) -> str:
        """What the icicle is of."""
        request = snapshot.request
        which = "any lock"
        if request.lock is not None:
            which = request.lock.name + (f" 0x{request.lock.value:x}" if request.lock.value else "")
        words = f"Who ended waits for {which}, by wakes" if request.wakers else f"Who waited for {which}, by time"
        return ", ".join(filter(None, [words, grouped(request.group, request.form.shape.by_module)]))

    def on_latency_table_chosen(self, message: LatencyTable.Chosen) -> None:
        """The stacks of one lock alone; of all again, if they are."""
        looking = self.aperture.looking
        self.look(looking.of_lock(None if looking.lock == message.key else message.key))

    def action_wakers(self) -> None:
        """Whose stacks are shown."""
        self.look(self.aperture.looking.other_side())
