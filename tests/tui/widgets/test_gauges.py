from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.profile.host import HostSample
from aperture_tui.profile.query import Query
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.widgets.gauges import bar, gauge_rows, history, resampled
from tests.tui.synthetic import SyntheticStore

SAMPLES = SyntheticStore().gauges(Query())


def _texts(rows: list[Spans]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


@given(st.lists(st.floats(-0.5, 1.5), max_size=4), st.integers(0, 50), st.booleans())
def test_a_bar_is_as_long_as_it_should_be_whatever_is_in_it(shares: list[float], width: int, mono: bool) -> None:
    parts = [(share, name) for share, name in zip(shares, ("user", "system", "iowait", "steal"), strict=False)]
    assert sum(cell_len(text) for text, _ in bar(parts, width, mono)) == width


def test_a_bar_is_filled_to_half_a_cell() -> None:
    parts = [(0.5, "user"), (0.25, "system")]
    assert bar(parts, 10) == [("━━━━━", "user"), ("━━", "system"), ("╸", "system"), ("━━", "track")]
    assert bar(parts, 10, mono=True) == [("[||||##  ]", "text")]


def test_a_curve_fills_from_the_ground_and_leaves_the_unknown_blank() -> None:
    assert history([0.0, 0.5, 1.0, None], 4, 1) == ["▁▄█ "]
    assert history([0.0, 0.75, 1.0, 0.5], 4, 2) == [" ▄█ ", "▁███"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=200), st.integers(1, 60), st.integers(1, 5))
def test_any_history_fits(values: list[float | None], width: int, height: int) -> None:
    assert len(resampled(values, width)) == width
    assert [len(row) for row in history(values, width, height)] == [width] * height


@pytest.mark.parametrize("width", [20, 40, 60, 80, 99, 100, 140, 300])
@pytest.mark.parametrize("height", [1, 3, 4])
@pytest.mark.parametrize("mono", [False, True])
def test_gauges_fit_every_screen(width: int, height: int, mono: bool) -> None:
    rows = gauge_rows(SAMPLES, width, height, mono)
    assert len(rows) == height
    assert {cell_len(text) for text in _texts(rows)} == {width}


def test_unknown_readings_are_question_marks() -> None:
    rows = _texts(gauge_rows([HostSample(1)], 80, 4))
    assert all("?" in row for row in rows)
    assert _texts(gauge_rows([], 80, 4))[0].strip() == "no readings of the host in view"


def test_a_machine_without_swap_says_none() -> None:
    rows = _texts(gauge_rows([HostSample(1, swap_total_bytes=0, swap_used_bytes=0)], 80, 4))
    assert rows[2].split() == ["Swap", "none"]


def test_the_parts_of_the_cpu_are_named() -> None:
    assert {"user", "system", "iowait"} <= set(_texts(gauge_rows(SAMPLES, 90, 4))[0].split())
