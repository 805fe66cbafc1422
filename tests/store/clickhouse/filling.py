"""A ClickHouse in the process for tests: one for all, because there can be but one; a tenant for each."""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.clickhouse.database import Database, Retention, Tenant
from aperture_tui.store.push import Push, PushHead, decoded, encoded

BOOT = bytes(range(16))
FOR_EVER = Retention(None, None, None, None)
_numbers = itertools.count(1)


@cache
def database() -> Database:
    """The one of this process."""
    pytest.importorskip("chdb", reason="chdb is not installed: pip install 'aperture-tui[aggregator]'")
    folder = Path(tempfile.mkdtemp(prefix="aperture-chdb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Database.open(f"chdb://{folder}", FOR_EVER)


def fresh_tenant() -> Tenant:
    """One that holds nothing."""
    return database().tenant(f"t{next(_numbers)}")


def push_of(
    batch: Batch | None,
    seq: int = 1,
    agent: str = "box",
    service: str = "",
    gauges: Sequence[HostSample] = (),
    health: Sequence[Health] = (),
    host: HostFacts | None = None,
    boot: bytes = BOOT,
) -> Push:
    """A push as it comes over the wire."""
    batch = batch or Batch(Symbols(), empty(0))
    head = PushHead(agent, boot, seq, service, "0.1", 0, 10_000)
    hosts = [host or HostFacts(agent, "6.1.0", 2, 1 << 30, "boot-1")]
    request, _ = encoded(head, batch, lambda h: np.zeros(len(h), bool), hosts, gauges, health)
    return decoded(request)
