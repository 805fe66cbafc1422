"""Stacks of the last seconds with their moments: where threads were when something happened that is told later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOMENT: Final = np.dtype([("time_ns", "<u8"), ("stack", "<u8"), ("pid", "<u4"), ("tid", "<u4"), ("flags", "<u4")])
"""When, CLOCK_MONOTONIC; a stack's hash; whose; what is to be said of the stack (Flag)."""
KEPT_NS: Final = 5_000_000_000
_ROOM: Final = 1 << 17
"""Moments that are kept at most: 4 MB."""


class Recent:
    """Owned by the collecting thread. pids: whose moments are kept, and nobody else's."""

    def __init__(self) -> None:
        self.pids: frozenset[int] = frozenset()
        self._parts: deque[NDArray[np.void]] = deque()
        self._n = 0

    def add(self, records: NDArray[np.void]) -> None:
        """What one drain has brought. records: (n,), with the fields of naming.WHO and `flags`; some have no stack."""
        if not self.pids or not len(records):
            return
        mine = records[np.isin(records["pid"], list(self.pids)) & (records["stack"] != 0)]
        kept = np.zeros(len(mine), MOMENT)
        for field in MOMENT.names or ():
            kept[field] = mine[field]
        self._parts.append(kept)
        self._n += len(kept)
        while self._n > _ROOM:
            self._n -= len(self._parts.popleft())

    def moments(self, now_ns: int) -> NDArray[np.void]:
        """(n,) of MOMENT, by thread and time. now_ns: CLOCK_MONOTONIC; what is too old by then is forgotten."""
        kept = [part[part["time_ns"].astype(np.int64) > now_ns - KEPT_NS] for part in self._parts]
        self._parts = deque(part for part in kept if len(part))
        self._n = sum(map(len, self._parts))
        if not self._parts:
            return np.zeros(0, MOMENT)
        whole = np.concatenate(self._parts)
        return whole[np.lexsort((whole["time_ns"], whole["tid"]))]
