"""The parts of the agent that need no CUPTI, and what it does to the program that it is in."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aperture_tui.collect.gpu.inside._aperture_gpu import agent, records, wire
from aperture_tui.collect.gpu.inside._aperture_gpu.attached import is_quiet
from aperture_tui.collect.gpu.inside._aperture_gpu.governor import Governor, Launches, cost_ns, launches
from aperture_tui.collect.gpu.inside._aperture_gpu.source import dtypes

SECOND = 1_000_000_000
KERNEL = {
    "kind": records.CONCURRENT_KERNEL,
    "start": 1000,
    "end": 3000,
    "name": "gemm",
    "grid_x": 64,
    "grid_y": 2,
    "grid_z": 1,
    "block_x": 256,
    "block_y": 1,
    "block_z": 1,
    "registers_per_thread": 40,
    "static_shared_memory": 1024,
    "dynamic_shared_memory": 2048,
    "correlation_id": 77,
    "device_id": 1,
    "context_id": 2,
    "stream_id": 7,
    "graph_id": 3,
    "graph_node_id": 1 << 40,
}

# -- records


def test_a_record_is_read_by_its_attributes() -> None:
    kind, (row,) = records.of_objects(records.CONCURRENT_KERNEL, [SimpleNamespace(**KERNEL)], lambda name: len(name))
    assert kind == wire.KERNELS
    told = dict(zip(row.dtype.names, row.item(), strict=True))
    assert told == {
        "start_ns": 1000,
        "end_ns": 3000,
        "name": 4,
        "graph_node": 1 << 40,
        "correlation": 77,
        "device": 1,
        "context": 2,
        "stream": 7,
        "graph": 3,
        "grid_x": 64,
        "grid_y": 2,
        "grid_z": 1,
        "block_x": 256,
        "block_y": 1,
        "block_z": 1,
        "registers": 40,
        "static_shared": 1024,
        "dynamic_shared": 2048,
    }


ODD = st.one_of(st.none(), st.text(max_size=3), st.integers(-(2**70), 2**70), st.floats(), st.binary(max_size=3))


@given(
    st.sampled_from(sorted(records._ALL)),
    st.lists(
        st.dictionaries(st.sampled_from(sorted({*KERNEL, "bytes", "type", "copy_kind", "cbid"})), ODD),
        max_size=3,
    ),
)
@example(records.KERNEL, [{"start": float("inf"), "end": float("nan")}])
def test_whatever_a_record_lacks_or_has_it_is_read(kind: int, told: list[dict[str, object]]) -> None:
    some = [SimpleNamespace(**{name: value for name, value in one.items() if name != "name"}) for one in told]
    frame, rows = records.of_objects(kind, some, lambda name: 0)
    assert rows.dtype == np.dtype(wire.LAYOUTS[frame])
    assert len(rows) == len(some)


def test_rows_of_an_array_and_objects_are_the_same_records() -> None:
    fields = {name: value for name, value in KERNEL.items() if name != "name"}
    dtype = np.dtype([(name, "<i8") for name in fields] + [("name", "<u8"), ("something_new", "<u4")])
    array = np.zeros(1, dtype)
    for name, value in fields.items():
        array[name] = value
    array["name"] = 4
    from_array = records.of_array(records.CONCURRENT_KERNEL, array)
    from_object = records.of_objects(records.CONCURRENT_KERNEL, [SimpleNamespace(**KERNEL)], lambda name: len(name))
    assert from_array[0] == from_object[0]
    assert from_array[1].tolist() == from_object[1].tolist()


def test_negative_sizes_of_a_signed_record_are_no_error() -> None:
    array = np.array([(-1, -2)], [("grid_x", "<i4"), ("dynamic_shared_memory", "<i4")])
    _, rows = records.of_array(records.KERNEL, array)
    assert rows["grid_x"].tolist() == [0xFFFFFFFF]


def test_a_call_of_the_driver_inside_one_of_the_runtime_is_the_same_call() -> None:
    rows = np.zeros(4, wire.CALL)
    rows["domain"], rows["correlation"] = [0, 1, 1, 0], [5, 5, 6, 7]
    assert records.without_nested(rows)["correlation"].tolist() == [5, 6, 7]


def test_the_newest_layout_of_a_package_is_taken() -> None:
    made = {f"activity_kernel{n}_dtype": np.dtype([("kind", "<i4"), ("more", f"V{n}")]) for n in (9, 10, 13)}
    made["activity_api_dtype"] = np.dtype([("kind", "<i4")])
    found = dtypes(SimpleNamespace(**made))
    assert found[records.CONCURRENT_KERNEL].itemsize == 17
    assert set(found) == {records.KERNEL, records.CONCURRENT_KERNEL, records.RUNTIME, records.DRIVER}


@pytest.mark.parametrize(
    ("name", "quiet"),
    [
        ("cudaGetDevice", True),
        ("cudaEventQuery", True),
        ("cudaStreamIsCapturing", True),
        ("cudaLaunchKernel", False),
        ("cudaMemcpyAsync", False),
        ("cudaStreamSynchronize", False),
        ("cudaEventSynchronize", False),
        ("cudaDeviceSynchronize", False),
        ("cudaMalloc", False),
        ("cuLaunchKernelEx", False),
        ("cudaGraphLaunch", False),
    ],
)
def test_calls_that_say_nothing_are_left_out(name: str, quiet: bool) -> None:
    assert is_quiet(name) is quiet


# -- the governor


def test_what_is_spent_is_waited_for_and_no_longer() -> None:
    governor = Governor(0.02)
    assert governor.may_record
    governor.spend(30_000_000)  # 20 ms are saved from before
    assert not governor.may_record
    assert governor.wait_ns == pytest.approx(SECOND / 2)
    governor.passed(SECOND // 2 - 1000, SECOND)
    assert not governor.may_record
    governor.passed(2000, SECOND)
    assert governor.may_record


@pytest.mark.parametrize(("program_ns", "basis"), [(4 * SECOND, 1.0), (SECOND // 2, 0.5), (0, 0.25)])
def test_the_budget_goes_by_the_cpu_that_the_program_uses(program_ns: int, basis: float) -> None:
    governor = Governor(0.02)
    governor.spend(40_000_000)
    governor.passed(SECOND, program_ns)
    assert governor.may_record == (basis == 1)
    assert governor.share == pytest.approx(0.04 / basis)


def test_nothing_is_saved_or_owed_for_long() -> None:
    governor = Governor(0.02)
    governor.passed(3600 * SECOND, 3600 * SECOND)
    governor.spend(20_000_001)
    assert not governor.may_record
    governor.spend(3600 * SECOND)
    assert governor.wait_ns == pytest.approx(10 * SECOND)


def test_without_a_limit_it_may_cost_what_it_does_and_that_is_told() -> None:
    governor = Governor(1.0)
    governor.passed(SECOND, SECOND)
    governor.spend(50 * SECOND)
    assert governor.may_record
    assert governor.wait_ns == 0
    assert governor.share == 50


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**11), st.integers(0, 10**10)), max_size=60))
def test_in_the_long_run_it_costs_what_it_may(steps: list[tuple[int, int, int]]) -> None:
    """Whatever a moment costs: who records only while there is something left is late by one moment at most."""
    governor = Governor(0.02)
    basis = spent = most = 0.0
    for wall, program, cost in steps:
        governor.passed(wall, program)
        basis += min(wall, max(program, wall // 4))
        if governor.may_record:
            cost = min(cost, SECOND // 5)
            governor.spend(cost)
            spent, most = spent + cost, max(most, cost)
    assert spent <= 0.02 * (basis + SECOND) + most + 1
    assert governor.share >= 0


def told(kernels: int = 0, of_graphs: int = 0, copies: int = 0, calls: int = 0) -> dict[int, np.ndarray]:
    """Records; ten kernels of graphs are of one launch."""
    out = {wire.COPIES: np.zeros(copies, wire.COPY), wire.CALLS: np.zeros(calls, wire.CALL)}
    out[wire.KERNELS] = np.zeros(kernels + of_graphs, wire.KERNEL)
    out[wire.KERNELS]["graph"][kernels:] = 1
    out[wire.KERNELS]["correlation"][kernels:] = np.arange(of_graphs) // 10
    return out


def test_prices_are_by_the_kind_of_record() -> None:
    kinds = ({"kernels": 2}, {"of_graphs": 3}, {"copies": 4}, {"calls": 5})
    each = [cost_ns(told(**kind)) for kind in kinds]
    assert all(each)
    assert cost_ns(told(2, 3, 4, 5)) == sum(each)
    assert cost_ns({}) == 0


def test_launches_are_counted_while_there_are_some() -> None:
    assert launches(told(kernels=7, of_graphs=100, copies=3)) == 17
    assert launches({}) == 0
    seen = Launches()
    assert seen.per_s == 0
    for _ in range(4):
        assert not seen.are_known
        seen.add(250, SECOND // 4)
        seen.add(0, 100 * SECOND)  # it rests
    assert seen.are_known
    assert seen.per_s == pytest.approx(1000)
    assert 0 < seen.share < seen.calls_share
    for _ in range(100):
        seen.add(25_000, SECOND // 4)
    assert seen.per_s == pytest.approx(100_000, rel=0.01)


def test_it_has_the_grammar_of_python_3_9() -> None:
    import ast

    folder = Path(agent.__file__).parent
    for file in (*folder.glob("*.py"), folder.parent / "sitecustomize.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))


@pytest.mark.skipif(importlib.util.find_spec("cupti") is None, reason="cupti-python is not installed")
def test_the_real_packages_layouts_have_the_fields_that_are_read() -> None:
    from cupti import cupti

    found = dtypes(cupti)
    assert set(found) == {*records._ALL, records.OVERHEAD}
    assert {"overhead_kind", "start", "end"} <= set(found[records.OVERHEAD].names)
    for kind, (_, fields) in records._ALL.items():
        missing = {of for _, of in fields} - set(found[kind].names)
        assert not missing, f"{kind}: {missing}"
    made = cupti.__dict__.get("ActivityKernel13") or cupti.__dict__["ActivityKernel10"]
    _, (row,) = records.of_objects(records.KERNEL, [made()], lambda name: 5)
    assert row["name"] == 5
