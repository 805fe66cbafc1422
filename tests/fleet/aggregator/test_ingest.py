"""Taking pushes: each once, in order, within bounds, whatever the storage does. Over a storage in memory."""

from __future__ import annotations

import asyncio
import errno
import itertools
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aperture_tui.fleet.aggregator.budget import Budget, PutOff
from aperture_tui.fleet.aggregator.ingest import Ingest
from aperture_tui.fleet.aggregator.journal import Entry, Journal
from aperture_tui.fleet.aggregator.lane import BatchLimits
from aperture_tui.fleet.aggregator.refusal import Refused
from aperture_tui.fleet.aggregator.sequence import Sequences
from aperture_tui.fleet.aggregator.tenants import Tenants, Ways
from aperture_tui.store.clickhouse.connection import StorageError
from aperture_tui.store.push import Push, PushLimits
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest
from tests.fleet.aggregator.kept import Kept
from tests.fleet.aggregator.pushing import BOOT, push

MB = 1 << 20


class Room:
    """An aggregator's inside: everything but gRPC."""

    def __init__(
        self, folder: Path, kept: Kept, queue_bytes: int = 256 * MB, batches: BatchLimits | None = None
    ) -> None:
        self.kept = kept
        self.journal = Journal(folder)
        self.budget = Budget(queue_bytes)
        self.pool = ThreadPoolExecutor(4)
        self.decoded = 0
        ways = Ways(self.journal, self.budget, self.run, batches or BatchLimits(seconds=0.05))
        self.tenants = Tenants(kept, ways, PushLimits())
        self.ingest = Ingest(self.tenants, self.budget, self.unpack)
        self.ended = False
        self.hold = threading.Event()  # of unpacking
        self.hold.set()

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def unpack(self, function: Callable[..., Any], *arguments: Any) -> Any:
        def held() -> Any:
            self.hold.wait(10)
            self.decoded += 1
            return function(*arguments)

        return await self.run(held)

    async def push(self, request: PushRequest, tenant: str = "shop") -> PushReply:
        return await self.ingest.push(tenant, request)

    async def refused(self, request: PushRequest, tenant: str = "shop") -> Refused:
        with pytest.raises(Refused) as caught:
            await self.push(request, tenant)
        return caught.value

    async def end(self) -> None:
        if not self.ended:
            self.ended = True
            await self.ingest.end()
            self.journal.close()
            self.pool.shutdown()


Maker = Callable[..., Room]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    """Rooms; those with the same storage have the same journal."""
    rooms: list[Room] = []

    def made(kept: Kept | None = None, **options: Any) -> Room:
        rooms.append(Room(tmp_path / "journal", kept or Kept(), **options))
        return rooms[-1]

    yield made
    for room in rooms:
        room.hold.set()
        await room.end()


