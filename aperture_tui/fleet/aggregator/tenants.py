"""The tenants that are open: each with its store, what is due of its agents, and its lane."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aperture_tui.fleet.aggregator.board import Board
from aperture_tui.fleet.aggregator.counts import Counts
from aperture_tui.fleet.aggregator.lane import NOT_NOW, Lane
from aperture_tui.fleet.aggregator.refusal import LOG, later
from aperture_tui.fleet.aggregator.sequence import Sequences
from aperture_tui.profile.text import clean
from aperture_tui.store.push import PushLimits, decoded
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest

if TYPE_CHECKING:
    from aperture_tui.fleet.aggregator.budget import Budget
    from aperture_tui.fleet.aggregator.journal import Entry, Journal
    from aperture_tui.fleet.aggregator.lane import BatchLimits, Queued, Run
    from aperture_tui.fleet.aggregator.refusal import Refused
    from aperture_tui.fleet.aggregator.sequence import Key
    from aperture_tui.fleet.aggregator.storage import Storage, TenantStorage
    from aperture_tui.store.fleet_base import HostState

_RETRY_S: Final = 2.0


class Tenant:
    """One tenant that is open. Belongs to the event loop's thread."""

    def __init__(self, known: _Known, ways: Ways) -> None:
        self.storage = known.storage
        self.sequences = Sequences(known.stored)
        self.board = Board(known.hosts)
        self.lane = Lane(self.storage, ways.journal, ways.run, self._ended, ways.limits, ways.counts)
        self._run = ways.run
        self._budget = ways.budget
        self._counts = ways.counts
        self._asking: asyncio.Task[dict[Key, int]] | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.storage.name

    def acknowledged(self, key: Key, interval_ms: int) -> PushReply:
        """What an agent is told whose push is stored."""
        return PushReply(stored=self.sequences.stored(key), interval_ms=self._budget.interval_ms(interval_ms))

    async def recall(self, key: Key) -> None:
        """Learn from the store what is stored of a boot that was forgotten here. Raises StorageError."""
        if self._asking is None:  # whoever comes meanwhile waits for the same answer
            self._asking = asyncio.ensure_future(self._run(self.storage.stored))
            self._asking.add_done_callback(self._asked)
        stored = await asyncio.shield(self._asking)
        self.sequences.learn(key, stored.get(key, 0))

    def _asked(self, task: asyncio.Task[dict[Key, int]]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # whoever waits has it

    def _ended(self, batch: Sequence[Queued], refused: Refused | None) -> None:
        for one in batch:
            self.sequences.end(one.key, refused is None)
            self._budget.give(self.name, one.weight)
        for one in batch:
            one.pending.tell(refused or self.acknowledged(one.key, one.push.head.interval_ms))
        if refused is None:
            events, data_bytes = sum(len(one.push.events) for one in batch), sum(len(one.data) for one in batch)
            self._counts.kept(len(batch), events, data_bytes)
            self.board.stored([one.push for one in batch])


class Ways:
    """What all tenants share: the journal, the memory, threads to wait in, when a batch is full, and the counts."""

    def __init__(
        self,
        journal: Journal,
        budget: Budget,
        run: Run,
        limits: BatchLimits | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.journal = journal
        self.budget = budget
        self.run = run
        self.limits = limits
        self.counts = counts or Counts()


class _Known:
    """What a tenant's store said when it was opened."""

    def __init__(self, storage: TenantStorage) -> None:
        """Raises StorageError."""
        self.storage = storage
        self.stored: dict[Key, int] = storage.stored()
        self.hosts: list[HostState] = storage.hosts()


class Tenants:
    """Opens tenants when they are needed. Belongs to the event loop's thread.

    What the journal has of a tenant is stored before anything is taken of it: only then it is known what is due.
    """

    def __init__(self, storage: Storage, ways: Ways, limits: PushLimits) -> None:
        """Reads the journal. limits: of its pushes. Raises OSError."""
        self._storage = storage
        self._ways = ways
        self._limits = limits
        self._open: dict[str, Tenant] = {}
        self._opening: dict[str, asyncio.Task[Tenant]] = {}
        self._failed: dict[str, tuple[float, str]] = {}  # when, and why
        self._left: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in ways.journal.left():
            self._left[entry.tenant].append(entry)

    @property
    def trouble(self) -> str:
        """Why nothing can be stored for some tenant now, in one clear line; "" while all is well."""
        words = [tenant.lane.trouble for tenant in self._open.values()] + [why for _, why in self._failed.values()]
        return next(filter(None, words), "")

    @property
    def counts(self) -> Counts:
        """Of all of them."""
        return self._ways.counts

    def all(self) -> list[Tenant]:
        """Those that are open now."""
        return [*self._open.values()]

    async def opened(self, name: str) -> Tenant:
        """A tenant, opened if need be. Raises Refused."""
        found = self._open.get(name)
        if found is not None:
            return found
        failed_at, why = self._failed.get(name, (float("-inf"), ""))
        if time.monotonic() - failed_at < _RETRY_S:
            raise later(why, _RETRY_S)
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._opened(name))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be that nobody waits
        return await asyncio.shield(task)

    async def store_what_was_left(self) -> None:
        """Open the tenants that the journal has something of; returns when all of that is stored."""
        while self._left:
            for name in [*self._left]:
                try:
                    await self.opened(name)
                except Refused:
                    await asyncio.sleep(_RETRY_S)

    async def end(self) -> None:
        """Store what waits, of all tenants."""
        await asyncio.gather(*(tenant.lane.end() for tenant in self._open.values()))

    async def _opened(self, name: str) -> Tenant:
        try:
            known = await self._ways.run(self._known, name)
        except NOT_NOW as error:
            words = clean(str(error))
            if self._failed.get(name, (0.0, ""))[1] != words:
                LOG.error("tenant %s cannot be opened: %s", name, words)
            self._failed[name] = time.monotonic(), words
            raise later(words, _RETRY_S) from error
        finally:
            del self._opening[name]
        self._failed.pop(name, None)
        self._left.pop(name, None)
        self._open[name] = Tenant(known, self._ways)
        return self._open[name]

    def _known(self, name: str) -> _Known:
        """In a thread. Raises one of NOT_NOW."""
        storage = self._storage.tenant(name)
        for entry in [*self._left.get(name, ())]:
            self._store_again(storage, entry)
            self._left[name].remove(entry)
        return _Known(storage)

    def _store_again(self, storage: TenantStorage, entry: Entry) -> None:
        try:
            pushes = [decoded(PushRequest.FromString(data), self._limits) for data in entry.pushes]
            storage.insert(entry.token, pushes, entry.stored_ns, again=True)
        except NOT_NOW:
            raise
        except Exception as error:
            self._ways.journal.set_aside(entry.token, f"{type(error).__name__}: {clean(str(error))}")
            return
        self._ways.journal.remove(entry.token)
        LOG.info("tenant %s: %d pushes that the journal had are stored", storage.name, len(entry.pushes))


__all__ = ["Tenant", "Tenants", "Ways"]
