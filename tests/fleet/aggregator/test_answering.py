"""Questions over gRPC: the right answers, one status for each failure, and no work for those who went away."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from aperture_tui.fleet.aggregator.answering import NODES
from aperture_tui.fleet.aggregator.board import Board
from aperture_tui.fleet.aggregator.questions import GoneError, Questions
from aperture_tui.fleet.aggregator.refusal import Refused
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.connection import StorageError, TooMuchError
from aperture_tui.store.compaction import TooManyError
from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.push import decoded
from aperture_tui.wire import fleet_pb2 as wire
from tests.fleet.aggregator.kept import KeptStore
from tests.fleet.aggregator.pushing import push
from tests.fleet.aggregator.serving import Served, code_of, serving, until
from tests.store.conformance import SH, STACK
from tests.store.facts import SECOND, T0, Fact, batch_of

# -- the answers


async def filled(served: Served) -> KeptStore:
    """The aggregator's store, with two events."""
    store = served.kept["default"].store
    store.append(batch_of([Fact(T0, SH, stack=STACK), Fact(T0 + SECOND, SH, stack=STACK[:2])], Symbols()))
    return store


async def test_an_estimate_is_told_with_every_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        (await filled(served)).estimate = Estimate(25, 1234, 0.03)
        for name, request in (
            ("Query", wire.QueryRequest(alike=["stack"])),
            ("Aggregate", wire.AggregateRequest()),
            ("Diff", wire.DiffRequest()),
            ("Timeline", wire.TimelineRequest(buckets=3)),
        ):
            estimate = (await served.ask(name, request)).estimate
            assert (estimate.sampled, estimate.events, estimate.share_error) == (25, 1234, 0.03)


async def test_a_tree_has_as_many_nodes_as_is_asked_for_or_the_usual(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        store, asked = await filled(served), []
        found = store.found
        store.found = lambda queries, alike, nodes=0: (asked.append(nodes), found(queries, alike, nodes))[1]  # type: ignore[method-assign]
        for nodes in (0, 17, 1 << 31):
            await served.ask("Aggregate", wire.AggregateRequest(nodes=nodes))
        await served.ask("Diff", wire.DiffRequest(nodes=5))
        await served.ask("Query", wire.QueryRequest())
        assert asked == [NODES, 17, 1 << 20, 5, 0]


async def test_hosts_and_batches_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.push(push(1))
        await served.push(push(1, "web-2", service="bank"))
        hosts = await served.ask("Hosts", wire.HostsRequest())
        assert [(host.name, host.service) for host in hosts.hosts] == [("web-1", "shop"), ("web-2", "bank")]
        assert abs(hosts.now_ns - time.time_ns()) < 10 * SECOND
        batches = await served.ask("Batches", wire.BatchesRequest(limit=1))
        assert [(one.host, one.seq, len(one.boot)) for one in batches.batches] == [("web-1", 1, 16)]


async def test_a_machine_that_says_too_much_of_itself_spoils_no_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        tenant = served.kept["default"]
        tenant.hosts = lambda: [HostState("a", cpus=1 << 60, lost=1 << 70, first_ns=-1), HostState("b", cpus=2)]  # type: ignore[method-assign]
        hosts = (await served.ask("Hosts", wire.HostsRequest())).hosts
        assert [(host.name, host.cpus) for host in hosts] == [("a", (1 << 32) - 1), ("b", 2)]


# -- statuses

NONSENSE = {
    "a kind that there is not": ("Query", wire.QueryRequest(selection=wire.Selection(kind=99))),
    "a role that there is not": ("Aggregate", wire.AggregateRequest(selection=wire.Selection(role=9))),
    "a broken pattern": ("Aggregate", wire.AggregateRequest(selection=wire.Selection(frame="("))),
    "a nested pattern": ("Query", wire.QueryRequest(selection=wire.Selection(frame="(" * 900))),
    "a long pattern": ("Query", wire.QueryRequest(selection=wire.Selection(frame="a" * 1001))),
    "no column": ("Query", wire.QueryRequest(alike=["stack", "time_ns"])),
    "no buckets": ("Timeline", wire.TimelineRequest()),
    "too many buckets": ("Timeline", wire.TimelineRequest(buckets=1 << 31)),
    "two kinds of trees": ("Diff", wire.DiffRequest(after=wire.Selection(group=Group.THREAD))),
    "too many hosts": ("Describe", wire.DescribeRequest(selection=wire.Selection(hosts=["a"] * 10_001))),
    "too many processes": ("Query", wire.QueryRequest(selection=wire.Selection(pids=range(10_001)))),
}


@pytest.mark.parametrize("case", NONSENSE)
async def test_nonsense_is_an_invalid_argument(tmp_path: Path, case: str) -> None:
    async with serving(tmp_path) as served:
        await filled(served)
        code, words = await code_of(served.ask(*NONSENSE[case]))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words
        assert "\n" not in words


async def test_a_kind_that_is_not_said_is_cpu(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await filled(served)
        assert list((await served.ask("Describe", wire.DescribeRequest())).kinds) == [Kind.CPU]
        weights = (await served.ask("Timeline", wire.TimelineRequest(buckets=1))).weights
        assert int.from_bytes(weights, "little") == 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TooManyError("choose a shorter range"), grpc.StatusCode.RESOURCE_EXHAUSTED, "choose a shorter range"),
        (TooMuchError("too many rows"), grpc.StatusCode.RESOURCE_EXHAUSTED, "too many rows"),
        (StorageError("cannot be reached"), grpc.StatusCode.UNAVAILABLE, "cannot be reached"),
        (re.error("odd"), grpc.StatusCode.INVALID_ARGUMENT, "odd"),
        (ValueError("what?"), grpc.StatusCode.INVALID_ARGUMENT, "what?"),
        (KeyError("x"), grpc.StatusCode.INTERNAL, "KeyError"),
        (MemoryError(), grpc.StatusCode.INTERNAL, "MemoryError"),
    ],
)
async def test_each_failure_has_one_status(tmp_path: Path, error: Exception, code: grpc.StatusCode, words: str) -> None:
    async with serving(tmp_path) as served:
        store = await filled(served)

        def fails() -> None:
            raise error

        store.before = fails
        for name, request in (("Query", wire.QueryRequest()), ("Timeline", wire.TimelineRequest(buckets=1))):
            told, own = await code_of(served.ask(name, request))
            assert (told, words in own) == (code, True)


