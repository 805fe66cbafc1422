"""Events of waits for locks, out of what the kernel has summed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from aperture_tui.collect.calls import LOCK_KEY, OTHER_KEY
from aperture_tui.collect.locks import Locks
from aperture_tui.collect.sums import TOOK
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, Kind, Role
from aperture_tui.profile.symbols import Symbols
from tests.collect.standing import standing

pytestmark = pytest.mark.bpf

NOTHING = np.zeros(0, np.dtype([*OTHER_KEY.descr, *TOOK]))
NO_WAITS = np.zeros(0, np.dtype([*LOCK_KEY.descr, *TOOK]))
GUESSED = 256


@pytest.fixture
def locks() -> Iterator[Locks]:
    with standing(unwinder=False) as common:
        yield Locks(common)


def wait(tid: int, address: int, durations: list[int], error: int = 0, kind: int = 0, stack: int = 0) -> np.ndarray:
    """An entry of the kernel's table of waits, of this process."""
    row = np.zeros(1, NO_WAITS.dtype)
    row["tid"], row["address"], row["error"], row["kind"], row["stack"] = tid, address, error, kind, stack
    row["bucket"] = max(durations).bit_length() - 1
    row["n"], row["total_ns"] = len(durations), sum(durations)
    row["min_ns"], row["max_ns"] = min(durations), max(durations)
    row["pid"], row["comm"] = os.getpid(), b"waiter"
    return row


def other(tid: int, role: int, n: int = 1, pid: int | None = None) -> np.ndarray:
    row = np.zeros(1, NOTHING.dtype)
    row["address"], row["tid"], row["role"], row["n"] = 0x40, tid, role, n
    row["who"] = row["pid"] = os.getpid() if pid is None else pid
    row["comm"] = b"waiter"
    return row


def test_a_bucket_of_a_thread_is_an_event_and_the_shortest_of_a_lock_is_alone(locks: Locks) -> None:
    rows = np.concatenate([wait(7, 0x40, [1000, 1010, 1020]), wait(8, 0x40, [900]), wait(7, 0x80, [70, 65])])
    symbols = Symbols()
    events = locks.done(rows, NOTHING, 77, symbols)
    told = events[["tid", "value", "weight", "duration_ns", "maximum_ns"]].tolist()
    assert sorted(told) == [
        (7, 0x40, 3, 3030, 1020),
        (7, 0x80, 1, 65, 65),
        (7, 0x80, 1, 70, 70),
        (8, 0x40, 1, 900, 900),
    ]
    assert locks.delivered == 6
    assert (events["kind"] == Kind.LOCK).all()
    assert (events["flags"] == Flag.NONE).all(), "no stack was taken, which is no loss"
    assert {symbols.strings[i] for i in events["thread"].tolist()} == {"waiter"}


def test_outcomes_are_those_of_user_space(locks: Locks) -> None:
    """Inside of the kernel a wait that a signal ended may have other numbers."""
    rows = [wait(7, 0x40, [10], error) for error in (0, errno.ETIMEDOUT, errno.EINTR, 512, 514, 516)]
    events = locks.done(np.concatenate(rows), NOTHING, 77, Symbols())
    assert sorted(events["aux"].tolist()) == [0, *[errno.EINTR] * 4, errno.ETIMEDOUT]


def test_kinds_of_futexes_are_told_where_the_stack_does_not_tell_more(locks: Locks) -> None:
    symbols = Symbols()
    rows = np.concatenate([wait(7, 0x40 * (kind + 1), [10], kind=kind) for kind in range(6)])
    events = locks.done(rows, NOTHING, 77, symbols)
    assert [symbols.strings[i] for i in events["name"].tolist()] == [
        "futex",
        "futex bitset",
        "futex pi",
        "futex requeue pi",
        "futex2",
        "futex2 waitv",
    ]


def test_who_woke_and_who_held_have_their_roles(locks: Locks) -> None:
    me = os.getpid()
    events = locks.done(NO_WAITS, np.concatenate([other(me, Role.WAKER, 5), other(me, Role.HOLDER, 3)]), 77, Symbols())
    told = {int(row["flags"]) >> ROLE_SHIFT & 3: (int(row["weight"]), int(row["tid"])) for row in events}
    assert told == {Role.WAKER: (5, me), Role.HOLDER: (3, me)}
    assert (events["duration_ns"] == 0).all()
    assert locks.delivered == 0, "they are no waits"


def test_a_holder_that_is_nobody_is_not_told_but_counted(locks: Locks) -> None:
    """What lies behind a futex need not be an owner: then it has to be a thread of the same process."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        rows = [
            other(gone.pid, Role.HOLDER, 2),
            other(stranger.pid, Role.HOLDER | GUESSED, 4),
            other(os.getpid(), Role.HOLDER | GUESSED, 8),
            other(gone.pid, Role.WAKER, 16),
        ]
        events = locks.done(NO_WAITS, np.concatenate(rows), 77, Symbols())
    finally:
        stranger.kill()
        stranger.wait()
    told = sorted((int(row["flags"]) >> ROLE_SHIFT & 3, int(row["weight"])) for row in events)
    assert told == [(Role.WAKER, 16), (Role.HOLDER, 8)]
    assert locks.degraded["holder of a lock not known any more"] == 6


def test_a_holder_does_not_get_the_name_of_the_one_that_waits(locks: Locks) -> None:
    symbols = Symbols()
    events = locks.done(NO_WAITS, other(os.getpid(), Role.HOLDER), 77, symbols)
    assert symbols.strings[int(events["thread"][0])] == ""


def test_nothing_of_nothing(locks: Locks) -> None:
    assert len(locks.done(NO_WAITS, NOTHING, 77, Symbols())) == 0
