"""`--where` on every command line: what passes, what is said of the rest, and what is wrong with a line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from aperture_tui.cli import aggregate, diff, export, query, top
from aperture_tui.cli.where_option import joined
from aperture_tui.profile import kinds
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.recording.writer import Writer
from aperture_tui.store.memory import MemoryStore
from aperture_tui.wire import fleet_pb2 as wire
from tests.store.conformance import HOST
from tests.store.facts import SECOND, T0, Fact, batch_of
from tests.store.served import TOKEN, Aggregator, serving

MS = 1_000_000


def _facts() -> list[Fact]:
    """Of three samples of web one is in libc; calls of it take 1 and 100 ms; and another process samples as much."""
    web, db = Process(42, T0, "web", "/a"), Process(43, T0, "db", "/b")
    root = {one: Frame(one.name, kind=FrameKind.PROCESS) for one in (web, db)}
    facts = []
    for i in range(30):
        code = Frame("memcpy", "libc.so.6") if i % 3 == 0 else Frame("parse_line", "web")
        facts.append(Fact(T0 + i * SECOND, web, stack=(root[web], Frame("main", "web"), code)))
        facts.append(Fact(T0 + i * SECOND, db, stack=(root[db], Frame("scan", "db"))))
    for ns, name in ((MS, "read"), (100 * MS, "fsync")):
        facts.append(Fact(T0, web, 0, (root[web],), Kind.SYSCALL, ns, name=name))
    return facts


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "x.aperture"
    writer = Writer(path)
    writer.append(batch_of(_facts(), Symbols()))
    writer.close()
    return str(path)


Out = Callable[[], tuple[str, str]]


@pytest.fixture
def out(capfdbinary: pytest.CaptureFixture[bytes]) -> Out:
    def read() -> tuple[str, str]:
        captured = capfdbinary.readouterr()
        return captured.out.decode(), captured.err.decode()

    return read


class Older(Aggregator):
    """An aggregator that does not know filter lines, as far as it looks at a question."""

    def _query(self, name: str, selection: wire.Selection, context: grpc.ServicerContext) -> Any:
        try:
            kinds.Role(selection.role)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not known here: {error}")
        selection.ClearField("where")
        return super()._query(name, selection, context)


def _store() -> MemoryStore:
    store = MemoryStore(recorded=True)
    store.append(batch_of(_facts(), Symbols()))
    store.set_hosts([HOST])
    return store


def _options(address: str, folder: Path) -> list[str]:
    (folder / "token").write_text(TOKEN)
    return ["--remote", address, "--token-file", str(folder / "token")]


@pytest.mark.parametrize(
    ("line", "stacks", "said"),
    [
        ("comm:web -lib:libc", "web;main (web);parse_line (web) 20\n", "shows 33 % of 60 samples"),
        ("-lib:libc comm:web", "web;main (web);parse_line (web) 20\n", "shows 33 % of 60 samples"),
        ("cgroup:/b", "db;scan (db) 30\n", "shows 50 % of 60 samples"),
        ("scan", "db;scan (db) 30\n", "shows 50 % of 60 samples"),
        ("fn:/parse|scan/ pid:43", "db;scan (db) 30\n", "shows 50 % of 60 samples"),
        ("comm:db >5ms", "db;scan (db) 30\n", "(>5ms leaves out none: samples have no such thing)"),
    ],
)
def test_an_export_has_what_passes_and_says_what_does_not(
    line: str, stacks: str, said: str, recording: str, out: Out
) -> None:
    assert export.run([recording, "--where", line]) == 0
    text, errors = out()
    assert text == stacks.replace(" (web)", "").replace(" (db)", "")
    assert said in errors
    assert errors.count("\n") == 1


def test_calls_by_their_duration_in_a_report(recording: str, out: Out) -> None:
    arguments = [recording, "--event", "syscall", "--format", "text", "--where"]
    assert export.run([*arguments, ">5ms"]) == 0
    text, errors = out()
    assert errors == ""
    assert "filter     >5ms shows 50 % of 2 calls" in text
    assert "fsync" in text
    assert "read" not in text


def test_the_report_of_a_recording(recording: str, out: Out) -> None:
    assert top.main(["--once", "--replay", recording, "--where", "comm:db"]) == 0
    text = out()[0]
    assert "comm:db shows 50 % of 60 samples" in text
    assert "parse_line" not in text
    assert top.main(["--once", "--replay", recording, "--format", "json", "--where", "comm:db name:x"]) == 0
    document = json.loads(out()[0])
    assert document["query"]["where"] == "comm:db name:x"
    assert document["passed"] == {"shown": 30, "whole": 60, "about": False}
    assert [one["name"] for one in document["processes"]] == ["db"]
    assert top.main(["--once", "--replay", recording, "--format", "json"]) == 0
    document = json.loads(out()[0])
    assert document["query"]["where"] is None
    assert "passed" not in document


def test_a_comparison_of_what_passes(recording: str, out: Out) -> None:
    assert diff.run([recording, recording, "--where", "comm:web", "--format", "json"]) == 0
    text, errors = out()
    assert "scan" not in text
    assert "parse_line" in text
    assert f"{recording}: comm:web shows 50 % of 60 samples" in errors


def test_over_an_aggregator(tmp_path: Path, out: Out) -> None:
    with serving(Aggregator(_store(), now_ns=lambda: T0 + 100 * SECOND)) as address:
        remote = _options(address, tmp_path)
        assert query.run(["timeline", *remote, "--format", "json", "--where", "comm:web -lib:libc"]) == 0
        text, errors = out()
        assert sum(json.loads(text)["weights"]) == 20
        assert json.loads(text)["query"]["where"] == "comm:web -lib:libc"
        assert "shows 33 % of 60 samples" in errors
        assert aggregate.run([*remote, "--format", "folded", "--where", "scan"]) == 0
        assert out() == ("db;scan 30\n", "aperture aggregate: scan shows 50 % of 60 samples\n")
        with pytest.raises(SystemExit) as ended:
            query.run(["hosts", *remote, "--where", "host:web"])
        assert ended.value.code == 2


def test_an_older_aggregator_does_not_answer_as_if_there_were_no_filter(tmp_path: Path, out: Out) -> None:
    with serving(Older(_store(), now_ns=lambda: T0 + 100 * SECOND)) as address:
        remote = _options(address, tmp_path)
        assert aggregate.run([*remote, "--format", "folded"]) == 0
        assert "db;scan 30" in out()[0]
        assert aggregate.run([*remote, "--format", "folded", "--where", "comm:web"]) == 1
        text, errors = out()
        assert text == ""
        assert "it is of an older version, which has no filter lines" in errors


@pytest.mark.parametrize("module", ["top", "main export", "main diff", "main query", "main aggregate"])
def test_a_wrong_line_is_status_2_with_the_place(module: str) -> None:
    name, *command = module.split()
    arguments = [sys.executable, "-m", f"aperture_tui.cli.{name}", *command, "--where", "comm:nginx com:x"]
    done = subprocess.run([*arguments, *["timeline"] * (command == ["query"])], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "com: is not known; did you mean comm:? (at character 12, before 'com:x')" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_line_may_begin_with_a_minus_and_an_option_is_none() -> None:
    assert joined(["--where", "-lib:libc", "--once"]) == ["--where=-lib:libc", "--once"]
    assert joined(["--where", "--once"]) == ["--where", "--once"]
    assert joined(["--where"]) == ["--where"]
