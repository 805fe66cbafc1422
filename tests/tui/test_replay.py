"""The screens over a recording: time that is played, stepped through and jumped in, and what is said of it."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.store.base import Span
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.gpu.words import no_work
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.playhead import Playhead
from aperture_tui.tui.screens.panel import Panel
from aperture_tui.tui.screens.words import nothing_yet
from aperture_tui.tui.widgets.keys import live_keys
from aperture_tui.tui.widgets.time_line import TimeLine
from aperture_tui.tui.widgets.time_prompt import TimePrompt
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import SECOND, START_NS, SyntheticStore
from tests.tui.waiting import RUNNING, SYSCALLS, filled

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
END_NS = START_NS + 60 * SECOND
BACK, ON = ["comma", "less_than_sign", "left_curly_bracket"], ["full_stop", "greater_than_sign", "right_curly_bracket"]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def replaying(
    size: tuple[int, int] = (120, 40), store: Any = None, clock: Clock | None = None
) -> AbstractAsyncContextManager[Pilot[None]]:
    """The screens over a minute of synthetic samples, or over another store."""
    return running(size, store or SyntheticStore(), recording="busy.aperture", clock=clock or Clock(), refresh_hz=20)


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


def _seconds(pilot: Pilot[Any]) -> float:
    """What is looked at, from the start of the recording."""
    return (_app(pilot).looking.time.place(_app(pilot).held) - START_NS) / SECOND


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if key.isdigit() and not pilot.app.screen.query(TimePrompt):
            await settled(pilot)
    await settled(pilot)


# -- pictures


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("overview", []),
        ("middle", ["2", "less_than_sign", "less_than_sign", "comma"]),
        ("go-to", ["2", "g", *"22:13:50"]),
        ("help", ["question_mark"]),
    ],
)
@SIZES
async def test_pictures(name: str, keys: list[str], size: tuple[int, int]) -> None:
    async with replaying(size) as pilot:
        await _press(pilot, *keys)
        assert_golden(f"replay-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@SIZES
async def test_a_kind_that_was_not_recorded_is_said_with_what_records_it(size: tuple[int, int]) -> None:
    async with replaying(size, filled(SYSCALLS, health=RUNNING[:2])) as pilot:
        await _press(pilot, "4")
        assert_golden(f"replay-not-recorded-{size[0]}x{size[1]}", text_of(_app(pilot)))
        await _press(pilot, "3")
        assert "Such events were not collected" not in _screen(pilot)


async def test_without_colours_the_line_of_time_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with replaying((80, 24)) as pilot:
        assert text_of(_app(pilot))[1].isascii()
        assert "|| 1x" in text_of(_app(pilot))[1]


# -- opening


async def test_it_opens_at_the_last_window_and_stands_still() -> None:
    async with replaying() as pilot:
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        assert (snapshot.end_ns, snapshot.range_ns) == (END_NS, 30 * SECOND)
        assert not _app(pilot).looking.time.plays
        first = text_of(_app(pilot))[1]
        for words in ("▮▮ 1x", "2023-11-14 22:14:20 UTC", "1:00 / 1:00", "replay busy.aperture on build-7"):
            assert words in first


async def test_nothing_pretends_to_be_live() -> None:
    async with replaying((200, 40)) as pilot:
        rows = text_of(_app(pilot))
        assert "●" not in rows[0], "no collector runs"
        assert "last 30 s" not in rows[0]
        assert "recorder CPU 0.4 %" in rows[-2]
        assert "lag" not in rows[-2]
        await pilot.press("exclamation_mark")
        assert "as the recording has it" in _screen(pilot)
        assert "cpu: running" not in _screen(pilot)


async def test_what_cannot_be_read_stands_first() -> None:
    store = filled(health=(*RUNNING, Health("recording", State.STOPPED, "the end is cut off (37 bytes)")))
    async with replaying((80, 24), store) as pilot:
        assert text_of(_app(pilot))[-2].startswith(" ! recording the end is cut off (37 bytes)")
    store = filled(health=(*RUNNING, Health("recording", State.STOPPED, "", lost={"damaged blocks": 2})))
    async with replaying((40, 10), store) as pilot:
        assert text_of(_app(pilot))[-2].startswith(" ! recording lost 2")


async def test_a_collector_that_was_starting_at_the_end_is_not_waited_for() -> None:
    states = (RUNNING[0], Health("lock", State.STARTING, "compiling BPF programs…"))
    async with replaying((120, 40), filled((), health=states)) as pilot:
        await _press(pilot, "4")
        assert "compiling" not in text_of(_app(pilot))[0]
        assert "record them with --events lock" in _screen(pilot)
        assert not _app(pilot)._is_waiting


@pytest.mark.parametrize("size", [(80, 24), (20, 5)], ids=str)
async def test_what_cannot_be_opened_ends_it_with_the_reason(size: tuple[int, int]) -> None:
    def fail() -> Any:
        raise RuntimeError("x.aperture: not a recording of aperture")

    app = ApertureApp(fail, recording="x.aperture")
    async with app.run_test(size=size) as pilot:
        for _ in range(200):
            if app._exit:
                break
            await pilot.pause(0.01)
    assert (app.failure, app.return_code) == ("x.aperture: not a recording of aperture", 1)


async def test_an_empty_recording_says_so() -> None:
    async with replaying((80, 24), filled((), seconds=1, cpu=0)) as pilot:
        await _press(pilot, "2", *BACK, "space", "b", "L")
        assert "Nothing happened while this was recorded." in _screen(pilot)


# -- steps and jumps


@SIZES
async def test_steps_go_back_and_on_by_a_second_ten_and_a_minute(size: tuple[int, int]) -> None:
    async with replaying(size, SyntheticStore(now=lambda: START_NS + 200 * SECOND)) as pilot:
        places = []
        for key in (*BACK, *ON):
            await _press(pilot, key)
            places.append(_seconds(pilot))
            assert _app(pilot).snapshot.end_ns == START_NS + int(places[-1]) * SECOND  # type: ignore[union-attr]
        assert places == [199, 189, 129, 130, 140, 200]


async def test_a_window_that_reaches_before_the_start_is_cut_and_says_so() -> None:
    async with replaying() as pilot:
        await _press(pilot, "less_than_sign", *["comma"] * 30)
        assert _app(pilot).snapshot.range_ns == 20 * SECOND  # type: ignore[union-attr]
        assert "30 s (has 20 s)" in text_of(_app(pilot))[0]
        await _press(pilot, "left_curly_bracket", "left_curly_bracket")
        assert _seconds(pilot) == 1, "never empty"
        assert _app(pilot).snapshot.icicle.total == 800  # type: ignore[union-attr]


async def test_beginning_and_end() -> None:
    async with replaying() as pilot:
        await _press(pilot, "b")
        assert _seconds(pilot) == 1
        await _press(pilot, "L")
        assert _app(pilot).snapshot.end_ns == END_NS  # type: ignore[union-attr]
        assert not _app(pilot).looking.past


async def test_the_keys_work_in_every_view_and_the_moment_goes_along() -> None:
    async with replaying((120, 40), filled()) as pilot:
        await _press(pilot, "comma", "comma")
        at = _app(pilot).snapshot.end_ns  # type: ignore[union-attr]
        for view in "2345":
            await _press(pilot, view)
            assert _app(pilot).snapshot.end_ns == at  # type: ignore[union-attr]
            await _press(pilot, "comma", "full_stop")
            assert _app(pilot).snapshot.end_ns == at  # type: ignore[union-attr]


async def test_zoom_search_and_process_survive_a_step() -> None:
    async with replaying() as pilot:
        await _press(pilot, "2", "down", "down", "enter")
        await _press(pilot, "less_than_sign")
        view = _app(pilot)._view
        assert view is not None
        assert view.icicle.view is not None
        assert len(view.icicle.view.zoom) == 2


async def test_a_click_on_the_bar_goes_there() -> None:
    async with replaying() as pilot:
        bar = pilot.app.screen.query_one(TimeLine)._bar
        await pilot.click("#time", offset=(bar.start, 0))
        await settled(pilot)
        assert _seconds(pilot) == 1
        await pilot.click("#time", offset=(bar.stop - 1, 0))
        await settled(pilot)
        assert _seconds(pilot) == 60


# -- the prompt


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("-20s", 40), ("22:13:50", 30), ("2023-11-14T22:14Z", 40), ("now", 60), ("-20m", 1), ("23:00", 60)],
)
async def test_a_time_is_typed_and_gone_to(typed: str, seconds: float) -> None:
    async with replaying((80, 24)) as pilot:
        await _press(pilot, "g", *typed)
        assert _app(pilot).looking.past is False, "not before enter"
        await _press(pilot, "enter")
        await until(pilot, lambda: not pilot.app.screen.query(TimePrompt), "the prompt gone")
        await settled(pilot)
        assert _seconds(pilot) == seconds
        assert pilot.app.focused is _app(pilot)._view.icicle  # type: ignore[union-attr]


@SIZES
async def test_what_is_no_time_is_said_and_stays_to_be_mended(size: tuple[int, int]) -> None:
    async with replaying(size) as pilot:
        await _press(pilot, "g", *"soon/", "enter")
        assert "'soon/' is" in _screen(pilot)
        await _press(pilot, *["backspace"] * 5, *"-5s", "enter")
        await until(pilot, lambda: not pilot.app.screen.query(TimePrompt), "the prompt gone")
        assert _seconds(pilot) == 55


async def test_what_is_typed_at_once_is_typed_into_the_prompt() -> None:
    async with replaying() as pilot:
        await pilot.press("g", *"-5s/g", *["backspace"] * 2, "enter")
        await settled(pilot)
        assert _seconds(pilot) == 55
        await pilot.press("slash", *"gg", "enter")
        await settled(pilot)
        assert _app(pilot).looking.search.text == "gg"  # type: ignore[union-attr]


async def test_escape_goes_nowhere_and_nothing_typed_too() -> None:
    async with replaying() as pilot:
        for end in ("escape", "enter"):
            await _press(pilot, "comma", "g", end)
            await until(pilot, lambda: not pilot.app.screen.query(TimePrompt), "the prompt gone")
        assert _seconds(pilot) == 58
        await _press(pilot, "space")
        assert _app(pilot).looking.time.plays, "the keys are the view's again"


# -- playing


async def test_it_plays_by_the_clock_to_the_end_and_stops_there() -> None:
    clock = Clock()
    async with replaying(clock=clock) as pilot:
        await _press(pilot, "b", *["right_parenthesis"] * 8, "space")
        assert "▶ 64x" in text_of(_app(pilot))[1]
        assert _seconds(pilot) == 1, "no time has passed yet"
        clock.seconds += 0.5
        await until(pilot, lambda: _seconds(pilot) == 33, "half a second, 64 times")
        await until(pilot, lambda: _app(pilot).snapshot.end_ns == START_NS + 33 * SECOND, "its data")  # type: ignore[union-attr]
        clock.seconds += 1
        await until(pilot, lambda: not _app(pilot).looking.time.plays, "the end")
        await settled(pilot)
        assert _app(pilot).snapshot.end_ns == END_NS  # type: ignore[union-attr]
        assert "▮▮ 64x" in text_of(_app(pilot))[1]
        assert not _app(pilot)._playing._active.is_set(), "no timer runs"


class SlowStore(SyntheticStore):
    """A long recording, which is read for as long as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Event()
        self.read.set()

    def call_tree(self, query: Query) -> CallTree:
        self.read.wait(30)
        return super().call_tree(query)


