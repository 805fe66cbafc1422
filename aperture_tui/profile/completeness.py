"""How many user stacks reach their outermost function, and why the others do not. Free of numpy until it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aperture_tui.profile.kinds import STOPS, Flag, Stop, stop_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Completeness:
    """What the flags of some events say of their user stacks. All numbers are weights: events, or what one stands for.

    known: whose flags say whether the stack is whole; the others are `unknown`, and of those nothing else is counted.
    whole: of the known. stops: why the rest of them end early, none of it 0. guessed: of the known, with some or all
    callers found by the frame pointer alone; such a stack may well be whole.

    estimated, missing: of all, those with the stack of others like them, and those with none but their process.
    """

    known: int = 0
    whole: int = 0
    guessed: int = 0
    unknown: int = 0
    stops: Mapping[Stop, int] = field(default_factory=dict)
    estimated: int = 0
    missing: int = 0

    @property
    def share(self) -> float | None:
        """The whole ones among the known; None when nothing is known."""
        return self.whole / self.known if self.known else None

    @property
    def weight(self) -> int:
        """Known or not."""
        return self.known + self.unknown

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why stacks end early, in words, and how many; most first."""
        return [(STOPS[stop], n) for stop, n in sorted(self.stops.items(), key=lambda item: (-item[1], item[0]))]

    def __add__(self, other: Completeness) -> Completeness:
        """Both together."""
        return together((self, other))

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types, for `--format json`."""
        more = {"estimated": self.estimated, "missing": self.missing}
        return {
            "known": self.known,
            "whole": self.whole,
            "guessed": self.guessed,
            "unknown": self.unknown,
            "share": self.share,
            "stops": {stop.name.lower(): n for stop, n in sorted(self.stops.items())},
            **{name: n for name, n in more.items() if n},
        }


def together(parts: Iterable[Completeness]) -> Completeness:
    """The sum of many."""
    known = whole = guessed = unknown = estimated = missing = 0
    stops: dict[Stop, int] = {}
    each = list(parts)
    alike = {id(one): one for one in each}
    for which, times in Counter(map(id, each)).items():  # `completeness_by_group` gives the same one to many
        one = alike[which]
        known += one.known * times
        whole += one.whole * times
        guessed += one.guessed * times
        unknown += one.unknown * times
        estimated += one.estimated * times
        missing += one.missing * times
        for stop, n in one.stops.items():
            stops[stop] = stops.get(stop, 0) + n * times
    return Completeness(known, whole, guessed, unknown, stops, estimated, missing)


def completeness(flags: NDArray[np.uint16], weight: NDArray[np.integer]) -> Completeness:
    """Of events with these flags and weights, both (n,)."""
    import numpy as np  # late: the screens know the class before the first paint

    # adds in float64, as CallTree.of_stacks does: exact to 2**53
    sums = np.bincount(flags, weights=weight)
    words = np.flatnonzero(sums)
    return _told(words, sums[np.newaxis, words].astype(np.int64))[0]


def completeness_by_group(
    group: NDArray[np.integer], groups: int, flags: NDArray[np.uint16], weight: NDArray[np.integer]
) -> list[Completeness]:
    """The same for each group of events. group: (n,), from 0 to groups - 1."""
    import numpy as np  # late, as above

    words = np.flatnonzero(np.bincount(flags))  # the flags that occur: a few dozen of 65,536 at the most
    column = np.zeros(1 << 16, np.intp)
    column[words] = np.arange(len(words))
    sums = np.bincount(group * len(words) + column[flags], weights=weight, minlength=groups * len(words))
    return _told(words, sums.astype(np.int64).reshape(groups, len(words)))


def _told(words: NDArray[np.intp], weights: NDArray[np.int64]) -> list[Completeness]:
    """One for each row. words: (w,), flags; weights: (n, w), of the events that have these flags."""
    import numpy as np  # late, as above

    whole = words & int(Flag.WHOLE) != 0
    stop = np.array([0 if on else stop_of(word) for word, on in zip(words.tolist(), whole.tolist(), strict=True)], int)
    known = whole | (stop != Stop.NONE)
    guessed = known & (words & int(Flag.GUESSED | Flag.FRAME_POINTERS) != 0)
    kinds = [Stop(number) for number in np.unique(stop).tolist() if number]
    estimated, missing = (words & int(flag) != 0 for flag in (Flag.ESTIMATED, Flag.NO_STACK))
    summed = [known, whole, guessed, ~known, estimated, missing, *(stop == kind for kind in kinds)]
    rows = list(map(tuple, (weights @ np.stack(summed, 1)).tolist()))

    def one(k: int, w: int, g: int, u: int, e: int, m: int, *ends: int) -> Completeness:
        return Completeness(k, w, g, u, {kind: n for kind, n in zip(kinds, ends, strict=True) if n}, e, m)

    told = {row: one(*row) for row in set(rows)}  # thousands of short processes have a few samples each: few differ
    return [told[row] for row in rows]
