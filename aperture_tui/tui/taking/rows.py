"""What is selected in a part of a view, in words to copy: a frame of the icicle, a row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui.tui.cells import plain
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.screens.gpu import GpuScreen
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.taking.copied import frame_words, process_words, rows_text
from aperture_tui.tui.widgets.details import words_rows
from aperture_tui.tui.widgets.filters import FilterTable
from aperture_tui.tui.widgets.hosts import HostTable, detail_rows
from aperture_tui.tui.widgets.latencies import LatencyTable
from aperture_tui.tui.widgets.line_details import line_rows
from aperture_tui.tui.widgets.processes import ProcessTable

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.screens.base import BaseScreen

_UNCUT: Final = 4000
"""Cells, in which every row has room."""


def selected_words(view: BaseScreen, part: Widget | None) -> str:
    """What is selected in the part that has the focus; "" for nothing."""
    if isinstance(part, Icicle):
        box = part.selected_box
        return frame_words(box.label) if box is not None else ""
    if isinstance(part, ProcessTable):
        return process_words(part.selected) if part.selected is not None else ""
    if isinstance(part, LatencyTable):
        return rows_text(line_rows(part.selected, _UNCUT, 2)) if part.selected is not None else ""
    if isinstance(part, HostTable):
        today = view.aperture.now_ns()
        return rows_text(detail_rows(part.selected, part.now_ns, today, _UNCUT, 2)) if part.selected else ""
    if isinstance(part, FilterTable):
        return plain(part.selected.state.name) if part.selected is not None else ""
    if isinstance(view, GpuScreen):
        name, facts = view.selected_words()
        return rows_text(words_rows(name, facts, _UNCUT, 2))
    return frame_words(box.label) if isinstance(view, ViewScreen) and (box := view.icicle.selected_box) else ""
