"""A batch: the events of one collector from one drain interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.symbols import Symbols


@dataclass(frozen=True, slots=True)
class Batch:
    """Events and the tables that their ids point into.

    events: (n,) of EVENT, in no particular order. All ids are valid in `symbols`, which only grows.
    tags: the names of the bits of their tags, that of bit 0 first (profile/tags.py); within a session they only grow.
    """

    symbols: Symbols
    events: NDArray[np.void]
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.events.dtype != EVENT:
            raise ValueError(f"a batch holds EVENT records, not {self.events.dtype}")

    def __len__(self) -> int:
        return len(self.events)


def empty(n: int) -> NDArray[np.void]:
    """n zeroed events: (n,) of EVENT."""
    return np.zeros(n, EVENT)
