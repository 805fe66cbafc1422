"""Timelines: the rules of the Trace Event Format, and where each event lies."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import flame_chart, perfetto
from aperture_tui.export.samples import Paths
from aperture_tui.profile.gpu_launch import Launch, Shape, lane, shape_frame
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, FrameKind, Kind, Role
from aperture_tui.profile.occupancy import Factor
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.export import hostile, sample
from tests.store import facts as words
from tests.store.facts import SECOND, T0, Fact, batch_of

MS = 1_000_000
WEB = Process(42, T0, "web")
Event = dict[str, Any]


def filled(facts: list[Fact]) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    return store


def written(store: MemoryStore, query: Query | None = None, *kinds: Kind) -> dict[str, Any]:
    document = perfetto.document(store, query or Query(), kinds)
    return json.loads(json.dumps(document, allow_nan=False))  # type: ignore[no-any-return]


def of(document: dict[str, Any], *phases: str) -> list[Event]:
    return [event for event in document["traceEvents"] if event["ph"] in phases]


def sampled(at_ms: float, *names: str, tid: int = 1, **more: Any) -> Fact:
    """A sample of a clock that ticks every 10 ms."""
    stack = (Frame("web", kind=FrameKind.PROCESS), *(Frame(name) for name in names))
    return Fact(T0 + SECOND + int(at_ms * MS), WEB, tid, stack, duration_ns=10 * MS, **more)


def slices(document: dict[str, Any], tid: int = 1) -> list[tuple[str, float, float, int]]:
    """(function, from ms, to ms, samples), by the time of the first sample's beginning."""
    origin = (document["otherData"]["start_ns"] - T0 - SECOND) / MS
    found = [event for event in of(document, "X") if event["tid"] == tid]
    return [
        (
            event["name"],
            round(origin + event["ts"] / 1000, 3),
            round(origin + (event["ts"] + event["dur"]) / 1000, 3),
            event["args"]["samples"],
        )
        for event in found
    ]


def test_samples_in_a_row_are_one_slice_and_a_break_ends_it() -> None:
    facts = [sampled(at, "main", "f") for at in (10, 20, 29)] + [sampled(39, "main", "g"), sampled(49, "main")]
    facts += [sampled(90, "main", "f"), sampled(20, "other", tid=2)]
    document = written(filled(facts))
    assert slices(document) == [
        ("main", 0, 49, 5),
        ("f", 0, 29, 3),
        ("g", 29, 39, 1),
        ("main", 80, 90, 1),
        ("f", 80, 90, 1),
    ]
    assert slices(document, 2) == [("other", 10, 20, 1)]


def test_lines_of_a_function_go_on_and_a_recursion_does_not_merge_with_its_caller() -> None:
    first, second = (
        replace(sampled(at), stack=(Frame("f", line=line), Frame("f", line=1))) for at, line in ((10, 1), (20, 2))
    )
    assert slices(written(filled([first, second]))) == [("f", 0, 20, 2), ("f", 0, 20, 2)]


def test_a_sample_with_a_weight_is_counted_and_not_drawn() -> None:
    document = written(filled([sampled(10, "f"), sampled(20, "f", weight=7)]))
    assert slices(document) == [("f", 0, 10, 1)]
    assert document["otherData"]["not_drawn"] == 7
    assert [e["args"]["samples/s"] for e in of(document, "C") if e["name"] == "cpu"] == [8, 0]


def test_of_too_many_the_newest_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfetto, "MOST_SLICES", 2)
    monkeypatch.setattr(perfetto, "_CHUNK", 2)
    document = written(filled([sampled(at, f"f{at}") for at in (30, 10, 20, 40)]))
    assert sorted(slices(document)) == [("f30", 20, 30, 1), ("f40", 30, 40, 1)]
    assert document["otherData"]["not_drawn"] == 2


def test_counters_are_of_a_second_and_fall_to_nothing() -> None:
    def calls(second: int, weight: int, ms: int) -> Fact:
        at = T0 + second * SECOND
        return Fact(at, WEB, 0, (Frame("web", kind=FrameKind.PROCESS),), Kind.SYSCALL, ms * MS, weight, "", "read")

    document = written(filled([calls(0, 1, 1), calls(1, 6, 250), calls(2, 9, 500), calls(4, 3, 1)]), None, Kind.SYSCALL)
    counters = [(event["ts"], event["name"], event["args"]) for event in of(document, "C")]
    assert [(ts, args["calls/s"]) for ts, name, args in counters if name == "syscall"] == [
        (0, 7),
        (1_000_000, 9),
        (2_000_000, 0),
        (3_000_000, 3),
        (4_000_000, 0),
    ]
    assert [args["threads"] for _, name, args in counters if name == "in system calls"] == [0.251, 0.5, 0, 0.001, 0]


