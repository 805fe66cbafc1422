from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.model import Box, Unit
from aperture_tui.tui.widgets.details import detail_rows

BOX = Box(0, 9, 0, make_label("ns::run<int>(long)", "libx.so", "/src/x.cc", 42, FrameKind.NATIVE), 250, 50)
PARENT = Box(0, 9, 0, make_label("main", "x", "", 0, FrameKind.NATIVE), 500, 0)


def _texts(width: int, height: int, below: int = 0) -> list[str]:
    return ["".join(text for text, _ in row) for row in detail_rows(BOX, PARENT, 1000, width, height, below)]


def test_everything_that_is_known() -> None:
    name, numbers = _texts(110, 2)
    assert name.strip() == "ns::run<int>(long)"
    assert " ".join(numbers.split("│")[0].split()) == "25.0 % of view 250 samples 50 self 50.0 % of parent"
    assert numbers.split("│")[1].split() == ["native", "libx.so", "/src/x.cc:42"]


def test_weights_that_are_times_are_told_as_times() -> None:
    rows = detail_rows(BOX, PARENT, 1000, 110, 2, unit=Unit("off-CPU", timed=True))
    numbers = "".join(text for text, _ in rows[1]).split("│")[0]
    assert " ".join(numbers.split()) == "25.0 % of view 250 ns off-CPU 50 ns self 50.0 % of parent"


def test_a_narrow_row_keeps_the_name_and_the_share() -> None:
    (row,) = _texts(40, 1, below=7)
    assert "ns::run" in row
    assert "25.0 %" in row
    assert "▾ 7 below" in row


@pytest.mark.parametrize("width", range(1, 100, 9))
@pytest.mark.parametrize("height", [1, 2, 3])
def test_rows_fill_every_size(width: int, height: int) -> None:
    for below in (0, 12):
        rows = _texts(width, height, below)
        assert [cell_len(row) for row in rows] == [width] * height
    assert len(detail_rows(None, None, 0, width, height)) == height
