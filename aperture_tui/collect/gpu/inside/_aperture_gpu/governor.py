"""How much detail the agent's own cost allows. Pure."""

from __future__ import annotations

CALLS, RECORDS, SUMS = range(3)
"""Calls and records of everything; records of kernels and copies alone; kernels as sums."""
WORDS = ("calls and records", "records", "sums")
_WINDOW_NS = 2_000_000_000
_CALM_NS = 30_000_000_000


class Governor:
    """limit: the agent's cost, as a share of one CPU, past which it leaves out the next detail. finest: the first.

    Detail comes back one step after half a minute at less than a quarter of the limit.
    """

    def __init__(self, limit: float, finest: int = CALLS) -> None:
        self.limit = limit
        self.finest = finest
        self.level = finest
        self.share = 0.0
        """The newest, of the last whole window."""
        self._wall_ns = self._cost_ns = self._calm_ns = 0

    def step(self, wall_ns: int, cost_ns: int) -> bool:
        """Account for some time -> whether the level has changed."""
        self._wall_ns += wall_ns
        self._cost_ns += cost_ns
        if self._wall_ns < _WINDOW_NS:
            return False
        wall, self.share = self._wall_ns, self._cost_ns / self._wall_ns
        self._wall_ns = self._cost_ns = 0
        if self.share > self.limit:
            self._calm_ns = 0
            return self._to(min(self.level + 1, SUMS))
        self._calm_ns = self._calm_ns + wall if self.share < self.limit / 4 else 0
        if self._calm_ns >= _CALM_NS:
            self._calm_ns = 0
            return self._to(max(self.level - 1, self.finest))
        return False

    def _to(self, level: int) -> bool:
        changed = level != self.level
        self.level = level
        return changed
