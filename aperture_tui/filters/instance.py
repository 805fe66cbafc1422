"""A module at work in its sandbox: its memory, its functions, what it may say.

A raw copy does not stop at the sandbox's edge: every address that a program gives is cut to 32 bits and compared with
the size of its memory before a byte is copied, and where its memory lies is asked anew after each call, because the
program may have made it grow, and growing moves it.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final, cast

import wasmtime

from aperture_tui.filters import abi
from aperture_tui.filters.allowance import Allowance
from aperture_tui.filters.call import Call, FastCall, StockCall, address, bound, cause, trapped
from aperture_tui.filters.errors import FaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aperture_tui.filters.engine import Engine
    from aperture_tui.filters.log import Log
    from aperture_tui.filters.module import Module

_MASK: Final = 0xFFFFFFFF
_TOO_LONG: Final = "it took too long and was stopped"


class Instance:
    """One instance. One thread at a time may use it. log: where it writes to.

    base: the address of its memory. Raises FaultError when the module cannot be started.
    """

    def __init__(self, engine: Engine, module: Module, log: Log) -> None:
        self._engine = engine
        self._store = wasmtime.Store(engine.wasm)
        try:
            self._store.set_limits(abi.MEMORY_BYTES, abi.TABLE_ELEMENTS, instances=1, tables=1, memories=1)
            self._context = address(self._store._context())
            self._allowance = Allowance(self._store)
            exports = self._started(module, log)
            self._take_memory(cast("wasmtime.Memory", exports["memory"]))  # types were checked with the module
            self._calls = {name: self._bound(cast("wasmtime.Func", exports[name])) for name in module.exports}
        except BaseException:
            self.close()
            raise

    def _started(self, module: Module, log: Log) -> wasmtime._instance.InstanceExports:
        """Instantiate: a start function runs here."""
        imports = [_imported(self._store, one.module, one.name or "", log) for one in module.compiled.imports]
        with self._engine.clock:
            self._allowance.begin(abi.TICKS)
            try:
                return wasmtime.Instance(self._store, module.compiled, imports).exports(self._store)
            except wasmtime.Trap as trap:
                raise FaultError(f"at its start {trapped(trap)}") from None
            except wasmtime.WasmtimeError as error:
                if self._allowance.stopped:
                    raise FaultError(f"at its start {_TOO_LONG}") from None
                raise FaultError(f"it cannot be started: {cause(error)}") from None

    def _take_memory(self, memory: wasmtime.Memory) -> None:
        self._memory = memory
        self._memory_at = ctypes.addressof(memory._memory)
        self._where = bound("wasmtime_memory_data", 2, ctypes.c_void_p)
        self._size = bound("wasmtime_memory_data_size", 2, ctypes.c_size_t)
        self.base = self._where(self._context, self._memory_at) or 0

    def _bound(self, function: wasmtime.Func) -> Call:
        return FastCall(self._store, function) if self._engine.fast else StockCall(self._store, function)

    @property
    def memory_bytes(self) -> int:
        """The size of its memory, touched or not."""
        size: int = self._size(self._context, self._memory_at)
        return size

    def call(self, name: str, first: int = 0, second: int = 0, ticks: int = abi.TICKS) -> int:
        """Call one of its functions with numbers of 32 bits; its answer, as such. Raises FaultError.

        The engine's clock must be entered, or nothing stops a call that does not return.
        """
        self._allowance.begin(ticks)
        try:
            return self._calls[name](first, second)
        except FaultError:
            if self._allowance.stopped:
                raise FaultError(_TOO_LONG) from None
            raise
        finally:
            self.base = self._where(self._context, self._memory_at) or 0

    def reserved(self, size: int) -> int:
        """A region that its ap_alloc gives, checked. Raises FaultError."""
        at = self.call("ap_alloc", size)
        if at == 0:
            raise FaultError(
                f"ap_alloc has no room for {size:,} bytes (of {abi.MEMORY_BYTES >> 20} MB that it may have)"
            )
        if at % abi.ALIGNMENT or at + size > self.memory_bytes:
            raise FaultError(f"ap_alloc gave an address that {size:,} bytes do not fit at: {at:#x}")
        return at

    def write(self, at: int, data: bytes) -> None:
        """Copy bytes into its memory. Raises FaultError if they do not lie inside."""
        self._check(at, len(data))
        ctypes.memmove(self.base + at, data, len(data))

    def read(self, at: int, size: int) -> bytes:
        """Copy bytes out of its memory. Raises FaultError if they do not lie inside."""
        self._check(at, size)
        return ctypes.string_at(self.base + at, size)

    def text(self, at: int, most: int) -> bytes:
        """Bytes up to a NUL, which must be among `most` bytes and inside of its memory. Raises FaultError."""
        found, nul, _ = self.read(at, max(0, min(most, self.memory_bytes - at))).partition(b"\0")
        if not nul:
            raise FaultError(f"a text at {at:#x} does not end within {most:,} bytes of its memory")
        return found

    def _check(self, at: int, size: int) -> None:
        if at < 0 or size < 0 or at + size > self.memory_bytes:
            raise FaultError(f"{size:,} bytes at {at:#x} are not inside of its memory")

    def close(self) -> None:
        """Give its memory back."""
        self._store.close()


def _imported(store: wasmtime.Store, module: str, name: str, log: Log) -> wasmtime.Func:
    host: dict[tuple[str, str], Callable[..., None]] = {("aperture", "log"): _said, ("env", "abort"): _aborted}
    function = host[module, name]
    kind = wasmtime.FuncType([wasmtime.ValType.i32()] * abi.IMPORTS[module, name], [])

    def called(caller: wasmtime.Caller, *arguments: int) -> None:
        if log.admits():
            function(log, caller, [argument & _MASK for argument in arguments])

    # it must not hold the instance: the binding keeps it until the store is closed
    return wasmtime.Func(store, kind, called, access_caller=True)


def _said(log: Log, caller: wasmtime.Caller, arguments: Sequence[int]) -> None:
    level, at, size = arguments
    text = _bytes(caller, at, min(size, abi.LOG_LINE_BYTES)) if size <= abi.MEMORY_BYTES else None
    log.said(level, f"(a line of {size:,} bytes at {at:#x}, outside of its memory)" if text is None else text)


def _aborted(log: Log, caller: wasmtime.Caller, arguments: Sequence[int]) -> None:
    """AssemblyScript's abort(message, file, line, column); the program traps by itself behind it."""
    message, file, line, column = arguments
    log.said(0, f"abort: {_script_text(caller, message)} ({_script_text(caller, file)}:{line}:{column})")


def _script_text(caller: wasmtime.Caller, at: int) -> str:
    """A string of AssemblyScript: UTF-16, with its size in bytes before it."""
    size = _bytes(caller, at - 4, 4) if at >= 4 else None
    data = None if size is None else _bytes(caller, at, min(int.from_bytes(size, "little"), abi.LOG_LINE_BYTES))
    return "?" if data is None else data.decode("utf-16-le", "replace")


def _bytes(caller: wasmtime.Caller, at: int, size: int) -> bytes | None:
    """Of the memory of what calls; None if they are not all inside."""
    memory = caller.get("memory")
    if not isinstance(memory, wasmtime.Memory) or at + size > memory.data_len(caller):
        return None
    return bytes(memory.read(caller, at, at + size))
