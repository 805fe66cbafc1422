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
_NEEDS: Final = {"go with C": ("go", "gcc")}
_COMMANDS: Final = {
    "gcc": ("gcc", *_NO_FRAME_POINTERS),
    "g++": ("g++", *_NO_FRAME_POINTERS),
    "rustc": ("rustc", "-O"),
    "go": ("go", "build"),
    "go with C": ("go", "build"),
}


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
    for tool in _NEEDS.get(recipe.tool, (recipe.tool,)):
        _need(tool)
    out = folder() / name
    sources = [str(_SOURCES / source) for source in recipe.sources]
    command = [*_COMMANDS[recipe.tool], *recipe.flags, "-o", str(out), *sources]
    try:
        subprocess.run(command, check=True, env={**_environment(), "CGO_ENABLED": str(int(recipe.tool == "go with C"))})
    except subprocess.CalledProcessError:
        if any(flag.startswith("-static") for flag in recipe.flags):
            raise NotBuilt("no static C library: apt-get install libc6-dev") from None
        raise
    return out


@lru_cache
def _need(tool: str) -> None:
    """Raises NotBuilt if a tool is missing, or is a launcher without the thing itself, as rustup's can be."""
    if shutil.which(tool) is None:
        raise NotBuilt(f"no {tool}: apt-get install {_PACKAGES[tool]}")
    probe = [tool, "version" if tool == "go" else "--version"]
    if subprocess.run(probe, capture_output=True, env=_environment(), check=False).returncode:
        raise NotBuilt(f"{tool} does not work: `{' '.join(probe)}`")


def _environment() -> dict[str, str]:
    """Go wants no module, no network, and a cache even where there is no home."""
    cache = {} if "HOME" in os.environ else {"GOCACHE": str(folder() / "go-cache")}
    return {**cache, **os.environ, "GO111MODULE": "off", "GOFLAGS": ""}


def folder() -> Path:
    """Where what is built lies, for as long as the tests run."""
    return Path(_BUILT.name)
