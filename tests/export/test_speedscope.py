"""speedscope's format: the rules of its importer, and its own schema."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import speedscope
from aperture_tui.profile.kinds import FrameKind, Kind, Role
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store import compaction
from aperture_tui.store.memory import MemoryStore
from tests.export import hostile, others, sample
from tests.store import facts as words
from tests.store.facts import T0, Fact, batch_of

KINDS = [Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK]


def filled(facts: list[Fact]) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    return store


def written(store: MemoryStore, query: Query) -> dict[str, Any]:
    return json.loads(json.dumps(speedscope.document(store, query, "x"), allow_nan=False))  # type: ignore[no-any-return]


def stacks(document: dict[str, Any], profile: int = 0) -> Counter[tuple[str, ...]]:
    names = [frame["name"] for frame in document["shared"]["frames"]]
    out: Counter[tuple[str, ...]] = Counter()
    one = document["profiles"][profile]
    for stack, weight in zip(one["samples"], one["weights"], strict=True):
        out[tuple(names[frame] for frame in stack)] += weight
    return out


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_range_too_long_to_hold_has_the_same_samples(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    store = sample.waits()
    for measure in Measure:
        query = Query(kind, measure=measure)
        before = written(store, query)
        with monkeypatch.context() as patch:
            patch.setattr(compaction, "_RAW", 1)
            after = written(store, query)
        assert stacks(after) == stacks(before)


@settings(max_examples=60)
@given(st.lists(words.facts, max_size=15), words.queries)
def test_the_weights_are_those_of_the_call_tree(facts: list[Fact], query: Query) -> None:
    query = replace(query, role=Role.OWN, group=Group.PROCESS)
    store = filled(facts)
    document = written(store, query)
    sums = [sum(profile["weights"]) for profile in document["profiles"]]
    assert sums == [profile["endValue"] for profile in document["profiles"]]
    assert sums[0] == store.call_tree(query).weight
    assert len(sums) == 1 or sum(sums[1:]) == sums[0]
    for profile in document["profiles"]:
        assert profile["startValue"] == 0
        assert profile["unit"] == ("nanoseconds" if query.measure is Measure.TIME else "none")
        assert len(profile["samples"]) == len(profile["weights"]) == len({tuple(one) for one in profile["samples"]})
        assert all(0 <= frame < len(document["shared"]["frames"]) for one in profile["samples"] for frame in one)


def test_all_processes_come_first_and_then_each_the_heaviest_first() -> None:
    facts = [
        Fact(T0, Process(pid, T0, name), stack=(Frame(name, kind=FrameKind.PROCESS), Frame("main")), weight=weight)
        for pid, name, weight in ((1, "sh", 2), (2, "sh", 5), (3, "", 1))
    ]
    document = written(filled(facts), Query())
    assert [profile["name"] for profile in document["profiles"]] == ["all processes", "sh 2", "sh 1", "[unknown] 3"]
    assert document["activeProfileIndex"] == 0
    assert stacks(document) == {("sh", "main"): 7, ("[unknown]", "main"): 1}
    assert stacks(document, 1) == {("main",): 5}


def test_one_process_is_one_profile() -> None:
    document = written(sample.store(), Query(pids=(4242,)))
    assert [profile["name"] for profile in document["profiles"]] == ["web server 4242"]


def test_the_heaviest_branch_comes_first_at_each_depth_and_alike_stand_together() -> None:
    stacks = {(1, 2): 3, (4,): 9, (1, 3): 4, (1,): 1, (1, 3, 5): 2, (6, 2): 8}
    assert speedscope.heaviest_first(stacks) == [(1,), (1, 3), (1, 3, 5), (1, 2), (4,), (6, 2)]
    assert speedscope.heaviest_first({}) == []


def test_frames_have_file_or_module_and_the_line_if_there_is_one() -> None:
    def fact(line: int) -> Fact:
        return Fact(
            T0, Process(1), stack=(Frame("f", "m.so", "f.c", line), Frame("g", "m.so"), Frame("once", "", "", 3))
        )

    document = written(filled([fact(1), fact(2)]), Query())
    assert document["shared"]["frames"] == [
        {"name": "f", "file": "f.c"},
        {"name": "g", "file": "m.so"},
        {"name": "once", "line": 3},
    ]


def test_nothing_is_an_empty_profile() -> None:
    document = written(MemoryStore(), Query())
    assert [(one["name"], one["samples"], one["weights"]) for one in document["profiles"]] == [
        ("all processes", [], [])
    ]


@pytest.fixture(scope="session")
def schema(request: pytest.FixtureRequest) -> dict[str, Any]:
    return others.speedscope_schema(request.config.cache.mkdir("speedscope"))  # type: ignore[union-attr]


def test_speedscopes_own_schema(schema: dict[str, Any]) -> None:
    for store in (sample.waits(), hostile.store(), MemoryStore()):
        for kind in KINDS:
            for measure in Measure:
                jsonschema.Draft7Validator(schema).validate(written(store, Query(kind, measure=measure)))
