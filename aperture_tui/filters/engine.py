"""What all filters share: wasmtime's compiler and settings, and the clock that stops a call which takes too long.

wasmtime's compiled code looks at a counter, the epoch, now and then; a thread raises it every 10 ms while a call is in
progress. Between calls it sleeps: drains come a few times a second, and a hundred wake-ups for nothing cost 1 % of a
core.
"""

from __future__ import annotations

import resource
import threading
import time
from typing import TYPE_CHECKING, Final

import wasmtime

from aperture_tui.filters import abi
from aperture_tui.filters.call import works

if TYPE_CHECKING:
    from types import TracebackType

_IDLE_TICKS: Final = 2
"""Ticks without a call after which the clock sleeps: it is not woken again for every slice of a large batch."""


class Engine:
    """One for a chain. Modules and instances belong to the engine that they were made with.

    fast: whether calls go round the slow typed binding, which is tried out once.
    """

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.parallel_compilation = False  # one core is enough to take from a loaded machine
        config.cranelift_nan_canonicalization = True  # the same floats on every machine
        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            # By default an instance has 4 GB of address space, so that its code needs no bounds checks, which take a
            # third of a batch's time. Under `ulimit -v` there is no such room.
            config.memory_reservation = abi.MEMORY_BYTES
            config.memory_guard_size = 1 << 16
        config.wasm_threads = False  # a memory that another thread can grow is no place to copy from
        config.wasm_memory64 = False
        config.wasm_multi_memory = False
        self.wasm = wasmtime.Engine(config)
        self.clock = Clock(self.wasm)
        with self.clock:
            self.fast = works(self.wasm)

    def close(self) -> None:
        """End the clock. Calls in progress are no longer stopped: there must be none."""
        self.clock.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Clock:
    """Ticks while it is entered, from any number of threads."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._inside = 0
        self._awake = False
        self._closed = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._awake:
                return
            self._awake = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="filter-clock", daemon=True)
                self._thread.start()
            self._wake.set()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._inside -= 1

    @property
    def awake(self) -> bool:
        """Whether it ticks just now."""
        return self._awake

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._closed = True
            self._wake.set()

    def _run(self) -> None:
        idle = 0
        while not self._closed:
            self._wake.wait()
            time.sleep(abi.TICK_S)
            self._engine.increment_epoch()
            with self._lock:
                idle = 0 if self._inside else idle + 1
                if idle >= _IDLE_TICKS and not self._closed:
                    self._awake = False
                    self._wake.clear()
