"""One tenant's pushes on their way into its store: in batches, one at a time, each in the journal first."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from aperture_tui.fleet.aggregator.counts import Counts
from aperture_tui.fleet.aggregator.journal import Entry, Journal
from aperture_tui.fleet.aggregator.refusal import LOG, Refused, later
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.fleet.aggregator.sequence import Key, Pending
    from aperture_tui.fleet.aggregator.storage import TenantStorage
    from aperture_tui.store.push import Push

Run = Callable[..., Awaitable[Any]]
"""Calls a function in a thread: run(function, *arguments)."""

NOT_NOW: Final = (RuntimeError, OSError, MemoryError)
"""What may be over later, StorageError among it; under the same token trying again is never wrong."""
_FIRST_DELAY_S: Final = 0.5
_LAST_DELAY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full. seconds: how long its first push waits for others. bytes: of the pushes as they came."""

    seconds: float = 1.0
    rows: int = 100_000
    bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Queued:
    """A push that waits for its batch. data: as it came. weight: bytes of memory, of the budget."""

    key: Key
    push: Push
    data: bytes
    weight: int
    pending: Pending


_Step = tuple[Callable[..., None], tuple[Any, ...]]

Ended = Callable[[Sequence[Queued], Refused | None], None]
"""Told of pushes that left the lane: they are stored, or why they will not be."""


class Lane:
    """A queue, and the task that stores what comes by it. Belongs to the event loop's thread."""

    def __init__(
        self,
        storage: TenantStorage,
        journal: Journal,
        run: Run,
        ended: Ended,
        limits: BatchLimits | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.trouble = ""
        """Why nothing can be stored now, in one clear line; "" while all is well."""
        self._storage = storage
        self._journal = journal
        self._run = run
        self._ended = ended
        self._limits = limits or BatchLimits()
        self._counts = counts or Counts()
        self._queue: deque[Queued] = deque()
        self._batch: deque[Queued] = deque()  # being stored
        self._rows = self._bytes = 0
        self._some = asyncio.Event()  # something waits
        self._hurry = asyncio.Event()  # a batch is full, or this is the end
        self._end = asyncio.Event()
        self._task = asyncio.create_task(self._work())

    def put(self, queued: Queued) -> None:
        """Store it, some time soon."""
        self._queue.append(queued)
        self._rows += len(queued.push.events)
        self._bytes += len(queued.data)
        self._some.set()
        if self._rows >= self._limits.rows or self._bytes >= self._limits.bytes:
            self._hurry.set()

    async def end(self) -> None:
        """Store what waits, each batch tried once more at most. What cannot be stored is refused."""
        self._end.set()
        self._some.set()
        self._hurry.set()
        await self._task
        left = [*self._batch, *self._queue]
        self._batch.clear()
        self._queue.clear()
        self._ended(left, later("the aggregator ended before it could be stored", 2.0))

    # -- the task

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            if not self._queue:
                return  # the end
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._limits.seconds)
            self._batch = self._cut()
            try:
                if not await self._store([*self._batch]):
                    return
            except Exception as error:  # a mistake of ours, for which nobody is to wait for ever
                LOG.critical("tenant %s: %s: %s", self._storage.name, type(error).__name__, clean(str(error)))
                self._leave(len(self._batch), later("the aggregator failed to store it", 5.0))

    def _cut(self) -> deque[Queued]:
        """The next batch: what fits, and one push at least."""
        batch: deque[Queued] = deque()
        rows = size = 0
        while self._queue and (not batch or (rows < self._limits.rows and size < self._limits.bytes)):
            one = self._queue.popleft()
            batch.append(one)
            rows += len(one.push.events)
            size += len(one.data)
        self._rows -= rows
        self._bytes -= size
        if not self._end.is_set():
            if not self._queue:
                self._some.clear()
            if self._rows < self._limits.rows and self._bytes < self._limits.bytes:
                self._hurry.clear()
        return batch

    async def _store(self, pushes: Sequence[Queued]) -> bool:
        """Store the first of the batch, however long it takes. False if this is the end and it could not be."""
        entry = Entry(self._storage.name, secrets.token_hex(16), time.time_ns(), [one.data for one in pushes])
        remove: _Step = (self._journal.remove, (entry.token,))
        insert: _Step = (self._insert, (entry.token, [one.push for one in pushes], entry.stored_ns))
        try:
            if not await self._done([(self._journal.write, (entry,)), insert, remove]):
                return False
        except Exception as error:  # what the store could not even begin with: one of them is to blame
            return await self._done([remove]) and await self._one_by_one(pushes, error)
        self._leave(len(pushes))
        return True

    def _insert(self, token: str, pushes: Sequence[Push], stored_ns: int) -> None:
        """In a thread."""
        began = time.monotonic()
        self._storage.insert(token, pushes, stored_ns)
        self._counts.inserts.add(time.monotonic() - began)

    async def _one_by_one(self, pushes: Sequence[Queued], error: Exception) -> bool:
        """Store each by itself, and refuse what cannot be stored. error: why they could not be together."""
        if len(pushes) > 1:
            for one in pushes:
                if not await self._store([one]):
                    return False
            return True
        words = f"cannot be stored: {type(error).__name__}: {clean(str(error))}"
        LOG.error("push %d of %s: %s", pushes[0].pending.seq, clean(pushes[0].key[0]), words)
        self._leave(1, Refused(grpc.StatusCode.INVALID_ARGUMENT, words))
        return True

    async def _done(self, steps: Sequence[_Step]) -> bool:
        """Do one step after the other, each until it succeeds. False if this is the end and one does not."""
        delay_s = _FIRST_DELAY_S
        for work, arguments in steps:
            while True:
                try:
                    await self._run(work, *arguments)
                    break
                except NOT_NOW as error:
                    self._not_now(error, delay_s)
                if self._end.is_set():
                    return False
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), delay_s)
                delay_s = min(2 * delay_s, _LAST_DELAY_S)
        if self.trouble:
            LOG.info("tenant %s: storing again", self._storage.name)
            self.trouble = ""
        return True

    def _leave(self, n: int, refused: Refused | None = None) -> None:
        """The first n of the batch are done with."""
        self._ended([self._batch.popleft() for _ in range(n)], refused)

    def _not_now(self, error: Exception, delay_s: float) -> None:
        """Tell everybody who waits; their pushes stay, and are found stored when they come again."""
        self._counts.failures += 1
        words = _said(error)
        if words != self.trouble:
            LOG.error("tenant %s: nothing can be stored now: %s", self._storage.name, words)
        self.trouble = words
        for one in (*self._batch, *self._queue):
            one.pending.tell(later(f"it is not stored yet: {words}", max(1.0, delay_s)))


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the journal: {error.strerror or error}"
    return clean(str(error)) or type(error).__name__
