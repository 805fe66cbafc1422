"""Flame graphs by the real inferno."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from aperture_tui.export import folded, svg
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.memory import MemoryStore
from tests.export import hostile, others, sample


@pytest.fixture
def inferno() -> None:
    others.inferno()


def boxes(text: str) -> list[tuple[str, str]]:
    """(name, colour) of each box: `function (30 samples, 30.00%)`."""
    space = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(text.partition("?>")[2].partition(">")[2])  # noqa: S314  # our own file, without its DOCTYPE
    groups = root.findall(f".//{space}svg[@id='frames']/{space}g")
    return [(group.findtext(f"{space}title", ""), group.find(f"{space}rect").get("fill", "")) for group in groups]  # type: ignore[union-attr]


def counts(text: str) -> dict[str, int]:
    found = (re.match(r"(?s)(.*) \(([\d,]+) ", title) for title, _ in boxes(text))
    return {m[1]: int(m[2].replace(",", "")) for m in found if m}


@pytest.mark.usefixtures("inferno")
class TestDrawn:
    def test_functions_with_their_samples(self) -> None:
        text = svg.of_query(sample.store(), Query(), "a title")
        told = counts(text)
        assert told["all"] == sample.store().call_tree(Query()).weight == 100
        assert (told["main"], told["parse<int: char>"], told["écrire 文字"], told["vfs_read"]) == (95, 30, 20, 30)
        assert "a title" in text

    @pytest.mark.parametrize("kind", [Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK])
    @pytest.mark.parametrize("measure", list(Measure))
    def test_the_weight_is_that_of_the_call_tree(self, kind: Kind, measure: Measure) -> None:
        query = Query(kind, measure=measure)
        text = svg.of_query(sample.waits(), query, "")
        assert counts(text)["all"] == sample.waits().call_tree(query).weight
        assert (" ns, " in text) == (measure is Measure.TIME)

    def test_hostile_names_stay_text(self) -> None:
        text = svg.of_query(hostile.store(), Query(), hostile.NAMES[1])
        told = counts(text)
        assert told["all"] == hostile.store().call_tree(Query()).weight
        assert "<script>alert" not in text
        assert "quo\"te's </title><script>alert(1)</script> &amp:" in told
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)

    def test_a_number_at_the_end_of_a_name_is_no_other_profile(self) -> None:
        drawn = boxes(svg.flame_graph("web;pool worker 7 12\nweb;x 2.5 3\n", title="", unit="samples"))
        assert {title for title, _ in drawn} == {
            "all (15 samples, 100%)",
            "web (15 samples, 100.00%)",
            "pool worker\u00a07 (12 samples, 80.00%)",
            "x\u00a02.5 (3 samples, 20.00%)",
        }

    def test_kernel_and_jit_have_colours_of_their_own_and_a_function_always_the_same(self) -> None:
        stacks = "a;b_[k] 1\na;c 1\na;d_[j] 1\n"
        text = svg.flame_graph(stacks, title="", unit="samples")
        assert text == svg.flame_graph(stacks, title="", unit="samples")
        colours = {title[0]: [int(n) for n in re.findall(r"\d+", colour)] for title, colour in boxes(text)}
        assert colours["b"][2] == 0  # orange: no blue
        assert colours["d"][1] > max(colours["d"][0], colours["d"][2])  # green
        assert colours["c"][0] > max(colours["c"][1:])  # red

    def test_a_differential_one(self) -> None:
        before, after = "w;less 30\nw;same 10\nw;gone 5\n", "w;less 10\nw;same 10\nw;more 25\nw;new 7 1\n"
        text = svg.differential(before, after, title="two", unit="samples", normalise=False)
        told = {title: [int(n) for n in re.findall(r"\d+", colour)] for title, colour in boxes(text)}
        by_name = {title.partition(" (")[0]: (title, colour) for title, colour in told.items()}
        assert by_name["less"][0] == "less (10 samples, 21.74%; -43.48%)"
        assert by_name["less"][1][2] == 255  # blue
        assert by_name["more"][1][0] == 255  # red
        assert by_name["same"][1] == [250, 250, 250]
        assert "new\u00a07" in by_name

    def test_normalised_it_says_nothing_of_a_longer_recording(self) -> None:
        text = svg.differential("w;a 10\nw;b 30\n", "w;a 30\nw;b 90\n", title="", unit="samples", normalise=True)
        assert {colour for _, colour in boxes(text)} == {"rgb(250,250,250)"}
        longer = svg.differential("w;a 10\nw;b 30\n", "w;a 30\nw;b 90\n", title="", unit="samples", normalise=False)
        assert {colour for _, colour in boxes(longer)} != {"rgb(250,250,250)"}

    def test_everything_is_new(self) -> None:
        for normalise in (False, True):
            assert "new (3 ns" in svg.differential("", "w;new 3\n", title="", unit="ns", normalise=normalise)

    def test_a_tool_that_complains_is_one_line(self) -> None:
        with pytest.raises(svg.InfernoError, match=r"^inferno-flamegraph: [^\n]+$"):
            svg.flame_graph("no counts\n", title="", unit="samples")


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(svg.InfernoError, match="no stacks"):
        svg.of_query(MemoryStore(), Query(), "")
    with pytest.raises(svg.InfernoError, match="no stacks"):
        svg.differential("a 1\n", "", title="", unit="ns", normalise=True)


def test_without_inferno_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PATH", "CARGO_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    for draw in (
        lambda: svg.of_query(sample.store(), Query(), ""),
        lambda: svg.differential("a 1\n", "a 2\n", title="", unit="ns", normalise=False),
    ):
        with pytest.raises(svg.MissingInfernoError, match=r"^no inferno-[a-z-]+: make inferno \(or cargo install"):
            draw()


def test_a_tool_that_hangs_or_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "inferno-flamegraph"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(svg, "_TIMEOUT_S", 0.2)
    for content, words in (("#!/bin/sh\nexec sleep 9\n", "took longer than 0 s"), ("#!/nowhere\n", "No such file")):
        tool.write_text(content)
        tool.chmod(0o755)
        with pytest.raises(svg.InfernoError, match=words):
            svg.flame_graph(folded.of_query(sample.store(), Query()), title="", unit="samples")


def test_a_tool_gets_all_of_it_however_slow_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of more than a pipe holds, while whoever waits is asked whether it still does."""
    tool = tmp_path / "inferno-flamegraph"
    tool.write_text("#!/bin/sh\nsleep 0.3\nwc -c\nhead -c 1000000 /dev/zero\n")
    tool.chmod(0o755)
    monkeypatch.setattr(svg, "find", lambda name: str(tool))
    told: list[float] = []
    stacks = "".join(f"web;function_{i} 1\n" for i in range(100_000))
    drawn = svg.flame_graph(stacks, title="t", unit="samples", watch=told.append)
    assert int(drawn.partition("\n")[0]) == len(stacks)
    assert len(drawn) > 1_000_000
    assert told


def test_who_has_enough_of_it_ends_the_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "inferno-flamegraph"
    tool.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setattr(svg, "find", lambda name: str(tool))

    def enough(_share: float) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise LookupError

    with pytest.raises(LookupError):
        svg.flame_graph("a 1\n", title="t", unit="samples", watch=enough)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
