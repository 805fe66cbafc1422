"""What is done while somebody asks: CUPTI records, all the time or in moments, and what it has told is sent."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from typing import Any

import numpy as np

from . import records, wire
from .attached import AsideError, Attached, explained, is_quiet, somebody_else
from .devices import devices
from .governor import ATTACH_NS, Governor, cost_ns
from .outbox import Outbox

_CALL_BIT = 1 << 63
"""Of a name's number: it is a call's, not a pointer or the number of a text."""
_LAUNCH = re.compile(r"(cuda|cu)(Launch(Cooperative)?Kernel|GraphLaunch)")
"""Calls that a kernel comes of."""
_TICK_S = 0.25
_MOMENT_S = 0.1
"""How long a moment lasts in which everything is recorded, where that cannot be done all the time."""
_LATE_S = 0.05
_LATEST_S = 1.0
"""How often, and how long, what was launched in a moment is waited for: a GPU may be some milliseconds behind."""
_LONGEST_S = 1.0
"""Between two looks whether there is something left to be spent."""
_BY_DRIVER = 50
"""Of so many kernels one that no call of the runtime has launched, and the driver's calls are asked for as well."""
_MOST_EACH = (1 << 16) - 1
_MOST_AWAITED = 1 << 14
"""Some calls never have a kernel: those that a graph is captured from."""
_ON, _LATE, _OFF = range(3)
"""All is recorded; what was launched is waited for; CUPTI is detached."""


