from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.kinds import Stop
from aperture_tui.tui.model import ProcessKey, ProcessLine
from aperture_tui.tui.widgets.processes import SORTS, Columns, ProcessTable, heading_row, ordered, process_row
from tests.tui.screen import running, settled, text_of

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


# -- in which order


@pytest.mark.parametrize("width", [20, 30, 57, 80, 118, 200])
@pytest.mark.parametrize("sort", SORTS)
def test_the_mark_stands_at_the_column_that_is_sorted_by(width: int, sort: str) -> None:
    columns = Columns(width)
    told = "".join(text for text, _ in heading_row(columns, None, sort))
    assert cell_len(told) == width
    marked = [title.sort for title in columns.titles if "▼" in told[title.at : title.at + title.width]]
    assert marked == ([sort] if sort in columns.sorts else [])
    ends = [title.at + title.width for title in columns.titles if not title.left]
    assert all(told[end - 1] != " " for end in ends), "headings of numbers end where the numbers do"


def test_each_order() -> None:
    whole, half, unknown = Completeness(10, 10), Completeness(10, 5), Completeness(unknown=7)
    lines = [
        LINE._replace(key=ProcessKey(7, 1, "b"), place="", threads=2, stacks=whole),
        LINE._replace(key=ProcessKey(9, 1, "a"), place="web", threads=2, stacks=unknown),
        LINE._replace(key=ProcessKey(8, 1, "c"), place="db", threads=5, stacks=half),
    ]
    told = {sort: "".join(line.key.name for line in ordered(lines, sort)) for sort in SORTS}
    assert told == {"cpu": "bac", "stacks": "cba", "threads": "cba", "place": "cab", "name": "abc", "pid": "bca"}


async def test_a_click_on_a_heading_sorts_and_the_selection_stays_on_its_process() -> None:
    async with running((120, 40)) as pilot:
        table = pilot.app.screen.query_one(ProcessTable)

        def rows() -> list[str]:
            return text_of(pilot.app)[table.region.y : table.region.bottom]  # type: ignore[arg-type]

        await pilot.click(table, offset=(10, 2))
        chosen = table.selected
        for word, sort in (
            ("THR", "threads"),
            ("PROCESS", "name"),
            ("STACK", "stacks"),
            ("PID", "pid"),
            ("CPU", "cpu"),
        ):
            await pilot.click(table, offset=(rows()[0].index(word), 0))
            await settled(pilot)
            assert (table.sort, rows()[0].count("▼")) == (sort, 1)
            assert table.selected == chosen
            (under,) = [row for row in rows() if row.startswith("›")]
            assert "postgres" in under
        await pilot.click(table, offset=(rows()[0].index("SHARE"), 0))
        assert table.sort == "cpu"


async def test_s_sorts_the_table_while_it_has_the_keys_and_goes_through_the_columns_that_there_are() -> None:
    for size, sorts in (((120, 40), SORTS), ((80, 24), tuple(sort for sort in SORTS if sort != "stacks"))):
        async with running(size) as pilot:
            table = pilot.app.screen.query_one(ProcessTable)
            before = pilot.app.looking.by_weight  # type: ignore[attr-defined]
            await pilot.press("tab")
            assert table.has_focus
            seen = []
            for _ in sorts:
                seen.append(table.sort)
                await pilot.press("s")
            assert tuple(seen) == sorts
            assert table.sort == SORTS[0]
            assert pilot.app.looking.by_weight is before, "the frames keep theirs"  # type: ignore[attr-defined]


async def test_where_the_column_has_no_room_the_rows_are_by_cpu() -> None:
    async with running((120, 40)) as pilot:
        table = pilot.app.screen.query_one(ProcessTable)
        table.sort_by("stacks")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert table.sort == "cpu"
        await pilot.resize_terminal(120, 40)
        await settled(pilot)
        assert table.sort == "stacks"
