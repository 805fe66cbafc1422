"""The moment that is looked at: the newest, or one of the past that stands still or moves on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

SPEEDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds of a recording in a second."""
_LEAST_NS: Final = 1_000_000_000
"""The beginning that can be looked at is one second long: an empty picture would say nothing."""


class Held(NamedTuple):
    """The time that something is known of, Unix nanoseconds; both 0 while there is none."""

    start_ns: int = 0
    end_ns: int = 0

    @property
    def first_ns(self) -> int:
        """The earliest moment that there is anything to look back at from."""
        return min(self.start_ns + _LEAST_NS, self.end_ns)


@dataclass(frozen=True)
class Playhead:
    """Where the window ends. at_ns: Unix nanoseconds; None is the newest, live and of a recording.

    plays: it moves on by itself, `speed` seconds in a second, and stops at the newest.
    """

    at_ns: int | None = None
    plays: bool = False
    speed: float = 1.0

    def place(self, held: Held) -> int:
        """Unix nanoseconds, the newest included."""
        return held.end_ns if self.at_ns is None else self.at_ns

    def to(self, at_ns: int, held: Held) -> Playhead:
        """That moment, or the nearest that is held. The newest is where playing ends."""
        at_ns = max(at_ns, held.first_ns)
        return self.newest() if at_ns >= held.end_ns else replace(self, at_ns=at_ns)

    def newest(self) -> Playhead:
        """Live: with the time that passes, again. Of a recording: its end."""
        return replace(self, at_ns=None, plays=False)

    def stepped(self, by_s: float, held: Held) -> Playhead:
        """So many seconds later, or earlier."""
        return self.to(self.place(held) + round(by_s * 1e9), held)

    def played(self, passed_s: float, held: Held) -> Playhead:
        """After so many seconds of the clock on the wall."""
        return self.stepped(passed_s * self.speed, held) if self.plays else self

    def frozen(self, shown_ns: int) -> Playhead:
        """Time stands still at the moment that is shown; where nothing is known yet (0), it cannot."""
        return replace(self, at_ns=shown_ns or None, plays=False)

    def toggled(self, held: Held) -> Playhead:
        """Play, or stand still. From the end on there is nothing to play: it goes on from the beginning."""
        if self.plays or held.first_ns >= held.end_ns:
            return replace(self, plays=False)
        return replace(self, at_ns=held.first_ns if self.at_ns is None else self.at_ns, plays=True)

    def faster(self, step: int) -> Playhead:
        """The next higher (1) or lower (-1) speed."""
        at = SPEEDS.index(self.speed) + step
        return replace(self, speed=SPEEDS[max(0, min(len(SPEEDS) - 1, at))])
