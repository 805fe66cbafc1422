from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from aperture_tui.profile.latency import BUCKETS, Latency, bucket
from aperture_tui.tui.look import look
from aperture_tui.tui.model import Latencies, LatencyKey, LatencyLine
from aperture_tui.tui.palette import Palette, Spans
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.latencies import (
    SORTS,
    ColumnSet,
    LatencyTable,
    Whole,
    columns,
    heading_row,
    ordered,
)
from aperture_tui.tui.widgets.latency_columns import COLUMNS
from aperture_tui.tui.widgets.placing import table_row

MS, SECOND = 10**6, 10**9
HUGE = 2**63
WHOLE = Whole(100 * SECOND, 10_000, 10 * SECOND)


def _line(name: str = "read", count: int = 10, longest: int = MS, pid: int = 42, **more: Any) -> LatencyLine:
    """One row whose events all took as long; more: process, value, tid, outcomes, and fields of the row itself."""
    row = {key: more.pop(key) for key in ("in_flight", "recent", "holders") if key in more}
    histogram = [0] * BUCKETS
    histogram[bucket(longest)] = count
    told = Latency(
        pid,
        1,
        more.pop("process", "postgres"),
        name,
        count=count,
        time_ns=more.pop("time_ns", count * longest),
        minimum_ns=more.pop("minimum_ns", longest),
        maximum_ns=longest,
        histogram=tuple(histogram),
        **more,
    )
    return LatencyLine(LatencyKey(pid, 1, name, told.value, told.tid), told, **row)


def _going(n: int, age_ns: int, at_least: bool = False) -> Latency:
    return Latency(42, 1, "postgres", "read", count=n, time_ns=n * age_ns, maximum_ns=age_ns, at_least=at_least)


HOSTILE = [
    _line("视频\x1b[31m转码" + "x" * 300, process="\x1b]0;owned\x07\u202e" + "é" * 90, tid=4_194_303),
    _line("read", HUGE, HUGE, 2**32 - 1, value=2**64 - 1, outcomes={110: HUGE}, in_flight=_going(HUGE, HUGE)),
    _line("", 0, 0, 0, process="", time_ns=0),
    _line("kernel rwsem write mmap_lock", holders=((4_194_303, 9), (1, 1)), recent=(1e18, 0.0, 1e-9) * 20),
]


def _text(row: Spans) -> str:
    return "".join(text for text, _ in row)


def _table(
    lines: list[LatencyLine], width: int, which: ColumnSet, sort: str = "total", whole: Whole = WHOLE
) -> list[str]:
    placed = columns(width, which, sort)
    return [_text(heading_row(placed, width, sort)), *(_text(table_row(one, placed, width, whole)) for one in lines)]


# -- rows


@pytest.mark.parametrize("width", [1, 5, 12, 20, 39, 40, 41, 60, 79, 80, 120, 300])
@pytest.mark.parametrize("which", ColumnSet)
@pytest.mark.parametrize("mono", [False, True])
def test_rows_fill_every_width_whatever_is_in_them(width: int, which: ColumnSet, mono: bool) -> None:
    for sort in (*SORTS, "process", "pid", "p50", "min"):
        placed = columns(width, which, sort)
        rows = [heading_row(placed, width, sort)]
        for line in HOSTILE:
            for whole in (WHOLE, Whole(0, 0, 0, True)):
                rows.append(table_row(line, placed, width, whole._replace(mono=mono), True, True))
        for row in rows:
            assert sum(cell_len(text) for text, _ in row) == width
            assert _text(row).isprintable()


@given(st.text(max_size=40), st.text(max_size=40), st.integers(1, 130), st.sampled_from(ColumnSet))
def test_no_name_breaks_a_row(name: str, process: str, width: int, which: ColumnSet) -> None:
    for row in _table([_line(name, process=process, tid=7)], width, which):
        assert cell_len(row) == width
        assert row.isprintable()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("which", ColumnSet)
def test_the_sorted_column_is_there_and_marked(width: int, sort: str, which: ColumnSet) -> None:
    heading = _table([], width, which, sort)[0]
    title = next(column.title for column in COLUMNS[which] if column.sort == sort)
    assert f"{title}▼" in heading
    assert heading.count("▼") == 1


def test_a_row_of_system_calls() -> None:
    line = _line(count=1200, longest=2 * MS, outcomes={2: 24}, in_flight=_going(3, 40 * SECOND), recent=(1.0, 8.0, 0.0))
    row = " ".join(_table([line], 120, ColumnSet.SYSCALLS)[1].split())
    assert row == "42 postgres read 120 2.0 2.4 s ━━━━━━━━ 2.0 ms 2.0 ms 2.0 ms 3 · 40 s ▁█"
    bar = next(text for text, key in table_row(line, columns(120, ColumnSet.SYSCALLS), 120, WHOLE) if key == "track")
    assert len(bar) == 8, "2.4 of 100 s is less than half a cell of 8"


