"""A bounded ring of one-second slices of events, oldest out first."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT

SECOND_NS: Final = 1_000_000_000
SLICE_BYTES: Final = 512  # a slice's objects beside its rows, so that many tiny slices meet the limit as well
_LEAST: Final = 8  # of the bytes that a store may hold events have one part in so many, however large the tables are

# A whole record as one opaque item: numpy copies structured arrays field by field, 20 times slower.
_RECORD: Final = np.dtype((np.void, EVENT.itemsize))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store may hold: event time in whole seconds, bytes, readings of the host. None is no limit.

    bytes: of events and of the tables that they point into; events have an eighth of it, however large the tables are.
    """

    seconds: int | None = 15 * 60
    bytes: int | None = 64 << 20
    gauges: int = 4096


class _Slice:
    """Events of one kind of one second. Rows before `n` never change, so a view of them stays true for ever."""

    __slots__ = ("high_ns", "low_ns", "n", "rows")

    def __init__(self, low_ns: int, high_ns: int) -> None:
        self.rows = np.empty(0, _RECORD)
        self.n = 0
        self.low_ns = low_ns
        self.high_ns = high_ns

    def view(self) -> NDArray[np.void]:
        return self.rows[: self.n].view(EVENT)

    def append(self, rows: NDArray[np.void], low_ns: int, high_ns: int) -> None:
        n = self.n + len(rows)
        if n > len(self.rows):
            grown = np.empty(max(n, 2 * len(self.rows)), _RECORD)
            grown[: self.n] = self.rows[: self.n]
            self.rows = grown
        self.rows[self.n : n] = rows
        self.n = n
        self.low_ns, self.high_ns = min(self.low_ns, low_ns), max(self.high_ns, high_ns)

    def keep_newest(self, n: int) -> None:
        """Let go of all but the rows that came last, and of the room for more."""
        self.rows = self.rows[self.n - n : self.n].copy()
        self.n = n


