"""What hashes stand for: found whatever they are, read before anybody asks, and trees of stacks that have just come."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.clickhouse import names
from aperture_tui.store.clickhouse.database import Tenant
from aperture_tui.store.clickhouse.names import _Known
from aperture_tui.store.clickhouse.sources import Budget
from aperture_tui.store.pruning import SMALLER
from tests.store.clickhouse.filling import FOR_EVER, database, fresh_tenant, push_of
from tests.store.conformance import SH
from tests.store.facts import SECOND, T0, Fact, batch_of, words

NOW = T0 + 10 * SECOND
hashes = st.one_of(
    st.integers(1, (1 << 64) - 1),
    st.integers(0, 40).map(lambda low: (0xABCD << 48) + low),  # as somebody may choose them: all begin alike
    st.sampled_from([1, 2, (1 << 64) - 1, (1 << 64) - 2]),
)


@given(st.sets(hashes, max_size=60), st.lists(hashes, max_size=60))
def test_hashes_are_found_whatever_they_are(known: set[int], asked: list[int]) -> None:
    table = _Known()
    parts = sorted(known)[::2], sorted(known)[1::2]
    for part in parts:
        table.add(np.array(part, np.uint64), np.array([one % 1000 + 1 for one in part]))
    wanted = [*asked, *known, 0]
    with pytest.MonkeyPatch.context() as patch:
        for many in (0, 1_000_000):  # by their first bits, and one by one
            patch.setattr(names, "_MANY", many)
            rows, found = table.find(np.array(wanted, np.uint64))
            assert found.tolist() == [one in known or one == 0 for one in wanted]
            assert all(row == one % 1000 + 1 for one, row in zip(wanted, rows.tolist(), strict=True) if one in known)


def stacks(*functions: str) -> Batch:
    return batch_of([Fact(T0, SH, stack=(Frame("sh"), Frame(name))) for name in functions], Symbols())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_names_are_read_before_anybody_asks() -> None:
    first = fresh_tenant()
    first.insert("one", [push_of(stacks("read", "write"))], NOW)
    again = Tenant(first.name, database()._connection, FOR_EVER, Budget())
    until(lambda: len(again._names._held.stacks) == 3)
    database()._connection.command(f"TRUNCATE TABLE aperture_{first.name}.stacks")
    shown = words(again.store.call_tree(Query()))
    assert {path[-1].function for path in shown} == {"read", "write"}
    again.close()


def test_stacks_that_have_just_come_are_told_apart_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large fleet the outline is made in another thread; until it is there, new stacks are one."""
    tenant = fresh_tenant()
    monkeypatch.setattr(names, "_SMALL", 0)

    def functions() -> dict[str, int]:
        (symbols, (part,)), _ = tenant.store.found([Query()], ("stack",), nodes=100)
        leaves = [symbols.frame_at(symbols.trie.path(node)[-1]).function for node in part["stack"].tolist()]
        return dict(zip(leaves, part["weight"].tolist(), strict=True))

    tenant.insert("one", [push_of(stacks("read"))], NOW)
    assert functions() == {"read": 1}
    tenant.insert("two", [push_of(stacks("write", "open"), 2)], NOW)
    assert functions() in ({"read": 1, SMALLER.function: 2}, {"read": 1, "write": 1, "open": 1})
    until(lambda: functions() == {"read": 1, "write": 1, "open": 1})
