"""The keys of the forms, on a terminal of each size, and their pictures."""

from __future__ import annotations

import pytest

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.tui.forms import pictures
from aperture_tui.tui.forms.crumbs import Crumbs
from aperture_tui.tui.forms.model import Which
from aperture_tui.tui.forms.orient import ABOVE
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.widgets.keys import live_keys
from tests.tui.forms.driving import SIZES, app_of, boxes_of, crumbs_of, icicle_of, press, screen_of, select, view_of
from tests.tui.scenes import SCENES, shown
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.synthetic import SyntheticStore
from tests.tui.waiting import filled

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
        await press(pilot, "2", *keys)
        assert_golden(f"form-{name}-{size[0]}x{size[1]}", text_of(app_of(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24)) as pilot:
        await press(pilot, "2", "c", "v", "v", "down")
        assert_golden("mono-form-functions-80x24", text_of(app_of(pilot)))


# -- keys


async def test_every_key_has_words() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2")
        told = {name: key.does for key in live_keys(pilot.app.screen) for name in key.keys}
        assert {"i", "v", "V", "S", "K", "m", "M", "r", "%", "t", "s"} <= told.keys()


@SIZES
async def test_v_goes_through_the_forms_and_back(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await press(pilot, "2")
        forms = []
        for key in ("v", "v", "v", "V", "V"):
            await press(pilot, key)
            forms.append(app_of(pilot).looking.form.which)
            table = forms[-1] is Which.FUNCTIONS
            assert view_of(pilot).functions.display == table
            assert view_of(pilot).icicle.display != table
            assert isinstance(pilot.app.focused, FunctionTable if table else Icicle)
            assert (forms[-1].value in crumbs_of(pilot)) == (forms[-1] is not Which.TREE)
        assert forms == [Which.CALLERS, Which.FUNCTIONS, Which.TREE, Which.FUNCTIONS, Which.CALLERS]


async def test_callers_begin_with_what_each_function_has_by_itself() -> None:
    async with running((200, 50)) as pilot:
        await press(pilot, "2", "v")
        view = icicle_of(pilot)
        assert {box.own for box in boxes_of(view)} == {-1}
        first = {box.label: box.total for box in view.rows[1].boxes}
        await select(pilot, "qsort_tuple")
        assert " self" not in screen_of(pilot)
        await press(pilot, "enter")
        assert [box.label.function for box in icicle_of(pilot).rows[-1].boxes] == ["postgres"]
        await press(pilot, "v")
        by_itself = {line.label: line.own for line in view_of(pilot).functions._lines}
        assert len(first) > 10
        assert first == {label: by_itself.get(label) for label in first}


async def test_i_turns_the_picture_over_and_up_leads_to_callees() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2")
        before = icicle_of(pilot)
        await press(pilot, "i")
        after = icicle_of(pilot)
        assert after.rows == before.rows[::-1]
        assert after.rows[-1].boxes[0].label.kind is FrameKind.ROOT
        await press(pilot, "up", "up")
        assert len(view_of(pilot).icicle.selection) == 2
        await press(pilot, "down")
        assert len(view_of(pilot).icicle.selection) == 1
        rows = text_of(app_of(pilot))
        icicle = view_of(pilot).icicle.region
        assert rows[icicle.bottom - 1].startswith("▏all")
        await press(pilot, "up", "up", "enter")
        assert icicle_of(pilot).rows[0].boxes, "what was zoomed to has callees"
        assert view_of(pilot).icicle.selection == app_of(pilot).looking.zoom
        await press(pilot, "v", "v", "v", "i")
        assert icicle_of(pilot).flip == 0


@SIZES
async def test_both_sides_of_a_function_and_back(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await press(pilot, "2")
        box = await select(pilot, "__libc_start_call_main")
        before = view_of(pilot).icicle.selection
        await press(pilot, "S")
        view = icicle_of(pilot)
        middle = view.rows[view.flip].boxes[0]
        assert middle.label == box.label
        assert middle.total > box.total, "it is called in several processes"
        above = view.rows[view.flip - 1].boxes
        assert {one.label.function for one in above} == {"__libc_start_main_impl"}
        assert "callers and callees of" in crumbs_of(pilot) or size[0] == 40
        await press(pilot, "up", "up")
        assert view_of(pilot).icicle.selection[0] == ABOVE
        assert len(view_of(pilot).icicle.selection) == 3
        await press(pilot, "enter")
        assert app_of(pilot).looking.zoom[0] == ABOVE
        await press(pilot, "escape", "escape")
        assert app_of(pilot).looking.zoom == ()
        await press(pilot, "escape")
        assert app_of(pilot).looking.form.function is None
        assert view_of(pilot).icicle.selection == before


@SIZES
async def test_the_function_is_in_sight_wherever_its_sides_were_opened_from(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await press(pilot, "2", "v", "v")
        table = view_of(pilot).functions
        table._choose(next(i for i, line in enumerate(table._lines) if line.label.function == "do_syscall_64"))
        await press(pilot, "enter")
        icicle = view_of(pilot).icicle
        view = icicle_of(pilot)
        assert 0 <= view.flip - icicle.scroll_offset.y < icicle.size.height
        await press(pilot, "escape", "v")
        await press(pilot, "i")
        assert "all" in text_of(app_of(pilot))[icicle.region.bottom - 1]


async def test_a_zoom_below_is_kept_while_time_passes_and_the_zoom_outside_is_found_again() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "down", "down", "enter")
        zoom = app_of(pilot).looking.zoom
        await press(pilot, "down", "down", "S", "down", "enter")
        assert len(app_of(pilot).looking.zoom) == 2
        view = icicle_of(pilot)
        assert view.zoom == app_of(pilot).looking.zoom
        assert view.zoomed <= view.rows[view.flip].boxes[0].total
        await press(pilot, "escape")
        assert app_of(pilot).looking.zoom == ()
        await press(pilot, "escape")
        assert app_of(pilot).looking.zoom == zoom


async def test_what_is_no_function_has_no_sides() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "S")
        assert app_of(pilot).looking.form.function is None
        await press(pilot, "down", "S")
        assert app_of(pilot).looking.form.function is None, "a process"


async def test_enter_in_the_table_opens_both_sides_and_escape_leads_back_to_it() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "v", "v", "down", "down", "enter")
        assert isinstance(pilot.app.focused, Icicle)
        function = app_of(pilot).looking.form.function
        assert function is not None
        await press(pilot, "escape")
        table = view_of(pilot).functions
        assert pilot.app.focused is table
        assert table.selected is not None
        assert table.selected.label == function


async def test_s_orders_by_name_weight_and_change() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2")
        for by_weight in (True, False):
            await press(pilot, "s")
            assert (app_of(pilot).looking.by_weight, app_of(pilot).looking.form.by_change) == (by_weight, False)
        await press(pilot, "c")
        orders = []
        for _ in range(3):
            await press(pilot, "s")
            orders.append((app_of(pilot).looking.by_weight, app_of(pilot).looking.form.by_change))
        assert orders == [(True, False), (False, True), (False, False)]


async def test_the_table_is_sorted_by_each_of_its_columns() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "v", "v")
        table = view_of(pilot).functions
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
            await press(pilot, "s")
        assert sorts == ["total", "self", "name", "module"]
        await pilot.click(FunctionTable, offset=(2, 0))
        await settled(pilot)
        assert table.sort == "name"
        heading = "".join(text for text, _ in table.shown_rows[0])
        for word, sort in ((" SELF ", "self"), (" TOTAL ", "total"), ("SELF %", "self"), ("FUNCTION", "name")):
            await pilot.click(FunctionTable, offset=(heading.index(word) + 2, 0))
            await settled(pilot)
            assert table.sort == sort
        await pilot.click(FunctionTable, offset=(2, 5))
        await settled(pilot)
        assert table.selected == table._lines[4]


