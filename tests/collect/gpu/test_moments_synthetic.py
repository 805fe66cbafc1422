"""Where to record everything costs a program too much, moments are recorded, and CUPTI is detached in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aperture_tui.profile.kinds import Kind
from tests.collect.collecting import Kept
from tests.collect.gpu.targets import HERE, LONGEST_S, await_words, hearing, target

pytestmark = pytest.mark.bpf  # a Session needs the kernel; the agent does not
BUSY = HERE / "synthetic_busy.py"


def busy(folder: Path, seconds: float, later_ms: int = 0, between_us: int = 60, **environ: str) -> Any:
    """A program that launches all the time: many thousand kernels a second."""
    return target(folder, round(1000 * seconds), later_ms, between_us, script=BUSY, **environ)


def kernels(kept: Kept, pid: int) -> np.ndarray:
    events = kept.of(pid)
    return events[events["kind"] == Kind.GPU_KERNEL]


@pytest.mark.parametrize("later_ms", [0, 300])
def test_moments_tell_how_much_there_was_and_leave_the_program_alone_in_between(tmp_path: Path, later_ms: int) -> None:
    with busy(tmp_path, 12, later_ms) as program, hearing(program) as kept:
        told = program.work()
        health = await_words(kept, "recorded in moments, one of ")
        program.end()
    assert health.lost == {}
    rows = kernels(kept, program.pid)
    assert (rows["duration_ns"] == 1000 * rows["weight"].astype(np.uint64)).all()
    assert set(rows["maximum_ns"].tolist()) == {1000}
    assert (rows["tid"] == program.pid).all()  # their calls were told
    assert len(rows) < told["launches"] / 2
    assert len(np.unique(rows["weight"])) >= 3
    last_ns = int(rows["time_ns"].max()) - int(rows["time_ns"].min())
    share = min(1.0, last_ns / 12e9)  # what came behind the last moment is not told
    assert abs(int(rows["weight"].sum()) / (told["launches"] * share) - 1) < 0.25
    assert told["unsafe"] == 0
    calls = kept.of(program.pid)
    assert calls["weight"][calls["kind"] == Kind.GPU_CALL].sum() == rows["weight"].sum()  # each has its kernel
    assert told["attachments"] >= 3
    attached = told["while_attached"] / told["launches"]
    assert attached < (0.3 if later_ms == 0 else 0.6)  # what was launched is waited for


def test_a_moment_stands_for_the_time_before_it(tmp_path: Path) -> None:
    """Each execution is counted as often as there were moments: neither the first nor any other counts for more."""
    with busy(tmp_path, 11) as program, hearing(program) as kept:
        program.work()
        await_words(kept, "recorded in moments")
        program.end()
    rows = np.sort(kernels(kept, program.pid), order="time_ns")
    times = rows["time_ns"].astype(np.int64)
    begins = np.flatnonzero(np.diff(times, prepend=times[0] - 10**9) > 100_000_000)
    assert len(begins) >= 3
    ends = np.append(begins[1:], len(rows)) - 1
    for k in range(1, len(begins)):
        off = times[begins[k]] - times[ends[k - 1]]
        on = times[ends[k]] - times[begins[k]]
        first = int(rows["weight"][begins[k]])
        assert on < 150_000_000
        assert first == pytest.approx((off + on) / on, rel=0.1)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SYNTHETIC_CUPTI_SUBSCRIBED": "1"}, "CUPTI is not detached: error 39: it costs the program in between, too"),
        ({"SYNTHETIC_CUPTI_CALLS_NOBODY": "1"}, "CUPTI is not detached: it calls nobody back"),
    ],
)
def test_where_cupti_cannot_be_detached_that_is_said(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    with busy(tmp_path, 4, **environ) as program, hearing(program) as kept:
        told = program.work()
        health = await_words(kept, words)
        assert "recorded in moments" in health.message
        program.end()
    assert (told["attachments"], told["unsafe"]) == (1, 0)
    assert len(kernels(kept, program.pid))


def test_an_idle_program_costs_nothing_and_is_recorded_all_the_time(tmp_path: Path) -> None:
    with target(tmp_path, 20) as program, hearing(program) as kept:
        told = program.work()
        ends = time.monotonic() + LONGEST_S
        while not kept.batches or len(kernels(kept, program.pid)) < told["gemm"] + told["reduce"]:
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert program.work()["attachments"] == 1
        program.end()
    assert set(kernels(kept, program.pid)["weight"].tolist()) == {1}