async def until(true: Callable[[], object]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def down(*_: object) -> None:
    raise StorageError("ClickHouse cannot be reached")


# -- each once, and in order


async def test_a_push_is_acknowledged_when_it_is_stored(make: Maker) -> None:
    room = make()
    gate = threading.Event()
    room.kept["shop"].before = lambda _: gate.wait(10)
    task = asyncio.create_task(room.push(push(1)))
    await until(lambda: room.kept["shop"].calls)
    await asyncio.sleep(0.05)
    assert not task.done()
    gate.set()
    assert (await task).stored == 1
    assert room.kept["shop"].seqs() == [1]
    assert not list(room.journal.folder.glob("*.batch"))


async def test_what_comes_again_is_acknowledged_again_and_stored_once(make: Maker) -> None:
    room = make()
    for seq in (1, 2, 2, 1, 3, 3):
        assert (await room.push(push(seq))).stored == max(seq, len(room.kept["shop"].seqs()))
    assert room.kept["shop"].seqs() == [1, 2, 3]


async def test_the_same_push_at_the_same_time_is_one(make: Maker) -> None:
    room = make()
    replies = await asyncio.gather(*(room.push(push(1)) for _ in range(3)))
    assert [reply.stored for reply in replies] == [1, 1, 1]
    assert room.kept["shop"].seqs() == [1]
    assert room.decoded == 1


async def test_more_than_an_agent_can_want_to_know_is_refused(make: Maker) -> None:
    room = make()
    replies = await asyncio.gather(*(room.push(push(1)) for _ in range(10)), return_exceptions=True)
    refused = [reply for reply in replies if isinstance(reply, Refused)]
    assert len(refused) == 7
    assert {one.code for one in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert room.kept["shop"].seqs() == [1]


async def test_a_push_that_is_not_due_is_refused_and_the_due_one_named(make: Maker) -> None:
    room = make()
    await room.push(push(5))  # of a boot that is new any will do: it may have been dropped from a spool before
    for seq in (7, 8, 1 << 62):
        refused = await room.refused(push(seq))
        assert (refused.code, refused.words) == (grpc.StatusCode.FAILED_PRECONDITION, "push 6 is due")
        assert refused.trailers == ()
    await room.push(push(6))
    assert room.kept["shop"].seqs() == [5, 6]


async def test_a_push_after_one_that_waits_is_not_due(make: Maker) -> None:
    room = make()
    room.hold.clear()
    first = asyncio.create_task(room.push(push(3)))
    await until(lambda: room.budget.used)
    for seq in (2, 4):
        assert (await room.refused(push(seq))).words == "push 3 is due"
    room.hold.set()
    assert (await first).stored == 3


async def test_boots_agents_and_tenants_are_counted_each_by_itself(make: Maker) -> None:
    room = make()
    other = bytes(16)
    await asyncio.gather(
        room.push(push(4)),
        room.push(push(9, boot=other)),
        room.push(push(2, agent="web-2")),
        room.push(push(7), tenant="bank"),
    )
    assert (await room.refused(push(4, agent="web-2"))).words == "push 3 is due"
    assert (await room.push(push(10, boot=other))).stored == 10
    assert sorted(room.kept["shop"].seqs()) == [4, 9, 10]
    assert room.kept["bank"].seqs() == [7]


async def test_what_was_stored_by_a_former_run_is_known(make: Maker) -> None:
    room = make()
    await room.push(push(1))
    await room.push(push(2))
    await room.end()
    later = make(room.kept)
    assert (await later.push(push(2))).stored == 2
    assert (await later.refused(push(4))).words == "push 3 is due"
    assert later.kept["shop"].seqs() == [1, 2]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.booleans()), max_size=25))
async def test_whatever_agents_send_each_seq_is_stored_once_and_in_order(
    tmp_path: Path, sent: list[tuple[str, int, bool]]
) -> None:
    room = Room(tmp_path / "any", Kept(), batches=BatchLimits(seconds=0.001))
    acknowledged: dict[str, int] = {}
    waiting: list[asyncio.Task[PushReply]] = []
    try:
        for agent, seq, patient in sent:
            task = asyncio.create_task(room.push(push(seq, agent)))
            waiting.append(task)
            if not patient:
                await asyncio.sleep(0)
                continue
            (result,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, PushReply):
                acknowledged[agent] = result.stored
            else:
                assert result.code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE)
        await asyncio.gather(*waiting, return_exceptions=True)
        for agent in "ab":
            seqs = room.kept["shop"].seqs(agent)
            first = min(seqs, default=0)
            assert seqs == list(range(first, first + len(seqs)))
            assert acknowledged.get(agent, 0) <= max(seqs, default=0)
    finally:
        await room.end()


# -- stacks


