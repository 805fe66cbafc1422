"""Wrong usage is one clear line and status 2, whatever it is that is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aperture_tui import __version__
from aperture_tui.cli import arguments
from aperture_tui.cli.arguments import Parser, add_collecting, settings
from aperture_tui.cli.main import COMMANDS, main
from aperture_tui.collect.settings import EVENTS, Settings


def aperture(*arguments: str, module: str = "top") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"aperture_tui.cli.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["-F", "0"], "frequency"),
        (["-F", "100000"], "frequency"),
        (["-F", "-1"], "frequency"),
        (["-F", "many"], "frequency"),
        (["-p", "0"], "pid"),
        (["-p", "no"], "pid"),
        (["-p", "4194305"], "no process"),
        (["--duration", "0"], "duration"),
        (["--duration", "nan"], "duration"),
        (["--refresh", "1000"], "rate"),
        (["--events", "cpu,coffee"], "is not collected; there is cpu, offcpu, syscall, lock, gpu, all (see"),
        (["--events", ""], "is not collected; there is cpu, offcpu, syscall, lock, gpu, all (see"),
        (["--events", "syscall", "--syscall", "Read"], "; did you mean read"),
        (["--syscall-stacks", "-1"], "number of calls"),
        (["--syscall-stacks", "4294967296"], "number of calls"),
        (["--min-block", "1.5"], "microseconds"),
        (["--min-block", "60000001"], "microseconds"),
        (["--gpu-limit", "0"], "give 0.1 to 100"),
        (["--gpu-limit", "101"], "give 0.1 to 100"),
        (["--gpu-limit", "nan"], "give 0.1 to 100"),
        (["--gpu-limit", "x"], "'x' is not a percentage"),
        (["--once", "--events", "cpu,lock", "--gpu-limit", "2"], "needs gpu among --events"),
        (["--once", "--syscall", "read"], "need syscall among --events"),
        (["--once", "--events", "offcpu,lock", "--syscall-stacks", "5"], "need syscall among --events"),
        (["--once", "--events", "lock", "--min-block", "5"], "needs offcpu among --events"),
        (["--once", "--events", "cpu,syscall", "--no-wait-stacks"], "needs offcpu or lock among --events"),
        (["--format", "yaml"], "yaml"),
        (["--cgroup", "/no/such/group", "--once"], "no control group"),
        (["--nonsense"], "--nonsense"),
        (["--theme", "-x"], "argument --theme: expected one argument; one that begins with - is given as --theme=-..."),
        (
            ["--baseline", "good.aperture", "--remote", "agg", "--token-file", "t"],
            "`aperture export --remote agg:50051 --token-file t -o now.pb.gz` and `aperture diff good.aperture now",
        ),
        (["extra"], "extra"),
        (["extra\x1b[31m"], r"'extra\x1b[31m' is not understood (see"),
        (["--evnts=cpu", "more"], "'--evnts=cpu' is not understood; did you mean --events=cpu? (see"),
        (["1234"], "'1234' is not understood; of one process: -p 1234 (see"),
        (["/dev/null"], "'/dev/null' is not understood; a recording is opened with --replay /dev/null (see"),
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], word: str) -> None:
    done = aperture(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("aperture-top: ")


def chosen(*arguments: str, live: bool = False) -> Settings:
    parser = Parser("x", "", "")
    add_collecting(parser)
    return settings(parser, parser.parse_args(arguments), live)


def test_what_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == Settings()
    assert chosen("--events", "lock,cpu,lock").events == ("cpu", "lock")
    with monkeypatch.context() as patch:
        patch.setattr(arguments, "_has_gpu", lambda: True)
        assert chosen("--events", "all").events == chosen("--events", "cpu,all").events == EVENTS
        patch.setattr(arguments, "_has_gpu", lambda: False)
        assert chosen("--events", "all").events == EVENTS[:-1]
        assert chosen("--events", "all,gpu").events == EVENTS
    few = ("--syscall", "write", "--syscall", "read", "--syscall", "write", "--syscall-stacks", "100")
    assert chosen("--events", "offcpu,syscall", *few, "--min-block", "50", "-F", "49", "--no-wait-stacks") == Settings(
        hz=49,
        events=("offcpu", "syscall"),
        syscalls=("write", "read"),
        syscall_stacks=100,
        min_block_ns=50_000,
        wait_stacks=False,
    )


@pytest.mark.parametrize(("told", "share"), [("2", 0.02), ("2%", 0.02), ("0.1", 0.001), ("100", 1.0)])
def test_what_recording_a_gpu_may_cost_is_a_share(told: str, share: float) -> None:
    assert chosen("--events", "gpu", "--gpu-limit", told) == Settings(events=("gpu",), gpu_limit=share)
    assert chosen("--gpu-limit", told, live=True).gpu_limit == share


def test_live_screens_may_want_later_what_the_options_are_for() -> None:
    found = chosen("--syscall", "read", "--min-block", "1", live=True)
    assert (found.events, found.syscalls, found.min_block_ns) == (("cpu",), ("read",), 1000)


def test_wrong_usage_of_a_recording_touches_no_file_and_starts_no_command(tmp_path: Path) -> None:
    """Neither later, when the pipe behind which a command would wait is closed."""
    old, mark = tmp_path / "old.aperture", tmp_path / "mark"
    old.write_text("precious")
    for wrong in (["--cgroup", "/no/such/group"], ["--min-block", "5"]):
        done = aperture("record", *wrong, "-o", str(old), "--", "touch", str(mark), module="main")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    time.sleep(0.3)
    assert old.read_text() == "precious"
    assert not mark.exists()


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["record"], ["record", "-F", "0", "-o", "x"], ["record", "-o", ""]], ids=" ".join
)
def test_wrong_usage_of_the_other_commands(arguments: list[str]) -> None:
    done = aperture(*arguments, module="main")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_command_that_there_is_none_of(tmp_path: Path) -> None:
    """What is near is said, or all that there is."""
    assert (
        aperture("recrd", module="main").stderr
        == "aperture: there is no 'recrd'; did you mean record? (see aperture --help)\n"
    )
    assert ", ".join(COMMANDS) in aperture("xyz", module="main").stderr
    file = tmp_path / "my recording"
    file.touch()
    assert f"`aperture-top --replay '{file}'` opens" in aperture(str(file), module="main").stderr
    alone = aperture(module="main")
    assert (alone.returncode, alone.stdout, alone.stderr) == (2, "", aperture("--help", module="main").stdout)
    assert "required: devices|run|environment" in aperture("gpu", module="main").stderr


def test_brackets_in_a_pattern_are_no_more_than_that() -> None:
    """Python warns of them with two lines of its own."""
    done = aperture(
        "export", "--frame", "[[a]", "--where", "fn:/[[b]/", "--format", "folded", "/dev/null/x", module="main"
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_version_and_help() -> None:
    assert aperture("--version").stdout == f"aperture-top {__version__}\n"
    assert aperture("--version", module="main").stdout == f"aperture {__version__}\n"
    for module, command in (("top", []), ("main", []), ("main", ["record"]), ("main", ["export"])):
        done = aperture(*command, "--help", module=module)
        assert done.returncode == 0
        assert "examples:" in done.stdout
        for word in ("syscall", "offcpu", "lock") if command or module == "top" else ():
            assert word in done.stdout.partition("examples:")[2]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv (util-linux)")
@pytest.mark.parametrize("form", ["text", "json"])
def test_without_capabilities_there_is_one_line_with_the_command_that_mends_it(form: str) -> None:
    """As in a container: root by name, without a root's rights."""
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    command = [sys.executable, "-m", "aperture_tui.cli.top", "--once", "--duration", "0.2", "--format", form]
    done = subprocess.run([*bare, *command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "CAP_" in done.stderr


@pytest.mark.bpf
def test_a_recording_that_cannot_be_written_is_one_line() -> None:
    done = aperture("record", "--duration", "0.2", "-o", "/nonexistent/x.aperture", module="main")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr == "aperture record: /nonexistent/x.aperture: No such file or directory\n"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv (util-linux)")
def test_a_recording_that_cannot_begin_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    old = tmp_path / "old.aperture"
    old.write_text("precious")
    command = [sys.executable, "-m", "aperture_tui.cli.main", "record", "--duration", "0.2", "-o", str(old)]
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    done = subprocess.run([*bare, *command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n"), old.read_text()) == (1, 1, "precious")


@pytest.mark.bpf
def test_a_command_runs_whatever_files_are_open(tmp_path: Path) -> None:
    """The shell that holds it back knows descriptors of one digit only."""
    opened = "; ".join(f"exec {n}</dev/null" for n in range(3, 10))
    command = f'{opened}; exec "$0" -m aperture_tui.cli.main record -o "$1" -- sh -c "exit 7"'
    path = str(tmp_path / "x.aperture")
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")


def test_ctrl_c_ends_a_command_without_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("aperture_tui.cli.export.run", interrupted)
    assert main(["export"]) == 130
    assert capsys.readouterr().err == ""
