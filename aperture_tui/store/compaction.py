"""Events of a long range as fewer rows that give the same answers: alike ones are summed. Pure.

What is lost is when within the range each of them was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.latency import BUCKETS
from aperture_tui.profile.query import Measure, Query
from aperture_tui.store.groups import buckets_of, grouped
from aperture_tui.store.selection import LONGEST_NS, measured
from aperture_tui.store.slices import joined

COMPACT: Final = np.dtype(
    [
        *((name, "<i8" if name in ("duration_ns", "weight") else EVENT[name].str) for name in EVENT.names or ()),
        ("alone_ns", "<u8"),  # the shortest of those that were one event each, LONGEST_NS if there was none
        ("many", "i1"),  # the lowest bucket of those that were many; -1 if it is not known, NO_BUCKET if there was none
    ]
)
"""Like EVENT, but a row stands for many; what is summed cannot overflow. time_ns: the newest of them."""

NO_BUCKET: Final = BUCKETS + 1
BY_BUCKET: Final = (Kind.SYSCALL, Kind.LOCK)
"""Kinds whose events of Role.OWN are each of one bucket and of one outcome, whose errno is in `aux`."""

WHOLE: Final = ("pid", "tid", "process", "thread", "name", "stack", "value", "aux", "flags", "tags", "bucket")
"""All by which events can differ but time and CPU; "bucket" is that of the longest (profile.latency)."""
_RAW: Final = 500_000
"""Events that are held as they are: 36 MB."""
_MOST: Final = 2_000_000
"""Rows that may be left of them."""


class TooManyError(RuntimeError):
    """A range with more different events than can be held: one clear line."""


def gathered(parts: Iterable[NDArray[np.void]], query: Query, alike: Sequence[str] = WHOLE) -> NDArray[np.void]:
    """The events of all parts, arrays of EVENT of the query's kind and role: (n,) of EVENT, or of COMPACT if many.

    alike: columns, of WHOLE, in which events must be equal to be summed; the other ones of them, but the kind, are 0
    then.
    Raises TooManyError.
    """
    compacted = np.zeros(0, COMPACT)
    raw: list[NDArray[np.void]] = []
    waiting = 0
    for part in parts:
        raw.append(part)
        waiting += len(part)
        if waiting > max(_RAW, len(compacted)):
            compacted, raw, waiting = _summed([compacted, *raw], query, alike), [], 0
            if len(compacted) > _MOST:
                raise TooManyError(f"more than {_MOST:,} different events in this range: choose a shorter one")
    return _summed([compacted, *raw], query, alike) if len(compacted) else joined(raw)


def shortest(events: NDArray[np.void], query: Query) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """(n,), (n,): `alone_ns` and `many` of each row, (n,) of EVENT or of COMPACT.

    A record of one event says how long that took. Of waits for locks the shortest is such a record
    (collect/locks.py); of calls a shorter one may be among the many of another record, unless all those are of higher
    buckets; and a record of many that is not made by bucket says nothing of its shortest.
    """
    if events.dtype == COMPACT:
        return events["alone_ns"], events["many"].astype(np.intp)
    longest = np.minimum(events["maximum_ns"], np.uint64(LONGEST_NS))
    alone = events["weight"] == 1
    by_bucket = query.role is Role.OWN and query.kind in BY_BUCKET
    many = buckets_of(longest) if by_bucket else np.full(len(events), -1, np.intp)
    return np.where(alone, longest, np.uint64(LONGEST_NS)), np.where(alone, NO_BUCKET, many)


def as_compact(events: NDArray[np.void], query: Query) -> NDArray[np.void]:
    """The same rows, of EVENT or of COMPACT, as rows of COMPACT."""
    if events.dtype == COMPACT:
        return events
    out = np.zeros(len(events), COMPACT)
    for name in EVENT.names or ():
        out[name] = _of(events, query, name)
    out["alone_ns"], out["many"] = shortest(events, query)
    return out


def _summed(parts: list[NDArray[np.void]], query: Query, alike: Sequence[str]) -> NDArray[np.void]:
    """Rows of EVENT or COMPACT, alike ones as one: (m,) of COMPACT."""
    column = partial(_column, parts, query)
    keys = [column(name) for name in alike]
    groups = grouped(keys)
    out = np.zeros(groups.n, COMPACT)
    out["kind"] = query.kind
    for name, key in zip(alike, keys, strict=True):
        if name != "bucket":
            out[name] = key[groups.first]
    for name in ("duration_ns", "weight"):
        out[name] = groups.sums(column(name))
    for name, which in _KEPT.items():
        values = column(name)
        kept = values[groups.first]
        which.at(kept, groups.of, values)
        out[name] = kept
    return out


_KEPT: Final = {"time_ns": np.maximum, "maximum_ns": np.maximum, "alone_ns": np.minimum, "many": np.minimum}


def _column(parts: list[NDArray[np.void]], query: Query, name: str) -> NDArray[Any]:
    """(n,): of all rows."""
    return np.concatenate([_of(part, query, name) for part in parts])


def _of(part: NDArray[np.void], query: Query, name: str) -> NDArray[Any]:
    match name:
        case "duration_ns":
            return measured(part, Measure.TIME)
        case "weight":
            return measured(part, Measure.COUNT)
        case "alone_ns":
            return shortest(part, query)[0]
        case "many":
            return shortest(part, query)[1]
        case "bucket":
            return buckets_of(np.minimum(part["maximum_ns"], np.uint64(LONGEST_NS)))
    return part[name]


__all__ = ["BY_BUCKET", "COMPACT", "NO_BUCKET", "WHOLE", "TooManyError", "as_compact", "gathered", "shortest"]