async def test_what_takes_long_to_read_says_so_and_the_time_does_not_run_away() -> None:
    clock, store = Clock(), SlowStore()
    async with replaying(store=store, clock=clock) as pilot:
        await _press(pilot, "b", "space")
        store.read.clear()
        clock.seconds += 1
        await until(pilot, lambda: _seconds(pilot) == 2, "the next moment")
        clock.seconds += 20
        await until(pilot, lambda: " reading " in text_of(_app(pilot))[0], "what it waits for")
        assert _seconds(pilot) == 2
        store.read.set()
        await until(pilot, lambda: _seconds(pilot) == 4, "no more than two seconds at a time")
        await settled(pilot)
        assert " reading " not in text_of(_app(pilot))[0]
        assert _app(pilot).snapshot.end_ns == START_NS + 4 * SECOND  # type: ignore[union-attr]


async def test_whoever_leaves_does_not_wait_for_what_is_read() -> None:
    store = SlowStore()
    async with replaying(store=store) as pilot:
        store.read.clear()
        await pilot.press("b")
        began = time.monotonic()
        await pilot.press("q")
    assert time.monotonic() - began < 4
    store.read.set()


async def test_from_the_end_it_plays_from_the_beginning_and_space_pauses() -> None:
    clock = Clock()
    async with replaying(clock=clock) as pilot:
        await _press(pilot, "space")
        clock.seconds += 4
        await until(pilot, lambda: _seconds(pilot) == 5, "four seconds after the beginning")
        await _press(pilot, "space")
        clock.seconds += 30
        await pilot.pause(0.15)
        assert _seconds(pilot) == 5, "time stands still"
        await _press(pilot, "space")
        clock.seconds += 1
        await until(pilot, lambda: _seconds(pilot) == 6, "from there on")


