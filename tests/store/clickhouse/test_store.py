"""The ClickHouse store answers as the one in memory does (chDB, which is ClickHouse in the process)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.store.base import Store
from tests.store.clickhouse.filling import fresh_tenant, push_of
from tests.store.conformance import HOST, StoreConformance

_NOW = 1_800_000_000 * 10**9


class TestClickHouseStore(StoreConformance):
    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        tenant = fresh_tenant()
        seq = itertools.count(1)
        words = push_of(None, next(seq), gauges=gauges, health=health, host=host)
        pushes = [words, *(push_of(batch, next(seq), host=host) for batch in batches)]
        tenant.insert("all", pushes, _NOW)
        return tenant.store
