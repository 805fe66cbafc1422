"""What the supply's thread does when it has taken its share of the CPU."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from aperture_tui.collect.unwind import supply as supply_module
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.kinds import Stop
from tests.collect.collecting import collecting

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
    supply._take_requests(supply.maps, -1.0)
    assert not looked
    supply._take_requests(supply.maps, 1.0)
    assert looked == [(1, Stop.NONE), (2, Stop.NONE)]
    supply._take_requests(supply.maps, 1.0)
    assert len(looked) == 2
    assert not supply._coverage.degraded


def test_after_more_than_it_may_do_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """While requests come without end: what it rests for counts as earned. It was asleep for ever after a storm."""
    monkeypatch.setattr(supply_module, "_BURST_S", 0.02)
    with collecting(pids=(os.getpid(),)) as kept:  # and what it starts
        installed = []
        for _ in range(3):
            until = time.monotonic() + 2
            while time.monotonic() < until:
                subprocess.run(["/bin/sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done"], check=True)
            health = kept.health_of("unwind")
            assert health is not None
            installed.append(health.delivered)
    assert health.degraded["requests for tables that there was no time for"] > 20, "else it says nothing"
    assert installed[0] < installed[1] < installed[2]
