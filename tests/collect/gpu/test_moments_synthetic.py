"""Where to record everything costs a program too much, calls are left out, and then moments are recorded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aperture_tui.profile.health import Health
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role
from tests.collect.collecting import Kept
from tests.collect.gpu.targets import HERE, Target, await_words, hearing, settle, target

pytestmark = pytest.mark.bpf  # a Session needs the kernel; the agent does not
BUSY = HERE / "synthetic_busy.py"
MANY = "5000x10"


def busy(folder: Path, seconds: float, later_ms: int = 0, rates: str = MANY) -> Any:
    """A program that launches all the time that it works, so many kernels a second."""
    arguments = (round(1000 * seconds), later_ms, rates)
    return target(folder, *arguments, script=BUSY)  # type: ignore[arg-type]  # what its script takes


def worked(program: Target, kept: Kept, words: str) -> tuple[dict[str, Any], Health]:
    """What it did, and the health that had these words meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(program.work)
        health = await_words(kept, words)
        return working.result(), health


def rows_of(kept: Kept, pid: int, kind: Kind) -> np.ndarray:
    """What ran."""
    events = np.sort(kept.of(pid), order="time_ns")
    is_own = events["flags"] >> np.uint16(ROLE_SHIFT) & np.uint16(3) == Role.OWN
    return events[(events["kind"] == kind) & is_own]


def begins_of(rows: np.ndarray, longest_s: float) -> np.ndarray:
    """Where moments begin, but for the first. longest_s: for how long the program itself paused at most."""
    times = rows["time_ns"].astype(np.int64)
    return np.flatnonzero((np.diff(times, prepend=times[:1]) > 100_000_000 + longest_s * 1e9) & (rows["weight"] > 1))


@pytest.mark.parametrize("later_ms", [0, 300])
def test_moments_tell_how_much_there_was(tmp_path: Path, later_ms: int) -> None:
    with busy(tmp_path, 12, later_ms) as program, hearing(program, gpu_limit=0.01) as kept:
        told, health = worked(program, kept, "recorded in moments, one of ")
        await_words(kept, "calls are left out at ")
        program.end()
    assert "CUPTI costs it about " in health.message
    assert health.lost == {}
    assert told["with_calls"] == 0
    assert told["on"] < told["launches"] / 2
    rows = rows_of(kept, program.pid, Kind.GPU_KERNEL)
    long_ns = 200_000_000 + int(told["longest_s"] * 1e9)  # or it may be the program that paused
    pauses = np.diff(rows["time_ns"].astype(np.int64), append=rows["time_ns"][-1:].astype(np.int64)) > long_ns
    assert pauses.any()
    assert (rows["flags"][pauses] & Flag.PAUSES != 0).all(), "what is in them is not known, and that is told before"
    assert (rows["flags"][0] & Flag.PAUSES) == 0
    assert (rows["duration_ns"] == 1000 * rows["weight"].astype(np.uint64)).all()
    assert set(rows["maximum_ns"].tolist()) == {1000}
    until = (int(rows["time_ns"].max()) - int(rows["time_ns"].min())) / 12e9  # what came behind the last is not told
    assert int(rows["weight"].sum()) == pytest.approx(told["launches"] * min(1.0, until), rel=0.25)


def test_a_moment_stands_for_the_time_since_the_one_before(tmp_path: Path) -> None:
    """Each execution counts for as much as any other: the rate of what is told is the program's own."""
    with busy(tmp_path, 12) as program, hearing(program, gpu_limit=0.01) as kept:
        told, _health = worked(program, kept, "recorded in moments, one of ")
        longest_s = told["longest_s"]
        for _ in range(4):  # where recording is dear, as on a busy machine, they are rare
            if len(begins_of(rows_of(kept, program.pid, Kind.GPU_KERNEL), longest_s)) >= 2:
                break
            longest_s = max(longest_s, program.work()["longest_s"])
        program.end()
    rows = rows_of(kept, program.pid, Kind.GPU_KERNEL)
    times, begins = rows["time_ns"].astype(np.int64), begins_of(rows, longest_s)
    long_ns = 60_000_000 + int(longest_s * 1e9)
    assert len(begins) >= 2
    for begin in begins.tolist():
        weight = int(rows["weight"][begin])
        over = (rows["weight"][begin:] != weight) | (np.diff(times[begin:], prepend=times[begin]) > long_ns)
        end = begin + int(np.argmax(np.append(over, True))) - 1
        on, all_ = times[end] - times[begin], times[end] - times[begin - 1]
        assert weight == pytest.approx(all_ / on, rel=0.15)


def test_calls_that_were_cheap_are_told_in_moments_once_they_are_many(tmp_path: Path) -> None:
    with busy(tmp_path, 7, rates="300,16000") as program, hearing(program, gpu_limit=0.02) as kept:
        assert program.work()["with_calls"] > 0
        told, health = worked(program, kept, "recorded in moments, one of ")
        program.end()
    assert "left out" not in health.message
    assert 0 < told["with_calls"] < told["launches"]
    kernels, calls = (rows_of(kept, program.pid, kind) for kind in (Kind.GPU_KERNEL, Kind.GPU_CALL))
    assert int(kernels["weight"].sum()) == pytest.approx(int(calls["weight"].sum()), rel=0.15)
    assert (kernels["tid"] == program.pid).mean() > 0.9


def test_a_program_that_launches_little_is_recorded_all_the_time(tmp_path: Path) -> None:
    with busy(tmp_path, 4, rates="200") as program, hearing(program, gpu_limit=0.02) as kept:
        told = program.work()
        settle(kept, told["launches"])
        program.end()
    assert told["on"] == told["launches"]
    assert told["with_calls"] > told["launches"] / 3  # it was looked for a second at what they will cost
    rows = rows_of(kept, program.pid, Kind.GPU_KERNEL)
    assert set(rows["weight"].tolist()) == {1}
    assert len(rows) == told["launches"]
