"""Pushes to try with, and a client that sends them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.push import PushHead, encoded
from aperture_tui.wire.fleet_pb2 import PushRequest
from tests.store.facts import T0, Fact, batch_of

BOOT = bytes(range(16))
SH = Process(7, T0 - 5, "sh", "/a")


def stack(leaf: str) -> tuple[Frame, ...]:
    """A stack that ends in this function."""
    return Frame("sh", kind=FrameKind.PROCESS), Frame("main", "/bin/sh"), Frame(leaf, "/bin/sh")


def push(
    seq: int = 1,
    agent: str = "web-1",
    *,
    boot: bytes = BOOT,
    service: str = "shop",
    n: int = 3,
    time_ns: int = T0,
    known: bool = False,
    leaf: str = "work",
    interval_ms: int = 10_000,
    lost: int = 0,
    hosts: tuple[HostFacts, ...] = (),
    gauges: tuple[HostSample, ...] = (),
    health: tuple[Health, ...] = (),
) -> PushRequest:
    """A push with n events, of a nanosecond each. known: its stacks are not sent."""
    facts = [Fact(time_ns + i, SH, stack=stack(leaf), duration_ns=1) for i in range(n)]

    def knows(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return np.full(len(hashes), known)

    head = PushHead(agent, boot, seq, service, "0.1", lost, interval_ms)
    return encoded(head, batch_of(facts, Symbols()), knows, hosts, gauges, health)[0]
