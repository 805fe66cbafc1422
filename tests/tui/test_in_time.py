"""The timeline's keys and the mouse, live, over a recording and over an aggregator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.store.remote.link import Focus
from aperture_tui.tui import remote_answer
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.density.model import UNKNOWN
from aperture_tui.tui.density.render import LABEL
from aperture_tui.tui.density.widget import Timeline
from aperture_tui.tui.widgets.keys import live_keys
from aperture_tui.tui.widgets.time_prompt import TimePrompt
from tests.store.served import serving
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import SECOND, START_NS, SyntheticStore
from tests.tui.test_remote import HOSTS, Served, remote
from tests.tui.waiting import filled

HELD_S = 200
END_NS = START_NS + HELD_S * SECOND
SIZES = pytest.mark.parametrize(
    "size", [(40, 10), (80, 24), (120, 40), (200, 50)], ids=lambda size: f"{size[0]}x{size[1]}"
)
PLACES = ("live", "recorded", "remote")


class Uneven(SyntheticStore):
    """Samples of 200 seconds: busy for a while, nothing for a while, nobody looked for a while."""

    def __init__(self, held_s: float = HELD_S) -> None:
        self.held_s = held_s
        super().__init__(now=lambda: START_NS + round(self.held_s * SECOND))

    def _slice(self, second: int) -> Any:
        whole = super()._slice(second)
        at = second - START_NS // SECOND
        part = 0 if 100 <= at < 140 else 800 if 60 <= at < 75 else 100 + at
        return type(whole)(*(column[:part] for column in (whole.stacks, whole.programs, whole.flags)))

    def gauges(self, query: Any) -> Any:
        seconds = ((one, one.time_ns // SECOND - START_NS // SECOND) for one in super().gauges(query))
        return [one for one, at in seconds if not 120 <= at < 140]


@pytest.fixture
def aggregator() -> Served:
    return Served(filled(seconds=HELD_S), HOSTS, now_ns=lambda: END_NS)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, aggregator: Served) -> Iterator[str]:
    """The address of an aggregator."""
    monkeypatch.setattr(remote_answer, "_LEAST_S", 0.05)
    monkeypatch.setattr(ApertureApp, "now_ns", lambda self: END_NS)
    monkeypatch.setattr("aperture_tui.store.remote.following.Following.now_ns", lambda self: END_NS)
    with serving(aggregator) as address:
        yield address


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _timeline(pilot: Pilot[Any]) -> Timeline:
    return pilot.app.screen.query_one(Timeline)


def _grid(pilot: Pilot[Any]) -> Any:
    density = _timeline(pilot).facts.density
    assert density is not None
    return density.grid


def _window(pilot: Pilot[Any]) -> tuple[float, float]:
    """What the picture is of, in seconds of what is held."""
    snapshot = _app(pilot).snapshot
    assert snapshot is not None
    return (snapshot.end_ns - snapshot.range_ns - START_NS) / SECOND, (snapshot.end_ns - START_NS) / SECOND


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if not pilot.app.screen.query(TimePrompt):
            await settled(pilot)
    await settled(pilot)


@asynccontextmanager
async def at(place: str, address: str, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Pilot[None]]:
    """The CPU view of it."""
    shown: AbstractAsyncContextManager[Pilot[None]]
    if place == "remote":
        shown = remote(address, size, Focus(("db-1",)))
    else:
        shown = running(size, Uneven(), recording="busy.aperture" if place == "recorded" else "")
    async with shown as pilot:
        await _press(pilot, "2")
        await until(pilot, lambda: _timeline(pilot).facts.density is not None or size[1] < 24, "the timeline")
        await settled(pilot)
        yield pilot


# -- pictures


@pytest.mark.parametrize("name", ["shown", "choosing", "chosen"])
@SIZES
async def test_pictures(name: str, size: tuple[int, int]) -> None:
    keys = {"shown": [], "choosing": ["T", *["left"] * 3, *["shift+left"] * 4]}
    keys["chosen"] = [*keys["choosing"], "enter"]
    async with running(size, Uneven()) as pilot:
        await _press(pilot, "2", *keys[name])
        assert_golden(f"timeline-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 40)], ids=str)
async def test_without_colours(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(size, Uneven()) as pilot:
        await _press(pilot, "2", "T", *["left"] * 12, *["shift+left"] * 3)
        assert_golden(f"mono-timeline-{size[0]}x{size[1]}", text_of(_app(pilot)))


# -- the same keys everywhere


@pytest.mark.parametrize("place", PLACES)
async def test_a_range_is_chosen_with_keys_and_every_view_is_of_exactly_that(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        await _press(pilot, "T", *["left"] * 3, "shift+left")
        grid, cursor = _grid(pilot), _timeline(pilot).facts.cursor_ns
        assert cursor is not None
        start, end = ((ns - START_NS) / SECOND for ns in (cursor, cursor + 2 * grid.bucket_ns))
        assert pilot.app.focused is _timeline(pilot)
        await _press(pilot, "enter")
        assert _window(pilot) == pytest.approx((start, end))
        assert _app(pilot).looking.past
        assert pilot.app.focused is _app(pilot)._view.main_part, "back to the picture"  # type: ignore[union-attr]
        said = text_of(_app(pilot))[0]
        assert f"{_clock(start)} to {_clock(end)}" in said, said
        for view in "145":
            await _press(pilot, view)
            assert _window(pilot) == pytest.approx((start, end))


def _clock(seconds: float) -> str:
    at = 80_000 + int(seconds)  # START_NS is 22:13:20
    return f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"


@pytest.mark.parametrize("place", PLACES)
async def test_the_cursor_moves_and_is_given_up(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        before = _window(pilot)
        await _press(pilot, "T")
        bucket = _grid(pilot).bucket_ns
        at_ns = _timeline(pilot).facts.cursor_ns
        assert at_ns is not None
        for key, columns in (("left", -1), ("h", -2), ("right", -1), ("l", 0), ("shift+left", -1)):
            await _press(pilot, key)
            moved = _timeline(pilot).facts.cursor_ns
            assert moved is not None
            assert moved // bucket == at_ns // bucket + columns, key
        await _press(pilot, "escape")
        assert _timeline(pilot).facts.anchor_ns is None, "the range first"
        assert pilot.app.focused is _timeline(pilot)
        await _press(pilot, "escape")
        assert _timeline(pilot).facts.cursor_ns is None
        assert pilot.app.focused is not _timeline(pilot)
        assert _window(pilot) == before, "nothing else is looked at"


@pytest.mark.parametrize("place", PLACES)
async def test_enter_on_a_moment_and_then_live_or_the_end_again(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        newest = _window(pilot)
        await _press(pilot, "T", *["left"] * 5)
        end_ns = _timeline(pilot).facts.chosen[1]  # type: ignore[index]
        await _press(pilot, "enter")
        assert _window(pilot)[1] == (end_ns - START_NS) / SECOND
        await _press(pilot, "L")
        assert not _app(pilot).looking.past
        assert _window(pilot) == newest


@pytest.mark.parametrize("place", PLACES)
async def test_steps_and_jumps_are_the_same_everywhere(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        end = _app(pilot).held.end_ns
        for key, seconds in (("comma", -1), ("less_than_sign", -11), ("left_curly_bracket", -71)):
            await _press(pilot, key)
            assert _app(pilot).looking.time.at_ns == end + seconds * SECOND
        for key, seconds in (("full_stop", -70), ("greater_than_sign", -60)):
            await _press(pilot, key)
            assert _app(pilot).looking.time.at_ns == end + seconds * SECOND
        await _press(pilot, "right_curly_bracket")
        assert not _app(pilot).looking.past
        await _press(pilot, "g", *"-30s", "enter")
        await until(pilot, lambda: not pilot.app.screen.query(TimePrompt), "the prompt gone")
        assert _app(pilot).looking.time.at_ns == end - 30 * SECOND
        await _press(pilot, "b")
        assert _window(pilot)[1] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("place", PLACES)
async def test_every_key_of_time_is_in_the_help_of_every_view(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        for view in "12345":
            await _press(pilot, view)
            does = {key.does: key.keys for key in live_keys(pilot.app.screen)}
            keys = (
                "timeline",
                "live, or the end",
                "go to a time",
                "back 1 s",
                "on 10 s",
                "back 1 min",
                "the beginning",
            )
            assert [does[name] for name in keys] == [("T",), ("L",), ("g",), (",",), (">",), ("{",), ("b",)]
            await _press(pilot, "T")
            does = {key.does: key.keys for key in live_keys(pilot.app.screen)}
            assert {"choose earlier", "choose later", "look at this", "give it up", "a longer timeline"} <= does.keys()
            await _press(pilot, "T")
            assert pilot.app.focused is not _timeline(pilot)


@pytest.mark.parametrize("place", PLACES)
async def test_it_is_zoomed_about_the_cursor_and_goes_on_beyond_its_edge(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        await _press(pilot, "T", *["left"] * 4)
        wide, cursor = _grid(pilot), _timeline(pilot).facts.cursor_ns
        await _press(pilot, "up")
        near = _grid(pilot)
        assert near.end_ns - near.start_ns < wide.end_ns - wide.start_ns or place == "remote"
        assert near.has(cursor)
        await _press(pilot, "home", "left")
        assert _grid(pilot).has(_timeline(pilot).facts.cursor_ns)
        await _press(pilot, "end", "down", "down", "down")
        assert _grid(pilot).end_ns - _grid(pilot).start_ns >= wide.end_ns - wide.start_ns
        before = _window(pilot)[1]
        await _press(pilot, "pageup")
        assert _window(pilot)[1] == pytest.approx(before - (60 if place == "remote" else 30))
        await _press(pilot, "pagedown")
        assert _window(pilot)[1] == pytest.approx(before)


@pytest.mark.parametrize("place", PLACES)
async def test_the_window_goes_on_from_a_range(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        await _press(pilot, "T", *["left"] * 3, "shift+left", "enter")
        end = _window(pilot)[1]
        length = _app(pilot).looking.window_s
        assert length is not None
        await _press(pilot, *["right_square_bracket"] * 2)
        longer = _app(pilot).looking.window_s
        assert longer is not None
        assert longer > length
        assert _window(pilot)[1] == end
        await _press(pilot, "left_square_bracket")
        assert (_app(pilot).looking.window_s or 0) < longer


# -- the mouse


@pytest.mark.parametrize("place", PLACES)
async def test_a_range_is_drawn_with_the_mouse(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        grid = _grid(pilot)
        first, last = grid.columns - 6, grid.columns - 4
        await pilot.mouse_down("#timeline", offset=(LABEL + last, 0))
        await pilot.hover("#timeline", offset=(LABEL + first + 1, 0))
        await pilot.hover("#timeline", offset=(LABEL + first, 0))
        assert _timeline(pilot).facts.chosen == (grid.begin_of(first), grid.begin_of(last + 1))
        await pilot.mouse_up("#timeline", offset=(LABEL + first, 0))
        await settled(pilot)
        start, end = ((grid.begin_of(i) - START_NS) / SECOND for i in (first, last + 1))
        assert _window(pilot) == pytest.approx((start, end))
        assert _timeline(pilot).facts.cursor_ns is None
        assert pilot.app.focused is not _timeline(pilot)
        await _press(pilot, "T", "escape")
        assert pilot.app.focused is _app(pilot)._view.main_part  # type: ignore[union-attr]


@pytest.mark.parametrize("place", PLACES)
async def test_a_click_looks_at_a_moment_and_the_wheel_steps(place: str, served: str) -> None:
    async with at(place, served) as pilot:
        grid = _grid(pilot)
        await pilot.click("#timeline", offset=(LABEL + grid.columns - 5, 0))
        await settled(pilot)
        there = grid.begin_of(grid.columns - 4)
        assert _app(pilot).looking.time.at_ns == there
        timeline = _timeline(pilot)
        from textual.events import MouseScrollDown, MouseScrollUp

        for event, columns in ((MouseScrollUp, -1), (MouseScrollUp, -2), (MouseScrollDown, -1)):
            timeline.post_message(event(timeline, LABEL, 0, 0, 1, 0, False, False, False))
            await pilot.pause()
            await settled(pilot)
            assert _app(pilot).looking.time.at_ns == there + columns * grid.bucket_ns


async def test_a_click_at_the_words_beside_the_timeline_goes_nowhere() -> None:
    async with at("live", "") as pilot:
        for x in (2, LABEL + _grid(pilot).columns + 2):
            await pilot.click("#timeline", offset=(x, 0))
            await settled(pilot)
            assert not _app(pilot).looking.past


async def test_a_range_of_which_nothing_is_held_is_told_to_be_that() -> None:
    async with running((120, 40), Uneven(20)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        assert _grid(pilot).begin_of(4) < START_NS - 10 * SECOND
        await pilot.mouse_down("#timeline", offset=(LABEL + 1, 0))
        await pilot.hover("#timeline", offset=(LABEL + 4, 0))
        await pilot.mouse_up("#timeline", offset=(LABEL + 4, 0))
        await settled(pilot)
        assert not _app(pilot).looking.past
        assert [one.message for one in pilot.app._notifications] == ["nothing is held of that time"]


# -- what is asked for


async def test_an_aggregator_is_asked_for_what_is_new_alone(served: str, aggregator: Served) -> None:
    async with at("remote", served) as pilot:
        grid = _grid(pilot)
        assert grid.bucket_ns == 10 * SECOND, "no shorter than agents push"
        del aggregator.asked[:]
        await _press(pilot, "comma", "full_stop", "down", "right_square_bracket")
        assert "Timeline" not in {name for name, _ in aggregator.asked}, "the same time again"
        del aggregator.asked[:]
        aggregator.store = filled(seconds=HELD_S + 10)
        aggregator.tell()
        await until(pilot, lambda: _window(pilot)[1] > HELD_S + 5, "what is new")
        await until(pilot, lambda: _known_until(pilot) > HELD_S + 5, "its column")
        asked: list[Any] = [selection for name, selection in aggregator.asked if name == "Timeline"]
        assert len(asked) <= 2, "those before the newest, which may have become more, and the newest"
        assert min(one.start_ns for one in asked) >= END_NS - 50 * SECOND, "three pushes may be on their way"


async def test_of_one_process_on_an_aggregator_nothing_is_told_where_its_machine_told_something(served: str) -> None:
    async with at("remote", served) as pilot:
        everything = _timeline(pilot).facts.density
        await _press(pilot, "1", "tab", "down", "enter")
        assert _app(pilot).looking.process is not None
        mine = _timeline(pilot).facts.density
        assert everything is not None
        assert mine is not None
        for whole, part in zip(everything.weights, mine.weights, strict=True):
            assert (part == UNKNOWN) == (whole == UNKNOWN)
            assert part <= whole


# -- sizes


async def test_where_there_is_no_room_it_comes_while_it_is_pointed_at() -> None:
    async with running((40, 10), Uneven()) as pilot:
        assert not _timeline(pilot).display
        await _press(pilot, "T", "left")
        assert _timeline(pilot).size.height == 1
        await _press(pilot, "shift+left", "enter")
        assert not _timeline(pilot).display
        assert _app(pilot).looking.past
        assert not text_of(_app(pilot))[1].startswith(" 22:"), "the picture is there again"


async def test_any_size_draws_something() -> None:
    async with running((80, 24), Uneven()) as pilot:
        await _press(pilot, "T")
        for size in [(40, 10), (80, 24), (20, 5), (19, 4), (1, 1), (20, 7), (28, 30), (200, 50), (300, 80)]:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: tuple(pilot.app.screen._compositor.size) == size, "the new size")  # noqa: B023
            assert len(text_of(_app(pilot))) == size[1]


# -- freezing


async def test_freezing_loses_nothing_and_everything_stays_interactive() -> None:
    store = Uneven(150)
    async with running((120, 40), store, refresh_hz=20) as pilot:
        await _press(pilot, "2", "space")
        frozen = _window(pilot)
        store.held_s = 190
        await until(pilot, lambda: _app(pilot).held.end_ns == START_NS + 190 * SECOND, "that collecting goes on")
        await _press(pilot, "down", "enter", "escape", "s", "right_square_bracket", "left_square_bracket")
        assert _window(pilot) == frozen, "it stands still"
        await until(pilot, lambda: _known_until(pilot) >= 186, "the timeline of what came since")
        await _press(pilot, "space")
        await until(pilot, lambda: _window(pilot)[1] == 190, "the present")
        density = _timeline(pilot).facts.density
        assert density is not None
        wanted = store.timeline(_query(density), density.grid.columns)
        of = {density.grid.begin_of(i): n for i, n in enumerate(density.weights) if n > 0}
        assert sum(of.values()) == int(wanted.weights.sum()), "not one sample that came meanwhile is missing"


def _query(density: Any) -> Any:
    from aperture_tui.profile.query import Query

    return Query(start_ns=density.grid.start_ns, end_ns=density.grid.end_ns)


def _known_until(pilot: Pilot[Any]) -> float:
    density = _timeline(pilot).facts.density
    assert density is not None
    last = max(i for i, n in enumerate(density.weights) if n != UNKNOWN)
    return float((density.grid.begin_of(last + 1) - START_NS) / SECOND)


# -- what is let go while it is looked at


class Forgetful(Uneven):
    """It lets go what is older than so many seconds."""

    kept_s = HELD_S

    def span(self) -> Any:
        whole = super().span()
        return replace(whole, start_ns=max(whole.start_ns, whole.end_ns - self.kept_s * SECOND))


async def test_a_picture_that_stands_still_keeps_its_range_when_the_store_has_let_it_go() -> None:
    store = Forgetful()
    async with running((120, 40), store, refresh_hz=20) as pilot:
        await _press(pilot, "2", "left_square_bracket", "space")
        said = f"{_clock(HELD_S - 10)} to {_clock(HELD_S)}, 10 s"
        assert said in text_of(_app(pilot))[0]
        store.held_s += 100
        store.kept_s = 60
        await until(pilot, lambda: _app(pilot).held.start_ns > END_NS, "that it is let go")
        await settled(pilot)
        _app(pilot)._view.show_heading()  # type: ignore[union-attr]
        assert said in text_of(_app(pilot))[0]
        await _press(pilot, "right_square_bracket")
        assert f"{_clock(HELD_S)}, not held any more" in text_of(_app(pilot))[0]
        assert _app(pilot).snapshot.range_ns == 0  # type: ignore[union-attr]
