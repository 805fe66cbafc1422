"""The scripts behind `make top` and `make test`, on machines that lack things: a PATH made by hand stands for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_BASE = (
    "bash",
    "env",
    "dirname",
    "cat",
    "id",
    "sed",
    "mkdir",
    "rm",
    "touch",
    "find",
    "sha256sum",
    "cut",
    "stat",
    "mktemp",
)


class Workplace:
    """A copy of the set-up and a PATH with nothing in it but what a test puts there; `log` is what was called."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.path, self.log = folder / "tree", folder / "bin", folder / "log"
        shutil.copytree(_ROOT / "setup", self.tree / "setup")
        self.path.mkdir()
        self.log.touch()
        for name in _BASE:
            (self.path / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")

    def put(self, name: str, body: str = "") -> None:
        """A program that writes itself into the log, then does `body`."""
        (self.path / name).write_text(f'#!/bin/bash\necho "{name} $*" >> {self.log}\n{body}\n')
        (self.path / name).chmod(0o755)

    def python(self, name: str = "python3", *, old: bool = False) -> None:
        """A Python without BCC; an `old` one says that it is no 3.11."""
        answer = "exit 1" if old else f'exec {sys.executable} -S "$@"'
        (self.path / name).write_text(f"#!/bin/bash\n{answer}\n")
        (self.path / name).chmod(0o755)

    def apt(self, *, lists: bool = True, installs: str = "") -> None:
        """Debian's tools, with nothing installed; `lists`: whether the package lists are there from the start."""
        fresh = self.path / "lists"
        if lists:
            fresh.touch()
        self.put("dpkg-query", "exit 1")
        self.put("apt-cache", f"[ -e {fresh} ]")
        body = (
            f'case " $* " in *" update "*) touch {fresh};; *) [ -e {fresh} ] || exit 100; {installs or "true"};; esac'
        )
        self.put("apt-get", body)

    def user(self, name: str = "1000") -> None:
        """Not root."""
        (self.path / "id").unlink()
        self.put("id", f"echo {name}")

    def run(self, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tree / "setup" / script, *arguments],
            env={"PATH": str(self.path), "HOME": str(self.tree), **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self, name: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def _root(place: Workplace) -> None:
    place.user("0")


def test_what_is_missing_is_installed_and_said(place: Workplace) -> None:
    _root(place)
    place.python()
    place.apt()
    done = place.run("system.sh", "need", "python", "bcc")
    assert done.returncode == 0
    assert done.stderr == "setup: installing with apt: python3-bpfcc\n"
    (call,) = place.called("apt-get")
    assert "--no-install-recommends" in call
    assert call.endswith(" python3-bpfcc")


def test_a_machine_without_python_gets_one(place: Workplace) -> None:
    _root(place)
    place.apt(installs=f"ln -sf {sys.executable} {place.path}/python3")
    (place.path / "ln").symlink_to("/bin/ln")
    assert place.run("system.sh", "need", "python").returncode == 0
    assert place.called("apt-get")[0].endswith(" python3 python3-venv")


def test_a_python_that_is_too_old_gets_another_beside_it(place: Workplace) -> None:
    _root(place)
    place.python(old=True)
    place.apt()
    done = place.run("system.sh", "need", "python")
    assert place.called("apt-get")[0].endswith(" python3.11 python3.11-venv")
    assert done.returncode == 1  # this apt put nothing there
    assert done.stderr.splitlines()[-1].startswith("setup: Python 3.11 or newer is needed")


def test_package_lists_are_refreshed_only_where_they_are_missing(place: Workplace) -> None:
    _root(place)
    place.python()
    place.apt(lists=False)
    assert place.run("system.sh", "need", "bcc").returncode == 0
    assert [call.split()[1] for call in place.called("apt-get")] == ["update", "install"]


def test_a_user_installs_with_sudo(place: Workplace) -> None:
    place.user()
    place.python()
    place.apt()
    place.put("sudo", 'exec "$@"')
    assert place.run("system.sh", "need", "bcc").returncode == 0
    assert place.called("sudo")[0].endswith(" python3-bpfcc")


def test_a_user_without_sudo_is_told_the_command(place: Workplace) -> None:
    place.user()
    place.python()
    place.apt()
    done = place.run("system.sh", "need", "bcc")
    assert done.returncode == 1
    assert "needs root to install: `apt-get install python3-bpfcc`" in done.stderr
    assert place.called("apt-get") == []


def test_another_distribution_is_sent_to_the_doctor(place: Workplace) -> None:
    _root(place)
    place.python()
    done = place.run("system.sh", "need", "python", "bcc")
    assert done.returncode == 0
    assert "aperture doctor" in done.stderr


def test_tools_of_the_tests_are_tried_one_by_one_and_never_fail_the_set_up(place: Workplace) -> None:
    _root(place)
    place.python()
    place.apt(installs='case " $* " in *" tmux "*) exit 100;; esac')
    done = place.run("system.sh", "try", "tools")
    assert done.returncode == 0
    assert "setup: no tmux: what needs it is skipped" in done.stderr
    assert any(call.endswith(" g++") for call in place.called("apt-get"))


@pytest.mark.parametrize("there", ["", "chromium-headless-shell", "chromium"])
def test_a_browser_that_is_there_is_not_installed(place: Workplace, there: str) -> None:
    _root(place)
    place.python()
    place.apt()
    place.put("apt-get")
    if there:
        place.put(there)
    done = place.run("system.sh", "try", "browser")
    assert done.returncode == 0
    asked = bool(place.log.exists() and place.called("apt-get"))
    assert asked == (not there and "ubuntu" not in Path("/etc/os-release").read_text())


def test_a_command_runs_as_root_with_the_terminals_environment(place: Workplace) -> None:
    place.user()
    place.put("sudo", 'exec "$@"')
    place.put("show", 'echo "$TERM $NO_COLOR $APERTURE_REQUIRE_BPF $PYTHONDONTWRITEBYTECODE"')
    done = place.run("as-root.sh", "show", "--once", TERM="tmux", NO_COLOR="1", APERTURE_REQUIRE_BPF="1", OTHER="x")
    assert done.stdout == "tmux 1 1 1\n"
    assert place.called("show") == ["show --once"]
    assert "OTHER" not in place.called("sudo")[0]


def test_root_runs_it_at_once(place: Workplace) -> None:
    _root(place)
    place.put("sudo", "exit 9")
    place.put("show")
    assert place.run("as-root.sh", "show").returncode == 0
    assert place.called("sudo") == []


def test_without_sudo_the_program_is_refused_in_one_line_but_tests_run(place: Workplace) -> None:
    place.user()
    place.put("show")
    refused = place.run("as-root.sh", "show")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert place.called("show") == []
    assert place.run("as-root.sh", "--or-not", "show").returncode == 0
    assert place.called("show") == ["show "]


@pytest.mark.parametrize("cargo", [None, "exit 101"])
def test_without_inferno_one_line_says_so(cargo: str | None, place: Workplace) -> None:
    if cargo:
        place.put("cargo", cargo)
    done = place.run("inferno.sh")
    assert done.returncode == 1
    assert "inferno" in done.stderr.splitlines()[-1]


def test_inferno_is_not_built_again(place: Workplace) -> None:
    place.put("cargo")
    place.put("inferno-flamegraph")
    place.put("inferno-diff-folded")
    assert place.run("inferno.sh").returncode == 0
    assert place.called("cargo") == []


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_help_names_every_target() -> None:
    done = subprocess.run(["make", "-C", _ROOT, "help"], capture_output=True, text=True, check=True)
    for target in ("setup", "top", "test", "check", "bench", "inferno", "lock", "wheel", "clean"):
        assert f"  make {target} " in done.stdout
