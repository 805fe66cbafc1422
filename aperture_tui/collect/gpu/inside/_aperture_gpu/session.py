"""What is done while somebody asks: CUPTI is switched on, read a few times a second, and switched off again."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

import numpy as np

from . import records, wire
from .devices import devices
from .governor import CALLS, RECORDS, SUMS, WORDS, Governor
from .outbox import Outbox

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
_CALL_BIT = 1 << 63
"""Of a name's number: it is a call's, not a pointer or the number of a text."""


class AsideError(RuntimeError):
    """Why CUPTI is left to somebody else, or cannot be had, in one line."""


def somebody_else() -> str:
    """Which other profiler has CUPTI in this process; "" if none is known to."""
    if os.environ.get("NSYS_PROFILING_SESSION_ID"):
        return "Nsight Systems"
    injected = os.environ.get("CUDA_INJECTION64_PATH", "")
    if injected:
        return os.path.basename(injected)
    torch = sys.modules.get("torch")
    enabled = getattr(getattr(getattr(torch, "_C", None), "_autograd", None), "_profiler_enabled", None)
    try:
        return "torch.profiler" if enabled is not None and enabled() else ""
    except Exception:  # an older torch: then it is not known
        return ""


class Collecting:
    """CUPTI while it is on. Raises AsideError from the beginning if it cannot be."""

    def __init__(self, outbox: Outbox, wish: int, limit: float) -> None:
        self._outbox = outbox
        finest = CALLS if wish & wire.WISH_CALLS else RECORDS
        self.governor = Governor(limit, finest)
        self._cupti = _imported()
        self._source = _source(self._cupti)
        self._calls = _calls(self._cupti)
        self._on: list[int] = []
        self._failed: dict[str, str] = {}
        self.aside = ""
        self._cost_ns = self._source.cost_ns
        self._refused_before = self._source.refused
        self._begin()
        self._outbox.rows(wire.DEVICES, devices())

    # -- on and off

    def _begin(self) -> None:
        other = somebody_else()
        if other:
            raise AsideError(f"{other} has CUPTI in this process")
        try:
            set_type = getattr(self._cupti, "set_thread_id_type", None)
            if set_type is not None:
                set_type(1)  # SYSTEM: as the kernel numbers threads
        except Exception as error:  # each version has other errors
            self._failed["thread numbers"] = str(error)
        try:
            self._source.register()
            for kind in _BASE:
                self._enable(kind, needed=kind == records.CONCURRENT_KERNEL)
        except AsideError:
            self.end()
            raise
        except Exception as error:
            self.end()
            raise AsideError(_explained(error)) from None
        self._follow()

    def _enable(self, kind: int, needed: bool = False) -> None:
        if kind in self._on:
            return
        try:
            self._cupti.activity_enable(kind)
            self._on.append(kind)
        except Exception as error:
            if needed:
                raise AsideError(_explained(error)) from None
            self._failed[f"kind {kind}"] = _explained(error)

    def _disable(self, kind: int) -> None:
        if kind in self._on:
            self._on.remove(kind)
            try:
                self._cupti.activity_disable(kind)
            except Exception as error:
                self._failed[f"kind {kind}"] = _explained(error)

    def _follow(self) -> None:
        """Have on what the governor's level has."""
        if self.governor.level == CALLS:
            self._enable_calls(records.RUNTIME, "runtime", lambda name: not _QUIET.match(name))
            self._enable_calls(records.DRIVER, "driver", lambda name: bool(_LAUNCHES.fullmatch(name)))
        else:
            self._disable(records.RUNTIME)
            self._disable(records.DRIVER)

    def _enable_calls(self, kind: int, words: str, wanted: Any) -> None:
        """All calls of a kind, then not those that are not wanted: the other way round CUPTI 13.0 tells of none.

        torch asks which device is current half a dozen times for each kernel that it launches.
        """
        switch = getattr(self._cupti, f"activity_enable_{words}_api", None)
        if kind in self._on:
            return
        if kind == records.DRIVER and switch is None:  # every call of the runtime makes some of the driver
            return
        self._enable(kind)
        for number, name in self._calls.names[kind == records.DRIVER].items():
            if switch is not None and not wanted(name):
                try:
                    switch(number, 0)
                except Exception as error:  # of some numbers of its own CUPTI knows nothing
                    self._failed.setdefault(f"calls of the {words}", _explained(error))

    def end(self, last: bool = False) -> None:
        """Switch everything off; CUPTI stays loaded, because to unload it spoils it for the process. last: it ends."""
        if last:
            self._flush(1)
            self.read()
        for kind in list(self._on):
            self._disable(kind)
        if not last:  # what comes after the last word is nobody's, and would be found by the next one who asks
            self._flush(0)
            for _ in self._source.take():
                pass

    # -- reading

    def tick(self, wall_ns: int, own_ns: int) -> None:
        """A few times a second. own_ns: CPU time of the agent's thread since the last time."""
        other = somebody_else()
        if other and not self.aside:
            self.end()
        self.aside = other
        if other:
            return
        if not self._on:  # the other one is done: its callbacks are in the place of ours
            self._source.register()
            for kind in _BASE:
                self._enable(kind)
            self._follow()
        self._flush(0)
        self.read()
        of_cupti = self._source.cost_ns - self._cost_ns
        self._cost_ns = self._source.cost_ns
        if self.governor.step(wall_ns, own_ns + of_cupti):
            self._follow()

    def _flush(self, flag: int) -> None:
        try:
            self._cupti.activity_flush_all(flag)
        except Exception as error:
            self._failed["flush"] = _explained(error)

    def read(self) -> None:
        """What CUPTI has told, into the outbox."""
        for frame, rows in self._source.take():
            if frame == wire.CALLS:
                self._tell_calls(rows)
                continue
            if frame == wire.KERNELS:
                self._tell_names(rows["name"])
                if self.governor.level == SUMS:
                    frame, rows = wire.SUMS, records.sums(rows)
            self._outbox.rows(frame, rows)

    def _tell_names(self, numbers: Any) -> None:
        for number in set(numbers.tolist()):
            if not self._outbox.knows(number):
                self._outbox.name(number, self._source.text(number))

    def _tell_calls(self, rows: Any) -> None:
        rows = records.without_nested(rows)
        rows["name"] += rows["domain"].astype("u8") << 32
        for key in np.unique(rows["name"]).tolist():
            name = self._calls.name(key >> 32, key & 0xFFFF_FFFF)
            if _QUIET.match(name):  # of a CUPTI that cannot leave it out
                rows = rows[rows["name"] != key]
            else:
                self._outbox.name(_CALL_BIT + key, name)
        rows["name"] += np.uint64(_CALL_BIT)
        self._outbox.rows(wire.CALLS, rows)

    # -- telling

    def hello(self) -> dict[str, Any]:
        """Who tells, by what."""
        return {
            "python": sys.version.split()[0],
            "cupti_python": _version("cupti-python"),
            "torch": _version("torch") if "torch" in sys.modules else "",
            "callbacks": self._source.name,
            "clock_ns": [time.time_ns(), self._timestamp()],
        }

    def _timestamp(self) -> int | None:
        try:
            return int(self._cupti.get_timestamp())
        except Exception:
            return None

    def status(self) -> dict[str, Any]:
        """How it goes: all numbers since the beginning."""
        return {
            "aside": self.aside,
            "level": WORDS[self.governor.level],
            "share": self.governor.share,
            "cupti_ns": self._source.cost_ns,
            "dropped": dict(self._outbox.dropped),
            "refused": self._source.refused - self._refused_before,
            "unknown": {str(kind): n for kind, n in self._source.unknown.items()},
            "failed": self._failed,
        }


def _imported() -> Any:
    try:
        from cupti import cupti
    except ImportError:
        raise AsideError("cupti-python is not installed here: pip install 'cupti-python>=13.0.1,<14'") from None
    except Exception as error:
        raise AsideError(f"cupti-python cannot be imported: {error!r}") from None
    try:
        cupti.get_timestamp()  # loads libcupti
    except Exception as error:
        raise AsideError(_explained(error)) from None
    return cupti


def _source(cupti: Any) -> Any:
    from .source import Callbacks, Native

    library = os.environ.get("APERTURE_GPU_CALLBACKS", "")
    if library == "python":
        return Callbacks(cupti)
    if not library:
        raise AsideError("there are no compiled callbacks: a C compiler is needed (see docs/gpu.md)")
    try:
        return Native(cupti, library)
    except (OSError, AttributeError) as error:
        raise AsideError(f"the compiled callbacks cannot be used: {error}") from None


def _calls(cupti: Any) -> Any:
    from .source import Calls

    return Calls(cupti)


def _explained(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "MULTIPLE_SUBSCRIBERS" in text or "(39)" in text:
        return f"another profiler has CUPTI in this process ({text})"
    return text


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
