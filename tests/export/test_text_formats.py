"""Folded stacks, JSON and the text report: golden files, and what must hold for any tree.

To write the golden files anew: APERTURE_GOLDEN=1 pytest tests/export, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.export import folded, names, report, structured
from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.kinds import STOP_SHIFT, STOPS, Flag, Stop
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.export import sample
from tests.store import facts as words
from tests.store.facts import Fact, batch_of

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    if os.environ.get("APERTURE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def filled(facts: list[Fact]) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    return store


def test_golden_folded() -> None:
    check("cpu.folded", folded.text(sample.store().call_tree(Query())))


def test_golden_json() -> None:
    document = structured.document(sample.store(), Query(measure=Measure.TIME, pids=(4242, 7, 99)))
    document["generator"] = "aperture"
    document["span"]["bytes"] = 0  # what the interpreter's objects weigh differs between versions
    check("cpu.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("width", [100, 40])
def test_golden_report(width: int) -> None:
    text = report.text(sample.store(), Query(), width)
    check(f"cpu-{width}.txt", re.sub(r"(?m)^aperture .*$", "aperture", text))


class TestFolded:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(words.facts, max_size=15))
    def test_every_line_can_be_split_again_and_nothing_is_lost(self, facts: list[Fact]) -> None:
        tree = filled(facts).call_tree(Query())
        lines = folded.text(tree).splitlines()
        assert lines == sorted(lines, key=lambda line: line.rpartition(" ")[0])
        parsed = Counter({m[1]: int(m[2]) for m in (re.fullmatch(r"(.*) (\d+)", line) for line in lines) if m})
        assert len(parsed) == len(lines)
        assert parsed.total() == tree.weight
        depths = {len(stack.split(";")) for stack in parsed}
        assert depths == {max(len(path), 1) for path in words.words(tree)}

    def test_equal_trees_give_equal_text_whatever_came_first(self) -> None:
        facts = [Fact(words.T0, Process(1), stack=(Frame(name),)) for name in "cab"]
        assert folded.text(filled(facts).call_tree(Query())) == folded.text(filled(facts[::-1]).call_tree(Query()))

    def test_lines_of_one_function_are_one_frame(self) -> None:
        facts = [Fact(words.T0, Process(1), stack=(Frame("f", line=line),)) for line in (1, 2)]
        assert folded.text(filled(facts).call_tree(Query())) == "f 2\n"

    def test_nothing(self) -> None:
        assert folded.text(MemoryStore().call_tree(Query())) == ""

    def test_a_difference_is_refused(self) -> None:
        store = sample.store()
        with pytest.raises(ValueError, match="difference"):
            folded.text(store.diff(Query(), Query(pids=(1,))))

    def test_a_very_deep_stack(self) -> None:
        deep = [Fact(words.T0, Process(1), stack=(Frame("r"),) * 3000)]
        assert folded.text(filled(deep).call_tree(Query())) == ";".join(["r"] * 3000) + " 1\n"


class TestStructured:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(words.facts, max_size=15), words.queries, words.queries)
    def test_the_columns_of_a_tree_give_back_its_stacks(self, facts: list[Fact], base: Query, after: Query) -> None:
        tree = filled(facts).diff(base, replace(after, group=base.group))
        document = json.loads(json.dumps(structured.tree_document(tree, "samples")))
        frames = [Frame(f["function"], f["module"], f["file"], f["line"]) for f in document["frames"]]
        paths: list[tuple[Frame, ...]] = [()]
        for parent, frame in zip(document["parent"][1:], document["frame"][1:], strict=True):
            paths.append((*paths[parent], frames[frame]))
        got = {path: weight for path, weight in zip(paths, document["self"], strict=True) if weight}
        plain = [tuple(Frame(*f[:4]) for f in path) for path in words.words(tree)]
        assert set(got) == set(plain)
        assert sum(document["self"]) == document["weight"] == document["total"][0] == tree.weight

    def test_a_document_is_plain_json(self) -> None:
        document = structured.document(sample.store(), Query(cgroup="/system.slice"))
        assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
        assert document["schema"] == 1
        assert [p["pid"] for p in document["processes"]] == [4242]

    def test_unknown_completeness_is_null_in_all_and_of_a_process(self) -> None:
        facts = [Fact(words.T0, Process(1), flags=0), Fact(words.T0, Process(2), flags=Flag.WHOLE)]
        document = json.loads(json.dumps(structured.document(filled(facts), Query())))
        assert [p["completeness"]["share"] for p in document["processes"]] == [None, 1.0]
        assert document["completeness"]["share"] == 1.0
        assert structured.document(filled(facts[:1]), Query())["completeness"]["share"] is None

    def test_an_empty_store(self) -> None:
        document = structured.document(MemoryStore(), Query())
        assert document["tree"]["weight"] == 0
        assert document["tree"]["parent"] == [-1]


class TestReport:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(words.facts, max_size=15), words.queries, st.integers(1, 120))
    def test_no_line_is_wider_than_asked_for(self, facts: list[Fact], query: Query, width: int) -> None:
        for line in report.text(filled(facts), query, width).splitlines():
            assert cell_len(line) <= width

    def test_nothing_held_says_so_and_does_not_claim_that_nothing_was_lost(self) -> None:
        text = report.text(MemoryStore(), Query())
        assert "No samples in this range." in text
        assert "lost       unknown" in text
        assert "host       unknown" in text

    @pytest.mark.parametrize(
        ("flags", "line"),
        [
            ([Flag.WHOLE, Flag.WHOLE], "100.0 % whole of 2 samples"),
            ([Flag.NONE, Flag.KERNEL_MODE], "whole or not: unknown of 2 samples"),
            (
                [Stop.NO_TABLES << STOP_SHIFT] * 2,
                f"0.0 % whole of 2 samples; not whole: 100.0 % {STOPS[Stop.NO_TABLES]}",
            ),
        ],
    )
    def test_how_many_stacks_are_whole(self, flags: list[int], line: str) -> None:
        text = report.text(filled([Fact(words.T0, Process(1), flags=word) for word in flags]), Query(), 200)
        assert f"stacks     {line}\n" in text

    def test_without_samples_there_are_no_stacks_to_be_whole(self) -> None:
        assert "stacks" not in report.text(MemoryStore(), Query())

    def test_a_failed_collector_is_named_with_its_reason(self) -> None:
        assert "failed     gpu: no device: run aperture doctor" in report.text(sample.store(), Query())

    def test_lines_of_one_function_are_summed_and_recursion_counts_once(self) -> None:
        facts = [Fact(words.T0, Process(1), stack=(Frame("f", line=1), Frame("f", line=2)), weight=7)]
        text = report.text(filled(facts), Query())
        assert re.findall(r"(?m)^ *([\d.]+) +([\d.]+)  f", text) == [("100.0", "100.0")]

    def test_the_small_branches_are_left_out(self) -> None:
        facts = [Fact(words.T0, Process(1), stack=(Frame("all"), Frame(f"f{i}"))) for i in range(300)]
        tree = report.text(filled(facts), Query()).partition("call tree")[2]
        assert "f1" not in tree

    def test_no_control_characters_reach_the_terminal(self) -> None:
        for text in (report.text(sample.store(), Query()), folded.text(sample.store().call_tree(Query()))):
            assert not re.search(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (Frame("main", "app"), "main"),
        (Frame("", "/usr/lib/libc.so.6"), "[libc.so.6]"),
        (Frame("", "[vdso]"), "[[vdso]]"),
        (Frame("", "/"), "[unknown]"),
        (Frame(""), "[unknown]"),
    ],
)
def test_a_frame_without_a_function_has_its_modules_name(frame: Frame, name: str) -> None:
    assert names.frame_name(frame) == name


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (Completeness(3, 3), "100.0 %"),
        (Completeness(10**12, 10**12 - 1), "99.9 %"),
        (Completeness(1000, 987), "98.7 %"),
        (Completeness(10_000, 1), "0.0 %"),
        (Completeness(unknown=9), "?"),
    ],
)
def test_100_percent_whole_is_all_of_them(told: Completeness, text: str) -> None:
    assert names.whole_share(told) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1500, "1.5 µs"), (-2_500_000, "-2.5 ms"), (1 << 40, "1,100 s"), (10**9, "1 s")],
)
def test_amounts_of_time(value: int, text: str) -> None:
    assert names.amount_ns(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (16 << 30, "16 GB"), (1 << 45, "32 TB")]
)
def test_amounts_of_bytes(value: int, text: str) -> None:
    assert names.amount_bytes(value) == text


def test_a_time_that_no_calendar_has_is_unknown() -> None:
    assert names.time_utc(words.T0) == "2023-11-14 22:13:20 UTC"
    assert names.time_utc(0) == names.time_utc(1 << 70) == "unknown"
