"""Events summed where they are alike give the answers that they gave one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store import compaction
from aperture_tui.store.base import Store
from aperture_tui.store.compaction import COMPACT, TooManyError
from aperture_tui.store.memory import MemoryStore
from tests.store.conformance import HOST, SH, StoreConformance, in_memory
from tests.store.facts import T0, Fact, batch_of


class TestCompacted(StoreConformance):
    """The suite of all stores, with every two events of a question summed as soon as they come."""

    @pytest.fixture(autouse=True)
    @staticmethod
    def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compaction, "_RAW", 1)

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        return in_memory(batches, gauges, health, host)


def test_a_long_range_is_held_as_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_RAW", 10)
    store = MemoryStore()
    store.append(batch_of([Fact(T0 + i * 10**9, SH, kind=Kind.LOCK) for i in range(100)], Symbols()))
    _, events = store.selected(Query(Kind.LOCK))
    assert events.dtype == COMPACT
    assert (len(events), int(events["weight"].sum()), int(events["time_ns"][0])) == (1, 100, T0 + 99 * 10**9)
    assert events["kind"][0] == Kind.LOCK


def test_more_than_can_be_held_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_RAW", 10)
    monkeypatch.setattr(compaction, "_MOST", 20)
    store = MemoryStore()
    store.append(batch_of([Fact(T0 + i * 10**9, SH, value=i) for i in range(100)], Symbols()))
    assert store.call_tree(Query()).weight == 100
    with pytest.raises(TooManyError, match="more than 20 different events in this range: choose a shorter one"):
        store.selected(Query())