async def test_stacks_that_nobody_knows_are_asked_for_and_nothing_is_stored(make: Maker) -> None:
    room = make()
    reply = await room.push(push(1, known=True, leaf="a"))
    asked = np.frombuffer(reply.need_stacks, "<u8")
    assert len(asked) == 1
    assert (reply.stored, room.kept["shop"].calls, room.budget.used) == (0, 0, 0)
    assert (await room.push(push(1, leaf="a"))).stored == 1
    assert (await room.push(push(2, known=True, leaf="a"))).stored == 2
    (one, other) = room.kept["shop"].pushes
    assert one.hashes.tolist() == other.hashes.tolist() == asked.tolist()


# -- batches


async def test_pushes_of_many_agents_are_stored_together(make: Maker) -> None:
    room = make()
    await asyncio.gather(*(room.push(push(1, f"web-{i}")) for i in range(100)))
    assert len(room.kept["shop"].pushes) == 100
    assert room.kept["shop"].calls <= 10


async def test_a_full_batch_does_not_wait(make: Maker) -> None:
    room = make(batches=BatchLimits(seconds=60, rows=10))
    async with asyncio.timeout(10):
        await asyncio.gather(*(room.push(push(1, f"web-{i}", n=5)) for i in range(4)))
    assert room.kept["shop"].calls == 2


async def test_a_batch_is_no_larger_than_it_may_be(make: Maker) -> None:
    sizes = []
    room = make(batches=BatchLimits(rows=10, seconds=0.2))
    room.kept["shop"].before = lambda pushes: sizes.append(sum(len(one.events) for one in pushes))
    await asyncio.gather(*(room.push(push(1, f"web-{i}", n=4)) for i in range(20)))
    assert max(sizes) == 12  # what has begun below the limit


# -- room


async def test_what_has_no_room_is_put_off_with_a_delay(make: Maker) -> None:
    room = make(queue_bytes=100_000)
    gate = threading.Event()
    room.kept["shop"].before = lambda _: gate.wait(10)
    tasks = [asyncio.create_task(room.push(push(1, f"web-{i}"))) for i in range(10)]
    await until(lambda: sum(task.done() for task in tasks) >= 5)
    assert room.budget.used <= 100_000 + 100_000  # an unpacked push may be larger than it came
    gate.set()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [reply for reply in replies if isinstance(reply, Refused)]
    stored = len(room.kept["shop"].pushes)
    assert stored + len(refused) == 10
    assert stored >= 1
    for one in refused:
        assert one.code is grpc.StatusCode.UNAVAILABLE
        status, plain = one.trailers
        info = RetryInfo()
        assert Status.FromString(status[1]).details[0].Unpack(info)
        assert info.retry_delay.ToMilliseconds() == int(plain[1]) >= 500
    for i in range(10):  # in the end all are stored
        await room.push(push(1, f"web-{i}"))
    assert len(room.kept["shop"].pushes) == 10
    assert room.budget.used == 0


async def test_one_tenant_leaves_room_for_another(make: Maker) -> None:
    room = make(queue_bytes=1_000_000)
    gate = threading.Event()
    room.kept["shop"].before = lambda _: gate.wait(10)
    tasks = [asyncio.create_task(room.push(push(1, f"web-{i}"))) for i in range(40)]
    await until(lambda: any(task.done() for task in tasks))
    assert (await room.push(push(1), tenant="bank")).stored == 1
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_push_larger_than_the_room_is_taken_when_nothing_else_is_there(make: Maker) -> None:
    room = make(queue_bytes=1000)
    assert (await room.push(push(1))).stored == 1


async def test_a_full_queue_asks_for_fewer_pushes() -> None:
    budget = Budget(100)
    wishes = []
    for used in (0, 51, 80, 95, 200):
        budget.give("shop", budget.used - used)
        wishes.append([budget.interval_ms(interval) for interval in (0, 1_000, 10_000, 50_000, 90_000)])
    assert wishes == [
        [0, 0, 0, 0, 0],
        [20_000, 2_000, 20_000, 60_000, 90_000],
        [40_000, 4_000, 40_000, 60_000, 90_000],
        [60_000, 8_000, 60_000, 60_000, 90_000],
        [60_000, 8_000, 60_000, 60_000, 90_000],
    ]


