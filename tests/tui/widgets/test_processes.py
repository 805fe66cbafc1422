from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.tui.model import ProcessKey, ProcessLine
from aperture_tui.tui.widgets.processes import Columns, heading_row, process_row

LINE = ProcessLine(
    ProcessKey(4_194_303, 1, "视频转码\x1b[31m" + "x" * 200), "container/" + "y" * 99, 123, 15.5, 0.4, (0.1, 2.0, 0.0)
)


@pytest.mark.parametrize("width", [20, 30, 40, 57, 60, 80, 120, 200])
@pytest.mark.parametrize("mono", [False, True])
def test_rows_and_headings_fill_every_width(width: int, mono: bool) -> None:
    columns = Columns(width)
    for row in (heading_row(columns, None), process_row(LINE, columns, True, True, 0.4, mono)):
        assert sum(cell_len(text) for text, _ in row) == width


def test_a_narrow_table_keeps_pid_name_and_cpu() -> None:
    line = ProcessLine(ProcessKey(42, 1, "postgres"), "db", 3, 0.5, 0.2, ())
    text = "".join(text for text, _ in process_row(line, Columns(32), False, False, 0.4, False))
    assert text.split() == ["42", "postgres", "50.0"]


def test_the_selected_row_is_marked_without_colour_too() -> None:
    row = process_row(LINE, Columns(80), True, False, 0.4, True)
    assert row[0][0].startswith("›")
