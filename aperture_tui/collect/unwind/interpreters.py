"""Which processes are CPython, and how the kernel is to read their frames."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.processes import alive
from aperture_tui.collect.unwind.kernel_maps import PYTHON
from aperture_tui.profile.text import clean
from aperture_tui.symbolize.cpython import Binaries, CPythonError, CPythonNotReady, Interpreter

if TYPE_CHECKING:
    from aperture_tui.collect.unwind.kernel_maps import KernelMaps
    from aperture_tui.symbolize.address_space import Mapping
    from aperture_tui.symbolize.cpython import Walk

_PAUSE_S, _LONG_PAUSE_S = 0.05, 2.0
_QUICK_TRIES: Final = 100
"""With the short pause between them: an interpreter starts in 20 ms, or in a second on a machine that is overrun."""
_QUICK_FAILURES, _FAILURES = 4, 8
"""After so many failures the pauses are long, and after so many a failure is believed: one that is overrun may stand
still in the middle of its start."""
_MAX_WAITING: Final = 1024
_MAX_REASONS: Final = 16
"""They name files and processes: past it they are counted together."""


def packed(walk: Walk) -> bytes:
    """A walk as bpf/unwind.h has it."""
    return PYTHON.pack(*astuple(walk))


@dataclass(frozen=True, slots=True)
class _Try:
    """due: on the clock. tries, failures: so far; not to be ready is no failure."""

    mappings: Sequence[Mapping]
    due: float = 0.0
    tries: int = 0
    failures: int = 0


class Interpreters:
    """Owned by the supply's thread."""

    def __init__(self, maps: KernelMaps, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """Reason -> processes whose Python frames are not read."""
        self._maps = maps
        self._clock = clock
        self._binaries = Binaries()
        self._waiting: dict[int, _Try] = {}
        self._refused: set[int] = set()

    def look(self, pid: int, mappings: Sequence[Mapping]) -> None:
        """A process has these mappings: if it is CPython, have its frames read, now or once it has started."""
        self._waiting.pop(pid, None)
        if pid != os.getpid():  # our own are of no use to anybody, and reading them would be a good part of our cost
            self._open(pid, _Try(mappings))

    def again(self) -> None:
        """Try those that had only begun to start."""
        now = self._clock()
        for pid in [pid for pid, one in self._waiting.items() if one.due <= now]:
            self._open(pid, self._waiting.pop(pid))

    def forget(self, pid: int) -> None:
        """The process is gone."""
        self._waiting.pop(pid, None)
        self._refused.discard(pid)

    @property
    def due(self) -> float:
        """When `again` has something to do, on the clock; infinity if never."""
        return min((one.due for one in self._waiting.values()), default=float("inf"))

    def _open(self, pid: int, one: _Try) -> None:
        try:
            found = Interpreter.open(pid, one.mappings, self._binaries)
        except CPythonError as error:
            if alive(pid):
                self._put_off(pid, one, error)
            return
        if found is not None and not self._maps.read_python(pid, packed(found.walk)):
            self._refuse(pid, "too many processes are CPython")

    def _put_off(self, pid: int, one: _Try, error: CPythonError) -> None:
        """Try again later, or believe that it cannot be done."""
        # a process that has just begun has not mapped all of its libraries yet
        failures = one.failures + (not isinstance(error, CPythonNotReady))
        if failures > _FAILURES:
            self._refuse(pid, str(error))
        elif len(self._waiting) >= _MAX_WAITING:
            self._refuse(pid, "too many processes are starting")
        else:
            is_quick = one.tries < _QUICK_TRIES and failures <= _QUICK_FAILURES
            pause_s = _PAUSE_S if is_quick else _LONG_PAUSE_S
            self._waiting[pid] = replace(one, due=self._clock() + pause_s, tries=one.tries + 1, failures=failures)

    def _refuse(self, pid: int, reason: str) -> None:
        """Count a process, once, however often it is looked at."""
        if pid in self._refused:
            return
        self._refused.add(pid)
        cause = f"Python frames not read: {clean(reason)}"
        if cause not in self.counts and len(self.counts) >= _MAX_REASONS:
            cause = "Python frames not read: for other reasons"
        self.counts[cause] += 1
