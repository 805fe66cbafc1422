"""Pushes of a whole minute of one machine, with as much of each function as one likes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.push import PushHead, encoded
from aperture_tui.wire.fleet_pb2 import PushRequest
from tests.fleet.aggregator.pushing import BOOT, SH, stack
from tests.store.facts import Fact, batch_of

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
PERIOD_NS = 10_000_000
"""Of a sample: a hundred in a second are one core."""


def minute(
    seq: int,
    start_ns: int,
    agent: str = "web-1",
    service: str = "shop",
    kind: Kind = Kind.CPU,
    duration_ns: int = PERIOD_NS,
    **leaves: int,
) -> PushRequest:
    """leaves: as of `batch`."""
    head = PushHead(agent, BOOT, seq, service, "0.1", 0, 10_000)
    return encoded(head, batch(start_ns, kind, duration_ns, **leaves), _all_new, (), (), ())[0]


def batch(start_ns: int, kind: Kind = Kind.CPU, duration_ns: int = PERIOD_NS, **leaves: int) -> Batch:
    """leaves: how many events of each function, all over the minute, at whose end is one of another kind."""
    facts = []
    for leaf, n in leaves.items():
        times = (start_ns + (i + 1) * MINUTE // (n + 1) for i in range(n))
        facts += [Fact(at, SH, stack=stack(leaf), kind=kind, duration_ns=duration_ns) for at in times]
    last = Fact(start_ns + MINUTE - 1, SH, stack=stack("end"), kind=Kind.GPU_CALL, duration_ns=1)
    return batch_of([*facts, last], Symbols())


def _all_new(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.zeros(len(hashes), np.bool_)
