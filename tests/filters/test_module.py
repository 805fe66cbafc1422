"""What is refused before any of its code runs, and how that is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from aperture_tui.filters import abi
from aperture_tui.filters.engine import Engine
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.module import compiled, read
from tests.filters.wat import ALLOC, LOG, MEMORY, VERSION, module, on_batch


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as one:
        yield one


ABORT = '(import "env" "abort" (func (param i32 i32 i32 i32)))'
BATCH = on_batch("(i32.const 0)")


def text(*parts: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})"))


def test_a_module_that_keeps_the_contract_is_taken(engine: Engine) -> None:
    found = compiled(engine, module("", LOG, ABORT))
    assert found.exports == {"ap_abi_version", "ap_alloc", "ap_on_batch"}


REFUSED = {
    "wasi": (text('(import "wasi_snapshot_preview1" "fd_write" (func))'), "imports wasi_snapshot_preview1.fd_write"),
    "memory from outside": (text('(import "env" "memory" (memory 1))'), "imports env.memory"),
    "log of another type": (module("", LOG.replace("i32 i32 i32", "i32 i64 i32")), "aperture.log must take 3 i32"),
    "log that gives": (
        module("", LOG.replace("(param i32 i32 i32)", "(param i32 i32 i32) (result i32)")),
        "aperture.log must take 3 i32 and give nothing",
    ),
    "a global called log": (text('(import "aperture" "log" (global i32))'), "aperture.log must take"),
    "no memory": (text(VERSION), "does not export its memory"),
    "memory is a function": (text('(func (export "memory"))'), "does not export its memory"),
    "no version": (text(MEMORY, ALLOC, BATCH), "does not export ap_abi_version"),
    "no alloc": (text(MEMORY, VERSION, BATCH), "does not export ap_alloc"),
    "no batch": (text(MEMORY, VERSION, ALLOC), "does not export ap_on_batch"),
    "alloc of i64": (
        module(alloc='(func (export "ap_alloc") (param i64) (result i32) (i32.const 0))'),
        "ap_alloc must be a function that takes 1 i32 and gives one i32",
    ),
    "batch gives nothing": (module('(func (export "ap_on_batch") (param i32))'), "ap_on_batch must be"),
    "batch gives two": (
        module('(func (export "ap_on_batch") (param i32) (result i32 i32) (i32.const 0) (i32.const 0))'),
        "ap_on_batch must be",
    ),
    "batch of eight": (
        module('(func (export "ap_on_batch") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))'),
        "ap_on_batch must be",
    ),
    "version is a global": (
        module(version='(global (export "ap_abi_version") i32 (i32.const 65536))'),
        "ap_abi_version",
    ),
    "tags of floats": (module("", '(func (export "ap_tags") (result f32) (f32.const 0))'), "ap_tags must be"),
    "configure of one": (
        module("", '(func (export "ap_configure") (param i32) (result i32) (i32.const 0))'),
        "ap_conf",
    ),
    "empty": (b"", "not a WebAssembly module"),
    "text": (b"(module)", "not a WebAssembly module"),
    "cut off": (module()[:40], "not a valid module"),
    "cut in its head": (module()[:6], "cut off"),
    "garbage": (b"\0asm\1\0\0\0" + bytes(range(256)), "not a valid module"),
    "a component": (b"\0asm\r\0\1\0", "component"),
    "another version": (b"\0asm\2\0\0\0", "unknown version"),
    "100 MB": (b"\0asm\1\0\0\0" + bytes(100 << 20), "larger than a module may be: 10 MB"),
    "64-bit memory": (module(memory='(memory (export "memory") i64 1)'), "not a valid module"),
    "two memories": (module("", "(memory 1)"), "not a valid module"),
    "shared memory": (module(memory='(memory (export "memory") 1 1 shared)'), "not a valid module"),
    "many exports": (
        module("", "(func $f)", *(f'(export "e{i}" (func $f))' for i in range(1100))),
        "more than 1,000 imports or exports",
    ),
    "an import with a name that acts on terminals": (text(r'(import "\1b[31mx" "\0a\1b]0;y\07" (func))'), r"\x1b[31mx"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_keep_it_is_refused_in_one_clear_line(engine: Engine, name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(FilterError) as refused:
        compiled(engine, data)
    said = str(refused.value)
    assert words in said
    assert len(said) < 400
    assert said.isprintable()


def test_machine_code_is_not_looked_at(engine: Engine) -> None:
    """One byte changed in it is run as it stands."""
    precompiled = bytes(wasmtime.Module(engine.wasm, module()).serialize())
    with pytest.raises(FilterError, match="machine code"):
        compiled(engine, precompiled)


def test_a_file_is_read_up_to_what_a_module_may_be(tmp_path: Path) -> None:
    path = tmp_path / "large.wasm"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    assert len(read(path)) == abi.MAX_MODULE_BYTES + 1


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "directory|regular"), (tmp_path / "pipe", "regular"), (tmp_path / "no", "No such")):
        with pytest.raises(FilterError, match=words):
            read(path)
