"""Calls, locks and off-CPU time in every format: golden files, exact sums, and what is not known is not zero."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.export import calls, collected, folded, histogram, locks, report, structured
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, FrameKind, Kind, Role
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.export import sample
from tests.export.test_text_formats import check
from tests.store import facts as words
from tests.store.facts import SECOND, T0, Fact, batch_of

KINDS = (Kind.CPU, *collected.TIMED)


def asked(kind: Kind, measure: Measure | None = None) -> Query:
    return Query(kind, measure=measure or collected.default_measure(kind))


def filled(facts: list[Fact], *health: Health) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    store.set_health(health)
    return store


def without_version(text: str) -> str:
    return re.sub(r"(?m)^aperture .*$", "aperture", text)


@pytest.mark.parametrize("width", [100, 40])
class TestGolden:
    @pytest.mark.parametrize("kind", collected.TIMED, ids=lambda kind: kind.name.lower())
    def test_a_report_of_one_kind(self, kind: Kind, width: int) -> None:
        text = report.text(sample.waits(), asked(kind), width)
        check(f"{kind.name.lower()}-{width}.txt", without_version(text))

    def test_a_report_of_all(self, width: int) -> None:
        check(f"all-{width}.txt", without_version(report.text(sample.waits(), Query(), width, KINDS)))

    @pytest.mark.parametrize("kind", histogram.KINDS, ids=lambda kind: kind.name.lower())
    def test_histograms(self, kind: Kind, width: int) -> None:
        check(f"{kind.name.lower()}-histogram-{width}.txt", histogram.text(sample.waits(), asked(kind), 10, width))


@pytest.mark.parametrize("measure", list(Measure), ids=lambda measure: measure.value)
@pytest.mark.parametrize("kind", collected.TIMED, ids=lambda kind: kind.name.lower())
def test_golden_folded(kind: Kind, measure: Measure) -> None:
    check(f"{kind.name.lower()}-{measure.value}.folded", folded.of_query(sample.waits(), asked(kind, measure)))


def test_golden_json() -> None:
    document = structured.document(sample.waits(), asked(Kind.LOCK))
    document["generator"] = "aperture"
    document["span"]["bytes"] = 0  # what the interpreter's objects weigh differs between versions
    check("all.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"


def test_every_key_of_a_document_is_described() -> None:
    """Keys that are numbers or names of the measured, as those of a histogram, are not the document's own."""
    told = set(re.findall(r"`([a-z_0-9]+)`", DOCUMENT.read_text()))
    named = {"histogram", "errors", "lost", "degraded"}

    def keys(part: object, of: str = "") -> set[str]:
        if isinstance(part, list):
            return set().union(*(keys(one, of) for one in part))
        if not isinstance(part, dict):
            return set()
        return set().union(set() if of in named else part, *(keys(one, key) for key, one in part.items()))

    for query in (Query(), asked(Kind.SYSCALL), asked(Kind.LOCK)):
        assert keys(structured.document(sample.waits(), query)) <= told
    assert keys({"histogram": {"1024": {"x": 1}}, "a": [{"b": 1}]}) == {"histogram", "a", "b", "x"}


durations = st.one_of(st.integers(0, 1 << 20), st.integers(0, 1 << 52))
waits = words.processes.flatmap(
    lambda process: st.builds(
        Fact,
        time_ns=words.times,
        process=st.just(process),
        tid=st.sampled_from([0, 1, 2]),
        stack=st.lists(words.frames, max_size=3).map(
            lambda path: (Frame(process.name, kind=FrameKind.PROCESS), *path) if path else ()
        ),
        kind=st.sampled_from(KINDS),
        duration_ns=durations,
        weight=st.integers(0, 1 << 20),
        name=st.sampled_from(["", "[unknown]", "read", "a;b", "runnable", "futex"]),
        flags=st.sampled_from([0, Flag.WHOLE, *(role << ROLE_SHIFT for role in Role)]),
        value=st.sampled_from([0, 1, (1 << 64) - 1]),
        maximum_ns=durations,
        aux=st.sampled_from([0, 0, 11, 110, 512, 9999]),
    )
)
"""Any call or wait, impossible ones too."""


def own(facts: list[Fact], kind: Kind) -> list[Fact]:
    return [fact for fact in facts if fact.kind == kind and fact.role == Role.OWN]


