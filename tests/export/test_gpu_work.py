"""Kernels, copies and calls of made-up events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.export import gpu_work, perfetto, report, structured
from aperture_tui.profile.gpu_launch import Launch, Shape, is_shape, lane, shape_frame
from aperture_tui.profile.gpu_use import copy_uses, kernel_uses
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import ROLE_SHIFT, UNRECORDED, Kind
from aperture_tui.profile.occupancy import Factor
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import T0, Fact, batch_of

US = 1000
TRAIN = Process(42, T0 - 5, "train", "")
HALF = Launch(256, 32, 49152, 4, Factor.SHARED_MEMORY, 64)
FULL = Launch(1024, 16, 0, 2, Factor.WARPS, 64)


def kernel(name: str, ns: int, launch: Launch, n: int = 1) -> Fact:
    return Fact(T0, TRAIN, 9, (), Kind.GPU_KERNEL, ns * n, name=name, value=launch.packed(), weight=n, maximum_ns=ns)


def copy(name: str, ns: int, size: int, n: int = 1) -> Fact:
    return Fact(T0, TRAIN, 9, (), Kind.GPU_COPY, ns * n, name=name, value=size, weight=n, maximum_ns=ns)


def filled(*facts: Fact) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(list(facts), Symbols()))
    return store


FACTS = (
    *(kernel("gemm", 100 * US, HALF) for _ in range(3)),
    kernel("gemm", 50 * US, FULL),
    kernel("reduce", 10 * US, FULL, 5),
    copy("host to device, pageable", 4 * US, 4096),
    copy("host to device, pageable", 4 * US, 8192),
    copy("memset", 0, 100),
)


def test_kernels_of_one_name_are_one_row_with_its_shapes() -> None:
    gemm, reduce = kernel_uses(filled(*FACTS).latencies(Query(kind=Kind.GPU_KERNEL)))
    assert (gemm.name, gemm.count, gemm.time_ns, gemm.maximum_ns) == ("gemm", 4, 350 * US, 100 * US)
    assert gemm.mean_ns == 87_500
    assert gemm.launches == ((HALF, 3, 300 * US), (FULL, 1, 50 * US))
    assert (reduce.count, reduce.mean_ns) == (5, 10 * US)
    assert gemm.share + reduce.share == pytest.approx(1)


def test_copies_have_their_bytes_and_rate() -> None:
    to_device, memset = copy_uses(filled(*FACTS).latencies(Query(kind=Kind.GPU_COPY)))
    assert (to_device.count, to_device.bytes, to_device.bytes_s) == (2, 12288, pytest.approx(12288 / 8e-6))
    assert (memset.bytes, memset.bytes_s) == (100, None)


def test_a_kernel_that_stands_for_several_counts_as_so_many_of_its_own_duration() -> None:
    """40 of 100 µs and 60 of 1 µs, of which every twentieth was told; and 10 of another kernel, each of them."""
    sampled = [kernel("gemm", 100 * US, HALF, 20)] * 2 + [kernel("gemm", US, HALF, 20)] * 3
    whole = [kernel("reduce", 100 * US, FULL)] * 10
    gemm, reduce = kernel_uses(filled(*sampled, *whole).latencies(Query(kind=Kind.GPU_KERNEL)))
    assert (gemm.count, gemm.time_ns) == (100, 4060 * US)
    assert (gemm.mean_ns, gemm.maximum_ns) == (40_600, 100 * US)
    assert gemm.launches == ((HALF, 100, 4060 * US),)
    assert 64 * US < gemm.quantile(0.99) <= 100 * US
    assert gemm.quantile(0.5) < 2 * US, "most were short, however long they took together"
    assert (gemm.share, reduce.share) == (pytest.approx(4060 / 5060), pytest.approx(1000 / 5060))


def test_copies_that_stand_for_several_have_all_bytes_and_the_rate_of_one() -> None:
    name = "host to device, pinned"
    told = [copy(name, 4 * US, 40_000, 25), copy(name, 6 * US, 60_000, 50), copy(name, 5 * US, 50_000)]
    (use,) = copy_uses(filled(*told).latencies(Query(kind=Kind.GPU_COPY)))
    assert (use.count, use.bytes, use.time_ns) == (76, 4_050_000, 405 * US)
    assert use.maximum_ns == 6 * US
    assert use.bytes_s == pytest.approx(10e9)
    line = next(line for line in gpu_work.copies(filled(*told), Query(kind=Kind.GPU_COPY), 100) if name in line)
    assert line.split()[2:9] == ["76", "3.86", "MB", "10", "6", "µs", "42"]


def test_the_tables_in_plain_text() -> None:
    text = report.text(
        filled(*FACTS), Query(kind=Kind.GPU_KERNEL), 120, (Kind.GPU_KERNEL, Kind.GPU_COPY, Kind.GPU_CALL)
    )
    lines = text.splitlines()
    assert "GPU kernels: 9, 400 µs" in lines
    (gemm,) = (line.split() for line in lines if line.endswith(" gemm"))
    assert gemm == [
        "87.5",
        "350",
        "µs",
        "4",
        "87.5",
        "µs",
        "100",
        "µs",
        "100",
        "µs",
        "50",
        "%",
        "shared",
        "memory",
        "256",
        "42",
        "gemm",
    ]
    (reduce,) = (line for line in lines if line.endswith(" reduce"))
    assert "100 %" in reduce
    (memset,) = (line.split() for line in lines if line.endswith(" memset"))
    assert memset == ["0", "ns", "1", "100", "B", "?", "0", "ns", "42", "memset"]
    assert "GPU calls: unknown, its collector has not reported" in lines


def test_where_nobody_told_it_is_unknown_and_not_nothing() -> None:
    store = MemoryStore(recorded=True)
    store.set_health([Health("gpu_kernel", State.RUNNING, "no program tells of its GPU")])
    assert "GPU kernels: unknown, no program tells of its GPU" in report.text(store, Query(kind=Kind.GPU_KERNEL))
    store.set_health([Health("gpu_kernel", State.RUNNING)])
    assert "GPU kernels: no kernels in this range." in report.text(store, Query(kind=Kind.GPU_KERNEL))


def test_a_document_has_them_where_they_were_collected() -> None:
    document = structured.document(filled(*FACTS), Query(kind=Kind.GPU_KERNEL))
    assert set(document["gpu"]) == {"kernels", "tree", "copies"}
    (launch, _) = document["gpu"]["kernels"][0]["launches"]
    assert (launch["occupancy"], launch["limited_by"], launch["registers"]) == (0.5, "shared memory", 32)
    assert "gpu" not in structured.document(MemoryStore(recorded=True), Query())
    named = structured.document(filled(*FACTS), Query(kind=Kind.GPU_KERNEL, name="reduce"))
    assert [use["name"] for use in named["gpu"]["kernels"]] == ["reduce"]
    assert set(named["gpu"]) == {"kernels", "tree"}


def test_calls_without_a_time_do_not_look_as_if_they_took_none() -> None:
    call = Fact(T0, TRAIN, 9, (), Kind.GPU_CALL, 0, name="cuLaunchKernel", weight=7)
    (line,) = (one for one in gpu_work.calls(filled(call), Query(kind=Kind.GPU_CALL), 100) if "cuLaunchKernel" in one)
    assert line.split()[:3] == ["7", "?", "?"]


LAUNCHES = st.builds(
    Launch,
    st.integers(0, 1024),
    st.integers(0, 255),
    st.integers(0, 1800).map(lambda n: 128 * n),
    st.none() | st.integers(0, 32),
    st.integers(0, 15).map(Factor),
    st.integers(0, 64),
)


@given(LAUNCHES)
def test_a_launch_comes_back_from_its_number(launch: Launch) -> None:
    assert Launch.unpacked(launch.packed()) == launch
    assert launch.packed() < 1 << 53  # a number of JSON


@given(st.integers(0, (1 << 64) - 1))
def test_whatever_the_number_something_is_said_of_it(value: int) -> None:
    launch = Launch.unpacked(value)
    assert launch.occupancy is None or launch.occupancy >= 0
    assert isinstance(gpu_work.limits(launch), str)


def test_what_is_too_large_does_not_spill_over() -> None:
    launch = Launch.unpacked(Launch(10**9, 10**9, 10**12, 5, Factor.BLOCKS, 64).packed())
    assert (launch.threads, launch.registers, launch.blocks, launch.warps) == (2047, 255, 5, 64)


def test_a_shape_is_written_as_in_cuda() -> None:
    frame = shape_frame(Shape((64, 2, 1), (256, 1, 1)))
    assert frame.function == "<<<(64,2,1),(256,1,1)>>>"
    assert is_shape(frame)
    assert not is_shape(Frame("<<<(1,1,1),(1,1,1)>>>"))  # a function of a program that is called so


def test_a_timeline_says_of_which_time_nothing_is_known() -> None:
    """It is drawn on a track of its own, and is in no table."""
    missed = Fact(
        T0 + 7, TRAIN, 0, (), Kind.GPU_KERNEL, 500, maximum_ns=500, flags=UNRECORDED << ROLE_SHIFT, aux=lane(3, 0)
    )
    store = filled(*FACTS, missed)
    drawn = perfetto.document(store, Query(kind=Kind.GPU_KERNEL))["traceEvents"]
    (slice_,) = (one for one in drawn if one["ph"] == "X" and one["name"] == "not recorded")
    named = {(one["pid"], one["tid"]): one["args"]["name"] for one in drawn if one["ph"] == "M"}
    assert (slice_["dur"], named[slice_["pid"], slice_["tid"]]) == (0.5, "not recorded")
    assert sum(use.count for use in kernel_uses(store.latencies(Query(kind=Kind.GPU_KERNEL)))) == 9
