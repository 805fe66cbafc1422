"""From a synthetic GPU through the real agent, `aperture record` and a recording to what people read."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from aperture_tui.wire import pprof_pb2
from tests.collect.gpu.synthetic_nvml import folder as nvml
from tests.collect.gpu.targets import HERE, LONGEST_S, Target, target

pytestmark = pytest.mark.bpf
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/json.schema.json").read_text())


def command(module: str, *arguments: str, library: Path | None = None) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    env |= {"LD_LIBRARY_PATH": str(library)} if library else {}
    words = [sys.executable, "-m", f"aperture_tui.cli.{module}", *arguments]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def work_when_asked(program: Target) -> dict[str, int]:
    """Once somebody has switched the records on."""
    ends = time.monotonic() + LONGEST_S
    while not (told := program.work())["on"]:
        assert time.monotonic() < ends
        time.sleep(0.1)
    return told


def test_a_recording_of_a_synthetic_gpu_is_told_by_kernels_copies_and_calls(tmp_path: Path) -> None:
    recording = str(tmp_path / "synthetic.aperture")
    arguments = ("record", "--events", "gpu", "--duration", "6", "-o", recording)
    with target(tmp_path, 100, 2) as program:
        recorder = command("main", *arguments, library=nvml(tmp_path))
        work_when_asked(program)
        told = program.work()
        output(recorder)
    document = json.loads(output(command("top", "--once", "--replay", recording, "--format", "json")))
    jsonschema.validate(document, SCHEMA)
    assert document["collected"] == ["gpu_kernel", "gpu_copy", "gpu_call"]
    kernels = {use["name"]: use for use in document["gpu"]["kernels"] if use["pid"] == program.pid}
    gemm = kernels["gemm(float*, float*, int)"]
    assert gemm["count"] >= told["gemm"]
    assert gemm["count"] % told["gemm"] == 0  # each time that it worked, whole
    assert gemm["time_ns"] == gemm["count"] * 100_000
    assert gemm["mean_ns"] == gemm["maximum_ns"] == 100_000
    (launch,) = gemm["launches"]
    assert (launch["threads"], launch["occupancy"], launch["limited_by"]) == (256, 0.5, "shared memory")
    to_device = next(
        use
        for use in document["gpu"]["copies"]
        if (use["pid"], use["name"]) == (program.pid, "host to device, pageable")
    )
    assert to_device["bytes"] == 4096 * to_device["count"]
    assert to_device["bytes_s"] == pytest.approx(4096 / 2e-6)
    gpus = [reading["gpus"] for reading in document["gauges"] if reading["gpus"]]
    assert len(gpus) >= 3
    assert gpus[-1][0]["power_watts"] == 312.5
    assert gpus[-1][1]["power_watts"] is None

    text = output(command("top", "--once", "--replay", recording))
    assert "GPU kernels: " in text
    assert "shared memory" in next(line for line in text.splitlines() if "gemm(float*" in line)
    assert "host to device, pageable" in text

    trace = json.loads(output(command("main", "export", recording, "--format", "perfetto")))
    slices = [e for e in trace["traceEvents"] if e.get("cat") == "gpu_kernel" and e["args"]["pid"] == program.pid]
    assert sum(event["name"] == "gemm(float*, float*, int)" for event in slices) == gemm["count"]

    folded = output(command("main", "export", recording, "--event", "gpu_kernel", "--format", "folded"))
    assert any(";gemm(float*, float*, int);<<<(64,1,1),(256,1,1)>>> " in line for line in folded.splitlines())


def folded_time(text: str, *functions: str) -> int:
    """Of the stacks with all of these."""
    lines = (line.rpartition(" ") for line in text.splitlines())
    return sum(int(ns) for stack, _, ns in lines if set(functions) <= set(stack.split(";")))


def test_a_recording_of_cpu_and_a_synthetic_gpu_is_one_flame_graph_in_every_format(tmp_path: Path) -> None:
    recording = str(tmp_path / "synthetic.aperture")
    with target(tmp_path, 3, 1, script=HERE / "launching_target.py") as program:
        arguments = ("record", "--events", "cpu,gpu", "--gpu-limit", "100", "-p", str(program.pid), "--duration", "9")
        recorder = command("main", *arguments, "-o", recording)
        work_when_asked(program)
        since_ns = program.work()["since_ns"]
        output(recorder)

    def exported(form: str, *more: str, event: str = "gpu") -> str:
        since = datetime.fromtimestamp(since_ns / 1e9, UTC).isoformat()
        return output(command("main", "export", recording, "--event", event, "--format", form, "--from", since, *more))

    folded = exported("folded")
    forward, backward = (folded_time(folded, "train", name, "launch", "gemm") for name in ("forward", "backward"))
    assert (forward, backward) == (3 * 90 * 100_000, 3 * 30 * 100_000)
    assert folded_time(folded, "cudaLaunchKernel", "gemm", "<<<(64,1,1),(256,1,1)>>>") == forward + backward
    assert folded_time(exported("folded", event="cpu"), "train", "forward") > 0  # samples of the same functions

    svg = exported("svg")
    assert "forward" in svg
    assert "&lt;&lt;&lt;(64,1,1),(256,1,1)&gt;&gt;&gt;" in svg
    speedscope = json.loads(exported("speedscope"))
    assert speedscope["profiles"][0]["unit"] == "nanoseconds"
    assert sum(speedscope["profiles"][0]["weights"]) == forward + backward
    assert {"backward", "gemm"} <= {frame["name"] for frame in speedscope["shared"]["frames"]}
    profile = tmp_path / "gpu.pb.gz"
    exported("pprof", "-o", str(profile))
    told = pprof_pb2.Profile.FromString(gzip.decompress(profile.read_bytes()))
    assert sum(sample.value[1] for sample in told.sample) == forward + backward
    tree = json.loads(exported("json"))["tree"]
    assert (tree["weight"], tree["unit"]) == (forward + backward, "ns")
    text = exported("text")
    assert "gpu_kernel: 100.0 % exact, 0.00 % estimated by samples, 0.00 % unknown of 360 kernels" in " ".join(
        text.split()
    )

    trace = json.loads(exported("perfetto"))["traceEvents"]
    slices = {(e["pid"], e["tid"], e["ts"]): e for e in trace if e["ph"] == "X"}
    ends = {e["id"]: slices[e["pid"], e["tid"], e["ts"]] for e in trace if e["ph"] == "f"}
    starts = {e["id"]: slices[e["pid"], e["tid"], e["ts"]] for e in trace if e["ph"] == "s"}
    assert len(ends) == len(starts) == 360
    assert {e["name"] for e in starts.values()} == {"cudaLaunchKernel"}
    assert {e["args"]["grid"] for e in ends.values()} == {"(64,1,1)"}
    # a synthetic kernel ends when its call does
    assert all(abs(ends[i]["ts"] + 100 - starts[i]["ts"] - starts[i]["dur"]) < 1 for i in ends)

    split = datetime.fromtimestamp(since_ns / 1e9 + 0.8, UTC).isoformat()  # the second of three rounds
    options = ("--event", "gpu", "--base-to", split, "--from", split, "--by", "total", "--top", "60")
    changed = output(command("main", "diff", recording, recording, *options)).splitlines()
    assert any(line.split()[-1] == "forward" for line in changed if line)