class TestExactly:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(waits, max_size=12), st.sampled_from(collected.TIMED), st.sampled_from(list(Measure)))
    def test_every_event_is_in_one_folded_line(self, facts: list[Fact], kind: Kind, measure: Measure) -> None:
        lines = folded.of_query(filled(facts), asked(kind, measure)).splitlines()
        parsed = [re.fullmatch(r"(.*) (\d+)", line) for line in lines]
        assert all(parsed)
        count = measure is Measure.COUNT
        weights = [fact.weight if count else fact.duration_ns for fact in own(facts, kind)]
        assert sum(int(m[2]) for m in parsed if m) == sum(weights)
        if kind is Kind.SYSCALL:
            by_name: Counter[str] = Counter()
            for fact, weight in zip(own(facts, kind), weights, strict=True):
                by_name[fact.name.replace(";", ":") or "[unknown]"] += weight
            got: Counter[str] = Counter()
            for m in parsed:
                got[m[1].rpartition(";")[2] if m else ""] += int(m[2]) if m else 0
            assert +got == +by_name

    @settings(max_examples=60, deadline=None)
    @given(st.lists(waits, max_size=12))
    def test_the_sums_of_a_document_are_those_of_the_events(self, facts: list[Fact]) -> None:
        document = json.loads(json.dumps(structured.document(filled(facts), Query()), allow_nan=False))
        for kind in collected.TIMED:
            name, events = kind.name.lower(), own(facts, kind)
            if name not in document["latencies"]:
                assert not events
                continue
            rows = document["latencies"][name]
            assert sum(row["time_ns"] for row in rows) == sum(fact.duration_ns for fact in events)
            assert sum(row["count"] for row in rows) == sum(fact.weight for fact in events)
            if kind is not Kind.OFFCPU:
                failed = sum(fact.weight for fact in events if fact.aux)
                assert sum(sum(row["errors"].values()) for row in rows) == failed
                assert all(sum(row["histogram"].values()) == row["count"] for row in rows)
            if kind is not Kind.SYSCALL:
                tree = document["trees"][name]
                assert tree["weight"] == sum(tree["self"]) == sum(fact.duration_ns for fact in events)
                assert tree["unit"] == "ns"

    @settings(max_examples=60, deadline=None)
    @given(st.lists(waits, max_size=12), st.integers(1, 120), st.sampled_from(list(Measure)))
    def test_no_line_is_wider_than_asked_for(self, facts: list[Fact], width: int, measure: Measure) -> None:
        store = filled(facts)
        texts = [report.text(store, Query(measure=measure), width, KINDS)]
        texts += [histogram.text(store, asked(kind, measure), 3, width) for kind in histogram.KINDS]
        for text in texts:
            assert max(map(cell_len, text.splitlines())) <= width


class TestWhatIsKnown:
    def test_a_kind_that_saw_nothing_says_so_and_one_that_was_not_collected_is_absent(self) -> None:
        store = filled([], Health("syscall", State.RUNNING), Health("lock", State.STOPPED))
        assert collected.collected(store) == (Kind.SYSCALL,)
        document = structured.document(store, asked(Kind.SYSCALL))
        assert document["collected"] == ["syscall"]
        assert document["latencies"] == document["in_flight"] == {"syscall": []}
        assert document["holders"] == document["wakers"] == document["trees"] == {}
        text = report.text(store, asked(Kind.SYSCALL), 80, (Kind.SYSCALL,))
        assert "Syscalls: no calls in this range." in text
        assert "Lock" not in text
        assert "Off" not in text

    def test_a_collector_that_could_not_look_does_not_say_nothing(self) -> None:
        store = filled([], Health("lock", State.FAILED, "no room for the maps"))
        text = report.text(store, Query(), 80, KINDS)
        assert "Locks: unknown, no room for the maps" in text
        assert "Syscalls: unknown, its collector has not reported" in text
        assert structured.document(store, Query())["latencies"] == {}

    def test_what_was_collected_for_a_while_is_there(self) -> None:
        store = filled(
            [Fact(T0, Process(1), kind=Kind.LOCK, name="mutex")],
            Health("lock", State.STOPPED, "", 1),
            Health("cpu", State.STOPPED),
        )
        assert collected.collected(store) == (Kind.LOCK,)

    def test_time_on_the_cpu_that_nobody_measured_is_unknown(self) -> None:
        wait = Fact(T0, Process(1, 0, "sh"), kind=Kind.OFFCPU, name="read", duration_ns=5_000_000)
        row = r"(?m)^ *(\S+)  .* sh$"
        assert re.findall(row, report.text(filled([wait]), asked(Kind.OFFCPU))) == ["?"]
        seen = filled([wait], Health("cpu", State.RUNNING))
        assert re.findall(row, report.text(seen, asked(Kind.OFFCPU))) == ["unseen"]

    def test_a_call_that_never_ended_is_shown(self) -> None:
        going = Role.IN_FLIGHT << ROLE_SHIFT
        stuck = Fact(T0, Process(1), 7, (), Kind.SYSCALL, 9 * SECOND, 1, "", "fsync", going)
        text = report.text(filled([stuck]), asked(Kind.SYSCALL))
        assert re.search(r"(?m)^ .*1, 9 s .*fsync", text)
        assert "≥" not in text

    def test_of_many_calls_the_rest_is_counted(self) -> None:
        facts = [Fact(T0, Process(1), kind=Kind.SYSCALL, name=f"s{i}") for i in range(27)]
        going = Role.IN_FLIGHT << ROLE_SHIFT
        facts += [Fact(T0, Process(1), kind=Kind.SYSCALL, name=f"g{i}", flags=going) for i in range(8)]
        found = calls.rows(filled(facts), asked(Kind.SYSCALL))
        assert (len(found), len(calls.shown(found))) == (35, 25)
        assert "and 10 more" in report.text(filled(facts), asked(Kind.SYSCALL))

    def test_a_rate_is_of_the_time_that_was_looked_at(self) -> None:
        """The events of a second bear its end: alone they would make four seconds of five."""
        store = filled([Fact(T0 + i * SECOND, Process(1), kind=Kind.SYSCALL, name="read") for i in range(1, 6)])
        store.append_gauges(HostSample(T0))
        assert re.search(r"(?m)^ *\S+ ms +5 +1 ", report.text(store, asked(Kind.SYSCALL), 100))
        short = filled([Fact(T0, Process(1), kind=Kind.SYSCALL, name="read")])
        assert re.search(r"(?m)^ *\S+ ms +1 +\? ", report.text(short, asked(Kind.SYSCALL), 100))

    def test_off_cpu_time_has_neither_histogram_nor_shortest_wait(self) -> None:
        rows = structured.document(sample.waits(), Query())["latencies"]["offcpu"]
        assert {(row["histogram"], row["quantiles"], row["minimum_ns"], row["minimum_exact"]) for row in rows} == {
            (None, None, None, False)
        }

    def test_a_name_is_of_one_kind(self) -> None:
        document = structured.document(sample.waits(), Query(Kind.SYSCALL, name="read"))
        assert set(document["latencies"]) == {"syscall"}
        assert [row["name"] for row in document["latencies"]["syscall"]] == ["read"]

    def test_one_reason_of_off_cpu_time(self) -> None:
        store = sample.waits()
        whole = folded.of_query(store, asked(Kind.OFFCPU)).splitlines()
        parts: dict[str, list[str]] = defaultdict(list)
        for name in {one.name for one in store.latencies(asked(Kind.OFFCPU))}:
            query = Query(Kind.OFFCPU, name=name, measure=Measure.TIME)
            parts[name] = folded.of_query(store, query).splitlines()
        assert sorted(line for lines in parts.values() for line in lines) == sorted(whole)
        assert all(";[runnable] " in line for line in parts["runnable"])


