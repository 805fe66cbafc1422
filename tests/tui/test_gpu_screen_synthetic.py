"""The view of GPUs over synthetic work: pictures, every key, the mouse, and what is said when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.events import MouseDown, MouseEvent, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.pilot import Pilot

from aperture_tui.profile.health import Health, State
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.gpu.gauges import GpuGauges
from aperture_tui.tui.gpu.lanes_view import LanesView
from aperture_tui.tui.gpu.model import Engine, Stretch
from aperture_tui.tui.gpu.pages import Page, PagesLine
from aperture_tui.tui.gpu.tables import CopyTable, GapTable, KernelTable
from aperture_tui.tui.gpu.words import Here
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.screens.gpu import GpuScreen
from tests.tui.gpu.synthetic import (
    GEMM,
    NOBODY,
    OPTIMIZER,
    RUNNING,
    SOFTMAX,
    Work,
    in_moments,
    stored,
    synthetic,
    taken_over,
)
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.synthetic import SECOND, START_NS
from tests.tui.waiting import filled

SIZES = pytest.mark.parametrize(
    "size", [(200, 50), (120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)
WAITING = (RUNNING[0], Health("gpu_kernel", State.RUNNING, NOBODY), Health("gpu_copy", State.RUNNING, NOBODY))
FAILED = (RUNNING[0], Health("gpu_kernel", State.FAILED, "no room for a socket"))
HERE = Here(False, ("GPU driver: no GPU driver is loaded",))


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _view(pilot: Pilot[Any]) -> GpuScreen:
    view = _app(pilot)._view
    assert isinstance(view, GpuScreen)
    return view


def _text(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


def text_row(spans: Spans) -> str:
    return "".join(part for part, _ in spans)


def _stretch(pilot: Pilot[Any]) -> Stretch | None:
    return _app(pilot).looking.stretch


async def _mouse(pilot: Pilot[Any], event: type[MouseEvent], column: int) -> None:
    """As it comes from the terminal, in the third lane."""
    await pilot._post_mouse_events([event], LanesView, offset=(column, 2), button=1)
    await settled(pilot)


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)  # the keys after it are for what is then there


PICTURES: dict[str, tuple[list[str], Callable[[], MemoryStore]]] = {
    "timeline": (["7"], synthetic),
    "zoomed": (["7", *["left_square_bracket"] * 3, "enter", "enter", "enter", "down"], synthetic),
    "kernels": (["7", "p", "down"], synthetic),
    "copies": (["7", "p", "p"], synthetic),
    "idle": (["7", *"ppp"], synthetic),
    "not-recorded": (["7", *"ppp"], taken_over),
    "devices": (["7", *"pppp"], synthetic),
    "stacks": (["7", "P", "down", "down"], synthetic),
    "nothing": (["7"], lambda: stored([], health=WAITING)),
    "failed": (["7", "p"], lambda: stored([], health=FAILED)),
}


@pytest.mark.parametrize("name", PICTURES)
@SIZES
async def test_pictures_of_synthetic_work(name: str, size: tuple[int, int]) -> None:
    keys, store = PICTURES[name]
    async with running(size, store(), gpu=lambda: HERE) as pilot:
        await _press(pilot, *keys)
        assert_golden(f"gpu-synthetic-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@pytest.mark.parametrize("name", ["zoomed", "devices"])
async def test_without_colours_synthetic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24), synthetic()) as pilot:
        await _press(pilot, *PICTURES[name][0])
        assert_golden(f"mono-gpu-synthetic-{name}-80x24", text_of(_app(pilot)))


@pytest.mark.parametrize("theme", ["aperture-light", "high-contrast", "colour-blind-safe"])
@pytest.mark.parametrize("term", ["xterm-256color", "xterm-16color"])
async def test_every_look_has_the_colours_synthetic(theme: str, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("COLORTERM", raising=False)
    async with running((120, 40), synthetic(), theme=theme) as pilot:
        await _press(pilot, *PICTURES["zoomed"][0])
        for _ in Page:
            await _press(pilot, "p")
        assert _view(pilot).page is Page.TIMELINE


# -- pages


async def test_7_and_g_open_the_view_and_the_header_names_it_from_then_on() -> None:
    async with running((120, 40), filled()) as pilot:
        assert "7 GPU" not in text_of(_app(pilot))[0]
        await _press(pilot, "7")
        assert "7 GPU" in text_of(_app(pilot))[0]
        await _press(pilot, "2")
        assert "7 GPU" not in text_of(_app(pilot))[0], "there is nothing of a GPU here"
        await _press(pilot, "G")
        assert isinstance(_app(pilot)._view, GpuScreen)


async def test_a_driver_or_a_gauge_is_enough_for_the_header() -> None:
    async with running((120, 40), filled(), gpu=lambda: Here(True)) as pilot:
        assert "7 GPU" in text_of(_app(pilot))[0]
    async with running((120, 40), synthetic()) as pilot:
        assert "7 GPU" in text_of(_app(pilot))[0]


async def test_p_goes_through_the_pages_and_capital_p_back() -> None:
    async with running((80, 24), synthetic()) as pilot:
        await _press(pilot, "7")
        parts = [LanesView, KernelTable, CopyTable, GapTable, GpuGauges]
        for page, part in zip(Page, parts, strict=False):
            assert _view(pilot).page is page
            assert isinstance(pilot.app.focused, part)
            assert [one for one in parts if _view(pilot).query_one(one).display] == [part]
            await _press(pilot, "p")
        assert _view(pilot).page is Page.STACKS
        assert pilot.app.focused is _view(pilot).icicle
        await _press(pilot, "p")
        assert _view(pilot).page is Page.TIMELINE
        await _press(pilot, "P")
        assert _view(pilot).page is Page.STACKS


async def test_a_click_opens_a_page_and_the_focus_says_which_it_is() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7")
        places = {place.page: place for place in _view(pilot).query_one(PagesLine)._places}
        await pilot.click(PagesLine, offset=(places[Page.COPIES].begin + 1, 0))
        await settled(pilot)
        assert _view(pilot).page is Page.COPIES
        await _press(pilot, "shift+tab")
        assert _view(pilot).page is Page.TIMELINE
        assert _view(pilot).query_one(CopyTable).display, "what was below the lanes stays"
        await _press(pilot, "tab")
        assert _view(pilot).page is Page.COPIES


async def test_the_lanes_stand_above_the_others_where_there_is_room() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "p")
        lanes, table = _view(pilot).lanes, _view(pilot).query_one(KernelTable)
        assert lanes.display
        assert lanes.region.bottom <= table.region.y
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert not lanes.display
        assert table.display
        await pilot.resize_terminal(120, 40)
        await settled(pilot)
        assert lanes.display


# -- the timeline


async def test_brackets_shorten_the_window_then_magnify_it_and_back() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "left_square_bracket")
        assert _app(pilot).looking.window_s == 10
        assert _stretch(pilot) is None
        await _press(pilot, "left_square_bracket", "left_square_bracket")
        stretch = _stretch(pilot)
        assert stretch is not None
        assert stretch.length_ns == pytest.approx(2.5 * SECOND, abs=10)
        assert _view(pilot).lanes.lanes.stretch == stretch
        assert "2.5 s of 10 s from" in "\n".join(text_of(_app(pilot)))
        await _press(pilot, "right_square_bracket", "right_square_bracket")
        assert _stretch(pilot) is None
        assert _app(pilot).looking.window_s == 10
        await _press(pilot, "right_square_bracket")
        assert _app(pilot).looking.window_s == 30


async def test_enter_magnifies_about_the_cursor_and_escape_leads_out() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "home", "enter")
        first = _stretch(pilot)
        assert first is not None
        assert first.start_ns - START_NS < SECOND // 10, "about what is at the left end"
        window = _view(pilot).lanes.lanes.window
        assert first.length_ns == pytest.approx(window.length_ns / 4, abs=10)
        await _press(pilot, "enter", "enter")
        third = _stretch(pilot)
        assert third is not None
        assert third.length_ns == pytest.approx(first.length_ns / 16, abs=10)
        await _press(pilot, "escape", "escape", "backspace")
        assert _stretch(pilot) is None
        assert _app(pilot).current_mode == "gpu"


async def test_time_keys_move_the_stretch_and_at_its_edge_the_window() -> None:
    async with running((120, 40), synthetic(), recording="synthetic.aperture") as pilot:
        await _press(pilot, "7", "left_square_bracket", "enter", "enter")
        before = _stretch(pilot)
        assert before is not None
        moves = {"full_stop": 1 / 60, "comma": -1 / 60, "greater_than_sign": 1 / 6, "less_than_sign": -1 / 6}
        moves |= {"right_curly_bracket": 1, "left_curly_bracket": -1}
        for key, parts in moves.items():
            start = _stretch(pilot)
            await _press(pilot, key)
            moved = _stretch(pilot)
            assert start is not None
            assert moved is not None
            assert moved.start_ns - start.start_ns == pytest.approx(parts * before.length_ns, abs=2), key
        assert _app(pilot).looking.time.at_ns is None, "the window stays"
        await _press(pilot, *["left_curly_bracket"] * 20)
        assert _app(pilot).looking.time.at_ns is not None, "there was nothing left of it to the left"


async def test_arrows_and_letters_move_the_cursor_and_the_line_below_says_what_is_there() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7")
        lanes = _view(pilot).lanes
        start = lanes.cursor
        await _press(pilot, "down", "j", "right", "l")
        assert lanes.cursor == (start.row + 2, start.column + 2)
        await _press(pilot, "up", "k", "left", "h")
        assert lanes.cursor == start
        await _press(pilot, "down", "end")
        assert lanes.cursor.column == len(lanes.lanes.lanes[0].busy) - 1
        await _press(pilot, "home", "right")
        assert "stream 7, compute" in _text(pilot)
        assert any(name in _text(pilot) for name in (GEMM, OPTIMIZER))


async def test_n_goes_to_what_begins_next_in_the_lane() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "home", "left_square_bracket", "enter", "enter", "enter", "down", "home")
        lanes = _view(pilot).lanes
        begun = [i for i, n in enumerate(lanes.lanes.lanes[1].begun) if n]
        assert len(begun) > 3
        for column in begun[1:3]:
            await _press(pilot, "n")
            assert lanes.cursor == (1, column)
        await _press(pilot, "N")
        assert lanes.cursor == (1, begun[1])


async def test_beyond_the_edge_the_cursor_takes_the_lanes_along() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "enter", "home")
        before = _stretch(pilot)
        await _press(pilot, "left")
        after = _stretch(pilot)
        assert before is not None
        assert after is not None
        assert after.start_ns < before.start_ns
        assert after.length_ns == before.length_ns


async def test_the_cursor_stays_at_its_moment_when_the_lanes_are_magnified() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", *["right"] * 7)
        moment = _view(pilot).lanes.moment_ns
        await _press(pilot, "left_square_bracket", "enter", "enter")
        assert _view(pilot).lanes.moment_ns == moment


async def test_live_time_stands_still_for_a_stretch_and_space_lets_it_go() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "enter")
        assert _app(pilot).looking.past
        assert "FROZEN" in text_of(_app(pilot))[0]
        await _press(pilot, "space")
        assert not _app(pilot).looking.past
        assert _stretch(pilot) is None


async def test_other_views_have_the_window_and_no_stretch() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "enter")
        await _press(pilot, "2")
        assert _stretch(pilot) is None


async def test_the_wheel_magnifies_about_the_pointer_and_moves_lanes_over_their_names() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7")
        lanes = _view(pilot).lanes
        await _mouse(pilot, MouseScrollUp, 119)
        stretch = _stretch(pilot)
        assert stretch is not None
        assert stretch.end_ns == pytest.approx(lanes.lanes.window.end_ns, abs=SECOND // 20)
        await _mouse(pilot, MouseScrollDown, 119)
        assert _stretch(pilot) is None
        await _mouse(pilot, MouseScrollDown, 3)
        assert lanes.cursor.row == 1
        await _mouse(pilot, MouseScrollUp, 3)
        assert lanes.cursor.row == 0


async def test_the_mouse_takes_the_lanes_along() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "enter")
        before, lanes = _stretch(pilot), _view(pilot).lanes
        for event, column in ((MouseDown, 80), (MouseMove, 100), (MouseUp, 100)):
            await _mouse(pilot, event, column)
        after = _stretch(pilot)
        assert before is not None
        assert after is not None
        columns = len(lanes.lanes.lanes[0].busy)
        assert before.start_ns - after.start_ns == pytest.approx(20 * before.length_ns / columns, abs=2)


async def test_a_click_puts_the_cursor_and_a_second_one_magnifies() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7")
        await pilot.click(LanesView, offset=(60, 1))
        assert _view(pilot).lanes.cursor == (1, 60 - 31)
        await pilot.click(LanesView, offset=(60, 1), times=2)
        await settled(pilot)
        assert _stretch(pilot) is not None


# -- tables


async def test_s_sorts_and_a_click_on_a_heading_too() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "p")
        table = _view(pilot).query_one(KernelTable)
        seen = []
        for _ in table.SORTS:
            seen.append(table.sort)
            await _press(pilot, "s")
        assert tuple(seen) == tuple(table.SORTS)
        assert table.sort == table.SORTS[0]
        placed = next(p for p in table._placed(120) if p.column.title == "MEAN")
        await pilot.click(KernelTable, offset=(placed.at + 1, 0))
        assert table.sort == "mean"
        assert table._lines[0].use.name == OPTIMIZER


async def test_the_selection_stays_on_its_row_whatever_the_order() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "p", "end")
        table = _view(pilot).query_one(KernelTable)
        assert table.selected is not None
        assert table.selected.use.name == SOFTMAX
        assert "grid 512 block 32x32" in _text(pilot)
        await _press(pilot, "s")
        assert table.selected.use.name == SOFTMAX


async def test_enter_on_a_kernel_shows_who_launched_it() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "p", "enter")
        assert _view(pilot).page is Page.STACKS
        assert "forward (model.py:88)" in _text(pilot)
        assert "cuLaunchKernel" in _text(pilot)


async def test_enter_on_a_gap_shows_it_on_the_timeline() -> None:
    async with running((80, 24), synthetic()) as pilot:
        await _press(pilot, "7", *"ppp")
        gap = _view(pilot).query_one(GapTable).selected
        assert gap is not None
        await _press(pilot, "enter")
        view, stretch = _view(pilot), _stretch(pilot)
        assert view.page is Page.TIMELINE
        assert stretch is not None
        assert stretch.start_ns < gap.start_ns < gap.end_ns < stretch.end_ns
        assert "idle" in text_of(_app(pilot))[-3]
        assert view.lanes.lanes.lanes[view.lanes.cursor.row].key == (gap.device, Engine.ANY, 0)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)])
async def test_of_a_gpu_that_was_recorded_in_moments_the_idle_page_says_so(size: tuple[int, int]) -> None:
    async with running(size, in_moments()) as pilot:
        await _press(pilot, "7", *"ppp")
        table = _view(pilot).query_one(GapTable)
        assert {gap.device for gap in table._lines} == {1}
        assert text_row(table.shown_rows[-1]).startswith(" GPU 0 was recorded in part")
        await _press(pilot, "end")
        assert table._index == len(table._lines) - 1
        assert text_row(table.shown_rows[-2]).startswith("›"), "the note does not hide the selection"
        assert text_row(table.shown_rows[-1]).startswith(" GPU 0 was recorded in part")


async def test_where_no_gpu_was_recorded_whole_there_is_no_table_of_gaps() -> None:
    work = Work()
    work.sampled(GEMM, START_NS + SECOND, 7_000_000, 30)
    async with running((120, 40), stored([work.batch()])) as pilot:
        await _press(pilot, "7")
        assert "sampled: 1 execution drawn stands for 30" in _text(pilot)
        await _press(pilot, *"ppp")
        assert "GPU 0 was recorded in part: what it did in between is not known" in _text(pilot)
        assert "GPU 0 idle unknown" in _text(pilot)
        assert "No gap" not in _text(pilot)


async def test_gaps_are_sorted_by_length_cause_and_time() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", *"ppp")
        table = _view(pilot).query_one(GapTable)
        lengths = [gap.length_ns for gap in table._lines]
        assert lengths == sorted(lengths, reverse=True)
        await _press(pilot, "s")
        leaves = [gap.leaf for gap in table._lines if gap.leaf]
        assert leaves == sorted(leaves)
        await _press(pilot, "s")
        begins = [gap.start_ns for gap in table._lines]
        assert begins == sorted(begins)


async def test_search_narrows_the_kernels() -> None:
    async with running((120, 40), synthetic()) as pilot:
        await _press(pilot, "7", "p", "slash", *"softmax", "enter")
        table = _view(pilot).query_one(KernelTable)
        assert [row.use.name for row in table._lines] == [SOFTMAX]
        assert pilot.app.focused is table
        await _press(pilot, "escape")
        assert len(table._lines) == 4


async def test_gauges_scroll_and_say_how_much_is_below() -> None:
    async with running((80, 24), synthetic()) as pilot:
        await _press(pilot, "7", *"pppp")
        gauges = _view(pilot).query_one(GpuGauges)
        below = gauges.below
        assert f"▾ {below} rows below" in _text(pilot)
        await _press(pilot, "down", "j")
        assert gauges.below == below - 2
        await _press(pilot, "up", "k")
        assert gauges.below == below
        await _press(pilot, "pagedown")
        assert gauges.below == 0
        assert "rows below" not in _text(pilot)
        await _press(pilot, "pageup")
        assert gauges.below == below


# -- what is missing


async def test_what_the_collectors_wanted_are() -> None:
    wanted: list[frozenset[str]] = []
    async with running((80, 24), synthetic(), want=wanted.append) as pilot:
        await _press(pilot, "7")
    assert wanted[-1] == {"cpu", "gpu_kernel", "gpu_copy"}


async def test_without_work_it_is_said_how_to_have_some_and_what_is_missing_here() -> None:
    async with running((120, 40), stored([], health=WAITING), gpu=lambda: HERE) as pilot:
        await _press(pilot, "7")
        text = _text(pilot)
        assert "aperture gpu run -- python train.py" in text
        assert "aperture gpu devices" in text
        assert "--events gpu" in text
        assert "GPU driver: no GPU driver is loaded" in text
        await _press(pilot, *"pppp")
        assert "unavailable" in _text(pilot)


async def test_a_recording_without_gpu_events_says_how_to_record_them() -> None:
    async with running((120, 40), filled(), recording="old.aperture") as pilot:
        await _press(pilot, "7")
        assert "No GPU work in this recording" in _text(pilot)
        assert "--events gpu" in _text(pilot)
