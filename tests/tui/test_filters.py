"""The screen of filters: its keys over a real chain, what every view says of filters, and where there are none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.filters import opening
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.opening import open_chain, open_recorded
from aperture_tui.filters.shipped import found
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.filters.told import Standing
from aperture_tui.filters.worker import Worker
from aperture_tui.profile.health import Health, State
from aperture_tui.recording.replay import replay
from aperture_tui.tui import app as apps
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.screens.filters import FiltersScreen
from aperture_tui.tui.screens.panel import Panel
from aperture_tui.tui.widgets.filter_details import FilterDetails, FilterLog
from aperture_tui.tui.widgets.filters import FilterTable
from aperture_tui.tui.widgets.keys import live_keys
from tests.filters.test_hostile import LOOP
from tests.filters.wat import KEEP_ALL, Time, chain, each, module, on_batch
from tests.sdk.record import RECORDED
from tests.tui.filters import CHATTY, EVEN, LINES, ONLY_42, STILL, TRAPS, Still, at_work, judged
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import SyntheticStore

SIZES = pytest.mark.parametrize(
    "size", [(200, 50), (120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


def _view(pilot: Pilot[Any]) -> FiltersScreen:
    view = _app(pilot)._view
    assert isinstance(view, FiltersScreen)
    return view


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


@contextlib.asynccontextmanager
async def _showing(worker: Any, size: tuple[int, int] = (120, 40), **options: Any) -> AsyncIterator[Pilot[None]]:
    """The screen of filters over these."""
    async with running(size, filters=lambda: worker, **options) as pilot:
        _app(pilot).filtering.note()
        await _press(pilot, "6")
        yield pilot


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What filters do is noted when the test says so, and not by the clock."""
    monkeypatch.setattr(apps, "EVERY_S", 1e6)


async def _still(pilot: Pilot[Any], still: Still) -> None:
    """Some seconds pass, which end with nothing new."""
    app = _app(pilot)
    now = [100.0]
    app.filtering._clock = lambda: now[0]
    for gone in (90, 80, 20, 20, 50, 60):
        now[0] += 0.5
        still.go_on(gone, 5, 0, 0, 0, 0, 0)
        app._note_filters()
    await settled(pilot)


# -- pictures