def test_no_control_characters_reach_the_terminal() -> None:
    store = sample.waits()
    texts = [report.text(store, Query(), 100, KINDS)]
    texts += [histogram.text(store, asked(kind), 10, 100) for kind in histogram.KINDS]
    texts += [folded.of_query(store, asked(kind)) for kind in KINDS]
    for text in texts:
        assert not re.search(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize(
    ("n", "most", "width", "expected"),
    [
        (0, 5, 3, "   "),
        (5, 5, 3, "███"),
        (1, 1 << 40, 3, "▏  "),
        (1, 2, 3, "█▌ "),
        (23, 24, 3, "██▉"),
        ((1 << 64) - 1, 1 << 64, 2, "█▉"),
    ],
)
def test_a_bar_is_exact_to_an_eighth_of_a_cell(n: int, most: int, width: int, expected: str) -> None:
    assert histogram.bar(n, most, width) == expected


PYTHON, P = Frame("work", "app.py", kind=FrameKind.PYTHON), ["work", "work"]
LIBC = [Frame("__lll_lock_wait", "/lib/libc.so.6"), Frame("futex_wait", "[kernel]", kind=FrameKind.KERNEL)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([Frame("main", "app"), Frame("work", "app"), *LIBC], ["work", "main"]),
        (LIBC, ["__lll_lock_wait"]),
        (LIBC[1:], ["futex_wait"]),
        ([Frame("f", "libcrypto.so.3"), *LIBC, Frame("a_lock", kind=FrameKind.LOCK)], ["f"]),
        ([Frame(f"f{i}", "app") for i in range(9)], ["f8", "f7", "f6", "f5"]),
        ([], []),
        ([PYTHON, PYTHON, Frame("acquire", "python3"), Frame("lock_timed", "python3"), *LIBC], ["lock_timed", "…", *P]),
        ([PYTHON, Frame("acquire", "_thread.so"), *LIBC], ["acquire", "work"]),
        ([PYTHON], ["work"]),
        ([Frame("<" + "x" * 99 + ">", "app")], ["<" + "x" * 46 + "…"]),
    ],
)
def test_a_waiter_is_where_its_own_code_is(path: list[Frame], expected: list[str]) -> None:
    assert locks.innermost([Frame("sh", kind=FrameKind.PROCESS), *path]) == expected
