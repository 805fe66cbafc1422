"""A store behind gRPC: the suite of all stores, and what becomes of it when the way there is bad."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store import exchange
from aperture_tui.store.base import Estimate, Store
from aperture_tui.store.fleet_base import BatchFacts, HostState
from aperture_tui.store.memory import Limits, MemoryStore
from aperture_tui.store.remote.connection import Connection
from aperture_tui.store.remote.link import Focus, LinkState, RemoteError, RemoteSettings
from aperture_tui.store.remote.store import RemoteStore
from aperture_tui.wire import fleet_pb2 as wire
from tests.fleet.aggregator.kept import Kept, KeptStore, KeptTenant
from tests.fleet.aggregator.serving import InThread
from tests.store.clickhouse.filling import fresh_tenant, push_of
from tests.store.conformance import HOST, PYTHON, SH, STACK, StoreConformance
from tests.store.facts import SECOND, T0, Fact, batch_of, words
from tests.store.served import TOKEN, Aggregator, serving


def settings(address: str, **changes: object) -> RemoteSettings:
    return replace(RemoteSettings(address, TOKEN, tls=False), **changes)


def fill(
    store: MemoryStore,
    batches: Sequence[Batch],
    gauges: Sequence[HostSample],
    health: Sequence[Health],
    host: HostFacts,
) -> None:
    """Exactly this."""
    store.set_hosts([host])
    store.set_health(health)
    for batch in batches:
        store.append(batch)
    for sample in gauges:
        store.append_gauges(sample)


def until(holds: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="class")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One aggregator for a class of tests, whose store each of them exchanges."""
    running = InThread(tmp_path_factory.mktemp("aggregator"))
    request.cls.kept, request.cls.connection = running.kept, Connection(settings(running.address))
    yield
    request.cls.connection.close()
    running.close()


@pytest.mark.usefixtures("shared")
class TestRemoteStore(StoreConformance):
    """Over an aggregator that has its stores in memory."""

    kept: Kept
    connection: Connection

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        store = self.kept["default"].store = KeptStore()
        fill(store, batches, gauges, health, host)
        return RemoteStore(self.connection)


class TestRemoteStoreOverClickHouse(TestRemoteStore):
    """The whole way: ClickHouse, the aggregator, gRPC, a client."""

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        tenant = fresh_tenant()
        said = push_of(None, 1, gauges=gauges, health=health, host=host)
        pushes = [said, *(push_of(batch, seq, host=host) for seq, batch in enumerate(batches, 2))]
        tenant.insert("all", pushes, 1_800_000_000 * SECOND)
        self.kept["default"].store = tenant.store  # type: ignore[assignment]  # a Store like that one
        return RemoteStore(self.connection)


class Stored(Kept):
    """The storage of an aggregator: one tenant of the ClickHouse in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.real = fresh_tenant()

    def tenant(self, name: str) -> KeptTenant:
        return self.real  # type: ignore[return-value]  # as much as is asked of it


class TestTheWholeWay:
    """From pushes of several machines through ClickHouse to a client."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RemoteStore]:
        stored, symbols = Stored(), Symbols()
        other = replace(HOST, name="two")
        for n, (agent, service) in enumerate((("one", "shop"), ("two", "shop"), ("three", "search"))):
            facts = [Fact(T0 + i * SECOND, SH, tid=5 + n, stack=(*STACK, Frame(f"f{n}"))) for i in range(n + 1)]
            facts += [Fact(T0, PYTHON, kind=Kind.SYSCALL, name="read"), Fact(T0, SH, kind=Kind.SYSCALL, name="read")]
            batch = batch_of(facts, symbols)
            gauges = [HostSample(T0, cpu_user=n / 10)]
            pushed = push_of(batch, 1, agent, service, gauges, host=replace(other, name=agent), boot=bytes([n] * 16))
            stored.real.insert(f"push {n}", [pushed], T0 + 60 * SECOND)
        running = InThread(tmp_path, stored)
        store = RemoteStore.open(settings(running.address, token=""))
        yield store
        store.close()
        running.close()

    def test_each_machine_each_service_and_all_of_them(self, store: RemoteStore) -> None:
        one, shop = store.of(Focus(("one",))), store.of(Focus(service="shop"))
        assert [view.call_tree(Query()).weight for view in (one, shop, store)] == [1, 3, 6]
        assert words(one.call_tree(Query())) == {(*STACK, Frame("f0")): 1}
        assert {host.name for host in store.fleet().hosts} == {"one", "two", "three"}
        assert [fact.host for fact in one.batches(Query(), 10)] == ["one"]
        assert [sample.cpu_user for sample in one.gauges(Query())] == [0.0]
        assert shop.gauges(Query()) == [], "of several machines they cannot be added up"

    def test_processes_of_several_machines_are_told_by_name(self, store: RemoteStore) -> None:
        calls = Query(kind=Kind.SYSCALL)
        one = store.of(Focus(("one",)))
        assert [(use.pid, use.name, use.count) for use in one.processes(calls)] == [(1, "sh", 1), (2, "python3", 1)]
        assert {(use.pid, use.start_ns, use.name, use.count) for use in store.processes(calls)} == {
            (0, 0, "sh", 3),
            (0, 0, "python3", 3),
        }
        found = store.latencies(calls)
        assert {(one.pid, one.process, one.name, one.count) for one in found} == {
            (0, "sh", "read", 3),
            (0, "python3", "read", 3),
        }
        assert [use.count for use in store.processes(replace(calls, process="python3"))] == [3]

    def test_what_is_held_is_told_of_those_that_are_looked_at(self, store: RemoteStore) -> None:
        assert [store.of(Focus((name,))).span().end_ns - T0 for name in ("one", "two")] == [1, SECOND + 1]
        assert store.span().end_ns == T0 + 2 * SECOND + 1
        assert store.kinds() == {Kind.CPU, Kind.SYSCALL}
        assert {host.name for host in store.of(Focus(service="shop")).hosts()} == {"one", "two"}

    def test_a_tree_of_few_nodes_has_the_whole_weight(self, store: RemoteStore) -> None:
        store.nodes = 4
        assert store.call_tree(Query()).weight == 6
        assert store.diff(Query(hosts=("one",)), Query(hosts=("three",))).weight == 2

    def test_news_come_when_something_is_pushed(self, store: RemoteStore) -> None:
        store.follow()
        until(lambda: store.news > 0)
        assert store.link().hosts == 3


