"""What is needed to build a filter, and where it comes from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SDK: Final = ROOT / "sdk"
READY: Final = ROOT / "aperture_tui/filters/ready"
ASC: Final = ROOT / "build/assemblyscript/node_modules/.bin/asc"
SOURCES: Final = {
    "rust": [f"{path.name}.wasm" for path in sorted((SDK / "rust/examples").iterdir()) if path.is_dir()],
    "c": [f"{path.stem}_c.wasm" for path in sorted((SDK / "c/examples").glob("*.c"))],
    "as": [f"{path.stem}_as.wasm" for path in sorted((SDK / "assemblyscript/examples").glob("*.ts"))],
}
"""language -> the modules that its examples make"""

_INSTALL = "setup/wasm.sh installs it"
_RUSTC = Path("/usr/bin/rustc")
_WASM_STD = Path("/usr/lib/rustlib/wasm32-unknown-unknown")


def _missing(language: str) -> str | None:
    if language == "as":
        return None if ASC.exists() and shutil.which("node") else f"no AssemblyScript, or no node: {_INSTALL}"
    if shutil.which("wasm-ld") is None:
        return f"no wasm-ld: {_INSTALL}"
    if language == "c":
        return None if shutil.which("clang") else f"no clang: {_INSTALL}"
    if not _RUSTC.exists():
        return f"no rustc of Debian's in /usr/bin: {_INSTALL}"
    return None if _WASM_STD.exists() else f"no WebAssembly standard library for rustc: {_INSTALL}"


def needs(language: str) -> None:
    """Skips a test where a language cannot be built."""
    reason = _missing(language)
    if reason is not None:
        pytest.skip(reason)


def needs_command(name: str, where_from: str) -> None:
    """Skips a test where a command is missing."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name}: {where_from}")


def needs_pinned(language: str) -> None:
    """Skips a test where the compiler is another than the one that made what is committed."""
    needs(language)
    if language == "as":
        return  # pinned by its lock file
    command, version = {"rust": (str(_RUSTC), "rustc 1.63.0"), "c": ("clang", "clang version 14.0.6")}[language]
    said = run([command, "--version"]).stdout.splitlines()[0]
    if version not in said:
        pytest.skip(f"what is committed is made by {version}, and here is {said}")


def run(command: list[str], *, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command that must succeed; else its words are shown."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done
