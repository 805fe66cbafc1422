"""Comparisons in text, JSON and SVG. To write the golden files anew: APERTURE_GOLDEN=1 pytest tests/export."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.export import difference, difference_json, difference_svg
from aperture_tui.export.comparison import Comparison, Side, caveats, compared, losses
from aperture_tui.export.svg import MissingInfernoError, find
from aperture_tui.profile.comparable import Per
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.kinds import ROLE_SHIFT, STOP_SHIFT, UNRECORDED, Flag, Kind, Role, Stop
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.memory import MemoryStore
from tests.export import pairs, sample
from tests.store import facts as words
from tests.store.facts import SECOND, T0, Fact, batch_of

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    text = re.sub(r"(?m)^aperture .*$", "aperture", text)
    if os.environ.get("APERTURE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def filled(facts: Sequence[Fact]) -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    return store


def row(comparison: Comparison, function: str, by: str = "self") -> dict[str, Any]:
    document = difference_json.document(comparison, by)
    (found,) = (one for one in document["functions"] if one["function"] == function)
    return {**found, **found[by]}


@pytest.mark.parametrize("width", [40, 80, 120])
def test_golden_text(width: int) -> None:
    check(f"diff-{width}.txt", difference.text(compared(*pairs.sides(), Per.SHARE), "self", 5, width))


@pytest.mark.parametrize(("per", "by"), [(Per.SECOND, "total"), (Per.RUN, "self")])
def test_golden_text_of_other_comparisons(per: Per, by: str) -> None:
    check(f"diff-{per.value}-{by}.txt", difference.text(compared(*pairs.sides(), per), by, 20, 100))


def test_golden_json() -> None:
    document = difference_json.document(compared(*pairs.sides(), Per.SHARE), "self")
    document["generator"] = "aperture"
    for side in ("base", "after"):
        document[side]["span"]["bytes"] = 0  # what the interpreter's objects weigh differs between versions
    for one in document["functions"]:
        for by in ("self", "total"):
            one[by] = {key: round(n, 9) if isinstance(n, float) else n for key, n in one[by].items()}
    check("diff.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


class TestCompared:
    def test_shares_and_their_marks(self) -> None:
        comparison = compared(*pairs.sides(), Per.SHARE)
        decode, parse = row(comparison, "decode"), row(comparison, "parse")
        assert decode["points"] == pytest.approx(100 * (440 / 2001 - 100 / 1001))
        assert decode["ratio"] == pytest.approx(440 / 2001 / (100 / 1001))
        assert (decode["module"], decode["process"], decode["significant"]) == ("json/decoder.py", "sh", True)
        assert parse["points"] == pytest.approx(100 * (600 / 2001 - 300 / 1001))
        assert (parse["process"], parse["significant"]) == (None, False)
        assert row(comparison, "old_way")["ratio"] == 0
        assert row(comparison, "new_way")["ratio"] is None

    def test_a_twice_as_long_recording_has_the_same_rates_and_twice_the_run(self) -> None:
        assert row(compared(*pairs.sides(), Per.SECOND), "parse")["ratio"] == 1
        assert row(compared(*pairs.sides(), Per.RUN), "parse")["ratio"] == 2

    def test_samples_of_another_frequency_stand_for_other_times(self) -> None:
        slower = pairs.sides(period_ns=2 * pairs.PERIOD)
        assert row(compared(*slower, Per.SECOND), "parse")["ratio"] == 2
        assert row(compared(*slower, Per.SHARE), "parse")["points"] == pytest.approx(100 * (600 / 2001 - 300 / 1001))
        time = compared(*pairs.sides(Query(measure=Measure.TIME), 2 * pairs.PERIOD), Per.SECOND)
        assert row(time, "parse")["ratio"] == 2
        assert row(time, "parse")["p"] == row(compared(*slower, Per.SECOND), "parse")["p"]

    def test_a_program_that_ran_for_a_moment_varies_within_that(self) -> None:
        """Its samples were all of one slice, and so taken for independent: 500 of 1,000 and 600, by fifties."""

        def ran(shares: Sequence[int]) -> Side:
            """In a hundredth of the time; in each of its 20 parts 50 samples are of one function."""
            rows = [
                Fact(
                    T0 + 50 * SECOND + (50 * i + n) * 1_000_000,
                    sample.WEB,
                    stack=(Frame("one" if i in shares else "other"),),
                )
                for i in range(20)
                for n in range(50)
            ]
            others = [Fact(T0 + i * SECOND, sample.BAD, stack=(Frame("rest"),)) for i in range(101)]
            return Side("x", filled([*others, *rows]), Query(pids=(sample.WEB.pid,)))

        told = row(compared(ran(range(0, 20, 2)), ran([*range(0, 20, 2), 1, 5]), Per.SHARE), "one")
        assert (told["before"], told["after"]) == (500, 600)
        assert told["p"] > 0.1
        assert not told["significant"]

    def test_a_recursive_function_counts_each_stack_once(self) -> None:
        once = [Fact(T0 + i, sample.WEB, stack=(Frame("r"), Frame("r"), Frame("r"))) for i in range(20)]
        side = Side("x", filled(once), Query())
        assert row(compared(side, side, Per.SHARE), "r", "total")["before"] == 20

    @settings(max_examples=40)
    @given(st.lists(words.facts, max_size=15), words.queries, st.sampled_from(Per))
    def test_nothing_differs_from_itself(self, facts: list[Fact], query: Query, per: Per) -> None:
        side = Side("x", filled(facts), replace(query, role=Role.OWN, group=Group.PROCESS))
        comparison = compared(side, side, per)
        for pair in (comparison.functions.own, comparison.functions.total):
            assert not pair.change.any()
            assert all(math.isnan(points) or abs(points) < 1e-9 for points in comparison.points(pair).tolist())
        assert difference.above(comparison, "total", 0) == []

    @settings(max_examples=40)
    @given(st.lists(words.facts, max_size=15), st.lists(words.facts, max_size=15))
    def test_changes_of_shares_add_up_to_nothing_and_turn_round(self, one: list[Fact], other: list[Fact]) -> None:
        base, after = (Side("x", filled(facts), Query()) for facts in (one, other))
        there, back = compared(base, after, Per.SHARE), compared(after, base, Per.SHARE)
        points = there.points(there.functions.own)
        if not any(extent.empty for extent in there.extents):
            assert points.sum() == pytest.approx(0, abs=1e-9)
            assert sorted(points) == pytest.approx(sorted(-back.points(back.functions.own)), abs=1e-9)

    def test_the_innermost_function_of_calls_is_the_call(self) -> None:
        side = Side("x", sample.waits(), Query(Kind.SYSCALL, measure=Measure.TIME))
        comparison = compared(side, side, Per.SECOND)
        assert comparison.by_self is None
        assert row(comparison, "fdatasync")["before"] == 960_000_001
        assert row(comparison, "fdatasync")["significant"] is None

    def test_the_innermost_function_of_a_thread_that_waits_for_a_cpu_says_so(self) -> None:
        side = Side("x", sample.waits(), Query(Kind.OFFCPU, measure=Measure.TIME))
        assert row(compared(side, side, Per.SECOND), "[runnable]")["before"] == 225_000_001


class TestCaveats:
    def test_sides_that_were_made_alike_have_none(self) -> None:
        assert caveats(compared(*pairs.sides(), Per.SHARE)) == []
        assert losses(pairs.sides()[0]) == ["cpu: ring full: 12"]

    def test_what_was_made_differently_is_named(self) -> None:
        base, after = pairs.sides(period_ns=2 * pairs.PERIOD)
        assert isinstance(after.store, MemoryStore)
        after.store.set_hosts([HostFacts("box", "6.2.0", 8, 1 << 30)])
        after.store.set_health([Health("cpu", State.RUNNING), Health("lock", State.RUNNING)])
        assert caveats(compared(base, after, Per.SHARE)) == [
            "kernel: 6.1.0 in BASE, 6.2.0 in AFTER",
            "CPUs: 4 in BASE, 8 in AFTER",
            "events: cpu in BASE, cpu, lock in AFTER",
            "frequency: 100 Hz in BASE, 50 Hz in AFTER",
        ]

    def test_stacks_that_are_whole_on_one_side_alone(self) -> None:
        cut = filled([Fact(T0, sample.WEB, flags=Stop.FAULT << STOP_SHIFT)])
        whole = filled([Fact(T0, sample.WEB, flags=Flag.WHOLE)])
        sides = Side("x", cut, Query()), Side("y", whole, Query())
        assert caveats(compared(*sides, Per.SHARE)) == ["whole stacks, of samples: 0.0 % in BASE, 100.0 % in AFTER"]

    @pytest.mark.parametrize("line", ["", 'comm:"web server" name:k fn:k >1ms'])
    def test_what_of_gpus_was_not_recorded_on_one_side_alone(self, line: str) -> None:
        """Half as much as before, said the comparison, where half of the time was not recorded."""

        def side(recorded: int) -> Side:
            rows = [
                Fact(
                    T0 + i * SECOND, sample.WEB, kind=Kind.GPU_KERNEL, stack=(Frame("k"),), name="k", duration_ns=SECOND
                )
                for i in range(10)
            ]
            unknown = {"flags": UNRECORDED << ROLE_SHIFT, "name": "", "stack": ()}
            told = [*rows[:recorded], *(replace(one, **unknown) for one in rows[recorded:])]
            return Side("x", filled(told), Query(Kind.GPU_KERNEL, measure=Measure.TIME, where=parse(line)))

        assert caveats(compared(side(10), side(10), Per.SECOND)) == []
        assert caveats(compared(side(10), side(5), Per.SECOND)) == [
            "not recorded, of what programs had GPUs do, by program and GPU: 0 ns in BASE, 5 s in AFTER"
        ]

    def test_windows_that_overlap(self) -> None:
        side = pairs.sides()[0]
        late = replace(side, query=Query(start_ns=T0 + 8 * SECOND))
        assert caveats(compared(side, late, Per.SHARE)) == ["both sides are of one recording and share 2 s"]
        early = replace(side, query=Query(end_ns=T0 + 8 * SECOND))
        assert caveats(compared(early, late, Per.SHARE)) == []


class TestText:
    @settings(max_examples=40)
    @given(
        st.lists(words.facts, max_size=12),
        st.lists(words.facts, max_size=12),
        words.kinds,
        st.sampled_from(Per),
        st.integers(1, 130),
    )
    def test_no_line_is_wider_than_asked_for(
        self, one: list[Fact], other: list[Fact], kind: Kind, per: Per, width: int
    ) -> None:
        base, after = (Side("x" * 30, filled(facts), Query(kind)) for facts in (one, other))
        for line in difference.text(compared(base, after, per), "total", 4, width).splitlines():
            assert cell_len(line) <= width

    def test_no_control_characters_reach_the_terminal(self) -> None:
        text = difference.text(compared(*pairs.sides(), Per.SHARE), "total", 20, 200)
        assert r"evil\x1b[31m;\nname" in text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)

    def test_colours_are_of_significant_changes_and_nothing_else_changes(self) -> None:
        comparison = compared(*pairs.sides(), Per.SHARE)
        plain = difference.text(comparison, "self", 20, 90)
        coloured = difference.text(comparison, "self", 20, 90, colour=True)
        assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
        tinted = re.findall(r"(?m)^\x1b\[(\d+)m(.*)\x1b\[0m$", coloured)
        assert [code for code, _ in tinted] == ["31"] * 2 + ["32"] * 2
        assert all(" *  " in line for _, line in tinted)

    def test_an_empty_side_is_no_regression(self) -> None:
        base, after = pairs.sides()
        text = difference.text(compared(base, replace(after, query=Query(process="absent")), Per.SHARE), "self", 5, 80)
        assert "No samples in AFTER: there is nothing to compare." in text
        assert "Improvements" not in text

    def test_the_rest_is_counted(self) -> None:
        text = difference.text(compared(*pairs.sides(), Per.SHARE), "self", 1, 80)
        assert re.findall(r"and (\d) more \(--top\)", text) == ["4", "2"]


class TestAbove:
    def test_only_significant_regressions_above_the_limit(self) -> None:
        comparison = compared(*pairs.sides(), Per.SHARE)
        assert difference.above(comparison, "self", 5) == ["decode (json/decoder.py) +12.00 points"]
        assert difference.above(comparison, "self", 12.1) == []
        assert [line.split()[0] for line in difference.above(comparison, "self", 1)] == ["decode", "new_way"]

    def test_what_cannot_be_told(self) -> None:
        base, after = pairs.sides()
        assert difference.above(compared(replace(base, query=Query(pids=(9,))), after, Per.SHARE), "self", 0) == []
        waits = Side("x", sample.waits(), Query(Kind.LOCK, measure=Measure.TIME))
        assert difference.above(compared(waits, waits, Per.SECOND), "self", 0) == []


class TestStructured:
    @settings(max_examples=30)
    @given(st.lists(words.facts, max_size=12), st.lists(words.facts, max_size=12), words.kinds, st.sampled_from(Per))
    def test_a_document_is_plain_json(self, one: list[Fact], other: list[Fact], kind: Kind, per: Per) -> None:
        base, after = (Side("x", filled(facts), Query(kind)) for facts in (one, other))
        document = difference_json.document(compared(base, after, per), "self")
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        for side in ("before", "after"):
            whole = document["base" if side == "before" else "after"]["weight"]
            assert sum(one["self"][side] for one in document["functions"]) == whole

    def test_the_largest_changes_come_first(self) -> None:
        functions = difference_json.document(compared(*pairs.sides(), Per.SHARE), "self")["functions"]
        points = [abs(one["self"]["points"]) for one in functions]
        assert points == sorted(points, reverse=True)


class TestSvg:
    def test_a_flame_graph_of_what_changed(self) -> None:
        try:
            find("inferno-diff-folded")
        except MissingInfernoError as error:
            pytest.skip(str(error))
        for per in Per:
            text = difference_svg.text(compared(*pairs.sides(), per))
            assert "<svg" in text
            assert "decode" in text

    def test_the_first_side_is_scaled_where_shares_are_not_compared(self) -> None:
        assert difference_svg.scaled("a;b 3 4\n[x] 10\n", 2.5) == "a;b 3 10\n[x] 25\n"
        assert difference_svg.scaled("a 3\n", math.nan) == difference_svg.scaled("a 3\n", 1) == "a 3\n"