def test_a_row_of_waits_for_a_lock() -> None:
    line = _line(
        "mutex table_lock", 10, 2 * MS, outcomes={110: 3, 4: 1}, holders=((77, 5), (78, 1)), minimum_exact=True
    )
    row = " ".join(_table([line], 120, ColumnSet.LOCKS)[1].split())
    assert row == "mutex table_lock postgres 10 20 ms ━━━━━━━━ 2.0 ms 2.0 ms 2.0 ms 3 77 +1"


def test_the_unknown_is_no_zero() -> None:
    never = _table([_line(count=0, time_ns=0)], 120, ColumnSet.SYSCALLS, whole=WHOLE._replace(range_ns=0))[1]
    assert never.split() == ["42", "postgres", "read", "?", "–", "–", "━━━━━━━━", "–", "–", "–"]
    lock = _table([_line("mutex", minimum_ns=512)], 120, ColumnSet.LOCKS)[1]
    assert "mutex ?" in lock, "no address"
    assert "≥512 ns" in lock, "the lower end of its bucket"
    assert lock.rstrip().endswith("?"), "no holder was seen"


def test_a_single_failure_of_many_is_not_none() -> None:
    assert "<0.1" in _table([_line(count=10**6, outcomes={11: 1})], 120, ColumnSet.SYSCALLS)[1]


def test_a_thread_is_told_apart_however_long_its_name() -> None:
    assert "/4711" in _table([_line(process="a-very-long-process-name", tid=4711)], 40, ColumnSet.LOCKS)[1]


@pytest.mark.parametrize(("age_ns", "key"), [(SECOND, "text"), (2 * SECOND, "warning"), (11 * SECOND, "*error")])
def test_what_hangs_stands_out(age_ns: int, key: str) -> None:
    row = table_row(_line(in_flight=_going(1, age_ns)), columns(40, ColumnSet.SYSCALLS), 40, WHOLE)
    assert [k for text, k in row if "1 · " in text] == [key]


def test_an_age_from_before_we_looked_is_at_least_that() -> None:
    line = _line(in_flight=_going(1, 2 * SECOND, at_least=True))
    assert "1 · ≥2.0 s" in _table([line], 80, ColumnSet.SYSCALLS)[1]


def test_the_share_is_of_the_calls_when_they_are_what_is_sorted_by() -> None:
    line = _line(count=5000, longest=10, time_ns=0)
    placed = columns(120, ColumnSet.SYSCALLS, "calls")
    assert "OF COUNT" in _text(heading_row(placed, 120, "calls"))
    row = table_row(line, placed, 120, WHOLE._replace(by_count=True))
    assert ("━━━━", "user") in row


# -- order


def test_rows_that_are_nearly_equal_keep_their_places() -> None:
    held: dict[LatencyKey, float] = {}
    for a, b in ((100, 95), (100, 103), (96, 104), (99, 100)):
        lines = [_line("a", time_ns=a * MS), _line("b", time_ns=b * MS)]
        rows, held = ordered(lines, ColumnSet.SYSCALLS, "total", held)
        assert [row.key.name for row in rows] == ["a", "b"]
    rows, held = ordered(
        [_line("a", time_ns=100 * MS), _line("b", time_ns=120 * MS)], ColumnSet.SYSCALLS, "total", held
    )
    assert [row.key.name for row in rows] == ["b", "a"], "a real change is shown at once"


def test_equal_rows_stand_in_one_order_however_they_come() -> None:
    lines = [_line(name, pid=pid) for name in ("b", "a") for pid in (2, 1)]
    for shuffled in (lines, lines[::-1]):
        rows, _ = ordered(shuffled, ColumnSet.SYSCALLS, "total", {})
        assert [(row.key.name, row.key.pid) for row in rows] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("total", "t"), ("calls", "c"), ("errors", "e"), ("p99", "m"), ("max", "m"), ("in flight", "f"), ("name", "c")],
)
@pytest.mark.parametrize("which", ColumnSet)
def test_every_order(sort: str, first: str, which: ColumnSet) -> None:
    lines = [
        _line("t", 10, MS, time_ns=HUGE),
        _line("c", 10**6, 1000),
        _line("e", 10, 1000, outcomes={110: 9}),
        _line("m", 10, 30 * SECOND),
        _line("f", 0, 0, in_flight=_going(1, 5)),
    ]
    assert ordered(lines, which, sort, {})[0][0].key.name == first


# -- the widget


