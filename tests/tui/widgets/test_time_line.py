from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.tui.playhead import Held
from aperture_tui.tui.widgets.time_line import TimeFacts, cell_of, mark, moment_of, position_bar, time_row

SECOND = 10**9
START = 1_700_000_000 * SECOND
HELD = Held(START, START + 1200 * SECOND)
FACTS = TimeFacts(START + 720 * SECOND, 60 * SECOND, HELD, name="busy.aperture", host="build-7", now_ns=START)


def _text(facts: TimeFacts, width: int, ascii_only: bool = False) -> str:
    return "".join(text for text, _ in time_row(facts, width, ascii_only)[0])


def _bar(at_s: float, window_s: float, width: int = 12) -> str:
    spans = position_bar(START + int(at_s * SECOND), int(window_s * SECOND), HELD, width)
    return "".join(text for text, _ in spans)


def test_the_knob_is_at_the_moment_and_the_window_before_it() -> None:
    assert _bar(0, 0) == "├●─────────┤"
    assert _bar(600, 0) == "├────●─────┤"
    assert _bar(1200, 0) == "├─────────●┤"
    assert _bar(1200, 400) == "├──────━━━●┤"
    assert _bar(600, 6000) == "├━━━━●─────┤", "a window that reaches before the start is cut"
    assert _bar(5000, 0) == "├─────────●┤"


def test_a_recording_of_no_length_has_its_knob_at_the_end() -> None:
    spans = position_bar(START, 0, Held(START, START), 8)
    assert "".join(text for text, _ in spans) == "├─────●┤"


def test_with_room_it_says_everything() -> None:
    text = _text(replace(FACTS, plays=True, speed=4.0), 120)
    assert text.startswith(" ▶ 4x   22:25:20 UTC ├")
    assert text.rstrip().endswith("┤ 12:00 / 20:00  replay busy.aperture on build-7")
    assert "2023-11-14 22:25:20 UTC" in _text(replace(FACTS, now_ns=START + 86400 * SECOND), 120)


@pytest.mark.parametrize(
    ("width", "kept", "left_out"),
    [
        (80, ["22:25:20 UTC", "├", "12:00 / 20:00", "replay busy.aperture"], ["build-7"]),
        (48, ["22:25:20", "├", "12:00 / 20:00"], ["replay"]),
        (40, ["22:25:20", "├", "12:00"], ["20:00"]),
        (20, ["22:25:20"], ["├"]),
    ],
)
def test_words_give_way_to_the_bar_and_all_to_the_time(width: int, kept: list[str], left_out: list[str]) -> None:
    text = _text(FACTS, width)
    assert all(part in text for part in kept), text
    assert not any(part in text for part in left_out), text


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [*range(1, 60), 80, 120, 200])
def test_it_is_one_row_of_any_width(width: int, ascii_only: bool) -> None:
    for facts in (FACTS, replace(FACTS, name="视频转码服务器" * 5, now_ns=0), replace(FACTS, held=Held())):
        assert cell_len(_text(facts, width, ascii_only)) == width


def test_a_console_gets_ascii() -> None:
    text = _text(FACTS, 120, ascii_only=True)
    assert text.isascii()
    assert "|" in text
    assert mark(True, 0.5, ascii_only=True) == "> 0.5x"
    assert mark(False, 0.5) == "▮▮ ½x"


def test_a_recording_of_nothing_says_so() -> None:
    assert "nothing in busy.aperture" in _text(replace(FACTS, held=Held()), 80)


def test_a_recording_that_is_being_opened_is_not_said_to_be_empty() -> None:
    text = _text(replace(FACTS, held=Held(), opening=True), 80)
    assert "opening busy.aperture" in text
    assert "nothing" not in text


@given(st.integers(2, 300), st.integers(300, 10**15), st.data())
def test_a_click_leads_to_where_the_knob_then_is(cells: int, length: int, data: st.DataObject) -> None:
    held = Held(START, START + length)
    cell = data.draw(st.integers(0, cells - 1))
    at = moment_of(cell, held, cells)
    assert held.start_ns <= at <= held.end_ns
    assert abs(cell_of(at, held, cells) - cell) <= 1


def test_a_click_beside_the_bar_is_one_on_its_end() -> None:
    assert (moment_of(-5, HELD, 10), moment_of(99, HELD, 10)) == HELD
    assert moment_of(0, HELD, 1) == HELD.start_ns


def test_the_place_of_the_bar_is_told() -> None:
    spans, bar = time_row(FACTS, 120)
    text = "".join(part for part, _ in spans)
    assert (text[bar.start - 1], text[bar.stop]) == ("├", "┤")
