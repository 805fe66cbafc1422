"""What the supply's thread does when it has taken its share of the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.kinds import Stop

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
