"""What an importer has read of a file, on its way into a Store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.importing.source import ImportingError
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aperture_tui.profile.host import HostFacts
    from aperture_tui.profile.symbols import Symbols

MAX_EVENTS: Final = 8_000_000
MAX_WEIGHT: Final = 1 << 53
"""A larger weight of one stack is not believed."""
_MOST: Final = (1 << 32) - 1  # what the weight of one event holds


@dataclass(frozen=True)
class Gathered:
    """A file's contents. events: (n,) of EVENT. message: what it is, and what it does not tell, in one line.

    lost: what could not be read -> how often; degraded: what was read, but not as it stands there.
    """

    symbols: Symbols
    events: NDArray[np.void]
    message: str
    lost: Mapping[str, int]
    degraded: Mapping[str, int]
    hosts: tuple[HostFacts, ...] = ()

    def health(self, cut: bool) -> Health:
        """The file's own line of truth, for the screens. cut: its end is missing."""
        lost = {cause: n for cause, n in self.lost.items() if n}
        degraded = {cause: n for cause, n in self.degraded.items() if n}
        message = f"{self.message}; its end is missing or damaged" if cut else self.message
        return Health("import", State.STOPPED, message, len(self.events), lost, degraded)


def spread(weights: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
    """Weights of any size as those of events: which each event is of, (m,), and what it weighs, (m,).

    weights: (n,). Each has one event at least; its events are neighbours. Raises ImportingError for more than
    MAX_EVENTS.
    """
    parts = np.maximum(-(-weights // _MOST), 1)
    if int(parts.sum()) > MAX_EVENTS:
        raise ImportingError(f"its weights, {int(weights.sum()):,} together, need more than {MAX_EVENTS:,} events")
    of = np.repeat(np.arange(len(weights)), parts)
    out = np.full(len(of), _MOST, np.int64)
    out[np.cumsum(parts) - 1] = weights - (parts - 1) * _MOST
    return of, out.astype(np.uint32)
