"""Wrong usage is one clear line and status 2, whatever it is that is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from aperture_tui import __version__


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
        (["--events", "cpu,coffee"], "coffee"),
        (["--format", "yaml"], "yaml"),
        (["--cgroup", "/no/such/group", "--once"], "no control group"),
        (["--nonsense"], "--nonsense"),
        (["extra"], "extra"),
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


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["record"], ["record", "-F", "0", "-o", "x"]], ids=" ".join)
def test_wrong_usage_of_the_other_commands(arguments: list[str]) -> None:
    done = aperture(*arguments, module="main")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_version_and_help() -> None:
    assert aperture("--version").stdout == f"aperture-top {__version__}\n"
    assert aperture("--version", module="main").stdout == f"aperture {__version__}\n"
    for module, command in (("top", []), ("main", []), ("main", ["record"])):
        done = aperture(*command, "--help", module=module)
        assert done.returncode == 0
        assert "examples:" in done.stdout


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
    assert "/nonexistent/x.aperture" in done.stderr
