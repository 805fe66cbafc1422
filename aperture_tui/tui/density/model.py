"""What the timeline is asked for and given: immutable, free of numpy, passed between threads."""

from __future__ import annotations

from typing import Final, NamedTuple

UNKNOWN: Final = -1
"""In place of a number of events: nobody looked, or it is not held any more. Never the same as 0."""
UNREAD: Final = -2
"""In place of a number of events: it is there to be read, but was not yet."""


class Scale(NamedTuple):
    """What of the timeline is wanted. columns: that there is room for, 0 for no timeline. reach_s: how long it is, None
    for what fits to what is looked at. about_ns: a moment that is in the middle, None for around the window.
    """

    columns: int = 0
    reach_s: float | None = None
    about_ns: int | None = None


NO_SCALE: Final = Scale()


class Grid(NamedTuple):
    """Columns of time, all of one length and on the clock: each begins at a multiple of it, Unix nanoseconds.

    So a column never changes what it is of, and all move on only when the newest is full.
    """

    start_ns: int
    bucket_ns: int
    columns: int

    @property
    def end_ns(self) -> int:
        """Where the last column ends."""
        return self.start_ns + self.columns * self.bucket_ns

    def column_of(self, at_ns: int) -> int:
        """The column of a moment; the first or the last for one that lies beside all."""
        return max(0, min(self.columns - 1, (at_ns - self.start_ns) // self.bucket_ns))

    def begin_of(self, column: int) -> int:
        """Where a column begins, Unix nanoseconds."""
        return self.start_ns + column * self.bucket_ns

    def has(self, at_ns: int) -> bool:
        """Whether a moment lies in one of the columns, or at their end."""
        return self.start_ns <= at_ns <= self.end_ns


class Density(NamedTuple):
    """Events in each column of a grid, or UNKNOWN, or UNREAD. more: some are still to be read. problem: why there are
    none, in one line.
    """

    grid: Grid
    weights: tuple[int, ...]
    more: bool = False
    problem: str = ""
