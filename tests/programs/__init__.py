"""Programs of known behaviour, built when a test first asks for them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parent
_BUILT = tempfile.TemporaryDirectory(prefix="aperture-programs-")


@lru_cache
def build(name: str, *flags: str) -> Path:
    """tests/programs/NAME.c compiled with these flags -> the program. Skips where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = Path(_BUILT.name) / "-".join([name, *(flag.strip("-") for flag in flags)])
    subprocess.run([compiler, *flags, "-pthread", str(_SOURCES / f"{name}.c"), "-o", str(program)], check=True)
    return program
