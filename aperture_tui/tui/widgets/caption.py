"""One line over an icicle: whose stacks they are, and what their width is."""

from __future__ import annotations

from aperture_tui.tui.cells import fit
from aperture_tui.tui.widgets.rows import RowsView


class Caption(RowsView):
    """The caption."""

    DEFAULT_CSS = "Caption { height: 1; }"

    def show(self, words: str) -> None:
        """Say this."""
        self.draw(lambda: [((fit(f" {words}", self.size.width), "muted"),)])