async def test_other_speeds_hold_from_then_on() -> None:
    clock = Clock()
    async with replaying(clock=clock) as pilot:
        await _press(pilot, "b", "space")
        clock.seconds += 2
        await _press(pilot, "right_parenthesis")
        assert _seconds(pilot) == 3, "what has passed went at the speed of before"
        clock.seconds += 2
        await until(pilot, lambda: _seconds(pilot) == 7, "twice as fast")
        await _press(pilot, "left_parenthesis", "left_parenthesis")
        assert "½x" in text_of(_app(pilot))[1]
        clock.seconds += 2
        await until(pilot, lambda: _seconds(pilot) == 8, "half as fast")


async def test_another_rate_of_refreshes_goes_on_playing() -> None:
    clock = Clock()
    async with replaying(clock=clock) as pilot:
        await _press(pilot, "b", "space")
        await pilot.press("minus")
        clock.seconds += 5
        await until(pilot, lambda: _seconds(pilot) == 6, "still playing")


async def test_paused_it_asks_for_nothing() -> None:
    async with replaying() as pilot:
        app = _app(pilot)
        before = app.snapshot
        await pilot.pause(0.3)
        assert app.snapshot is before, "no refresh"
        assert not app._waiting._active.is_set()


# -- sizes, keys


@pytest.mark.parametrize("view", "12345")
async def test_any_size_draws_something(view: str) -> None:
    clock = Clock()
    async with replaying((80, 24), filled(), clock) as pilot:
        await _press(pilot, view, "comma", "space")
        for size in [(40, 10), (80, 24), (20, 5), (19, 4), (1, 1), (20, 7), (40, 8), (200, 50)]:
            await pilot.resize_terminal(*size)
            clock.seconds += 0.01
            await until(pilot, lambda: tuple(pilot.app.screen._compositor.size) == size, "the new size")  # noqa: B023
            assert len(text_of(_app(pilot))) == size[1]


