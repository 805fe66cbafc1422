"""`aperture-top --replay`: in a real terminal, without one, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.recording.writer import Writer
from aperture_tui.tui.app import _STARTED_S
from tests.cli.test_screens import APERTURE_TOP, Terminal
from tests.tui.synthetic import SECOND, START_NS
from tests.tui.waiting import LOCKS, Builder

in_a_terminal = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Twenty seconds of samples and of waits for locks."""
    path = tmp_path / "busy.aperture"
    writer, builder = Writer(path), Builder()
    writer.set_hosts([HostFacts("build-7", "6.8.0", 8, 16 << 30)])
    for second in range(20):
        builder.cpu(second, 100)
        for load in LOCKS:
            builder.load(load, second)
        writer.append(builder.batch())
        writer.append_gauges(HostSample(START_NS + second * SECOND, cpu_user=0.4, cpu_system=0.1, own_cpu=0.004))
    writer.set_health([Health(name, State.RUNNING, delivered=9, lost={"ring full": 0}) for name in ("cpu", "lock")])
    writer.close()
    return path


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aperture_tui.cli.top", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


# -- in a terminal


@in_a_terminal
@pytest.mark.parametrize("size", [(80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_sitting(tmp_path: Path, recording: Path, size: tuple[int, int]) -> None:
    terminal = Terminal(tmp_path, [*APERTURE_TOP, "--replay", str(recording)], *size)
    try:
        terminal.see(r"▮▮ 1x .*├━*●┤ 0:19")
        terminal.see(r"gunicorn")
        terminal.press("<")
        terminal.see(r"▮▮ 1x .*├━+●─+┤ 0:09")
        terminal.press("4")
        terminal.see(r"table_lock|mutex")
        terminal.press("5")
        terminal.see(r"No waits in this recording")
        terminal.press("g", "-5s", "Enter")
        terminal.see(r"●─+┤ 0:14")
        terminal.press("2")
        terminal.press("b", "Space")
        terminal.see(r"▶ 1x")  # for twenty seconds: at sixteen times that it is soon over
        terminal.press(")", ")", ")", ")")
        terminal.see(r"▮▮ 16x .*●┤ 0:19")
        terminal.resize(20, 5)
        terminal.see(r"▮▮ 16x \d\d:\d\d:\d\d")
        terminal.resize(*size)
        terminal.see(r"●┤ 0:19")
        terminal.resize(120, 40)  # room for what the shell says
        terminal.press("q")
        left = terminal.see(r"STATUS=0")
        assert "├" not in left, "the screen is given back"
        assert " icanon" in left
    finally:
        terminal.close()


@in_a_terminal
def test_a_signal_ends_it_though_nothing_moves(tmp_path: Path, recording: Path) -> None:
    """Nobody else wakes the loop of a recording that stands still: it ended by its last alarm, ten seconds later."""
    terminal = Terminal(tmp_path, [*APERTURE_TOP, "--replay", str(recording)])
    try:
        terminal.see(r"of view")
        time.sleep(_STARTED_S + 1)  # the last of what is done by the clock
        subprocess.run(["kill", "-TERM", str(terminal.pid)], check=True)
        assert "Overview" not in terminal.see(r"STATUS=0")
    finally:
        terminal.close()


def test_what_is_no_recording_is_one_line_and_a_clean_terminal(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not one")
    for path, words in ((other, r"notes\.txt: not a recording"), (tmp_path / "none", r"No such file")):
        terminal = Terminal(tmp_path, [*APERTURE_TOP, "--replay", str(path)], 120, 24)
        try:
            left = terminal.see(r"STATUS=1")
            terminal.see(words)
            assert "Overview" not in left
            assert "Traceback" not in left
            assert " icanon" in terminal.see(r"icanon")
        finally:
            terminal.close()


# -- without one


def test_without_a_terminal_it_is_a_report(recording: Path) -> None:
    done = _run("--replay", str(recording))
    assert done.returncode == 0, done.stderr
    assert "build-7" in done.stdout
    assert "gunicorn" in done.stdout
    assert "table_lock" in done.stdout, "every kind that was recorded"
    assert "Off-CPU" not in done.stdout


def test_the_report_as_json(recording: Path) -> None:
    done = _run("--once", "--replay", str(recording), "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["hosts"][0]["name"] == "build-7"
    assert document["collected"] == ["cpu", "lock"]


def test_a_folder_is_opened_too(recording: Path) -> None:
    done = _run("--replay", str(recording.parent))
    assert done.returncode == 0, done.stderr
    assert "gunicorn" in done.stdout


@pytest.mark.parametrize(
    "others",
    [["-p", "1"], ["-F", "99"], ["--events", "cpu"], ["--record", "x"], ["--duration", "5"], ["--syscall-stacks", "0"],
     ["--cgroup", "/"], ["--no-wait-stacks"], ["--min-block", "0"], ["--syscall", "read"], ["--gpu-limit", "2"]],
    ids=lambda others: others[0],
)  # fmt: skip
def test_what_says_how_to_collect_is_wrong_usage(recording: Path, others: list[str]) -> None:
    done = _run("--replay", str(recording), *others)
    assert done.returncode == 2
    assert f"{others[0]} cannot be given with --replay" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_cannot_be_read_is_one_line(tmp_path: Path, recording: Path) -> None:
    for path in (tmp_path / "none.aperture", tmp_path / "other.txt"):
        if path.suffix == ".txt":
            path.write_text("hello")
        done = _run("--replay", str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert path.name in done.stderr
