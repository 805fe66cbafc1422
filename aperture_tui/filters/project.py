"""A new filter's folder: an example to begin with, the SDK beside it, and the one command that builds it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from aperture_tui.filters.errors import FilterError
from aperture_tui.resources import folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_CARGO: Final = """\
[package]
name = "{name}"
version = "0.1.0"
edition = "2021"
rust-version = "1.63"

[lib]
crate-type = ["cdylib"]

[dependencies]
aperture-filter = {{ path = "aperture-filter" }}

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = true

[workspace]
"""
_MAKE: Final = """\
{name}.wasm: {name}.c aperture_filter.h
\tclang --target=wasm32 -std=c11 -Os -ffreestanding -nostdlib -Wall -Wextra \\
\t\t-Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -o $@ $<
"""
_PACKAGE: Final = """\
{{
  "name": "{dashed}",
  "private": true,
  "type": "module",
  "scripts": {{ "build": "asc {name}.ts --outFile {name}.wasm --runtime stub -O3" }},
  "devDependencies": {{ "assemblyscript": "0.28.20" }}
}}
"""
_EXAMPLE: Final = "process_name"


def create(parent: Path, name: str, language: str) -> tuple[Path, str]:
    """Make the folder of a filter in "rust", "c" or "as" -> where it is, and what builds it there.

    Raises FilterError, also if something of this name is there.
    """
    if not _NAME.fullmatch(name):
        raise FilterError(f"{name!r} is no name: give letters, digits and _, beginning with a letter, all small")
    make = _LANGUAGES[language]
    try:
        sdk = folder("sdk")
        (parent / name).mkdir()
        return parent / name, make(sdk, parent / name, name)
    except FileExistsError as error:
        raise FilterError(f"{parent / name} is there already") from error
    except OSError as error:
        raise FilterError(f"{error.filename or parent / name}: {error.strerror or error}") from error


def _rust(sdk: Path, new: Path, name: str) -> str:
    crate = sdk / "rust" / "aperture-filter"
    shutil.copytree(crate / "src", new / "aperture-filter" / "src")
    shutil.copy(crate / "Cargo.toml", new / "aperture-filter")
    (new / "Cargo.toml").write_text(_CARGO.format(name=name), "utf-8")
    (new / "src").mkdir()
    shutil.copy(sdk / "rust" / "examples" / _EXAMPLE / "src" / "lib.rs", new / "src")
    built = f"target/wasm32-unknown-unknown/release/{name}.wasm"
    return f"cargo build --release --target wasm32-unknown-unknown    # {built}"


def _c(sdk: Path, new: Path, name: str) -> str:
    shutil.copy(sdk / "c" / "aperture_filter.h", new)
    shutil.copy(sdk / "c" / "examples" / f"{_EXAMPLE}.c", new / f"{name}.c")
    (new / "Makefile").write_text(_MAKE.format(name=name), "utf-8")
    return f"make    # {name}.wasm"


def _assemblyscript(sdk: Path, new: Path, name: str) -> str:
    shutil.copy(sdk / "assemblyscript" / "aperture_filter.ts", new)
    example = (sdk / "assemblyscript" / "examples" / f"{_EXAMPLE}.ts").read_text("utf-8")
    (new / f"{name}.ts").write_text(example.replace('"../aperture_filter"', '"./aperture_filter"'), "utf-8")
    (new / "package.json").write_text(_PACKAGE.format(name=name, dashed=name.replace("_", "-")), "utf-8")
    return f"npm install && npm run build    # {name}.wasm"


_LANGUAGES: Final[dict[str, Callable[[Path, Path, str], str]]] = {"rust": _rust, "c": _c, "as": _assemblyscript}
