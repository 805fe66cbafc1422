"""What the supply's thread does when it has taken its share of the CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from aperture_tui.collect.unwind import supply as supply_module
from aperture_tui.collect.unwind.coverage import Coverage
from aperture_tui.collect.unwind.kernel_maps import REQUEST
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.health import State
from aperture_tui.profile.kinds import STOP_SHIFT, Stop
from tests.collect.collecting import await_true

pytestmark = pytest.mark.bpf


@pytest.fixture
def supply(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supply]:
    """One that runs, but whose thread looks at nothing by itself."""
    monkeypatch.setattr(Supply, "_run", lambda self, _maps: self._stopping.wait())
    supply = Supply()
    supply.start()
    yield supply
    supply.stop()


def test_a_change_that_there_was_no_time_for_is_looked_at_later(supply: Supply) -> None:
    """Of a request the kernel thinks by itself; what the side band says, it says once."""
    looked: list[tuple[int, int]] = []
    supply._coverage.cover = lambda pid, stop: looked.append((pid, stop))  # type: ignore[method-assign]
    assert supply.maps is not None
    supply.expect([1, 2])
    supply._take_requests(supply.maps, 0.0)
    assert looked == [(1, Stop.NONE)], "one at least, or it might never get on"
    supply._take_requests(supply.maps, 1.0)
    assert looked == [(1, Stop.NONE), (2, Stop.NONE)]
    supply._take_requests(supply.maps, 1.0)
    assert len(looked) == 2
    assert not supply._coverage.degraded


def test_what_was_looked_at_since_it_changed_is_not_looked_at_again(supply: Supply) -> None:
    """Most processes are asked for in their first milliseconds; that they have mapped files is said later."""
    pid, looked = os.getpid(), list[int]()
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    supply._coverage.cover(pid, Stop.NO_TABLES)
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    supply._coverage.cover = lambda pid, _stop: looked.append(pid)  # type: ignore[method-assign]
    assert supply.maps is not None
    supply.changed({pid: before_ns, 1: after_ns})
    supply._take_requests(supply.maps, 1.0)
    assert looked == [], "seen already, and 1 has no tables"
    supply.changed({pid: after_ns})
    supply.changed({pid: after_ns - 1})
    supply._take_requests(supply.maps, 1.0)
    assert looked == [pid]


def test_what_was_looked_at_while_it_waited_is_not_looked_at_again(supply: Supply) -> None:
    pid = os.getpid()
    supply._coverage.cover(pid, Stop.NO_TABLES)
    supply.changed({pid: time.clock_gettime_ns(time.CLOCK_MONOTONIC)})
    supply._coverage.cover(pid, Stop.NO_TABLES)
    assert list(supply._take_changed()) == []


def test_who_is_asked_for_most_often_is_looked_at_first(supply: Supply, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a storm of processes that end at once there is time for a few: those that stay have most of the samples."""
    looked: list[tuple[int, int]] = []
    supply._coverage.cover = lambda pid, stop: looked.append((pid, stop))  # type: ignore[method-assign]
    no_tables, no_mapping = (int(stop) << STOP_SHIFT for stop in (Stop.NO_TABLES, Stop.NO_MAPPING))
    asked = [(5, no_tables), (6, no_tables), (7, no_tables), (6, no_mapping), (8, no_tables)]
    monkeypatch.setattr(supply.maps, "requests", lambda: np.array(asked, REQUEST))
    assert supply.maps is not None
    supply.expect([8, 9])
    supply._take_requests(supply.maps, 0.0)
    assert looked == [(6, Stop.NO_MAPPING)]
    assert sum(supply._coverage.degraded.values()) == 3
    looked.clear()
    supply._take_requests(supply.maps, 1.0)
    asked_or_changed = (
        (6, Stop.NO_MAPPING),
        (8, Stop.NO_TABLES),
        (9, Stop.NONE),
        (5, Stop.NO_TABLES),
        (7, Stop.NO_TABLES),
    )
    assert tuple(looked) == asked_or_changed, "each once, what has changed before what was asked for once"


def test_after_more_than_it_may_do_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is more without end: what it rests for counts as earned. It was asleep for ever after a storm."""
    monkeypatch.setattr(supply_module, "_BURST_S", 0.02)
    supply, looked = Supply(), 0

    def look(_coverage: Coverage, _pid: int, _stop: int) -> None:
        nonlocal looked
        until = time.thread_time() + 0.004
        while time.thread_time() < until:
            pass
        looked += 1

    monkeypatch.setattr(Coverage, "cover", look)
    supply.start()
    try:
        supply.expect(range(1, 100_000))
        after = []
        for _ in range(3):
            time.sleep(2)
            after.append(looked)
    finally:
        supply.stop()
    assert after[0] < after[1] < after[2], after
    earned = supply_module._SHARE_OF_A_CPU * (os.cpu_count() or 1) / 0.004 * 4
    assert earned / 4 < after[2] - after[0] < 1.2 * earned, "a hundred thousand that wait are not its work"


def test_processes_that_are_expected_do_not_wait_for_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the programs that walk their stacks, which are completed first."""
    monkeypatch.setattr(supply_module, "_FIRST_PICTURE_S", 600.0)
    order: list[str] = []
    cover = Coverage.cover
    monkeypatch.setattr(Coverage, "cover", lambda self, *given: (order.append("covered"), cover(self, *given)))
    supply = Supply()
    supply.start()
    try:
        supply.expect([os.getppid()])
        time.sleep(0.1)
        assert not order
        supply.later(lambda: order.append("completed"))
        await_true(lambda: supply.health().delivered > 0)
    finally:
        supply.stop()
    assert order[:2] == ["completed", "covered"]


def test_it_can_be_stopped_before_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply_module, "_FIRST_PICTURE_S", 600.0)
    supply = Supply()
    supply.start()
    supply.stop()
    assert supply.health().state is State.STOPPED
