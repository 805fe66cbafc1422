"""How long one drain may name what is new. What there is no time for is told at once, without its detail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARE: Final = 0.4
"""Of the time since the drain before, in CPU time."""
_LEAST_S, _MOST_S = 0.1, 0.5
"""The most is what bounds how long a drain takes, and so how long a session takes to stop."""
_PATIENCE_S: Final = 3.0
"""Of the wall's clock: where others have the CPUs, CPU time is long in coming. The sample ring holds five seconds."""


class Budget:
    """Of one thread. cpu, wall: its clocks, in seconds."""

    def __init__(
        self,
        cpu: Callable[[], float] = time.thread_time,
        wall: Callable[[], float] = time.monotonic,
        share: float = _SHARE,
        part: float = 1.0,
    ) -> None:
        """share: of the time since the drain before; part: of what that allows, which is one's own."""
        self._cpu, self._wall = cpu, wall
        self._share, self._part = share, part
        self._began_s = self._until_s = self._cpu_until_s = 0.0

    def begin(self) -> None:
        """A drain begins."""
        now = self._wall()
        allowed = self._part * min(max(_LEAST_S, self._share * (now - self._began_s)), _MOST_S)
        self._began_s, self._until_s, self._cpu_until_s = now, now + _PATIENCE_S, self._cpu() + allowed

    @property
    def is_spent(self) -> bool:
        """Whether this drain has taken what it may."""
        return self._cpu() >= self._cpu_until_s or self._wall() >= self._until_s
