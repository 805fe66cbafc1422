"""Programs that these tests look into, compiled once a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.images import Image, read_image
from aperture_tui.symbolize.opening import open_regular

PROGRAMS = Path(__file__).parent / "programs"


def need(*commands: str) -> None:
    """Skip where one of these is missing, or is rustup's stand-in for a compiler that is not there."""
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
        if command == "rustc" and subprocess.run(["rustc", "--version"], capture_output=True, check=False).returncode:
            pytest.skip("rustc does not work: `rustc --version`")


def run(*command: str | Path) -> str:
    """Standard output of a command that must succeed."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def image_of(path: Path | str, roots: tuple[str, ...] = ()) -> Image:
    """The image of a file on disk."""
    return read_image(FileSource(open_regular(str(path))), str(path), roots)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled programs lie."""
    return tmp_path_factory.mktemp("symbolize")


@pytest.fixture(scope="session")
def calls(built: Path) -> Path:
    """calls.c with symbols."""
    need("gcc")
    run("gcc", "-O1", "-Wl,--build-id", "-o", built / "calls", PROGRAMS / "calls.c")
    return built / "calls"


@pytest.fixture(scope="session")
def shapes(built: Path) -> Path:
    """shapes.cpp with symbols."""
    need("g++")
    run("g++", "-O1", "-o", built / "shapes", PROGRAMS / "shapes.cpp")
    return built / "shapes"


@pytest.fixture
def running() -> Iterator[Callable[..., tuple[int, dict[str, int]]]]:
    """Starts programs that print "NAME ADDRESS" lines and wait: gives their pid and the addresses."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str | Path, names: int = 5) -> tuple[int, dict[str, int]]:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(names)]
        return process.pid, {name: int(address, 16) for name, address in lines}

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def rust(built: Path) -> Path:
    """names.rs with symbols of the legacy mangling."""
    return rust_program(built, "legacy")


def rust_program(built: Path, mangling: str) -> Path:
    """names.rs compiled with this mangling."""
    need("rustc")
    out = built / f"names_{mangling}"
    if not out.exists():
        unstable = ["-Z", "unstable-options"] if mangling == "legacy" else []
        command = [
            "rustc",
            "-O",
            *unstable,
            "-C",
            f"symbol-mangling-version={mangling}",
            "-o",
            out,
            PROGRAMS / "names.rs",
        ]
        environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}  # the legacy mangling is an option of nightly compilers
        done = subprocess.run([str(w) for w in command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"rustc cannot compile here: {done.stderr.strip().splitlines()[-1]}")
    return out
