"""How long a call may take: about 50 ms of a processor, not of the time that a loaded machine makes it wait.

The clock counts time that passes. Where forty tasks want two processors, a call of 50 µs that is preempted waits for
longer than it may take; a filter must not be ended for that, least of all in the middle of an incident.
"""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.filters.abi import GRACE_NS
from aperture_tui.filters.call import address, bound

if TYPE_CHECKING:
    import wasmtime

_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint8)
)
_CONTINUE: Final = 0  # WASMTIME_UPDATE_DEADLINE_CONTINUE
_WORDS: Final = ctypes.create_string_buffer(b"it took too long")


class Allowance:
    """Of the calls of one store. stopped: the last call was, for it took too long."""

    def __init__(self, store: wasmtime.Store) -> None:
        self.stopped = False
        self._context = address(store._context())
        self._set_deadline = bound("wasmtime_context_set_epoch_deadline", 2, None)
        self._new_error = bound("wasmtime_error_new", 1, ctypes.c_size_t)
        self._since_ns = 0
        self._called = _CALLBACK(self._due)  # it must live as long as the store
        bound("wasmtime_store_epoch_deadline_callback", 4, None)(address(store.ptr()), address(self._called), 0, 0)

    def begin(self, ticks: int) -> None:
        """A call begins, that may go on for so many ticks without being looked at."""
        self._since_ns = 0
        self.stopped = False
        self._set_deadline(self._context, ticks)

    def _due(self, _context: int, _data: int, more: Any, kind: Any) -> int:
        """Called in the thread of the call, when its ticks are over: 0 to go on for a tick, or an error."""
        more[0], kind[0] = 1, _CONTINUE
        now_ns = time.thread_time_ns()
        self._since_ns = self._since_ns or now_ns
        if now_ns - self._since_ns < GRACE_NS:
            return 0
        self.stopped = True
        error: int = self._new_error(ctypes.addressof(_WORDS))
        return error
