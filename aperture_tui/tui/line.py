"""How far a terminal is behind what was written for it: nothing is painted for a line that is at older pictures yet.

What has arrived is known by the terminal's answers to a question at the end of each picture, where it answers: over SSH
megabytes wait in buffers on the way that nobody here can see. Where it does not, by what the kernel has taken.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

_AHEAD: Final = 4096
"""Characters on their way that a line may have without being behind, for as long as _LONG_S; more, for _SHORT_S."""
_SHORT_S, _LONG_S = 0.1, 0.3
"""The latter is well below the time between two pictures, lest it be chance whether there are one or two on their way.
"""
_WAY_S: Final = 0.2
"""The time to the terminal and back that is put down to distance, at most; the rest is its slowness."""
_SPAN_S: Final = 5.0
_SLOW, _FAST = 0.5, 0.15
"""Part of the time that a line is at work from which on it is slow, and from which on no more: a slow one is given half
as much.
"""
_LOST_S, _SURE_S = 5.0, 1.0
_TIMES_LONGER: Final = 4
"""An answer is lost that has not come after five seconds; after one, where all lately came in a quarter of the time."""
_LONGEST_S: Final = 40.0
"""Where nobody types, those after a lost one are waited for twice as long each time: a terminal that stands still, or a
line that is cut, is to find few pictures when it goes on, however much fits into the buffers before it.
"""
_LOST_IN_A_ROW: Final = 3
"""So many, while keys come: another terminal has taken its place, which does not answer."""


class _Sent(NamedTuple):
    """A picture on its way. end: characters up to its end; at: when; asks: the terminal was asked to answer it."""

    end: int
    at: float
    asks: bool


class Line:
    """What is on its way. Threads: the app's hands over, another writes, a third hears the terminal's answers.

    asks: the terminal answers, so pictures are to end with the question. clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.asks = False
        self._clock = clock
        self._lock = threading.Lock()
        self._sent = self._written = self._arrived = 0
        self._way: deque[_Sent] = deque()
        self._took: deque[tuple[float, float]] = deque(maxlen=256)
        """(when, how long the line was at it)."""
        self._arrived_at = clock()
        self._least_s = _WAY_S
        self._lost = 0
        self._typed = False
        self._was_slow = False

    def sent(self, characters: int, asks: bool = False) -> None:
        """So much is handed to whoever writes; asks: it ends with the question."""
        with self._lock:
            self._sent += characters
            self._way.append(_Sent(self._sent, self._clock(), asks))

    def wrote(self, characters: int) -> None:
        """The kernel has taken so much."""
        with self._lock:
            self._written += characters
            self._take_off_written()

    def heard(self) -> None:
        """The terminal has answered: it has drawn all up to the question."""
        with self._lock:
            self.asks, self._lost, self._typed = True, 0, False
            while self._way and not self._arrive():
                pass
            self._take_off_written()

    def typed(self) -> None:
        """Somebody is at the terminal."""
        self._typed = True

    def begin(self) -> None:
        """The terminal was left, and is taken again: nothing of before is waited for."""
        with self._lock:
            self._way.clear()
            self._lost = 0
            self._written = self._arrived = self._sent
            self._arrived_at = self._clock()

    def end(self) -> None:
        """There is no terminal any more: nothing is on its way."""
        with self._lock:
            self.asks = False
            self._way.clear()

    @property
    def is_quiet(self) -> bool:
        """Whether no answer is to come."""
        with self._lock:
            return not any(one.asks for one in self._way)

    @property
    def is_behind(self) -> bool:
        """Whether one more picture would only wait. After a lost answer nothing is little: what is thought to have
        arrived may stand before it.
        """
        with self._lock:
            self._give_up()
            waited = self._clock() - self._way[0].at if self._way else 0.0
            is_little = self._sent - self._arrived <= _AHEAD and not self._lost
            return waited > (_LONG_S if is_little else _SHORT_S)

    @property
    def is_slow(self) -> bool:
        """Whether it is at work most of the time, so that pictures should come less often."""
        with self._lock:
            now = self._clock()
            busy = sum(took for at, took in self._took if now - at < _SPAN_S)
            if self._way:
                busy += max(0.0, now - max(self._way[0].at, self._arrived_at) - self._least_s)
            self._was_slow = busy > _SPAN_S * (_FAST if self._was_slow else _SLOW)
            return self._was_slow

    def _take_off_written(self) -> None:
        """What no answer is to come for."""
        while self._way and self._way[0].end <= self._written and not self._way[0].asks:
            self._arrive()

    def _arrive(self) -> bool:
        """Take the oldest off -> whether it was asked about."""
        one, now = self._way.popleft(), self._clock()
        took = now - max(one.at, self._arrived_at)
        self._least_s = min(self._least_s, took)
        self._took.append((now, max(0.0, took - self._least_s)))
        self._arrived, self._arrived_at = one.end, now
        return one.asks

    def _give_up(self) -> None:
        """An answer may get lost: do not wait for it for ever."""
        if not self._way or not self._way[0].asks or self._way[0].end > self._written:
            return
        now = self._clock()
        if now - max(self._way[0].at, self._arrived_at) > self._patience_s(now):
            self._lost += 1
            self.asks = self.asks and not (self._typed and self._lost >= _LOST_IN_A_ROW)
            self._arrived, self._arrived_at = self._way[-1].end, now
            self._way.clear()

    def _patience_s(self, now: float) -> float:
        """How long an answer is waited for."""
        if self._lost:
            return _LOST_S if self._typed else min(_LONGEST_S, _LOST_S * 2.0 ** min(self._lost, 8))
        lately = [took for at, took in self._took if now - at < _SPAN_S]
        return min(_LOST_S, max(_SURE_S, _TIMES_LONGER * (max(lately) + self._least_s))) if lately else _LOST_S
