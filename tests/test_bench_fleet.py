"""The made-up fleet of bench/fleet is one that agents could have pushed; what is asked of it is what screens ask."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.inserting import event_table, timed
from aperture_tui.store.clickhouse.sources import Budget
from bench.fleet import errors, generate
from bench.fleet.questions import DAY_NS, HOUR_NS, RARE, kinds
from bench.fleet.shape import COMMANDS, Fleet, Shape
from tests.store.clickhouse.filling import FOR_EVER, database, push_of
from tests.store.conformance import SH
from tests.store.facts import SECOND, T0, Fact, batch_of

SHAPE = Shape(machines=6, services=2, stacks=200)
ROWS = 20_000


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(SHAPE, T0, seed=1)


def test_rows_are_those_of_pushes(fleet: Fleet) -> None:
    pushed = event_table([timed(push_of(batch_of([Fact(T0, SH)], Symbols())), T0)])
    made = fleet.rows(10, T0, T0 + SECOND)
    assert set(made.column_names) == set(pushed.column_names)


def test_what_is_generated_is_found_by_name(fleet: Fleet) -> None:
    database().tenant("default")
    connection = database()._connection
    end = T0 + 3600 * SECOND
    table = fleet.rows(ROWS, T0, end)
    generate._insert_names(connection, fleet, end)
    connection.insert(f"{generate.DATABASE}.events", table, "events")
    connection.insert(f"{generate.DATABASE}.pushes", generate._pushes(fleet, table, 0, T0, end), "pushes")
    tenant = Tenant("default", connection, FOR_EVER, Budget())
    tree = tenant.store.call_tree(Query())
    assert tree.weight == np.sum(table["weight"].to_numpy())
    names = {tree.symbols.frame_at(frame).function for frame in np.unique(tree.trie.frame[1:]).tolist()}
    assert set(COMMANDS) <= names
    assert "(stack not known)" not in names
    assert {host.name for host in tenant.hosts()} == set(SHAPE.hosts)
    one, other = (tenant.store.call_tree(Query(service=name)).weight for name in SHAPE.service_names)
    assert one + other == tree.weight
    rare = tenant.store.call_tree(Query(process=RARE)).weight
    assert 0 < rare < tree.weight / 20
    tenant.close()


def test_questions_end_now_and_begin_anywhere() -> None:
    for kind in kinds(machines=60, services=2):
        drawn = random.Random(1)
        asked = [kind.drawn(drawn, T0 + DAY_NS) for _ in range(20)]
        ends = {question.queries[-1].end_ns for question in asked}
        assert len(ends) == 20
        assert all(T0 + DAY_NS - 60 * SECOND < end <= T0 + DAY_NS for end in ends if end)
        for question in asked:
            length = sum((q.end_ns or 0) - (q.start_ns or 0) for q in question.queries)
            assert length / (2 if question.queries[0].hosts != question.queries[-1].hosts else 1) in (HOUR_NS, DAY_NS)


def test_a_function_counts_once_in_a_stack_however_often_it_calls_itself() -> None:
    symbols = Symbols()
    a, b = (symbols.frame(Frame(name)) for name in "ab")
    stacks = symbols.stacks([[a, b, a], [b]])
    rows, functions = errors._functions(symbols, stacks.astype(np.uint32))
    found = sorted((row, symbols.strings[f]) for row, f in zip(rows.tolist(), functions.tolist(), strict=True))
    assert found == [(0, "a"), (0, "b"), (1, "b")]
