"""pprof's profiles, read back by our own messages and by the real pprof."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import pprof
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import FrameKind, Kind, Role
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store import compaction
from aperture_tui.store.memory import MemoryStore
from aperture_tui.wire import pprof_pb2
from tests.export import hostile, others, sample
from tests.store import facts as words
from tests.store.facts import SECOND, T0, Fact, batch_of

KINDS = [Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK]
Read = Counter[tuple[tuple[str, ...], frozenset[tuple[str, str | int]]]]


def filled(facts: list[Fact]) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    return store


def opened(data: bytes) -> pprof_pb2.Profile:
    out = pprof_pb2.Profile()
    out.ParseFromString(gzip.decompress(data))
    return out


def read(profile: pprof_pb2.Profile, value: int = -1) -> Read:
    """(functions, the leaf first; labels) -> one of the values."""
    text = profile.string_table
    functions = {function.id: text[function.name] for function in profile.function}
    places = {place.id: [functions[line.function_id] for line in place.line] for place in profile.location}
    out: Read = Counter()
    for one in profile.sample:
        path = tuple(name for place in one.location_id for name in places[place])
        labels = frozenset((text[label.key], text[label.str] or label.num) for label in one.label)
        out[path, labels] += one.value[value]
    return out


def types(profile: pprof_pb2.Profile) -> list[tuple[str, str]]:
    text = profile.string_table
    return [(text[one.type], text[one.unit]) for one in profile.sample_type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_range_too_long_to_hold_has_the_same_samples(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    store = sample.waits()
    for measure in Measure:
        query = Query(kind, measure=measure)
        before = read(opened(pprof.of_query(store, query)))
        with monkeypatch.context() as patch:
            patch.setattr(compaction, "_RAW", 1)
            assert read(opened(pprof.of_query(store, query))) == before


@settings(max_examples=60)
@given(st.lists(words.facts, max_size=15), words.queries)
def test_the_weights_are_those_of_the_call_tree(facts: list[Fact], query: Query) -> None:
    query = replace(query, role=Role.OWN, group=Group.PROCESS)
    store = filled(facts)
    profile = opened(pprof.of_query(store, query))
    for value, measure in ((-1, query.measure), (0, Measure.TIME if query.measure is Measure.COUNT else Measure.COUNT)):
        assert read(profile, value).total() == store.call_tree(replace(query, measure=measure)).weight


def test_process_and_thread_are_labels_and_no_functions() -> None:
    stack = (Frame("web", kind=FrameKind.PROCESS), Frame("main", "app"), Frame("f", "app"))
    process = Process(42, T0, "web", "/a.slice", "box")
    facts = [Fact(T0, process, tid, stack, weight=tid, thread=f"worker{tid}") for tid in (43, 44)]
    told = read(opened(pprof.of_query(filled(facts), Query())))
    labels = {"comm": "web", "pid": 42, "cgroup": "/a.slice", "container": "box"}
    assert told == {
        (("f", "main"), frozenset({**labels, "tid": tid, "thread": f"worker{tid}"}.items())): tid for tid in (43, 44)
    }


def test_what_is_unknown_has_no_label() -> None:
    facts = [Fact(T0, Process(0), 0, (Frame("f"),), thread="")]
    assert list(read(opened(pprof.of_query(filled(facts), Query())))) == [(("f",), frozenset())]


def test_modules_files_and_lines_say_what_is_known() -> None:
    stack = (
        Frame("main", "/bin/app", "main.c", 7),
        Frame("g", "/bin/app", "g.c", 0),
        Frame("work", "w.py", "w.py", 3),
        Frame("", "/lib/libz.so"),
        Frame("lost", kind=FrameKind.UNKNOWN),
    )
    profile = opened(pprof.of_query(filled([Fact(T0, Process(1), 1, stack)]), Query()))
    text = profile.string_table
    assert [
        (text[m.filename], m.has_functions, m.has_filenames, m.has_line_numbers, m.has_inline_frames)
        for m in profile.mapping
    ] == [
        ("/bin/app", True, True, False, False),
        ("w.py", True, True, True, False),
        ("/lib/libz.so", True, False, False, False),
    ]
    assert [(text[f.name], text[f.system_name], text[f.filename]) for f in profile.function] == [
        ("main", "main", "main.c"),
        ("g", "g", "g.c"),
        ("work", "work", "w.py"),
        ("[libz.so]", "", ""),
        ("lost", "lost", ""),
    ]
    assert [(place.mapping_id, place.line[0].line) for place in profile.location] == [
        (1, 7),
        (1, 0),
        (2, 3),
        (3, 0),
        (0, 0),
    ]


@pytest.mark.parametrize(
    ("kind", "measure", "expected"),
    [
        (Kind.CPU, Measure.COUNT, [("cpu", "nanoseconds"), ("samples", "count")]),
        (Kind.CPU, Measure.TIME, [("samples", "count"), ("cpu", "nanoseconds")]),
        (Kind.LOCK, Measure.TIME, [("waits", "count"), ("time", "nanoseconds")]),
        (Kind.SYSCALL, Measure.COUNT, [("time", "nanoseconds"), ("calls", "count")]),
    ],
)
def test_the_querys_measure_is_the_default_and_last(
    kind: Kind, measure: Measure, expected: list[tuple[str, str]]
) -> None:
    profile = opened(pprof.of_query(sample.waits(), Query(kind, measure=measure)))
    assert types(profile) == expected
    assert profile.string_table[profile.default_sample_type] == expected[-1][0]


def test_times_the_period_and_what_was_lost() -> None:
    facts = [Fact(T0 + i * SECOND, Process(1), stack=(Frame("f"),)) for i in range(5)]
    store = filled(facts)
    store.set_health([Health("cpu", State.STOPPED, lost={"ring full": 3, "none": 0}), Health("lock", State.FAILED)])
    profile = opened(pprof.of_query(store, Query(start_ns=T0, end_ns=T0 + 3 * SECOND)))
    assert (profile.time_nanos, profile.duration_nanos) == (T0, 3 * SECOND)
    assert profile.period == 10_101_010
    text = profile.string_table
    assert (text[profile.period_type.type], text[profile.period_type.unit]) == ("cpu", "nanoseconds")
    assert [text[line] for line in profile.comment][1:] == ["lost: ring full: 3"]
    assert opened(pprof.of_query(sample.waits(), Query(Kind.LOCK))).period == 0


def test_the_call_is_the_innermost_frame_and_so_is_waiting_for_a_cpu() -> None:
    calls = read(opened(pprof.of_query(sample.waits(), Query(Kind.SYSCALL, pids=(300,)))))
    assert {path for path, _ in calls} == {("fdatasync",)}
    assert {dict(labels)["syscall"] for _, labels in calls} == {"fdatasync"}
    off = read(opened(pprof.of_query(sample.waits(), Query(Kind.OFFCPU, pids=(300,)))))
    assert {path: dict(labels)["reason"] for path, labels in off} == {
        ("書く", "main"): "fdatasync (disk)",
        ("[runnable]", "書く", "main"): "runnable",
    }


def test_equal_questions_give_equal_bytes() -> None:
    assert pprof.of_query(sample.waits(), Query()) == pprof.of_query(sample.waits(), Query())


def test_nothing() -> None:
    profile = opened(pprof.of_query(MemoryStore(), Query()))
    assert (list(profile.sample), profile.string_table[0], len(profile.sample_type)) == ([], "", 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", list(Measure))
def test_the_real_pprof_reads_the_same(tmp_path: Path, kind: Kind, measure: Measure) -> None:
    for name, store in (("waits", sample.waits()), ("hostile", hostile.store())):
        query = Query(kind, measure=measure)
        file = tmp_path / f"{name}.pb.gz"
        file.write_bytes(pprof.of_query(store, query))
        lines = others.pprof(file, "-raw").decode().splitlines()
        samples = [m for line in lines if (m := re.fullmatch(r"\s*(\d+)\s+(\d+): [\d ]+", line))]
        both = [sum(int(m[i]) for m in samples) for i in (1, 2)]
        other = Measure.TIME if measure is Measure.COUNT else Measure.COUNT
        assert both == [store.call_tree(replace(query, measure=m)).weight for m in (other, measure)]
        again = tmp_path / f"{name}.again.pb.gz"
        others.pprof(file, "-proto", f"-output={again}")
        assert read(opened(again.read_bytes())) == read(opened(file.read_bytes()))


def test_the_real_pprof_counts_the_same_and_makes_frames_of_labels(tmp_path: Path) -> None:
    file = tmp_path / "cpu.pb.gz"
    file.write_bytes(pprof.of_query(sample.waits(), Query()))
    top = others.pprof(file, "-top").decode()
    assert "Total samples = 100" in top
    assert re.search(r"(?m)^ +0 +0% +100% +80 80\.00%  serve$", top)
    assert "aperture" in others.pprof(file, "-comments").decode()
    assert re.search(r"(?m) 95 95\.00%  web server$", others.pprof(file, "-top", "-tagroot=comm,thread").decode())
    focused = others.pprof(file, "-top", "-tagfocus=pid=7:7").decode()
    assert "evil" not in focused
    assert re.search(r"(?m)^ +4 +4\.00% .* 4 +4\.00%  \[unknown\]$", focused)


def test_a_duration_that_cannot_be_weighs_what_the_call_tree_says() -> None:
    store = filled([Fact(T0, Process(1), duration_ns=(1 << 64) - 1)])
    query = Query(measure=Measure.TIME)
    assert read(opened(pprof.of_query(store, query))).total() == store.call_tree(query).weight > 0
