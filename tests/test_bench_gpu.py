"""The run for a machine with a GPU, over a synthetic one: its parts work, so that no time there is lost by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from bench.gpu import asking, parts
from bench.gpu import overhead as bench_overhead
from bench.gpu.__main__ import _errors
from tests.collect.gpu.targets import HERE, libraries

RECORDINGS = HERE / "recordings"


@pytest.fixture(autouse=True)
def synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libcuda, libcupti = libraries(tmp_path)
    monkeypatch.setattr(asking, "WORK", HERE / "synthetic_work.py")
    monkeypatch.setenv("SYNTHETIC_CUDA", str(libcuda))
    monkeypatch.setenv("SYNTHETIC_CUPTI", str(libcupti))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(HERE / "synthetic_cupti"), *filter(None, sys.path))))


def test_smoke_says_what_both_kinds_of_callbacks_do(tmp_path: Path) -> None:
    told = parts.smoke(tmp_path)
    for kind in ("native", "python"):
        assert told[kind]["hello"]["callbacks"] == kind
        assert told[kind]["counts"]["kernels"] == 200
    assert list(_errors(told)) == []


def test_the_same_work_is_found_equal_and_other_work_is_not(tmp_path: Path) -> None:
    for told in parts.compare(tmp_path).values():
        assert told["kernels"]["equal"]
        assert told["copies"]["equal"]
        assert told["kernels_without_call"] == 0
        assert all(ratio == pytest.approx(1) for ratio in told["median_ratios"].values())
    answers = parts._answers((("tiny", 5),))
    other = [
        {
            "cat": "kernel",
            "name": "f",
            "dur": 1,
            "args": {"grid": [1], "block": [1], "registers per thread": 1, "shared memory": 0},
        }
    ]
    told = parts.compared(answers, other)
    assert (told["kernels"]["ours"], told["kernels"]["theirs"], told["kernels"]["equal"]) == (5, 1, False)
    assert sum(told["only_ours"].values()) == 5
    assert len(told["only_theirs"]) == 1


def test_pairs_are_of_the_same_work_on_and_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_overhead, "PAIRS", 4)
    monkeypatch.setattr(bench_overhead, "STRETCH_S", 0.05)
    monkeypatch.setattr(bench_overhead, "SETTLE_S", 2.5)  # one window of the governor
    told = bench_overhead.overhead("tiny")
    is_governed = told["pilot"]["level"] != "calls and records"
    assert ("governed" in told) == is_governed
    assert len(told["calls"]["percent"]) == (3 if is_governed else 4)
    for one in (told[arm] for arm in ("calls", "governed") if arm in told):
        assert one["low"] <= one["median"] <= one["high"]
        assert len(one["off_s"]) == len(one["percent"])


def test_the_stress_goes_on_by_compiled_callbacks(tmp_path: Path) -> None:
    """By those in Python it may hang, here as with the real library: that is why there are the others."""
    told = parts.stress(tmp_path, 2, patience_s=3)["native"]
    assert told["hung"] is False
    assert told["rounds"] >= 1


def test_recordings_come_back_without_what_tells_the_machine(tmp_path: Path) -> None:
    told = parts.fixtures(tmp_path)
    data = (tmp_path / told["mix"]["file"]).read_bytes()
    header, answers = asking.replayed(data)
    assert header["work"] == {"train": 1, "matmul": 2, "tiny": 5, "copies": 1}
    assert len(answers.of(wire.KERNELS)) == told["mix"]["counts"]["kernels"]
    assert set(answers.frames.names.values()) >= {"_Z4gemmPfS_i", "cudaLaunchKernel"}
    assert b"synthetic-gpu-0" not in data  # its uuid
    with pytest.raises(ValueError, match="not a recording"):
        asking.replayed(data[1:])


def test_a_part_that_fails_stops_no_other_and_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.gpu", "--out", str(tmp_path), "devices", "machine"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LD_LIBRARY_PATH": ""}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert done.returncode == 1
    assert "GpuError" in told["devices"]["failed"]
    assert told["machine"]["packages"]["numpy"]


def test_errors_inside_of_a_part_are_found() -> None:
    assert list(_errors({"native": {"error": "hung"}, "more": [1], "python": {"deep": {"error": "too"}}})) == [
        "hung",
        "too",
    ]


@pytest.mark.parametrize(
    "path", sorted(RECORDINGS.glob("*.apgpu")) or [None], ids=lambda path: path.name if path else "none"
)
def test_recordings_of_real_gpus_are_replayed(path: Path | None) -> None:
    """Made by `python -m bench.gpu fixtures` on a machine with a GPU; what a recording is of is in its header."""
    if path is None:
        pytest.skip("no recording of a real GPU yet: python -m bench.gpu fixtures, on a machine that has one")
    header, answers = asking.replayed(path.read_bytes())
    assert header["gpu"]
    kernels = answers.of(wire.KERNELS)
    assert len(kernels)
    assert set(kernels["name"].tolist()) <= set(answers.frames.names)
    assert (kernels["end_ns"] > kernels["start_ns"]).all()
