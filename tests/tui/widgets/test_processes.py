from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.kinds import Stop
from aperture_tui.tui.model import ProcessKey, ProcessLine
from aperture_tui.tui.widgets.processes import Columns, heading_row, process_row

LINE = ProcessLine(
    ProcessKey(4_194_303, 1, "视频转码\x1b[31m" + "x" * 200),
    "container/" + "y" * 99,
    123,
    15.5,
    0.4,
    (0.1, 2.0, 0.0),
    Completeness(10, 9, 0, 90, {Stop.FAULT: 1}),
)


@pytest.mark.parametrize("width", [20, 30, 40, 57, 60, 80, 120, 200])
@pytest.mark.parametrize("mono", [False, True])
def test_rows_and_headings_fill_every_width(width: int, mono: bool) -> None:
    columns = Columns(width)
    for row in (heading_row(columns, None), process_row(LINE, columns, True, True, 0.4, mono)):
        assert sum(cell_len(text) for text, _ in row) == width


def test_a_narrow_table_keeps_pid_name_and_cpu() -> None:
    line = ProcessLine(ProcessKey(42, 1, "postgres"), "db", 3, 0.5, 0.2, (), Completeness(9, 9))
    text = "".join(text for text, _ in process_row(line, Columns(32), False, False, 0.4, False))
    assert text.split() == ["42", "postgres", "50.0"]


def test_what_is_not_known_of_the_cpus_is_said_so() -> None:
    row = process_row(LINE._replace(cores=None), Columns(120), False, False, 0.4, False)
    assert "   ?" in "".join(text for text, _ in row)


def test_the_selected_row_is_marked_without_colour_too() -> None:
    row = process_row(LINE, Columns(80), True, False, 0.4, True)
    assert row[0][0].startswith("›")


@pytest.mark.parametrize(
    ("stacks", "shown", "key"),
    [
        (Completeness(7, 7), "100.0", "muted"),
        (Completeness(1000, 612, stops={Stop.STUCK: 388}), "61.2", "warning"),
        (Completeness(unknown=7), "?", "muted"),
    ],
)
def test_the_share_of_whole_stacks_has_a_column_where_there_is_room(stacks: Completeness, shown: str, key: str) -> None:
    line = LINE._replace(stacks=stacks)
    spans = process_row(line, Columns(100), False, False, 0.4, False)
    assert [k for text, k in spans if text.strip() == shown] == [key]
    heading = "".join(text for text, _ in heading_row(Columns(100), None))
    before = "".join(text for text, _ in spans).partition(f" {shown} ")[0] + f" {shown}"
    assert cell_len(before) == heading.index("STACK %") + len("STACK %")
    narrow = Columns(80)
    assert "STACK" not in "".join(text for text, _ in heading_row(narrow, None))
    assert (narrow.place, narrow.name, narrow.threads) == (11, 17, 5), "nothing gave way for it"