async def test_an_answer_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.answering._MOST_BYTES", 10)
    async with serving(tmp_path) as served:
        await filled(served)
        code, words = await code_of(served.ask("Aggregate", wire.AggregateRequest()))
        assert (code, "shorter range" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


# -- time


async def test_an_answer_that_takes_too_long_is_given_up_and_its_work_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        store = await filled(served)
        ended = threading.Event()

        def slow() -> None:
            try:
                while True:
                    time.sleep(0.01)
                    store.watch(0.5)  # as stores do while they read
            finally:
                ended.set()

        store.before = slow
        began = time.monotonic()
        assert (await code_of(served.ask("Query", wire.QueryRequest(), timeout=0.5)))[
            0
        ] is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await asyncio.to_thread(ended.wait, 5)
        assert time.monotonic() - began < 3
        store.before = lambda: None
        assert (await served.ask("Query", wire.QueryRequest())).body


async def test_few_are_answered_at_once_and_what_nobody_waits_for_is_not_begun() -> None:
    questions = Questions(threads=2, waiting=5)
    gate, running, begun = threading.Event(), threading.Semaphore(0), []

    def find(i: int) -> int:
        begun.append(i)
        running.release()
        gate.wait(10)
        return i

    def ask(i: int) -> asyncio.Task[int]:
        return asyncio.create_task(questions.answer(lambda: find(i), 10))

    tasks = [ask(i) for i in range(7)]
    await until(lambda: len(begun) == 2)
    with pytest.raises(Refused) as refused:
        await ask(7)
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE
    for task in tasks[2:6]:
        task.cancel()
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == [0, 1, 6]
    assert sorted(begun) == [0, 1, 6]
    questions.close()


async def test_a_question_waits_no_longer_than_its_caller() -> None:
    questions = Questions(threads=1)
    gate = threading.Event()
    first = asyncio.create_task(questions.answer(lambda: gate.wait(10), None))
    await asyncio.sleep(0.05)
    for remaining_s in (0.1, 0.0, -1.0):
        with pytest.raises(Refused) as refused:
            await questions.answer(lambda: 1, remaining_s)
        assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    gate.set()
    assert await first
    assert await questions.answer(lambda: 1, 5) == 1
    questions.close()


async def test_the_thread_of_an_answer_is_not_given_away_before_it_is_free() -> None:
    questions = Questions(threads=1)
    gate, at_once = threading.Event(), []

    def find() -> None:
        at_once.append(1)
        gate.wait(10)
        at_once.pop()

    first = asyncio.create_task(questions.answer(find, 10))
    await until(lambda: at_once)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Refused):
        await questions.answer(find, 0.1)
    assert len(at_once) == 1
    gate.set()
    assert await questions.answer(lambda: len(at_once), 5) == 0
    questions.close()


def test_a_store_that_is_asked_by_nobody_is_not_disturbed() -> None:
    questions = Questions()
    questions.watch(0.5)
    questions.close()


