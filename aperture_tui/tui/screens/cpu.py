"""CPU: the icicle at full height."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.screens.view import ViewScreen


class CpuScreen(ViewScreen):
    """Where the CPU time goes, frame by frame."""

    TITLE_WORD: ClassVar[str] = "CPU"
    AUTO_FOCUS = "#icicle"

    def body(self) -> ComposeResult:
        """The icicle."""
        yield Icicle(self.describe_selection)
        yield FunctionTable(self.describe_selection)
