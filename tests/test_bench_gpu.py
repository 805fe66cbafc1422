"""The run for a machine with a GPU, over a synthetic one: its parts work, so that no time there is lost by them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from bench.gpu import asking, parts
from bench.gpu import overhead as bench_overhead
from bench.gpu import prices as bench_prices
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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"STRETCH_S": 0.05, "APART_S": 0.0, "SETTLE_S": 1.0, "QUIET_S": 0.0, "ALIKE_PAIRS": 2, "GOVERNED_PAIRS": 3}
    for name, value in short.items():
        monkeypatch.setattr(bench_overhead, name, value)


STEPS = ["before", "governed", "after", "everything", "after_everything", "peer", "after_peer"]


@pytest.mark.usefixtures("quick")
def test_work_beside_the_agent_is_compared_with_work_in_a_program_without() -> None:
    told = bench_overhead.overhead("tiny")
    assert list(_errors(told)) == []
    assert {step: len(told[step]["subject_s"]) for step in STEPS} == dict(
        zip(STEPS, (2, 3, 2, 3, 3, 2, 2), strict=True)
    )
    for step in STEPS:
        assert len(told[step]["control_s"]) == len(told[step]["subject_s"])
        for of in (told[step], told[step]["cpu"]):
            assert of["low"] <= of["percent"] <= of["high"]
    for step in ("governed", "everything"):
        assert told[step]["status"]
        assert sum(told[step]["counts"].values()) > 0
    assert told["peer"]["percent"] > 20  # it does three times the work here
    assert bench_overhead.summary(told).startswith("before ")


@pytest.mark.usefixtures("quick")
def test_what_was_measured_before_a_program_died_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHETIC_DIES_AT", "4")  # it warms up twice; a pair; dead in the next
    told = bench_overhead.overhead("tiny")
    assert len(told["before"]["subject_s"]) == len(told["before"]["control_s"]) == 1
    for step in STEPS[:-2]:
        assert "ended with -9" in told[step]["error"]
    assert len(told["peer"]["subject_s"]) == len(told["after_peer"]["subject_s"]) == 2
    assert bench_overhead.summary(told).split(", ")[1] == "governed failed"


@pytest.mark.usefixtures("quick")
def test_nothing_begins_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_overhead, "ENDS_S", 0.0)
    told = bench_overhead.overhead("tiny")
    assert {told[step]["error"] for step in STEPS} == {"no time was left"}


def test_a_part_that_has_less_time_than_it_takes_tells_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bench_overhead, bench_prices):
        monkeypatch.setattr(module, "ENDS_S", module.ENDS_S)
    began = time.monotonic()
    told = parts.run("overhead-tiny", tmp_path, 13)
    assert time.monotonic() - began < 13
    assert told["before"]["error"] == told["after_peer"]["error"] == "no time was left"


def test_a_loss_is_that_of_the_sums_with_an_interval_around_it() -> None:
    """One lump in ten pairs: a median would not see it."""
    one, more = bench_overhead.Took(1.0, 0.5), bench_overhead.Took(1.5, 0.6)
    told = bench_overhead.loss([(one, one)] * 9 + [(one, more)])
    assert told["cpu"]["percent"] == pytest.approx(2)
    assert told["percent"] == pytest.approx(5)
    assert told["low"] == pytest.approx(0)
    assert 5 < told["high"] <= 20
    none: dict[str, object] = {"control_s": [], "subject_s": []}
    assert bench_overhead.loss([]) == none | {"cpu": none}


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STRETCH_S": 0.02, "PAIRS": 2, "WORKS": ("tiny", "graph")}.items():
        monkeypatch.setattr(bench_prices, name, value)


@pytest.mark.usefixtures("quick", "brief")
def test_prices_are_those_of_the_records_of_steps_that_follow_each_other(tmp_path: Path) -> None:
    told = bench_prices.prices(tmp_path)
    assert list(_errors(told)) == []
    assert list(told) == ["tiny", "graph"]
    for of_work in told.values():
        switches = list(bench_prices.SWITCHES)
        assert [step for step in of_work if step not in ("n", "prices")] == [
            "never",
            *(step for switch in switches for step in (switch, f"off_after_{switch}")),
        ]
        for switch in switches:
            records = of_work[switch]["records"]
            assert records["kernels"] == records["launches"] == pytest.approx(of_work["n"], rel=0.1)
            assert records.get("calls", 0) == (0 if switch == "kernels" else records["kernels"])
            off = of_work[f"off_after_{switch}"]
            assert off["records"] == {}
            assert len(off["subject_s"]) == 2
            assert set(of_work["prices"][switch]) == {"record", "launch"}
            assert None not in of_work["prices"][switch].values()


@pytest.mark.usefixtures("quick", "brief")
def test_a_step_that_cannot_be_recorded_has_no_price_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHETIC_CUPTI_TAKEN", "1")
    told = bench_prices.prices(tmp_path)["graph"]
    for switch in bench_prices.SWITCHES:
        assert "another profiler has CUPTI" in told[switch]["error"]
        assert len(told[f"off_after_{switch}"]["subject_s"]) == 2
        assert told["prices"][switch] == {"record": None, "launch": None}


def test_a_price_is_what_is_more_while_it_is_recorded_and_what_remains_of_each_launch() -> None:
    records = {"kernels": 900_000.0, "copies": 100_000.0, "calls": 500_000.0, "launches": 200_000.0}
    told = {
        **{
            switch: {"control_s": [1.0, 3.0], "subject_s": [2.0, 4.0], "records": records}
            for switch in ("kernels", "calls")
        },
        **{f"off_after_{switch}": {"control_s": [2.0], "subject_s": [2.5]} for switch in ("kernels", "calls")},
    }
    assert bench_prices.price(told, "kernels") == {"record": 500, "launch": 2_500}
    assert bench_prices.price(told, "calls") == {"record": 1_000, "launch": 2_500}
    told["off_after_kernels"] = {"error": "it ended with -11"}
    assert bench_prices.price(told, "kernels") == {"record": None, "launch": None}


def test_an_overhead_is_said_in_a_line() -> None:
    told = {
        "n": 7,
        "before": {"percent": -0.04, "low": -1.0, "high": 1.0},
        "governed": {"percent": 1.24, "low": 0.41, "high": 2.06, "cpu": {"percent": 0.95}},
        "after": {"percent": 0.1, "low": 0.0, "high": 0.2, "error": "it ended with -11"},
        "everything": {"error": "it ended with -11"},
        "peer": {"percent": 43.6, "low": 40.0, "high": 50.0},
    }
    said = "before -0.0 %, governed +1.2 % (0.4 to 2.1; CPU +0.9 %), after +0.1 % until it failed, everything failed"
    assert bench_overhead.summary(told) == said + ", torch.profiler +44 %"
    assert bench_overhead.summary({"native": {"hung": False}}) == ""


def test_a_program_that_hung_is_not_asked_again(tmp_path: Path) -> None:
    hanging = asking.Program([sys.executable, "-c", "import time; time.sleep(60)"], "", tmp_path)
    with pytest.raises(TimeoutError, match="no answer"):
        hanging.do({"do": "tiny"}, 0.1)
    for again in (lambda: hanging.do({"do": "tiny"}), hanging.ask):
        with pytest.raises(RuntimeError, match="no answer"):
            again()
    hanging.end()
    assert hanging.died == -9


def test_the_agent_comes_and_goes_under_load_and_leaves_the_profiler_to_others(tmp_path: Path) -> None:
    told = parts.stress_moments(tmp_path, 1.5, patience_s=20)
    assert list(_errors(told)) == []
    assert not told["hung"]
    assert "died" not in told
    assert told["rounds"] >= 1
    assert sum(told["counts"].values()) > 0
    assert told["profiler_afterwards"] == 50


def test_a_death_under_load_is_told_with_what_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHETIC_DIES_AT", "8")  # in the second round
    told = parts.stress_moments(tmp_path, 20, patience_s=20)
    assert (told["died"], told["rounds"], told["hung"]) == (-9, 1, False)
    assert told.keys() >= {"status", "counts", "seconds"}
    assert "ended with -9" in told["error"]


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
