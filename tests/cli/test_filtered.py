"""`--filter` over what was recorded: the reports, every export, the comparison, and the screens."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aperture_tui.cli import diff, export, top
from aperture_tui.export.svg import MissingInfernoError, find
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.recording.writer import Writer
from aperture_tui.wire import pprof_pb2
from tests.cli.test_replay import recording as recording
from tests.cli.test_screens import APERTURE_TOP, Terminal
from tests.filters.wat import module, on_batch
from tests.store.facts import SECOND, T0, Fact, batch_of

WEB, DB = Process(42, T0, "web"), Process(43, T0, "db")
ONLY_WEB = ["--filter", 'process_name:{"name":"web"}']
REDACTED = ["--filter", 'redact:{"functions":["secret"]}', "--filter-error", "drop"]


@pytest.fixture(autouse=True)
def room(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("room")))


@pytest.fixture
def two(tmp_path: Path) -> str:
    """Ten samples of web, of which one tells a secret, and ten of db."""
    path = tmp_path / "two.aperture"
    facts = [
        Fact(T0 + i * SECOND, WEB, stack=(Frame("web"), Frame("secret_key" if not i else "get"))) for i in range(10)
    ]
    facts += [Fact(T0 + i * SECOND, DB, stack=(Frame("db"), Frame("put_row"))) for i in range(10)]
    writer = Writer(path)
    writer.append(batch_of(facts, Symbols()))
    writer.close()
    return str(path)


@pytest.fixture
def folded(tmp_path: Path) -> str:
    """A profile of another tool."""
    path = tmp_path / "two.folded"
    path.write_text("web;get 9\nweb;secret_key 1\ndb;put_row 10\n")
    return str(path)


@pytest.fixture
def failing(tmp_path: Path) -> str:
    path = tmp_path / "failing.wasm"
    path.write_bytes(module(on_batch("(unreachable)")))
    return str(path)


@pytest.mark.parametrize("source", ["two", "folded"])
def test_an_export_has_what_passes_and_says_what_does_not(
    source: str, request: pytest.FixtureRequest, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = request.getfixturevalue(source)
    assert export.run([path, *ONLY_WEB]) == 0
    out, err = capfdbinary.readouterr()
    assert sorted(out.decode().splitlines()) == ["web;get 9", "web;secret_key 1"]
    assert b"filter process_name: takes away " in err
    assert export.run([path, *REDACTED, *ONLY_WEB]) == 0
    assert sorted(capfdbinary.readouterr().out.decode().splitlines()) == ["web;(redacted) 1", "web;get 9"]


def _pprof(data: bytes) -> str:
    return str(pprof_pb2.Profile.FromString(gzip.decompress(data)))


FORMATS: dict[str, Callable[[bytes], str]] = {
    "folded": bytes.decode,
    "text": bytes.decode,
    "json": bytes.decode,
    "speedscope": bytes.decode,
    "perfetto": bytes.decode,
    "svg": bytes.decode,
    "pprof": _pprof,
}


@pytest.mark.parametrize(
    ("form", "source"),
    [(form, source) for form in FORMATS for source in ("two", "folded") if (form, source) != ("perfetto", "folded")],
)  # folded stacks have no times that could be drawn
def test_every_format_is_of_what_passes(form: str, source: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = request.getfixturevalue(source)
    if form == "svg":
        try:
            find()
        except MissingInfernoError as error:
            pytest.skip(str(error))
    for arguments, there, not_there in (
        ([], "secret_key put_row", "redacted"),
        ([*REDACTED, *ONLY_WEB], "get", "secret put_row"),
    ):
        out = tmp_path / "out"
        assert export.run([path, *arguments, "--format", form, "-o", str(out)]) == 0
        text = FORMATS[form](out.read_bytes())
        assert all(word in text for word in there.split())
        assert not any(word in text.replace("two.", "") for word in not_there.split())


def test_a_histogram_is_of_what_passes(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [str(recording), "--format", "histogram", "--event", "lock"]
    assert export.run(arguments) == 0
    assert "table_lock" in capfd.readouterr().out
    assert export.run([*arguments, "--filter", 'process_name:{"name":"nobody"}']) == 0
    assert "table_lock" not in capfd.readouterr().out


def test_that_all_was_taken_away_is_not_that_nobody_looked(
    two: str, folded: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (two, folded):
        assert export.run([path, "--filter", 'process_name:{"name":"nobody"}']) == 0
        out, err = capfd.readouterr()
        assert out == ""
        assert "no cpu events here" in err
        assert "not collected" not in err
        assert "takes away" in err


@pytest.mark.parametrize("on_error", ["keep", "drop", "stop"])
def test_a_filter_that_fails_is_a_failure_with_a_line(
    two: str, folded: str, failing: str, on_error: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (two, folded):
        for run in (export.run, top.main, diff.run):
            arguments = {export.run: [path], top.main: ["--once", "--replay", path], diff.run: [path, path]}[run]
            status = run([*arguments, "--filter", failing, "--filter-error", on_error])
            out, err = capfd.readouterr()
            said = " ".join((out + err).split())
            assert "it gave up (unreachable" in said
            if on_error == "stop":
                assert status == 1
                assert "the chain is stopped" in err
            else:
                assert "passed unfiltered" in said if on_error == "keep" else "filter failed" in said


@pytest.mark.parametrize(
    ("run", "arguments"),
    [
        (export.run, ["--remote", "agg", "--filter", "slow_syscalls"]),
        (diff.run, ["--remote", "agg", "--base", "-2h..-1h", "--after", "-1h..now", "--filter", "slow_syscalls"]),
        (top.main, ["--remote", "agg", "--filter", "slow_syscalls"]),
        (export.run, ["x", "--filter-error", "drop"]),
        (export.run, ["x", "--filter", "nonsense"]),
        (diff.run, ["x", "y", "--filter", "process_name"]),
        (top.main, ["--replay", "x", "--filter", "process_name:{"]),
    ],
)
def test_wrong_usage(run: Callable[[list[str]], int], arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run(arguments)
    assert raised.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "--filter" in line


def test_both_sides_of_a_comparison_are_filtered(two: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert diff.run([two, two, *ONLY_WEB, "--format", "json"]) == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert {one["function"] for one in document["functions"]} == {"web", "get", "secret_key"}
    assert err.count("takes away 10 of 20 events") == 1
    assert diff.run([two, two, *ONLY_WEB]) == 0
    assert "filtered   base: filter process_name: takes away 10 of 20 events" in capfd.readouterr().out


def test_a_report_is_of_what_passes(two: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert top.main(["--once", "--replay", two, *ONLY_WEB, "--format", "json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert [one["name"] for one in document["processes"]] == ["web"]
    assert document["span"]["events"] == 10
    said = {one["name"]: one for one in document["health"]}
    assert said["filter process_name"]["message"] == "takes away 10 of 20 events"
    assert top.main(["--once", "--replay", two, *ONLY_WEB]) == 0
    assert "filter process_name: takes away 10 of 20 events" in capfd.readouterr().out


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")
def test_a_sitting(tmp_path: Path, recording: Path) -> None:
    chosen = ["--replay", str(recording), "--filter", 'process_name:{"name":"gunicorn"}']
    terminal = Terminal(tmp_path, [*APERTURE_TOP, *chosen], 100, 30)
    try:
        terminal.see(r"▮▮ 1x .*├━*●┤ 0:19")
        terminal.see(r"gunicorn")
        assert "postgres" not in terminal.see(r"gunicorn")
        terminal.press("<")
        terminal.see(r"▮▮ 1x .*├━+●─+┤ 0:09")
        terminal.press("!")
        terminal.see(r"filter process_name")
        terminal.see(r"takes away [\d,]+ of [\d,]+ events")
        terminal.leave("esc closes")
        terminal.press("q")
        terminal.see(r"STATUS=0")
    finally:
        terminal.close()
