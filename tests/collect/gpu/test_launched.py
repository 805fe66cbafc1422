"""Calls and the stacks that were taken about them: what is joined, how, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aperture_tui.collect.gpu.awaiting import Awaiting
from aperture_tui.collect.gpu.frames import ROWS
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.joining import callers, in_common
from aperture_tui.collect.gpu.launched import LAUNCH, How, Launches, Likeness, around, likeness, located
from aperture_tui.collect.naming import RECORD
from aperture_tui.collect.recent import KEPT_NS, MOMENT, Recent
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

MS = 1_000_000
NEAR = 20 * MS


def rows(dtype: object, *of: dict[str, int]) -> NDArray[np.void]:
    out = np.zeros(len(of), np.dtype(dtype))  # type: ignore[call-overload]  # any of ours
    for row, values in zip(out, of, strict=True):
        for name, value in values.items():
            row[name] = value
    return out


def moments(*of: tuple[int, int, int]) -> NDArray[np.void]:
    """(thread, ms, stack), in this order."""
    return rows(MOMENT, *({"tid": tid, "time_ns": ms * MS, "stack": stack, "flags": stack} for tid, ms, stack in of))


def call(tid: int, start: float, end: float, correlation: int = 7) -> dict[str, int]:
    return {"tid": tid, "start_ns": int(start * MS), "end_ns": int(end * MS), "correlation": correlation, "name": 5}


def found(calls: Sequence[dict[str, int]], told: NDArray[np.void], near_ns: int = NEAR) -> list[tuple[int, int, int]]:
    made = located(rows(ROWS[wire.CALLS], *calls), told, near_ns)
    return [(int(one["how"]), int(one["stack"]), int(one["other"])) for one in made]


spans = st.tuples(st.integers(1, 4), st.integers(0, 30), st.integers(0, 5))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 30)), max_size=12), st.lists(spans, max_size=8))
def test_moments_about_spans_are_those_that_a_search_by_hand_finds(
    known: list[tuple[int, int]], asked: list[tuple[int, int, int]]
) -> None:
    known.sort()
    of, times = np.array([k[0] for k in known], np.uint32), np.array([k[1] for k in known], np.uint64)
    whose = np.array([a[0] for a in asked], np.uint32)
    start, end = (np.array([a[1] + more * a[2] for a in asked], np.uint64) for more in (0, 1))
    got = around(of, times, whose, start, end)
    for i, (tid, low, wide) in enumerate(asked):
        mine = [j for j, (thread, _) in enumerate(known) if thread == tid]
        before = [j for j in mine if known[j][1] < low]
        within = [j for j in mine if low <= known[j][1] <= low + wide]
        after = [j for j in mine if known[j][1] > low + wide]
        assert (got.before[i], got.within[i], got.after[i]) == (
            before[-1] if before else -1,
            within[0] if within else -1,
            after[0] if after else -1,
        )


def test_a_stack_taken_during_a_call_is_its_own_and_those_about_it_are_a_hint() -> None:
    told = moments((1, 100, 11), (1, 110, 12), (1, 120, 13), (2, 105, 21))
    assert found([call(1, 109.9, 110.1)], told) == [(How.EXACT, 12, 0)]
    assert found([call(1, 104, 106)], told) == [(How.NEAR, 11, 12)]
    assert found([call(2, 104, 106)], told) == [(How.EXACT, 21, 0)]


def test_samples_that_are_far_of_others_or_on_one_side_alone_tell_nothing() -> None:
    told = moments((1, 100, 11), (1, 150, 12), (2, 115, 21))
    nothing = [(How.UNKNOWN, 0, 0)]
    assert found([call(1, 125, 125)], told) == nothing
    assert found([call(1, 160, 160)], told) == nothing
    assert found([call(1, 99, 99)], told) == nothing
    assert found([call(3, 115, 115)], told) == nothing
    assert found([call(1 << 22 | 1, 100, 100)], told) == nothing  # no thread has such a number
    assert found([call(1, 100, 100)], moments()) == nothing


def test_a_call_is_known_by_its_correlation_until_that_many_others_have_come() -> None:
    launches = Launches()
    launches.learn(
        located(rows(ROWS[wire.CALLS], call(1, 100, 100, 5), call(2, 100, 100, 6)), moments((1, 100, 11)), NEAR)
    )
    got = launches.of(np.array([5, 6, 7], np.uint32))
    assert got["tid"].tolist() == [1, 2, 0]
    assert got["how"].tolist() == [How.EXACT, How.UNKNOWN, How.UNKNOWN]
    launches.learn(located(rows(ROWS[wire.CALLS], call(3, 1, 1, 5 + (1 << 16))), moments(), NEAR))
    assert launches.of(np.array([5], np.uint32))["tid"].tolist() == [0]


def test_a_launch_has_the_stack_of_the_nearest_one_like_it_and_of_no_other() -> None:
    lender = Likeness()
    launches = rows(
        LAUNCH,
        {"how": How.EXACT, "stack": 11, "correlation": 1},
        {"how": How.NEAR, "stack": 90, "other": 91, "correlation": 2},
        {"how": How.EXACT, "stack": 12, "correlation": 3},
        {"how": How.UNKNOWN, "correlation": 4},
        {"how": How.UNKNOWN, "correlation": 5},
    )
    times = np.array([100, 104, 120, 113, 180], np.uint64) * np.uint64(MS)
    got = lender.lend(launches, np.array([7, 7, 7, 7, 7], np.uint64), times)
    assert got["stack"].tolist() == [11, 11, 12, 12, 0]
    assert got["how"].tolist() == [How.EXACT, How.ALIKE, How.EXACT, How.ALIKE, How.UNKNOWN]  # the last is 60 ms away
    later = lender.lend(launches[3:4], np.array([7], np.uint64), np.array([130 * MS], np.uint64))
    assert later["stack"].tolist() == [12]  # of a drain before
    other = lender.lend(launches[3:4], np.array([8], np.uint64), np.array([130 * MS], np.uint64))
    assert other["how"].tolist() == [How.UNKNOWN]


def test_what_is_alike_has_all_its_columns_and_its_thread_in_common() -> None:
    kernels = rows(ROWS[wire.KERNELS], {"name": 1, "stream": 7}, {"name": 1, "stream": 7}, {"name": 1, "stream": 8})
    a, b, c = likeness(kernels, np.array([5, 5, 5], np.uint32), ("name", "stream")).tolist()
    assert a == b != c
    assert likeness(kernels, np.array([5, 6, 5], np.uint32), ("name", "stream"))[1] != b


def path(symbols: Symbols, *frames: Frame) -> int:
    process = Frame("train.py", kind=FrameKind.PROCESS)
    return int(symbols.stacks([[symbols.frame(frame) for frame in (process, *frames)]])[0])


def words(symbols: Symbols, node: int) -> list[tuple[str, int]]:
    frames = (symbols.frame_at(frame) for frame in symbols.trie.path(node))
    return [(frame.function, frame.line) for frame in frames]


def python(name: str, line: int) -> Frame:
    return Frame(name, file="train.py", line=line, kind=FrameKind.PYTHON)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ([python("main", 3), python("f", 9)], [python("main", 3), python("f", 12)], [("main", 3), ("f", 0)]),
        ([python("main", 3), python("f", 9)], [python("main", 4), python("g", 9)], [("main", 0)]),
        ([python("main", 3), Frame("sort")], [python("main", 3), Frame("sort")], [("main", 3)]),
        ([Frame("main"), Frame("step"), Frame("a")], [Frame("main"), Frame("step")], [("main", 0), ("step", 0)]),
        ([Frame("a")], [Frame("b")], []),
    ],
)
def test_two_stacks_have_in_common_what_both_were_in(
    one: list[Frame], other: list[Frame], common: list[tuple[str, int]]
) -> None:
    symbols = Symbols()
    pair = [np.array([path(symbols, *stack)], np.uint32) for stack in (one, other)]
    assert words(symbols, int(in_common(*pair, symbols)[0])) == [("train.py", 0), *common]


def test_a_launch_ends_with_who_called_the_driver() -> None:
    symbols = Symbols()
    step = path(symbols, python("main", 3), Frame("step", "/usr/lib/libtorch.so"))
    inside = path(
        symbols,
        *(python("main", 3), Frame("step", "/usr/lib/libtorch.so"), Frame("cudaLaunchKernel", "/x/libcudart.so.13")),
        *(Frame("cuLaunchKernel", "/usr/lib/libcuda.so.1"), Frame("ioctl", "[kernel]", kind=FrameKind.KERNEL)),
    )
    alone = path(symbols, Frame("cuLaunchKernel", "libcuda.so.580.1"))
    got = callers(np.array([inside, step, alone], np.uint32), symbols).tolist()
    assert got == [step, step, path(symbols)]


def test_of_recent_moments_only_those_of_whoever_is_asked_for_are_kept_and_not_for_long() -> None:
    recent = Recent()
    record = {"pid": 5, "tid": 6, "stack": 9, "time_ns": 10}
    recent.add(rows(RECORD, record))
    recent.pids = frozenset({5})
    recent.add(rows(RECORD, {**record, "tid": 7}, {**record, "pid": 4}, {**record, "stack": 0}))
    recent.add(rows(RECORD, record))
    assert recent.moments(20)["tid"].tolist() == [6, 7]
    assert len(recent.moments(20 + KEPT_NS)) == 0


def fresh(**told: NDArray[np.void]) -> dict[int, NDArray[np.void]]:
    every = {frame: np.zeros(0, layout) for frame, layout in ROWS.items()}
    return {**every, **{getattr(wire, name): some for name, some in told.items()}}


def test_a_kernel_waits_for_its_call_and_a_call_for_the_samples_after_it() -> None:
    kernel = rows(ROWS[wire.KERNELS], {"correlation": 7})
    awaiting = Awaiting()
    due = awaiting.due(fresh(KERNELS=kernel), moments(), 100 * MS, NEAR, at_once=False)
    assert len(due[wire.KERNELS]) == 0
    young = fresh(CALLS=rows(ROWS[wire.CALLS], call(1, 95, 96)))
    due = awaiting.due(young, moments((1, 90, 11)), 100 * MS, NEAR, at_once=False)
    assert (len(due[wire.KERNELS]), len(due[wire.CALLS])) == (0, 0)
    due = awaiting.due(fresh(), moments((1, 90, 11), (1, 101, 12)), 350 * MS, NEAR, at_once=False)
    assert (len(due[wire.KERNELS]), len(due[wire.CALLS])) == (1, 1)
    (launch,) = awaiting.launches.of(due[wire.KERNELS]["correlation"])
    assert (launch["how"], launch["stack"], launch["other"]) == (How.NEAR, 11, 12)


def test_a_kernel_whose_call_never_comes_is_told_all_the_same() -> None:
    awaiting = Awaiting()
    told = [
        len(awaiting.due(some, moments(), 0, NEAR, at_once=False)[wire.KERNELS])
        for some in (fresh(KERNELS=rows(ROWS[wire.KERNELS], {"correlation": 7})), fresh(), fresh(), fresh())
    ]
    assert told == [0, 0, 1, 0]
    at_once = awaiting.due(
        fresh(KERNELS=rows(ROWS[wire.KERNELS], {"correlation": 8})), moments(), 0, NEAR, at_once=True
    )
    assert len(at_once[wire.KERNELS]) == 1
