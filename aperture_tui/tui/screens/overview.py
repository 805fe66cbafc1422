"""Overview: gauges of the host, the processes, and where their time goes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container

from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.gauges import Gauges
from aperture_tui.tui.widgets.processes import ProcessTable


class OverviewScreen(ViewScreen):
    """The first look: gauges above, processes and the icicle below, side by side where there is room."""

    VIEW = ALL["overview"]
    WANTS_PROCESSES = True
    AUTO_FOCUS = "#icicle"

    def body(self) -> ComposeResult:
        """Gauges, processes, icicle."""
        yield Gauges(id="gauges")
        with Container(id="parts"):
            yield ProcessTable()
            yield Icicle(self.describe_selection)
            yield FunctionTable(self.describe_selection)

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot."""
        super().show(snapshot)
        if snapshot is not None and not snapshot.fatal:
            self.query_one(Gauges).show(snapshot.gauges)
            recent = snapshot.pushed is None
            self.query_one(ProcessTable).show(snapshot.processes, self.aperture.looking.process, recent)

    def on_process_table_chosen(self, message: ProcessTable.Chosen) -> None:
        """Look at one process alone."""
        self.look(self.aperture.looking.only(message.process))
