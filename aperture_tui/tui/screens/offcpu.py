"""Off-CPU: where threads wait, and what their time passes with."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from aperture_tui.profile.where import Key, Term, Value
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.screens.words import grouped
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.caption import Caption
from aperture_tui.tui.widgets.wall import ON_CPU, WallBar


class OffCpuScreen(ViewScreen):
    """On-CPU, runnable and blocked time together, and the stacks of what waited, or of what woke it."""

    VIEW = ALL["offcpu"]
    AUTO_FOCUS = "#icicle"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "wakers", "waiters or wakers")]

    def body(self) -> ComposeResult:
        """The bar above the icicle."""
        yield WallBar(id="wall")
        yield Caption(id="caption")
        yield Icicle(self.describe_selection)
        yield FunctionTable(self.describe_selection)

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot."""
        if snapshot is not None and snapshot.request.kind is self.VIEW.kind:
            wall = snapshot.wall
            self.set_class(wall is None, "-nothing")
            self.query_one(WallBar).show(wall.parts if wall else None, wall.threads_ns if wall else None)
            self.query_one(Caption).show(_caption(snapshot))
        super().show(snapshot)

    def on_wall_bar_chosen(self, message: WallBar.Chosen) -> None:
        """Time on the CPU has a view of its own; of waits, those with this cause alone, or again all."""
        if message.name == ON_CPU:
            self.aperture.action_view("cpu")
        else:
            self.switch_terms(Term(Key.NAME, (Value(message.name),)))

    def action_wakers(self) -> None:
        """Whose stacks are shown."""
        self.look(self.aperture.looking.other_side())


def _caption(snapshot: ViewSnapshot) -> str:
    request = snapshot.request
    if not request.wakers:
        words = "Where threads waited, by time"
    elif request.process is not None:
        words = f"Who woke the threads of {request.process.name} that waited longest, by wakes"
    else:
        words = "Who woke waiting threads, by wakes"
    return ", ".join(filter(None, [words, grouped(request.group, request.form.shape.by_module)]))
