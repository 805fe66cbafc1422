"""Builds the programs of known stack: C and C++ without frame pointers, Rust, Go. Each is built once a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

_SOURCES: Final = Path(__file__).parent
_BUILT: Final = tempfile.TemporaryDirectory(prefix="aperture-truth-")
_NO_FRAME_POINTERS: Final = ("-O2", "-fomit-frame-pointer", "-pthread")
_PACKAGES: Final = {"gcc": "gcc libc6-dev", "g++": "g++", "rustc": "rustc", "go": "golang-go"}
_COMMANDS: Final = {
    "gcc": ("gcc", *_NO_FRAME_POINTERS),
    "g++": ("g++", *_NO_FRAME_POINTERS),
    "rustc": ("rustc", "-O"),
    "go": ("go", "build"),
}
_GO: Final = {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}


class NotBuilt(RuntimeError):  # noqa: N818  # no error: a toolchain that this machine need not have
    """One clear line: which tool is missing."""


@dataclass(frozen=True)
class Recipe:
    """How one file is made: the sources in this folder, a compiler, its flags."""

    sources: tuple[str, ...]
    tool: str = "gcc"
    flags: tuple[str, ...] = ()


@lru_cache
def build(name: str, recipe: Recipe) -> Path:
    """The file of this name. Raises NotBuilt without the tool, CalledProcessError if a source does not compile."""
    if shutil.which(recipe.tool) is None:
        raise NotBuilt(f"no {recipe.tool}: apt-get install {_PACKAGES[recipe.tool]}")
    out = folder() / name
    sources = [str(_SOURCES / source) for source in recipe.sources]
    command = [*_COMMANDS[recipe.tool], *recipe.flags, "-o", str(out), *sources]
    cache = {"GOCACHE": str(folder() / "go-cache")} if recipe.tool == "go" and "HOME" not in os.environ else {}
    subprocess.run(command, check=True, env={**os.environ, **_GO, **cache})
    return out


def folder() -> Path:
    """Where what is built lies, for as long as the tests run."""
    return Path(_BUILT.name)