def test_a_long_range_has_wider_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfetto, "_BUCKETS", 10)
    facts = [sampled(500 + second * 1000, "f") for second in range(0, 100, 2)]
    values = [(e["ts"], e["args"]["samples/s"]) for e in of(written(filled(facts)), "C") if e["name"] == "cpu"]
    assert len(values) == 11
    assert {round(b - a) for (a, _), (b, _) in itertools.pairwise(values)} <= {9_800_001, 9_800_000}
    assert sum(value for _, value in values) * 9.8 == pytest.approx(50, abs=0.1)


def test_what_is_in_flight_begins_when_it_began_but_not_before_the_range() -> None:
    flags = Role.IN_FLIGHT << ROLE_SHIFT
    end = T0 + 10 * SECOND
    facts = [
        Fact(T0, WEB, 1, (), Kind.SYSCALL, 1, 1, "", "read"),
        Fact(end, WEB, 7, (), Kind.SYSCALL, 3 * SECOND, 1, "io", "fsync", flags),
        Fact(end, WEB, 8, (), Kind.LOCK, 99 * SECOND, 2, "", "mutex", flags | Flag.TRUNCATED, maximum_ns=60 * SECOND),
    ]
    document = written(filled(facts))
    begun = {event["name"]: event for event in of(document, "b")}
    ended = {event["id"]: event for event in of(document, "e")}
    assert [(e["ts"], ended[e["id"]]["ts"]) for e in begun.values()] == [(7_000_000, 10_000_000), (0, 10_000_000)]
    assert begun["fsync"]["args"] == {"age_ns": 3 * SECOND, "at_least": False, "in_flight": 1}
    assert begun["mutex"]["args"] == {"age_ns": 60 * SECOND, "at_least": True, "in_flight": 2}
    assert (begun["fsync"]["pid"], begun["fsync"]["tid"], begun["fsync"]["cat"]) == (42, 7, "in flight")


def test_kernels_and_copies_lie_on_the_streams_of_their_device() -> None:
    stack = (Frame("web", kind=FrameKind.PROCESS), Frame("gemm"), shape_frame(Shape((64, 2, 1), (256, 1, 1))))
    launch = Launch(256, 32, 1024, 4, Factor.WARPS, 64).packed()
    facts = [
        Fact(T0 + 5 * MS, WEB, 9, stack, Kind.GPU_KERNEL, 2 * MS, name="gemm", aux=lane(0, 7), value=launch),
        Fact(T0 + 8 * MS, WEB, 9, (), Kind.GPU_COPY, MS, name="host to device", aux=lane(1, 8), value=4_000_000),
        Fact(T0 + 9 * MS, WEB, 9, (), Kind.GPU_KERNEL, 30 * MS, 3, name="of several", aux=lane(0, 7)),
    ]
    document = written(filled(facts))
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in of(document, "M") if e["name"] == "thread_name"}
    devices = {e["pid"]: e["args"]["name"] for e in of(document, "M") if e["name"] == "process_name"}
    told = {e["name"]: (e["dur"], devices[e["pid"]], names[e["pid"], e["tid"]], e["args"]) for e in of(document, "X")}
    shape = {"grid": "(64,2,1)", "block": "(256,1,1)", "registers": 32, "shared_bytes": 1024, "occupancy": 0.5}
    assert told == {
        "gemm": (2000, "GPU 0", "stream 7", {"pid": 42, "tid": 9, **shape}),
        "host to device": (1000, "GPU 1", "stream 8", {"pid": 42, "tid": 9, "bytes": 4_000_000, "GB/s": 4}),
    }
    starts = {e["name"]: e["ts"] for e in of(document, "X")}
    assert starts["host to device"] - starts["gemm"] == 3000
    assert document["otherData"]["not_drawn"] == 3


