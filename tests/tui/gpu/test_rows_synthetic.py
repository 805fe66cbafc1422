"""The renderers of the view of GPUs, over synthetic lanes and readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len

from aperture_tui.profile.gpu import GpuSample
from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.gpu_use import CopyUse, KernelUse
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.latency import BUCKETS
from aperture_tui.tui.gpu.gauges import devices_rows, link_bytes_s
from aperture_tui.tui.gpu.kernel_names import shortened
from aperture_tui.tui.gpu.lane_rows import Cursor, axis_row, cell_words, column_of, lanes_rows, moment_of, note_row
from aperture_tui.tui.gpu.model import Engine, Gap, Idle, KernelRow, Lane, LaneKey, Lanes, Scope, Stretch
from aperture_tui.tui.gpu.pages import Page, idle_words, note_words, pages_row, unknown_words
from aperture_tui.tui.gpu.table import Whole, ordered
from aperture_tui.tui.gpu.tables import COPIES, GAPS, KERNELS, causes_words, copy_words, gap_words, kernel_words
from aperture_tui.tui.palette import Spans
from tests.tui.gpu.synthetic import ELEMENTWISE, GEMM, gauge

MS, SECOND = 1_000_000, 1_000_000_000
HOSTILE = "evil\x1b[31m\u202ekernel<\n>"


def text(spans: Spans) -> str:
    return "".join(part for part, _ in spans)


def lanes(
    busy: Sequence[float], largest: Sequence[int], begun: Sequence[int], names: Sequence[str] = ("gemm", "b")
) -> Lanes:
    key = LaneKey(0, Engine.COMPUTE, 7)
    lane = Lane(key, 0.5, tuple(busy), tuple(largest), (MS,) * len(busy), tuple(begun))
    window = Stretch(0, SECOND)
    return Lanes(window, window, (lane,), tuple(names))


def plotted(of: Lanes, mono: bool = False) -> str:
    return text(lanes_rows(of, 9 + len(of.lanes[0].busy), 1, Cursor(0, 0), mono=mono)[0])[9:]


def test_heights_are_shares_and_idle_is_a_dot() -> None:
    of = lanes((0, 0.001, 0.25, 0.5, 0.89, 0), (-1, 0, 0, 1, 0, -1), (0,) * 6)
    assert plotted(of) == "·▁▂▄▇·"


def test_what_fills_columns_has_its_name_and_each_run_a_box_where_it_is_wide_enough() -> None:
    full, one = (1.0,) * 14, (0,) * 14
    assert plotted(lanes(full, one, (1, *one[1:]))) == "▏gemm         "
    assert plotted(lanes(full, one, (1, *one[:6], 1, *one[:6]))) == "▏gemm  ▏gemm  "
    assert plotted(lanes(full, one, (1, 0, 1, *one[:11]))) == "▏gemm         ", "two would not both be wide enough"
    assert plotted(lanes(full, one, (1, *one[1:])), mono=True) == "|gemm█████████"
    assert plotted(lanes((1.0,) * 4, one[:4], one[:4])) == "████", "too narrow for a name"
    assert plotted(lanes((0.8,) * 14, one, one)) == "▆" * 14, "half busy is not drawn as full"


@pytest.mark.parametrize("width", [12, 40, 59, 60, 80, 99, 100, 200])
@pytest.mark.parametrize("mono", [False, True])
def test_every_row_has_the_width_whatever_the_name(width: int, mono: bool) -> None:
    of = lanes((1.0,) * 120, (0,) * 120, (1,) + (0,) * 119, (HOSTILE, "视频转码"))
    for row in lanes_rows(replace(of, sums=3), width, 6, Cursor(0, 3), focused=True, mono=mono):
        assert cell_len(text(row)) == width
        assert "\x1b" not in text(row)


def test_the_axis_has_round_times_and_a_mark_at_the_cursor() -> None:
    assert text(axis_row(Stretch(0, 100 * MS), 69, None)).split() == ["│0", "│50", "ms"]
    assert text(axis_row(Stretch(5, 5 + 7_000), 109, None)).split() == ["│0", "│2.0", "µs", "│4.0", "µs", "│6.0", "µs"]
    assert text(axis_row(Stretch(0, SECOND), 49, 10))[9 + 10] == "▲"


def test_a_column_and_the_moment_in_it_agree() -> None:
    stretch = Stretch(1000, 1000 + 12345)
    for column in range(77):
        assert column_of(moment_of(column, stretch, 77), stretch, 77) == column
    assert column_of(0, stretch, 77) == 0
    assert column_of(1 << 60, stretch, 77) == 76


def test_what_is_not_drawn_is_said() -> None:
    of = lanes((1.0,), (0,), (1,))
    assert note_row(of, 80) is None
    row = note_row(replace(of, sums=1200, left_out=3, since_ns=500 * MS), 130)
    assert row is not None
    assert "1,200 executions told only as sums" in text(row)
    assert "the first 500 ms (too many; [ shortens the window)" in text(row)
    assert "3 more lanes" in text(row)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_what_was_sampled_says_how_many_it_stands_for(width: int) -> None:
    row = note_row(replace(lanes((1.0,), (0,), (1,)), sampled=1200, stand_for=36_000), width)
    assert row is not None
    assert cell_len(text(row)) == width
    full = "sampled: 1,200 executions drawn stand for 36,000"
    short = "1,200 drawn stand for 36,000" if width >= 40 else "1,200 drawn stand …"
    assert text(row).strip() == (full if width >= 80 else short)
    assert "not drawn" not in text(row)


def test_one_that_was_sampled_or_not_drawn_is_one() -> None:
    one = replace(lanes((1.0,), (0,), (1,)), sampled=1, stand_for=30, sums=1)
    rows = [text(row).strip() for width in (120, 40) if (row := note_row(one, width)) is not None]
    assert rows[0] == "sampled: 1 execution drawn stands for 30; not drawn: 1 execution told only as sums"
    assert rows[1].startswith("1 drawn stands for 30; ")


def test_sums_and_lanes_that_are_not_drawn_are_said_beside_what_was_sampled() -> None:
    row = note_row(replace(lanes((1.0,), (0,), (1,)), sampled=2, stand_for=60, sums=7), 120)
    assert row is not None
    assert text(row).strip() == ("sampled: 2 executions drawn stand for 60; not drawn: 7 executions told only as sums")


def test_where_not_all_is_drawn_what_is_between_slices_is_not_told_to_be_idle() -> None:
    of = lanes((0, 0.5, 0.25), (-1, 0, 0), (0, 1, 0))
    partial = replace(of, lanes=(of.lanes[0]._replace(partial=True),))
    assert plotted(of) == "·▄▂"
    assert plotted(partial) == " ▄▂"
    assert [text(lanes_rows(one, 80, 1, Cursor(0, 0))[0]).split()[3] for one in (of, partial)] == ["50", "?"]
    assert [cell_words(one, Cursor(0, 0))[0] for one in (of, partial)] == ["idle", "not known"]
    assert [cell_words(one, Cursor(0, 1))[2][1] for one in (of, partial)] == ["50 % busy", "≥ 50 % busy"]


def test_names_keep_what_tells_kernels_apart() -> None:
    assert shortened(GEMM, 200) == GEMM
    assert shortened(ELEMENTWISE, 82) == "vectorized_elementwise_kernel<4, at::native::AddFunctor<float>>(int, float)"
    assert shortened(GEMM, 24) == "Kernel2<cutlass_80_tens…"
    lambda_ = "void at::(anonymous namespace)::apply<a::f(int)::{lambda(float)#1}>(a::f(int)::{lambda(float)#1})"
    assert shortened(lambda_, 12) == "apply<a::f(…"
    assert shortened("", 20) == "[unknown]"
    assert shortened("gemm", 3) == "ge…"


def test_pages_are_named_as_long_as_there_is_room() -> None:
    row, places = pages_row(Page.IDLE, ["too long for this" * 9, "short"], 80)
    assert text(row).startswith(" Timeline  Kernels  Copies  Idle  Devices  Stacks ")
    assert text(row).endswith(" short ")
    assert places[3] == (27, 33, Page.IDLE)
    assert [len(text(pages_row(page, [], width)[0])) for page in Page for width in (20, 40, 52)] == [20, 40, 52] * 6


# -- tables


def kernel(launch: Launch, **other: object) -> KernelRow:
    use = KernelUse(7, 1, "python3", GEMM, 10, 90 * MS, 20 * MS, 0.5, (0,) * BUCKETS, ((launch, 10, 90 * MS),))
    return KernelRow(use, **other)  # type: ignore[arg-type]


def cell(row: object, columns: Sequence[object], title: str, whole: Whole | None = None) -> str:
    column = next(one for one in columns if one.title == title)  # type: ignore[attr-defined]
    return text(column.cell(row, whole or Whole(), column.most))  # type: ignore[attr-defined]


def test_unknown_is_a_question_mark_and_never_zero() -> None:
    unknown = kernel(Launch(0))
    assert [cell(unknown, KERNELS, title) for title in ("OCCUP.", "LIMITED BY", "GRID", "BLOCK")] == ["?"] * 4
    assert "occupancy ? in theory" in kernel_words(unknown)[1]
    assert "grid ? block ?" in kernel_words(unknown)[1]
    copy = CopyUse(0, 0, "", "host to device", 1, 0, 0, 4096)
    assert [cell(copy, COPIES, title) for title in ("GB/S", "OF LINK", "MEMORY")] == ["?"] * 3
    gap = Gap(0, 0, MS)
    assert [cell(gap, GAPS, title).strip() for title in ("CPU MEANWHILE", "SEEN", "UNTIL", "LAUNCHER")] == [
        "?", "–", "?", "?",
    ]  # fmt: skip


def test_a_copy_is_set_against_its_link_only_where_it_goes_over_it() -> None:
    whole = Whole(link_bytes_s=10e9)
    copy = CopyUse(7, 1, "python3", "host to device, pageable", 2, SECOND, SECOND, 4_000_000_000)
    assert cell(copy, COPIES, "OF LINK", whole) == "40 %"
    assert "40 % of the 10 GB/s that PCIe carries" in copy_words(copy, whole)[1]
    assert cell(replace(copy, name="device to device"), COPIES, "OF LINK", whole) == "–"


def test_a_gap_says_whose_samples_tell_what_the_cpu_did() -> None:
    gap = Gap(0, 0, 5 * MS, True, GEMM, ELEMENTWISE, 7, "python3", 8, Scope.PROCESS, "memcpy", "collate", 3, 4)
    name, facts = gap_words(gap, Whole())
    assert name == "GPU 0 idle ≥ 5.0 ms at +0.000 s"
    assert facts[:3] == ["CPU: memcpy ← collate", Scope.PROCESS.value, "3 of 4 samples"]
    assert causes_words([gap, gap, Gap(0, 0, 10 * MS, scope=Scope.NONE)]) == (
        "CPU then: memcpy 50 %, waiting: no thread on a CPU 50 %"
    )
    assert causes_words([]) == ""


def test_rows_are_ordered_by_any_column() -> None:
    small, large = Gap(1, 9, 10), Gap(0, 20, 90)
    assert ordered([small, large], GAPS, "length") == [large, small]
    assert ordered([large, small], GAPS, "time") == [small, large]
    assert ordered([small, large], GAPS, "gpu") == [large, small]


def test_idle_time_is_told_by_gpu() -> None:
    assert idle_words([Idle(0, 12, 26, 100), Idle(1, 1, 0, 100), Idle(2, 1, 1, 100)]) == (
        "GPU 0 idle 26 % in 12 gaps, GPU 1 idle 0 % in 1 gaps, 1 more"
    )


def test_time_that_nobody_recorded_has_a_mark_of_its_own() -> None:
    of = lanes((0, 0.5, 0, 0), (-1, 0, -1, -1), (0, 1, 0, 0))
    missing = replace(of, lanes=(of.lanes[0]._replace(unrecorded=(0.0, 0.2, 0.3, 1.0)),))
    assert plotted(missing) == "·▄??"
    assert text(lanes_rows(missing, 80, 1, Cursor(0, 0))[0]).split()[3].startswith("≥")
    words = [cell_words(missing, Cursor(0, column)) for column in range(4)]
    assert [name for name, _, _ in words] == ["idle", "gemm", "not known", "not recorded"]
    assert words[1][2][1:3] == ["≥ 50 % busy", "20 % of it not recorded"]
    assert words[2][2][0] == "30 % of it not recorded"
    for share, told in ((0.0, "?"), (0.0001, "≥0")):
        one = replace(missing, lanes=(missing.lanes[0]._replace(share=share),))
        assert text(lanes_rows(one, 80, 1, Cursor(0, 0))[0]).split()[3] == told, "never that it did nothing"


def test_a_time_that_was_not_recorded_is_no_gap_and_has_no_cause() -> None:
    whole = Whole()
    gap = Gap(0, 0, 3 * SECOND, scope=Scope.NONE, pid=1)
    missing = Gap(0, 4 * SECOND, 9 * SECOND, unrecorded=True)
    cells = ["".join(part for part, _ in column.cell(missing, whole, 20)).strip() for column in GAPS[:4]]
    assert cells == ["?5.0 s", "0", "+4.000 s", "not recorded"]
    assert causes_words([gap, missing]) == "CPU then: waiting: no thread on a CPU 100 %"
    name, facts = gap_words(missing, whole)
    assert name == "GPU 0 not recorded 5.0 s at +4.000 s"
    assert "no idle time" in facts[0]


def test_where_idle_time_is_not_known_that_is_told() -> None:
    assert idle_words([Idle(0, 12, 26, 100, 30)]) == "GPU 0 idle 26 % in 12 gaps, unknown 30 %"
    assert idle_words([Idle(0, 12, 26, 100, 30)], brief=True) == "GPU 0 idle 26 %, unknown 30 %"
    in_part = [Idle(0, 12, 26, 100), Idle(1, 12, 26, 100, 30)]
    assert note_words(in_part) == "not recorded in part: GPU 1 idle 26 % in 12 gaps, unknown 30 %"
    assert note_words(in_part[:1]) == ""
    assert note_words(in_part, [3]) == unknown_words([3])
    assert idle_words([Idle(1, 12, 26, 100)], [0]) == "GPU 0 idle unknown, GPU 1 idle 26 % in 12 gaps"
    assert unknown_words([]) == ""
    assert unknown_words([3]) == "GPU 3 was recorded in part: what it did in between is not known"
    assert unknown_words([0, 1]) == "GPUs 0, 1 were recorded in part: what they did in between is not known"
    assert unknown_words(range(9)).startswith("GPUs 0, 1, 2, 3, 4, 5, 6, 7, … were recorded in part")


# -- gauges


def told(*samples: HostSample, width: int = 80) -> list[str]:
    return [text(row).rstrip() for row in devices_rows(samples, width)]


def test_unavailable_is_said_and_not_drawn() -> None:
    rows = told(gauge(0, 2), gauge(1, 2))
    at = next(i for i, row in enumerate(rows) if "GPU 1" in row)
    unknown = {row.split()[0]: row for row in rows[at + 1 :]}
    for name in ("memory", "units", "power", "temperature"):
        assert "unavailable" in unknown[name]
    assert not any(mark in unknown["power"] for mark in "▁▂▃▄▅▆▇█")
    assert "SMs" not in unknown


def test_a_gpu_that_does_not_answer_says_so() -> None:
    lost = GpuSample(1, 0, "u", "Synthetic", problem="GPU is lost")
    assert told(HostSample(1, gpus=(lost,)))[1].strip() == "GPU is lost"
    assert "does not answer now" in told(gauge(0, 1), gauge(1, 0))[1]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_gauges_have_the_width(width: int) -> None:
    assert {cell_len(text(row)) for row in devices_rows([gauge(0, 2)], width)} == {width}
    assert devices_rows([HostSample(1)], width) == []


def test_the_link_is_known_only_where_it_is_the_same_for_all() -> None:
    assert link_bytes_s([gauge(0, 2)]) == pytest.approx(63.0e9, rel=0.01)
    one = gauge(0, 1).gpus[0]
    other = replace(one, index=1, pcie_lanes_max=8)
    assert link_bytes_s([HostSample(1, gpus=(one, other))]) is None
    assert link_bytes_s([HostSample(1, gpus=(replace(one, pcie_generation_max=None),))]) is None
    assert link_bytes_s([]) is None
