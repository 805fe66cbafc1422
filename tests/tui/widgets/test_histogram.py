from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.tui.look import look
from aperture_tui.tui.palette import Palette, Spans
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.histogram import (
    HistogramView,
    bucket_at,
    bucket_label,
    error_words,
    exactly,
    histogram_rows,
    kept,
    title_row,
)

MS = 10**6


def _latency(counts: dict[int, int], **more: Any) -> Latency:
    """With so many in each bucket."""
    histogram = tuple(counts.get(i, 0) for i in range(BUCKETS))
    filled = sorted(counts) or [0]
    more = {"minimum_ns": 2 ** filled[0], "maximum_ns": 2 ** (filled[-1] + 1) - 1, **more}
    return Latency(42, 1, "postgres", "read", count=sum(histogram), histogram=histogram, **more)


READS = _latency(
    {9: 120, 10: 12_300, 11: 8_000, 12: 4_000, 13: 900, 14: 30, 15: 2, 19: 7, 24: 41, 25: 1},
    time_ns=12 * 10**9,
    maximum_ns=37 * MS,
    outcomes={2: 1200, 11: 5, 512: 3, 4000: 1},
)


def _texts(rows: list[Spans]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def _shown(latency: Latency | None, width: int, height: int, mono: bool = False) -> list[str]:
    return [text.rstrip() for text in _texts(histogram_rows(latency, width, height, mono))]


@given(
    st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(0, 2**63), max_size=BUCKETS),
    st.dictionaries(st.integers(1, 600), st.integers(1, 2**63), max_size=12),
    st.integers(1, 200),
    st.integers(0, 50),
    st.booleans(),
)
def test_any_histogram_fits_any_room(
    counts: dict[int, int], outcomes: dict[int, int], width: int, height: int, mono: bool
) -> None:
    rows = _texts(histogram_rows(_latency(counts, outcomes=outcomes, time_ns=2**63), width, height, mono))
    assert len(rows) <= height
    assert {cell_len(row) for row in rows} <= {width}
    assert bool(rows) == bool(height)


def test_a_row_for_each_bucket() -> None:
    latency = _latency({9: 100, 10: 800, 12: 99, 13: 1}, outcomes={2: 1200, 11: 5})
    assert _shown(latency, 60, 20) == [
        " 512 ns–1 µs ██▉                       100   10 %",
        "      1–2 µs ███████████████████████   800   80 %  ◂ p50 p90",
        "    2–4.1 µs                             0",
        "  4.1–8.2 µs ██▉                        99  9.9 %  ◂ p99",
        "   8.2–16 µs ▏                           1  0.1 %  ◂ max",
        " p50 ~1.4 µs  p90 ~2.0 µs  p99 ~7.7 µs  max 16 µs",
        " ENOENT 1.2k, EAGAIN 5",
    ]


def test_quantiles_in_one_bucket_share_its_mark() -> None:
    assert _shown(_latency({10: 7}), 80, 8)[0].endswith("◂ p50 p90 p99 max")


def test_a_single_slow_call_among_a_million_can_be_seen() -> None:
    latency = _latency({10: 10**6, 30: 1})
    slow = next(row for row in _shown(latency, 80, 30) if "1.1–2.1 s" in row)
    assert slow.split()[2:] == ["▏", "1", "<0.1", "%", "◂", "max"]
    assert "▌" in next(row for row in _shown(latency, 80, 30, mono=True) if "1.1–2.1 s" in row)


def test_empty_buckets_share_a_row_before_any_is_left_out() -> None:
    rows = _shown(READS, 60, 14)
    assert len(rows) == 14
    assert [row.split()[-1] for row in rows if "66–524 µs" in row] == ["0"]
    assert "17–34 ms" in rows[10]
    assert not any("not shown" in row for row in rows)


def test_what_is_left_out_is_said() -> None:
    assert [row for row in _shown(READS, 60, 10) if "not shown" in row] == [" … not shown: 49 longer (0.2 %)"]
    both = _shown(_latency({i: 1000 - abs(i - 20) for i in range(12, 29)}), 80, 8)
    assert [row for row in both if "not shown" in row] == [" … not shown: 5.97k shorter (35 %), 4.97k longer (29 %)"]


@given(st.lists(st.integers(0, 50), min_size=BUCKETS, max_size=BUCKETS).filter(any), st.integers(1, 50))
def test_what_is_kept_and_what_is_left_out_are_all(counts: list[int], room: int) -> None:
    rows, cut = kept(counts, room)
    assert len(rows) <= max(1, room - cut)
    assert all(a.stop == b.start for a, b in pairwise(rows)), "no gap between rows"
    outside = sum(counts[: rows[0].start]) + sum(counts[rows[-1].stop :])
    assert bool(outside) == cut
    assert all(len(row) == 1 or not any(counts[i] for i in row) for row in rows), "only empty buckets share a row"


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (1, [" ▁█▅▃▁▁▁   ▁    ▁▁ 512 ns … 67 ms p50 ~2.1 µs  p99 ~14 µs  max 37 ms"]),
        (2, [" ▁█▅▃▁▁▁   ▁    ▁▁ 512 ns … 67 ms", " p50 ~2.1 µs  p90 ~6.3 µs  p99 ~14 µs  max 37 ms"]),
        (
            4,
            [
                "  █▂",
                " ▁██▅▁▁▁   ▁    ▁▁ 512 ns … 67 ms",
                " p50 ~2.1 µs  p90 ~6.3 µs  p99 ~14 µs  max 37 ms",
                " ENOENT 1.2k, EAGAIN 5, ERESTARTSYS 3, errno 4000 1",
            ],
        ),
    ],
)
def test_with_little_height_there_are_columns(height: int, expected: list[str]) -> None:
    assert _shown(READS, 78, height) == expected


