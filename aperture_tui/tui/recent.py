"""What each of many did in the last seconds, noted once a second: for the little curves in tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_EVERY_NS: Final = 1_000_000_000
_KEPT: Final = 16
LOOKED_BACK: Final = 10
"""Seconds that are asked for one by one, where nobody noted them in time: as many as most tables have room for."""
_GAP_NS: Final = 4_000_000_000
"""After so long without a note, what was noted before is not the last seconds any more."""


class Recent(Generic[Key]):
    """The last values of each key. Whoever did nothing for as long as is kept is forgotten."""

    def __init__(self) -> None:
        self._values: dict[Key, deque[float]] = {}
        self._until_ns = 0

    @classmethod
    def of(cls, notes: Iterable[Mapping[Key, float]]) -> Recent[Key]:
        """What was noted of seconds that follow each other, oldest first."""
        recent = cls()
        for second, note in enumerate(notes, 1):
            recent.note(second * _EVERY_NS, note)
        return recent

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


class Past(Generic[Key]):
    """The same for any moment that is over: asked for second by second, and kept for a moment nearby.

    ask: what everybody did up to a moment, Unix nanoseconds.
    """

    def __init__(self, ask: Callable[[int], Mapping[Key, float]]) -> None:
        self._ask = ask
        self._notes: dict[int, Mapping[Key, float]] = {}

    def before(self, end_ns: int, start_ns: int) -> Recent[Key]:
        """The seconds up to a moment. start_ns: nothing is known before."""
        last = end_ns // _EVERY_NS
        seconds = range(max(last - LOOKED_BACK, start_ns // _EVERY_NS) + 1, last + 1)
        known = self._notes
        self._notes = {at: known[at] if at in known else self._ask(at * _EVERY_NS) for at in seconds}
        return Recent.of(self._notes.values())

    def forget(self) -> None:
        """Ask anew: what was the last second may have become more."""
        self._notes = {}
