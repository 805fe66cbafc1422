"""The real agent in a real process, over a synthetic CUPTI; the real socket; a real Session. No figure is a GPU's."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.gpu_launch import Launch, device_and_stream
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.occupancy import Factor
from aperture_tui.profile.query import Query
from tests.collect.collecting import Kept
from tests.collect.gpu.targets import HERE, await_words, hearing, settle, target
from tests.truth.told import stack_weights

pytestmark = pytest.mark.bpf  # a Session needs the kernel; the agent does not


def counted(kept: Kept, kind: Kind, pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in kept.store.latencies(Query(kind=kind, pids=(pid,))):
        found[one.name] += one.count
    return found


@pytest.mark.parametrize(("options", "threads"), [((), 1), ((), 8), (("--python-callbacks",), 1)])
def test_every_synthetic_kernel_and_copy_is_told_once(tmp_path: Path, options: tuple[str, ...], threads: int) -> None:
    with target(tmp_path, 500, threads, options=options) as program, hearing(program) as kept:
        told = program.work()
        settle(kept, told["gemm"] + told["reduce"])
        program.end()
    kernels = counted(kept, Kind.GPU_KERNEL, program.pid)
    assert kernels == {"gemm(float*, float*, int)": told["gemm"], "reduce": told["reduce"]}
    copies = counted(kept, Kind.GPU_COPY, program.pid)
    half = told["copies"] // 2
    assert copies == {"host to device, pageable": half, "device to host, pinned": half}
    calls = counted(kept, Kind.GPU_CALL, program.pid)
    graphs, singles = told["reduce"] // 4, told["gemm"] + told["reduce"] // 4
    assert calls["cudaLaunchKernel"] == singles
    assert calls["cudaGraphLaunch"] == graphs
    assert calls["cudaMemcpyAsync"] == told["copies"]
    assert "cudaGetDevice" not in calls
    health = kept.health_of("gpu_kernel")
    assert health is not None
    assert health.lost == {"records whose time makes no sense": told["others"]}


def test_a_synthetic_kernel_has_its_time_thread_stream_shape_and_occupancy(tmp_path: Path) -> None:
    with target(tmp_path, 50, 3) as program, hearing(program) as kept:
        told = program.work()
        settle(kept, told["gemm"] + told["reduce"])
        program.end()
    events = kept.of(program.pid)
    symbols = kept.batches[-1].symbols
    gemm = symbols.known_string("gemm(float*, float*, int)")
    rows = events[(events["kind"] == Kind.GPU_KERNEL) & (events["name"] == gemm)]
    assert set(rows["duration_ns"].tolist()) == {100_000}
    assert Counter(rows["tid"].tolist()) == dict.fromkeys(told["tids"], 50)
    assert {device_and_stream(aux) for aux in rows["aux"].tolist()} == {(0, 7)}
    launch = Launch.unpacked(int(rows["value"][0]))
    # 50,176 bytes with what is reserved: four blocks of 256 threads of the 64 warps of compute capability 9.0
    assert launch == Launch(256, 32, 49152, 4, Factor.SHARED_MEMORY, 64)
    assert launch.occupancy == 0.5
    stacks = stack_weights(kept, Query(kind=Kind.GPU_KERNEL, pids=(program.pid,)))
    unknown = ("[launch stack not known]", "cudaLaunchKernel")  # nobody takes samples, and there are no probes
    assert {stack[1:] for stack in stacks} >= {(*unknown, "gemm(float*, float*, int)", "<<<(64,1,1),(256,1,1)>>>")}
    now = time.time_ns()
    assert (np.abs(rows["time_ns"].astype(np.int64) - now) < 60 * 10**9).all()


def test_until_somebody_asks_nothing_is_switched_on_and_afterwards_it_is_off_again(tmp_path: Path) -> None:
    with target(tmp_path, 10) as program:
        assert program.work()["on"] is False
        with hearing(program) as kept:
            told = program.work()
            assert told["on"] is True
            settle(kept, told["gemm"])
        time.sleep(1)
        assert program.work()["on"] is False
        with hearing(program) as again:
            told = program.work()
            settle(again, told["gemm"])
        program.end()
    assert counted(again, Kind.GPU_KERNEL, program.pid)["gemm(float*, float*, int)"] == told["gemm"]


def test_calls_of_the_driver_are_told_once_it_is_seen_that_the_program_launches_by_them(tmp_path: Path) -> None:
    with target(tmp_path, 10) as program, hearing(program) as kept:
        ends = time.monotonic() + 15
        while not (some := counted(kept, Kind.GPU_CALL, program.pid)["cuLaunchKernel"]):
            assert time.monotonic() < ends
            program.work()
            time.sleep(0.3)
        told = program.work()
        program.end()
    assert counted(kept, Kind.GPU_CALL, program.pid)["cuLaunchKernel"] >= some + told["others"]


def test_a_synthetic_program_that_never_calls_the_runtime_has_its_calls_told(tmp_path: Path) -> None:
    with target(tmp_path, 3000, 0, script=HERE / "synthetic_driver.py") as program, hearing(program) as kept:
        told = program.work()
        settle(kept, told["launches"])
        program.end()
    calls = counted(kept, Kind.GPU_CALL, program.pid)
    assert set(calls) == {"cuLaunchKernel"}
    assert calls["cuLaunchKernel"] > told["launches"] / 3


def test_what_a_synthetic_program_did_last_is_told_when_it_ends(tmp_path: Path) -> None:
    with target(tmp_path, 100) as program, hearing(program) as kept:
        told = program.work()
        program.end()  # at once
        settle(kept, told["gemm"] + told["reduce"])
    assert counted(kept, Kind.GPU_KERNEL, program.pid)["gemm(float*, float*, int)"] == told["gemm"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SYNTHETIC_CUPTI_TAKEN": "1"}, "another profiler has CUPTI in this process"),
        ({"SYNTHETIC_CUPTI_WITHOUT_DRIVER": "1"}, "CUDA driver is not found"),
        ({"CUDA_INJECTION64_PATH": "/opt/parcagpu.so"}, "parcagpu.so has CUPTI in this process"),
        ({"NSYS_PROFILING_SESSION_ID": "7"}, "Nsight Systems has CUPTI in this process"),
    ],
)
def test_it_stands_aside_and_says_for_whom(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    with target(tmp_path, 10, **environ) as program, hearing(program, words) as kept:
        assert program.work()["on"] is False
        health = await_words(kept, words)
        program.end()
    assert f"pid {program.pid}: " in health.message


def test_an_agent_that_fails_over_a_synthetic_cupti_says_so_to_everybody_who_asks(tmp_path: Path) -> None:
    words = "its agent failed, and records nothing more: TypeError"
    with target(tmp_path, 10, SYNTHETIC_CUPTI_ODD="1", APERTURE_GPU_DEBUG="") as program:
        for _ in range(2):
            with hearing(program, words):
                assert program.work()["on"] is False
        program.end()
        assert program.process.stderr
        assert program.process.stderr.read() == ""


def test_only_the_processes_that_are_asked_for(tmp_path: Path) -> None:
    with target(tmp_path, 10) as asked, target(tmp_path, 10) as other, hearing(asked) as kept:
        told = asked.work()
        assert other.work()["on"] is False
        settle(kept, told["gemm"])
        asked.end()
        other.end()
    assert counted(kept, Kind.GPU_KERNEL, other.pid) == {}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_program_with_a_tmp_of_its_own_is_found_as_in_a_container(tmp_path: Path) -> None:
    own, place = tmp_path / "own", Path(f"/tmp/aperture-gpu-{2**31 + os.getpid()}")  # noqa: S108 - only a place to mount at
    own.mkdir(mode=0o700)
    place.mkdir(mode=0o700)
    inside = ("unshare", "-m", "sh", "-c", f'mount --bind "$0" {place} && exec "$@"', str(own))
    try:
        with target(tmp_path, 20, before=inside, APERTURE_GPU=str(place)) as program:
            assert list(place.iterdir()) == []  # not here, but there
            with hearing(program) as kept:
                told = program.work()
                settle(kept, told["gemm"] + told["reduce"])
            program.end()
    finally:
        place.rmdir()
    assert counted(kept, Kind.GPU_KERNEL, program.pid)["gemm(float*, float*, int)"] == told["gemm"]
