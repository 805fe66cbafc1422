from __future__ import annotations

import numpy as np

from aperture_tui.collect import offcpu
from aperture_tui.collect.offcpu import OFF_KEY, WAKE_KEY
from aperture_tui.collect.sums import TOOK
from aperture_tui.collect.waits import BLOCKED, NO_CALL, PREEMPTED, RUNNABLE, SLEEPING
from tests.collect.c_structures import assert_mirrors, enumerated, layout

PROGRAM = "offcpu.bpf.c"


def test_the_layouts_are_those_of_the_c_structures() -> None:
    assert_mirrors(OFF_KEY, layout(PROGRAM, "off_key"))
    assert_mirrors(WAKE_KEY, layout("wakes.bpf.c", "wake_key"))


def test_the_numbers_of_the_program_are_those_here() -> None:
    names = enumerated(PROGRAM, "NO_ENTRY")
    assert [names.index(name) for name in ("NO_ENTRY", "NO_SLOT", "NO_ROOM", "SHORT", "SHORT_NS")] == [
        offcpu._NO_ENTRY,
        offcpu._NO_SLOT,
        offcpu._NO_ROOM,
        offcpu._SHORT,
        offcpu._SHORT_NS,
    ]


def entry(tid: int, why: int, n: int, blocked: int, runnable: int, stack: int = 0) -> np.ndarray:
    row = np.zeros(1, np.dtype([*OFF_KEY.descr, *TOOK]))
    row["tid"], row["why"], row["n"], row["stack"] = tid, why, n, stack
    row["total_ns"], row["max_ns"] = blocked, blocked
    row["runnable_ns"], row["runnable_max_ns"] = runnable, runnable
    return row


def test_what_a_wait_blocked_and_what_it_waited_for_a_cpu_are_told_apart_and_both_whole() -> None:
    sleeping, preempted = SLEEPING << 16, PREEMPTED << 16 | NO_CALL
    rows = np.concatenate(
        [
            entry(1, sleeping, 10, 5000, 300, stack=9),
            entry(1, sleeping, 90, 40_000, 0),
            entry(2, sleeping, 4, 800, 0),
            entry(2, preempted, 7, 0, 600),
        ]
    )
    parts = offcpu._summed(rows, 77)
    sums = {}
    for tid, part, total in parts[["tid", "part", "total_ns"]].tolist():
        sums[tid, part] = sums.get((tid, part), 0) + total
    assert sums == {(1, BLOCKED): 45_000, (1, RUNNABLE): 300, (2, BLOCKED): 800, (2, RUNNABLE): 600}
    assert parts["n"][parts["part"] == BLOCKED].sum() == 104
    assert (parts["time_ns"] == 77).all()
    assert set(parts["stack"][parts["tid"] == 1].tolist()) == {9}, "it has a stack, so all of its waits have"
    assert parts["stack"][parts["tid"] == 2].tolist() == [0, 0]
