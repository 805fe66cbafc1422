"""Processes of which only the name is known, as of several machines together: they are told apart by it."""

from __future__ import annotations

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store.latencies import latencies
from aperture_tui.store.processes import process_uses
from tests.store.facts import T0, Fact, batch_of

WEB, DB = Process(0, name="web"), Process(0, name="db")
KNOWN = Process(7, T0, "web")


def test_processes_without_numbers_are_one_by_their_name() -> None:
    symbols = Symbols()
    facts = [Fact(T0, WEB, tid=0), Fact(T0 + 1, DB, tid=0), Fact(T0 + 2, WEB, tid=0), Fact(T0, KNOWN)]
    uses = process_uses(symbols, batch_of(facts, symbols).events, Measure.COUNT)
    assert [(use.pid, use.name, use.count, use.threads) for use in uses] == [
        (0, "web", 2, 0),
        (0, "db", 1, 0),
        (7, "web", 1, 1),
    ]


def test_a_process_with_a_number_is_one_whatever_its_name() -> None:
    symbols = Symbols()
    renamed = KNOWN._replace(name="worker")
    (use,) = process_uses(symbols, batch_of([Fact(T0, KNOWN), Fact(T0 + 1, renamed)], symbols).events, Measure.COUNT)
    assert (use.name, use.count) == ("worker", 2)


def test_calls_of_processes_without_numbers_are_told_apart_by_the_name() -> None:
    symbols = Symbols()
    facts = [Fact(T0, process, kind=Kind.SYSCALL, name="read", duration_ns=5) for process in (WEB, DB, WEB, KNOWN)]
    found = latencies(symbols, batch_of(facts, symbols).events, Query(Kind.SYSCALL))
    assert {(one.pid, one.process, one.count) for one in found} == {(0, "web", 2), (0, "db", 1), (7, "web", 1)}
