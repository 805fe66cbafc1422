"""Kernels of a synthetic GPU below the Python functions that launched them: a real process, real samples and probes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from aperture_tui.profile.kinds import Flag, Kind
from aperture_tui.profile.query import Measure, Query
from tests.collect.collecting import HZ, Kept
from tests.collect.gpu.targets import HERE, Target, hearing, settle, target
from tests.truth.told import stack_weights

pytestmark = pytest.mark.bpf
SCRIPT: Final = HERE / "launching_target.py"
ROUNDS: Final = 8  # three seconds


def worked(kept: Kept, program: Target) -> dict[str, Any]:
    """Once to be known, then once more to be looked at."""
    kernels = 0
    for _ in range(2):
        told = program.work()
        kernels += (told["forward"] + told["backward"]) // 100_000
        settle(kept, kernels)
    return told


def below(stacks: Counter[tuple[str, ...]], *functions: str) -> int:
    return sum(ns for stack, ns in stacks.items() if all(name in stack for name in functions))


def kernel_stacks(kept: Kept, program: Target, since_ns: int) -> Counter[tuple[str, ...]]:
    query = Query(Kind.GPU_KERNEL, start_ns=since_ns, pids=(program.pid,), measure=Measure.TIME)
    return stack_weights(kept, query)


def test_synthetic_kernels_are_exactly_below_the_functions_whose_launches_were_probed(tmp_path: Path) -> None:
    with target(tmp_path, ROUNDS, 1, script=SCRIPT) as program, hearing(program) as kept:
        told = worked(kept, program)
        program.end()
    stacks = kernel_stacks(kept, program, told["since_ns"])
    assert stacks.total() == told["forward"] + told["backward"]
    assert below(stacks, "train", "forward") == told["forward"]
    assert below(stacks, "train", "backward") == told["backward"]
    ends = ("cudaLaunchKernel", "gemm", "<<<(64,1,1),(256,1,1)>>>")
    assert {stack[-3:] for stack in stacks} == {ends}
    assert all(stack.index("forward") < stack.index("launch") for stack in stacks if "forward" in stack)
    events = kept.of(program.pid)
    mine = events[(events["kind"] == Kind.GPU_KERNEL) & (events["time_ns"] > told["since_ns"])]
    assert not (mine["flags"] & (Flag.ESTIMATED | Flag.NO_STACK)).any()


def test_of_a_synthetic_gpu_samples_estimate_the_share_of_functions(tmp_path: Path) -> None:
    with target(tmp_path, ROUNDS, 0, script=SCRIPT) as program:
        with hearing(program, events=("cpu", "gpu"), hz=HZ) as kept:
            told = worked(kept, program)
        program.end()
    stacks = kernel_stacks(kept, program, told["since_ns"])
    total = told["forward"] + told["backward"]
    assert stacks.total() == total
    joined = below(stacks, "train", "forward") + below(stacks, "train", "backward")
    # the rest: what lies between two functions is the caller's; a machine that is busy leaves a thread without samples
    assert joined > 0.7 * total
    # the edge between two functions is known to a period of the clock, or to the thread's next turn: of 200 ms
    assert below(stacks, "train", "forward") / joined == pytest.approx(0.75, abs=0.05)
    assert not below(stacks, "forward", "backward")
    events = kept.of(program.pid)
    kernels = events[(events["kind"] == Kind.GPU_KERNEL) & (events["time_ns"] > told["since_ns"])]
    unknown = kernels["flags"] & Flag.NO_STACK != 0
    assert below(stacks, "[launch stack not known]") == kernels["duration_ns"][unknown].sum()
    estimated = kernels["flags"] & Flag.ESTIMATED != 0
    assert estimated.sum() > 0.7 * len(kernels)  # the few others were caught in their calls
    health = kept.health_of("gpu_kernel")
    assert health is not None
    assert health.degraded["launch stacks estimated, by samples about them"] > 0.7 * len(kernels)


def test_of_a_synthetic_gpu_without_samples_and_probes_no_launch_stack_is_made_up(tmp_path: Path) -> None:
    with target(tmp_path, 1, 0, script=SCRIPT) as program, hearing(program) as kept:
        told = worked(kept, program)
        program.end()
    stacks = kernel_stacks(kept, program, told["since_ns"])
    assert {stack[1:3] for stack in stacks} == {("[launch stack not known]", "cudaLaunchKernel")}
    health = kept.health_of("gpu_kernel")
    assert health is not None
    assert health.degraded["launch stacks not known"] == health.delivered
