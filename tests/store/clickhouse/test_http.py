"""The ClickHouse store over HTTP, as with a server: the same answers, and what becomes of it when the server is away.

The server is http_shim.py, which is chDB behind HTTP: what is tested is our use of the client, not a real server.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.packed.hashes import StackHashes
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Store
from aperture_tui.store.clickhouse.connection import Address, Connection, TooMuchError
from aperture_tui.store.clickhouse.database import Database, StorageError, Tenant
from tests.store.clickhouse.filling import FOR_EVER, push_of
from tests.store.clickhouse.shimmed import Server
from tests.store.conformance import HOST, SH, StoreConformance, few_examples
from tests.store.facts import SECOND, T0, Fact, batch_of

NOW = T0 + 10 * SECOND
_EXAMPLES = 5
"""Of each property: what they are about is tested without HTTP."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests but those that end it."""
    with Server(tmp_path_factory.mktemp("clickhouse")) as one:
        yield one


@pytest.fixture
def tenant(server: Server) -> Iterator[Tenant]:
    """One that holds nothing."""
    database = Database.open(server.url(), FOR_EVER)
    yield database.tenant(f"t{next(_numbers)}")
    database.close()


_numbers = itertools.count(1)


@pytest.fixture(scope="class")
def over_http(request: pytest.FixtureRequest, server: Server) -> Iterator[None]:
    """A database for the suite, and few examples for its properties."""
    request.cls.database = Database.open(server.url(), FOR_EVER)
    with few_examples(_EXAMPLES):
        yield
    request.cls.database.close()


@pytest.mark.usefixtures("over_http")
class TestOverHttp(StoreConformance):
    database: Database

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        tenant = self.database.tenant(f"t{next(_numbers)}")
        seq = itertools.count(1)
        words = push_of(None, next(seq), gauges=gauges, health=health, host=host)
        tenant.insert("all", [words, *(push_of(batch, next(seq), host=host) for batch in batches)], NOW)
        return tenant.store


def rows_of(server: Server, tenant: Tenant) -> dict[str, int]:
    """Rows of every table that has some."""
    connection = Connection(Address.parse(server.url()))
    sql = "SELECT table, sum(rows) FROM system.parts WHERE database = {name:String} AND active GROUP BY table"
    found = dict(connection.rows(sql, {"name": f"aperture_{tenant.name}"}))
    connection.close()
    return {table: rows for table, rows in found.items() if rows}


def test_what_is_inserted_again_with_its_token_is_there_once(server: Server, tenant: Tenant) -> None:
    """A batch whose answer was lost is sent again: no table may have it twice, nor what is made of it."""
    facts = [Fact(T0 + i * SECOND, SH, stack=(Frame("sh"), Frame(f"f{i % 3}"))) for i in range(50)]
    push = push_of(batch_of(facts, Symbols()))
    tenant.insert("one", [push], NOW)
    before = rows_of(server, tenant)
    assert {"events", "minutes", "hours", "days", "host_hours", "stacks", "pushes"} <= set(before)
    assert before["events"] == 50
    again = Database.open(server.url(), FOR_EVER).tenant(tenant.name)  # as after a start: nothing is remembered
    again.insert("one", [push], NOW)
    assert rows_of(server, tenant) == before
    assert again.store.call_tree(Query()).weight == 50
    again.insert("two", [replace(push, head=replace(push.head, seq=2))], NOW)
    assert again.store.call_tree(Query()).weight == 100


def test_words_with_odd_characters_arrive_as_they_are(tenant: Tenant) -> None:
    names = ["it's", 'say "x"', "back\\slash", "50%", "{a:String}", "ä€🙂", "a&b=c+d ?#", "\\n", "']) OR 1 --"]
    facts = [Fact(T0, Process(pid, name=name), name=name) for pid, name in enumerate(names, 1)]
    tenant.insert("one", [push_of(batch_of(facts, Symbols()), agent="bo'x\\", service="sér vice")], NOW)
    for name in names:
        (use,) = tenant.store.processes(Query(process=name, hosts=("bo'x\\",), service="sér vice"))
        assert use.name == name
        assert tenant.store.call_tree(Query(name=name)).weight == 1
    assert tenant.store.call_tree(Query(process="it")).weight == 0


