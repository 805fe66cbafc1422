"""CUPTI in this process: what it records."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Any

from . import records

_QUIET = re.compile(
    r"(cuda|cu)(Get|Set|Peek|Event(Create|Destroy|Query|Record)|Occupancy|Func|Device(Get|Can|Primary)|Pointer|Ctx|Driver"
    r"|Runtime|Stream(IsCapturing|GetCapture|Query|Create|Destroy)|Thread|__)"
)
"""Calls that give no work to a GPU, wait for nothing, and are made all the time."""
_LAUNCHES = re.compile(r"cu(Launch(Kernel(Ex)?|CooperativeKernel)|GraphLaunch)")
"""Of the driver's calls those of programs, and of libraries, that do without the runtime."""
_BASE = (
    records.CONCURRENT_KERNEL,
    records.MEMCPY,
    records.MEMCPY2,
    records.MEMSET,
    records.SYNCHRONIZATION,
    records.OVERHEAD,
)


class AsideError(RuntimeError):
    """Why CUPTI is left to somebody else, or cannot be had, in one line."""


def is_quiet(name: str) -> bool:
    """Whether nothing is to be told of calls to this function."""
    return bool(_QUIET.match(name))


def somebody_else() -> str:
    """Which other profiler has CUPTI in this process; "" if none is known to."""
    if os.environ.get("NSYS_PROFILING_SESSION_ID"):
        return "Nsight Systems"
    injected = os.environ.get("CUDA_INJECTION64_PATH", "")
    if injected:
        return os.path.basename(injected)
    # torch._C._autograd._profiler_enabled() knows of the thread that asks, and the agent's is never the one
    profiler = sys.modules.get("torch.autograd.profiler")
    return "torch.profiler" if getattr(profiler, "_is_profiler_enabled", False) is True else ""


class Attached:
    """Owned by the agent's thread, which alone calls CUPTI."""

    def __init__(self, cupti: Any, source: Any, names: Any) -> None:
        self._cupti = cupti
        self._source = source
        self._names = names
        self.wants_calls = False
        """Calls of the runtime are told, too."""
        self.wants_driver = False
        """Those of the driver as well. They cost twice, because each call of the runtime makes some: not before it is
        seen that the program launches by them."""
        self._on: list[int] = []
        self.failed: dict[str, str] = {}
        """What could not be done: why."""

    def begin(self) -> None:
        """Have kernels, copies and waits recorded, and calls that are wanted. Raises AsideError."""
        other = somebody_else()
        if other:
            raise AsideError(f"{other} has CUPTI in this process")
        try:
            set_type = getattr(self._cupti, "set_thread_id_type", None)
            if set_type is not None:
                set_type(1)  # SYSTEM: as the kernel numbers threads
        except Exception as error:  # each version has other errors
            self.failed["thread numbers"] = str(error)
        try:
            self._source.register()
            for kind in _BASE:
                self._enable(kind, needed=kind == records.CONCURRENT_KERNEL)
        except AsideError:
            self.end()
            raise
        except Exception as error:
            self.end()
            raise AsideError(explained(error)) from None
        self.begin_calls()

    def begin_calls(self) -> None:
        """Have calls told that are wanted."""
        if self.wants_calls:
            self._enable_calls(records.RUNTIME, "runtime", lambda name: not is_quiet(name))
        if self.wants_calls and self.wants_driver:
            self._enable_calls(records.DRIVER, "driver", lambda name: bool(_LAUNCHES.fullmatch(name)))

    def end(self) -> None:
        """Have nothing more recorded."""
        for kind in list(self._on):
            self._disable(kind)

    def let_go(self) -> None:
        """Somebody else has CUPTI now, and what is on is on for both: to switch it off would be to take it from them.

        They switch off what they use when they are done; begin() has the rest switched on by us again.
        """
        self._on.clear()

    def flush(self, flag: int) -> None:
        """Have CUPTI give back its buffers: 0 what is complete, 1 all."""
        try:
            self._cupti.activity_flush_all(flag)
        except Exception as error:
            self.failed["flush"] = explained(error)

    def _enable(self, kind: int, needed: bool = False) -> None:
        if kind in self._on:
            return
        try:
            self._cupti.activity_enable(kind)
            self._on.append(kind)
        except Exception as error:
            if needed:
                raise AsideError(explained(error)) from None
            self.failed[f"kind {kind}"] = explained(error)

    def _disable(self, kind: int) -> None:
        if kind in self._on:
            self._on.remove(kind)
            try:
                self._cupti.activity_disable(kind)
            except Exception as error:
                self.failed[f"kind {kind}"] = explained(error)

    def _enable_calls(self, kind: int, words: str, wanted: Callable[[str], bool]) -> None:
        """All calls of a kind, then not those that are not wanted: the other way round CUPTI 13.0 tells of none.

        torch asks which device is current half a dozen times for each kernel that it launches.
        """
        switch = getattr(self._cupti, f"activity_enable_{words}_api", None)
        if kind in self._on:
            return
        if kind == records.DRIVER and switch is None:  # every call of the runtime makes some of the driver
            return
        self._enable(kind)
        for number, name in self._names.names[kind == records.DRIVER].items():
            if switch is not None and not wanted(name):
                try:
                    switch(number, 0)
                except Exception as error:  # of some numbers of its own CUPTI knows nothing
                    self.failed.setdefault(f"calls of the {words}", explained(error))


def explained(error: Exception) -> str:
    """An error of CUPTI's, in one line."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "MULTIPLE_SUBSCRIBERS" in text or "(39)" in text:
        return f"another profiler has CUPTI in this process ({text})"
    return text
