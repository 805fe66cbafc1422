"""Which push of each agent is due: what makes a push that comes twice be stored once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aperture_tui.fleet.aggregator.refusal import Refused, later

if TYPE_CHECKING:
    from aperture_tui.wire.fleet_pb2 import PushReply

Key = tuple[str, bytes]
"""An agent's name and the boot of its spool, within which its pushes are counted."""

_WAITERS: Final = 3
"""Calls that may wait for the same push: an agent has one, and one more after its connection broke."""


class Pending:
    """A push that was taken and is not stored yet, and the calls that wait for what becomes of it."""

    __slots__ = ("_waiters", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._waiters: set[asyncio.Future[PushReply]] = set()

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    async def result(self) -> PushReply:
        """What becomes of it. Raises Refused."""
        if len(self._waiters) >= _WAITERS:
            raise later(f"push {self.seq} is waited for already", 2.0)
        waiter: asyncio.Future[PushReply] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def tell(self, result: PushReply | Refused) -> None:
        """Answer all that wait now. Others may come later, unless this was the end of it."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if waiter.done():  # its call was cancelled
                continue
            if isinstance(result, Refused):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)


class Sequences:
    """What is stored and what is pending of each agent's boot; a few hundred bytes each, and bounded.

    Past `most` boots those not heard of for longest are forgotten: whether something of such a one is stored has to be
    asked of the store.
    """

    def __init__(self, stored: Mapping[Key, int], most: int = 100_000) -> None:
        """stored: the highest seq of each that is stored."""
        self._stored = dict(stored)  # heard of last at the end
        self._pending: dict[Key, Pending] = {}
        self._most = most
        self._forgot = len(self._stored) > most
        self._trim()

    def __len__(self) -> int:
        return len(self._stored)

    def is_forgotten(self, key: Key) -> bool:
        """Whether the store has to be asked."""
        return self._forgot and key not in self._stored and key not in self._pending

    def learn(self, key: Key, stored: int) -> None:
        """What the store said of a boot; 0 if it has nothing of it. What was stored meanwhile counts more."""
        self._hear(key, max(stored, self._stored.get(key, 0)))

    def stored(self, key: Key) -> int:
        """The highest seq that is stored; 0 if none is."""
        return self._stored.get(key, 0)

    def pending(self, key: Key) -> Pending | None:
        """The push that is taken, if there is one."""
        return self._pending.get(key)

    def due(self, key: Key) -> int:
        """The seq that may be taken now; 0 for any, as of a boot that is new."""
        pending = self._pending.get(key)
        if pending is not None:
            return pending.seq
        stored = self._stored.get(key, 0)
        return stored + 1 if stored else 0

    def begin(self, key: Key, seq: int) -> Pending:
        """A push is taken."""
        pending = self._pending[key] = Pending(seq)
        return pending

    def end(self, key: Key, stored: bool) -> None:
        """It is stored, or it will not be."""
        pending = self._pending.pop(key)
        if stored:
            self._hear(key, pending.seq)

    def _hear(self, key: Key, seq: int) -> None:
        self._stored.pop(key, None)
        self._stored[key] = seq
        self._trim()

    def _trim(self) -> None:
        while len(self._stored) > self._most:
            del self._stored[next(iter(self._stored))]
            self._forgot = True
