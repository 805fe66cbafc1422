"""The list of filters, one in full, its log: what stands in their rows, in every width, with and without colours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from aperture_tui.filters.log import Level
from aperture_tui.filters.told import Standing
from aperture_tui.filters.worker import LIMITS
from aperture_tui.tui.filtering import Filtering, Pace
from aperture_tui.tui.look import look
from aperture_tui.tui.palette import Palette, Spans
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.filter_columns import COLUMNS, FilterLine, curve, placed
from aperture_tui.tui.widgets.filter_details import detail_rows, log_rows
from aperture_tui.tui.widgets.placing import headings, table_row
from tests.tui.filters import FILTERS, LINES, STILL, Still, line, told
from tests.tui.screen import assert_golden

PACES = (
    Pace(400.0, 2 / 3, 7_500.0, (None, None, *(i / 40 for i in range(40)))),
    Pace(133.0, 0.25, 10_000.0, (0.0, 0.25, 0.5, 0.0)),
    Pace(100.0, 0.0, None, (0.0,) * 60),
    Pace(100.0, 0.0004, 166_000.0),
    Pace(0.0),
    Pace(),
    Pace(),
)
ROWS = [FilterLine(one, pace) for one, pace in zip(FILTERS, PACES, strict=True)]
WIDTHS = [1, 5, 20, 33, 40, 57, 80, 120, 200, 300]


def _text(row: Spans) -> str:
    return "".join(text for text, _ in row)


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_fill_every_width(width: int) -> None:
    columns = placed(width)
    rows = [table_row(one, columns, width, None, True, True) for one in ROWS]
    rows.append(headings(columns, width, ""))
    for one in ROWS:
        rows += detail_rows(one, LIMITS, width)
    rows += log_rows(LINES, width)
    assert {sum(cell_len(text) for text, _ in row) for row in rows} == {width}


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_pictures(width: int) -> None:
    columns = placed(width)
    rows = [
        headings(columns, width, ""),
        *(table_row(one, columns, width, None, i == 1, True) for i, one in enumerate(ROWS)),
    ]
    for one in (ROWS[0], ROWS[3]):
        rows += [(), *detail_rows(one, LIMITS, width)]
    rows += [(), *log_rows(LINES, width)]
    assert_golden(f"filter-rows-{width}", [_text(row) for row in rows])


@pytest.mark.parametrize("colours", list(Colours))
def test_every_style_is_one_of_every_look(colours: Colours) -> None:
    palette = Palette(look(None), colours)
    rows = [table_row(one, placed(300), 300, None, True, True) for one in ROWS]
    rows += [row for one in ROWS for row in detail_rows(one, LIMITS, 90)] + log_rows(LINES, 90)
    for row in rows:
        for _, key in row:
            palette.style(key)


def test_what_is_wrong_has_a_sign_and_not_only_a_colour() -> None:
    states = {one.state.name: COLUMNS[2].cell(one, None, 12)[0][0] for one in ROWS}
    assert states == {
        "process_name": "running",
        "rate_limit": "running",
        "slow_syscalls": "running",
        "mine": "! retry 4 s",
        "redact": "off",
        "old": "! old file",
        "broken": "! disabled",
    }


def test_what_is_not_known_is_not_zero() -> None:
    cells = {column.title: column.cell(ROWS[5], None, 20)[0][0] for column in COLUMNS}
    assert (cells["DROPS"], cells["IN/S"]) == ("–", "?")
    idle = FilterLine(told("x", memory_bytes=0), Pace())
    nothing = {column.title: column.cell(idle, None, 20)[0][0] for column in COLUMNS}
    assert (nothing["PER EVENT"], nothing["MEMORY"]) == ("–", "–")
    assert curve((None, 0.0, 0.01, 0.5, 1.0), 7) == "   ▁▁▅█"


def test_the_end_of_a_path_stays() -> None:
    long = told("x" * 5000)
    ((text, _),) = COLUMNS[-1].cell(FilterLine(long, Pace()), None, 14)
    assert (cell_len(text), text[0], text[-5:]) == (14, "…", ".wasm")


def test_details_say_the_reason_in_full() -> None:
    of = {one.state.name: "\n".join(map(_text, detail_rows(one, LIMITS, 400))) for one in ROWS}
    assert (
        "failed: it took too long and was stopped; tried again in 4 s, until then events pass it unfiltered"
        in of["mine"]
    )
    assert "4,000 passed unfiltered" in of["mine"]
    assert (
        "disabled after 5 failures in a minute, nothing passes it; the last: it divided by zero; r tries it again"
        in of["broken"]
    )
    assert "the old version goes on: not a valid module: cut off" in of["old"]
    assert "switched off: everything passes it" in of["redact"]
    assert "a984e6f1719e9631, 14 kB, filter ABI 1.0" in of["process_name"]
    assert "64 MB of memory, about 50 ms a call, 20 lines a second" in of["process_name"]
    assert "77 tagged" in of["slow_syscalls"]
    stopped = FilterLine(told("s", standing=Standing.STOPPED, reason="why"), Pace())
    assert "failed: why; all filters have stopped, and nothing passes" in _text(detail_rows(stopped, LIMITS, 200)[0])


def test_a_strangers_text_reaches_no_row_as_it_is() -> None:
    """Names of files and configurations are the user's, but what they come from need not be."""
    evil = told("\x1b[2Jname", '{"a":"\x9b1m\u202e"}', of_tags=("\x07",), reload_error="\x1b]0;t\x07")
    rows = [table_row(FilterLine(evil, Pace()), placed(300), 300, False, False)]
    rows += detail_rows(FilterLine(evil, Pace()), LIMITS, 80)
    rows += log_rows([line(0, Level.ERROR, "\x1b[31m\u2028x")], 80)
    assert all(_text(row).isprintable() for row in rows)


def test_the_words_of_a_log_are_wrapped_and_none_is_lost() -> None:
    text = " ".join(f"word{i}" for i in range(100)) + " " + "x" * 300
    rows = log_rows([line(0, Level.INFO, text)], 40)
    assert "".join("".join(map(_text, rows)).split())[8:].removeprefix("info") == text.replace(" ", "")


# -- now


def test_now_is_the_last_second_and_none_where_nothing_came() -> None:
    still, now = Still(replace(STILL, filters=FILTERS[:2])), [0.0]
    filtering = Filtering(lambda: still, lambda: now[0])
    filtering.note()
    assert (filtering.pace.dropped, filtering.of("rate_limit").rate) == (None, None)
    for gone in ((50, 10), (0, 100), (30, 0)):
        now[0] += 0.5
        still.go_on(*gone)
        filtering.note()
    assert filtering.pace.dropped == (100 + 30) / 200
    assert filtering.of("process_name") == Pace(200.0, 0.15, 1000.0, (0.5, 0.0, 0.3))
    assert filtering.of("rate_limit").dropped == 100 / 170
    for _ in range(2):
        now[0] += 0.5
        filtering.note()
    assert filtering.of("process_name") == Pace(0.0, None, None, (0.5, 0.0, 0.3, None, None))


def test_a_session_that_is_over_leaves_its_last_word() -> None:
    still: list[Still | None] = [None]
    filtering = Filtering(lambda: still[0])
    filtering.note()
    assert filtering.state is None
    still[0] = Still()
    filtering.note()
    still[0] = None
    filtering.note()
    assert filtering.state == STILL