async def test_where_there_is_no_room_for_its_line_the_header_says_the_time() -> None:
    async with replaying((40, 5)) as pilot:
        assert "▮▮ 1x 22:14:20" in text_of(_app(pilot))[0]
        assert "├" not in _screen(pilot)
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: "├" in text_of(_app(pilot))[1], "the line of time")
        assert "22:14:20" not in text_of(_app(pilot))[0]


def _does(screen: Any) -> dict[str, tuple[str, ...]]:
    return {key.does: key.keys for key in live_keys(screen)}


async def test_help_and_palette_have_the_keys_of_time_and_none_that_make_no_sense() -> None:
    async with replaying() as pilot:
        does = _does(pilot.app.screen)
        assert does["play or pause"] == ("space",)
        assert [does[f"back {step}"] for step in ("1 s", "10 s", "1 min")] == [(",",), ("<",), ("{",)]
        assert [does[f"on {step}"] for step in ("1 s", "10 s", "1 min")] == [(".",), (">",), ("}",)]
        assert (does["slower"], does["faster"], does["go to a time"]) == (("(",), (")",), ("g",))
        assert "freeze" not in does
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert {"Play or pause", "Back 10 s", "The beginning", "Live, or the end", "Go to a time", "Faster"} <= titles
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, Panel)


# -- the same keys live