async def test_an_agent_takes_little_memory() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sequences = Sequences({(f"host-{i:05}.example.org", i.to_bytes(16, "little")): i for i in range(10_000)})
    each = (tracemalloc.get_traced_memory()[0] - before) / 10_000
    tracemalloc.stop()
    assert len(sequences) == 10_000
    assert each < 500


async def test_past_the_limit_of_boots_the_store_is_asked(make: Maker) -> None:
    room = make()
    await room.push(push(1))
    tenant = await room.tenants.opened("shop")
    tenant.sequences = Sequences({}, most=2)
    kept = room.kept["shop"]
    for i in range(3):
        await room.push(push(1, f"web-{i}"))
    assert len(tenant.sequences) == 2
    asked = kept.asked
    replies = await asyncio.gather(*(room.push(push(1, f"web-{i}")) for i in range(3)))
    assert [reply.stored for reply in replies] == [1, 1, 1]
    assert kept.asked > asked
    assert sorted(kept.seqs("web-0") + kept.seqs("web-1") + kept.seqs("web-2")) == [1, 1, 1, 1]  # web-1 twice: made so


# -- trouble


async def test_while_the_storage_is_down_pushes_are_put_off_and_later_stored_once(make: Maker) -> None:
    room = make()
    kept = room.kept["shop"]
    kept.before = down
    for _ in range(2):
        refused = await room.refused(push(1))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert "cannot be reached" in refused.words
        assert refused.delay_s > 0
    assert "cannot be reached" in room.tenants.trouble
    kept.before = lambda _: None
    await until(lambda: kept.pushes)
    assert (await room.push(push(1))).stored == 1
    assert (await room.push(push(2))).stored == 2
    assert kept.seqs() == [1, 2]
    assert room.tenants.trouble == ""


async def test_a_batch_is_tried_again_under_the_same_token(make: Maker) -> None:
    room = make()
    kept = room.kept["shop"]
    failures = iter([True, True, False])

    def stored_but_the_answer_was_lost() -> None:
        if next(failures, False):
            down()

    kept.after = stored_but_the_answer_was_lost
    await room.refused(push(1))
    await until(lambda: kept.calls == 3)
    assert (await room.push(push(1))).stored == 1
    assert (kept.seqs(), len(kept.tokens)) == ([1], 1)