def test_lists_that_are_longer_than_a_parameter_may_be(tenant: Tenant) -> None:
    """A server takes 128 KB of a parameter, and a service has more stacks than fit into one."""
    many_hashes = np.random.default_rng(0).integers(1, 1 << 63, 50_000).astype(np.uint64)
    symbols = Symbols()
    batch = batch_of([Fact(T0, SH, stack=(Frame("sh"), Frame("work")))], symbols)
    tenant.insert("one", [push_of(batch)], NOW)
    known = StackHashes(symbols).of(np.unique(batch.events["stack"]))
    unknown = tenant.unknown("", np.concatenate([many_hashes, known]))
    assert len(unknown) == len(np.unique(many_hashes))
    hosts = tuple(f"{'h' * 200}-{i}" for i in range(3_000))
    tenant.insert("two", [push_of(batch, agent=host) for host in hosts], NOW)
    assert tenant.store.call_tree(Query(hosts=hosts)).weight == len(hosts)
    assert len(tenant.batches(Query(), 10_000)) == len(hosts) + 1
    pids = tuple(range(20_000))
    assert tenant.store.call_tree(Query(hosts=hosts[:2], pids=pids)).weight == 2


def test_what_is_in_flight_on_thousands_of_machines(tenant: Tenant) -> None:
    flags = Role.IN_FLIGHT << 12
    batch = batch_of([Fact(T0, SH, kind=Kind.SYSCALL, name="read", duration_ns=5, flags=flags)], Symbols())
    hosts = [f"{'h' * 60}-{i}" for i in range(3_000)]
    tenant.insert("one", [push_of(batch, agent=host) for host in hosts], NOW)
    query = Query(kind=Kind.SYSCALL, role=Role.IN_FLIGHT)
    assert sum(one.count for one in tenant.store.latencies(query)) == len(hosts)


def test_a_question_that_is_too_much_is_told_apart(server: Server) -> None:
    connection = Connection(Address.parse(server.url()))
    with pytest.raises(TooMuchError, match="TOO_MANY_ROWS"):
        connection.arrow("SELECT number FROM numbers(1000)", {}, {"max_rows_to_read": 10})
    assert len(connection.arrow("SELECT number FROM numbers(1000)", {}, {})) == 1000  # the limit was that question's
    connection.close()


def test_a_server_that_is_away_is_said_in_one_line_and_mended_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    push = push_of(batch_of([Fact(T0, SH)], Symbols()))
    with Server(tmp_path_factory.mktemp("clickhouse")) as server:
        database = Database.open(server.url(), FOR_EVER)
        tenant = database.tenant("t")
        server.stop()
        for ask in (
            database.ping,
            lambda: tenant.insert("one", [push], NOW),
            lambda: tenant.unknown("", np.array([7], np.uint64)),
            lambda: database.tenant("other"),
            lambda: Database.open(server.url()),
        ):
            with pytest.raises(StorageError) as told:
                ask()
            words = str(told.value)
            assert words.startswith(f"ClickHouse at 127.0.0.1:{server.port} cannot be reached: ")
            assert len(words.splitlines()) == 1
            assert len(words) < 200
        assert tenant.stored() == {}
        server.start()
        tenant.insert("one", [push], NOW)
        assert tenant.store.call_tree(Query()).weight == 1
        assert database.tenant("other").store.call_tree(Query()).weight == 0
        database.close()


def test_a_wrong_password_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("clickhouse"), "secret") as server:
        for user in ("default", "default:wrong"):
            with pytest.raises(StorageError, match="Authentication failed") as told:
                Database.open(server.url(user))
            assert "wrong" not in str(told.value)
            assert "http" not in str(told.value)
        Database.open(server.url("default:secret")).close()
