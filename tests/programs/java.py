"""Java programs of known behaviour, and the runtimes to run them with."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_SOURCES: Final = _ROOT / "tests" / "truth" / "programs"
_BUILT: Final = tempfile.TemporaryDirectory(prefix="aperture-java-")
FETCHED: Final = _ROOT / ".venv" / "java"
"""Where setup/java.sh puts runtimes of other versions than the machine's, each in a folder of its version's name."""
VERSIONS: Final = ("11", "17", "21", "25")


def java_of(version: str = "") -> str:
    """The `java` of a version, or the machine's own. Skips where there is none."""
    found = shutil.which("java") if not version else None
    if version and (fetched := FETCHED / version / "bin" / "java").exists():
        found = str(fetched)
    if found is None:
        pytest.skip(f"no Java {version}: setup/java.sh" if version else "no java: apt-get install default-jdk-headless")
    return os.path.realpath(found)


@lru_cache
def classes(source: Path) -> Path:
    """A folder with the classes of a program, for Java 11 and later. Skips where there is no compiler."""
    if shutil.which("javac") is None:
        pytest.skip("no javac: apt-get install default-jdk-headless")
    out = Path(_BUILT.name) / source.stem
    subprocess.run(["javac", "--release", "11", "-d", str(out), str(source)], check=True, capture_output=True)
    return out


@contextmanager
def running(java: str, *options: str, name: str = "Busy", seconds: float = 60) -> Iterator[subprocess.Popen[str]]:
    """tests/truth/programs/NAME.java, which ends by itself after so many seconds; it has begun."""
    command = [java, *options, "-cp", str(classes(_SOURCES / f"{name}.java")), name, str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            while (line := child.stdout.readline()) and line.strip() != "begun":
                pass  # what the runtime says of its options
            yield child
        finally:
            child.kill()
