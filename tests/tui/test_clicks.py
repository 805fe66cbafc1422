"""What a click or the wheel does on parts of the screens that are no tables: the same as a key, where it points at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.events import MouseScrollDown
from textual.pilot import Pilot

from aperture_tui.profile.where import EVERYTHING, Bound, parse
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.gpu.gauges import GpuGauges
from aperture_tui.tui.widgets.histogram import HistogramView, bucket_bounds
from aperture_tui.tui.widgets.latencies import LatencyTable
from aperture_tui.tui.widgets.wall import WallBar
from aperture_tui.tui.widgets.where_line import WhereInput
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import running, settled, text_of
from tests.tui.waiting import filled


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No history but that of the test, and no two clicks are one double click, however soon they come."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(ApertureApp, "CLICK_CHAIN_TIME_THRESHOLD", 0.0)


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await settled(pilot)


async def _click(pilot: Pilot[Any], part: Any, x: int, y: int) -> None:
    await pilot.click(part, offset=(x, y))
    await settled(pilot)


def _rows(pilot: Pilot[Any], part: Any) -> list[str]:
    rows = pilot.app.screen.query_one(part).shown_rows
    return ["".join(text for text, _ in row) for row in rows]


# -- the bar of states


async def test_a_click_at_a_cause_in_the_bars_legend_looks_at_it_alone_and_again_at_all() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5")
        for word, x in (("futex", 3), ("read (disk)", 5)):
            y, row = next((y, row) for y, row in enumerate(_rows(pilot, WallBar)) if word in row)
            await _click(pilot, WallBar, row.index(word) + x, y)
            assert _app(pilot).looking.where == parse(f'name:"{word}"')
            snapshot = _app(pilot).snapshot
            assert snapshot is not None
            assert snapshot.wall is not None
            assert {part.name for part in snapshot.wall.parts} == {"on-CPU", word}
            y, row = next((y, row) for y, row in enumerate(_rows(pilot, WallBar)) if word in row)
            await _click(pilot, WallBar, row.index(word) + x, y)
            assert _app(pilot).looking.where == EVERYTHING


async def test_a_double_click_is_no_click_and_another_that_takes_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApertureApp, "CLICK_CHAIN_TIME_THRESHOLD", 1e6)
    only = parse("comm:java")  # of one cause, which stays where it is
    async with running((160, 40), filled(), where=only) as pilot:
        await _press(pilot, "5")
        y, row = next((y, row) for y, row in enumerate(_rows(pilot, WallBar)) if "futex" in row)
        await pilot.click(WallBar, offset=(row.index("futex"), y), times=2)
        await settled(pilot)
        assert _app(pilot).looking.where == parse("comm:java name:futex")
        await _press(pilot, "escape", "3")
        await pilot.click(HistogramView, offset=(4, 1), times=2)  # the first bucket, which will be the only one
        await settled(pilot)
        assert len(_app(pilot).looking.where.terms) == 2


async def test_a_click_at_a_part_of_the_bar_itself_does_the_same_beside_what_is_filtered_already() -> None:
    async with running((120, 40), filled(), where=parse("comm:postgres")) as pilot:
        await _press(pilot, "5")
        colours = [key for text, key in pilot.app.screen.query_one(WallBar).shown_rows[0] for _ in text]
        await _click(pilot, WallBar, colours.index("iowait"), 0)
        assert _app(pilot).looking.where == parse("comm:postgres name:runnable")
        await _press(pilot, "escape")
        assert _app(pilot).looking.where == EVERYTHING


async def test_a_click_at_what_is_no_single_cause_is_none() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5")
        y, row = next((y, row) for y, row in enumerate(_rows(pilot, WallBar)) if "other (" in row)
        for x in (row.index("other ("), row.index("of what was measured"), 119):
            await _click(pilot, WallBar, x, y)
        assert _app(pilot).looking.where == EVERYTHING


async def test_a_click_at_the_time_on_the_cpu_goes_to_its_view() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5")
        await _click(pilot, WallBar, 0, 0)
        assert (_app(pilot).current_mode, _app(pilot).looking.where) == ("cpu", EVERYTHING)


async def test_what_cannot_be_said_in_the_filter_line_is_told() -> None:
    """A line that is full already."""
    full = parse(" ".join(f"-fn:f{i}" for i in range(24)))
    async with running((120, 40), filled(), where=full) as pilot:
        await _press(pilot, "5")
        y, row = next((y, row) for y, row in enumerate(_rows(pilot, WallBar)) if "futex" in row)
        await _click(pilot, WallBar, row.index("futex"), y)
        assert _app(pilot).looking.where == full
        assert [one.message for one in _app(pilot)._notifications] == ["the filter line: more than 24 terms"]


# -- the histogram


async def test_a_click_at_a_bucket_looks_at_what_took_as_long_and_again_at_all() -> None:
    async with running((160, 40), filled()) as pilot:
        await _press(pilot, "3")
        table = pilot.app.screen.query_one(LatencyTable)
        line = table.selected
        assert line is not None
        rows = _rows(pilot, HistogramView)
        y = next(y for y, row in enumerate(rows) if "◂ p50" in row)
        bucket = next(i for i, n in enumerate(line.told.histogram) if n and line.told.quantile(0.5) < 2 << i)
        await _click(pilot, HistogramView, 4, y)
        where = _app(pilot).looking.where
        assert where.terms == (Bound(">=", 1 << bucket), Bound("<", 2 << bucket))
        now = table.selected
        assert now is not None
        assert now.key == line.key
        assert [i for i, n in enumerate(now.told.histogram) if n] == [bucket]
        assert now.told.histogram[bucket] == line.told.histogram[bucket], "all of it, and nothing else"
        y = next(y for y, row in enumerate(_rows(pilot, HistogramView)) if "◂ p50" in row)
        await _click(pilot, HistogramView, 4, y)
        assert _app(pilot).looking.where == EVERYTHING
        for other in (0, len(rows) - 1):
            await _click(pilot, HistogramView, 4, other)
            assert _app(pilot).looking.where == EVERYTHING, "its title and its quantiles are no buckets"


def test_the_ends_of_the_histogram_are_open() -> None:
    assert bucket_bounds(0) == (Bound("<", 2),)
    assert bucket_bounds(43) == (Bound(">=", 1 << 43),)


# -- the header


async def test_a_click_at_the_filter_line_in_the_header_changes_it() -> None:
    async with running((120, 40), filled(), where=parse("comm:postgres")) as pilot:
        await _click(pilot, "#header", text_of(_app(pilot))[0].index("comm:postgres"), 0)
        field = pilot.app.screen.query_one(WhereInput)
        assert (field.value, pilot.app.focused) == ("comm:postgres", field)


async def test_a_click_at_the_blanks_of_the_header_is_none() -> None:
    async with running((120, 40), filled()) as pilot:
        row = text_of(_app(pilot))[0]
        for x in (row.index("last") - 1, row.index("on build-7") - 1, 119):
            await _click(pilot, "#header", x, 0)
        assert not pilot.app.screen.query(WhereInput)
        assert not _app(pilot).looking.past


async def test_a_click_at_frozen_lets_time_go_on() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "space")
        assert _app(pilot).looking.past
        await _click(pilot, "#header", text_of(_app(pilot))[0].index("FROZEN") + 2, 0)
        assert not _app(pilot).looking.past


# -- the wheel


async def test_the_wheel_scrolls_the_gauges_of_gpus() -> None:
    async with running((80, 14), synthetic()) as pilot:
        await _press(pilot, "7", *"pppp")
        gauges = pilot.app.screen.query_one(GpuGauges)
        assert gauges.below > 0
        before = gauges.below
        await pilot._post_mouse_events([MouseScrollDown], GpuGauges, (5, 2))
        await settled(pilot)
        assert gauges.below < before
