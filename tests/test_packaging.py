"""The package as a stranger gets it: built without the network, installed by the lock, run from elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aperture_tui import __version__

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = tuple(name for name in ("bpf", "proto", "sdk", "themes") if (_ROOT / name).is_dir())
_SOURCES = ("aperture_tui", *_FOLDERS, "pyproject.toml", "README.md")
_LOCKS = ("requirements.lock", "requirements-dev.lock")
_IMAGES = {
    "deploy/agent.lock": ("fleet", "filters", "inlines", "web", "gpu"),
    "deploy/aggregator.lock": ("aggregator", "fleet"),
}
"""Locks of images -> the extras that they have."""
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "Connection refused", "ProxyError")


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree, so that nothing is left in the checkout."""
    tree = tmp_path_factory.mktemp("tree")
    for name in _SOURCES:
        source, ignored = _ROOT / name, shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)
    done = _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=tree)
    assert done.returncode == 0, done.stderr
    return next((tree / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a clean environment with the wheel and what the lock names."""
    folder = tmp_path_factory.mktemp("installed")
    made = _run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv/bin/python"), "--no-input", "--retries", "1"]
    locked = _run(*pip, "install", "--quiet", "--require-hashes", "-r", _ROOT / "requirements.lock", cwd=folder)
    if locked.returncode and any(word in locked.stderr for word in _UNREACHABLE):
        pytest.skip("the package registry cannot be reached, so the wheel was not installed")
    assert locked.returncode == 0, locked.stderr
    done = _run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    checked = _run(*pip, "check", cwd=folder)
    assert checked.returncode == 0, checked.stdout
    return folder / "venv/bin"


def _data_files() -> list[Path]:
    return [path.relative_to(_ROOT) for folder in _FOLDERS for path in (_ROOT / folder).rglob("*") if path.is_file()]


def test_the_wheel_holds_every_file_that_is_not_python(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = _data_files()
    assert {path.parts[0] for path in files} >= {"bpf", "themes"}
    assert {f"aperture_tui/_data/{path}" for path in files} <= inside


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert top == {"aperture_tui", f"aperture_tui-{__version__}.dist-info"}
    assert "aperture_tui/py.typed" in zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize("command", ["aperture-top", "aperture"])
def test_an_installed_command_runs_from_anywhere(command: str, installed: Path, tmp_path: Path) -> None:
    done = _run(installed / command, "--version", cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{command} {__version__}\n", "")


def test_the_installed_doctor_works_with_a_bare_environment(installed: Path, tmp_path: Path) -> None:
    done = _run(installed / "aperture", "doctor", "--json", cwd=tmp_path, env={})
    assert done.returncode in (0, 1)
    assert done.stderr == ""
    assert json.loads(done.stdout)[0]["name"] == "Python"


def test_the_installed_package_finds_its_folders(installed: Path, tmp_path: Path) -> None:
    wanted = sorted({path.parts[0] for path in _data_files()})
    code = "import sys; from aperture_tui import resources; print(*map(resources.folder, sys.argv[1:]))"
    done = _run(installed / "python", "-c", code, *wanted, cwd=tmp_path, env={})
    folders = done.stdout.split()
    assert [Path(folder).parent.name for folder in folders] == ["_data"] * len(wanted), done.stderr
    assert all(folder.startswith(str(installed.parent)) for folder in folders)


def _locked(name: str) -> dict[str, list[str]]:
    """Package -> versions that the lock allows (several where they differ by Python)."""
    out: dict[str, list[str]] = {}
    for package, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (_ROOT / name).read_text(), re.MULTILINE):
        out.setdefault(canonicalize_name(package), []).append(version)
    return out


def _declared() -> tuple[list[str], list[str]]:
    data = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    groups = data["dependency-groups"]
    return data["project"]["dependencies"] + groups["build"], [one for one in groups["dev"] if isinstance(one, str)]


@pytest.mark.parametrize(("lock", "which"), [(_LOCKS[0], 0), (_LOCKS[1], 1)])
def test_the_lock_fits_what_is_declared(lock: str, which: int) -> None:
    """Else `make lock` was forgotten."""
    versions = _locked(lock)
    for one in map(Requirement, _declared()[which]):
        pinned = versions.get(canonicalize_name(one.name), [])
        assert pinned, f"{one} is not in {lock}: make lock"
        assert all(one.specifier.contains(version) for version in pinned), f"{one}, but {lock} has {pinned}: make lock"


@pytest.mark.parametrize(("lock", "extras"), _IMAGES.items())
def test_an_image_has_what_its_extras_declare(lock: str, extras: tuple[str, ...]) -> None:
    declared = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    versions = _locked(lock)
    for one in map(Requirement, [*_declared()[0], *(one for extra in extras for one in declared[extra])]):
        if canonicalize_name(one.name) == "aperture-tui":  # an extra in an extra
            continue
        pinned = versions.get(canonicalize_name(one.name), [])
        assert pinned, f"{one} is not in {lock}: make lock"
        assert all(one.specifier.contains(version) for version in pinned), f"{one}, but {lock} has {pinned}: make lock"


def test_all_locks_agree() -> None:
    """So what is in an image is what was tested."""
    everywhere: dict[str, list[str]] = {}
    for lock in (*_LOCKS, *_IMAGES):
        for name, versions in _locked(lock).items():
            assert everywhere.setdefault(name, versions) == versions, f"{name} of {lock}: make lock"


@pytest.mark.parametrize("lock", [*_LOCKS, *_IMAGES])
def test_everything_locked_has_hashes_and_no_place_is_named(lock: str) -> None:
    text = (_ROOT / lock).read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_scripts_of_the_set_up_are_sound() -> None:
    for script in (*(_ROOT / "setup").glob("*.sh"), _ROOT / ".ci/run"):
        done = _run("bash", "-n", script, cwd=_ROOT)
        assert done.returncode == 0, done.stderr
        assert os.access(script, os.X_OK) or script.name == "lib.sh", script