async def test_a_search_narrows_the_table_and_says_what_matches() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "v", "v", "slash")
        await pilot.press(*"Exec")
        await settled(pilot)
        assert {line.label.function[:4] for line in view_of(pilot).functions._lines} == {"Exec"}
        assert "% of samples match" in screen_of(pilot)
        await press(pilot, "enter", "escape")
        assert len(view_of(pilot).functions._lines) > 20


async def test_a_search_says_the_same_share_in_every_form() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "slash")
        await pilot.press(*"vfs_read")
        await press(pilot, "enter")
        matching = []
        for _ in range(3):
            matching.append(icicle_of(pilot).matching)
            await press(pilot, "v")
        assert matching[0]
        assert len(set(matching)) == 1


async def test_the_table_of_a_zoom_is_of_what_is_under_it() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "down", "enter", "V")
        lines = view_of(pilot).functions._lines
        view = view_of(pilot).functions.view
        assert view is not None
        assert max(line.total for line in lines) <= view.zoomed < view.whole
        assert "gunicorn" in crumbs_of(pilot)


@SIZES
async def test_a_click_at_a_step_leads_back_to_it(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await press(pilot, "2", "down", "down", "down", "enter")
        zoom = app_of(pilot).looking.zoom
        line = view_of(pilot).query_one(Crumbs)
        begin, _, depth = line._places[-2]
        await pilot.click(Crumbs, offset=(begin, 0))
        await settled(pilot)
        assert app_of(pilot).looking.zoom == zoom[:depth]
        begin, _, depth = line._places[0] if line._places else (0, 0, 0)
        assert depth == 0


async def test_other_views_have_the_same_forms() -> None:
    async with running((120, 40), filled()) as pilot:
        for number, kind in (("1", Kind.CPU), ("4", Kind.LOCK), ("5", Kind.OFFCPU)):
            await press(pilot, number)
            view_of(pilot).icicle.focus()
            await press(pilot, "v", "v")
            assert app_of(pilot).snapshot is not None
            assert app_of(pilot).snapshot.request.kind is kind
            assert view_of(pilot).functions.view is not None
            assert view_of(pilot).functions._lines
            assert view_of(pilot).functions.region.height > 0
            await press(pilot, "v")


async def test_nothing_is_asked_or_reshaped_for_a_key_that_only_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for name in ("callers", "callees"):
        plain = getattr(pictures, name)
        monkeypatch.setattr(
            pictures, name, lambda *args, name=name, plain=plain, **rest: (made.append(name), plain(*args, **rest))[1]
        )
    store = SyntheticStore()
    async with running((120, 40), store) as pilot:
        await press(pilot, "space", "2", "K", "v")
        assert made
        store.failing = RuntimeError("asked")
        del made[:]
        await press(pilot, "down", "down", "s", "i", "percent_sign", "slash")
        await pilot.press(*"read")
        await press(pilot, "enter", "n")
        assert made == []
        assert app_of(pilot).snapshot is not None
        assert not app_of(pilot).snapshot.error


async def test_weights_in_place_of_shares_in_every_form() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "c", "C")
        for _ in range(3):
            assert icicle_of(pilot).absolute
            assert icicle_of(pilot).base_total == icicle_of(pilot).total
            await press(pilot, "v")
        await press(pilot, "V")
        view = view_of(pilot).functions.view
        assert view is not None
        assert view.absolute
        await press(pilot, "down", "down", "enter")
        sides = icicle_of(pilot)
        assert sides.absolute
        assert {box.was for box in boxes_of(sides)} == {box.total for box in boxes_of(sides)}
        assert "by weight" in text_of(app_of(pilot))[0]


@pytest.mark.parametrize(
    ("scene", "keys", "said"),
    [
        ("locks", ["v"], "waiters"),
        ("wakers", ["v"], "wakers"),
        ("offcpu", ["v"], "waiters"),
        ("gpu-stacks", ["v"], "launchers"),
        ("syscalls", ["v"], ""),  # no call has a stack there
        ("gpu-kernels", ["v"], ""),
        ("gpu-stacks", ["v", "p"], ""),
        ("gpu", ["v", "P"], "launchers"),
    ],
)
async def test_the_line_speaks_of_the_tree_that_is_on_the_screen(scene: str, keys: list[str], said: str) -> None:
    async with shown(SCENES[scene], (80, 24)) as pilot:
        await press(pilot, *keys)
        assert crumbs_of(pilot).strip() == said


async def test_the_line_comes_and_goes_with_the_icicle() -> None:
    async with shown(SCENES["locks"], (80, 24)) as pilot:
        await press(pilot, "v")
        assert crumbs_of(pilot).strip() == "waiters"
        for size, said in (((40, 10), ""), ((80, 24), "waiters")):
            await pilot.resize_terminal(*size)
            await settled(pilot)
            assert crumbs_of(pilot).strip() == said
