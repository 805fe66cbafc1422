"""The tags of events: as bits whose names go beside them, or as rows of Symbols.tag_sets. Pure but for the names.

Filters, recordings and pushes have bits, for 16 names at most: the chain that gave them says what they mean. A store
has events of many such chains, so it has rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.text import clean

MAX_TAGS: Final = 16
"""Bits that an event has for them."""
LONGEST_TAG: Final = 40
"""Characters of a name."""
_NONE: Final = np.zeros(1, np.uint16)


class TooManyTagsError(ValueError):
    """A name for which no bit is left: one clear line."""


class Tags:
    """Names and their bits, of one thread. A name that once has a bit keeps it: events with it have been handed on.

    known: the names of the bits that events come with, as of a recording. names: that of bit 0 first. left_out: names
    for which no bit was left, other than by `table`.
    """

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.left_out: set[str] = set()
        self.names = tuple(known)

    def table(self, names: Sequence[str]) -> NDArray[np.uint16]:
        """(2 ** len(names),): the bits of an event by those that it has of these names, that of bit 0 first.

        Raises TooManyTagsError when there are too many names, and takes none of them then.
        """
        new = [name for name in names if name not in self.names]
        if len(self.names) + len(new) > MAX_TAGS:
            raise TooManyTagsError(
                f"no bit is left for its tag {new[-1]}: a chain has {MAX_TAGS} different ones at most"
            )
        self.names += tuple(new)
        out = _NONE
        for name in names:
            out = np.concatenate([out, out | np.uint16(1 << self.names.index(name))])
        return out

    def taken(self, events: NDArray[np.void], names: Sequence[str]) -> NDArray[np.void]:
        """The events, (n,) of EVENT with bits by these names, with our bits. Tags that find none left are taken off."""
        n = min(len(names), len(self.names))
        if tuple(names[:n]) == self.names[:n]:  # as within a session, where they only grow
            self.names += tuple(names[n:])
            return events
        return _replaced(events, lambda bits: self.bits(names_of(bits, names)))

    def bits(self, names: Iterable[str]) -> int:
        """Those of these names; what finds none left has none."""
        out = 0
        for name in names:
            if name not in self.names:
                if len(self.names) == MAX_TAGS:
                    self.left_out.add(name)
                    continue
                self.names += (name,)
            out |= 1 << self.names.index(name)
        return out


def names_of(bits: int, names: Sequence[str]) -> list[str]:
    """The tags of an event. A bit that has no name, as in files of before there were any, is called by its number."""
    return [names[i] if i < len(names) else f"#{i}" for i in range(MAX_TAGS) if bits >> i & 1]


def in_sets(symbols: Symbols, events: NDArray[np.void], names: Sequence[str]) -> NDArray[np.void]:
    """The events, (n,) of EVENT with bits by these names, with rows of symbols.tag_sets in their place."""
    return _replaced(events, lambda bits: symbols.tag_set(names_of(bits, names)))


def in_bits(symbols: Symbols, events: NDArray[np.void]) -> tuple[NDArray[np.void], tuple[str, ...]]:
    """The events of a store, (n,) of EVENT, with bits in place of rows of symbols.tag_sets, and the names of the bits.

    Tags of more than 16 names together are taken off.
    """
    tags = Tags()
    return _replaced(events, lambda row: tags.bits(symbols.tag_sets[row])), tags.names


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """Names of bits from a stranger, made safe to show. Raises ValueError in words."""
    if len(names) > MAX_TAGS:
        raise ValueError(f"{len(names):,} tags: there may be {MAX_TAGS}")
    safe = tuple(map(clean, names))
    if any(not 0 < len(name) <= LONGEST_TAG for name in safe) or len(set(safe)) < len(safe):
        raise ValueError(f"tags that are not different names of 1 to {LONGEST_TAG} characters")
    return safe


def _replaced(events: NDArray[np.void], other: Callable[[int], int]) -> NDArray[np.void]:
    """The events with another number for each that stands in their tags; 0 stays. Most have none: nothing is copied."""
    tags = events["tags"]
    if not tags.any():
        return events
    used, which = np.unique(tags, return_inverse=True)
    out = events.copy()
    out["tags"] = np.array([other(one) if one else 0 for one in used.tolist()], np.uint16)[which]
    return out
