from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.collect.gpu.environment import CallbacksError, callbacks, environment


def gpu(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ}
    command = [sys.executable, "-m", "aperture_tui.cli.main", "gpu", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "run needs a COMMAND after --"),
        (["run", "python"], "run needs a COMMAND after --"),
        (["devices", "--", "python"], "devices takes no COMMAND"),
        (["run", "--format", "json", "--", "true"], "--format is for devices"),
        (["devices", "--python-callbacks"], "--python-callbacks is for run and environment"),
        (["sell"], "invalid choice"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    done = gpu(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_command_is_become_and_its_options_are_its_own(tmp_path: Path) -> None:
    done = gpu("run", "--", sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "--format", "--")
    assert (done.returncode, done.stdout, done.stderr) == (7, "['--format', '--']\n", "")


def test_a_command_that_is_not_there_is_one_line() -> None:
    done = gpu("run", "--", "no-such-command")
    assert (done.returncode, done.stderr) == (1, "aperture gpu run: no-such-command: No such file or directory\n")


def test_the_environment_of_a_service(tmp_path: Path) -> None:
    done = gpu("environment", APERTURE_GPU=str(tmp_path / "there"))
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert told["APERTURE_GPU"] == str(tmp_path / "there")
    assert Path(told["APERTURE_GPU_CALLBACKS"]).stat().st_mode & 0o022 == 0
    assert (Path(told["PYTHONPATH"].split(":")[0]) / "sitecustomize.py").is_file()


def test_what_was_on_the_path_stays_behind_ours() -> None:
    assert environment("python", {"PYTHONPATH": "/a:/b"})["PYTHONPATH"].endswith(":/a:/b")


def test_callbacks_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = callbacks(tmp_path / "cache")
    monkeypatch.setenv("CC", "/no/such/compiler")
    assert callbacks(tmp_path / "cache") == first
    with pytest.raises(CallbacksError, match="could not be run"):
        callbacks(tmp_path / "other")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(CallbacksError, match="did not compile the callbacks: status 1"):
        callbacks(tmp_path / "other")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CallbacksError, match="a C compiler is needed once"):
        callbacks(tmp_path / "other")
