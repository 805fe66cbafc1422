"""Records out of CUPTI: by callbacks that are compiled (callbacks.c), or if the user insists by callbacks in Python.

Owned by the agent's thread, but for the callbacks themselves.
"""

from __future__ import annotations

import ctypes
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import records

BUFFER_BYTES = 1 << 20
_BUFFERS = 32
_KINDS = 64
_WAITING = 200_000
"""Objects that wait for the agent's thread, at most."""

Told = Iterator[tuple[int, Any]]
"""(type of frame, rows)."""


class Native:
    """library: callbacks.c, compiled."""

    name = "native"

    def __init__(self, cupti: Any, library: str) -> None:
        self._own = ctypes.CDLL(library)
        self._cupti = ctypes.CDLL(mapped("libcupti"))
        self._types = dtypes(cupti)
        self._own.aperture_count.restype = ctypes.c_size_t
        self._own.aperture_copy.restype, self._own.aperture_refused.restype = None, ctypes.c_uint64
        self._own.aperture_open(
            self._cupti.cuptiActivityGetNextRecord, ctypes.c_size_t(BUFFER_BYTES), ctypes.c_size_t(_BUFFERS)
        )
        self.unknown: dict[int, int] = {}
        self.cost_ns = 0
        """What CUPTI says of itself; these callbacks take too little to be measured."""

    def register(self) -> None:
        """Have CUPTI call. Raises OSError."""
        code = self._cupti.cuptiActivityRegisterCallbacks(self._own.aperture_requested, self._own.aperture_completed)
        if code:
            raise OSError(f"cuptiActivityRegisterCallbacks: error {code}")

    @property
    def refused(self) -> int:
        """How often CUPTI had no buffer, and so dropped records."""
        return int(self._own.aperture_refused())

    def take(self) -> Told:
        """Everything in full buffers."""
        counts = np.zeros(_KINDS, np.uint64)
        buffers = ctypes.c_size_t(self._own.aperture_count(_pointer(counts), ctypes.c_uint32(_KINDS)))
        if not buffers:
            return
        copied = self._copied(buffers, counts)
        self._own.aperture_done(buffers)
        for kind, rows in copied.items():
            if kind == records.OVERHEAD:
                self.cost_ns += records.cost_ns(rows.view(np.recarray))
            else:
                yield records.of_array(kind, rows)

    def _copied(self, buffers: ctypes.c_size_t, counts: Any) -> dict[int, Any]:
        """Kind -> rows of these, the oldest, buffers."""
        rows: dict[int, Any] = {}
        for kind in np.flatnonzero(counts).tolist():
            if kind in self._types and (kind == records.OVERHEAD or records.known(kind)):
                rows[kind] = np.zeros(int(counts[kind]), self._types[kind])
            else:
                self.unknown[kind] = self.unknown.get(kind, 0) + int(counts[kind])
        sizes, to, room, done = (np.zeros(_KINDS, np.uint64) for _ in range(4))
        for kind, array in rows.items():
            sizes[kind], to[kind], room[kind] = array.dtype.itemsize, array.ctypes.data, len(array)
        self._own.aperture_copy(buffers, ctypes.c_uint32(_KINDS), *map(_pointer, (sizes, to, room, done)))
        return {kind: array[: int(done[kind])] for kind, array in rows.items()}

    def text(self, number: int) -> str:
        """The name behind a pointer of a kernel's record."""
        raw = ctypes.string_at(number) if number else b""
        return raw.decode("utf-8", "backslashreplace")


def _pointer(array: Any) -> ctypes.c_void_p:
    pointer: ctypes.c_void_p = array.ctypes.data_as(ctypes.c_void_p)
    return pointer


class Callbacks:
    """In Python. A thread that has the interpreter and calls CUDA can wait for ever for one that is in here."""

    name = "python"

    def __init__(self, cupti: Any) -> None:
        self._register = cupti.activity_register_callbacks
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Any]] = []
        self._held = 0
        self._names: dict[str, int] = {}
        self._texts: list[str] = [""]
        self.refused = 0
        """Records that found no room."""
        self.unknown: dict[int, int] = {}
        self.cost_ns = 0
        """In callbacks, and what CUPTI says of itself."""

    def register(self) -> None:
        """Have CUPTI call."""
        self._register(lambda: (BUFFER_BYTES, 0), self._completed)

    def _completed(self, told: Any) -> None:
        began = time.thread_time_ns()
        for kind, some in records.by_kind(told).items():
            if records.known(kind):
                made = records.of_objects(kind, some, self._number)
                with self._lock:
                    if self._held + len(some) > _WAITING:
                        self.refused += len(some)
                    else:
                        self._held += len(some)
                        self._waiting.append(made)
            elif kind == records.OVERHEAD:
                self.cost_ns += records.cost_ns(some)
            else:
                self.unknown[kind] = self.unknown.get(kind, 0) + len(some)
        self.cost_ns += time.thread_time_ns() - began

    def take(self) -> Told:
        """Everything that was told."""
        with self._lock:
            told, self._waiting, self._held = self._waiting, [], 0
        yield from told

    def _number(self, name: Any) -> int:
        text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name or "")
        known = self._names.get(text)
        if known is None:
            with self._lock:
                known = self._names[text] = len(self._texts)
                self._texts.append(text)
        return known

    def text(self, number: int) -> str:
        """The name of a number."""
        return self._texts[number] if number < len(self._texts) else ""


def mapped(name: str) -> str:
    """The path of a library that this process has loaded. Raises OSError."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            found = re.search(rf"\s(/\S*{name}\.so[^\s/]*)$", line)
            if found:
                return found[1]
    raise OSError(f"{name} is not loaded")


_TYPES: dict[int, str] = {
    records.KERNEL: "kernel",
    records.CONCURRENT_KERNEL: "kernel",
    records.MEMCPY: "memcpy",
    records.MEMCPY2: "memcpy_pto_p",
    records.MEMSET: "memset",
    records.RUNTIME: "api",
    records.DRIVER: "api",
    records.SYNCHRONIZATION: "synchronization",
    records.OVERHEAD: "overhead",
}


def dtypes(cupti: Any) -> dict[int, Any]:
    """Kind -> cupti-python's newest layout of it. Newer ones have more at their end, and nothing else."""
    out: dict[int, Any] = {}
    for kind, name in _TYPES.items():
        best: tuple[int, str] | None = None
        for attribute in dir(cupti):
            found = re.fullmatch(rf"activity_{name}(\d*)_dtype", attribute)
            if found and (best is None or int(found[1] or 0) > best[0]):
                best = (int(found[1] or 0), attribute)
        if best is not None:
            out[kind] = np.dtype(getattr(cupti, best[1]))
    return out


_VERSION = re.compile(r"(_ptsz|_ptds)?(_v\d+)?$")


class Calls:
    """The functions that CUPTI tells of, by domain (0 the runtime, 1 the driver) and number."""

    def __init__(self, cupti: Any) -> None:
        self._enums = (getattr(cupti, "runtime_api_trace_cbid", ()), getattr(cupti, "driver_api_trace_cbid", ()))
        self.names = [{int(call): _VERSION.sub("", str(call.name)) for call in enum} for enum in self._enums]

    def name(self, domain: int, number: int) -> str:
        """Without its version."""
        return self.names[domain].get(number, f"call {number}") if domain < len(self.names) else f"call {number}"