class Collecting:
    """Records for one who asks. Raises AsideError from the beginning if CUPTI cannot be had.

    Recording is paid for out of a budget (governor.py). When that is spent CUPTI is detached, and attached again for a
    moment when there is something left: so nothing is paid in between. What is recorded in a moment stands for the
    time since the moment before as well.
    """

    def __init__(self, outbox: Outbox, wish: int, limit: float) -> None:
        self._outbox = outbox
        self.governor = Governor(limit)
        self._cupti = _imported()
        self._source = _source(self._cupti)
        self._names = _names(self._cupti)
        self._attached = Attached(self._cupti, self._source, self._names, bool(wish & wire.WISH_CALLS))
        self.aside = ""
        self._cupti_ns = self._source.cost_ns
        self._refused_before = self._source.refused
        self._state = _OFF
        self._ended = self._due = self._not_before = self._off_s = 0.0
        """Monotonic seconds: when the moment before ended, when the next begins, when attaching is tried again after a
        failure; and how long nothing was recorded before the moment that goes on. 0: none."""
        self._each = 1
        self._in_moments = False
        self._is_first = True
        """What recording costs this program is not known yet."""
        self._why = ""
        """Why CUPTI could not be attached again."""
        self._awaited = np.zeros(0, np.uint32)
        """Correlations of what was launched, without what is told of."""
        self._oldest: Any = None
        self._newest: Any = None
        """The correlations of the first and the last call of a moment: what came before or comes later is not of it."""
        self._attach()
        self._outbox.rows(wire.DEVICES, devices())

    # -- moments

    @property
    def pause_s(self) -> float:
        """How long until the next tick."""
        if self.aside or self._why:
            return _LONGEST_S
        if self._state == _OFF:
            left = self._due - time.monotonic() if self._due else self.governor.wait_ns / 1e9
            return min(_LONGEST_S, max(_LATE_S / 10, left))
        if self._state == _LATE:
            return _LATE_S
        return _MOMENT_S if self._off_s or self._is_first else _TICK_S

    def tick(self, wall_ns: int, own_ns: int, program_ns: int) -> None:
        """A few times a second.

        own_ns: CPU time of the agent's thread since the last time. program_ns: that of all others of the process.
        """
        self.governor.passed(wall_ns, program_ns)
        self.governor.spend(own_ns)
        other = somebody_else()
        if other and not self.aside:
            self._attached.end()  # not detached: that would take CUPTI from the other one
            self._state, self._due, self._ended = _OFF, 0.0, 0.0
        self.aside = other
        if other:
            return
        if self._state == _OFF:
            self._attach_if_due()
            return
        self._is_first = False
        if self._state == _ON and self._off_s:
            self._end_moment()
        self._take()
        if self._state == _ON and not self.governor.may_record:
            self._end_moment()
            self._take()  # what was called since the last time
        if self._state == _LATE and (not len(self._awaited) or time.monotonic() - self._ended >= _LATEST_S):
            self._go_on_or_detach()

    def _end_moment(self) -> None:
        """What is called from now on is not told; what was launched before is waited for."""
        self._attached.end_calls()
        self._state, self._ended = _LATE, time.monotonic()
        if self._off_s:
            on_s = max(self._ended - self._attached.since, 1e-3)
            self._each = min(_MOST_EACH, round((self._off_s + on_s) / on_s))
            self._off_s = 0.0

    def _go_on_or_detach(self) -> None:
        if self.governor.may_record:
            self._attached.begin_calls()
            self._state, self._each, self._ended, self._in_moments = _ON, 1, 0.0, False
            return
        self._attached.detach()
        for _ in self._source.take():  # of nobody's moment
            pass
        self.governor.spend(ATTACH_NS)
        self._state, self._due, self._in_moments = _OFF, 0.0, True

    def _attach(self) -> None:
        self._attached.begin()
        self._why = ""
        self._off_s = self._attached.since - self._ended if self._ended else 0.0
        self._awaited, self._oldest, self._newest = np.zeros(0, np.uint32), None, None
        self._state = _ON

    def _attach_if_due(self) -> None:
        """When there is something left to be spent, at a whole number of moments, which is left to chance in part:
        a program may have a rhythm of its own.
        """
        now = time.monotonic()
        if not self.governor.may_record or now < self._not_before:
            return
        if not self._due and self._ended:
            moments = 1 + int((now - self._ended) / _MOMENT_S)
            self._due = self._ended + _MOMENT_S * (moments + random.randrange(1 + moments // 4))  # noqa: S311
        if now >= self._due:
            try:
                self._attach()
            except AsideError as error:
                self._why = str(error)
                self._not_before = now + _LONGEST_S

    def end(self, last: bool = False) -> None:
        """Have nothing more recorded, and CUPTI detached. last: the program ends, with what was told until then."""
        if self._state == _OFF:
            return
        if last:
            self._attached.flush(1)
            self.read()
            self._attached.end()
        else:
            self._attached.end()
            self._attached.flush(0)
            for _ in self._source.take():  # what comes after the last word would be found by the next one who asks
                pass
            if not somebody_else():
                self._attached.detach()

    # -- reading

    def _take(self) -> None:
        """What is complete until now."""
        self._attached.flush(0)
        self.read()

    def read(self) -> None:
        """What CUPTI has told, into the outbox."""
        told: dict[int, list[Any]] = {}
        for frame, rows in self._source.take():
            told.setdefault(frame, []).append(rows)
        of_cupti, self._cupti_ns = self._source.cost_ns - self._cupti_ns, self._source.cost_ns
        whole = {frame: np.concatenate(some) for frame, some in told.items()}
        kernels, calls = (whole.get(f, np.zeros(0, wire.LAYOUTS[f])) for f in (wire.KERNELS, wire.CALLS))
        copies = whole.get(wire.COPIES, ())
        of_graphs = int(np.count_nonzero(kernels["graph"]))
        self.governor.spend(of_cupti + cost_ns(len(kernels) - of_graphs, of_graphs, len(copies), len(calls)))
        self._look_for_driver(kernels, calls)
        launched = self._tell_calls(calls)
        awaited = np.setdiff1d(np.concatenate((self._awaited, launched)), kernels["correlation"])
        self._awaited = awaited[-_MOST_AWAITED:]
        for frame, rows in whole.items():
            if frame == wire.CALLS:
                continue
            rows = self._of_moment(rows)
            if frame == wire.KERNELS:
                self._tell_kernel_names(rows["name"])
            self._outbox.rows(frame, rows, self._each)

    def _of_moment(self, rows: Any) -> Any:
        """Those that were launched while calls were told."""
        if self._oldest is None:
            return rows
        keep = (rows["correlation"] - self._oldest).astype(np.int32) >= 0
        if self._state == _LATE:
            keep &= (rows["correlation"] - self._newest).astype(np.int32) <= 0
        return rows[keep]

    def _look_for_driver(self, kernels: Any, calls: Any) -> None:
        """Whether the program launches by the driver's calls, which nobody tells of yet."""
        if self._state != _ON or self._attached.wants_driver:
            return
        alone = kernels["correlation"][kernels["graph"] == 0]
        unknown = ~np.isin(alone, np.concatenate((calls["correlation"], self._awaited)))
        if np.count_nonzero(unknown) * _BY_DRIVER > len(alone):
            self._attached.wants_driver = True
            self._attached.begin_calls()

    def _tell_kernel_names(self, numbers: Any) -> None:
        for number in set(numbers.tolist()):
            if not self._outbox.knows(number):
                self._outbox.name(number, self._source.text(number))

    def _tell_calls(self, rows: Any) -> Any:
        """-> the correlations of those that a kernel comes of, (n,) u32."""
        if len(rows):
            order = (rows["correlation"] - rows["correlation"][0]).astype(np.int32)  # numbers begin anew one day
            first, self._newest = (rows["correlation"][i] for i in (np.argmin(order), np.argmax(order)))
            self._oldest = first if self._oldest is None else self._oldest
        rows = records.without_nested(rows)
        rows["name"] += rows["domain"].astype("u8") << 32
        launched = np.zeros(len(rows), bool)
        for key in np.unique(rows["name"]).tolist():
            name = self._names.name(key >> 32, key & 0xFFFF_FFFF)
            of_key = rows["name"] == key
            if is_quiet(name):  # of a CUPTI that cannot leave it out
                rows, launched = rows[~of_key], launched[~of_key]
                continue
            self._outbox.name(_CALL_BIT + key, name)
            launched[of_key] = bool(_LAUNCH.match(name))
        rows["name"] += np.uint64(_CALL_BIT)
        self._outbox.rows(wire.CALLS, rows, self._each)
        return rows["correlation"][launched]

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
            "aside": self.aside or self._why,
            "in_moments": self._in_moments,
            "each": self._each,
            "share": self.governor.share,
            "cupti_ns": self._source.cost_ns,
            "dropped": dict(self._outbox.dropped),
            "refused": self._source.refused - self._refused_before,
            "unknown": {str(kind): n for kind, n in self._source.unknown.items()},
            "failed": self._attached.failed,
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
        raise AsideError(explained(error)) from None
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


def _names(cupti: Any) -> Any:
    from .source import Calls

    return Calls(cupti)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
