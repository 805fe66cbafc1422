"""The line of the zoom's path: its ends are kept, and what is not shown is said at any width."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.shape import Shape
from aperture_tui.profile.symbols import Frame
from aperture_tui.tui.cells import width_of
from aperture_tui.tui.forms.crumbs import Trail, crumbs_row, trail, who
from aperture_tui.tui.forms.model import TREE, Form, Which
from aperture_tui.tui.forms.orient import ABOVE
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.model import FrameLabel, IcicleView

HIDDEN = Form(shape=Shape(kernel=False, without=("/usr/lib/libc.so.6", "libm.so"), folded=True), least=0.01)


def label(name: str) -> FrameLabel:
    return make_label(*Frame(name, "m", kind=FrameKind.NATIVE))


def row(told: Trail, width: int) -> str:
    spans, places = crumbs_row(told, width)
    text = "".join(part for part, _ in spans)
    assert width_of(text) == width
    for begin, end, depth in places:
        assert 0 <= begin < end <= width
        assert 0 <= depth < len(told.of)
    return text


def path(*names: str) -> tuple[FrameLabel, ...]:
    return tuple(map(label, names))


def test_there_is_no_line_where_there_is_nothing_to_say() -> None:
    assert trail(TREE, (), None).empty
    assert trail(Form(flame=True), (), None).empty
    assert not trail(TREE, path("main"), None).empty
    assert not trail(Form(least=0.01), (), None).empty


def test_a_path_is_cut_in_its_middle() -> None:
    told = trail(TREE, path("main", "serve_forever", "handle_request", "render_template"), None)
    assert row(told, 80).strip() == "all › main › serve_forever › handle_request › render_template"
    assert row(told, 40).strip() == "all › … › render_template"
    assert row(told, 52).strip() == "all › … › handle_request › render_template"
    assert row(told, 20).strip() == "all › … › render_…"


def test_each_step_can_be_clicked() -> None:
    told = trail(TREE, path("main", "work"), None)
    spans, places = crumbs_row(told, 60)
    text = "".join(part for part, _ in spans)
    assert [(text[begin:end], depth) for begin, end, depth in places] == [("all", 0), ("main", 1), ("work", 2)]


@pytest.mark.parametrize("width", [24, 40, 80, 120, 200])
def test_what_is_hidden_is_said_whatever_the_width(width: int) -> None:
    text = row(trail(HIDDEN, path(*["a_rather_long_name"] * 9), None), width)
    assert "-K" in text or "kernel" in text
    assert "1" in text
    assert "%" in text


def test_in_full_where_there_is_room() -> None:
    view = IcicleView((), 80, 10, 10, left_out=1234)
    text = row(trail(HIDDEN, (), view), 120)
    assert "kernel hidden  libc.so.6, libm.so hidden  recursion folded  under 1 % not drawn, 1,234 frames" in text


def test_forms_have_words() -> None:
    assert row(trail(Form(Which.CALLERS), (), None), 40).strip() == "callers"
    assert row(trail(Form(Which.FUNCTIONS), path("main"), None), 40).strip() == "functions all › main"
    sides = Form(function=label("parse"))
    assert row(trail(sides, (), None), 60).strip() == "callers and callees of parse"
    assert row(trail(sides, (ABOVE, label("main")), None), 60).strip() == "callers of parse › main"
    assert row(trail(sides, path("parse", "read"), None), 60).strip() == "callees of parse › read"


def test_stacks_lead_to_those_who_waited_woke_or_launched() -> None:
    waits = Kind.LOCK, Kind.OFFCPU
    assert {who(kind, wakers=False) for kind in waits} == {"waiters"}
    assert {who(kind, wakers=True) for kind in waits} == {"wakers"}
    assert {who(kind, wakers=False) for kind in (Kind.CPU, Kind.SYSCALL)} == {"callers"}
    assert row(trail(Form(Which.CALLERS), (), None, who(Kind.GPU_KERNEL, wakers=False)), 40).strip() == "launchers"
    assert row(trail(Form(Which.FUNCTIONS), (), None, "waiters"), 40).strip() == "functions"


def test_nobody_calls_a_lock_or_a_kernel() -> None:
    lock = Form(function=make_label(*Frame("table_lock", "m", kind=FrameKind.LOCK)))
    kernel = Form(function=make_label(*Frame("gemm", "m", kind=FrameKind.GPU)))
    assert row(trail(lock, (), None), 60).strip() == "waiters for table_lock"
    assert row(trail(lock, (ABOVE, label("main")), None), 60).strip() == "waiters for table_lock › main"
    assert row(trail(kernel, (), None), 60).strip() == "launchers and launches of gemm"
    assert row(trail(kernel, (ABOVE, label("step")), None), 60).strip() == "launchers of gemm › step"
    assert row(trail(replace(kernel, function=label("all")), (), None), 60).strip() == "callers and callees of all"


@given(
    st.lists(st.text(max_size=40), max_size=6),
    st.integers(1, 130),
    st.sampled_from(list(Which)),
    st.booleans(),
    st.booleans(),
)
def test_no_name_breaks_the_line(names: list[str], width: int, which: Which, hidden: bool, sides: bool) -> None:
    form = replace(HIDDEN if hidden else TREE, which=which, function=label(names[0]) if sides and names else None)
    row(trail(form, path(*names), None), width)