@pytest.mark.parametrize("height", [8, 10, 14, 30])
def test_the_bucket_of_a_row_is_the_one_that_its_label_names(height: int) -> None:
    for y, row in enumerate(_shown(READS, 78, height)):
        found = bucket_at(READS, (78, height), (5, y))
        drawn = bool(set(row) & set("▏▎▍▌▋▊▉█"))
        assert (found is not None) == drawn, "an empty bucket has none, nor have the quantiles"
        if found is not None:
            assert row.strip().startswith(f"{bucket_label(range(found, found + 1))} ")


@pytest.mark.parametrize("height", [1, 2, 4])
def test_the_bucket_of_a_column_is_the_one_that_stands_there(height: int) -> None:
    rows = _shown(READS, 78, height)
    last = next(y for y, row in enumerate(rows) if "512 ns" in row)
    found = [bucket_at(READS, (78, height), (x, last)) for x in range(78)]
    assert [i for i in found if i is not None] == [i for i, n in enumerate(READS.histogram) if n]
    assert [rows[last][x] != " " for x in range(18)] == [one is not None for one in found[:18]]
    assert bucket_at(READS, (78, height), (2, last + 1)) is None


@pytest.mark.parametrize(("width", "height"), [(80, 1), (40, 1), (24, 1), (24, 2), (40, 12), (24, 20)])
def test_the_longest_is_always_told(width: int, height: int) -> None:
    assert any("max 37 ms" in row for row in _shown(READS, width, height))


def test_nothing_selected_and_nothing_ended_are_two_things() -> None:
    assert _shown(None, 60, 8) == [" nothing is selected"]
    assert _shown(_latency({}), 60, 8) == [" nothing has ended in view"]


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [(0, "< 2 ns"), (1, "2–4 ns"), (9, "512 ns–1 µs"), (20, "1–2.1 ms"), (30, "1.1–2.1 s"), (BUCKETS - 1, "≥ 2.4 h")],
)
def test_a_bucket_says_what_is_in_it(bucket: int, expected: str) -> None:
    assert bucket_label(range(bucket, bucket + 1)) == expected


def test_errors_have_names_and_none_is_forgotten() -> None:
    outcomes = {2: 1234, 11: 5, 110: 7, 512: 1, 4000: 1}
    assert error_words(outcomes) == "ENOENT 1.23k, ETIMEDOUT 7, EAGAIN 5, ERESTARTSYS 1, errno 4000 1"
    assert error_words(outcomes, 40) == "ENOENT 1.23k, ETIMEDOUT 7, 3 others 7"
    assert error_words(outcomes, 12) == "1.25k errors"


def test_the_title_is_safe_and_fits() -> None:
    for width in (1, 20, 40, 80):
        row = title_row(READS, "read of \x1b[2J视频" + "x" * 90, width)
        assert sum(cell_len(text) for text, _ in row) == width
        assert "\x1b" not in _texts([row])[0]
    assert _texts([title_row(READS, "read", 60)])[0].rstrip() == " read  25.4k · 12 s in all · 472 µs mean"
    assert _texts([title_row(_latency({}), "read", 60)])[0].rstrip() == " read  0 · 0 ns in all · – mean"


def test_a_row_is_cut_in_the_middle_of_a_wide_character() -> None:
    assert "".join(text for text, _ in exactly([("ab视频", "text")], 4)) == "ab… "


async def test_the_widget_shows_title_and_histogram_and_fits_its_size() -> None:
    class Host(App[None]):
        palette = Palette(look(None), Colours.MONO)

        def compose(self) -> ComposeResult:
            yield HistogramView()

    host = Host()
    async with host.run_test(size=(60, 8)) as pilot:
        view = host.query_one(HistogramView)
        view.show(READS, "read of postgres")
        await pilot.pause()
        assert _texts(list(view.shown_rows))[0].startswith(" read of postgres")
        assert len(view.shown_rows) <= 8
        await pilot.resize_terminal(30, 1)
        for _ in range(200):
            if view.size == (30, 1) and len(view.shown_rows) == 1:  # it has heard of it
                break
            await pilot.pause(0.01)
        assert [cell_len(row) for row in _texts(list(view.shown_rows))] == [30]
        view.show(None, "")
        assert "nothing is selected" in _texts(list(view.shown_rows))[0]
