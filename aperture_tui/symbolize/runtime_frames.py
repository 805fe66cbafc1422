"""Frames of code that a runtime has made or interprets, as its own data in the process's memory say.

For what has a reader here nothing has to be switched on in the process; the others write perf maps (`runtimes.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize import mapping as mapped
from aperture_tui.symbolize.runtimes import runtime_of

OBJECT: Final = 1 << 62
"""Of a word of a user stack, which has bit 63 clear: no address, but what the runtime has for the frame (OBJECT of
bpf/walk.h): a Method of HotSpot."""
_TOP, _ONE = np.uint64(62), np.uint64(1)
_REFRESH_S: Final = 1.0
_EAGER_S: Final = 0.02
"""Where code was met that was not known; each time in vain it is twice as long, up to _LONGEST_EAGER_S."""
_LONGEST_EAGER_S: Final = 4.0
_SHARE: Final = 100
"""What was read is left alone for so many times the CPU time that reading it took."""
_RETRY_S, _LONGEST_S = 0.1, 16.0
"""Of a runtime that could not be opened: the first pause, each later one is twice as long."""

Ranges = Sequence[tuple[int, int]]


class RuntimeReader(Protocol):
    """What one process's runtime has made. Owned by one thread."""

    def refresh(self) -> Ranges:
        """Look for what is new -> the ranges [start, end) of code that is another one now, or gone, or new. Never
        raises; of a process that has ended everything stays as it was."""
        ...

    def frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        """The frames of each address (n,): the innermost inlined function first; None where no code of the runtime is
        known."""
        ...

    def objects(self, words: NDArray[np.uint64]) -> list[Frame | None]:
        """The frame behind each word (n,), without OBJECT; None where it is gone."""
        ...


class NotReadyError(Exception):
    """The runtime has not started yet: ask again."""


Opener = Callable[[int, Sequence[mapped.Mapping]], RuntimeReader | None]
"""pid and executable mappings -> the reader; None if it cannot be one of this runtime. Raises NotReadyError, or
ValueError with the reason, in one line."""


@dataclass(slots=True)
class Opening:
    """One process's reader, and when it is due: to be opened (again), or refreshed; and `eager`, when where code was
    met that was not known. asked: since the last time. vain: such times that nothing was new, one after the other.
    may_be: there is a reader for processes of this runtime. problem: why it could not be opened, in one line.
    """

    reader: RuntimeReader | None = None
    due: float = 0.0
    pause_s: float = _RETRY_S
    eager: float = 0.0
    vain: int = 0
    asked: bool = False
    may_be: bool = False
    problem: str = ""


class RuntimeFrames:
    """The readers of a thread's processes. openers: by the names of `runtimes.Runtime`. clock: seconds. share: how many
    times the CPU time that reading took a process is left alone, also where code was met that was not known.
    """

    def __init__(self, openers: Mapping[str, Opener], clock: Callable[[], float], share: int = _SHARE) -> None:
        self._openers = openers
        self._clock = clock
        self._eager_share = share

    def open(self, opening: Opening, pid: int, mappings: Sequence[mapped.Mapping]) -> RuntimeReader | None:
        """The reader of a process, if it has one by now."""
        if opening.reader is None and self._clock() >= opening.due:
            self.put_off(opening)
            runtime = runtime_of(mappings)
            opener = self._openers.get(runtime.name) if runtime is not None else None
            opening.may_be = opener is not None
            if opener is not None:
                self._try(opening, opener, pid, mappings)
        opening.asked = True
        return opening.reader

    def put_off(self, opening: Opening) -> None:
        """It is due after a pause, which is twice as long each time."""
        opening.due = self._clock() + opening.pause_s
        opening.pause_s = min(2 * opening.pause_s, _LONGEST_S)

    def _try(self, opening: Opening, opener: Opener, pid: int, mappings: Sequence[mapped.Mapping]) -> None:
        opening.problem = ""
        try:
            opening.reader = opener(pid, mappings)
        except NotReadyError:
            pass
        except ValueError as error:
            opening.problem = str(error).replace(f" of process {pid}", "")  # said of all that have it
        if opening.reader is not None:
            self._refresh(opening, opening.reader)

    def refresh(self, opening: Opening, missed: bool = False) -> Ranges:
        """Look for what is new, if it is time: sooner where code was `missed` -> the ranges that are another now."""
        reader = opening.reader
        if reader is None or not opening.asked or self._clock() < (opening.eager if missed else opening.due):
            return ()
        changed = self._refresh(opening, reader)
        if missed:
            opening.vain = 0 if changed else opening.vain + 1
        return changed

    def _refresh(self, opening: Opening, reader: RuntimeReader) -> Ranges:
        began = time.thread_time()
        changed = reader.refresh()
        cost_s, now = time.thread_time() - began, self._clock()
        opening.asked = False
        eager_s = min(_LONGEST_EAGER_S, _EAGER_S * 2 ** min(opening.vain, 16))
        opening.eager = now + max(eager_s, self._eager_share * cost_s)
        opening.due = now + max(_REFRESH_S, _SHARE * cost_s)
        return changed


def are_objects(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which words of a user stack are no addresses: (n,)."""
    tagged: NDArray[np.bool_] = words >> _TOP == _ONE
    return tagged
