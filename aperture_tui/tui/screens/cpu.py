"""CPU: the icicle at full height."""

from __future__ import annotations

from textual.app import ComposeResult

from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.views import ALL


class CpuScreen(ViewScreen):
    """Where the CPU time goes, frame by frame."""

    VIEW = ALL["cpu"]
    AUTO_FOCUS = "#icicle"

    def body(self) -> ComposeResult:
        """The icicle."""
        yield Icicle(self.describe_selection)
        yield FunctionTable(self.describe_selection)