def test_what_was_sampled_is_drawn_as_long_as_it_took_and_says_what_it_stands_for() -> None:
    def event(kind: Kind, name: str, at_ms: int, own_ns: int, weight: int, **more: Any) -> Fact:
        at = T0 + SECOND + at_ms * MS
        own = {"name": name, "maximum_ns": own_ns, "cpu": 1, "aux": lane(0, 7)}
        return Fact(at, WEB, 9, (), kind, own_ns * weight, weight, **own, **more)

    facts = [
        event(Kind.GPU_CALL, "launch", 4, 10_000, 30),
        event(Kind.GPU_KERNEL, "gemm", 5, 2 * MS, 30),
        event(Kind.GPU_COPY, "host to device", 8, MS, 20, value=4_000_000),
        event(Kind.GPU_KERNEL, "alone", 9, MS, 1),
        event(Kind.GPU_KERNEL, "long after", 2500, MS, 30),
        Fact(T0 + SECOND, WEB, 9, (), Kind.GPU_KERNEL, 10 * MS, 7, name="sum", maximum_ns=2 * MS),
    ]
    document = written(filled(facts))
    check_rules(document)
    told = {e["name"]: (e["dur"], e["args"].get("stands_for")) for e in of(document, "X")}
    assert told == {
        "launch": (10, 30),
        "gemm": (2000, 30),
        "host to device": (1000, 20),
        "alone": (1000, None),
        "long after": (1000, 30),
    }
    assert next(e["args"]["GB/s"] for e in of(document, "X") if e["name"] == "host to device") == 4
    assert document["otherData"]["not_drawn"] == 29 + 29 + 19 + 29 + 7
    names = {(e["pid"], e["tid"], e["ts"]): e["name"] for e in of(document, "X")}
    led_to = [names[e["pid"], e["tid"], e["ts"]] for e in of(document, "f")]
    assert sorted(led_to) == ["alone", "gemm", "host to device"], "that of a later moment comes from an unrecorded call"


