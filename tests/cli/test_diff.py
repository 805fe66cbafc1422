"""`aperture diff`, as it is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.cli.diff import run
from aperture_tui.cli.opening import opened
from aperture_tui.export.svg import MissingInfernoError, find
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.profile.where import parse
from aperture_tui.recording.writer import Writer
from tests.export import sample
from tests.store.facts import SECOND, T0, Fact, batch_of


def write(path: Path, functions: Mapping[str, int], pid: int = 42, hz: int = 100, facts: tuple[Fact, ...] = ()) -> str:
    """A recording of ten seconds in which the samples of each function are spread evenly."""
    web = Process(pid, T0, "web")
    samples = [
        Fact(T0 + i * 10 * SECOND // n, web, stack=(Frame("web"), Frame(name)), duration_ns=SECOND // hz)
        for name, n in functions.items()
        for i in range(n)
    ]
    writer = Writer(path)
    writer.set_hosts([HostFacts("box", "6.1", 2, 1 << 30)])
    writer.append(batch_of([*samples, *facts], Symbols()))
    writer.set_health([Health("cpu", State.RUNNING, "", 9, {"ring full": 3} if pid == 7 else {})])
    writer.close()
    return str(path)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return write(tmp_path / "base.aperture", {"parse": 300, "send": 700})


@pytest.fixture
def after(tmp_path: Path) -> str:
    return write(tmp_path / "after.aperture", {"parse": 450, "send": 550}, pid=43)


def out(capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[str, str]:
    captured = capfdbinary.readouterr()
    return captured.out.decode(), captured.err.decode()


def test_stdout_has_the_comparison_and_nothing_else(
    base: str, after: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([base, after]) == 0
    stdout, stderr = out(capfdbinary)
    assert stderr == ""
    assert "+15.00  *  +150 ms/s  30.00 %  45.00 %  ×1.50  parse\n" in stdout.replace("  web  ", "  ")
    assert "-15.00  *  -150 ms/s  70.00 %  55.00 %  ×0.79  send\n" in stdout.replace("  web  ", "  ")
    assert "\x1b" not in stdout


def test_the_suffix_gives_the_format(base: str, after: str, tmp_path: Path) -> None:
    assert run([base, after, "-o", str(tmp_path / "a.json")]) == 0
    document = json.loads((tmp_path / "a.json").read_text())
    assert {one["function"]: one["self"]["change"] for one in document["functions"]} == {
        "parse": 150,
        "send": -150,
        "web": 0,
    }
    assert run([base, after, "-o", str(tmp_path / "a.txt")]) == 0
    assert "Regressions: 1 function" in (tmp_path / "a.txt").read_text()


def test_a_flame_graph(
    base: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    try:
        find("inferno-diff-folded")
    except MissingInfernoError as error:
        pytest.skip(str(error))
    for per in ("share", "second", "run"):
        assert run([base, after, "--per", per, "-o", str(tmp_path / "a.svg")]) == 0
        assert "parse" in (tmp_path / "a.svg").read_text()
    assert run([base, after, "--process", "absent", "--format", "svg"]) == 1
    assert "nothing to draw" in out(capfdbinary)[1]


@pytest.mark.parametrize(
    ("arguments", "parse"),
    [
        (["--base-to", "-5s", "--from", "-5s"], [150, 150]),
        (["--base-from", "-9s", "--base-to=-4s", "--to", "-5s"], [150, 150]),
        (["--base-to", "2023-11-14T22:13:25Z", "--from", "2023-11-14T22:13:21Z"], [150, 270]),
        (["--base-to", "-5s", "--from", "-5s", "--process", "web", "-p", "42"], [150, 150]),
        (["--frame", "^parse$", "--measure", "time"], [3 * SECOND, 3 * SECOND]),
    ],
)
def test_two_times_of_one_recording(
    base: str, arguments: list[str], parse: list[int], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([base, base, *arguments, "--format", "json"]) == 0
    document = json.loads(out(capfdbinary)[0])
    (found,) = (one["self"] for one in document["functions"] if one["function"] == "parse")
    assert [found["before"], found["after"]] == pytest.approx(parse, rel=0.01)
    assert not found["significant"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_empty_side_is_no_comparison_and_a_failure(
    base: str, form: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Else a script would take it for one in which nothing got worse. What is written says the same."""
    arguments = [base, base, "--format", form, "--from", "2024-01-01T00:00:00Z"]
    assert run(arguments) == 1
    stdout, stderr = out(capfdbinary)
    assert stderr.splitlines()[-2].endswith("22:13:29 UTC, and nothing of the time that was asked for")
    assert stderr.splitlines()[-1] == "aperture diff: no samples in AFTER: there is nothing to compare"
    assert "No samples in AFTER" in stdout if form == "text" else json.loads(stdout)["scale"] is None


