"""Until when it is known what GPUs did. Times are of CUPTI's clock, ns."""

from __future__ import annotations

from typing import Any

from .outbox import Outbox

_RUNS_NS = 2_000_000_000
"""How long something may be running that has not been told yet, at most, so far as is believed."""
_QUEUED_NS = 10_000_000_000
"""How long a GPU may have work that it was given before anything was recorded, at most, so far as is believed."""


class Known:
    """What is not known is sent as it passes.

    until_ns: of what was over by then all has been told, if only that it is not known.
    """

    def __init__(self, outbox: Outbox, until_ns: int) -> None:
        self._outbox = outbox
        self.until_ns = until_ns
        self._newest_ns = 0
        """The end of what was over last of what has been told."""
        self._blind_ns = 0
        """Since when it is recorded, while nothing has begun: a GPU may do what it was given before. 0: it has."""

    @property
    def is_blind(self) -> bool:
        """Whether a GPU may do what it was given before anything was recorded."""
        return self._blind_ns > 0

    @property
    def sure_ns(self) -> int:
        """All that was done by then has been told: of what was not over when CUPTI was last asked it says nothing."""
        return min(self.until_ns, max(self._newest_ns, self.until_ns - _RUNS_NS))

    def miss(self, now_ns: int) -> None:
        """Until now nothing was recorded."""
        self._outbox.unrecorded(self.until_ns, now_ns)
        self.until_ns = now_ns

    def begin(self, now_ns: int) -> None:
        """From now on it is, after nothing was."""
        self.miss(now_ns)
        self._blind_ns = now_ns

    def give_up(self) -> None:
        """What is not told yet will not be."""
        self.until_ns = self.sure_ns

    def take(self, parts: list[Any], now_ns: int) -> None:
        """Rows of what GPUs did, with start_ns and end_ns, have come."""
        ends = [rows["end_ns"][rows["end_ns"] <= now_ns] for rows in parts]
        self._newest_ns = max(self._newest_ns, *(int(some.max(initial=0)) for some in ends), 0)
        starts = [rows["start_ns"][rows["start_ns"] >= self._blind_ns] for rows in parts]
        begins = min((int(some.min()) for some in starts if len(some)), default=0)
        if self._blind_ns and begins:
            self._outbox.unrecorded(self.until_ns, min(begins, now_ns))
            self._blind_ns = 0

    def ask(self, now_ns: int) -> None:
        """CUPTI has been asked for all that was over by now, and that has been taken."""
        if self._blind_ns:
            last_ns = self._blind_ns + _QUEUED_NS
            self._outbox.unrecorded(self.until_ns, min(now_ns, last_ns))
            if now_ns >= last_ns:
                self._blind_ns = 0
        self.until_ns = now_ns
