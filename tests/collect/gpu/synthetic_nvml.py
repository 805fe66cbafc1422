"""The real NVML binding over a synthetic library of GPUs that do not exist (tests/programs/synthetic_nvml.c)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import build


def folder(tmp_path: Path) -> Path:
    """A folder with the library in it, under the name that the binding looks for. Skips where there is no binding."""
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    library = tmp_path / "libnvidia-ml.so.1"
    if not library.exists():
        library.symlink_to(build("synthetic_nvml", "-shared", "-fPIC", "-Wno-unused-result"))
    return tmp_path


def command(*arguments: str, library: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """`aperture ARGUMENTS` with that library, or with none."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ}
    env["LD_LIBRARY_PATH"] = str(library) if library else ""
    return subprocess.run(
        [sys.executable, "-m", "aperture_tui.cli.main", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