@pytest.fixture
def aggregator() -> Aggregator:
    store = MemoryStore(recorded=True)
    store.append(batch_of([Fact(T0 + i * SECOND, SH, stack=STACK) for i in range(3)], Symbols()))
    store.set_hosts([HOST])
    return Aggregator(store, [HostState("box", "shop"), HostState("two", "shop", problem="a\x1b[31mb")])


@pytest.fixture
def store(aggregator: Aggregator) -> Iterator[RemoteStore]:
    with serving(aggregator) as address:
        store = RemoteStore.open(settings(address))
        yield store
        store.close()


def asked(aggregator: Aggregator, name: str) -> list[wire.Selection]:
    return [request for what, request in aggregator.asked if what == name]  # type: ignore[misc]


class TestWhatIsAsked:
    def test_the_machines_that_are_looked_at_narrow_every_question(
        self, store: RemoteStore, aggregator: Aggregator
    ) -> None:
        one, of_service = store.of(Focus(("box",))), store.of(Focus(service="shop"))
        for narrowed in (one, of_service):
            narrowed.call_tree(Query())
            narrowed.processes(Query())
            narrowed.diff(Query(), Query())
            narrowed.timeline(Query(), 3)
            narrowed.span()
            narrowed.gauges(Query())
            narrowed.batches(Query(), 5)
        selections = [request for _, request in aggregator.asked]
        half = len(selections) // 2
        assert {tuple(one.hosts) for one in selections[:half]} == {("box",)}  # type: ignore[attr-defined]
        assert {one.service for one in selections[half:]} == {"shop"}  # type: ignore[attr-defined]

    def test_a_query_that_names_machines_means_these(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.of(Focus(("box",))).call_tree(Query(hosts=("two",)))
        (selection,) = asked(aggregator, "Aggregate")
        assert list(selection.hosts) == ["two"]

    def test_a_tree_is_merged_where_the_data_is(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.nodes = 77
        assert store.call_tree(Query()).weight == 3
        assert [name for name, _ in aggregator.asked] == ["Aggregate"]
        store.call_tree(Query(group=Group.THREAD))
        assert [name for name, _ in aggregator.asked] == ["Aggregate", "Query"]

    def test_all_stacks_of_a_tree_are_rows(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.nodes = None
        assert words(store.call_tree(Query())) == {STACK: 3}
        assert store.diff(Query(), Query()).weight == 0
        assert [name for name, _ in aggregator.asked] == ["Query"] * 3

    def test_what_is_held_is_asked_once_for_many_questions(self, store: RemoteStore, aggregator: Aggregator) -> None:
        for _ in range(5):
            store.span(), store.kinds(), store.hosts(), store.health(), store.newest_ns()
        assert len(aggregator.asked) == 1

    def test_trees_of_all_machines_can_be_added_up(self, store: RemoteStore) -> None:
        trees = [store.of(Focus((name,))).call_tree(Query(hosts=("box",))) for name in ("box", "two")]
        assert trees[0].merge(trees[1]).weight == 6


class TestWhatIsTold:
    def test_the_machines(self, store: RemoteStore) -> None:
        fleet = store.fleet()
        assert [(host.name, host.service) for host in fleet.hosts] == [("box", "shop"), ("two", "shop")]
        assert fleet.hosts[1].problem == "a\\x1b[31mb", "it comes from a stranger"
        assert abs(fleet.now_ns - time.time_ns()) < 60 * SECOND

    def test_machines_that_were_told_not_long_ago_are_not_asked_for(
        self, store: RemoteStore, aggregator: Aggregator
    ) -> None:
        assert len(store.known_fleet()) == 2
        assert len(store.of(Focus(("box",))).known_fleet()) == 2
        assert len(asked(aggregator, "Hosts")) == 1

    def test_pushes(self, store: RemoteStore, aggregator: Aggregator) -> None:
        facts = BatchFacts("box", "shop", b"b" * 16, 7, T0, T0 + 1, T0 + 2, 99, 3)
        aggregator.facts = [facts, facts]
        assert store.batches(Query(), 1) == [facts]

    def test_an_answer_that_is_estimated_says_so_and_no_other(self, store: RemoteStore, aggregator: Aggregator) -> None:
        told: list[Estimate] = []
        store.note = told.append
        store.call_tree(Query())
        assert told == []
        aggregator.estimate = Estimate(25, 4000, 0.008)
        for ask in (store.call_tree, store.processes, lambda query: store.timeline(query, 3)):
            ask(Query())
        store.diff(Query(), Query())
        assert told == [aggregator.estimate] * 4

    def test_readings_of_a_long_range_are_some_of_all_of_it(self, store: RemoteStore, aggregator: Aggregator) -> None:
        readings = [HostSample(T0 + i * 10 * SECOND, cpu_user=0.5) for i in range(1000)]
        aggregator.store = MemoryStore(Limits(gauges=2000), recorded=True)
        fill(aggregator.store, [batch_of([Fact(T0, SH)], Symbols())], readings, (), HOST)
        some = store.gauges(Query())
        assert 16 < len(some) < 64
        assert [some[0], some[-1]] == [readings[0], readings[-1]]
        assert some == sorted(some, key=lambda one: one.time_ns)
        assert max(b.time_ns - a.time_ns for a, b in itertools.pairwise(some)) < 800 * SECOND
        hour = Query(start_ns=T0, end_ns=T0 + 3600 * SECOND)
        assert store.gauges(hour) == readings[:360], "of a short one all"

    def test_the_aggregators_clock(self, store: RemoteStore, aggregator: Aggregator) -> None:
        aggregator.now_ns = lambda: T0
        assert store.now_ns() == T0
        store.follow()
        until(lambda: store.news > 0)
        assert 0 <= store.now_ns() - T0 < 20 * SECOND


class TestNewTables:
    def test_answers_with_tables_that_begin_anew_between_them_still_fit_together(
        self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "_MAX_SYMBOLS", 5)
        for _ in range(3):
            assert store.diff(Query(group=Group.THREAD), Query(group=Group.THREAD)).weight == 0
            assert words(store.call_tree(Query())) == {STACK: 3}


class TestErrors:
    def message(self, ask: Callable[[], object]) -> str:
        with pytest.raises(RemoteError) as error:
            ask()
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_nobody_there(self) -> None:
        store = RemoteStore.open(settings("127.0.0.1:1"))
        assert self.message(store.span) == "127.0.0.1:1: connection refused: is the aggregator running there?"
        assert store.link().state is LinkState.LOST
        assert "connection refused" in store.link().why

    def test_no_such_host(self) -> None:
        store = RemoteStore.open(settings("no-such-host.invalid:50051"))
        assert "there is no such host" in self.message(store.span)

    def test_a_token_that_is_wrong_or_missing(self, aggregator: Aggregator) -> None:
        with serving(aggregator) as address:
            wrong = RemoteStore.open(settings(address, token="x"))  # noqa: S106 (a wrong one)
            assert self.message(wrong.span) == f"{address}: the token was refused (no such token)"
            none = RemoteStore.open(settings(address, token=""))
            assert "give --token-file" in self.message(none.span)
            assert none.link().state is LinkState.CONNECTED, "it did answer"

    @pytest.mark.parametrize(
        ("status", "said", "expected"),
        [
            ("PERMISSION_DENIED", "it may push alone", "the token may not ask this (it may push alone)"),
            ("RESOURCE_EXHAUSTED", "2,000,001 stacks", "too much was asked for: 2,000,001 stacks"),
            ("INVALID_ARGUMENT", "no\x1b[1m pattern", "no\\x1b[1m pattern"),
            ("UNAVAILABLE", "ClickHouse is down", "ClickHouse is down"),
            ("INTERNAL", "", "no answer (internal)"),
            ("UNIMPLEMENTED", "", "it does not know this question: it is no aggregator, or of another version"),
            ("INVALID_ARGUMENT", "x" * 5000, "x" * 300),
        ],
    )
    def test_what_it_says_is_one_line(
        self, store: RemoteStore, aggregator: Aggregator, status: str, said: str, expected: str
    ) -> None:
        aggregator.failing = grpc.StatusCode[status], said
        assert self.message(store.span) == f"{store.connection.settings.address}: {expected}"

    def test_more_than_can_be_taken_is_refused(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "aperture_tui.store.remote.connection._OPTIONS", (("grpc.max_receive_message_length", 100),)
        )
        assert "too much was asked for" in self.message(lambda: store.call_tree(Query()))

    def test_more_hosts_than_can_be_listed(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aperture_tui.store.remote.store._MOST_HOSTS", 1)
        assert "more than 1 hosts" in self.message(store.fleet)

    @pytest.mark.parametrize("body", [b"", b"junk"])
    def test_an_answer_that_is_nonsense(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
        monkeypatch.setattr(Aggregator, "_rows", lambda *_: wire.RowsReply(body=body))
        assert "unpacked" in self.message(lambda: store.call_tree(Query()))

    def test_an_answer_to_another_question(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        told = exchange.packed_rows(MemoryStore().rows([Query(), Query()], ("stack",)), [Query(), Query()])
        monkeypatch.setattr(Aggregator, "_rows", lambda *_: wire.RowsReply(body=told))
        assert "another question" in self.message(lambda: store.call_tree(Query()))
        monkeypatch.setattr(Aggregator, "Timeline", lambda *_: wire.TimelineReply(weights=b"1234"))
        assert "another length" in self.message(lambda: store.timeline(Query(), 3))

    @pytest.mark.parametrize("field", ["hosts", "health"])
    def test_words_that_are_none(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
        monkeypatch.setattr(Aggregator, "Describe", lambda *_: wire.DescribeReply(**{field: b'[{"name": 7}]'}))
        assert "cannot be read" in self.message(getattr(store, field))

    def test_numbers_that_no_clock_has_do_no_harm(self, store: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        huge = (1 << 64) - 1
        reply = wire.DescribeReply(start_ns=huge, end_ns=5, events=huge, newest_ns=huge, kinds=[77])
        monkeypatch.setattr(Aggregator, "Describe", lambda *_: reply)
        assert store.span().start_ns <= store.span().end_ns
        assert store.newest_ns() < 1 << 63
        assert store.kinds() == {77}
        host = wire.Host(name="x" * 5000, newest_ns=huge, seen_ns=huge)
        monkeypatch.setattr(Aggregator, "Hosts", lambda *_: wire.HostsReply(hosts=[host], now_ns=huge))
        assert len(store.fleet().hosts[0].name) == 1000
        assert store.fleet().hosts[0].seen_ns < 1 << 63


class TestBadWays:
    def test_it_mends_itself_when_the_aggregator_comes_back(self, aggregator: Aggregator) -> None:
        with serving(aggregator) as address:
            store = RemoteStore.open(settings(address), kept_s=0)
            store.follow()
            before = store.call_tree(Query())
            until(lambda: store.news > 0)
        until(lambda: store.link().state is LinkState.LOST, "the loss, though nobody asked")
        with pytest.raises(RemoteError):
            store.span()
        other = MemoryStore(recorded=True)  # whose numbers are all different
        other.append(batch_of([Fact(T0, SH, stack=(Frame("other"), *STACK), thread="t")], Symbols()))
        other.append(batch_of([Fact(T0, SH, stack=STACK)], Symbols()))
        news = store.news
        with serving(Aggregator(other), int(address.rpartition(":")[2])):
            until(lambda: store.news > news, "news, though nobody asked")
            assert store.link().state is not LinkState.LOST
            after = store.call_tree(Query())
            assert words(after) == {STACK: 1, (Frame("other"), *STACK): 1}
            assert words(after.subtract(before))[STACK] == -2
            store.close()

    def test_whoever_waits_may_have_enough_of_it(self, store: RemoteStore, aggregator: Aggregator) -> None:
        class EnoughError(Exception):
            pass

        def enough(_: float) -> None:
            if time.monotonic() > began + 0.2:
                raise EnoughError

        aggregator.wait_s = 5
        store.watch, began = enough, time.monotonic()
        with pytest.raises(EnoughError):
            store.call_tree(Query())
        assert time.monotonic() - began < 2

    def test_a_question_without_an_answer_ends(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store = RemoteStore.open(store.connection.settings, deadline_s=0.2)
        store.span()
        channel = store.connection._channel
        aggregator.wait_s = 1
        for _ in range(2):
            with pytest.raises(RemoteError, match="no answer within"):
                store.call_tree(Query())
        assert store.link().state is LinkState.LOST
        aggregator.wait_s = 0
        until(lambda: _answers(store), "an answer")
        assert store.connection._channel is not channel, "a way on which nothing comes back is not used again"

    def test_slow_is_said_while_it_is_waited_for_and_after(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.span()
        assert store.link().state is LinkState.CONNECTED
        thread = threading.Thread(target=store.call_tree, args=[Query()])
        with aggregator.silent():
            thread.start()
            until(lambda: store.link().state is LinkState.SLOW)
            waited_s = store.link().since_s
            assert waited_s > 1.0
        thread.join()
        assert store.link().state is LinkState.SLOW
        assert store.link().since_s >= waited_s
        store.call_tree(Query())
        assert store.link().state is LinkState.CONNECTED

    def test_before_the_first_answer_it_is_connecting(self) -> None:
        ticks = itertools.count()
        connection = Connection(settings("127.0.0.1:1"), lambda: next(ticks))
        assert connection.link().state is LinkState.CONNECTING
        assert connection.link().since_s > 0

    def test_after_its_end_nothing_hangs(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.follow()
        until(lambda: store.news > 0)
        assert store._following is not None
        thread = store._following._thread
        store.close()
        assert not thread.is_alive()
        with pytest.raises(RemoteError, match="closed"):
            store.span()

    def test_who_begins_to_listen_after_the_end_leaves_no_thread(self, store: RemoteStore) -> None:
        """A screen may be closed while its first question is still on its way."""
        store.close()
        store.follow()
        assert store._following is not None
        store._following._thread.join(5)
        assert not store._following._thread.is_alive()


class TestFollowing:
    def test_what_is_held_is_asked_again_when_something_was_stored(
        self, store: RemoteStore, aggregator: Aggregator
    ) -> None:
        store._kept_s = 0
        store.follow()
        until(lambda: store.news > 0)
        store.span(), store.span()
        assert len(asked(aggregator, "Describe")) == 1, "nothing is new"
        news = store.news
        aggregator.tell()
        until(lambda: store.news > news)
        store.span(), store.span()
        assert len(asked(aggregator, "Describe")) == 2

    def test_other_machines_are_listened_to_at_once(self, store: RemoteStore, aggregator: Aggregator) -> None:
        store.follow()
        until(lambda: store.news > 0)
        one, before = store.of(Focus(("two",))), store.news
        one.follow()
        until(lambda: one.news > before + 1, "that others are looked at, and then the first word of these")
        assert [list(request.hosts) for request in asked(aggregator, "Watch")] == [[], ["two"]]

    def test_a_machine_that_pushes_no_more_is_stale(self, aggregator: Aggregator) -> None:
        aggregator.now_ns = lambda: T0 + 3 * SECOND
        aggregator.hosts = [replace(aggregator.hosts[0], interval_ms=100), replace(aggregator.hosts[1], interval_ms=9)]
        with serving(aggregator) as address:
            store = RemoteStore.open(settings(address))
            store.known_fleet()
            store.follow()
            store.of(Focus(("box",))).follow()
            until(lambda: store.news > 0)
            until(lambda: store.link().state is LinkState.STALE)
            assert store.link().since_s > 0.3
            aggregator.tell()
            until(lambda: store.link().state is LinkState.CONNECTED)
            store.close()

    def test_the_first_word_tells_how_old_the_newest_is(self, aggregator: Aggregator) -> None:
        aggregator.now_ns = lambda: T0 + 60 * SECOND
        with serving(aggregator) as address:
            store = RemoteStore.open(settings(address))
            store.follow()
            until(lambda: store.news > 0)
            assert store.link().state is LinkState.STALE, "of ten seconds, where nothing else is known"
            assert 57 <= store.link().since_s < 65
            store.close()


def _answers(store: RemoteStore) -> bool:
    try:
        store.call_tree(Query(kind=Kind.LOCK))
    except RemoteError:
        return False
    return True
