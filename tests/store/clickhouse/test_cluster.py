"""The store over the tables of a cluster: Distributed ones, over what each machine has.

chDB can have a cluster of itself, so that what is asked goes the way that it goes in a cluster. What it cannot do is
left out of the statements: ON CLUSTER and Replicated need a Keeper (test_schema.py has their syntax).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.base import Store
from aperture_tui.store.clickhouse.connection import Address, Connection
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.sources import Budget
from tests.store.clickhouse.filling import FOR_EVER, push_of
from tests.store.clickhouse.shimmed import Server
from tests.store.conformance import HOST, SH, StoreConformance, few_examples
from tests.store.facts import SECOND, T0, Fact, batch_of

NOW = T0 + 10 * SECOND
_EXAMPLES = 3
_ALONE = re.compile(r"ON CLUSTER '\w+'|\bReplicated(?=\w*MergeTree)|\breplicated(?=_deduplication_window)")
_numbers = itertools.count(1)


class Keeperless(Connection):
    """A connection to a cluster without a Keeper."""

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        super().command(_ALONE.sub(lambda found: "non_replicated" if found[0] == "replicated" else "", sql), parameters)


def config(folder: Path, shards: int) -> Path:
    """Of a server that is all machines of the cluster `fleet`."""
    shard = "<shard><replica><host>localhost</host><port>9000</port></replica></shard>"
    servers = f"<remote_servers><fleet>{shard * shards}</fleet></remote_servers>"
    path = folder / "config.xml"
    path.write_text(f"<clickhouse><tcp_port>9000</tcp_port>{servers}</clickhouse>")
    return path


def connected(server: Server) -> Connection:
    return Keeperless(replace(Address.parse(server.url()), cluster="fleet"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cluster")
    with Server(folder / "data", config=config(folder, shards=1)) as one:
        yield one


@pytest.fixture(scope="class")
def clustered(request: pytest.FixtureRequest, server: Server) -> Iterator[None]:
    request.cls.connection = connected(server)
    with few_examples(_EXAMPLES):
        yield
    request.cls.connection.close()


@pytest.mark.usefixtures("clustered")
class TestCluster(StoreConformance):
    connection: Connection

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        tenant = Tenant(f"t{next(_numbers)}", self.connection, FOR_EVER, Budget())
        seq = itertools.count(1)
        words = push_of(None, next(seq), gauges=gauges, health=health, host=host)
        tenant.insert("all", [words, *(push_of(batch, next(seq), host=host) for batch in batches)], NOW)
        return tenant.store


def test_what_is_inserted_again_with_its_token_is_there_once(server: Server) -> None:
    connection = connected(server)
    push = push_of(batch_of([Fact(T0 + i * SECOND, SH) for i in range(50)], Symbols()))
    for _ in range(3):
        tenant = Tenant("once", connection, FOR_EVER, Budget())
        tenant.insert("token", [push], NOW)
    for table in ("events_local", "minutes", "hours", "days", "host_hours"):
        sql = f"SELECT sum(weight) FROM aperture_once.{table}"  # noqa: S608
        assert connection.rows(sql) == [(50,)]
    connection.close()


def test_questions_of_questions_are_understood_by_many_machines(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is asked within a question has to be answered once, for all of them: a server refuses anything else."""
    folder = tmp_path_factory.mktemp("cluster")
    with Server(folder / "data", config=config(folder, shards=2)) as server:
        connection = connected(server)
        tenant = Tenant("two", connection, FOR_EVER, Budget())
        process = SH._replace(cgroup="/a/b")
        tenant.insert("one", [push_of(batch_of([Fact(T0, process)], Symbols()))], NOW)
        # each of the two machines is this one, and has all of it
        assert tenant.store.call_tree(Query(cgroup="/a")).weight == 2
        assert tenant.store.call_tree(Query(cgroup="/b")).weight == 0
        connection.close()
