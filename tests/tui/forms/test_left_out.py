"""What is left out of a call tree, by whom stacks are told apart, and that it is always said."""

from __future__ import annotations

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Group
from aperture_tui.tui.forms.model import THRESHOLDS
from tests.tui.forms.driving import SIZES, app_of, boxes_of, crumbs_of, icicle_of, press, screen_of, select
from tests.tui.screen import running, text_of
from tests.tui.synthetic import SyntheticStore
from tests.tui.waiting import filled


async def test_the_kernel_is_hidden_and_its_weight_is_its_callers() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2")
        total = icicle_of(pilot).total
        await press(pilot, "K")
        assert {FrameKind.KERNEL} & {box.label.kind for box in boxes_of(icicle_of(pilot))} == set()
        assert icicle_of(pilot).total == total
        assert "kernel hidden" in crumbs_of(pilot)
        await press(pilot, "K")
        assert FrameKind.KERNEL in {box.label.kind for box in boxes_of(icicle_of(pilot))}
        assert crumbs_of(pilot) == ""


@SIZES
async def test_modules_are_hidden_one_by_one_and_shown_together(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await press(pilot, "2")
        box = await select(pilot, "__libc_start_main_impl")
        await press(pilot, "m")
        assert app_of(pilot).looking.form.shape.without == (box.label.module,)
        assert box.label.module not in {one.label.module for one in boxes_of(icicle_of(pilot))}
        assert "libc.so.6" in crumbs_of(pilot)
        other = await select(pilot, "handle_request")
        await press(pilot, "m")
        assert app_of(pilot).looking.form.shape.without == ("libc.so.6", other.label.file)
        assert "2 modules" in crumbs_of(pilot) or "middleware.py" in crumbs_of(pilot)
        await press(pilot, "M")
        assert app_of(pilot).looking.form.shape.plain
        assert crumbs_of(pilot) == ""


async def test_a_process_has_no_module_to_hide() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "down", "m")
        assert app_of(pilot).looking.form.shape.plain


async def test_recursion_is_folded_and_it_is_said() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2", "r")
        assert app_of(pilot).looking.form.shape.folded
        assert "recursion folded" in crumbs_of(pilot)
        await press(pilot, "r")
        assert crumbs_of(pilot) == ""


@SIZES
async def test_thresholds_hide_what_is_narrow_and_say_so(size: tuple[int, int]) -> None:
    async with running(size, SyntheticStore(nodes=5000)) as pilot:
        await press(pilot, "2")
        for least in (*THRESHOLDS[1:], 0.0):
            await press(pilot, "percent_sign")
            view = icicle_of(pilot)
            assert app_of(pilot).looking.form.least == least
            assert min(box.total for box in boxes_of(view)) >= least * view.total
            said = f"{100 * least:g}" in crumbs_of(pilot) and ("under" in crumbs_of(pilot) or "<" in crumbs_of(pilot))
            assert said == (least > 0)
            assert (view.left_out > 0) == (least > 0)


async def test_the_threshold_of_both_sides_is_of_the_whole() -> None:
    async with running((120, 40), SyntheticStore(nodes=5000)) as pilot:
        await press(pilot, "2")
        await select(pilot, "handle_request")
        await press(pilot, "S", *["percent_sign"] * 3)
        view = icicle_of(pilot)
        assert view.zoomed < view.total
        assert min(box.total for box in boxes_of(view)) >= 0.01 * view.total


async def test_groups_come_one_after_the_other_and_the_header_says_which() -> None:
    async with running((200, 50), filled()) as pilot:
        await press(pilot, "2")
        told = []
        for _ in range(5):
            await press(pilot, "t")
            looking = app_of(pilot).looking
            told.append((looking.group, looking.form.shape.by_module))
            first = text_of(app_of(pilot))[0]
            word = "module" if looking.form.shape.by_module else looking.group.name.lower()
            assert (f"by {word}" in first) == (told[-1] != (Group.PROCESS, False))
            if told[-1] != (Group.PROCESS, False) and looking.group is not Group.THREAD:
                assert {box.label.kind for box in icicle_of(pilot).rows[1].boxes} == {FrameKind.TAG}
        plain = [(group, False) for group in (Group.THREAD, Group.CGROUP, Group.CONTAINER)]
        assert told == [*plain, (Group.PROCESS, True), (Group.PROCESS, False)]


async def test_modules_of_the_innermost_frames_share_the_whole() -> None:
    async with running((200, 50)) as pilot:
        await press(pilot, "2", *["t"] * 4)
        groups = {box.label.function for box in icicle_of(pilot).rows[1].boxes}
        assert {"module: [kernel]", "module: postgres", "module: _json.so"} <= groups


async def test_shape_and_form_go_along_to_other_views() -> None:
    async with running((120, 40), filled()) as pilot:
        await press(pilot, "2", "K", "5")
        assert "kernel hidden" in crumbs_of(pilot)


async def test_what_is_not_in_the_window_any_more_is_said() -> None:
    async with running((120, 40)) as pilot:
        await press(pilot, "2")
        await select(pilot, "do_syscall_64")
        await press(pilot, "S", "K")
        assert "This function is in no stack here" in screen_of(pilot)
        await press(pilot, "K")
        assert icicle_of(pilot).flip > 0
