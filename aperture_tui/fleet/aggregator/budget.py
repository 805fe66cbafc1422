"""How much of what was pushed may be held in memory until it is stored, and when those come again who find no room."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Final

_OF_ONE: Final = Fraction(3, 4)
"""What one tenant may hold of it, so that there is room for others."""
_RETRIES: Final = 200
"""That come in a second."""
_LONGEST_S: Final = 60.0
_USUAL_MS: Final = 10_000
_THRESHOLDS: Final = (0.5, 0.75, 0.9)
"""How full it is when agents are asked to push half as often, a quarter as often, an eighth."""


class Budget:
    """Bytes that are held, of all tenants together and of each. Belongs to the event loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._of: Counter[str] = Counter()

    def take(self, tenant: str, amount: int) -> bool:
        """Whether there is room for so much; then it is taken. What finds nothing there always has room."""
        if self._of[tenant] and self._of[tenant] + amount > self.limit * _OF_ONE:
            return False
        if self.used and self.used + amount > self.limit:
            return False
        self.give(tenant, -amount)
        return True

    def give(self, tenant: str, amount: int) -> None:
        """Give back so much; a negative amount takes more, be there room or not."""
        self.used -= amount
        self._of[tenant] -= amount
        if not self._of[tenant]:
            del self._of[tenant]

    @property
    def fullness(self) -> float:
        """0 to 1, and above while something large is being taken."""
        return self.used / self.limit

    def interval_ms(self, interval_ms: int) -> int:
        """How often an agent had better push, that does so each `interval_ms`; 0 for no wish.

        Fewer pushes are fewer rows: the agent adds up what is alike over the longer time.
        """
        steps = sum(self.fullness > threshold for threshold in _THRESHOLDS)
        if not steps:
            return 0
        usual = interval_ms or _USUAL_MS
        return max(usual, min(usual << steps, round(1000 * _LONGEST_S)))


class PutOff:
    """Who was told to come again, and has not yet been taken: the more there are, the later each comes.

    Belongs to the event loop's thread. clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Hashable, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._since)

    def delay_s(self, who: Hashable) -> float:
        """When somebody is to come again who is not taken now."""
        now = self._clock()
        self._since.pop(who, None)
        self._since[who] = now
        while now - self._since[oldest := next(iter(self._since))] > 2 * _LONGEST_S:  # it stays away
            del self._since[oldest]
        return min(_LONGEST_S, max(1.0, len(self) / _RETRIES))

    def taken(self, who: Hashable) -> None:
        """Somebody is."""
        self._since.pop(who, None)
