"""Which processes are CPython or V8, and how the kernel is to read their frames."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.unwind.kernel_maps import INTERPRETER
from aperture_tui.profile.text import clean
from aperture_tui.symbolize import v8
from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.cpython import (
    CPythonError,
    CPythonNotReady,
    Interpreter,
    Walk,
    binary_cache,
    is_python,
)

if TYPE_CHECKING:
    from aperture_tui.collect.unwind.kernel_maps import KernelMaps
    from aperture_tui.symbolize.address_space import Mapping

_PAUSE_S: Final = 0.05
"""Before the first tries: an interpreter starts in 20 ms."""
_STARTING, _FAILING = (8, 2.0), (2, 60.0)
"""Each later pause is this part of the time since the first try, and at most so many seconds. A program with libpython
that runs no Python (perf, gdb) is otherwise tried all the time, and whoever asks for tables waits for that.
"""
_QUICK_FAILURES: Final = 4
"""After so many a failure is told. None is believed for ever: a process may stand still in the middle of its start for
any time, as its disk or its debugger likes.
"""
_AT_ONCE: Final = 32
"""Tries between two looks at what the kernel asks for."""
_MAX_REASONS: Final = 16
"""They name files and processes: past it they are counted together."""
_members: Final = attrgetter(*(field.name for field in fields(Walk)))
_UNREAD: Final = "Python frames not read"
_FULL: Final = "Python and JavaScript frames not read: too many processes have some"


def packed(python: Walk | None, javascript: v8.Walk | None = None) -> bytes:
    """What the walk has to know of a process, as bpf/unwind_processes.h has it."""
    members = (0,) * len(fields(Walk)) if python is None else _members(python)
    others = (0,) * 3 if javascript is None else (javascript.shared, *javascript.handlers)
    return INTERPRETER.pack(*members, *others)


def may_be_one(mapping: Mapping) -> bool:
    """Whether a mapping may be an interpreter of those that are read."""
    return is_python(mapping) or v8.is_v8(mapping)


@dataclass(slots=True)
class _Try:
    """since, due: the first one, and the next one, on the clock. failures: so far; not to be ready is no failure."""

    since: float
    due: float = 0.0
    failures: int = 0


class Interpreters:
    """Owned by the supply's thread. At most as many processes wait as the kernel has tables of: see `keep`."""

    def __init__(self, maps: KernelMaps, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """Reason -> processes whose Python frames are not read."""
        self._maps = maps
        self._clock = clock
        self._binaries = binary_cache()
        self._v8_binaries = v8.binary_cache()
        self._waiting: dict[int, _Try] = {}
        self._told: dict[int, str] = {}

    def look(self, pid: int, mappings: Sequence[Mapping]) -> None:
        """A process has these mappings: if it is CPython or V8, have its frames read, now or once it has started."""
        self._waiting.pop(pid, None)
        if pid != os.getpid():  # our own are of no use to anybody, and reading them would be a good part of our cost
            self._open(pid, mappings, _Try(self._clock()))

    def again(self) -> bool:
        """Try those again that could not be read yet, some at a time -> whether one could."""
        now = self._clock()
        due = sorted((one.due, pid) for pid, one in self._waiting.items() if one.due <= now)
        found = False
        for _, pid in due[:_AT_ONCE]:
            one = self._waiting.pop(pid)
            try:
                mappings = executable_mappings(pid)  # it goes on mapping its libraries
            except OSError:
                continue  # it has ended
            found |= self._open(pid, mappings, one)
        return found

    def waits(self, pid: int) -> bool:
        """Whether a process is going to be tried again."""
        return pid in self._waiting

    def keep(self, pids: Container[int]) -> None:
        """All others are gone."""
        for known in (self._waiting, self._told):
            for pid in [pid for pid in known if pid not in pids]:
                del known[pid]

    @property
    def due(self) -> float:
        """When `again` has something to do, on the clock; infinity if never."""
        return min((one.due for one in self._waiting.values()), default=float("inf"))

    def _open(self, pid: int, mappings: Sequence[Mapping], one: _Try) -> bool:
        """Have its frames read, or try again later -> whether they are read now."""
        if (walk := self._v8_walk(pid, mappings)) is not None:
            return self._read(pid, packed(None, walk), one)
        try:
            found = Interpreter.open(pid, mappings, self._binaries)
        except CPythonError as error:
            # a process that has just begun has not mapped all of its libraries yet
            one.failures += not isinstance(error, CPythonNotReady)
            if one.failures > _QUICK_FAILURES:
                self._tell(pid, f"{_UNREAD}: {clean(str(error))}")
            self._put_off(pid, one)
            return False
        if found is None:
            return False
        return self._read(pid, packed(found.walk), one)

    def _v8_walk(self, pid: int, mappings: Sequence[Mapping]) -> v8.Walk | None:
        try:
            layout = v8.layout_in(pid, mappings, self._v8_binaries)
        except v8.V8Error:  # said by whoever cannot name what it runs
            return None
        return None if layout is None else layout.walk

    def _read(self, pid: int, walk: bytes, one: _Try) -> bool:
        if not self._maps.read_interpreter(pid, walk):
            self._tell(pid, _FULL)
            one.failures = max(one.failures, _QUICK_FAILURES + 1)
            self._put_off(pid, one)
            return False
        if (cause := self._told.pop(pid, None)) is not None:
            self.counts[cause] -= 1
        return True

    def _put_off(self, pid: int, one: _Try) -> None:
        now = self._clock()
        part, longest_s = _FAILING if one.failures > _QUICK_FAILURES else _STARTING
        one.due = now + min(longest_s, max(_PAUSE_S, (now - one.since) / part))
        self._waiting[pid] = one

    def _tell(self, pid: int, cause: str) -> None:
        """Count a process, once, however often it is looked at."""
        if pid in self._told:
            return
        if cause not in self.counts and len(self.counts) >= _MAX_REASONS:
            cause = f"{_UNREAD}: for other reasons"
        self._told[pid] = cause
        self.counts[cause] += 1