class Host(App[None]):
    """An app with nothing but the table, that notes what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.palette = Palette(look(None), Colours.RGB)
        self.table = LatencyTable()
        self.said: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_latency_table_selected(self, message: LatencyTable.Selected) -> None:
        self.said.append(("selected", message.key.name))

    def on_latency_table_chosen(self, message: LatencyTable.Chosen) -> None:
        self.said.append(("chosen", message.key.name))

    def show(self, *lines: LatencyLine, which: ColumnSet = ColumnSet.SYSCALLS) -> None:
        self.table.show(Latencies(lines, 100 * SECOND, 1000), 10 * SECOND, which)

    @property
    def names(self) -> list[str]:
        return [line.key.name for line in self.table._lines]

    def row(self, y: int) -> str:
        return _text(self.table.shown_rows[y])


A, B, C, D = (_line(name, time_ns=n * SECOND) for name, n in (("a", 40), ("b", 30), ("c", 20), ("d", 10)))


@asynccontextmanager
async def _shown(*lines: LatencyLine, size: tuple[int, int] = (120, 10)) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    host = Host()
    async with host.run_test(size=size) as pilot:
        host.table.focus()
        host.show(*lines)
        await pilot.pause()
        yield host, pilot


async def test_the_selection_follows_the_call_not_the_row() -> None:
    async with _shown(A, B, C) as (host, pilot):
        await pilot.press("down")
        assert host.said == [("selected", "a"), ("selected", "b")]
        host.show(_line("b", time_ns=99 * SECOND), A, C)
        await pilot.pause()
        assert host.names == ["b", "a", "c"]
        assert host.table.selected is not None
        assert host.table.selected.key.name == "b"
        assert host.row(1).startswith("›")
        assert len(host.said) == 2, "it is still the same"


async def test_until_one_is_selected_it_is_the_first() -> None:
    async with _shown(A, B) as (host, pilot):
        host.show(A, _line("b", time_ns=99 * SECOND))
        await pilot.pause()
        assert host.said == [("selected", "a"), ("selected", "b")]


async def test_a_selected_row_that_is_gone_comes_back() -> None:
    async with _shown(A, B, C, D) as (host, pilot):
        await pilot.press("j", "j")
        host.show(A, B, D)
        await pilot.pause()
        assert host.said[-1] == ("selected", "d"), "what stands in its place"
        host.show(A)
        await pilot.pause()
        assert host.said[-1] == ("selected", "a")
        host.show()
        await pilot.pause()
        assert host.table.selected is None
        assert "no system calls in view" in host.row(1)
        host.show(A, B, C, D)
        await pilot.pause()
        assert host.said[-1] == ("selected", "c")


async def test_an_empty_table_takes_every_key() -> None:
    async with _shown() as (host, pilot):
        await pilot.press("up", "k", "down", "j", "home", "end", "pageup", "pagedown", "enter", "s")
        await pilot.click(LatencyTable, offset=(5, 3))
        assert host.said == []
        host.show(which=ColumnSet.LOCKS)
        assert "no waits for locks in view" in host.row(1)


async def test_the_keys_move_and_choose() -> None:
    async with _shown(A, B, C, D, size=(80, 4)) as (host, pilot):
        await pilot.press("end")
        assert [host.row(y)[1:].split()[2] for y in range(1, 4)] == ["b", "c", "d"], "scrolled into view"
        await pilot.press("pageup", "enter", "home", "up")
        assert host.said[1:] == [("selected", "d"), ("selected", "b"), ("chosen", "b"), ("selected", "a")]


async def test_the_mouse_selects_chooses_and_sorts() -> None:
    async with _shown(A, B, C) as (host, pilot):
        await pilot.click(LatencyTable, offset=(20, 2))
        assert host.said[-1] == ("selected", "b")
        await pilot.click(LatencyTable, offset=(20, 3), times=2)
        assert host.said[-2:] == [("selected", "c"), ("chosen", "c")]
        host.table.on_mouse_scroll_up()
        await pilot.pause()
        assert host.said[-1] == ("selected", "b")
        for title in ("CALLS/S", "SYSCALL", "PROCESS"):
            await pilot.click(LatencyTable, offset=(host.row(0).index(title) + 1, 0))
            assert f"{title}▼" in host.row(0)
        before = host.row(0)
        await pilot.click(LatencyTable, offset=(before.index("RECENT") + 1, 0))
        assert host.row(0) == before, "a picture is nothing to sort by"
        assert host.said[-1] == ("selected", "b"), "sorting selects nothing else"


async def test_sorting_goes_round() -> None:
    async with _shown(A, B, size=(40, 5)) as (host, pilot):
        seen = []
        for _ in SORTS:
            seen.append(host.table.sort)
            assert "▼" in host.row(0)
            await pilot.press("s")
        assert tuple(seen) == SORTS
        assert host.table.sort == SORTS[0]
        with pytest.raises(ValueError, match="no column"):
            host.table.sort_by("colour")


async def test_an_order_that_the_other_table_lacks_becomes_the_total() -> None:
    async with _shown(A, B) as (host, _):
        host.table.sort_by("p50")
        host.show(A, B, which=ColumnSet.LOCKS)
        assert host.table.sort == "total"
        assert "TOTAL▼" in host.row(0)


async def test_a_refresh_paints_only_the_rows_that_differ() -> None:
    async with _shown(A, B, C) as (host, pilot):
        before = host.table.repainted
        host.show(A, B, C)
        await pilot.pause()
        assert host.table.repainted == before
        host.show(A, B, _line("c", time_ns=19 * SECOND))
        assert host.table.repainted == before + 1
