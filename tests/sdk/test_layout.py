"""The records of the three languages are the profiler's own, field by field."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import ROLE_SHIFT, FrameKind, Kind, Role
from aperture_tui.profile.symbols import FRAME, PROCESS
from tests.sdk import host
from tests.sdk.toolchain import ASC, SDK, needs, needs_command, run

Layout = dict[tuple[str, str], int]
"""(record, field) -> offset; ("Event", "*") -> its size"""


def of_dtypes(records: dict[str, np.dtype[Any]]) -> Layout:
    out = {}
    for name, record in records.items():
        assert record.fields is not None
        out.update({(name, field): offset for field, (_, offset, *_) in record.fields.items()})
        out[name, "*"] = record.itemsize
    return out


OURS = of_dtypes({"Event": EVENT, "Frame": FRAME, "Process": PROCESS})
CONTRACT = OURS | of_dtypes({"Header": host.HEADER, "Slice": host.SLICE, "Node": host.NODE})


def told(words: str) -> Layout:
    """Lines of `record field offset bytes`; of a whole record the field is `*`, and the bytes are what counts."""
    lines = [line.split() for line in words.splitlines()]
    return {(record, field): int(size if field == "*" else offset) for record, field, offset, size in lines}


def rust(folder: Path) -> Layout:
    needs_command("cargo", "get Rust")
    command = [
        "cargo",
        "run",
        "--quiet",
        "--offline",
        "--locked",
        "--package",
        "aperture-filter",
        "--example",
        "layout",
    ]
    return told(run(command, cwd=SDK / "rust", CARGO_TARGET_DIR=str(folder)).stdout)


def c(folder: Path) -> Layout:
    needs_command("gcc", "setup/system.sh try tools installs it")
    run(["gcc", "-std=c11", "-I", str(SDK / "c"), "-o", str(folder / "layout"), str(SDK / "c/tests/layout.c")])
    return told(run([str(folder / "layout")]).stdout)


def assemblyscript(folder: Path) -> Layout:
    needs("as")
    source = str(SDK / "assemblyscript/tests/layout.ts")
    run([str(ASC), source, "--outFile", str(folder / "layout.wasm"), "--runtime", "stub"])
    store = wasmtime.Store()
    module = wasmtime.Module.from_file(store.engine, str(folder / "layout.wasm"))
    linker = wasmtime.Linker(store.engine)
    linker.define_unknown_imports_as_traps(module)
    out = {}
    for name, value in linker.instantiate(store, module).exports(store).items():
        record, _, field = name.partition("_")
        if isinstance(value, wasmtime.Global):
            out[record, field or "*"] = value.value(store)
    return out | {("Header", "rest"): CONTRACT["Header", "rest"]}  # it has no field for what is 0


def test_the_host_of_these_tests_has_the_profilers_records() -> None:
    assert of_dtypes({"Event": host.EVENT, "Frame": host.FRAME, "Process": host.PROCESS}) == OURS


@pytest.mark.parametrize("language", [rust, c, assemblyscript])
def test_every_field_lies_where_the_profiler_has_it(language: Callable[[Path], Layout], tmp_path: Path) -> None:
    assert language(tmp_path) == CONTRACT


def _constants(text: str, pattern: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(pattern, text)}


def _enumerated(text: str, first: str, prefix: str) -> dict[str, int]:
    """The names of a C enumeration that begins with `first`."""
    match = re.search(rf"enum \{{\s*({first}\b[^}}]*)\}}", text)
    assert match is not None
    out, value = {}, 0
    for entry in match[1].split(","):
        name, _, given = entry.partition("=")
        value = int(given) if given else value
        out[name.strip().removeprefix(prefix)] = value
        value += 1
    return out


def _members(kinds: type[enum.IntEnum]) -> dict[str, int]:
    return {kind.name: int(kind) for kind in kinds}


def test_kinds_have_the_profilers_numbers() -> None:
    flags = {"LOST_EVENTS": 1, "FIRST_BATCH": 2}
    in_rust = (SDK / "rust/aperture-filter/src/layout.rs").read_text()
    small = _members(Kind) | _members(Role) | {"ROLE_SHIFT": ROLE_SHIFT}
    assert _constants(in_rust, r"pub const (\w+): u16 = (\d+);") == small | {"MAJOR": 1, "MINOR": 0}
    assert _constants(in_rust, r"pub const (\w+): u32 = (\d+);") == _members(FrameKind) | flags
    in_c = (SDK / "c/aperture_filter.h").read_text()
    assert _enumerated(in_c, "AP_CPU", "AP_") == _members(Kind)
    assert _enumerated(in_c, "AP_FRAME_ROOT", "AP_FRAME_") == _members(FrameKind)
    assert _enumerated(in_c, "AP_OWN", "AP_") == _members(Role)
    assert _enumerated(in_c, "AP_LOST_EVENTS", "AP_") == flags
    assert _constants(in_c, r"#define AP_(\w+) (\d+)")["ROLE_SHIFT"] == ROLE_SHIFT
    in_as = (SDK / "assemblyscript/aperture_filter.ts").read_text()
    assert _constants(in_as, r"export const (\w+): u16 = (\d+);") == small
    assert _constants(in_as, r"export const (\w+): u32 = (\d+);") == _members(FrameKind) | flags | {"HEADER_SIZE": 128}
