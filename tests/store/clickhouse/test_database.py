"""What a tenant's database keeps: once, by machine, for as long as it is needed; and how rollups and samples answer."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, FrameKind, Kind, Role
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse import inserting, planning
from aperture_tui.store.clickhouse import store as store_module
from aperture_tui.store.clickhouse.database import Database, Retention, StorageError, Tenant
from aperture_tui.store.clickhouse.sources import Budget
from aperture_tui.store.clickhouse.store import ClickHouseStore
from aperture_tui.store.compaction import TooManyError
from aperture_tui.store.memory import Limits, MemoryStore
from aperture_tui.store.pruning import SMALLER
from tests.store.clickhouse.filling import BOOT, FOR_EVER, database, fresh_tenant, push_of
from tests.store.facts import SECOND, T0, TAGS, Fact, batch_of, words

NOW = T0 + 3600 * SECOND
SH = Process(1, T0 - 5, "sh", "/a")
STACK = (Frame("sh", kind=FrameKind.PROCESS), Frame("main"), Frame("work"))


def some(n: int, process: Process = SH, at: int = T0, **changes: object) -> Batch:
    fact = replace(Fact(at, process, stack=STACK), **changes)  # type: ignore[arg-type]  # a test's own words
    return batch_of([replace(fact, tid=i + 1) for i in range(n)], Symbols())


@pytest.fixture
def tenant() -> Tenant:
    return fresh_tenant()


def count(tenant: Tenant, table: str, what: str = "count()") -> int:
    ((n,),) = database()._connection.rows(f"SELECT {what} FROM aperture_{tenant.name}.{table}")  # noqa: S608
    return int(n)


class TestOnce:
    def test_what_is_inserted_again_with_its_token_is_there_once(self, tenant: Tenant) -> None:
        pushes = [push_of(some(100, at=T0 + i * 86_400 * SECOND), i + 1) for i in range(3)]
        for _ in range(3):
            tenant.insert("token", pushes, NOW)
        assert tenant.store.call_tree(Query()).weight == 300
        for table in ("minutes", "hours", "days", "host_hours"):
            assert count(tenant, table, "sum(weight)") == 300
        assert count(tenant, "pushes") == 3
        assert count(tenant, "events_5") < 300
        assert tenant.stored() == {("box", BOOT): 3}
        assert tenant.store.span().events == 300

    def test_a_tenant_opened_again_knows_what_is_stored(self, tenant: Tenant) -> None:
        boot = bytes(16)  # of zeros alone, which a text would end at
        push = push_of(some(2), 5, boot=boot, health=[Health("cpu", State.RUNNING, lost={"ring": 2})])
        tenant.insert("one", [push], NOW)
        again = Tenant(tenant.name, database()._connection, database()._retention, Budget())
        assert again.stored() == {("box", boot): 5}
        assert again.hosts() == tenant.hosts()
        assert again.store.span() == tenant.store.span()
        assert again.store.health() == list(push.health)
        assert again.store.hosts() == list(push.hosts)
        assert again.unknown("", push.hashes).tolist() == []
        assert words(again.store.call_tree(Query())) == {STACK: 2}

    def test_stacks_are_unknown_until_they_are_stored_and_by_service(self, tenant: Tenant) -> None:
        push = push_of(some(1))
        assert tenant.unknown("", push.hashes).tolist() == push.hashes.tolist()
        tenant.insert("one", [push], NOW)
        assert tenant.unknown("", push.hashes).tolist() == []
        assert tenant.unknown("other", push.hashes).tolist() == push.hashes.tolist()
        assert tenant.unknown("", np.zeros(1, np.uint64)).tolist() == [], "the empty stack needs no frames"

    def test_tenants_do_not_see_each_other(self, tenant: Tenant) -> None:
        other = fresh_tenant()
        tenant.insert("same", [push_of(some(3))], NOW)
        other.insert("same", [push_of(some(4))], NOW)
        assert (tenant.store.call_tree(Query()).weight, other.store.call_tree(Query()).weight) == (3, 4)
        for name in ("a-b", "A", "", "x" * 33, "a;b"):
            with pytest.raises(StorageError, match="no name of a tenant"):
                database().tenant(name)

    def test_a_stack_is_written_again_in_a_new_month(self, tenant: Tenant) -> None:
        """So that what is kept of it outlives the samples that refer to it."""
        push = push_of(some(1))
        tenant.insert("one", [push], NOW)
        known = replace(push, nodes=np.zeros(1, np.int32))  # as agents send what they know to be stored
        tenant.insert("two", [replace(known, head=replace(push.head, seq=2))], NOW + 1000)
        assert count(tenant, "stacks") == 1
        tenant.insert("three", [replace(known, head=replace(push.head, seq=3))], NOW + 40 * 86_400 * SECOND)
        assert count(tenant, "stacks", "uniqExact(last_seen)") == 2
        assert count(tenant, "stacks", "uniqExact(frames)") == 1

    def test_a_stack_that_is_not_kept_is_said_to_be_unknown(self, tenant: Tenant) -> None:
        push = push_of(some(2))
        tenant.insert("one", [replace(push, nodes=np.zeros(1, np.int32))], NOW)
        assert [frame.function for frame in next(iter(words(tenant.store.call_tree(Query()))))] == ["(stack not known)"]


class TestTimes:
    @pytest.mark.parametrize("wrong", [0, NOW + inserting.AHEAD_NS + 1, (1 << 64) - 1])
    def test_an_impossible_time_is_replaced_and_counted(self, tenant: Tenant, wrong: int) -> None:
        facts = [Fact(T0, SH, stack=STACK), Fact(wrong, SH, tid=2, stack=STACK)]
        tenant.insert("one", [push_of(batch_of(facts, Symbols()))], NOW)
        assert (tenant.store.span().start_ns, tenant.store.span().end_ns) == (T0, T0 + 1)
        assert tenant.store.call_tree(Query()).weight == 2
        assert tenant.store.health()[-1].degraded == {"impossible time": 1}

    def test_without_any_possible_one_it_is_now(self, tenant: Tenant) -> None:
        tenant.insert("one", [push_of(some(1, at=0))], NOW)
        assert tenant.store.span().start_ns == NOW

    def test_a_clock_that_is_a_little_ahead_is_believed(self, tenant: Tenant) -> None:
        tenant.insert("one", [push_of(some(1, at=NOW + 60 * SECOND))], NOW)
        assert tenant.store.span().start_ns == NOW + 60 * SECOND


class TestMachines:
    @pytest.fixture
    def tenant(self) -> Tenant:
        tenant = fresh_tenant()
        numbers = itertools.count(1)
        for agent, service, n in (("a", "web", 1), ("b", "web", 2), ("c", "db", 4)):
            process = Process(7, T0, "nginx" if service == "web" else "postgres", f"/{agent}")
            push = push_of(some(n, process, name="read", kind=Kind.SYSCALL), 1, agent, service)
            cpu = push_of(some(n, process), 2, agent, service, boot=bytes([next(numbers)] * 16))
            tenant.insert(agent, [push, cpu], NOW + next(numbers))
        return tenant

    def test_hosts_are_told_with_what_they_sent(self, tenant: Tenant) -> None:
        told = [(host.name, host.service, host.events, host.kernel, host.cpus) for host in tenant.hosts()]
        assert told == [("a", "web", 2, "6.1.0", 2), ("b", "web", 4, "6.1.0", 2), ("c", "db", 8, "6.1.0", 2)]

    @pytest.mark.parametrize(
        ("query", "weight"),
        [
            (Query(), 7), (Query(service="web"), 3), (Query(hosts=("a", "c")), 5), (Query(service="db"), 4),
            (Query(service="web", hosts=("b", "c")), 2), (Query(service="none"), 0), (Query(hosts=("z",)), 0),
        ],
    )  # fmt: skip
    def test_a_query_is_of_its_machines(self, tenant: Tenant, query: Query, weight: int) -> None:
        store = tenant.store
        assert store.call_tree(query).weight == weight
        assert store.timeline(query, 3).weights.sum() == weight
        assert sum(use.count for use in store.processes(query)) == weight
        assert sum(one.count for one in store.latencies(replace(query, kind=Kind.SYSCALL))) == weight
        assert store.completeness(query).weight == weight
        assert store.span(query).events == 2 * weight
        found = store.found([query], ("stack",), nodes=100)
        assert found.rows.parts[0]["weight"].sum() == weight

    @pytest.mark.parametrize(
        "query", [Query(), Query(service="web"), Query(service="db"), Query(hosts=("a", "c")), Query(hosts=("a",))]
    )
    def test_statements_that_are_asked_at_the_same_time_add_up(
        self, tenant: Tenant, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each is about services of its own; a machine may have been of several."""
        tenant.insert("moved", [push_of(some(8), 3, "a", "db"), push_of(some(16), 3, "b", "mail")], NOW + 1000)
        at_once = tenant.store.call_tree(query).weight
        monkeypatch.setattr(planning, "_WORTH", 0)
        store = _with_budget(tenant, Budget(cores=3))
        assert store.call_tree(query).weight == at_once
        assert store.found([query], ("stack",), nodes=50).rows.parts[0]["weight"].sum() == at_once

    def test_processes_of_many_machines_are_one_by_their_name(self, tenant: Tenant) -> None:
        """The same pid is another process on every machine."""
        told = [(use.name, use.pid, use.start_ns, use.count) for use in tenant.store.processes(Query())]
        assert told == [("postgres", 0, 0, 4), ("nginx", 0, 0, 3)]
        calls = tenant.store.latencies(Query(Kind.SYSCALL))
        assert [(one.process, one.pid, one.name, one.count) for one in calls] == [
            ("postgres", 0, "read", 4),
            ("nginx", 0, "read", 3),
        ]
        (alone,) = tenant.store.processes(Query(hosts=("b",)))
        assert (alone.pid, alone.start_ns, alone.cgroup, alone.threads) == (7, T0, "/b", 2)

    def test_processes_and_control_groups_narrow(self, tenant: Tenant) -> None:
        store = tenant.store
        assert store.call_tree(Query(process="nginx")).weight == 3
        assert store.call_tree(Query(process="nginx' OR 1 OR '")).weight == 0
        assert store.call_tree(Query(cgroup="/a")).weight == 1
        assert store.call_tree(Query(pids=(7,), hosts=("c",))).weight == 4

    def test_a_machine_that_changed_its_service_has_all_its_events(self, tenant: Tenant) -> None:
        tenant.insert("moved", [push_of(some(8), 3, "a", "db")], NOW + 1000)
        assert tenant.store.call_tree(Query(hosts=("a",))).weight == 9
        assert tenant.store.call_tree(Query(service="web")).weight == 3, "what it sent when it was of it"
        again = Tenant(tenant.name, database()._connection, database()._retention, Budget())
        assert again.store.call_tree(Query(hosts=("a",))).weight == 9
        assert again.hosts() == tenant.hosts()

    def test_batches_are_listed_newest_first(self, tenant: Tenant) -> None:
        told = tenant.batches(Query(service="web"), 10)
        assert [(one.host, one.seq, one.events) for one in told] == [("b", 2, 2), ("b", 1, 2), ("a", 2, 1), ("a", 1, 1)]
        assert len(tenant.batches(Query(), 3)) == 3
        assert tenant.batches(Query(start_ns=NOW), 3) == []
        assert {one.start_ns for one in told} == {T0}

    def test_words_of_machines_add_up(self) -> None:
        tenant = fresh_tenant()
        told = [
            Health("cpu", State.RUNNING, delivered=5, lost={"ring": 2}),
            Health("cpu", State.FAILED, "no BTF", delivered=7, lost={"ring": 1, "late": 3}),
        ]
        pushes = [push_of(some(1), 1, f"h{i}", health=[one]) for i, one in enumerate(told)]
        tenant.insert("one", pushes, NOW)
        (both,) = tenant.store.health()
        assert (both.state, both.message, both.delivered) == (State.FAILED, "h1: no BTF", 12)
        assert both.lost == {"ring": 3, "late": 3}
        assert tenant.store.health(Query(hosts=("h0",))) == [told[0]]
        assert [host.problem for host in tenant.hosts()] == ["", "cpu: no BTF"]

    def test_readings_are_of_one_machine(self) -> None:
        tenant = fresh_tenant()
        for i in range(2):
            sample = HostSample(T0 + i, cpu_user=0.25)
            tenant.insert(f"{i}", [push_of(None, 1, f"h{i}", gauges=[sample])], NOW)
        assert tenant.store.gauges(Query(hosts=("h1",))) == [HostSample(T0 + 1, cpu_user=0.25)]
        assert tenant.store.gauges(Query()) == []

    def test_of_a_long_time_there_are_readings_from_all_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "_MAX_PUSHES", 10)
        monkeypatch.setattr(store_module, "_MAX_GAUGES", 15)
        tenant = fresh_tenant()
        pushes = [
            push_of(None, i + 1, gauges=[HostSample(T0 + (10 * i + k) * SECOND) for k in (0, 5)]) for i in range(100)
        ]
        tenant.insert("all", pushes, NOW)
        told = [sample.time_ns for sample in tenant.store.gauges(Query())]
        assert 10 <= len(told) <= 15
        assert max(b - a for a, b in itertools.pairwise(told)) <= 250 * SECOND
        assert told[0] < T0 + 150 * SECOND
        assert told[-1] > T0 + 850 * SECOND
        few = [
            sample.time_ns
            for sample in tenant.store.gauges(Query(start_ns=T0 + 500 * SECOND, end_ns=T0 + 520 * SECOND))
        ]
        assert few == [T0 + s * SECOND for s in (500, 505, 510, 515)]

    def test_of_what_is_in_flight_each_machine_has_a_newest_word(self) -> None:
        tenant = fresh_tenant()
        waits = {"flags": Role.IN_FLIGHT << ROLE_SHIFT, "kind": Kind.SYSCALL, "name": "read"}
        for agent, at in (("a", T0), ("a", T0 + SECOND), ("b", T0 + 3 * SECOND), ("gone", T0 - 300 * SECOND)):
            seq = 1 if at == T0 or agent != "a" else 2
            tenant.insert(f"{agent}{at}", [push_of(some(1, at=at, duration_ns=999, **waits), seq, agent)], NOW)
        query = Query(Kind.SYSCALL, role=Role.IN_FLIGHT)
        (told,) = tenant.store.latencies(query)
        assert told.count == 2, "of a its last, of b its only one; of what has not been heard of for minutes none"
        assert tenant.store.latencies(replace(query, hosts=("gone",)))[0].count == 1


