"""The keys, on a terminal of each size; and what the screen says when something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from aperture_tui.store.base import Store
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.look import look
from aperture_tui.tui.screens.panel import Panel, PanelRows
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.processes import ProcessTable
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import PROGRAMS, SECOND, START_NS, SyntheticStore

SIZES = [(120, 40), (80, 24), (40, 10)]


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _icicle(pilot: Pilot[Any]) -> Icicle:
    view = _app(pilot)._view
    assert view is not None
    return view.icicle


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if key.isdigit():  # a view has its keys once it is there
            await settled(pilot)
    await settled(pilot)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    return request.param


# -- pictures


@pytest.mark.parametrize("name", ["overview", "cpu", "zoom", "search", "frozen", "help"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_pictures(name: str, size: tuple[int, int]) -> None:
    keys = {
        "overview": [],
        "cpu": ["2", "down", "down"],
        "zoom": ["2", *["down"] * 6, "enter"],
        "search": ["2", "slash", *"read", "enter"],
        "frozen": ["space"],
        "help": ["question_mark"],
    }[name]
    async with running(size) as pilot:
        await _press(pilot, *keys)
        assert_golden(f"{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24)) as pilot:
        await _press(pilot, "2", "down", "down", "right")
        assert_golden("mono-80x24", text_of(_app(pilot)))
        strips = _app(pilot).screen._compositor.render_strips()
        styles = {segment.style for strip in strips for segment in strip if segment.style}
        assert any(style.reverse for style in styles), "the selection"


async def test_side_by_side_on_a_wide_terminal() -> None:
    async with running((200, 50)) as pilot:
        table, icicle = pilot.app.screen.query_one(ProcessTable), _icicle(pilot)
        assert table.region.right <= icicle.region.x
        assert table.region.y == icicle.region.y


# -- keys


async def test_arrows_and_letters_walk(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2")
        await pilot.press("j", "down", "l", "right", "h", "left", "k")
        await pilot.pause()
        assert len(_icicle(pilot).selection) == 1
        await pilot.press("up")
        assert _icicle(pilot).selection == ()


async def test_enter_zooms_and_escape_leads_out(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2", "down", "down", "down", "enter")
        view = _icicle(pilot).view
        assert view is not None
        assert len(view.zoom) == 3
        assert view.zoomed < view.total
        assert _icicle(pilot).selection == view.zoom
        await _press(pilot, "escape")
        await _press(pilot, "backspace")
        view = _icicle(pilot).view
        assert view is not None
        assert len(view.zoom) == 1


async def test_search_highlights_as_typed_and_says_how_much_matches(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await pilot.press("2")
        await _press(pilot, "slash", *"postgres")
        await until(pilot, lambda: "% of s" in _screen(pilot), "the share that matches")
        await _press(pilot, "enter", "n")
        first = _icicle(pilot).selection
        assert first
        await pilot.press("n")
        assert _icicle(pilot).selection != first
        await pilot.press("N")
        assert _icicle(pilot).selection == first
        await _press(pilot, "escape")
        assert _app(pilot).looking.search is None


async def test_a_bad_pattern_is_said_in_place_and_keeps_the_last_good_one() -> None:
    async with running((80, 24)) as pilot:
        await _press(pilot, "slash", *"read(")
        await until(pilot, lambda: "! not a pattern" in _screen(pilot), "the complaint")
        assert _app(pilot).looking.search is not None
        assert _app(pilot).looking.search.text == "read"
        await pilot.press("enter")
        assert pilot.app.focused is not _icicle(pilot), "there is something to mend first"
        await _press(pilot, "escape")
        assert "not a pattern" not in _screen(pilot)


async def test_letters_that_are_keys_can_be_searched_for() -> None:
    async with running((80, 24)) as pilot:
        await _press(pilot, "slash", *"qs12 ?")
        assert _app(pilot).looking.search is not None
        assert _app(pilot).looking.search.text == "qs12 ?"


async def test_space_stops_time_and_everything_else_goes_on(size: tuple[int, int]) -> None:
    now = [START_NS + 60 * SECOND]
    store = SyntheticStore(now=lambda: now[0])
    async with running(size, store, refresh_hz=20) as pilot:
        await _press(pilot, "space")
        frozen_at = _app(pilot).snapshot.end_ns  # type: ignore[union-attr]
        assert "FROZEN" in _screen(pilot)
        now[0] += 30 * SECOND
        await _press(pilot, "2", "down", "down", "enter")
        assert _app(pilot).snapshot.end_ns == frozen_at  # type: ignore[union-attr]
        assert len(_icicle(pilot).view.zoom) == 2  # type: ignore[union-attr]
        await _press(pilot, "space")
        await until(pilot, lambda: _app(pilot).snapshot.end_ns == now[0], "the present")  # type: ignore[union-attr]
        assert "FROZEN" not in _screen(pilot)


async def test_brackets_change_the_window(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        totals = []
        for key in ("left_square_bracket", "right_square_bracket", "right_square_bracket"):
            await _press(pilot, key)
            totals.append((_app(pilot).looking.window_s, _icicle(pilot).view.total))  # type: ignore[union-attr]
        assert totals == [(10.0, 8_000), (30.0, 24_000), (60.0, 48_000)]
        assert "last 60 s" in _screen(pilot)


async def test_plus_and_minus_change_the_rate() -> None:
    async with running((80, 24)) as pilot:
        await pilot.press("plus")
        assert _app(pilot).refresh_hz == 4.0
        await pilot.press("minus", "minus")
        assert _app(pilot).refresh_hz == 1.0


async def test_s_orders_by_weight() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "s")
        row = _icicle(pilot).view.rows[1].boxes  # type: ignore[union-attr]
        assert [box.total for box in row] == sorted((box.total for box in row), reverse=True)


async def test_tab_goes_to_the_table_and_enter_looks_at_one_process() -> None:
    async with running((120, 40)) as pilot:
        await pilot.press("tab")
        assert isinstance(pilot.app.focused, ProcessTable)
        await _press(pilot, "down", "enter")
        view = _icicle(pilot).view
        assert view is not None
        assert [box.label.function for box in view.rows[1].boxes] == ["postgres"]
        assert "postgres (1001)" in text_of(_app(pilot))[0]
        await _press(pilot, "escape")
        assert _app(pilot).looking.process is None
        assert len(_icicle(pilot).view.rows[1].boxes) > 3  # type: ignore[union-attr]


async def test_the_table_follows_the_process_and_not_the_row() -> None:
    async with running((120, 40)) as pilot:
        await pilot.press("tab", "down", "down")
        table = pilot.app.screen.query_one(ProcessTable)
        chosen = table.selected
        assert chosen is not None
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        table.show(snapshot.processes[::-1], None)
        assert table.selected is not None
        assert table.selected.key == chosen.key


async def test_the_selection_goes_along_to_the_other_view() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "down", "down", "down")
        chosen = _icicle(pilot).selection
        await _press(pilot, "2")
        await until(pilot, lambda: _icicle(pilot).selected_box is not None, "a selection")
        assert _icicle(pilot).selection == chosen
        assert _icicle(pilot).selected_box.label == chosen[-1]  # type: ignore[union-attr]


async def test_help_lists_every_key_of_what_has_the_focus(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, Panel)
        content = "\n".join("".join(text for text, _ in row) for row in pilot.app.screen._content)
        for words in ("zoom", "next match", "freeze", "shorter", "quit", "palette", "The icicle", "refresh more often"):
            assert words in content
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, Panel)


async def test_the_palette_has_every_action() -> None:
    async with running((120, 40)) as pilot:
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert {"Search", "Freeze", "Zoom", "Sort", "Longer window", "CPU", "Overview", "Help", "Quit"} <= titles
        await pilot.press("ctrl+p", *"freeze")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: _app(pilot).looking.past, "frozen by the palette")


@pytest.mark.parametrize("view", ["cpu", "syscalls", "filters", "gpu"])
async def test_whoever_leaves_as_a_view_begins_is_told_of_no_error(view: str) -> None:
    async with running((120, 40)) as pilot:
        _app(pilot).action_view(view)
        pilot.app.exit()  # before the view has been composed; an error in it is raised here


@pytest.mark.parametrize("what", ["help", "health"])
async def test_whoever_leaves_as_a_panel_opens_is_told_of_no_error(what: str) -> None:
    async with running((120, 40)) as pilot:
        pilot.app.exit()
        getattr(_app(pilot), f"action_{what}")()  # it gets no rows any more; an error in it is raised here
    assert pilot.app.return_code == 0


async def test_an_error_of_ours_is_one_also_while_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Panel) -> None:
        raise RuntimeError("no rows")

    async def ends() -> None:
        async with running((120, 40)) as pilot:
            pilot.app.exit()
            _app(pilot).action_help()

    monkeypatch.setattr(Panel, "on_mount", broken)
    with pytest.raises(RuntimeError, match="no rows"):
        await ends()


async def test_q_quits(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app._exit


def _grounds(app: ApertureApp) -> set[str]:
    strips = app.screen._compositor.render_strips()
    styles = [segment.style for strip in strips for segment in strip if segment.style]
    return {style.bgcolor.get_truecolor().hex for style in styles if style.bgcolor}


async def test_another_theme_repaints_every_view() -> None:
    async with running((80, 24)) as pilot:
        await _press(pilot, "2", "1")
        before = _app(pilot).palette.look.colours["background"]
        pilot.app.theme = "aperture-light"
        for keys in ((), ("2",)):
            await _press(pilot, *keys)
            assert _app(pilot).palette.look.colours["background"] in _grounds(_app(pilot))
            assert before not in _grounds(_app(pilot))
        assert next(iter(pilot.app.available_themes)) == "aperture-dark"


# -- the mouse


async def test_a_click_selects_and_a_double_click_zooms() -> None:
    async with running((120, 40)) as pilot:
        icicle = _icicle(pilot)
        box = icicle.view.rows[1].boxes[1]  # type: ignore[union-attr]
        await pilot.click(Icicle, offset=(box.left + 2, 1))
        assert [label.function for label in icicle.selection] == [box.label.function]
        await pilot.click(Icicle, offset=(box.left + 2, 1), times=2)
        await settled(pilot)
        assert icicle.view.zoomed == box.total  # type: ignore[union-attr]


async def test_a_click_on_the_keys_line_does_what_it_says() -> None:
    async with running((120, 40)) as pilot:
        at = text_of(_app(pilot))[-1].index("freeze")
        await pilot.click("#keys", offset=(at, 0))
        await settled(pilot)
        assert _app(pilot).looking.past
        assert "space go on" in text_of(_app(pilot))[-1], "what it does now"
        await pilot.click("#keys", offset=(at, 0))
        await settled(pilot)
        assert not _app(pilot).looking.past
        assert "space freeze" in text_of(_app(pilot))[-1]


@pytest.mark.parametrize(("size", "word"), [((120, 40), "5 Off-CPU"), ((80, 24), "4 Locks")])
async def test_a_click_on_the_name_of_a_view_goes_there(size: tuple[int, int], word: str) -> None:
    async with running(size) as pilot:
        at = text_of(_app(pilot))[0].index(word)
        await pilot.click("#header", offset=(at + 3, 0))
        await settled(pilot)
        assert _app(pilot).current_mode == {"5": "offcpu", "4": "locks"}[word[0]]
        await pilot.click("#header", offset=(3, 0))
        await settled(pilot)
        assert _app(pilot).current_mode == {"5": "offcpu", "4": "locks"}[word[0]], "nothing is meant by our name"


@pytest.mark.parametrize("size", [(120, 40), (60, 16)])
async def test_a_click_at_the_line_of_health_shows_all_of_it(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await pilot.click("#health", offset=(4, 0))
        await pilot.pause()
        assert isinstance(pilot.app.screen, Panel)
        assert "Health" in _screen(pilot)


async def test_a_panel_is_closed_with_the_mouse_alone() -> None:
    """By its border, where it says how it is closed, or beside it; what is clicked within it is only read."""
    for size, beside in (((120, 40), (1, 5)), ((80, 24), (0, 5)), ((80, 24), (75, 23))):
        async with running(size) as pilot:
            await pilot.press("question_mark")
            await pilot.pause()
            await pilot.click(offset=(size[0] // 2, 8))
            assert isinstance(pilot.app.screen, Panel)
            assert "esc closes" in _screen(pilot)
            await pilot.click(offset=beside)
            await pilot.pause()
            assert not isinstance(pilot.app.screen, Panel)


async def test_a_panel_has_the_colours_that_are_chosen_while_it_is_there() -> None:
    async with running((120, 40)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        pilot.app.theme = "aperture-light"
        await pilot.pause(0.2)
        rows = pilot.app.screen.query_one(PanelRows)
        (_, _, ground), *_ = [
            (segment.text, y, segment.style.bgcolor)  # type: ignore[union-attr]
            for y in range(3)
            for segment in rows.render_line(y)
            if "Keys" in segment.text
        ]
        assert ground is not None
        assert ground.name == look("aperture-light").colours["bar"]


# -- trouble


async def test_hostile_names_break_nothing() -> None:
    async with running((120, 40)) as pilot:
        screen = _screen(pilot)
        assert "\x1b" not in screen
        assert "\u202e" not in screen
        assert "evil\\x1b[31m\\u202ename\\n" in screen
        assert "视频转码服务器" in screen


async def test_no_samples_yet_is_said() -> None:
    async with running((80, 24), SyntheticStore(now=lambda: START_NS)) as pilot:
        assert "No samples yet" in _screen(pilot)
        await pilot.press("down", "enter", "n", "escape", "2", "tab")
        assert "No samples yet" in _screen(pilot)


async def test_a_window_in_which_nothing_ran_is_not_called_a_beginning() -> None:
    class Quiet(SyntheticStore):
        def _selected(self, query: Any) -> Any:
            return super()._selected(replace(query, pids=(1,)))

    async with running((80, 24), Quiet()) as pilot:
        assert "No samples here" in _screen(pilot)


async def test_what_keeps_it_from_starting_is_shown_in_place() -> None:
    def connect() -> Store:
        raise RuntimeError("needs CAP_BPF and CAP_PERFMON: run with sudo")

    async with running((80, 24), connect) as pilot:
        assert "needs CAP_BPF and CAP_PERFMON: run with sudo" in _screen(pilot)
        await pilot.press(
            "2", "down", "slash", "a", "escape", "space", "question_mark", "escape", "exclamation_mark", "escape"
        )
        assert pilot.app.is_running
        await pilot.press("q")


async def test_a_store_that_fails_is_said_and_the_picture_stays() -> None:
    store = SyntheticStore()
    async with running((80, 24), store, refresh_hz=20) as pilot:
        store.failing = OSError("the aggregator went away")
        await until(pilot, lambda: "! the aggregator went away" in _screen(pilot), "the error")
        assert "gunicorn" in _screen(pilot)
        store.failing = None
        await until(pilot, lambda: "went away" not in _screen(pilot), "recovery")


async def test_losses_are_on_the_screen_and_in_full_behind_a_key() -> None:
    store = SyntheticStore()
    store.states = [Health("cpu", State.RUNNING, "", 1, {"ring full": 37}, {}, 5)]
    async with running((80, 24), store) as pilot:
        assert "! cpu lost 37" in _screen(pilot)
        await pilot.press("exclamation_mark")
        assert "lost 37: ring full" in _screen(pilot)


STACKS = {
    "bad": [Flag.WHOLE, Stop.NO_ROW << STOP_SHIFT | Flag.GUESSED],
    "unknown": [Flag.NONE, Flag.TRUNCATED],
}
"""Flags that the programs have in turn."""


@pytest.mark.parametrize("flags", STACKS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_pictures_of_stacks_that_are_not_whole(flags: str, size: tuple[int, int]) -> None:
    words = {name: STACKS[flags][i % 2] for i, (name, *_) in enumerate(PROGRAMS)}
    async with running(size, SyntheticStore(flags=words)) as pilot:
        assert_golden(f"stacks-{flags}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_why_stacks_are_not_whole_is_behind_a_key(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "exclamation_mark", *["down"] * 12)
        assert_golden(f"health-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_whole_stacks_are_that_of_the_chosen_process() -> None:
    async with running((120, 40), SyntheticStore(flags={"postgres": Stop.FAULT << STOP_SHIFT})) as pilot:
        await _press(pilot, "tab", "down", "enter")
        assert "stacks 0.0 %" in text_of(_app(pilot))[-2]
        total = _icicle(pilot).view.total  # type: ignore[union-attr]
        assert _app(pilot).snapshot.stacks == Completeness(total, stops={Stop.FAULT: total})  # type: ignore[union-attr]


async def test_what_starts_is_said_until_it_runs() -> None:
    store = SyntheticStore()
    running_state = store.states[0]
    store.states = [Health("cpu", State.STARTING, "compiling BPF programs…")]
    async with running((120, 40), store, refresh_hz=20) as pilot:
        assert "compiling BPF programs…" in text_of(_app(pilot))[0]
        store.states = [running_state]
        await until(pilot, lambda: "compiling" not in _screen(pilot), "the end of the start")


@pytest.mark.parametrize("size", [(19, 4), (10, 3), (1, 1), (20, 5), (21, 30), (300, 6)], ids=str)
async def test_any_size_draws_something(size: tuple[int, int]) -> None:
    async with running((80, 24)) as pilot:
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: tuple(pilot.app.screen._compositor.size) == size, "the new size")
        assert len(text_of(_app(pilot))) == size[1]


async def test_growing_and_shrinking_never_raises() -> None:
    async with running((80, 24)) as pilot:
        for width, height in [(200, 60), (40, 10), (15, 3), (90, 20), (300, 80), (79, 13), (80, 24)]:
            await pilot.resize_terminal(width, height)
            await pilot.press("down")
            await until(pilot, lambda: tuple(pilot.app.screen._compositor.size) == (width, height), "the new size")  # noqa: B023
            text_of(_app(pilot))
        await settled(pilot)
        assert _icicle(pilot).view.width == 80  # type: ignore[union-attr]


async def test_only_rows_that_changed_are_painted() -> None:
    async with running((120, 40)) as pilot:
        await pilot.press("down")
        icicle = _icicle(pilot)
        before = icicle.repainted
        await pilot.press("down")
        assert icicle.repainted - before == 2, "the row that was left and the one that was reached"


async def test_what_a_key_selects_is_described_at_once() -> None:
    async with running((120, 40)) as pilot:
        icicle = _icicle(pilot)
        icicle.action_move(1, 0)
        box = icicle.selected_box
        details = pilot.app.screen.query_one(Details)
        assert box is not None
        assert box.label.function in "".join(text for text, _ in details.shown_rows[0]), "painted with the cursor"