def test_an_arrow_leads_from_each_call_to_what_came_of_it() -> None:
    def event(kind: Kind, name: str, at: float, cpu: int, tid: int = 9, **more: Any) -> Fact:
        return Fact(T0 + SECOND + int(at * MS), WEB, tid, (), kind, MS // 10, name=name, cpu=cpu, thread="main", **more)

    facts = [
        event(Kind.GPU_CALL, "launch a", 10, 1),
        event(Kind.GPU_CALL, "launch b", 11, 2),
        event(Kind.GPU_CALL, "wait for a stream", 11.05, 2),
        event(Kind.GPU_CALL, "of another thread", 11, 2, 10),
        event(Kind.GPU_CALL, "launch c", 20, 1),  # after 65,536 calls the number comes again
        event(Kind.GPU_CALL, "seen from outside", 12, 0, weight=5),
        event(Kind.GPU_KERNEL, "b", 12, 2, aux=lane(0, 7)),
        event(Kind.GPU_KERNEL, "a", 13, 1, aux=lane(0, 8)),
        event(Kind.GPU_KERNEL, "again a", 14, 1, aux=lane(0, 8)),
        event(Kind.GPU_KERNEL, "c", 19.5, 1, aux=lane(0, 7)),  # the clock of a GPU is not quite that of a CPU
        event(Kind.GPU_KERNEL, "of nobody", 15, 3, aux=lane(0, 7)),
    ]
    document = written(filled(facts))
    check_rules(document)
    names = {(e["pid"], e["tid"], e["ts"]): e["name"] for e in of(document, "X")}
    begun = {e["id"]: names[e["pid"], e["tid"], e["ts"]] for e in of(document, "s")}
    ended = {e["id"]: names[e["pid"], e["tid"], e["ts"]] for e in of(document, "f") if e["bp"] == "e"}
    arrows = sorted((begun[i], ended[i]) for i in begun)
    assert arrows == [("launch a", "a"), ("launch a", "again a"), ("launch b", "b"), ("launch c", "c")]
    tracks = {e["args"]["name"] for e in of(document, "M") if e["name"] == "thread_name"}
    assert {"main 9: calls to GPUs", "main 9: waits for GPUs", "main 10: calls to GPUs", "stream 7"} <= tracks


def test_the_host_and_the_names() -> None:
    store = filled([sampled(10, "f", tid=3, thread="worker"), sampled(10, "f", tid=0)])
    store.append_gauges(HostSample(T0 + SECOND, cpu_user=0.25, cpu_iowait=None, cpu_system=0.5))
    document = written(store)
    assert {(e["name"], e["pid"], e["tid"], e["args"]["name"]) for e in of(document, "M")} == {
        ("process_name", 42, 42, "web"),
        ("process_name", perfetto._HOST, perfetto._HOST, "host"),
        ("thread_name", 42, 3, "worker"),
    }
    assert [e["args"] for e in of(document, "C") if e["name"] == "CPU %"] == [{"user": 25, "system": 50}]
    assert {e["tid"] for e in of(document, "X")} == {3, 42}


def test_one_kind_alone() -> None:
    names = {event["name"] for event in of(written(sample.waits(), None, Kind.LOCK), "C")}
    assert names == {"lock", "waiting for locks", "CPU %"}
    everything = {event["name"] for event in of(written(sample.waits()), "C")}
    assert {"cpu", "lock", "offcpu", "syscall"} <= everything


def check_rules(document: dict[str, Any]) -> None:
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    open_ids: set[tuple[str, str]] = set()
    for event in document["traceEvents"]:
        assert event["ph"] in "XCMbesf"
        assert isinstance(event["name"], str)
        assert 0 <= event["pid"] < 1 << 32
        assert event["ph"] == "M" or event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "C":
            assert event["args"]
            assert all(isinstance(value, (int, float)) for value in event["args"].values())
        elif event["ph"] == "b":
            open_ids.add((event["cat"], event["id"]))
        elif event["ph"] == "e":
            open_ids.remove((event["cat"], event["id"]))
    assert not open_ids
    for spans in tracks.values():
        check_nesting(spans)


def check_nesting(spans: list[tuple[float, float]]) -> None:
    """Each begins where one before it has ended, or ends within it. Doubles of microseconds: to a thousandth."""
    outer: list[tuple[float, float]] = []
    for start, end in spans:
        while outer and start >= outer[-1][1] - 0.0005 and end > outer[-1][1] + 0.0005:
            outer.pop()
        assert not outer or end <= outer[-1][1] + 0.0005 or start >= outer[-1][1] - 0.0005
        outer.append((start, end))


@settings(max_examples=80)
@given(st.lists(words.facts, max_size=25), words.queries)
def test_the_rules_hold_and_the_counters_add_up(facts: list[Fact], query: Query) -> None:
    query = replace(query, role=Role.OWN, group=Group.PROCESS)
    store = filled(facts)
    document = written(store, query, query.kind)
    check_rules(document)
    held = store.span()
    start, end = max(held.start_ns, query.start_ns or 0), held.end_ns if query.end_ns is None else query.end_ns
    steps = max(SECOND, -(-max(0, min(end, held.end_ns) - start) // 1000)) / SECOND
    for measure, key in ((Measure.COUNT, "/s"), (Measure.TIME, "threads")):
        values = [v for e in of(document, "C") for name, v in e["args"].items() if name.endswith(key)]
        expected = store.call_tree(replace(query, measure=measure)).weight
        if measure is Measure.TIME:
            assert sum(values) * steps * SECOND == pytest.approx(expected, rel=1e-6, abs=len(values) * 1000 * steps)
        else:
            assert sum(values) * steps == pytest.approx(expected, rel=1e-6, abs=len(values) * 0.001 * steps)


@settings(max_examples=80)
@given(st.lists(words.facts.filter(lambda fact: fact.kind == Kind.CPU), max_size=25))
def test_every_sample_is_in_a_slice_of_each_depth_of_its_stack(facts: list[Fact]) -> None:
    batch = batch_of(facts, Symbols())
    found = flame_chart.slices(batch.symbols, batch.events)
    paths = Paths(batch.symbols)
    depths = [depth for row in batch.events for depth in range(len(paths.path(paths.place(row))))]
    drawn = [one.depth for one in found for _ in range(one.samples)]
    assert sorted(drawn) == sorted(depths)
    assert all(one.start_ns <= one.end_ns for one in found)


def test_hostile_names_are_data() -> None:
    document = written(hostile.store())
    check_rules(document)
    names = {event["name"] for event in of(document, "X")}
    assert {"semi;colon 12", "back\\slash \\u0041 %s %(x)s", "x" * 20_000} <= names
    assert {e["args"]["name"] for e in of(document, "M")} >= {r"\x1b[31mred\x00\r\n\x9b", r"surrogate \udce9\ud800"}


def test_nothing() -> None:
    document = written(MemoryStore())
    assert document["traceEvents"] == []


def test_a_store_that_sums_a_long_range_is_asked_for_shorter_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was summed over a range has lost its times."""
    from aperture_tui.store import compaction

    facts = [sampled(at * 1000, f"f{at % 7}") for at in range(40)]
    before = written(filled(facts))
    monkeypatch.setattr(compaction, "_RAW", 5)
    after = written(filled(facts))
    key = json.dumps
    assert sorted(of(before, "X", "C"), key=key) == sorted(of(after, "X", "C"), key=key)


def test_a_duration_that_cannot_be_is_no_negative_rate() -> None:
    document = written(filled([Fact(T0, WEB, 1, kind=Kind.LOCK, duration_ns=(1 << 64) - 1)]), None, Kind.LOCK)
    assert min(value for event in of(document, "C") for value in event["args"].values()) >= 0
