"""A filter's file, read, compiled and compared with the contract, before any of its code runs."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import wasmtime

from aperture_tui.filters import abi
from aperture_tui.filters.call import cause
from aperture_tui.filters.errors import FilterError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aperture_tui.filters.engine import Engine

_WASM: Final = b"\0asm"
_CORE, _COMPONENT = b"\1\0\0\0", b"\r\0\1\0"
_ELF: Final = b"\x7fELF"  # what wasmtime compiles modules to
_MOST_NAMES: Final = 1000
"""Exports, and imports. Ours have ten; each costs Python time whenever an instance is made."""


@dataclass(frozen=True)
class Module:
    """A module that fits the contract. sha256: of the file, in hex. exports: those of the contract that it has."""

    compiled: wasmtime.Module
    sha256: str
    size: int
    exports: frozenset[str]


def read(path: Path) -> bytes:
    """A file's bytes. Raises FilterError for what is no file, or is larger than a module may be."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # of a FIFO: do not wait for a writer
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FilterError("not a regular file")
            with os.fdopen(file, "rb", closefd=False) as opened:
                data = opened.read(abi.MAX_MODULE_BYTES + 1)
        finally:
            os.close(file)
    except OSError as error:
        raise FilterError(f"cannot read {one_line(str(path))}: {error.strerror or error}") from error
    return data


def compiled(engine: Engine, data: bytes) -> Module:
    """The module of these bytes. Raises FilterError, in words, for everything that the contract does not allow."""
    _check_head(data)
    try:
        module = wasmtime.Module(engine.wasm, data)
    except wasmtime.WasmtimeError as error:
        raise FilterError(f"not a valid module: {cause(error)}") from None
    imports, exports = module.imports, module.exports
    if max(len(imports), len(exports)) > _MOST_NAMES:
        raise FilterError(f"it has more than {_MOST_NAMES:,} imports or exports")
    _check_imports(imports)
    found = _checked_exports(exports)
    return Module(module, hashlib.sha256(data).hexdigest(), len(data), found)


def _check_head(data: bytes) -> None:
    if len(data) > abi.MAX_MODULE_BYTES:
        raise FilterError(f"larger than a module may be: {abi.MAX_MODULE_BYTES >> 20} MB")
    if data.startswith(_ELF):
        raise FilterError("machine code, perhaps a .cwasm: it is not looked at, for nothing could contain it")
    if not data.startswith(_WASM):
        raise FilterError("not a WebAssembly module: it begins with other bytes")
    if data[4:8] == _COMPONENT:
        raise FilterError("a WebAssembly component: build a core module instead (target wasm32-unknown-unknown)")
    if data[4:8] != _CORE:
        raise FilterError("of an unknown version of WebAssembly, or cut off")


def _check_imports(imports: Iterable[wasmtime.ImportType]) -> None:
    for one in imports:
        name = one.name or ""
        takes = abi.IMPORTS.get((one.module, name))
        if takes is None:
            words = one_line(f"{one.module}.{name}", 100)
            raise FilterError(f"it imports {words}: a filter may import aperture.log and env.abort alone (no WASI)")
        if not _is_function(one.type, takes, 0):
            raise FilterError(f"its import {one.module}.{name} must take {takes} i32 and give nothing")


def _checked_exports(exports: Iterable[wasmtime.ExportType]) -> frozenset[str]:
    types = {one.name: one.type for one in exports}
    if not isinstance(types.get("memory"), wasmtime.MemoryType):
        raise FilterError("it does not export its memory, as `memory`")
    for name in abi.EXPORTS:
        if name not in types:
            raise FilterError(f"it does not export {name}")
    wanted = abi.EXPORTS | abi.OPTIONAL_EXPORTS
    for name, takes in wanted.items():
        if name in types and not _is_function(types[name], takes, 1):
            raise FilterError(f"its export {name} must be a function that takes {takes} i32 and gives one i32")
    return frozenset(types.keys() & wanted.keys())


def _is_function(kind: object, takes: int, gives: int) -> bool:
    i32 = wasmtime.ValType.i32()
    return isinstance(kind, wasmtime.FuncType) and kind.params == [i32] * takes and kind.results == [i32] * gives
