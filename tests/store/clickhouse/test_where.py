"""Filter lines over several machines, over sums, and with patterns that nobody should run."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import replace

import pytest

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.selecting import is_plain
from aperture_tui.store.memory import Limits, MemoryStore
from tests.store.clickhouse.filling import fresh_tenant, push_of
from tests.store.conformance import HOST, SH
from tests.store.facts import SECOND, T0, Fact, batch_of, words

NOW = T0 + 200_000 * SECOND


class TestMachines:
    @pytest.fixture(scope="class")
    @classmethod
    def tenant(cls) -> Tenant:
        tenant = fresh_tenant()
        numbers = itertools.count(1)
        for agent, service, n in (("web-1", "shop", 1), ("web-2", "shop", 2), ("db-1", "data", 4)):
            process = Process(7, T0, agent[:-2], f"/{agent}", f"c-{agent}")
            stack = (Frame(process.name, kind=FrameKind.PROCESS), Frame("main", "app"))
            for kind in (Kind.CPU, Kind.SYSCALL):
                facts = [Fact(T0 + i, process, 0, stack, kind, 1 + i, name="read") for i in range(n)]
                seq = next(numbers)
                push = push_of(batch_of(facts, Symbols()), seq, agent, service, boot=bytes([seq] * 16))
                tenant.insert(f"{agent}-{kind}", [push], NOW + seq)
        return tenant

    @pytest.mark.parametrize(
        ("line", "weight"),
        [
            ("host:web-1", 1), ("host:web-*", 3), ("-host:web-1", 6), ("service:shop", 3), ("-service:shop", 4),
            ("service:shop -host:web-2", 1), ("host:absent", 0), ("host:WEB-1", 0), ("comm:web", 3), ("-comm:web", 4),
            ("cgroup:/web-2", 2), ("-cgroup:/web-2", 5), ("container:c-db*", 4), ("pid:7", 7), ("-pid:7", 0),
            ("fn:main", 7), ("-fn:main", 0), ("web", 3), ("host:web-* web -cgroup:/web-1", 2), ("comm:\"x' OR 1\"", 0),
        ],
    )  # fmt: skip
    def test_a_line_is_of_its_machines(self, tenant: Tenant, line: str, weight: int) -> None:
        store, query = tenant.store, Query(where=parse(line))
        assert store.call_tree(query).weight == weight
        assert int(store.timeline(query, 3).weights.sum()) == weight
        assert sum(use.count for use in store.processes(query)) == weight
        assert sum(one.count for one in store.latencies(replace(query, kind=Kind.SYSCALL))) == weight
        assert store.completeness(query).weight == weight
        assert store.found([query], ("stack",), nodes=100).rows.parts[0]["weight"].sum() == weight

    def test_two_lines_at_once_are_each_for_itself(self, tenant: Tenant) -> None:
        base, after = (Query(where=parse(line)) for line in ("host:web-1 comm:web", "-comm:web pid:7"))
        then, since = tenant.store.compared(base, after)
        assert (then.weight, since.weight) == (1, 4)
        parts = tenant.store.found([base, after], ("stack",), nodes=100).rows.parts
        assert [int(part["weight"].sum()) for part in parts] == [1, 4]

    def test_bounds_are_of_single_events(self, tenant: Tenant) -> None:
        calls = Query(Kind.SYSCALL, where=parse(">2ns"))
        assert [(one.process, one.count) for one in tenant.store.latencies(calls)] == [("db", 2)]


class TestSums:
    """A day and a half, against a store that has every event."""

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls) -> tuple[Tenant, MemoryStore]:
        tenant, memory, draw = fresh_tenant(), MemoryStore(Limits(seconds=10**6), recorded=True), random.Random(7)
        paths = [
            (
                Frame("sh", kind=FrameKind.PROCESS),
                *(Frame(f"f{draw.randrange(9)}", f"lib{draw.randrange(3)}.so.1"),) * 3,
            )
            for _ in range(60)
        ]
        facts = [
            Fact(
                T0 + draw.randrange(130_000 * SECOND),
                SH._replace(name=draw.choice(["sh", "cron"])),
                stack=draw.choice(paths),
                weight=draw.randrange(1, 4),
            )
            for _ in range(8_000)
        ]
        batch = batch_of(facts, Symbols())
        memory.append(batch)
        memory.set_hosts([HOST])
        tenant.insert("all", [push_of(batch, service="web")], NOW)
        return tenant, memory

    @pytest.mark.parametrize(
        "line", ["fn:f3", "-lib:lib1 fn:/f[1-4]/", "host:box -fn:f1", "comm:cron -lib:lib0", "f2,f4"]
    )
    @pytest.mark.parametrize("measure", list(Measure))
    def test_any_range_is_exact_whatever_it_is_summed_from(
        self, filled: tuple[Tenant, MemoryStore], line: str, measure: Measure
    ) -> None:
        tenant, memory = filled
        noted: list[Estimate] = []
        tenant.store.note = noted.append
        draw = random.Random(1)
        for _ in range(6):
            start = T0 + draw.randrange(130_000 * SECOND)
            end = start + draw.randrange(1, draw.choice([5000, 130_000]) * SECOND)
            query = Query(start_ns=start, end_ns=end, measure=measure, where=parse(line))
            assert words(tenant.store.call_tree(query)) == words(memory.call_tree(query))
        assert noted == []


def test_sums_answer_what_is_about_stacks_and_machines_alone() -> None:
    told = {line: is_plain(Query(where=parse(line))) for line in ("fn:a -lib:b c file:d", "host:a", "comm:a", ">1ms")}
    assert told == {"fn:a -lib:b c file:d": True, "host:a": True, "comm:a": False, ">1ms": True}
    assert not is_plain(Query(Kind.SYSCALL, where=parse(">1ms"))), "of samples a duration says nothing"


def test_a_pattern_that_takes_for_ever_elsewhere_takes_no_time_here() -> None:
    tenant = fresh_tenant()
    stack = (Frame("sh", kind=FrameKind.PROCESS), Frame("a" * 60))
    fact = Fact(T0, SH._replace(name="a" * 60), stack=stack)
    tenant.insert("one", [push_of(batch_of([fact], Symbols()), agent="a" * 60)], NOW)
    for line in ("fn:/(a+)+b/", "comm:/(a+)+b/", "host:/(a+)+b/"):
        assert tenant.store.call_tree(Query(where=parse(line))).weight == 0
        assert tenant.store.call_tree(Query(where=parse(f"-{line}"))).weight == 1


def test_a_pattern_that_re2_does_not_have_is_refused_in_one_line() -> None:
    tenant = fresh_tenant()
    tenant.insert("one", [push_of(batch_of([Fact(T0, SH)], Symbols()))], NOW)
    for key in ("fn", "comm", "-host"):
        line = f"{key}:/(?:a{{999}}){{2}}/"  # each repeat is one that it has, but not both together
        with pytest.raises(re.error, match="repe"):
            tenant.store.call_tree(Query(where=parse(line)))
