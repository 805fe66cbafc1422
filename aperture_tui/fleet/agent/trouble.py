"""How an agent gets along with its aggregator: when it tries again, and what of it is worth a line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from aperture_tui.fleet.agent.delivery import Verdict

_FIRST_DELAY_S: Final = 1.0
_LAST_DELAY_S: Final = 60.0
_PATIENCE_S: Final = 30.0
"""An aggregator that asks to be spared for no longer is not worth a line."""


class Trouble:
    """What stands between the spool and the aggregator. Its own thread writes, any thread may read `words`.

    words: what is the matter, in one clear line; "" if nothing is. connected: something was stored at some time.
    failures: in a row. clock: monotonic seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.words = ""
        self.connected = False
        self.failures = 0
        self._say = say
        self._clock = clock
        self._chance = chance
        self._verdict: Verdict | None = None
        self._since = 0.0
        self._said = False

    def failed(self, verdict: Verdict, words: str, wanted_s: float = 0.0) -> float:
        """A push did not succeed -> after how many seconds to try again.

        wanted_s: what the aggregator asked for, 0 for nothing. Delays double up to a minute; and are spread, as those
        whom an aggregator left together are not to come back together.
        """
        now = self._clock()
        if not self.words:
            self._since, self._said = now, False
        if verdict is not self._verdict:
            self._verdict, self._said = verdict, self._said and verdict is Verdict.LATER
        self.words = words
        self.failures += 1
        if not self._said and (verdict is not Verdict.LATER or now - self._since >= _PATIENCE_S):
            self._said = True
            self._say(f"{words}: what is collected is kept meanwhile")
        if wanted_s:
            return wanted_s * self._chance(1.0, 1.25)
        if verdict is Verdict.UNWELCOME:
            return _LAST_DELAY_S * self._chance(0.9, 1.1)
        return min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self.failures - 1, 10)) * self._chance(0.5, 1.0)

    def ended(self, address: str, waiting: int) -> None:
        """A push was stored. waiting: intervals that are still to be pushed."""
        more = f", {waiting:,} intervals to push" if waiting > 1 else ""
        if not self.connected:
            self._say(f"connected to {address}{more}")
        elif self._said:
            self._say(f"{address}: connected again after {_in_words(self._clock() - self._since)}{more}")
        self.connected = True
        self.words, self.failures, self._verdict, self._said = "", 0, None, False


def _in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