class TestFailAbove:
    def test_a_regression_above_the_limit_is_status_3_and_one_line(
        self, base: str, after: str, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        assert run([base, after, "--fail-above", "5%"]) == 3
        assert out(capfdbinary)[1] == "aperture diff: above 5 %: parse +15.00 points\n"

    def test_none_above_it_is_status_0(self, base: str, after: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        for limit in ("15", "15.1%"):
            assert run([base, after, "--fail-above", limit]) == 0
        assert run([base, base, "--base-to", "-5s", "--from", "-5s", "--fail-above", "9%"]) == 0
        assert out(capfdbinary)[1] == ""

    def test_a_change_that_may_be_chance_is_none(
        self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        """Thirty samples a side: ten points more of them say nothing, and that is said."""
        base = write(tmp_path / "base", {"parse": 9, "send": 21})
        after = write(tmp_path / "after", {"parse": 12, "send": 18})
        assert run([base, after, "--fail-above", "5%"]) == 0
        assert "so few samples show changes from 33.3 points on" in out(capfdbinary)[1]

    def test_where_others_got_cheaper_a_share_grows_and_a_run_does_not(self, base: str, tmp_path: Path) -> None:
        after = write(tmp_path / "after", {"parse": 300, "send": 100})
        assert run([base, after, "--fail-above", "5%"]) == 3
        assert run([base, after, "--fail-above", "5%", "--per", "run"]) == 0

    def test_nothing_to_compare_is_a_failure(self, base: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        assert run([base, base, "--base-to", "-5s", "--process", "absent", "--fail-above", "5%"]) == 1
        assert out(capfdbinary)[1].endswith("--fail-above cannot tell\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x"], "AFTER"),
        (["x", "y", "--frame", "("], "not a regular expression"),
        (["x", "y", "--base-from", "soon"], "not a time"),
        (["x", "y", "--pid", "me"], "not a pid"),
        (["x", "y", "-o", "x.folded"], "--format"),
        (["x", "y", "--event", "magic"], "magic"),
        (["x", "y", "--per", "day"], "day"),
        (["x", "y", "--by", "name"], "name"),
        (["x", "y", "--top", "0"], "1 or more"),
        (["x", "y", "--fail-above", "much"], "not a limit"),
        (["x", "y", "--fail-above", "-5%"], "--fail-above"),
        (["x", "y", "--fail-above", "5%", "--event", "lock"], "it is not known what is more than chance"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], words: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    stdout, stderr = out(capfdbinary)
    assert stdout == ""
    assert words in stderr
    assert stderr.count("\n") == 1


def test_a_range_that_is_none_and_an_output_that_is_an_input(base: str, after: str) -> None:
    before = Path(after).read_bytes()
    for arguments in (["--base-from", "now", "--base-to", "-5s"], ["-o", after, "--format", "json"]):
        with pytest.raises(SystemExit) as ended:
            run([base, after, *arguments])
        assert ended.value.code == 2
    assert Path(after).read_bytes() == before


def test_an_output_that_is_one_of_a_folder_of_recordings(base: str, after: str, tmp_path: Path) -> None:
    before = Path(base).read_bytes()
    with pytest.raises(SystemExit) as ended:
        run([str(tmp_path), after, "-o", base, "--format", "text"])
    assert ended.value.code == 2
    assert Path(base).read_bytes() == before
    assert run([str(tmp_path), after, "-o", str(tmp_path / "new.txt")]) == 0


def test_files_that_tell_neither_times_nor_durations(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    old, new = tmp_path / "old.folded", tmp_path / "new.folded"
    old.write_text("web;parse 300\nweb;send 700\n")
    new.write_text("web;parse 450\nweb;send 550\n")
    assert run([str(old), str(new), "--fail-above", "20"]) == 0
    stdout, stderr = out(capfdbinary)
    assert stderr == ""
    assert "+15.00 * 30.00 % 45.00 % ×1.50 web parse" in " ".join(stdout.split())
    assert stdout.count("1,000 samples\n") == 2
    assert " on CPU" not in stdout
    assert run([str(old), str(new), "--fail-above", "10"]) == 3
    out(capfdbinary)
    assert run([str(old), str(new), "--per", "run"]) == 0
    assert "+15.00 * +150 300 450 ×1.50 web parse" in " ".join(out(capfdbinary)[0].split())
    assert run([str(old), str(new), "--format", "json"]) == 0
    assert json.loads(out(capfdbinary)[0])["base"]["unit_ns"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--per", "second"], "how long it took is not known of BASE and AFTER"),
        (["--measure", "time"], "how long a sample stands for is not known in BASE and AFTER"),
    ],
)
def test_what_such_files_cannot_tell_is_said(
    tmp_path: Path, arguments: list[str], words: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "old.folded"
    file.write_text("web;parse 300\nweb;send 700\n")
    assert run([str(file), str(file), *arguments, "--fail-above", "5"]) == 1
    stdout, stderr = out(capfdbinary)
    assert f"{words}: --fail-above cannot tell" in stderr
    assert words[1:] in " ".join(stdout.split())
    assert "no cpu events" not in stderr


def test_a_side_without_modules_is_told(base: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    folded, script = tmp_path / "a.folded", tmp_path / "b.txt"
    folded.write_text("web;parse 300\n")
    script.write_text("web 7/7 1.000000: 1 cpu-clock: \n\t    55d0 parse+0x1 (/usr/bin/web)\n\n")
    assert run([str(folded), str(script), "--format", "json"]) == 0
    document, said = out(capfdbinary)
    assert "BASE tells no modules: functions are the same by their names alone" in said
    (parse,) = (one for one in json.loads(document)["functions"] if one["function"] == "parse")
    assert parse["self"]["before"] == 300
    assert parse["self"]["after"] == 1
    assert run([str(script), str(folded)]) == 0
    assert "AFTER tells no modules" in out(capfdbinary)[1]
    assert run([str(folded), base]) == 0
    assert "modules" not in out(capfdbinary)[1]


def test_a_time_of_day_is_one_that_is_held(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The nearest to the end of a recording of twenty hours would be behind it."""
    web = Process(42, T0, "web")
    late = Fact(T0 + 20 * 3600 * SECOND, web, stack=(Frame("web"), Frame("late")))
    file = write(tmp_path / "long.aperture", {"early": 100}, facts=(late,))
    since = time.strftime("%H:%M:%S", time.localtime(T0 // SECOND + 3600))
    assert run([file, file, "--from", since, "--format", "json"]) == 0
    document = json.loads(out(capfdbinary)[0])
    assert document["after"]["query"]["start_ns"] == T0 + 3600 * SECOND


def test_a_file_that_cannot_be_read_or_written_is_one_line_and_status_1(
    base: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "other").write_text("#!/bin/sh\n")
    for arguments, words in (
        ([str(tmp_path / "absent"), base], "No such file"),
        ([base, str(tmp_path / "other")], "not a recording"),
        ([base, base, "--to=-9s", "--base-from=-9s", "-o", str(tmp_path / "absent" / "x.json")], "No such file"),
    ):
        assert run(arguments) == 1
        stdout, stderr = out(capfdbinary)
        assert stdout == ""
        assert words in stderr
        assert stderr.count("\n") == 1


def test_what_makes_the_sides_unlike_each_other_is_said(
    base: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    lock = Fact(T0, Process(7, T0), stack=(Frame("sh"),), kind=Kind.LOCK)
    after = write(tmp_path / "after", {"parse": 90, "send": 210}, 7, hz=30, facts=(lock,))
    assert run([base, after]) == 0
    assert out(capfdbinary)[1].splitlines() == [
        "aperture diff: events: cpu in BASE, cpu, lock in AFTER",
        "aperture diff: frequency: 100 Hz in BASE, 30 Hz in AFTER",
        f"aperture diff: {after}: cpu: ring full: 3",
    ]
    assert run([base, base, "--from", "-3s"]) == 0
    assert "both sides are of one recording and share 3" in out(capfdbinary)[1]
    assert run([base, after, "--event", "lock"]) == 1
    assert "22:13:29 UTC; such events were not collected" in out(capfdbinary)[1]


def test_every_kind_in_every_format(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = str(tmp_path / "waits.aperture")
    writer = Writer(path)
    writer.append(sample.waits_batch(Symbols()))
    writer.close()
    for event in ("offcpu", "syscall", "lock"):
        for measure in ("count", "time"):
            assert run([path, path, "--event", event, "--measure", measure]) == 0
            assert "chance     not estimated" in out(capfdbinary)[0]
            assert run([path, path, "--event", event, "--measure", measure, "--format", "json"]) == 0
            document = json.loads(out(capfdbinary)[0])
            assert document["significance"] is None
            assert document["base"]["weight"] == document["after"]["weight"] > 0


def test_help_has_examples_and_costs_no_numpy() -> None:
    code = (
        "import sys; from aperture_tui.cli.diff import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: sys.exit('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "exit status:" in done.stdout


_PROGRAM = """
import json, sys, time
text = json.dumps(list(range(300)))
def parse():
    for _ in range(int(sys.argv[1])): json.loads(text)
def compute():
    x = 0
    for i in range(6000): x += i * i
    return x
while time.process_time() < float(sys.argv[2]):
    parse(); compute()
"""


def record(path: Path, work: int, seconds: float) -> str:
    """A real recording of a steady program that parses this often for each time that it computes.

    seconds: of CPU time, for as many samples on a busy machine as on another: of so many a change of 5 points is four
    standard deviations.
    """
    aperture = [sys.executable, "-m", "aperture_tui.cli.main", "record", "-F", "997", "-o", str(path), "--"]
    program = [sys.executable, "-c", _PROGRAM, str(work), str(seconds)]
    subprocess.run([*aperture, *program], check=True, timeout=300, stdout=subprocess.DEVNULL)
    return str(path)


def steady_stretch(path: str) -> tuple[int, int]:
    """From when stacks have the program's own code, which takes seconds on a busy machine, until it ends; Unix ns."""
    store, steps = opened(path), 400
    span = store.span()
    without = Query(kind=Kind.CPU, start_ns=span.start_ns, end_ns=span.end_ns, where=parse('-fn:"<module>"'))
    told = store.timeline(without, steps)
    at = np.flatnonzero(told.weights)
    first, end = at[at < steps // 2].max(initial=-1) + 1, at[at >= steps // 2].min(initial=steps)
    return told.start_ns + int(first) * told.bucket_ns, told.start_ns + int(end) * told.bucket_ns


@pytest.mark.bpf
def test_halves_of_a_steady_program_are_alike_and_another_mix_is_found(tmp_path: Path) -> None:
    """Really recorded, by self and by total: noise is never above the limit, a change is."""
    steady, changed = record(tmp_path / "steady", 10, 8), record(tmp_path / "changed", 40, 4)
    begin, end = steady_stretch(steady)
    for sevenths in (2, 3, 4, 5):
        first, cut, last = (
            datetime.fromtimestamp(ns / SECOND, UTC).isoformat()
            for ns in (begin, begin + sevenths * (end - begin) // 7, end)
        )
        for by in ("self", "total"):
            halves = ["--base-from", first, "--base-to", cut, "--from", cut, "--to", last]
            assert (
                run([steady, steady, *halves, "--by", by, "--fail-above", "5%", "-o", os.devnull, "--format", "text"])
                == 0
            )
    assert run([steady, changed, "--by", "total", "--fail-above", "5%", "-o", os.devnull, "--format", "text"]) == 3
