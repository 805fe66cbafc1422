"""Taking pushes: which one is due, whether there is room, what it says; then its lane stores it.

A push is acknowledged when it is stored, and never before. Whoever calls away leaves it in its lane: it is stored all
the same, and acknowledged at once when it comes again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np

from aperture_tui.fleet.aggregator.budget import Budget, PutOff
from aperture_tui.fleet.aggregator.lane import Queued
from aperture_tui.fleet.aggregator.refusal import LOG, Refused, later
from aperture_tui.profile.text import clean
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.store.push import Push, PushError, PushLimits, decoded, head_of
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.fleet.aggregator.lane import Run
    from aperture_tui.fleet.aggregator.sequence import Key, Pending
    from aperture_tui.fleet.aggregator.storage import TenantStorage
    from aperture_tui.fleet.aggregator.tenants import Tenant, Tenants

DECODING: Final = 2
"""Pushes that are unpacked at the same time: each may become a hundred times as large as it came."""
_OVERHEAD: Final = 32 << 10  # measured: what a small push takes as objects, its tables' first rows above all
_ROW_BYTES: Final = 200  # measured: a string, a frame or a process
_NODE_BYTES: Final = 40  # measured: a node of the trie
_WORD_BYTES: Final = 700  # measured: a reading, or what a collector says


class Ingest:
    """The Push call. Belongs to the event loop's thread.

    run: calls a function in one of the threads in which pushes are unpacked.
    """

    def __init__(self, tenants: Tenants, budget: Budget, run: Run, limits: PushLimits | None = None) -> None:
        self._tenants = tenants
        self._budget = budget
        self._run = run
        self._counts = tenants.counts
        self._limits = limits or PushLimits()
        self._put_off = PutOff()
        self._free = asyncio.Semaphore(DECODING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    async def push(self, tenant_name: str, request: PushRequest) -> PushReply:
        """Store a push, or say that it is stored. Raises Refused."""
        self._check_taking()
        try:
            head = head_of(request)
        except PushError as error:
            raise _refused(error) from error
        tenant = await self._tenants.opened(tenant_name)
        key = head.agent, head.boot
        sequences = tenant.sequences
        if sequences.is_forgotten(key):
            await _recalled(tenant, key)
        if head.seq <= sequences.stored(key):
            self._counts.repeated += 1
            return tenant.acknowledged(key, head.interval_ms)
        if head.seq != (sequences.due(key) or head.seq):
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"push {sequences.due(key)} is due")
        self._check_taking()  # it may have been told to end meanwhile
        pending = sequences.pending(key) or self._begun(tenant, key, request)
        return await pending.result()

    async def end(self) -> None:
        """Take no more, store what was taken, answer those who wait."""
        self._ending = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._tenants.end()

    def _check_taking(self) -> None:
        if self._ending:
            raise later("the aggregator is ending", 2.0)

    def _begun(self, tenant: Tenant, key: Key, request: PushRequest) -> Pending:
        """Raises Refused if there is no room."""
        weight = _OVERHEAD + request.ByteSize()
        if not self._budget.take(tenant.name, weight):
            words = f"too much waits to be stored (limit {self._budget.limit >> 20} MB)"
            raise later(tenant.lane.trouble or words, self._put_off.delay_s((tenant.name, key)))
        self._put_off.taken((tenant.name, key))
        pending = tenant.sequences.begin(key, request.seq)
        task = asyncio.create_task(self._take(tenant, key, request, pending, weight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return pending

    async def _take(self, tenant: Tenant, key: Key, request: PushRequest, pending: Pending, weight: int) -> None:
        """Unpack a push and put it into its lane, or answer why not."""
        result: PushReply | Refused
        try:
            async with self._free:
                if not pending.is_awaited:
                    raise later("nobody waits for it any more", 1.0)
                data, push, unknown = await self._run(_checked, tenant.storage, request, self._limits)
            if not len(unknown):
                heavy = _weight(push, data)
                self._budget.give(tenant.name, weight - heavy)
                tenant.lane.put(Queued(key, push, data, heavy, pending))
                return
            self._counts.incomplete += 1
            result = PushReply(stored=tenant.sequences.stored(key), need_stacks=unknown.astype("<u8").tobytes())
        except Refused as refused:
            result = refused
        except PushError as error:
            result = _refused(error)
        except (StorageError, MemoryError) as error:
            result = later(clean(str(error)), self._put_off.delay_s((tenant.name, key)))
        except Exception as error:
            LOG.error("push %d of %s: %s: %s", pending.seq, clean(key[0]), type(error).__name__, clean(str(error)))
            result = Refused(grpc.StatusCode.INVALID_ARGUMENT, f"cannot be taken: {type(error).__name__}")
        self._budget.give(tenant.name, weight)
        tenant.sequences.end(key, stored=False)
        pending.tell(result)


async def _recalled(tenant: Tenant, key: Key) -> None:
    try:
        await tenant.recall(key)
    except StorageError as error:
        raise later(clean(str(error)), 2.0) from error


def _checked(
    storage: TenantStorage, request: PushRequest, limits: PushLimits
) -> tuple[bytes, Push, NDArray[np.uint64]]:
    """In a thread: a push as bytes and as what it says, and its stacks of which nobody knows anything.

    Raises PushError and StorageError.
    """
    push = decoded(request, limits)
    asked = push.hashes[(push.nodes == 0) & (push.hashes != 0)]
    unknown = storage.unknown(push.head.service, asked) if len(asked) else asked
    return request.SerializeToString(), push, unknown


def _weight(push: Push, data: bytes) -> int:
    """About how many bytes of memory it takes."""
    symbols = push.symbols
    arrays = push.events.nbytes + push.hashes.nbytes + push.nodes.nbytes + _NODE_BYTES * len(symbols.trie)
    rows = len(symbols.strings) + len(symbols.frames) + len(symbols.processes)
    words = _WORD_BYTES * (len(push.gauges) + len(push.health) + len(push.hosts))
    return _OVERHEAD + len(data) + arrays + words + _ROW_BYTES * rows


def _refused(error: PushError) -> Refused:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if error.too_large else grpc.StatusCode.INVALID_ARGUMENT
    return Refused(code, str(error))
