"""Records that wait: calls for the samples after them, kernels and copies for their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.gpu.frames import ROWS
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.launched import Launches, located

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_DRAINS: Final = 2
"""How many drains a record waits at most: it and its call are sent a quarter of a second apart, or one is lost."""
_FOR_CALLS: Final = (wire.KERNELS, wire.COPIES, wire.SYNCS)


class Awaiting:
    """Of one agent. Owned by the collecting thread; bounded by what an agent may send between two drains."""

    def __init__(self) -> None:
        self.launches = Launches()
        self._calls = np.zeros(0, ROWS[wire.CALLS])
        self._held = {frame: (np.zeros(0, ROWS[frame]), np.zeros(0, np.uint8)) for frame in _FOR_CALLS}

    def due(
        self,
        fresh: Mapping[int, NDArray[np.void]],
        moments: NDArray[np.void],
        until_ns: int,
        near_ns: int,
        at_once: bool,
    ) -> dict[int, NDArray[np.void]]:
        """What need not wait any longer, by the type of its frame; the calls among it are in `launches` from now on.

        fresh: likewise. moments: of recent.MOMENT, by thread and time, at the clock of the records; none of before
        until_ns are missing. near_ns: as of `located`. at_once: nothing more is to be waited for.
        """
        calls = np.concatenate((self._calls, fresh[wire.CALLS]))
        late = np.zeros(len(calls), bool) if at_once else calls["end_ns"].astype(np.int64) + near_ns > until_ns
        out = {**fresh, wire.CALLS: calls[~late]}
        self._calls = calls[late]
        self.launches.learn(located(calls[~late], moments, near_ns))
        for frame in _FOR_CALLS:
            rows = np.concatenate((self._held[frame][0], fresh[frame]))
            drains = np.concatenate((self._held[frame][1], np.zeros(len(fresh[frame]), np.uint8)))
            wait = np.zeros(len(rows), bool)
            if not at_once:
                wait = (self.launches.of(rows["correlation"])["correlation"] == 0) & (drains < _DRAINS)
            out[frame] = rows[~wait]
            self._held[frame] = rows[wait], drains[wait] + np.uint8(1)
        return out
