from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.tui.density.model import UNKNOWN, UNREAD, Density, Grid
from aperture_tui.tui.density.render import (
    LABEL,
    TimelineFacts,
    between_words,
    ceiling,
    chosen_facts,
    columns_of,
    length_words,
    timeline_rows,
)
from aperture_tui.tui.playhead import Held

SECOND = 10**9
START = 1_700_000_000 * SECOND
WEIGHTS = (UNKNOWN, UNKNOWN, 0, 1, 50, 100, 0, UNREAD, 70, 100)
GRID = Grid(START, 2 * SECOND, len(WEIGHTS))
HELD = Held(START, START + 20 * SECOND)
FACTS = TimelineFacts(Density(GRID, WEIGHTS), START + 14 * SECOND, START + 20 * SECOND, noun="samples")


def _text(facts: TimelineFacts, width: int = 30, height: int = 1, ascii_only: bool = False) -> list[str]:
    return ["".join(text for text, _ in row) for row in timeline_rows(facts, width, height, ascii_only)]


def _bars(facts: TimelineFacts, ascii_only: bool = False) -> str:
    return _text(facts, ascii_only=ascii_only)[0][LABEL:-LABEL]


def test_nothing_is_a_line_and_what_is_not_known_is_a_gap() -> None:
    assert _bars(FACTS) == "  ▁▂▅█▁·▆█"


def test_without_colours_the_window_is_between_brackets_and_the_cursor_is_a_bar() -> None:
    assert _bars(FACTS, ascii_only=True) == "  _.=#[~+]", "the last cell is the window's end"
    pointed = replace(FACTS, end_ns=START + 12 * SECOND, start_ns=START + 8 * SECOND, cursor_ns=START + 6 * SECOND)
    assert _bars(pointed, ascii_only=True) == "  _|=#]~+#"


@pytest.mark.parametrize("ascii_only", [False, True])
def test_two_rows_have_the_window_and_the_scale_below(ascii_only: bool) -> None:
    upper, lower = _text(FACTS, 30, 2, ascii_only)
    assert lower[LABEL:-LABEL] == ("  -----===" if ascii_only else "  ─────━━━")
    assert ("<=50/s" if ascii_only else "≤50/s") in lower
    assert lower.rstrip().endswith("2.0 s")
    assert upper.startswith(" 22:13:20 ")
    assert upper.endswith(" 22:13:38 "), "when the last column begins"


def test_what_is_being_chosen_is_told_at_both_ends_and_marked() -> None:
    chosen = replace(FACTS, cursor_ns=START + 4 * SECOND, anchor_ns=START + 8 * SECOND)
    upper, lower = _text(chosen, 30, 2)
    assert (upper[:LABEL].strip(), upper[-LABEL:].strip()) == ("22:13:24", "22:13:30")
    assert lower[LABEL:-LABEL] == "  ┃┅┅──━━━"
    assert chosen_facts(chosen) == ["6 s", "51 samples", "8.5/s"]


def test_of_what_is_not_known_no_number_is_told() -> None:
    assert chosen_facts(replace(FACTS, cursor_ns=START)) == ["2 s", "nothing is known of it"]
    assert chosen_facts(replace(FACTS, cursor_ns=START + 14 * SECOND)) == ["2 s", "not read yet"]
    some = chosen_facts(replace(FACTS, cursor_ns=START, anchor_ns=START + 6 * SECOND))
    assert some == ["8 s", "1 samples", "0.25/s", "of 4 s of it"]


def test_a_problem_is_said_in_its_place() -> None:
    density = Density(GRID, WEIGHTS, problem="more events than can be held")
    assert _text(TimelineFacts(density), 60)[0].startswith(" no timeline: more events than can be held")
    assert _text(TimelineFacts(), 60)[0].strip() == "…"


@given(
    st.lists(st.integers(-2, 10**12), min_size=1, max_size=400),
    st.integers(0, 500),
    st.integers(0, 500),
    st.none() | st.integers(-5, 500),
    st.none() | st.integers(-5, 500),
    st.integers(1, 2),
    st.booleans(),
)
def test_rows_have_the_width_of_the_screen_whatever_they_say(
    weights: list[int], start: int, end: int, cursor: int | None, anchor: int | None, height: int, ascii_only: bool
) -> None:
    width = len(weights) + 2 * LABEL
    grid = Grid(START, SECOND, len(weights))
    at = [None if s is None else START + s * SECOND for s in (cursor, anchor)]
    facts = TimelineFacts(Density(grid, tuple(weights)), START + start * SECOND, START + end * SECOND, HELD, *at)
    rows = timeline_rows(facts, width, height, ascii_only)
    assert len(rows) == height
    assert {sum(cell_len(text) for text, _ in row) for row in rows} == {width}
    assert not (ascii_only and columns_of(width)) or "".join(text for row in rows for text, _ in row).isascii()
    if columns_of(width) and not ascii_only:
        bars = "".join(text for text, _ in rows[0])[LABEL:-LABEL]
        assert [bar == " " for bar in bars] == [weight == UNKNOWN for weight in weights], "a gap is never a number"
        assert [bar == "▁" for bar in bars] == [weight == 0 for weight in weights], "nor is a number ever nothing"


@given(st.integers(1, 10**15))
def test_the_scale_is_one_of_few_numbers_and_not_much_too_high(most: int) -> None:
    top = ceiling(most)
    assert most <= top <= 1.5 * most + 1
    assert len(str(top).rstrip("0")) <= 2


def test_lengths_and_ranges_in_words() -> None:
    told = [length_words(round(s * SECOND)) for s in (0.4, 26, 25.999999999, 119.9, 137, 3723)]
    assert told == ["0.4 s", "26 s", "26 s", "119.9 s", "2:17 min", "1:02:03 h"]
    day = 86400 * SECOND
    assert between_words(START, START + 26 * SECOND, START) == "22:13:20 to 22:13:46"
    assert between_words(START, START + 26 * SECOND, START + day) == "Nov 14 22:13:20 to 22:13:46"
    assert between_words(START - day, START, START) == "Nov 13 22:13:20 to 22:13:20"