@SIZES
async def test_pictures(size: tuple[int, int], noted: None) -> None:
    still = Still()
    async with _showing(still, size) as pilot:
        await _still(pilot, still)
        assert_golden(f"filters-{size[0]}x{size[1]}", text_of(_app(pilot)))
        await _press(pilot, "down", "down", "down", "enter")
        assert_golden(f"filters-details-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch, noted: None) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    still = Still()
    async with _showing(still, (80, 24)) as pilot:
        await _still(pilot, still)
        assert_golden("mono-filters-80x24", text_of(_app(pilot)))


@SIZES
async def test_other_views_say_that_they_are_filtered(size: tuple[int, int], noted: None) -> None:
    still = Still()
    async with _showing(still, size) as pilot:
        await _still(pilot, still)
        for key in "12345":
            await _press(pilot, key)
            assert "drop 60 %" in text_of(_app(pilot))[0], key
            assert "!" in text_of(_app(pilot))[0], "two have failed"
        await _press(pilot, "1")
        assert_golden(f"filtered-overview-{size[0]}x{size[1]}", text_of(_app(pilot)))


@pytest.mark.parametrize("theme", ["aperture-light", "aperture-dark"])
async def test_it_is_repainted_in_other_colours(theme: str) -> None:
    async with _showing(Still(), theme=theme) as pilot:
        palette = _app(pilot).palette
        ground = palette.style("text").bgcolor
        backgrounds = {
            segment.style.bgcolor
            for strip in _app(pilot).screen._compositor.render_strips()
            for segment in strip
            if segment.style
        }
        assert ground in backgrounds


# -- keys, over a real chain


async def test_switched_off_everything_passes_and_on_again_it_works(tmp_path: Path) -> None:
    with at_work(tmp_path, ONLY_42, EVEN) as worker:
        judged(worker)
        async with _showing(worker) as pilot:
            await _press(pilot, "space")
            assert worker.told().filters[0].standing is Standing.OFF
            assert "›off f0" in _screen(pilot)
            judged(worker)
            assert worker.told().events_out == 2 + 50
            await _press(pilot, "down", "space", "up", "space")
            assert [one.on for one in worker.told().filters] == [True, False]
            judged(worker)
            assert worker.told().events_out == 2 + 50 + 2
            await _press(pilot, "down", "space")
            judged(worker)
            assert [one.on for one in worker.told().filters] == [True, True]


async def test_a_file_is_loaded_anew_on_a_key_and_an_error_is_said(tmp_path: Path) -> None:
    with at_work(tmp_path, ONLY_42) as worker:
        judged(worker)
        async with _showing(worker) as pilot:
            (tmp_path / "f0.wasm").write_bytes(EVEN)
            await _press(pilot, "r")
            await until(pilot, lambda: not worker.told().filters[0].reloading, "the compiler")
            judged(worker)
            assert worker.told().events_out == 2 + 50
            (tmp_path / "f0.wasm").write_bytes(b"\0asm\1\0\0\0garbage")
            await _press(pilot, "r")
            await until(pilot, lambda: "! old file" in _screen(pilot), "the error")
            assert "the old version goes on: f0: not a valid module" in " ".join(_screen(pilot).split())
            judged(worker)
            assert worker.told().events_out == 2 + 50 + 50


async def test_arrows_vim_keys_and_the_wheel_select(tmp_path: Path) -> None:
    with at_work(tmp_path, ONLY_42, EVEN, CHATTY) as worker:
        async with _showing(worker) as pilot:
            seen = []
            for key in ("down", "j", "j", "k", "up", "end", "home"):
                await _press(pilot, key)
                line = _view(pilot).table.selected
                assert line is not None
                seen.append(line.state.name)
            assert seen == ["f1", "f2", "f2", "f1", "f0", "f2", "f0"]
            await pilot._post_mouse_events([_scrolled_down()], FilterTable, (5, 2))
            await settled(pilot)
            assert _view(pilot).table.selected.state.name == "f1"  # type: ignore[union-attr]
            details = _view(pilot).query_one(FilterDetails).shown_rows
            assert details[0][0][0].strip() == "f1"


def _scrolled_down() -> Any:
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_the_mouse_selects_switches_and_reads(tmp_path: Path) -> None:
    with at_work(tmp_path, ONLY_42, EVEN) as worker:
        async with _showing(worker) as pilot:
            await pilot.click(FilterTable, offset=(12, 2))
            await settled(pilot)
            assert _view(pilot).table.selected.state.name == "f1"  # type: ignore[union-attr]
            await pilot.click(FilterTable, offset=(2, 1))
            await settled(pilot)
            assert [one.on for one in worker.told().filters] == [False, True]
            await pilot.click(FilterTable, offset=(12, 1), times=2)
            await settled(pilot)
            assert isinstance(_app(pilot).focused, FilterDetails)
            await pilot.click(FilterTable, offset=(12, 0))
            await pilot.click(FilterTable, offset=(12, 3))
            await settled(pilot)
            assert _view(pilot).table.selected.state.name == "f0"  # type: ignore[union-attr]


@SIZES
async def test_enter_reads_and_escape_goes_back(tmp_path: Path, size: tuple[int, int]) -> None:
    with at_work(tmp_path, ONLY_42, CHATTY) as worker:
        async with _showing(worker, size) as pilot:
            await _press(pilot, "down", "enter")
            assert isinstance(_app(pilot).focused, FilterDetails)
            assert "running" in _screen(pilot)
            await _press(pilot, "tab")
            assert isinstance(_app(pilot).focused, FilterLog)
            await _press(pilot, "space")
            assert not worker.told().filters[1].on, "the keys of a filter work wherever one is"
            await _press(pilot, "escape")
            assert isinstance(_app(pilot).focused, FilterTable)
            assert "FILTER" in _screen(pilot)


async def test_the_log_follows_until_somebody_reads_back(noted: None) -> None:
    lines = tuple(replace(LINES[0], text=f"line {i}") for i in range(60))
    one = STILL.filters[0]
    still = Still(replace(STILL, filters=(replace(one, log=lines[:40]),)))
    async with _showing(still, (80, 24)) as pilot:
        log = _view(pilot).query_one(FilterLog)

        def last() -> str:
            return "".join(text for text, _ in log.shown_rows[-1]).strip().rpartition("info  ")[2]

        async def said(upto: int) -> None:
            still.state = replace(STILL, filters=(replace(one, log=lines[max(0, upto - 45) : upto]),))
            _app(pilot)._note_filters()
            await settled(pilot)

        assert last() == "line 39"
        await said(42)
        assert last() == "line 41"
        await _press(pilot, "enter", "tab", "up", "k")
        assert last() == "line 39"
        await said(50)
        assert last() == "line 39", "it stands still while it is read"
        assert "↓ 10" in "".join(text for text, _ in log.shown_rows[0])
        await _press(pilot, "pagedown", "end")
        assert last() == "line 49"
        await said(52)
        assert last() == "line 51"
        await _press(pilot, "home", "down")
        assert last() != "line 51"
        await _press(pilot, "escape", "1", "6")


async def test_what_fails_and_why_stands_on_the_screen_and_in_the_header(tmp_path: Path) -> None:
    with at_work(tmp_path, TRAPS, EVEN, on_error=OnError.DROP) as worker:
        judged(worker)
        async with _showing(worker) as pilot:
            text = " ".join(_screen(pilot).split())
            assert "! retr" in text
            assert "failed: it gave up (unreachable: a panic or an abort); tried again" in text
            assert "until then nothing passes it" in text
            assert "! 1 of 2 filters failed" in text
            assert "error aperture: it gave up" in text
            assert "100 lost while it failed" in text
    with at_work(tmp_path, EVEN, TRAPS, on_error=OnError.STOP) as worker:
        judged(worker)
        async with _showing(worker) as pilot:
            await _press(pilot, "2")
            assert "! filter f1 failed, nothing passes" in text_of(_app(pilot))[0]


async def test_a_filter_in_its_pause_is_nothing_to_wait_for() -> None:
    waits = Health("filter f0", State.STARTING, "failed, tried again in 4 s, everything passes unfiltered: why")
    store = SyntheticStore()
    store.states = [*store.states, waits]
    async with running((120, 40), store, filters=lambda: Still()) as pilot:
        assert "tried again" not in text_of(_app(pilot))[0]
        assert not _app(pilot)._is_waiting


async def test_a_filter_that_is_stopped_again_and_again_does_not_stop_the_screen(tmp_path: Path) -> None:
    """Each call takes 20 ms of CPU and is stopped; the clock of the chain runs ahead, so that it is tried at once."""
    clock = Time()
    worker = Worker(chain(tmp_path, module(on_batch(LOOP)), module(each(KEEP_ALL)), clock=clock))
    worker.start()

    def errors() -> int:
        return worker.told().filters[0].at_work.counters.errors

    try:
        async with _showing(worker) as pilot:
            table = _view(pilot).table
            pressed = during = 0
            while (before := errors()) < 12:
                clock.now += (
                    31.0  # as long as the longest pause: it is tried at once, and never fails five times a minute
                )
                worker.put(_some())
                while errors() == before:
                    painted = table.repainted
                    await pilot.press("up" if pressed % 2 else "down")
                    pressed += 1
                    line = table.selected
                    assert line is not None
                    assert line.state.name == ("f1" if pressed % 2 else "f0"), "each key is obeyed at once"
                    _app(pilot)._note_filters()
                    assert table.repainted > painted, "and painted"
                    during += errors() == before
                worker.take()
            assert during >= 12, "keys were obeyed and painted while a call had not been stopped yet"
            await _press(pilot, "home")
            assert "it took too long and was stopped" in _screen(pilot)
    finally:
        worker.stop()
    assert worker.told().events_in == worker.told().events_out, "everything passed, unfiltered"


def _some() -> Any:
    from tests.filters.wat import batch

    return batch(50)


# -- none


@SIZES
async def test_with_none_it_says_how_to_get_one(size: tuple[int, int]) -> None:
    async with running(size, filters=lambda: None) as pilot:
        assert "Filters" not in text_of(_app(pilot))[0]
        await _press(pilot, "F")
        assert_golden(f"filters-none-{size[0]}x{size[1]}", text_of(_app(pilot)))
        assert "on or off" not in {key.does for key in live_keys(_app(pilot).screen)}
        await _press(pilot, "space", "r", "enter", "escape", "tab", "down")
        text = " ".join(_screen(pilot).split())
        assert "--filter 'process_name:" in text
        assert "`aperture filter list`" in text
        assert "aperture filter new" in text
        await _press(pilot, "1")
        assert "6 Filters" not in text_of(_app(pilot))[0]


async def test_without_the_extra_it_says_what_mends_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    async with running((80, 24), filters=lambda: None) as pilot:
        await _press(pilot, "6")
        assert "filters need wasmtime: pip install 'aperture-tui[filters]'" in " ".join(_screen(pilot).split())


async def test_over_a_recording_it_says_when_to_filter() -> None:
    store = SyntheticStore()
    async with running((80, 24), store, recording="busy.aperture") as pilot:
        await _press(pilot, "6")
        assert "Open it with one: aperture-top --replay FILE --filter" in " ".join(_screen(pilot).split())


async def test_over_a_recording_they_are_shown_and_what_they_judged_stands() -> None:
    filters = open_recorded([Spec(found("process_name"), '{"name":"sh"}')])
    with contextlib.closing(replay(RECORDED, filters)) as store:
        async with running((120, 40), store, recording="recorded.aperture", filters=lambda: filters) as pilot:
            await _press(pilot, "6")
            await _until(pilot, lambda: "dropped" in text_of(_app(pilot))[0], "it was judged")
            assert "process_name" in _screen(pilot)
            assert not {"on or off", "load its file anew"} & {key.does for key in live_keys(_app(pilot).screen)}
            state = _app(pilot).filtering.state
            assert state is not None
            assert state.events_in > state.events_out > 0
            await _press(pilot, "space", "r")
            assert _app(pilot).filtering.state == state
            with pytest.raises(FilterError, match="open the recording anew"):
                filters.switch("process_name", False)


async def test_a_recording_that_was_filtered_says_so_on_every_view() -> None:
    store = SyntheticStore()
    store.states = [*store.states, Health("filter mine", State.STOPPED, "takes away 3 of 4 events")]
    async with running((80, 24), store, recording="busy.aperture") as pilot:
        for key in "1256":
            await _press(pilot, key)
            assert "filtered" in text_of(_app(pilot))[0], key


# -- everywhere


async def test_the_help_has_its_keys_and_the_number_is_that_of_the_header(tmp_path: Path) -> None:
    with at_work(tmp_path, EVEN) as worker:
        async with _showing(worker, (140, 60)) as pilot:
            assert "6 Filters" in text_of(_app(pilot))[0]
            keys = {key.does: key.keys for key in live_keys(_app(pilot).screen)}
            assert keys["filters"] == ("6", "F")
            assert keys["on or off"] == ("space",)
            assert keys["load its file anew"] == ("r",)
            await pilot.press("question_mark")
            await pilot.pause()
            assert isinstance(_app(pilot).screen, Panel)
            text = _screen(pilot)
            assert "load its file anew" in text
            assert "The filters" in text


async def test_the_collectors_of_the_view_before_go_on() -> None:
    """Else a filter of system calls had nothing to do as soon as it is looked at."""
    wanted: list[frozenset[str]] = []
    async with running((120, 40), filters=lambda: Still(), want=wanted.append) as pilot:
        await _press(pilot, "3")
        before = wanted[-1]
        assert "syscall" in before
        await _press(pilot, "6")
        assert wanted[-1] == before


@pytest.mark.bpf
async def test_over_a_real_session(tmp_path: Path) -> None:
    """Samples of this machine, three filters as they come along, and one that loops."""
    from aperture_tui.collect.settings import Settings
    from aperture_tui.session import Session
    from aperture_tui.store.memory import MemoryStore
    from tests.filters.wat import spec

    specs = [
        Spec(found("process_name"), '{"name":"no process is called this","drop":true}'),
        Spec(found("rate_limit"), '{"events_per_second":100}'),
        spec(tmp_path, module(on_batch(LOOP)), name="looping"),
    ]
    store = MemoryStore()
    session = Session(Settings(hz=499), {"memory": store}, filters=open_chain(specs))

    def connect() -> MemoryStore:
        session.start()
        return store

    app = ApertureApp(connect, filters=lambda: session.filters, want=lambda _: None)
    try:
        async with app.run_test(size=(140, 40)) as pilot:
            await _until(pilot, lambda: "6 Filters" in text_of(app)[0], "filters at work")
            await pilot.press("6")
            await pilot.press("end")
            await _until(pilot, lambda: "it took too long and was stopped" in _screen(pilot), "what it failed of")
            assert "! 1 of 3 filters failed" in text_of(app)[0]
            assert "no process is called this" not in _screen(pilot), "of another one"
            await pilot.press("space")
            await _until(pilot, lambda: "filters drop" in text_of(app)[0], "it is off, the others go on")
            await pilot.press("home", "r")
            await _until(pilot, lambda: "begun anew, of the same version" in _screen(pilot), "a new instance")
    finally:
        session.stop()
    assert session.failure == ""


async def _until(pilot: Pilot[Any], condition: Any, what: str) -> None:
    """As `until`, for what a kernel and a compiler take part in."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}\n{_screen(pilot)}"
        await pilot.pause(0.05)