async def test_live_a_step_back_stands_still_there_and_the_end_follows_again() -> None:
    now = [START_NS + 60 * SECOND]
    async with running((120, 40), SyntheticStore(now=lambda: now[0]), refresh_hz=20) as pilot:
        assert {"play or pause", "faster"}.isdisjoint(_does(pilot.app.screen))
        assert not pilot.app.screen.query_one(TimeLine).display
        await _press(pilot, "less_than_sign")
        assert _app(pilot).snapshot.end_ns == START_NS + 50 * SECOND  # type: ignore[union-attr]
        assert "FROZEN 22:14:10" in text_of(_app(pilot))[0]
        now[0] += 5 * SECOND
        await until(pilot, lambda: _app(pilot).held.end_ns == now[0], "that time goes on behind it")
        await _press(pilot, "comma")
        assert _app(pilot).snapshot.end_ns == START_NS + 49 * SECOND  # type: ignore[union-attr]
        await _press(pilot, "L")
        await until(pilot, lambda: _app(pilot).snapshot.end_ns == now[0], "the present")  # type: ignore[union-attr]
        assert "FROZEN" not in _screen(pilot)


async def test_live_a_time_can_be_gone_to() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "g", *"-30s", "enter")
        await until(pilot, lambda: not pilot.app.screen.query(TimePrompt), "the prompt gone")
        await settled(pilot)
        assert _app(pilot).snapshot.end_ns == START_NS + 30 * SECOND  # type: ignore[union-attr]


def test_live_what_is_not_held_any_more_is_said() -> None:
    span = Span(START_NS + 50 * SECOND, END_NS, 100, dropped_until_ns=START_NS + 50 * SECOND, limit="15 min")
    gone = ViewSnapshot(ViewRequest(80), health=RUNNING, span=span, end_ns=START_NS + 40 * SECOND)
    looking = Looking(time=Playhead(gone.end_ns))
    for kind in (Kind.CPU, Kind.LOCK):
        said = nothing_yet(gone, looking, kind)[-1][0]
        assert said == "What there was is not held any more: 15 min is. L shows the newest."


def test_of_a_recording_that_was_cut_short_nothing_is_said_to_have_been_left_out_or_not_to_have_happened() -> None:
    cut = ViewSnapshot(ViewRequest(80), span=Span(cut_short=True), end_ns=END_NS, recorded=frozenset())
    for said in (nothing_yet(cut, Looking(), Kind.LOCK), no_work(cut, None)):
        assert said[-1][0] == "It was cut short, or is still being written, before it said what was collected."
    told = replace(cut, health=[Health("cpu", State.RUNNING)], recorded=frozenset({Kind.CPU}))
    said = nothing_yet(told, Looking(), Kind.CPU)
    assert said[-1][0] == "It was cut short, or is still being written, before it held any events."
    assert nothing_yet(told, Looking(), Kind.LOCK)[-1][0].startswith("Such events were not collected")


def test_where_nobody_recorded_nothing_is_said_to_have_stood_still() -> None:
    span = Span(START_NS, END_NS, 100)
    between = ViewSnapshot(ViewRequest(80), span=span, end_ns=END_NS, recorded=frozenset({Kind.CPU}))
    assert nothing_yet(between, Looking(), Kind.CPU)[-1][0].startswith("None were recorded in this window")
    idle = replace(between, gauges=(HostSample(START_NS),))
    assert nothing_yet(idle, Looking(), Kind.CPU)[-1][0].startswith("Nothing ran in this window.")


@SIZES
async def test_a_click_at_the_mark_plays_and_pauses(size: tuple[int, int]) -> None:
    async with replaying(size) as pilot:
        await pilot.press("b")
        await settled(pilot)
        for plays in (True, False):
            await pilot.click(TimeLine, offset=(2, 0))
            assert _app(pilot).looking.time.plays is plays


async def test_a_click_at_the_time_asks_for_another() -> None:
    async with replaying((80, 24)) as pilot:
        line = pilot.app.screen.query_one(TimeLine)
        before = _app(pilot).looking
        await pilot.click(TimeLine, offset=(line._bar.start - 3, 0))
        await pilot.pause()
        assert pilot.app.screen.query(TimePrompt)
        assert _app(pilot).looking == before
        await pilot.press("escape")
        await pilot.click(TimeLine, offset=(line._bar.start, 0))
        assert not pilot.app.screen.query(TimePrompt)
        assert _app(pilot).looking.time.place(_app(pilot).held) == _app(pilot).held.first_ns, "of the bar, its moment"
