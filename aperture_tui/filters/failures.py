"""When a filter that failed is tried again, and when it is not. Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from typing import Final

_FIRST_S, _LONGEST_S = 1.0, 30.0
_GOOD_S: Final = 10.0
"""So long without a failure, and the pauses begin anew."""
_MOST, _WITHIN_S = 5, 60.0


class Failures:
    """Of one filter; times are seconds of any steady clock. disabled: it has failed too often to be tried again."""

    def __init__(self) -> None:
        self.disabled = False
        self.retry_at = 0.0
        self._pause_s = _FIRST_S
        self._recent: deque[float] = deque(maxlen=_MOST)

    def add(self, now: float, good_since: float) -> None:
        """It has failed. good_since: when it last began to work."""
        if now - good_since >= _GOOD_S:
            self._pause_s = _FIRST_S
        self._recent.append(now)
        self.disabled = len(self._recent) == _MOST and now - self._recent[0] <= _WITHIN_S
        self.retry_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)
