from __future__ import annotations

import pytest

from aperture_tui.collect import contention
from aperture_tui.collect.contention import LOCK_KEY, kind_of
from tests.collect.c_structures import assert_mirrors, defines, enumerated, layout

PROGRAM = "contention.bpf.c"


def test_the_layout_is_that_of_the_c_structure() -> None:
    assert_mirrors(LOCK_KEY, layout(PROGRAM, "lock_key"))
    assert layout(PROGRAM, "contended").size == 24


def test_the_numbers_of_the_program_are_those_here() -> None:
    c = defines(PROGRAM)
    assert (c["SPIN"], c["MUTEX"]) == (contention._SPIN, contention._MUTEX)
    assert enumerated(PROGRAM, "NO_ENTRY") == ["NO_ENTRY", "NO_SLOT", "NESTED", "NOT_WALKED", "COUNTERS"]
    assert (contention._NO_ENTRY, contention._NO_SLOT, contention._NESTED, contention._NOT_WALKED) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (1, "kernel spinlock"),
        (1 | 2, "kernel rwlock read"),
        (1 | 4, "kernel rwlock write"),
        (2, "kernel rwsem read"),
        (4, "kernel rwsem write"),
        (8 | 2, "kernel rtmutex read"),
        (8, "kernel rtmutex"),
        (16 | 2, "kernel percpu-rwsem read"),
        (16 | 4, "kernel percpu-rwsem write"),
        (32, "kernel mutex"),
        (32 | 1, "kernel mutex"),
        (0, "kernel semaphore"),
    ],
)
def test_kinds_are_those_of_the_kernels_own_flags(how: int, kind: str) -> None:
    """include/trace/events/lock.h: spin, read, write, real-time, per CPU, mutex."""
    assert kind_of(how) == kind
