"""What is being pushed, from its file to the message that goes out. Nothing of it is sent here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from aperture_tui.fleet.agent.condense import condensed
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.packed.hashes import StackHashes
from aperture_tui.store.push import PushHead, PushLimits, encoded

if TYPE_CHECKING:
    from aperture_tui.fleet.agent.interval import Interval
    from aperture_tui.fleet.agent.ledger import Head
    from aperture_tui.profile.health import Health
    from aperture_tui.wire.fleet_pb2 import PushRequest

OWN: Final = "push"
"""The name of the pusher's own health."""
LIMITS: Final = PushLimits()
"""What any aggregator takes that was not told otherwise."""

Known = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who pushes: the machine's name, the service that it is of, our version."""

    agent: str
    service: str
    version: str

    def head(self, boot: bytes, seq: int, lost: int, interval_s: float) -> PushHead:
        """Of one push."""
        return PushHead(self.agent, boot, seq, self.service, self.version, lost, round(1000 * interval_s))


class Outgoing:
    """The events of one push, condensed; and the message that has them, which is made anew when it has to differ.

    head: what it is. interval: what its file has of it. hashes: of its stacks. rounds: how often stacks were asked for.
    asks: it went out without any, to be told which are needed. of: the hashes of all stacks of its Symbols.
    """

    def __init__(self, head: Head, interval: Interval, agent: str, of: StackHashes | None = None) -> None:
        """of: the hashes of the interval's Symbols, as far as they were found."""
        self.head = head
        self.interval = interval
        self.request: PushRequest | None = None
        self.hashes = np.zeros(0, np.uint64)
        self.rounds = 0
        self.asks = False
        self._hosts = [replace(host, name=agent) for host in interval.hosts]
        self._batch = Batch(interval.symbols, condensed(interval.events), interval.tags)
        self.of = of or StackHashes(interval.symbols)

    def encode(self, push_head: PushHead, known: Known, own: Health) -> PushRequest:
        """The message, with the stacks that are not known. own: the pusher's health, beside that of its time."""
        health = [*(one for one in self.interval.health if one.name != OWN), own]
        found = self.interval
        self.request, self.hashes = encoded(push_head, self._batch, known, self._hosts, found.gauges, health, self.of)
        return self.request

    @property
    def is_too_large(self) -> bool:
        """Whether no aggregator would take the message."""
        body = self.request.body if self.request is not None else b""
        return (
            len(body) > LIMITS.stored_bytes
            or len(self._batch) > LIMITS.events
            or (body != b"" and zstandard.frame_content_size(body) > LIMITS.plain_bytes)
        )