async def test_with_a_full_disk_nothing_is_acknowledged_until_there_is_room(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make()
    write, is_full = Journal.write, True

    def full(journal: Journal, entry: Entry) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(journal, entry)

    monkeypatch.setattr(Journal, "write", full)
    refused = await room.refused(push(1))
    assert "No space left" in refused.words
    assert room.kept["shop"].calls == 0
    is_full = False
    await until(lambda: room.kept["shop"].pushes)
    assert (await room.push(push(1))).stored == 1
    assert room.kept["shop"].seqs() == [1]


async def test_a_journal_that_cannot_be_emptied_holds_back_the_acknowledgement(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make()
    remove = Journal.remove
    failures = iter([True, True])

    def read_only(journal: Journal, token: str) -> None:
        if next(failures, False):
            raise OSError(errno.EROFS, "Read-only file system")
        remove(journal, token)

    monkeypatch.setattr(Journal, "remove", read_only)
    assert "Read-only" in (await room.refused(push(1))).words
    await until(lambda: not list(room.journal.folder.glob("*.batch")))
    assert (await room.push(push(1))).stored == 1
    assert (room.kept["shop"].seqs(), room.kept["shop"].calls) == ([1], 1)


async def test_one_push_that_cannot_be_stored_does_not_keep_the_others(make: Maker) -> None:
    room = make()

    def chokes(pushes: Sequence[Push]) -> None:
        if any(one.head.agent == "web-2" for one in pushes):
            raise OverflowError("int too large to convert")

    room.kept["shop"].before = chokes
    replies = await asyncio.gather(*(room.push(push(1, f"web-{i}")) for i in range(5)), return_exceptions=True)
    refused = replies.pop(2)
    assert isinstance(refused, Refused)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "int too large" in refused.words
    assert [reply.stored for reply in replies if isinstance(reply, PushReply)] == [1] * 4
    assert room.budget.used == 0
    assert not list(room.journal.folder.glob("*.batch"))


async def test_a_mistake_of_ours_keeps_nobody_waiting(make: Maker, caplog: pytest.LogCaptureFixture) -> None:
    room = make()
    await room.push(push(1))
    tenant = await room.tenants.opened("shop")

    def fails(_: object) -> None:
        raise ArithmeticError("of the board")

    tenant.board.stored = fails
    for seq in (2, 3):
        assert (await room.push(push(seq))).stored == seq
    assert "of the board" in caplog.text
    assert room.kept["shop"].seqs() == [1, 2, 3]
    assert room.budget.used == 0


async def test_a_tenant_that_cannot_be_opened_is_tried_again(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.tenants._RETRY_S", 0.05)
    room = make()
    room.kept.before = down
    replies = await asyncio.gather(*(room.push(push(1, f"web-{i}")) for i in range(20)), return_exceptions=True)
    assert {getattr(reply, "code", None) for reply in replies} == {grpc.StatusCode.UNAVAILABLE}
    assert room.kept.opened == 1  # all waited for the same attempt
    assert "cannot be reached" in room.tenants.trouble
    room.kept.before = lambda: None
    await asyncio.sleep(0.06)
    assert (await room.push(push(1))).stored == 1
    assert room.tenants.trouble == ""


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (PushRequest(agent="a", boot=BOOT, seq=1, body=b"no zstd"), "unpacked"),
        (PushRequest(agent="a", boot=b"short", seq=1), "boot"),
        (PushRequest(agent="a", boot=BOOT, seq=0), "seq"),
        (PushRequest(agent="", boot=BOOT, seq=1), "agent"),
        (PushRequest(agent="a" * 1_000_000, boot=BOOT, seq=1), "agent"),
    ],
)
async def test_nonsense_is_refused_and_leaves_nothing_behind(make: Maker, request_: PushRequest, words: str) -> None:
    room = make()
    refused = await room.refused(request_)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.words
    assert "\n" not in refused.words
    assert len(refused.words) <= 500
    assert room.budget.used == 0
    assert (await room.push(push(1, "a"))).stored == 1


async def test_what_is_too_large_is_said_to_be(make: Maker) -> None:
    room = make()
    large = push(1)
    large.body = b"x" * (5 * MB)
    refused = await room.refused(large)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.trailers == ()


# -- callers that go away, and the end


async def test_a_push_is_stored_also_if_its_caller_goes_away(make: Maker) -> None:
    room = make(batches=BatchLimits(seconds=0.2))
    task = asyncio.create_task(room.push(push(1)))
    await until(lambda: room.decoded)
    task.cancel()
    await until(lambda: room.kept["shop"].pushes)
    assert (await room.push(push(1))).stored == 1
    assert room.kept["shop"].seqs() == [1]


async def test_nothing_is_unpacked_for_a_caller_that_went_away(make: Maker) -> None:
    room = make()
    room.hold.clear()
    tasks = [asyncio.create_task(room.push(push(1, f"web-{i}"))) for i in range(10)]
    await until(lambda: room.budget.used)
    await asyncio.sleep(0.05)
    for task in tasks[2:]:
        task.cancel()
    room.hold.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert room.decoded == 2
    assert room.budget.used == 0
    assert (await room.push(push(1, "web-9"))).stored == 1


async def test_the_end_stores_what_waits_and_answers(make: Maker) -> None:
    room = make(batches=BatchLimits(seconds=60))
    tasks = [asyncio.create_task(room.push(push(1, f"web-{i}"))) for i in range(20)]
    await until(lambda: room.decoded == 20)
    await room.end()
    assert [(await task).stored for task in tasks] == [1] * 20
    assert len(room.kept["shop"].pushes) == 20
    refused = await room.refused(push(2))
    assert (refused.code, refused.words) == (grpc.StatusCode.UNAVAILABLE, "the aggregator is ending")


async def test_what_cannot_be_stored_at_the_end_is_by_the_next_run(make: Maker) -> None:
    room = make()
    kept = room.kept["shop"]
    kept.before = down
    await room.refused(push(1))
    late = asyncio.create_task(room.push(push(1, "web-2")))  # not in the batch that is being tried
    await until(lambda: room.decoded == 2)
    async with asyncio.timeout(5):
        await room.end()
    with pytest.raises(Refused):
        await late
    assert len(list(room.journal.folder.glob("*.batch"))) == 1
    kept.before = lambda _: None
    later = make(room.kept)
    await later.tenants.store_what_was_left()
    assert kept.seqs() == [1]
    assert (await later.push(push(1))).stored == 1
    assert (await later.push(push(1, "web-2"))).stored == 1
    assert (kept.seqs(), kept.seqs("web-2")) == ([1], [1])


async def test_what_the_journal_has_is_stored_before_anything_is_taken(make: Maker) -> None:
    room = make()
    kept = room.kept["shop"]
    kept.after = down  # stored, but the aggregator never hears of it
    await room.refused(push(1))
    await room.end()
    kept.after = lambda: None
    gate = threading.Event()
    kept.before = lambda _: gate.wait(10)
    later = make(room.kept)
    left = asyncio.create_task(later.tenants.store_what_was_left())
    again = asyncio.create_task(later.push(push(1)))
    await asyncio.sleep(0.05)
    assert not again.done()
    gate.set()
    assert (await again).stored == 1
    await left
    assert (kept.seqs(), len(kept.tokens)) == ([1], 1)
    assert not list(later.journal.folder.glob("*.batch"))


async def test_a_batch_that_the_next_run_cannot_store_is_set_aside(make: Maker) -> None:
    room = make()
    room.kept["shop"].before = down
    await room.refused(push(1))
    await room.end()

    def chokes(_: object) -> None:
        raise TypeError("what is this?")

    room.kept["shop"].before = chokes
    later = make(room.kept)
    await later.tenants.store_what_was_left()
    assert len(list(later.journal.folder.glob("*.damaged"))) == 1
    room.kept["shop"].before = lambda _: None
    assert (await later.push(push(1))).stored == 1


async def test_tenants_are_stored_side_by_side(make: Maker) -> None:
    room = make()
    gate = threading.Event()
    room.kept["slow"].before = lambda _: gate.wait(10)
    slow = asyncio.create_task(room.push(push(1), tenant="slow"))
    await until(lambda: room.kept["slow"].calls)
    for seq in itertools.islice(itertools.count(1), 3):
        assert (await room.push(push(seq), tenant="fast")).stored == seq
    gate.set()
    assert (await slow).stored == 1


def test_the_more_are_put_off_the_later_each_comes_again() -> None:
    now = 0.0
    put_off = PutOff(lambda: now)
    assert [put_off.delay_s("a"), put_off.delay_s("a")] == [1, 1]
    delays = [put_off.delay_s(i) for i in range(2000)]
    assert delays[-1] == pytest.approx(10, rel=0.01)
    for i in range(1900):
        put_off.taken(i)
    assert put_off.delay_s("a") == 1
    assert max(put_off.delay_s((i,)) for i in range(20_000)) == 60
    now = 1000
    assert put_off.delay_s("a") == 1  # those who stay away are forgotten
    assert len(put_off) == 1
