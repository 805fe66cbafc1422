"""Filters on the command line, and at work in a session of this machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.cli import filter as command
from aperture_tui.cli import record, top
from aperture_tui.cli.opening import opened
from aperture_tui.filters.opening import open_chain
from aperture_tui.filters.shipped import FOLDER, WORDS, shipped
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.query import Query
from aperture_tui.recording.reader import Reader
from tests.collect.collecting import Kept, run
from tests.filters.wat import each, module, spec
from tests.programs import build

BUSY = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
"""Until it is killed, or forgotten: how long it takes to begin collecting is the machine's matter."""


def test_those_that_come_along_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(WORDS)
    assert list(shipped()) == sorted(WORDS)
    assert all(path.parent == FOLDER and path.is_file() for path in shipped().values())


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ('process_name:{"name":"nginx"}', 0, "process_name: it can be used"),
        ("slow_syscalls", 0, "tags slow"),
        ("process_name", 1, "`name` is needed"),
        ("process_name:{", 1, "its configuration is not JSON"),
        ("nonsense", 1, "none of cgroup, process_name"),
        ("/nowhere/x.wasm", 1, "x"),
    ],
)
def test_whether_one_will_do_is_said_in_one_line(
    text: str, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["check", text]) == status
    out, err = capsys.readouterr()
    said = err if status else out
    assert words in said
    assert len(said.splitlines()) == 1


def test_what_is_no_program_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.wasm").write_bytes(b"\0asm\x01\0\0\0nonsense")
    assert command.run(["check", str(tmp_path / "x.wasm")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "x"],
        ["check"],
        ["new"],
        ["bench"],
        ["list", "--replay", "x"],
        ["bench", "slow_syscalls", "--replay", "x"],
        ["check", "slow_syscalls", "--lang", "c"],
        ["new", "mine", "--lang", "cobol"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        command.run(arguments)
    assert raised.value.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--filter", "nonsense"],
        ["--filter", "process_name:{"],
        ["--filter", "process_name"],
        ["--filter-error", "drop"],
    ],
)
def test_a_filter_that_is_none_is_wrong_usage(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for begin, more in ((record.run, ["-o", str(tmp_path / "x")]), (top.main, ["--once"])):
        with pytest.raises(SystemExit) as raised:
            begin([*arguments, *more])
        assert raised.value.code == 2
        assert "filter" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.bpf
def test_a_recording_has_what_its_filters_let_pass_and_says_what_they_took(tmp_path: Path) -> None:
    """Of two busy programs one alone; the other's samples were there to be taken."""
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]), subprocess.Popen(["sh", "-c", "while :; do :; done"])]
    try:
        path = tmp_path / "one.aperture"
        name = Path(sys.executable).name
        chosen = ["--filter", "process_name:" + json.dumps({"name": name}), "--duration", "2", "-F", "499"]
        pids = [word for program in programs for word in ("-p", str(program.pid))]
        assert record.run([*chosen, *pids, "-o", str(path)]) == 0
    finally:
        for program in programs:
            program.kill()
            program.wait()
    store = opened(str(path))
    (one,) = store.processes(Query())
    assert one.name == name
    assert one.count > 100
    health = {each.name: each for each in store.health()}
    assert health["filter process_name"].state is State.STOPPED
    assert "takes away" in health["filter process_name"].message
    taken = int(health["filter process_name"].message.split()[2].replace(",", ""))
    assert taken > 100, "as many of the other one"
    assert health["filters"].delivered == one.count
    sha256 = hashlib.sha256((FOLDER / "process_name.wasm").read_bytes()).hexdigest()
    with Reader(path) as reader:
        assert reader.header["filters"] == [{"file": "process_name.wasm", "sha256": sha256, "on_error": "keep"}]
        assert name not in json.dumps(reader.header["filters"]), "how it is configured may be a secret"
    assert f"recorded through filters: process_name.wasm ({sha256[:12]})" in health["recording"].message


@pytest.mark.bpf
def test_a_filter_that_never_ends_stops_neither_the_session_nor_its_events(tmp_path: Path) -> None:
    from aperture_tui.collect.settings import Settings
    from aperture_tui.session import Session

    endless = tmp_path / "endless.wasm"
    endless.write_bytes(
        module('(func (export "ap_on_batch") (param i32) (result i32) (loop $on (br $on)) unreachable)')
    )
    kept = Kept()
    filters = open_chain([Spec(endless, on_error=OnError.KEEP)])
    session = Session(Settings(events=("cpu",), hz=499), {"kept": kept}, filters=filters)
    session.start()
    pid, used = run(build("ratio"), "1")  # of CPU time, however long that takes beside others
    session.stop()
    assert session.failure == ""
    events = np.concatenate([batch.events for batch in kept.batches])
    assert abs(np.count_nonzero(events["pid"] == pid) / (499 * float(used)) - 1) < 0.2
    health = kept.health_of("filter endless")
    assert health is not None
    assert health.degraded["events: passed unfiltered"] == len(events)


@pytest.mark.bpf
def test_what_the_kernel_lost_is_told_to_the_filters_with_the_next_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only batches behind a loss pass. That something is lost is made up: no ring of samples overflows here."""
    from aperture_tui.collect.attached import Attached
    from aperture_tui.collect.settings import Settings
    from aperture_tui.session import Session

    health, lost = Attached.health, [0]

    def losing(self: Attached) -> list[Health]:
        return [replace(one, lost={"samples: ring full": lost[0]}) for one in health(self)]

    monkeypatch.setattr(Attached, "health", losing)
    kept = Kept()
    behind = module(each("(i32.and (i32.load offset=36 (local.get $h)) (i32.const 1))"))
    session = Session(Settings(hz=499), {"kept": kept}, filters=open_chain([spec(tmp_path, behind)]))
    session.start()
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        time.sleep(1.5)
        assert kept.batches == []
        lost[0] = 3
        time.sleep(1.5)
        session.stop()
    finally:
        busy.kill()
        busy.wait()
    assert len(kept.batches) == 1
