"""Our own run time in the kernel, timed always or now and then."""

from __future__ import annotations

import subprocess
import time

import pytest

from aperture_tui.collect.run_times import EVERY, RunTimes
from tests.collect.collecting import collecting
from tests.programs import build

pytestmark = pytest.mark.bpf


def test_where_timing_is_dear_it_is_done_for_one_drain_in_many() -> None:
    times = RunTimes()
    on = []
    for _ in range(2 * EVERY):
        times.drain(dear=True)
        on.append(times._statistics is not None)
    times.close()
    assert on == [n % EVERY == 0 for n in range(2 * EVERY)]


def test_where_it_is_cheap_it_is_done_always_and_ends_with_us() -> None:
    times = RunTimes()
    for _ in range(3):
        times.drain(dear=False)
        assert times._statistics is not None
    times.close()
    assert times._statistics is None


def test_what_is_timed_now_and_then_stands_for_the_rest() -> None:
    """A steady load: the estimate a call is what the kernel itself counts a call while it is counted."""
    program = build("calls", "-O2", "-pthread")
    with (
        collecting(events=("syscall",)) as kept,
        subprocess.Popen([program, "8000000", "0", "1"], stdin=subprocess.PIPE) as child,
    ):
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        time.sleep(6)
        child.kill()
    word = next(one for one in kept.health if one.name == "syscall")
    assert word.bpf_ns is not None
    assert 60 < word.bpf_ns / word.delivered < 2000, "ns a call: an empty program has 48"


def test_what_a_name_had_stays_when_its_programs_go() -> None:
    times = RunTimes()
    with collecting(events=("cpu",)) as kept:
        time.sleep(1.2)
    before = next(one for one in kept.health if one.name == "cpu").bpf_ns
    assert before is not None
    assert before > 0
    times.follow("nothing", [])
    times.drain(dear=False)
    times.leave("nothing")
    assert times.ns("nothing") is None, "unknown, not zero"
    assert times.total_ns() is None
    times.close()