async def test_a_question_that_is_past_its_time_raises_in_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = Questions(threads=1)
    begun, late = threading.Event(), threading.Event()
    seen: list[type[BaseException]] = []

    def find() -> None:
        begun.set()
        late.wait(10)
        try:
            questions.watch(0.5)
        except GoneError as error:
            seen.append(type(error))

    asked = asyncio.create_task(questions.answer(find, 10))
    await until(begun.is_set)  # before its time is over: else it is not even begun
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 11)
    monkeypatch.setattr("aperture_tui.fleet.aggregator.questions.time", later)
    late.set()
    await asked
    assert seen == [GoneError]
    questions.close()


# -- watching


async def test_an_update_comes_at_once_and_when_something_of_the_watched_was_stored(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.push(push(1, time_ns=T0))
        mine = aiter(served.watch(wire.WatchRequest(hosts=["web-1"])))
        theirs = aiter(served.watch(wire.WatchRequest(service="bank")))
        everybody = aiter(served.watch(wire.WatchRequest()))
        first = await anext(mine)
        assert (first.end_ns, first.hosts) == (T0 + 3, 1)
        assert (await anext(theirs)).hosts == 0
        assert (await anext(everybody)).hosts == 1
        waiting = asyncio.ensure_future(anext(mine))
        await served.push(push(1, "web-2", service="bank", time_ns=T0 + SECOND))
        assert (await anext(theirs)).end_ns == T0 + SECOND + 3
        update = await anext(everybody)
        assert (update.end_ns, update.hosts) == (T0 + SECOND + 3, 2)
        assert not waiting.done()
        await served.push(push(2, time_ns=T0 - SECOND))
        assert (await waiting).end_ns == T0 + 3  # what comes late is news, but not newer


async def test_updates_are_at_most_two_a_second(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        stream = aiter(served.watch(wire.WatchRequest()))
        await anext(stream)
        times = []

        async def listen() -> None:
            async for _ in stream:
                times.append(time.monotonic())

        listening = asyncio.create_task(listen())
        began = time.monotonic()
        for seq in range(1, 31):
            await served.push(push(seq))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.6)
        listening.cancel()
        assert 2 <= len(times) <= 2 * (time.monotonic() - began) + 1
        assert all(b - a > 0.4 for a, b in itertools.pairwise(times))


async def test_streams_are_few_and_one_that_ends_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.answering.STREAMS", 3)
    async with serving(tmp_path) as served:
        streams = [served.watch(wire.WatchRequest()) for _ in range(3)]
        for stream in streams:
            await anext(aiter(stream))
        code, words = await code_of(anext(aiter(served.watch(wire.WatchRequest()))))
        assert (code, "3 screens" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
        streams[0].cancel()
        await until(lambda: served.aggregator._answering._streams == 2)
        await anext(aiter(served.watch(wire.WatchRequest())))


def test_a_clock_that_is_ahead_does_not_drag_all_screens_into_the_future() -> None:
    now = T0
    board = Board(clock=lambda: now)
    view = board.view()
    board.stored([decoded(push(1, time_ns=now))])
    assert view.newest_ns == now + 3
    board.stored([decoded(push(1, "web-2", time_ns=now + 10**18))])
    assert view.newest_ns <= now + 10 * SECOND
    board.stored([decoded(push(1, "web-3", time_ns=0)), decoded(push(1, "web-4", n=0))])
    assert view.newest_ns <= now + 10 * SECOND
    assert len(view.rows()) == 4
    assert board.view(["web-3"]).newest_ns == 3
    assert board.view(["web-4"]).newest_ns == 0


def test_the_board_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.fleet.aggregator.board._MOST", 100)
    board = Board([HostState(f"old-{i}", seen_ns=i) for i in range(200)])
    everybody = board.view()
    assert len(everybody.rows()) == 100
    assert len(board.view([f"old-{i}" for i in range(100)]).rows()) == 0  # the newest are kept
    one = decoded(push(1, "new-1", service="s"))
    before = board.generation
    board.stored([one])
    assert len(everybody.rows()) == 100
    assert board.view(["new-1"], "s").changed_since(before)
    assert not board.view(["new-1"], "other").changed_since(before)


def test_a_machine_that_moves_to_another_service_is_seen_there() -> None:
    board = Board([HostState("web-1", "shop")])
    shop, bank = board.view(service="shop"), board.view(service="bank")
    assert (len(shop.rows()), len(bank.rows())) == (1, 0)
    board.stored([decoded(push(1, service="bank"))])
    assert (len(shop.rows()), len(bank.rows())) == (0, 1)
