"""The keys of the forms, on a terminal of each size: pictures, and that what is hidden is always said."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Group
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.forms.crumbs import Crumbs
from aperture_tui.tui.forms.model import THRESHOLDS, Which
from aperture_tui.tui.forms.orient import ABOVE
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.navigate import Place
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import Box, IcicleView
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.widgets.keys import live_keys
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.synthetic import SyntheticStore
from tests.tui.waiting import filled

SIZES = pytest.mark.parametrize(
    "size", [(120, 40), (80, 24), (200, 50), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _view(pilot: Pilot[Any]) -> ViewScreen:
    view = _app(pilot)._view
    assert isinstance(view, ViewScreen)
    return view


def _icicle(pilot: Pilot[Any]) -> IcicleView:
    view = _view(pilot).icicle.view
    assert view is not None
    return view


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


def _crumbs(pilot: Pilot[Any]) -> str:
    line = _view(pilot).query_one(Crumbs)
    return text_of(_app(pilot))[line.region.y] if line.display else ""


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


def _boxes(view: IcicleView) -> list[Box]:
    return [box for row in view.rows for box in row.boxes]


async def _select(pilot: Pilot[Any], function: str) -> Box:
    """Put the cursor on the widest frame of this name."""
    view = _icicle(pilot)
    found = [
        (box.total, Place(y, i))
        for y, row in enumerate(view.rows)
        for i, box in enumerate(row.boxes)
        if box.label.function == function
    ]
    place = max(found)[1]
    _view(pilot).icicle._go(place)
    await settled(pilot)
    return view.rows[place.row].boxes[place.box]


# -- pictures


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("callers", ["v", "down", "down"]),
        ("functions", ["v", "v", "down"]),
        ("functions-compared", ["c", "v", "v", "s", "s"]),
        ("both-sides", ["v", "v", *["down"] * 18, "enter"]),
        ("flame", ["i", "up", "up"]),
        ("hidden", ["K", "r", "percent_sign", "percent_sign", *["down"] * 4, "m", "down", "enter"]),
        ("by-module", [*["t"] * 4]),
    ],
)
@SIZES
async def test_pictures(name: str, keys: list[str], size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2", *keys)
        assert_golden(f"form-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24)) as pilot:
        await _press(pilot, "2", "c", "v", "v", "down")
        assert_golden("mono-form-functions-80x24", text_of(_app(pilot)))


# -- keys


async def test_every_key_has_words() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2")
        told = {name: key.does for key in live_keys(pilot.app.screen) for name in key.keys}
        assert {"i", "v", "V", "S", "K", "m", "M", "r", "%", "t", "s"} <= told.keys()


@SIZES
async def test_v_goes_through_the_forms_and_back(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2")
        forms = []
        for key in ("v", "v", "v", "V", "V"):
            await _press(pilot, key)
            forms.append(_app(pilot).looking.form.which)
            table = forms[-1] is Which.FUNCTIONS
            assert _view(pilot).functions.display == table
            assert _view(pilot).icicle.display != table
            assert isinstance(pilot.app.focused, FunctionTable if table else Icicle)
            assert (forms[-1].value in _crumbs(pilot)) == (forms[-1] is not Which.TREE)
        assert forms == [Which.CALLERS, Which.FUNCTIONS, Which.TREE, Which.FUNCTIONS, Which.CALLERS]


async def test_callers_begin_with_what_each_function_has_by_itself() -> None:
    async with running((200, 50)) as pilot:
        await _press(pilot, "2", "v")
        view = _icicle(pilot)
        assert {box.own for box in _boxes(view)} == {-1}
        first = {box.label: box.total for box in view.rows[1].boxes}
        await _select(pilot, "qsort_tuple")
        assert " self" not in _screen(pilot)
        await _press(pilot, "enter")
        assert [box.label.function for box in _icicle(pilot).rows[-1].boxes] == ["postgres"]
        await _press(pilot, "v")
        by_itself = {line.label: line.own for line in _view(pilot).functions._lines}
        assert len(first) > 10
        assert first == {label: by_itself.get(label) for label in first}


async def test_i_turns_the_picture_over_and_up_leads_to_callees() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2")
        before = _icicle(pilot)
        await _press(pilot, "i")
        after = _icicle(pilot)
        assert after.rows == before.rows[::-1]
        assert after.rows[-1].boxes[0].label.kind is FrameKind.ROOT
        await _press(pilot, "up", "up")
        assert len(_view(pilot).icicle.selection) == 2
        await _press(pilot, "down")
        assert len(_view(pilot).icicle.selection) == 1
        rows = text_of(_app(pilot))
        icicle = _view(pilot).icicle.region
        assert rows[icicle.bottom - 1].startswith("▏all")
        await _press(pilot, "up", "up", "enter")
        assert _icicle(pilot).rows[0].boxes, "what was zoomed to has callees"
        assert _view(pilot).icicle.selection == _app(pilot).looking.zoom
        await _press(pilot, "v", "v", "v", "i")
        assert _icicle(pilot).flip == 0


@SIZES
async def test_both_sides_of_a_function_and_back(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2")
        box = await _select(pilot, "__libc_start_call_main")
        before = _view(pilot).icicle.selection
        await _press(pilot, "S")
        view = _icicle(pilot)
        middle = view.rows[view.flip].boxes[0]
        assert middle.label == box.label
        assert middle.total > box.total, "it is called in several processes"
        above = view.rows[view.flip - 1].boxes
        assert {one.label.function for one in above} == {"__libc_start_main_impl"}
        assert "callers and callees of" in _crumbs(pilot) or size[0] == 40
        await _press(pilot, "up", "up")
        assert _view(pilot).icicle.selection[0] == ABOVE
        assert len(_view(pilot).icicle.selection) == 3
        await _press(pilot, "enter")
        assert _app(pilot).looking.zoom[0] == ABOVE
        await _press(pilot, "escape", "escape")
        assert _app(pilot).looking.zoom == ()
        await _press(pilot, "escape")
        assert _app(pilot).looking.form.function is None
        assert _view(pilot).icicle.selection == before


@SIZES
async def test_the_function_is_in_sight_wherever_its_sides_were_opened_from(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2", "v", "v")
        table = _view(pilot).functions
        table._choose(next(i for i, line in enumerate(table._lines) if line.label.function == "do_syscall_64"))
        await _press(pilot, "enter")
        icicle = _view(pilot).icicle
        view = _icicle(pilot)
        assert 0 <= view.flip - icicle.scroll_offset.y < icicle.size.height
        await _press(pilot, "escape", "v")
        await _press(pilot, "i")
        assert "all" in text_of(_app(pilot))[icicle.region.bottom - 1]


async def test_a_zoom_below_is_kept_while_time_passes_and_the_zoom_outside_is_found_again() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "down", "down", "enter")
        zoom = _app(pilot).looking.zoom
        await _press(pilot, "down", "down", "S", "down", "enter")
        assert len(_app(pilot).looking.zoom) == 2
        view = _icicle(pilot)
        assert view.zoom == _app(pilot).looking.zoom
        assert view.zoomed <= view.rows[view.flip].boxes[0].total
        await _press(pilot, "escape")
        assert _app(pilot).looking.zoom == ()
        await _press(pilot, "escape")
        assert _app(pilot).looking.zoom == zoom


async def test_what_is_no_function_has_no_sides() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "S")
        assert _app(pilot).looking.form.function is None
        await _press(pilot, "down", "S")
        assert _app(pilot).looking.form.function is None, "a process"


async def test_enter_in_the_table_opens_both_sides_and_escape_leads_back_to_it() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "v", "v", "down", "down", "enter")
        assert isinstance(pilot.app.focused, Icicle)
        function = _app(pilot).looking.form.function
        assert function is not None
        await _press(pilot, "escape")
        table = _view(pilot).functions
        assert pilot.app.focused is table
        assert table.selected is not None
        assert table.selected.label == function


async def test_the_kernel_is_hidden_and_its_weight_is_its_callers() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2")
        total = _icicle(pilot).total
        await _press(pilot, "K")
        assert {FrameKind.KERNEL} & {box.label.kind for box in _boxes(_icicle(pilot))} == set()
        assert _icicle(pilot).total == total
        assert "kernel hidden" in _crumbs(pilot)
        await _press(pilot, "K")
        assert FrameKind.KERNEL in {box.label.kind for box in _boxes(_icicle(pilot))}
        assert _crumbs(pilot) == ""


@SIZES
async def test_modules_are_hidden_one_by_one_and_shown_together(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2")
        box = await _select(pilot, "__libc_start_main_impl")
        await _press(pilot, "m")
        assert _app(pilot).looking.form.shape.without == (box.label.module,)
        assert box.label.module not in {one.label.module for one in _boxes(_icicle(pilot))}
        assert "libc.so.6" in _crumbs(pilot)
        other = await _select(pilot, "handle_request")
        await _press(pilot, "m")
        assert _app(pilot).looking.form.shape.without == ("libc.so.6", other.label.file)
        assert "2 modules" in _crumbs(pilot) or "middleware.py" in _crumbs(pilot)
        await _press(pilot, "M")
        assert _app(pilot).looking.form.shape.plain
        assert _crumbs(pilot) == ""


async def test_a_process_has_no_module_to_hide() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "down", "m")
        assert _app(pilot).looking.form.shape.plain


async def test_recursion_is_folded_and_it_is_said() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "r")
        assert _app(pilot).looking.form.shape.folded
        assert "recursion folded" in _crumbs(pilot)
        await _press(pilot, "r")
        assert _crumbs(pilot) == ""


@SIZES
async def test_thresholds_hide_what_is_narrow_and_say_so(size: tuple[int, int]) -> None:
    async with running(size, SyntheticStore(nodes=5000)) as pilot:
        await _press(pilot, "2")
        for least in (*THRESHOLDS[1:], 0.0):
            await _press(pilot, "percent_sign")
            view = _icicle(pilot)
            assert _app(pilot).looking.form.least == least
            assert min(box.total for box in _boxes(view)) >= least * view.total
            said = f"{100 * least:g}" in _crumbs(pilot) and ("under" in _crumbs(pilot) or "<" in _crumbs(pilot))
            assert said == (least > 0)
            assert (view.left_out > 0) == (least > 0)


async def test_groups_come_one_after_the_other_and_the_header_says_which() -> None:
    async with running((200, 50), filled()) as pilot:
        await _press(pilot, "2")
        told = []
        for _ in range(5):
            await _press(pilot, "t")
            looking = _app(pilot).looking
            told.append((looking.group, looking.form.shape.by_module))
            first = text_of(_app(pilot))[0]
            word = "module" if looking.form.shape.by_module else looking.group.name.lower()
            assert (f"by {word}" in first) == (told[-1] != (Group.PROCESS, False))
            if told[-1] != (Group.PROCESS, False) and looking.group is not Group.THREAD:
                assert {box.label.kind for box in _icicle(pilot).rows[1].boxes} == {FrameKind.TAG}
        plain = [(group, False) for group in (Group.THREAD, Group.CGROUP, Group.CONTAINER)]
        assert told == [*plain, (Group.PROCESS, True), (Group.PROCESS, False)]


async def test_modules_of_the_innermost_frames_share_the_whole() -> None:
    async with running((200, 50)) as pilot:
        await _press(pilot, "2", *["t"] * 4)
        groups = {box.label.function for box in _icicle(pilot).rows[1].boxes}
        assert {"module: [kernel]", "module: postgres", "module: _json.so"} <= groups


async def test_s_orders_by_name_weight_and_change() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2")
        for by_weight in (True, False):
            await _press(pilot, "s")
            assert (_app(pilot).looking.by_weight, _app(pilot).looking.form.by_change) == (by_weight, False)
        await _press(pilot, "c")
        orders = []
        for _ in range(3):
            await _press(pilot, "s")
            orders.append((_app(pilot).looking.by_weight, _app(pilot).looking.form.by_change))
        assert orders == [(True, False), (False, True), (False, False)]


async def test_the_table_is_sorted_by_each_of_its_columns() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "v", "v")
        table = _view(pilot).functions
        sorts = []
        for _ in range(4):
            lines = table._lines
            sorts.append(table.sort)
            values = {
                "total": [-line.total for line in lines],
                "self": [-line.own for line in lines],
                "name": [line.label.function for line in lines],
                "module": [line.label.module for line in lines],
            }[table.sort]
            assert values == sorted(values)  # type: ignore[type-var]
            await _press(pilot, "s")
        assert sorts == ["total", "self", "name", "module"]
        await pilot.click(FunctionTable, offset=(2, 0))
        await settled(pilot)
        assert table.sort == "name"
        await pilot.click(FunctionTable, offset=(2, 5))
        await settled(pilot)
        assert table.selected == table._lines[4]


async def test_a_search_narrows_the_table_and_says_what_matches() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "v", "v", "slash")
        await pilot.press(*"Exec")
        await settled(pilot)
        assert {line.label.function[:4] for line in _view(pilot).functions._lines} == {"Exec"}
        assert "% of samples match" in _screen(pilot)
        await _press(pilot, "enter", "escape")
        assert len(_view(pilot).functions._lines) > 20


async def test_a_search_says_the_same_share_in_every_form() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "slash")
        await pilot.press(*"vfs_read")
        await _press(pilot, "enter")
        matching = []
        for _ in range(3):
            matching.append(_icicle(pilot).matching)
            await _press(pilot, "v")
        assert matching[0]
        assert len(set(matching)) == 1


async def test_the_table_of_a_zoom_is_of_what_is_under_it() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "down", "enter", "V")
        lines = _view(pilot).functions._lines
        view = _view(pilot).functions.view
        assert view is not None
        assert max(line.total for line in lines) <= view.zoomed < view.whole
        assert "gunicorn" in _crumbs(pilot)


@SIZES
async def test_a_click_at_a_step_leads_back_to_it(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _press(pilot, "2", "down", "down", "down", "enter")
        zoom = _app(pilot).looking.zoom
        line = _view(pilot).query_one(Crumbs)
        begin, _, depth = line._places[-2]
        await pilot.click(Crumbs, offset=(begin, 0))
        await settled(pilot)
        assert _app(pilot).looking.zoom == zoom[:depth]
        begin, _, depth = line._places[0] if line._places else (0, 0, 0)
        assert depth == 0


async def test_other_views_have_the_same_forms() -> None:
    async with running((120, 40), filled()) as pilot:
        for number, kind in (("1", Kind.CPU), ("4", Kind.LOCK), ("5", Kind.OFFCPU)):
            await _press(pilot, number)
            _view(pilot).icicle.focus()
            await _press(pilot, "v", "v")
            assert _app(pilot).snapshot is not None
            assert _app(pilot).snapshot.request.kind is kind
            assert _view(pilot).functions.view is not None
            assert _view(pilot).functions._lines
            assert _view(pilot).functions.region.height > 0
            await _press(pilot, "v")


async def test_shape_and_form_go_along_to_other_views() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "2", "K", "5")
        assert "kernel hidden" in _crumbs(pilot)


async def test_what_is_not_in_the_window_any_more_is_said() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2")
        await _select(pilot, "do_syscall_64")
        await _press(pilot, "S", "K")
        assert "This function is in no stack here" in _screen(pilot)
        await _press(pilot, "K")
        assert _icicle(pilot).flip > 0


async def test_nothing_is_reshaped_for_a_key_that_only_moves() -> None:
    store = SyntheticStore()
    async with running((120, 40), store) as pilot:
        await _press(pilot, "space", "2", "K", "v")
        store.failing = RuntimeError("asked")
        shaper = _app(pilot)._presenter
        await _press(pilot, "down", "down", "enter", "s")
        assert shaper is _app(pilot)._presenter
        assert _app(pilot).snapshot is not None
        assert not _app(pilot).snapshot.error
