from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from aperture_tui.filters.told import ChainState, Standing
from aperture_tui.profile.health import Health, State
from aperture_tui.tui.filter_words import chip, chip_of_others
from aperture_tui.tui.widgets.header import Chip, Heading, header_row
from tests.tui.filters import FILTERS, STILL, told

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


def test_a_range_that_was_chosen_is_said_with_both_ends_or_at_least_its_length() -> None:
    heading = Heading(
        views=VIEWS,
        current="CPU",
        window_s=26.0,
        range_ns=26 * 10**9,
        between=("14:02:11 to 14:02:37, 26 s", "26 s"),
        amount="5 samples",
        frozen="14:02:37",
    )
    wide, narrow = ("".join(text for text, _ in header_row(heading, width)) for width in (120, 40))
    assert "14:02:11 to 14:02:37, 26 s" in wide
    assert "last" not in wide
    assert "14:02:11" not in narrow
    assert "26 s" in narrow
    assert "FROZEN 14:02:37" in narrow


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


# -- filters


def _chip(state: ChainState, dropped: float | None = 0.34) -> Chip:
    return chip(state, dropped)


@pytest.mark.parametrize("width", [*range(1, 60), 80, 120, 200])
@pytest.mark.parametrize("dropped", [None, 0.34])
def test_with_filters_it_is_one_row_of_any_width(width: int, dropped: float | None) -> None:
    heading = replace(FULL, filtered=_chip(STILL, dropped))
    assert cell_len(_text(heading, width)) == width


def test_that_something_is_missing_is_said_in_every_width() -> None:
    good = replace(STILL, filters=FILTERS[:3])
    heading = Heading(
        views=FIVE, current="Overview", window_s=30.0, range_ns=30 * 10**9, amount="5 samples", filtered=_chip(good)
    )
    assert "filters drop 34 %" in _text(heading, 120)
    assert "1 Overview  2 CPU  3 Syscalls  4 Locks  5 Off-CPU" in _text(heading, 120)
    for width in (30, 40, 60, 80):
        assert "drop 34 %" in _text(heading, width)
    assert "last 30 s" in _text(heading, 80)
    frozen = _text(replace(heading, frozen="12:03:04"), 40)
    assert "FROZEN 12:03:04" in frozen
    assert "drop 34 %" in frozen


def test_a_filter_that_failed_is_said_on_every_view() -> None:
    assert _chip(STILL).full == "! 2 of 7 filters failed, drop 34 %"
    assert _chip(STILL).short == "! drop 34 %"
    stopped = told("mine", standing=Standing.STOPPED, reason="why")
    assert _chip(replace(STILL, filters=(stopped,))).full == "! filter mine failed, nothing passes"
    assert _chip(replace(STILL, failure="ZeroDivisionError: oh")).full == "! the filters crashed, nothing passes"


def test_with_no_events_now_it_says_what_was_or_that_filters_are_at_work() -> None:
    good = replace(STILL, filters=FILTERS[:3])
    assert _chip(good, None).full == "filters dropped 75 %"
    assert _chip(replace(good, events_in=0, events_out=0), None)[:2] == ("filters at work", "filtered")
    off = replace(good, filters=tuple(replace(one, on=False) for one in good.filters))
    assert _chip(off, None)[:2] == ("filters are off", "filters off")
    assert chip(None, None).full == ""


def test_filters_of_those_who_recorded_or_pushed_are_said_too() -> None:
    health = [Health("cpu", State.RUNNING), Health("filter mine", State.STOPPED, "takes away 3 of 4 events")]
    assert chip_of_others(health, agents=False)[:2] == ("filtered by who recorded", "filtered")
    assert chip_of_others(health, agents=True).full == "filtered by agents"
    assert chip_of_others(health[:1], agents=True).full == ""


def test_that_the_line_is_slow_is_said_on_every_width() -> None:
    for width in (40, 60, 80, 200):
        assert "slow line: 1 Hz" in _text(replace(FULL, starting="", slow="slow line: 1 Hz"), width)
