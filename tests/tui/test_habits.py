"""What a person has set up, in the app: what was looked at last time, the mouse, the palette, ASCII, themes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from aperture_tui.profile.query import Group
from aperture_tui.profile.where import parse
from aperture_tui.tui import mouse
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.glyphs import in_ascii
from aperture_tui.tui.habits import Habits
from aperture_tui.tui.look import look, looks
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.resuming import MAX_BYTES, Sitting, sitting_of
from aperture_tui.tui.screens.panel import PanelRows
from aperture_tui.tui.search import compile_search
from aperture_tui.tui.widgets.keys import live_keys
from aperture_tui.tui.widgets.rows import RowsView
from tests.tui.screen import running, settled, text_of, until
from tests.tui.synthetic import SyntheticStore
from tests.tui.waiting import filled

FULL = Sitting("locks", 300.0, "thread", True, "high-contrast", "read|write", "comm:nginx -lib:libc")


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


# -- what was looked at last time


def test_a_sitting_is_the_same_after_it_was_written_down() -> None:
    assert Sitting.of_json(FULL.as_json()) == FULL
    assert Sitting.of_json(Sitting(window_s=None).as_json()).window_s is None


def test_what_is_looked_at_comes_back() -> None:
    looking = Looking(
        window_s=60.0, group=Group.THREAD, by_weight=True, search=compile_search("a.b"), where=parse("fn:x")
    )
    kept = sitting_of(looking, "cpu", "aperture-light")
    again = Sitting.of_json(kept.as_json()).looked_at(Looking())
    assert again == looking
    assert kept.looked_at(Looking(window_s=10.0), with_window=False).window_s == 10.0
    assert kept.looked_at(Looking(where=parse("comm:y"))).where == parse("comm:y"), "what was asked for now goes first"
    assert Sitting().looked_at(looking) == replace(looking, by_weight=False), "nothing is known, nothing changes"


@pytest.mark.parametrize(
    "changed",
    [{"view": "\x1b]0;x"}, {"view": 3}, {"view": "x" * 100}, {"window_s": -1}, {"window_s": True}, {"window_s": "all"},
     {"window_s": 1e300}, {"group": []}, {"by_weight": "yes"}, {"theme": "\n"}, {"search": "("}, {"search": "x" * 999},
     {"search": "\x00"}, {"where": "fn:/(/"}, {"where": ["x"]}, {"where": "x" * 2000}],
    ids=str,
)  # fmt: skip
def test_a_field_that_cannot_be_believed_is_left_out(changed: dict[str, Any]) -> None:
    told = json.loads(FULL.as_json()) | changed
    (name,) = changed
    assert Sitting.of_json(json.dumps(told).encode()) == replace(FULL, **{name: getattr(Sitting(), name)})


@given(st.one_of(st.binary(max_size=300), st.just(b"[" * 9000), st.just(b" " * (MAX_BYTES + 1))))
def test_any_bytes_are_a_sitting_without_harm(data: bytes) -> None:
    assert Sitting.of_json(data).looked_at(Looking()) is not None


@given(st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2))
def test_any_json_is_a_sitting_without_harm(told: object) -> None:
    names = ("view", "window_s", "group", "by_weight", "theme", "search")
    data = json.dumps({"version": 1, **dict.fromkeys(names, told)}).encode()
    again = Sitting.of_json(data)
    assert Sitting.of_json(again.as_json()) == again


async def test_the_app_begins_where_it_was_left() -> None:
    async with running(habits=Habits(sitting=FULL)) as pilot:
        app = _app(pilot)
        assert app.current_mode == "locks"
        assert (app.looking.window_s, app.looking.group, app.looking.by_weight) == (300.0, Group.THREAD, True)
        assert app.looking.search is not None
        await pilot.press("2", "escape")
        await settled(pilot)
        kept = app.sitting()
        assert (kept.view, kept.search, kept.window_s) == ("cpu", "", 300.0)


async def test_a_view_that_there_is_not_is_the_overview() -> None:
    async with running(habits=Habits(sitting=replace(FULL, view="dreams"), window_s=10.0)) as pilot:
        assert _app(pilot).current_mode == "overview"
        assert _app(pilot).looking.window_s == 10.0, "the command line comes first"


# -- the mouse


class _Driver:
    """Keeps what a driver would write, as Textual 8.2.8 keeps its flag."""

    def __init__(self) -> None:
        self._mouse = True
        self.said: list[str] = []

    def _enable_mouse_support(self) -> None:
        self.said += ["on"] if self._mouse else []

    def _disable_mouse_support(self) -> None:
        self.said += ["off"] if self._mouse else []

    def flush(self) -> None:
        pass


def test_the_mouse_is_switched_and_the_driver_knows() -> None:
    driver = _Driver()
    assert mouse.switch(driver, False)
    assert not mouse.is_on(driver)
    driver._enable_mouse_support()  # as after a suspension
    assert mouse.switch(driver, True)
    assert mouse.is_on(driver)
    assert driver.said == ["off", "on"]
    assert not mouse.switch(object(), True)


async def test_ctrl_t_says_that_this_driver_has_no_mouse() -> None:
    """A real one is switched in tests/cli/habits/test_terminal.py."""
    app = ApertureApp(lambda: SyntheticStore())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "mouse cannot be switched" in "\n".join(text_of(app)), "the word")


# -- the palette and the help


VIEWS = ("overview", "cpu", "syscalls", "locks", "offcpu", "gpu", "filters")


@pytest.mark.parametrize("view", VIEWS)
async def test_every_action_is_in_the_palette_with_its_key_and_runs_from_there(view: str) -> None:
    """Each is run, whatever it leads to; what it leads to is left again."""
    async with running((80, 24)) as pilot:
        app = _app(pilot)
        app.action_view(view)
        await settled(pilot)
        commands = {(one.title, one.help): one for one in app.get_system_commands(app.screen)}
        for key in live_keys(app.screen):
            title = f"{key.does[0].upper()}{key.does[1:]}"
            command = commands[title, f"{' or '.join(key.keys)}, {key.place}"]
            if key.action in ("quit", "command_palette"):
                continue
            result: Any = command.callback()
            assert result is None or await result, f"{key.action} of {key.place} is no action"
            while len(app.screen_stack) > 1:
                app.pop_screen()
            app.action_view(view)
            if app._view is not None:
                app._view.set_focus(app._view.main_part)  # and not a line that is typed in
        await settled(pilot)
        assert app.return_code is None


async def test_the_palette_finds_an_action_by_its_words_and_does_it() -> None:
    async with running() as pilot:
        await pilot.press("2", "ctrl+p")
        await pilot.press(*"refresh more")
        await until(pilot, lambda: "Refresh more often" in "\n".join(text_of(_app(pilot))), "the action")
        assert "+, everywhere" in "\n".join(text_of(_app(pilot)))
        before = _app(pilot).refresh_hz
        await pilot.press("down", "enter")
        await until(pilot, lambda: _app(pilot).refresh_hz > before, "more refreshes")


@pytest.mark.parametrize("view", VIEWS)
async def test_help_has_every_key_of_each_view(view: str) -> None:
    async with running((120, 40)) as pilot:
        app = _app(pilot)
        app.action_view(view)
        await settled(pilot)
        keys = live_keys(app.screen)
        await pilot.press("question_mark")
        await until(pilot, lambda: bool(app.screen.query(PanelRows)), "the panel")
        rows = app.screen.query_one(PanelRows).shown_rows
        told = ["".join(text for text, _ in row) for row in rows]
        for key in keys:
            assert any(key.does in line and key.keys[0] in line for line in told), key


async def test_help_and_palette_have_the_users_keys() -> None:
    async with running(habits=Habits(keys={"view.sort": ("f6",), "app.help": ("f1",)})) as pilot:
        await pilot.press("2", "f1")
        assert any("f6" in row and "sort" in row for row in text_of(_app(pilot)))
        await pilot.press("escape")
        commands = {one.title: one.help for one in pilot.app.get_system_commands(pilot.app.screen)}
        assert commands["Sort"] == "f6, everywhere"


# -- looks


async def test_ascii_is_all_that_is_drawn_where_nothing_else_can_be() -> None:
    async with running((120, 40), habits=Habits(ascii=True)) as pilot:
        for view in "1234567":
            await pilot.press(view)
            await settled(pilot)
            rows = text_of(_app(pilot))
            assert all(row.isascii() for row in rows), [row for row in rows if not row.isascii()]


@given(st.text(max_size=40))
def test_ascii_takes_as_many_cells(text: str) -> None:
    from rich.cells import cell_len

    assert in_ascii(text).isascii()
    assert cell_len(in_ascii(text)) == cell_len(text)


async def test_marks_are_letters_in_the_boxes_and_in_the_help() -> None:
    async with running((120, 40), habits=Habits(marks=True)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        text = "\n".join(text_of(_app(pilot)))
        assert "▏@ gunicorn" in text
        assert "▏p handle_request" in text
        await pilot.press("question_mark", "end")
        await until(pilot, lambda: bool(pilot.app.screen.query(PanelRows)), "the panel")
        rows = pilot.app.screen.query_one(PanelRows).shown_rows
        assert any(" k kernel " in span for row in rows for span, _ in row)


async def test_marks_tell_the_parts_of_bars_apart_and_leave_them_their_colours() -> None:
    """As in the boxes: who wants marks wants them wherever a hue alone says something."""
    for marks in (False, True):
        async with running((120, 40), filled(), habits=Habits(marks=marks)) as pilot:
            await pilot.press("5")
            await settled(pilot)
            wall = pilot.app.screen.query_one("#wall", RowsView).shown_rows
            signs = [text.strip() for row in wall[1:] for text, key in row if key not in ("text", "muted")]
            assert len(set(signs)) == (len(signs) if marks else 1)
            assert {key for _, key in wall[0]} >= {"user", "memory"}
        async with running((120, 40), habits=Habits(marks=marks)) as pilot:
            assert ("| user" in text_of(_app(pilot))[3]) is marks


async def test_a_theme_of_the_users_can_be_had() -> None:
    mine = replace(look("aperture-light"), name="mine")
    async with running(theme="mine", habits=Habits(looks={**looks(), "mine": mine})) as pilot:
        assert _app(pilot).palette.look.name == "mine"
        assert "mine" in pilot.app.available_themes
        pilot.app.theme = "high-contrast"
        await pilot.pause()
        assert _app(pilot).palette.look.name == "high-contrast"


async def test_what_was_wrong_is_said_on_the_screen() -> None:
    notices = tuple(f"theme [b]{i}[/b] is broken" for i in range(5))
    app = ApertureApp(lambda: SyntheticStore(), habits=Habits(notices=notices))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        await until(pilot, lambda: "[b]2[/b] is broken" in "\n".join(text_of(app)), "the line, as it is")
        assert "2 more: aperture-top --print-config" in "\n".join(text_of(app))