class TestSums:
    """Sums and samples of a day and a half, against a store that has every event."""

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls) -> tuple[Tenant, MemoryStore]:
        tenant, memory = fresh_tenant(), MemoryStore(Limits(seconds=10**6, bytes=1 << 30), recorded=True)
        draw = random.Random(7)
        symbols = Symbols()
        paths = [
            (Frame("sh", kind=FrameKind.PROCESS), *(Frame(f"f{draw.randrange(9)}") for _ in range(5)))
            for _ in range(60)
        ]
        facts = [
            Fact(
                T0 + draw.randrange(130_000) * SECOND + draw.randrange(SECOND),
                SH._replace(name=draw.choice(["sh", "cron"])),
                stack=draw.choice(paths),
                duration_ns=draw.randrange(1, 10**9),
                weight=draw.randrange(1, 4),
            )
            for _ in range(30_000)
        ]
        batch = batch_of(facts, symbols)
        memory.append(batch)
        memory.set_hosts([HostFacts("box", "6.1.0", 2, 1 << 30, "boot-1")])
        tenant.insert("all", [push_of(batch, service="web")], T0 + 200_000 * SECOND)
        return tenant, memory

    @pytest.mark.parametrize("hosts", [(), ("box",)])
    @pytest.mark.parametrize("measure", list(Measure))
    def test_any_range_is_exact_whatever_it_is_summed_from(
        self, filled: tuple[Tenant, MemoryStore], hosts: tuple[str, ...], measure: Measure
    ) -> None:
        tenant, memory = filled
        draw = random.Random(1)
        for _ in range(30):
            start = T0 + draw.randrange(130_000 * SECOND)
            end = start + draw.randrange(1, draw.choice([90, 5000, 130_000]) * SECOND)
            query = Query(start_ns=start, end_ns=end, measure=measure, frame=draw.choice([None, "f3"]))
            assert words(tenant.store.call_tree(replace(query, hosts=hosts))) == words(memory.call_tree(query))

    @pytest.mark.parametrize("width_s", [7, 60, 300, 3600, 7200])
    def test_a_timeline_is_exact_whatever_its_columns_are_summed_from(
        self, filled: tuple[Tenant, MemoryStore], width_s: int
    ) -> None:
        tenant, memory = filled
        start = (T0 // (width_s * SECOND) + 2) * width_s * SECOND
        n = 15
        for measure in Measure:
            for frame in (None, "f3"):
                query = Query(start_ns=start, end_ns=start + n * width_s * SECOND, measure=measure, frame=frame)
                told, estimate = tenant.store.timeline_found(query, n)
                wanted = memory.timeline(query, n)
                assert (told.start_ns, told.bucket_ns) == (start, width_s * SECOND)
                assert told.weights.tolist() == wanted.weights.tolist()
                assert estimate.sampled == 1

    def test_a_timeline_of_whole_hours_reads_sums_and_one_that_begins_anywhere_events(
        self, filled: tuple[Tenant, MemoryStore]
    ) -> None:
        tenant, _ = filled
        planner, asked = tenant.store._planner, []
        chosen = tenant.hosts()
        hour = 3600 * SECOND
        first = (T0 // hour + 2) * hour
        for start, width in ((first, hour), (first, 3 * hour), (first + 1, hour), (first, 0)):
            planned = planner.pieces(Query(), chosen, start, start + 24 * hour, stacks=True, parts_ns=width)
            asked.append({piece.rollup.seconds for piece in planned.pieces if piece.rollup is not None})
        assert asked[0] <= {60, 300, 900, 3600}
        assert asked[0]
        assert asked[1] <= {60, 300, 900, 3600}, "six hours are more than a column"
        assert asked[2] == set()
        assert max(asked[3]) > 3600, "of the range as a whole"

    def test_a_difference_of_two_ranges_is_exact(self, filled: tuple[Tenant, MemoryStore]) -> None:
        tenant, memory = filled
        middle = T0 + 65_000 * SECOND + 17
        before, after = Query(end_ns=middle), Query(start_ns=middle)
        assert words(tenant.store.diff(before, after)) == words(memory.diff(before, after))

    def test_too_much_is_sampled_and_says_how_well(self, filled: tuple[Tenant, MemoryStore]) -> None:
        """Of 95 in a hundred answers the true share lies within what is told, or the figure would mean nothing."""
        tenant, memory = filled
        cheap = _with_budget(tenant, Budget(1e-5, 1))
        noted: list[Estimate] = []
        cheap.note = noted.append
        within = 0
        for i in range(43):  # ranges that have no event in common
            query = Query(
                start_ns=T0 + i * 3000 * SECOND, end_ns=T0 + (i + 1) * 3000 * SECOND, name=""
            )  # of events alone
            exact, sampled = words(memory.call_tree(query)), words(cheap.call_tree(query))
            told = noted[-1]
            assert told.sampled == 5
            assert 60 < told.events < 240
            whole, part = sum(exact.values()), sum(sampled.values())
            half = sorted(exact)[::2]
            true, found = (sum(each.get(p, 0) for p in half) / n for each, n in ((exact, whole), (sampled, part)))
            within += abs(true - found) <= told.share_error
        assert within >= 36, f"{within} of 43"

    def test_a_sampled_timeline_has_about_the_same_weight(self, filled: tuple[Tenant, MemoryStore]) -> None:
        tenant, memory = filled
        store = _with_budget(tenant, Budget(1e-5, 1))
        timeline, estimate = store.timeline_found(Query(), 4)
        assert estimate.sampled > 1
        whole = memory.timeline(Query(), 4).weights.sum()
        assert abs(timeline.weights.sum() - whole) < 4 * estimate.share_error * whole

    def test_a_tree_for_a_screen_is_small_and_loses_no_weight(self, filled: tuple[Tenant, MemoryStore]) -> None:
        tenant, _ = filled
        rows, estimate = tenant.store.found([Query()], ("stack",), nodes=20)
        (part,) = rows.parts
        assert estimate.sampled == 1
        assert part["weight"].sum() == tenant.store.call_tree(Query()).weight
        names = {rows.symbols.frame_at(rows.symbols.trie.path(int(n))[-1]).function for n in np.unique(part["stack"])}
        assert SMALLER.function in names
        assert len(np.unique(part["stack"])) < 50

    def test_more_rows_than_an_answer_may_have_are_refused(
        self, filled: tuple[Tenant, MemoryStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant, _ = filled
        monkeypatch.setitem(_limits(), "max_result_rows", 5)
        with pytest.raises(TooManyError, match="choose a shorter one"):
            tenant.store.selected(Query())


def _limits() -> dict[str, object]:
    return store_module._LIMITS  # type: ignore[return-value]  # a dict


def _with_budget(tenant: Tenant, budget: Budget) -> ClickHouseStore:
    return ClickHouseStore(tenant._connection, tenant._database, tenant._names, tenant._registry, budget)


class TestOpening:
    @pytest.mark.parametrize("url", ["", "chdb://", "chdb://relative", "http://x", "clickhouse://", "clickhouse://h:x"])
    def test_an_address_that_is_none_is_one_line(self, url: str) -> None:
        with pytest.raises(StorageError) as caught:
            Database.open(url)
        assert "\n" not in str(caught.value)

    def test_a_server_that_is_not_there_is_one_line(self) -> None:
        with pytest.raises(StorageError, match=r"cannot be reached|ClickHouse") as caught:
            Database.open("clickhouse://127.0.0.1:9")
        assert "\n" not in str(caught.value)

    def test_a_file_where_the_folder_is_to_be_is_one_line(self, tmp_path: Path) -> None:
        """What chDB says of it is a page, with the addresses of its own stack."""
        path = tmp_path / "busy.aperture"
        path.touch()
        with pytest.raises(StorageError) as caught:
            Database.open(f"chdb://{path}")
        assert str(caught.value) == f"chdb://{path} cannot be opened: {path} is no folder"

    def test_a_second_folder_in_the_process_is_refused_in_words(self, tmp_path: object) -> None:
        database()
        with pytest.raises(StorageError, match="cannot be opened"):
            Database.open(f"chdb://{tmp_path}")


def test_what_is_kept_can_be_kept_for_another_time(tenant: Tenant) -> None:
    connection, name = database()._connection, tenant.name
    tenant.insert("old", [push_of(some(1, at=T0))], NOW)

    def kept() -> dict[str, str]:
        found = "SELECT name, extract(engine_full, 'toIntervalDay.([0-9]+)') FROM system.tables"
        sql = f"{found} WHERE database = {{db:String}}"
        return {table: days for table, days in connection.rows(sql, {"db": f"aperture_{name}"}) if days}

    assert kept() == {}
    far = Retention(10_000, 20_000, 20_000, 30_000)
    for retention in (far, far, replace(far, hours=25_000)):
        again = Tenant(name, connection, retention, Budget())
        hours = str(retention.hours)
        assert kept() == {
            "events": "10000", "events_5": "20000", "events_25": "20000", "events_125": "20000", "events_625": "20000",
            "events_3125": "20000",
            "minutes": "20000", "five_minutes": "20000", "quarter_hours": "20000", "hours": hours,
            "six_hours": hours, "host_hours": hours,
            "days": "30000", "stacks": "30062", "processes": "20002", "tag_sets": "20002", "pushes": "20000",
        }  # fmt: skip
        assert again.store.call_tree(Query()).weight == 1
    Tenant(name, connection, FOR_EVER, Budget())
    assert kept() == {}


def test_tags_whose_names_are_not_kept_are_so_called() -> None:
    tenant = fresh_tenant()
    facts = [Fact(T0, SH, tags=frozenset({"slow"})), Fact(T0, SH)]
    tenant.insert("one", [push_of(batch_of(facts, Symbols()))], T0)
    database()._connection.command(f"TRUNCATE TABLE aperture_{tenant.name}.tag_sets")
    by_tag = words(tenant.store.call_tree(Query(group=Group.TAG)))
    assert {path[0].function for path in by_tag} == {"tag: (tags not known)", "untagged"}


def test_sets_of_tags_are_written_again_once_a_day() -> None:
    tenant = fresh_tenant()
    push = push_of(batch_of([Fact(T0, SH, tags=frozenset(TAGS[:2]))], Symbols()))
    sql = f"SELECT count(), any(names) FROM aperture_{tenant.name}.tag_sets"  # noqa: S608
    for i, (day, rows) in enumerate([(0, 1), (0, 1), (1, 2)]):
        tenant.insert(f"{i}", [push], T0 + day * 86_400 * SECOND)
        ((count, names),) = database()._connection.rows(sql)
        assert (count, tuple(names)) == (rows, TAGS[:2])
    assert tenant.store.tags() == TAGS[:2]