class Slices:
    """The ring. Not safe for threads: its owner guards it; the views it hands out need no guard."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.events = 0
        self.bytes = 0
        self.dropped = 0
        self.dropped_until_ns = 0
        self.late = 0
        self.limit = ""
        self.beside = 0
        """Bytes of the tables, as of the last word of them."""
        self._seconds: list[int] = []
        self._slices: dict[int, dict[int, _Slice]] = {}
        self._floor = 0  # the first second that may still be held

    @property
    def start_ns(self) -> int:
        """The time of the oldest event; 0 if there is none."""
        if not self._seconds:
            return 0
        return min(s.low_ns for s in self._slices[self._seconds[0]].values())

    @property
    def end_ns(self) -> int:
        """The time after the newest event; 0 if there is none."""
        if not self._seconds:
            return 0
        return max(s.high_ns for s in self._slices[self._seconds[-1]].values()) + 1

    @property
    def kinds(self) -> frozenset[int]:
        """The kinds of events that there are."""
        return frozenset(kind for kinds in self._slices.values() for kind, s in kinds.items() if s.n)

    def add(self, events: NDArray[np.void]) -> None:
        """Put events, (n,) of EVENT in any order, into the slices of their seconds and kinds; then keep the limits."""
        rows = np.ascontiguousarray(events).view(_RECORD)
        times = events["time_ns"]
        keys = (times // np.uint64(SECOND_NS)) << np.uint64(16) | events["kind"]
        edges = np.array([0, len(rows)])
        if keys[0] != keys[-1] or (keys != keys[0]).any():
            order = np.argsort(keys, kind="stable")
            rows, times, keys = rows[order], times[order], keys[order]
            edges = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1, [len(rows)]])
        lows, highs = np.minimum.reduceat(times, edges[:-1]).tolist(), np.maximum.reduceat(times, edges[:-1]).tolist()
        self._advance(highs[-1] // SECOND_NS)
        for key, a, b, low, high in zip(
            keys[edges[:-1]].tolist(), edges[:-1].tolist(), edges[1:].tolist(), lows, highs, strict=True
        ):
            self._add(key >> 16, key & 0xFFFF, rows[a:b], low, high)
        self._shrink()

    def views(self, kind: int, start_ns: int | None, end_ns: int | None) -> list[NDArray[np.void]]:
        """The events of a kind in all slices that the range touches, oldest slice first: arrays of EVENT."""
        low = 0 if start_ns is None else bisect.bisect_left(self._seconds, start_ns // SECOND_NS)
        high = len(self._seconds) if end_ns is None else bisect.bisect_left(self._seconds, -(-end_ns // SECOND_NS))
        held = (self._slices[second].get(kind) for second in self._seconds[low:high])
        return [s.view() for s in held if s is not None]

    def all_views(self) -> list[NDArray[np.void]]:
        """Everything that is held."""
        return [s.view() for kinds in self._slices.values() for s in kinds.values()]

    def rewrite(self, change: Callable[[NDArray[np.void]], NDArray[np.void]]) -> None:
        """Put every slice's events, (n,) of EVENT, through `change`, which keeps their number.

        One slice after the other, so that what is held is not there twice. Views of before stay as they were.
        """
        self.bytes = 0
        for kinds in self._slices.values():
            for kind, old in kinds.items():
                new = kinds[kind] = _Slice(old.low_ns, old.high_ns)
                new.rows, new.n = change(old.view()).view(_RECORD), old.n
                self.bytes += new.rows.nbytes + SLICE_BYTES

    def by_second(self) -> list[tuple[int, list[NDArray[np.void]]]]:
        """The bytes of each second, and its events: the newest first."""
        seconds = [self._slices[second].values() for second in reversed(self._seconds)]
        return [(sum(s.rows.nbytes + SLICE_BYTES for s in kinds), [s.view() for s in kinds]) for kinds in seconds]

    def keep_newest(self, seconds: int) -> None:
        """Let go of all but so many seconds, for want of room."""
        while len(self._seconds) > seconds:
            self._drop_oldest()
            self.limit = _size(self.limits.bytes or 0)

    def _add(self, second: int, kind: int, rows: NDArray[np.void], low_ns: int, high_ns: int) -> None:
        if second < self._floor:
            self.late += len(rows)
            self._count_dropped(len(rows), high_ns + 1)
            return
        kinds = self._slices.get(second)
        if kinds is None:
            kinds = self._slices[second] = {}
            bisect.insort(self._seconds, second)
            if len(self._seconds) > 2:
                self._trim(self._seconds[-3])
        target = kinds.get(kind)
        if target is None:
            target = kinds[kind] = _Slice(low_ns, high_ns)
            self.bytes += SLICE_BYTES
        before = target.rows.nbytes
        target.append(rows, low_ns, high_ns)
        self.bytes += target.rows.nbytes - before
        self.events += len(rows)

    def _trim(self, second: int) -> None:
        """Give back the room for growth of a second that is over."""
        for s in self._slices[second].values():
            self.bytes -= (len(s.rows) - s.n) * _RECORD.itemsize
            s.keep_newest(s.n)

    def _advance(self, newest: int) -> None:
        if self.limits.seconds is None:
            return
        floor = newest - self.limits.seconds + 1
        while self._seconds and self._seconds[0] < floor:
            self._drop_oldest()
            self.limit = _minutes(self.limits.seconds)
        self._floor = max(self._floor, floor)

    def _shrink(self) -> None:
        limit = self.limits.bytes
        if limit is None:
            return
        room = max(limit // _LEAST, limit - self.beside)
        while self.bytes > room and self._seconds:
            self.limit = _size(limit)
            if len(self._seconds) > 1:
                self._drop_oldest()
            elif not self._halve(self._seconds[0]):
                return

    def _drop_oldest(self) -> None:
        second = self._seconds.pop(0)
        for s in self._slices.pop(second).values():
            self.bytes -= s.rows.nbytes + SLICE_BYTES
            self.events -= s.n
            self._count_dropped(s.n, (second + 1) * SECOND_NS)
        self._floor = max(self._floor, second + 1)

    def _halve(self, second: int) -> bool:
        """Let go of the half that came first; False when there is nothing left to let go of."""
        more = False
        for s in self._slices[second].values():
            drop = s.n - s.n // 2 if s.n > 1 else 0
            more = more or drop > 0 or len(s.rows) > s.n
            gone = s.view()[:drop]["time_ns"]
            self._count_dropped(drop, int(gone.max(initial=0)) + 1 if drop else 0)
            self.events -= drop
            before = s.rows.nbytes
            s.keep_newest(s.n - drop)
            self.bytes += s.rows.nbytes - before
        return more

    def _count_dropped(self, events: int, until_ns: int) -> None:
        self.dropped += events
        self.dropped_until_ns = max(self.dropped_until_ns, until_ns)


def joined(views: list[NDArray[np.void]]) -> NDArray[np.void]:
    """Arrays of EVENT as one."""
    if not views:
        return np.empty(0, EVENT)
    return np.concatenate([v.view(_RECORD) for v in views]).view(EVENT)


def taken(events: NDArray[np.void], keep: NDArray[np.bool_]) -> NDArray[np.void]:
    """The events, (n,) of EVENT, that a mask keeps; `events[keep]`, but fast."""
    return events.view(_RECORD).take(np.flatnonzero(keep)).view(EVENT)


def _size(limit: int) -> str:
    return f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit} bytes"


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 and seconds else f"{seconds} s"
