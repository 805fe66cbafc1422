from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.health import State
from aperture_tui.tui.widgets.header import Heading, header_row

VIEWS = (("1", "Overview"), ("2", "CPU"))
FULL = Heading(
    views=VIEWS, current="CPU", host="build-7", pinned="pid 123, cgroup /sys/x", process="postgres (1001)",
    window_s=30.0, range_ns=30 * 10**9,
    amount="12,345 samples", frozen="12:03:04", starting="⠋ compiling BPF programs 0.4 s",
)  # fmt: skip


def _text(heading: Heading, width: int) -> str:
    return "".join(text for text, _ in header_row(heading, width))


@pytest.mark.parametrize("width", [*range(1, 60), 80, 120, 200])
def test_it_is_one_row_of_any_width(width: int) -> None:
    assert cell_len(_text(FULL, width)) == width


def test_with_room_it_says_everything() -> None:
    text = _text(FULL, 200)
    for part in (
        "postgres (1001)",
        "last 30 s",
        "12,345 samples",
        "only pid 123",
        "on build-7",
        "FROZEN 12:03:04",
        "compiling",
    ):
        assert part in text


def test_without_room_frozen_stays_and_the_host_goes_first() -> None:
    heading = Heading(
        views=VIEWS,
        current="CPU",
        host="h" * 30,
        window_s=30.0,
        range_ns=30 * 10**9,
        amount="5 samples",
        frozen="1:2:3",
    )
    text = _text(heading, 80)
    assert "h" * 10 not in text
    assert "last 30 s" in text
    assert "FROZEN" in _text(heading, 40)
    assert "FROZEN" in _text(heading, 16)


def test_a_window_that_is_not_full_yet_says_so() -> None:
    heading = Heading(views=VIEWS, current="CPU", window_s=30.0, range_ns=4 * 10**9, amount="5 samples")
    assert "last 30 s (has 4.0 s)" in _text(heading, 100)
    everything = Heading(views=VIEWS, current="CPU", window_s=None, range_ns=720 * 10**9, amount="5 samples")
    assert "all 12 min" in _text(everything, 100)


FIVE = (("1", "Overview"), ("2", "CPU"), ("3", "Syscalls"), ("4", "Locks"), ("5", "Off-CPU"))


def test_the_names_of_the_other_views_give_way_to_the_window_and_the_process() -> None:
    heading = Heading(
        views=FIVE, current="Locks", process="postgres (1001)", window_s=30.0, range_ns=4 * 10**9, amount="12 waits"
    )
    assert "1 Overview  2 CPU  3 Syscalls  4 Locks  5 Off-CPU" in _text(heading, 100)
    narrow = _text(heading, 80)
    assert narrow.split()[:5] == ["1", "2", "3", "4", "Locks"]
    assert "postgres (1001)" in narrow
    assert "last 30 s (has 4.0 s)" in narrow
    assert "4.0 s of 30 s" in _text(heading, 56), "the same in fewer cells"


def test_the_collectors_shrink_first() -> None:
    states = (("cpu", State.RUNNING), ("syscall", State.RUNNING), ("offcpu", State.STARTING), ("lock", State.FAILED))
    heading = Heading(views=VIEWS, current="CPU", host="build-7", window_s=30.0, amount="5 samples", collectors=states)
    assert "● cpu syscall ○ offcpu ! lock" in _text(heading, 120)
    assert "● cpu sys ○ off ! lock" in _text(heading, 88)
    narrow = _text(heading, 75)
    assert "cpu" not in narrow
    assert "on build-7" in narrow
