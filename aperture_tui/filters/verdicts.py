"""Verdicts put to effect. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters import abi
from aperture_tui.filters.errors import FaultError

_KEEP_ALL: Final = np.ones(abi.MAX_BATCH, "<u4").tobytes()
_DROP_ALL: Final = bytes(len(_KEEP_ALL))
_MOST_WEIGHT: Final = (1 << 32) - 1
_MOST_NS: Final = (1 << 63) - 1  # sums are of signed numbers
# A whole record as one opaque item: numpy copies structured arrays field by field, 20 times slower.
_RECORD: Final = np.dtype((np.void, abi.EVENT.itemsize))


class Applied(NamedTuple):
    """events: those that are kept, (m,) of EVENT; the very array that was given, if nothing changed.

    saturated: events whose weight or duration, multiplied, does not fit into a record. tagged, weighed: events that
    were given a tag, or more weight.
    """

    events: NDArray[np.void]
    saturated: int
    tagged: int
    weighed: int


def applied(events: NDArray[np.void], verdicts: bytes, tags: NDArray[np.uint16] | None) -> Applied:
    """What is left of events, (n,) of EVENT. verdicts: n uint32 as bytes. tags: (n,), bits that are added.

    Raises FaultError for a verdict that is none.
    """
    n = len(verdicts)
    if verdicts == _KEEP_ALL[:n]:
        out, tagged = _tagged(events, tags)
        return Applied(out, 0, tagged, 0)
    if verdicts == _DROP_ALL[:n]:
        return Applied(events[:0], 0, 0, 0)
    times = np.frombuffer(verdicts, "<u4")
    if (most := int(times.max())) > abi.MAX_VERDICT:
        raise FaultError(f"its verdict {most:,} is larger than {abi.MAX_VERDICT:,}")
    kept = (times != 0).nonzero()[0]  # three times as fast as of the numbers themselves
    out = events.view(_RECORD).take(kept).view(abi.EVENT)
    saturated = weighed = 0
    if most > 1:
        of_kept = times.take(kept)
        saturated, weighed = _multiply(out, of_kept, most), int(np.count_nonzero(of_kept > 1))
    out, tagged = _tagged(out, None if tags is None else tags[kept])
    return Applied(out, saturated, tagged, weighed)


def joined(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    """Arrays of EVENT as one."""
    return parts[0] if len(parts) == 1 else np.concatenate([part.view(_RECORD) for part in parts]).view(abi.EVENT)


def _tagged(events: NDArray[np.void], tags: NDArray[np.uint16] | None) -> tuple[NDArray[np.void], int]:
    """The events with these bits as well, and how many have got any."""
    if tags is None or not (tagged := int(np.count_nonzero(tags))):
        return events, 0
    out = events.view(_RECORD).copy().view(abi.EVENT)
    out["tags"] |= tags
    return out, tagged


def _multiply(events: NDArray[np.void], times: NDArray[np.uint32], most: int) -> int:
    """Multiply weights and durations, in place, up to what fits; the number of those that did not. most: of times."""
    if int(events["weight"].max()) * most <= _MOST_WEIGHT and int(events["duration_ns"].max()) * most <= _MOST_NS:
        events["weight"] *= times
        events["duration_ns"] *= times
        return 0
    rows = np.flatnonzero(times > 1)
    n = times[rows].astype(np.uint64)
    weight, duration = events["weight"][rows].astype(np.uint64) * n, events["duration_ns"][rows]
    over = duration > np.uint64(_MOST_NS) // n
    events["weight"][rows] = np.minimum(weight, _MOST_WEIGHT)
    events["duration_ns"][rows] = np.where(over, np.maximum(duration, _MOST_NS), duration * n)
    return int(np.count_nonzero(over | (weight > _MOST_WEIGHT)))
