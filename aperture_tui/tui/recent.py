"""What each of many did in the last seconds, noted once a second: for the little curves in tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_EVERY_NS: Final = 1_000_000_000
_KEPT: Final = 16
_GAP_NS: Final = 4_000_000_000
"""After so long without a note, what was noted before is not the last seconds any more."""


class Recent(Generic[Key]):
    """The last values of each key. Whoever did nothing for as long as is kept is forgotten."""

    def __init__(self) -> None:
        self._values: dict[Key, deque[float]] = {}
        self._until_ns = 0

    def is_due(self, end_ns: int) -> bool:
        """Whether a second has passed. end_ns: the moment that a note would be of."""
        return end_ns - self._until_ns >= _EVERY_NS

    def note(self, end_ns: int, now: Mapping[Key, float]) -> None:
        """What everybody does now."""
        if end_ns - self._until_ns > _GAP_NS:
            self._values.clear()
        self._until_ns = end_ns
        for key in now.keys() - self._values.keys():
            self._values[key] = deque(maxlen=_KEPT)
        for key, past in list(self._values.items()):
            past.append(now.get(key, 0.0))
            if not any(past):
                del self._values[key]

    def __getitem__(self, key: Key) -> tuple[float, ...]:
        """Oldest first."""
        return tuple(self._values.get(key, ()))
