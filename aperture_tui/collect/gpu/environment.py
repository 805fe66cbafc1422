"""What a program is given so that it tells of its GPU: variables, and callbacks compiled for this machine."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.gpu.finding import folder_of_user
from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "APERTURE_GPU"
CALLBACKS: Final = "APERTURE_GPU_CALLBACKS"
PYTHON: Final = "python"
"""Of CALLBACKS: callbacks in Python, which can hang a program that launches from several threads."""
_INSIDE: Final = Path(__file__).parent / "inside"
_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-pthread")
_MAX_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60


class CallbacksError(RuntimeError):
    """One clear line: why there are no compiled callbacks, and what mends it."""


def environment(callbacks: str, before: Mapping[str, str]) -> dict[str, str]:
    """The variables to be added. callbacks: a library, or PYTHON. before: the variables that are there."""
    path = os.pathsep.join(filter(None, (str(_INSIDE), before.get("PYTHONPATH", ""))))
    return {FOLDER: before.get(FOLDER) or folder_of_user(os.geteuid()), CALLBACKS: callbacks, "PYTHONPATH": path}


def callbacks(cache: Path | None = None) -> str:
    """The callbacks, compiled for this machine: now, or before. cache: a folder, by default this user's.

    Raises CallbacksError.
    """
    source = _INSIDE / "_aperture_gpu" / "callbacks.c"
    text = source.read_bytes()
    name = f"callbacks-{platform.machine()}-{hashlib.sha256(text + repr(_FLAGS).encode()).hexdigest()[:16]}.so"
    folder = PrivateFolder(cache or cache_folder("gpu"), _MAX_BYTES)
    try:
        if folder.read(name) is None:
            folder.write(name, _compiled(source))
    except OSError as error:
        raise CallbacksError(f"{folder.path}: {error.strerror or error}") from error
    return str(folder.path / name)


def _compiled(source: Path) -> bytes:
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise CallbacksError("a C compiler is needed once: apt-get install gcc libc6-dev, or set CC")
    with tempfile.TemporaryDirectory(prefix="aperture-gpu-") as folder:
        made = Path(folder) / "callbacks.so"
        try:
            done = subprocess.run(
                [*compiler.split(), *_FLAGS, str(source), "-o", str(made)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CallbacksError(f"{compiler} could not be run: {error}") from error
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), f"status {done.returncode}")
            raise CallbacksError(f"{compiler} did not compile the callbacks: {first.strip()}")
        return made.read_bytes()
