"""From a store with synthetic GPU work to what the view is given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import Flag, FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame
from aperture_tui.profile.where import parse
from aperture_tui.store import compaction
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.gpu import answer
from aperture_tui.tui.gpu.idle import LATE_NS, MOST_GAPS, longest
from aperture_tui.tui.gpu.model import Engine, Gap, GpuView, Idle, LaneKey, Scope, Sight, Stretch
from tests.tui.gpu.synthetic import (
    COLLATE,
    ELEMENTWISE,
    FORWARD,
    GEMM,
    LOADER,
    MS,
    PID,
    SOFTMAX,
    TID,
    TO_DEVICE,
    TRAIN,
    US,
    Work,
    in_moments,
    stored,
    synthetic,
)
from tests.tui.synthetic import SECOND, START_NS

WINDOW = Stretch(START_NS, START_NS + 10 * SECOND)
QUERY = Query(Kind.GPU_KERNEL, start_ns=WINDOW.start_ns, end_ns=WINDOW.end_ns + 1, measure=Measure.TIME)


def fetched(store: MemoryStore, query: Query = QUERY, sums_only: bool = False) -> answer.GpuData:
    return answer.fetched(store, query, store.call_tree(query), sums_only)


def view(store: MemoryStore, sight: Sight | None = None) -> GpuView:
    return answer.view(fetched(store), sight or Sight(100))


def gaps_of(work: Work) -> tuple[Gap, ...]:
    return view(stored([work.batch()])).gaps


def test_every_stream_and_engine_of_every_gpu_has_a_lane() -> None:
    found = view(synthetic(devices=2))
    mine = [(Engine.ANY, 0), (Engine.COMPUTE, 7), (Engine.COPY_IN, 13), (Engine.COPY_OUT, 14), (Engine.MEMSET, 7)]
    assert [lane.key for lane in found.lanes.lanes] == [LaneKey(gpu, *one) for gpu in (0, 1) for one in mine]
    assert found.lanes.window == found.lanes.stretch == WINDOW
    copies = found.lanes.lanes[2]
    assert found.lanes.names[copies.largest[1]] == TO_DEVICE


def test_a_stretch_shows_single_kernels() -> None:
    forward = START_NS + 16 * MS + 100 * US
    lanes = view(synthetic(devices=1), Sight(10, Stretch(forward, forward + 10 * MS))).lanes
    compute = lanes.lanes[1]
    assert [lanes.names[i] if i >= 0 else "" for i in compute.largest] == [GEMM] * 7 + [ELEMENTWISE] * 2 + [SOFTMAX]
    assert compute.busy[:8] == (1.0,) * 8
    assert compute.busy[8:] == pytest.approx((0.9, 0.5))


def test_kernels_have_grid_and_block_and_what_is_not_known_is_empty() -> None:
    work = Work()
    work.kernel(GEMM, START_NS + SECOND, MS)
    work.add(Kind.GPU_KERNEL, START_NS + 2 * SECOND, 5 * MS, "told_without_shape()", [*FORWARD[:3]])
    rows = {row.use.name: row for row in view(stored([work.batch()])).kernels}
    assert (rows[GEMM].grid, rows[GEMM].block, rows[GEMM].shapes) == ("128x16", "256", 1)
    bare = rows["told_without_shape()"]
    assert (bare.grid, bare.block, bare.shapes) == ("", "", 0)
    assert bare.use.launches[0][0].occupancy is None


def test_of_several_shapes_that_with_most_time_is_told() -> None:
    work = Work()
    for took, grid in (
        (MS, "<<<(9,1,1),(32,1,1)>>>"),
        (7 * MS, "<<<(2,3,1),(8,8,2)>>>"),
        (2 * MS, "<<<(1,1,1),(1,1,1)>>>"),
    ):
        frames = [*FORWARD, Frame("k", kind=FrameKind.GPU), Frame(grid, kind=FrameKind.GPU)]
        work.add(Kind.GPU_KERNEL, START_NS + SECOND, took, "k", frames)
    (row,) = view(stored([work.batch()])).kernels
    assert (row.grid, row.block, row.shapes) == ("2x3", "8x8x2", 3)


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("host to device, pinned", Engine.COPY_IN),
        ("host to array", Engine.COPY_IN),
        ("device to host", Engine.COPY_OUT),
        ("array to host", Engine.COPY_OUT),
        ("device to device", Engine.COPY),
        ("host to host", Engine.COPY),
        ("peer to peer", Engine.COPY),
        ("memset", Engine.MEMSET),
        ("copy", Engine.COPY),
    ],
)
def test_copies_belong_to_an_engine(name: str, engine: Engine) -> None:
    assert answer.engine_of(name) is engine


def test_what_began_before_the_window_and_reaches_into_it_is_drawn() -> None:
    work = Work()
    work.kernel(GEMM, START_NS + SECOND - 500 * MS, SECOND)
    store = stored([work.batch()])
    query = replace(QUERY, start_ns=START_NS + SECOND)
    lanes = answer.view(fetched(store, query), Sight(9)).lanes
    assert lanes.lanes[1].share == pytest.approx(0.5 / 9, rel=0.01)


def test_sums_are_counted_and_not_drawn() -> None:
    work = Work()
    work.kernel(GEMM, START_NS + SECOND, MS)
    work.kernel(GEMM, START_NS + 2 * SECOND, 900 * MS, weight=1000)
    found = view(stored([work.batch()]))
    assert found.lanes.sums == 1000
    assert sum(found.lanes.lanes[1].begun) == 1
    assert found.kernels[0].use.count == 1001


def test_a_sampled_kernel_is_drawn_for_its_own_duration() -> None:
    work = Work()
    work.sampled(GEMM, START_NS + SECOND, 100 * MS, 50)
    work.kernel(SOFTMAX, START_NS + 2 * SECOND, 100 * MS)
    found = view(stored([work.batch()]))
    compute = found.lanes.lanes[1]
    assert [i for i, share in enumerate(compute.busy) if share] == [10, 20]
    assert (compute.longest_ns[10], compute.begun[10]) == (100 * MS, 1)
    assert (found.lanes.sampled, found.lanes.stand_for, found.lanes.sums) == (2, 51, 0)
    assert [(row.use.count, row.use.time_ns) for row in found.kernels] == [(50, 5 * SECOND), (1, 100 * MS)]


def test_one_that_reaches_into_the_window_does_so_by_its_own_duration() -> None:
    work = Work()
    work.sampled(GEMM, START_NS + SECOND - 200 * MS, 100 * MS, 50)
    work.sampled(GEMM, START_NS + SECOND - 50 * MS, 100 * MS, 50)
    query = replace(QUERY, start_ns=START_NS + SECOND)
    lanes = answer.view(fetched(stored([work.batch()]), query), Sight(9)).lanes
    assert lanes.lanes[1].share == pytest.approx(0.05 / 9, rel=0.01)
    assert (lanes.sampled, lanes.stand_for) == (1, 50)


def test_an_aggregator_has_tables_and_says_that_it_has_no_times() -> None:
    found = answer.view(fetched(synthetic(), sums_only=True), Sight(80))
    assert found.kernels
    assert found.copies
    assert not found.lanes.lanes
    assert "keeps sums" in found.lanes.problem
    nothing = answer.view(fetched(stored([]), sums_only=True), Sight(80))
    assert nothing.is_empty
    assert not nothing.lanes.problem


def test_of_too_many_the_newest_part_is_drawn_and_it_is_said_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_RAW", 1000)
    found = view(synthetic(devices=1))
    assert WINDOW.start_ns < found.lanes.since_ns < WINDOW.end_ns
    assert found.lanes.lanes[0].busy[0] == 0
    assert found.lanes.lanes[0].share > 0.1
    assert sum(row.use.count for row in found.kernels) == 19 * 98, "the tables have all"
    assert found.idle[0].of_ns == WINDOW.end_ns - found.lanes.since_ns


# -- gaps


def test_gaps_are_between_everything_that_a_gpu_does_the_longest_first() -> None:
    work = Work()
    work.kernel(GEMM, START_NS, SECOND)
    work.add(Kind.GPU_COPY, START_NS + SECOND // 2, SECOND, TO_DEVICE, stream=13)
    work.kernel(SOFTMAX, START_NS + 2 * SECOND, SECOND)
    work.kernel(GEMM, START_NS + 3 * SECOND + MS, 7 * SECOND - MS)
    found = view(stored([work.batch()]))
    assert [(gap.start_ns - START_NS, gap.length_ns) for gap in found.gaps] == [
        (1500 * MS, 500 * MS),
        (3 * SECOND, MS),
    ]
    assert (found.gaps[0].before, found.gaps[0].after) == (TO_DEVICE, SOFTMAX)
    assert (found.gaps[0].pid, found.gaps[0].tid, found.gaps[0].process) == (PID, TID, "python3")
    (idle,) = found.idle
    assert (idle.gaps, idle.time_ns, idle.of_ns) == (2, 501 * MS, 10 * SECOND)


def test_of_a_gpu_that_was_recorded_in_moments_no_gap_is_known_and_of_another_all_are() -> None:
    found = view(in_moments())
    assert found.unknown == (0,)
    assert {gap.device for gap in found.gaps} == {1}
    assert [(idle.device, idle.gaps, idle.time_ns) for idle in found.idle] == [(1, 99, 99 * 40 * MS)]
    assert [(lane.key.device, lane.partial) for lane in found.lanes.lanes] == [(0, True)] * 2 + [(1, False)] * 2


def test_moments_before_the_window_tell_that_there_may_be_more_than_is_drawn() -> None:
    work = Work()
    work.sampled(GEMM, START_NS + SECOND, MS, 50)
    work.kernel(GEMM, START_NS + 2 * SECOND, MS)
    query = replace(QUERY, start_ns=START_NS + SECOND + 500 * MS)
    found = answer.view(fetched(stored([work.batch()]), query), Sight(9))
    assert (found.unknown, found.idle, found.gaps) == ((0,), (), ())
    assert found.lanes.stand_for == 0, "what is in view stands for itself"


def test_what_a_gpu_did_after_its_recording_paused_is_not_taken_for_idleness() -> None:
    work = Work()
    two_kernels(work)
    work.kernel(GEMM, START_NS + 4 * SECOND, MS, device=1, flags=Flag.PAUSES)
    found = view(stored([work.batch()]))
    assert found.unknown == (1,)
    assert {idle.device for idle in found.idle} == {gap.device for gap in found.gaps} == {0}


def test_of_a_gap_the_part_that_nobody_recorded_is_no_idleness() -> None:
    work = Work()
    two_kernels(work, 4 * SECOND)
    for piece in (2000, 2500, 7000):  # the last one while a kernel is known to have run
        work.unrecorded(START_NS + piece * MS, SECOND // 2)
    found = view(stored([work.batch()]))
    told = [((gap.start_ns - START_NS) / SECOND, gap.length_ns / SECOND, gap.unrecorded) for gap in found.gaps]
    assert told == [(3, 2, False), (1, 1, False), (2, 1, True)], "those that are known to be idle by themselves"
    assert found.idle == (Idle(0, 2, 3 * SECOND, 10 * SECOND, unknown_ns=SECOND),)
    assert found.unknown == ()
    after, before, unknown = found.gaps
    assert [(gap.before, gap.after, gap.more) for gap in (before, after)] == [(GEMM, "", True), ("", GEMM, True)]
    assert (unknown.before, unknown.after, unknown.pid, unknown.scope) == ("", "", 0, Scope.UNKNOWN)
    assert len(found.kernels) == len(view(stored([_two()])).kernels), "it is no kernel"


def test_the_time_that_nobody_recorded_is_marked_in_the_lanes_of_its_gpu_alone() -> None:
    work = Work()
    two_kernels(work, 4 * SECOND)
    work.kernel(GEMM, START_NS, SECOND, device=1)
    work.unrecorded(START_NS + 2500 * MS, SECOND // 2)
    lanes = view(stored([work.batch()]), Sight(10)).lanes.lanes
    assert [(lane.key.device, lane.partial) for lane in lanes] == [(0, False), (0, False), (1, False), (1, False)]
    assert [lane.unrecorded for lane in lanes[2:]] == [()] * 2
    for lane in lanes[:2]:
        assert lane.unrecorded == pytest.approx((0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0))


def test_only_windows_that_it_reaches_into_have_unrecorded_time() -> None:
    work = Work()
    two_kernels(work, 4 * SECOND)
    at, took = START_NS + 2 * SECOND, SECOND // 2
    work.unrecorded(at, took)
    store = stored([work.batch()])
    for start, unknown_ns in ((at + took - 7, 7), (at + took, 0)):
        (found,) = answer.view(fetched(store, replace(QUERY, start_ns=start)), Sight(9)).idle
        assert found.unknown_ns == unknown_ns


def test_of_the_end_of_a_window_what_is_not_recorded_is_unknown_and_what_may_be_told_late_is_neither() -> None:
    work = Work()
    work.kernel(GEMM, START_NS, 5 * SECOND)
    work.unrecorded(START_NS + 8 * SECOND, SECOND)
    (found,) = view(stored([work.batch()])).idle
    assert (found.gaps, found.time_ns, found.unknown_ns) == (1, 3 * SECOND, SECOND)


def test_a_gpu_that_was_not_recorded_in_all_of_a_window_is_unknown_and_one_in_which_nothing_ran_is_not_told() -> None:
    work = Work()
    two_kernels(work)
    for piece in range(20):
        work.unrecorded(START_NS + piece * SECOND // 2, SECOND // 2, device=1)
    work.unrecorded(START_NS, SECOND // 2, device=2)
    found = view(stored([work.batch()]))
    assert (found.unknown, [idle.device for idle in found.idle]) == ((1,), [0])


def test_of_too_many_gaps_the_longest_are_told_and_so_are_the_longest_times_that_were_not_recorded() -> None:
    found = [Gap(0, at, at + 1 + at % 7, unrecorded=bool(at % 3)) for at in range(0, 9000, 10)]
    told = longest([found[:450], found[450:]])
    assert [sum(gap.unrecorded is which for gap in told) for which in (False, True)] == [MOST_GAPS, MOST_GAPS]
    assert [gap.length_ns for gap in told] == sorted((gap.length_ns for gap in told), reverse=True)


def _two() -> Batch:
    work = Work()
    two_kernels(work)
    return work.batch()


def test_where_something_was_told_only_as_sums_no_gap_is_known() -> None:
    work = Work()
    two_kernels(work)
    work.kernel(GEMM, START_NS + 2 * SECOND, 900 * MS, weight=1000, maximum_ns=MS)
    work.kernel(GEMM, START_NS + 2 * SECOND, 900 * MS, weight=1000, maximum_ns=MS, device=2)
    found = view(stored([work.batch()]))
    assert (found.unknown, found.idle, found.gaps) == ((0, 2), (), ())


def test_a_filter_alone_claims_nothing_of_any_gpu() -> None:
    found = answer.view(fetched(in_moments(), replace(QUERY, where=parse("name:softmax"))), Sight(9))
    assert (found.unknown, found.idle, found.gaps) == ((), (), ())


def test_at_the_ends_of_the_window_a_gap_was_longer_and_the_last_one_has_to_be_long() -> None:
    work = Work()
    work.kernel(GEMM, START_NS + SECOND, 9 * SECOND - LATE_NS // 2)
    (first,) = gaps_of(work)
    assert first.more
    assert first.length_ns == SECOND
    assert (first.before, first.after) == ("", GEMM)
    work = Work()
    work.kernel(GEMM, START_NS, 10 * SECOND - LATE_NS)
    (last,) = gaps_of(work)
    assert last.more
    assert last.length_ns == LATE_NS
    assert (last.after, last.pid, last.tid) == ("", PID, TID), "of who was the last"


def two_kernels(work: Work, gap_ns: int = 100 * MS) -> int:
    """Their gap begins a second after the window."""
    work.kernel(GEMM, START_NS, SECOND)
    work.kernel(GEMM, START_NS + SECOND + gap_ns, 9 * SECOND - gap_ns)
    return START_NS + SECOND


def test_a_gap_is_explained_by_samples_of_the_thread_that_launched_next() -> None:
    work = Work()
    at = two_kernels(work)
    for i in range(5):
        work.add(Kind.CPU, at + i * 10 * MS, 10 * MS, stack=COLLATE if i < 3 else FORWARD)
        work.add(Kind.CPU, at + i * 10 * MS, 10 * MS, stack=TRAIN, tid=LOADER)
    work.add(Kind.CPU, at - MS, 10 * MS, stack=FORWARD, weight=50)
    (gap,) = gaps_of(work)
    assert gap.scope is Scope.THREAD
    assert (gap.leaf, gap.caller) == ("__memmove_avx_unaligned_erms", "collate")
    assert (gap.samples, gap.of) == (3, 5)


def test_where_that_thread_was_on_no_cpu_another_one_of_its_process_is_told() -> None:
    work = Work()
    work.add(Kind.CPU, two_kernels(work), 10 * MS, stack=TRAIN, tid=LOADER)
    (gap,) = gaps_of(work)
    assert gap.scope is Scope.PROCESS
    assert (gap.leaf, gap.caller) == ("train_step", "")


@pytest.mark.parametrize(("gap_ns", "scope"), [(100 * MS, Scope.NONE), (20 * MS, Scope.SHORT)])
def test_without_a_sample_in_it_nobody_ran_or_it_was_too_short(gap_ns: int, scope: Scope) -> None:
    work = Work()
    at = two_kernels(work, gap_ns)
    for before_and_after in (-10 * MS, gap_ns):
        work.add(Kind.CPU, at + before_and_after, 10 * MS, stack=FORWARD)
    (gap,) = gaps_of(work)
    assert gap.scope is scope
    assert (gap.leaf, gap.of) == ("", 0)


def test_without_any_cpu_samples_nothing_is_claimed() -> None:
    work = Work()
    two_kernels(work)
    (gap,) = gaps_of(work)
    assert gap.scope is Scope.UNKNOWN
    assert gap.leaf == ""
