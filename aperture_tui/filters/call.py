"""Calls of a module's functions: 1.5 µs by wasmtime's unchecked entry, 18 µs and more by its typed binding.

The unchecked entry believes what it is given, so signatures are compared when a module is loaded (`module`). It is
not part of the package's public interface: the version is pinned, and it is tried out before it is used.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import wasmtime
from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi
from wasmtime import _func

from aperture_tui.filters.errors import FaultError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_U32: Final = 0xFFFFFFFF
_NUMBER: Final = re.compile(r"^\d+: ")  # before each of several causes
_RAW: Final = 16  # bytes of a wasmtime_val_raw_t

_WORDS: Final = {
    wasmtime.TrapCode.STACK_OVERFLOW: "its stack overflowed",
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: "it reached outside of its memory",
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: "it reached outside of its table",
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: "it divided by zero",
    wasmtime.TrapCode.UNREACHABLE: "it gave up (unreachable: a panic or an abort)",
}


class Call(Protocol):
    """A function of an instance: takes and gives uint32. Raises FaultError."""

    def __call__(self, first: int = 0, second: int = 0) -> int: ...


def bound(name: str, arguments: int, result: Any) -> Callable[..., Any]:
    """A C function of wasmtime's library; addresses, and numbers of 64 bits, are plain numbers.

    It is an object of ours, not that of the binding.
    """
    function = ffi.dll[name]
    function.argtypes = [ctypes.c_size_t] * arguments
    function.restype = result
    return function


def address(pointer: Any) -> int:
    """Of what a ctypes pointer or structure is at."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


class FastCall:
    """By wasmtime_func_call_unchecked, with room for arguments and result that is made once.

    The function must take at most two i32, and give one.
    """

    def __init__(self, store: wasmtime.Store, function: wasmtime.Func) -> None:
        self._entry = bound("wasmtime_func_call_unchecked", 5, ctypes.c_void_p)
        self._room = (ctypes.c_uint8 * (2 * _RAW))()
        self._first, self._second = (ctypes.c_uint32.from_buffer(self._room, _RAW * i) for i in range(2))
        self._trap = ctypes.c_void_p()
        self._function = function  # it holds what the address below is of
        self._at = (
            address(store._context()),
            ctypes.addressof(function._func),
            ctypes.addressof(self._room),
            2,
            ctypes.addressof(self._trap),
        )

    def __call__(self, first: int = 0, second: int = 0) -> int:
        """See `Call`."""
        self._first.value, self._second.value = first, second
        error = self._entry(*self._at)
        if error or self._trap.value:
            raise self._failure(error)
        return self._first.value

    def _failure(self, error: int | None) -> BaseException:
        trap, self._trap.value = self._trap.value, None
        if error:
            words = wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(bindings.wasmtime_error_t)))
            return FaultError(cause(words))
        made = wasmtime.Trap._from_ptr(ctypes.cast(trap or 0, ctypes.POINTER(bindings.wasm_trap_t)))
        if (raised := _raised()) is not None:
            return raised
        return trapped(made)


class StockCall:
    """The same by wasmtime's own binding."""

    def __init__(self, store: wasmtime.Store, function: wasmtime.Func) -> None:
        self._store, self._function = store, function
        self._takes = len(function.type(store).params)

    def __call__(self, first: int = 0, second: int = 0) -> int:
        """See `Call`."""
        arguments = (_signed(first), _signed(second))[: self._takes]
        try:
            return int(self._function(self._store, *arguments)) & _U32
        except wasmtime.Trap as trap:
            raise trapped(trap) from None
        except wasmtime.WasmtimeError as error:
            raise FaultError(cause(error)) from None


def trapped(trap: wasmtime.Trap) -> FaultError:
    """A trap in words, without its backtrace."""
    code = trap.trap_code
    if code is None:
        return FaultError(one_line(trap.message.partition("Caused by:")[2] or trap.message))
    return FaultError(_WORDS.get(code, f"it trapped: {code.name.lower().replace('_', ' ')}"))


def cause(error: wasmtime.WasmtimeError) -> str:
    """The innermost cause of an error in one line, without where in the program it was met."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(_NUMBER.sub("", lines[-1]) if lines else "unknown")


def works(engine: wasmtime.Engine) -> bool:
    """Whether the fast way gives results, and traps, as it should."""
    with wasmtime.Store(engine) as store:
        store.set_epoch_deadline(1000)
        exports = wasmtime.Instance(store, wasmtime.Module(engine, _TRIAL), []).exports(store)
        minus, trap = exports["minus"], exports["trap"]
        if not isinstance(minus, wasmtime.Func) or not isinstance(trap, wasmtime.Func):
            return False
        try:
            if FastCall(store, minus)(5, 7) != (5 - 7) & _U32:
                return False
            FastCall(store, trap)()
        except FaultError as error:
            return str(error) == _WORDS[wasmtime.TrapCode.UNREACHABLE]
        except (AttributeError, TypeError, ValueError, ctypes.ArgumentError):
            pass
    return False


def _raised() -> BaseException | None:
    """What was raised in a host function: the binding puts it aside, and throws it only from its own calls."""
    raised, _func.LAST_EXCEPTION = _func.LAST_EXCEPTION, None
    return raised


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


# (func (export "minus") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
# (func (export "trap") (result i32) unreachable)
_TRIAL: Final = (
    b"\0asm\1\0\0\0"
    b"\x01\x0b\x02\x60\x02\x7f\x7f\x01\x7f\x60\x00\x01\x7f"  # types
    b"\x03\x03\x02\x00\x01"  # functions
    b"\x07\x10\x02\x05minus\x00\x00\x04trap\x00\x01"  # exports
    b"\x0a\x0d\x02\x07\x00\x20\x00\x20\x01\x6b\x0b\x03\x00\x00\x0b"  # code
)
