"""How much a filter line lets pass."""

from __future__ import annotations

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.base import Estimate
from aperture_tui.store.memory import MemoryStore
from aperture_tui.store.passed import Passed, passed
from tests.store.conformance import PYTHON, SH, STACK
from tests.store.facts import T0, Fact, batch_of


def _store() -> MemoryStore:
    store = MemoryStore(recorded=True)
    facts = [Fact(T0, SH, stack=STACK, weight=3), Fact(T0, PYTHON, stack=STACK, weight=9), Fact(T0, SH, kind=Kind.LOCK)]
    store.append(batch_of(facts, Symbols()))
    return store


def test_it_counts_by_weight_what_the_query_is_about_whatever_that_measures() -> None:
    query = Query(where=parse("comm:sh"), measure=Measure.TIME, group=Group.THREAD)
    assert passed(_store(), query) == Passed(3, 12)
    assert passed(_store(), Query(pids=(PYTHON.pid,), where=parse("comm:sh"))) == Passed(0, 9)
    assert passed(_store(), Query(Kind.OFFCPU, where=parse("comm:sh"))) == Passed(0, 0)
    assert passed(_store(), Query()) is None


def test_an_estimate_is_said_of_it_and_not_of_what_is_beside_it() -> None:
    store = _store()
    noted: list[Estimate] = []
    store.note = noted.append
    timeline = store.timeline

    def estimated(query: Query, buckets: int) -> object:
        store.note(Estimate(5, 10, 0.1))
        return timeline(query, buckets)

    store.timeline = estimated  # type: ignore[method-assign, assignment]  # as an aggregator's that samples
    assert passed(store, Query(where=parse("comm:sh"))) == Passed(3, 12, about=True)
    assert noted == []
    store.note(Estimate())
    assert noted == [Estimate()]
