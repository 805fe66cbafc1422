"""A comparison in plain text: what got more, what got less, and what of it is more than chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui import __version__
from aperture_tui.export.collected import kind_name, time_range
from aperture_tui.export.comparison import AFTER, BASE, losses
from aperture_tui.export.names import COUNTED, NO_STACK, amount_ns, frame_name, time_utc
from aperture_tui.export.table import Column, fitted, table, wrapped
from aperture_tui.profile.comparable import Per
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure
from aperture_tui.profile.significance import FALSE, FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from aperture_tui.export.comparison import Comparison
    from aperture_tui.profile.difference import Pair
    from aperture_tui.profile.significance import Evidence
    from aperture_tui.profile.symbols import Frame

SELF, TOTAL = "self", "total"
"""What functions are compared by: without the functions that they call, or with them."""
MARK, NO_MARK = "*", "·"
"""A change that is more than chance, and one that may be chance."""
_LABEL: Final = 11  # width of the labels of the header
_WORSE, _BETTER, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"
_COMPARED: Final = {
    Per.SHARE: "as shares of each side's whole",
    Per.SECOND: "per second; points are percent of BASE's whole",
    Per.RUN: "per run; points are percent of BASE's whole",
}


def chosen(comparison: Comparison, by: str) -> tuple[Pair, Evidence | None]:
    """The weights of one sort, and what samples say of them."""
    if by == SELF:
        return comparison.functions.own, comparison.by_self
    return comparison.functions.total, comparison.by_total


def text(comparison: Comparison, by: str, top: int, width: int, colour: bool = False) -> str:
    """A header, the regressions and the improvements, `top` of each, in lines of at most `width` cells.

    Significant changes come first, then larger ones. colour: lines with significant changes are red and green.
    """
    lines = [part for line in _header(comparison, by) for part in wrapped(line, width, further=_LABEL)]
    if missing := incomparable(comparison):
        lines += ["", *wrapped(f"{missing}: there is nothing to compare.", width)]
    else:
        for title, sign, tint in (("Regressions", 1, _WORSE), ("Improvements", -1, _BETTER)):
            lines += ["", *_section(comparison, by, title, sign, top, width, tint if colour else "")]
    return "".join(f"{line if _PLAIN in line else fitted(line, width)}\n" for line in lines)


def incomparable(comparison: Comparison) -> str:
    """Why nothing can be compared, in words; "" where it can."""
    extents, samples, query = comparison.extents, comparison.samples, comparison.query
    empty = [i for i, extent in enumerate(extents) if extent.empty]
    if timeless := [i for i in empty if samples[i] and query.measure is Measure.TIME]:
        return f"How long a sample stands for is not known in {_named(timeless)}"
    if empty:
        return f"No {COUNTED[query.kind]} in {_named(empty)}"
    if math.isnan(comparison.scale):
        return f"How long it took is not known of {_named([i for i, one in enumerate(extents) if not one.seconds])}"
    return ""


def _named(sides: Sequence[int]) -> str:
    return " and ".join("AFTER" if side == AFTER else "BASE" for side in sides)


def _header(comparison: Comparison, by: str) -> list[str]:
    query = comparison.query
    lines = [f"aperture {__version__}"]
    for name, side, weight in zip(("base", "after"), comparison.sides, _wholes(comparison), strict=True):
        start, end = time_range(side.store, side.query)
        held = f"{time_utc(start)}, for {amount_ns(end - start)}" if end > start + 1 else time_utc(start)
        held = held if end > start else "nothing held"
        lines.append(_labelled(name, f"{side.label}: {held}; {weight}"))
        lines += [_labelled(_label(words), f"{name}: {words}") for words in losses(side)]
    lines.append(_labelled("compared", f"{kind_name(query.kind)}: functions by {by}, {_COMPARED[comparison.per]}"))
    return [*lines, _labelled("chance", _chance(chosen(comparison, by)[1]))]


def _label(words: str) -> str:
    return "filtered" if words.startswith("filter ") else "lost"  # what a filter takes away is its work


def _wholes(comparison: Comparison) -> list[str]:
    """The weight of each side, and what that is a second."""
    out = []
    for extent, samples in zip(comparison.extents, comparison.samples, strict=True):
        amount = _amount(comparison)
        whole = f"{amount(extent.whole * extent.unit)}{_counted(comparison, samples)}"
        rate = f", {amount(extent.whole * extent.unit / extent.seconds)}/s" if extent.seconds else ""
        out.append(f"{whole}{rate}")
    return out


def _counted(comparison: Comparison, samples: int) -> str:
    """What the whole of a side is an amount of."""
    query = comparison.query
    if query.kind is Kind.CPU:
        return f" on CPU in {samples:,} samples" if comparison.timed else " samples"
    return "" if query.measure is Measure.TIME else f" {COUNTED[query.kind]}"


def _chance(evidence: Evidence | None) -> str:
    if evidence is None:
        return "not estimated: these are all counted, and what one takes says little of the next"
    few = len(evidence.p) - evidence.tested
    changed = f"{int(evidence.significant.sum()):,} of {evidence.tested:,} functions"
    words = f"{MARK} more than chance: {changed} (false discovery rate {100 * FALSE:.0f} %); {NO_MARK} may be chance"
    return f"{words}; {few:,} with fewer than {FEWEST} samples are not tested" if few else words


def _labelled(label: str, value: str) -> str:
    return f"{label:<{_LABEL}}{value}"


def _section(comparison: Comparison, by: str, title: str, sign: int, top: int, width: int, tint: str) -> list[str]:
    """The functions that changed in one direction."""
    weights, evidence = chosen(comparison, by)
    points = comparison.points(weights) * sign
    rows = ordered(points, evidence)
    if not len(rows):
        return [f"{title}: none"]
    marked = np.zeros(len(points), bool) if evidence is None else evidence.significant
    count = f"{len(rows):,} function{'' if len(rows) == 1 else 's'}"
    of_these = "" if evidence is None else f", {int(marked[rows].sum()):,} by more than chance"
    heading, *lines = table(_columns(comparison, by, rows[:top]), width)
    for i in np.flatnonzero(marked[rows[:top]]).tolist() if tint else ():
        lines[i] = f"{tint}{fitted(lines[i], width)}{_PLAIN}"
    more = [f"and {len(rows) - top:,} more (--top)"] if len(rows) > top else []
    return [*wrapped(f"{title}: {count}{of_these}", width), heading, *lines, *more]


def ordered(points: NDArray[np.float64], evidence: Evidence | None) -> NDArray[np.int64]:
    """The functions that have points, significant ones first, then by points, most first. points: (n,)."""
    chance = np.zeros(len(points), bool) if evidence is None else ~evidence.significant
    order = np.lexsort((-points, chance))
    return order[points[order] > 0]


def above(comparison: Comparison, by: str, points: float) -> list[str]:
    """The functions whose change is significant and more than this, in words; most first, functions without stack too.

    Empty as well where nothing can be told (`Comparison.by_self`, `incomparable`).
    """
    weights, evidence = chosen(comparison, by)
    if evidence is None:
        return []
    changed = comparison.points(weights)
    rows = ordered(np.where(evidence.significant & (changed > points), changed, np.nan), evidence)
    frames = [comparison.functions.symbols.frame_at(i) for i in comparison.functions.frame[rows].tolist()]
    return [
        f"{name_of(frame)}{f' ({frame.module})' if frame.module else ''} {change:+.2f} points"
        for frame, change in zip(frames, changed[rows].tolist(), strict=True)
    ]


def name_of(frame: Frame) -> str:
    """The function; of what came without a stack that."""
    return NO_STACK if frame.kind is FrameKind.ROOT else frame_name(frame)


def _columns(comparison: Comparison, by: str, rows: NDArray[np.int64]) -> list[Column]:
    weights, evidence = chosen(comparison, by)
    symbols = comparison.functions.symbols
    frames = [symbols.frame_at(i) for i in comparison.functions.frame[rows].tolist()]
    processes = [symbols.frame_at(i) if i else None for i in comparison.functions.process[rows].tolist()]
    marks = [] if evidence is None else [MARK if on else NO_MARK for on in evidence.significant[rows].tolist()]
    columns = [
        Column("points", [f"{points:+.2f}" for points in comparison.points(weights)[rows].tolist()]),
        *([Column("", marks)] if marks else []),
        Column("change", _changes(comparison, weights, rows), 4),
        Column("before", _amounts(comparison, weights, rows, BASE), 2),
        Column("after", _amounts(comparison, weights, rows, AFTER), 2),
        Column("ratio", [_times(ratio) for ratio in comparison.ratio(weights)[rows].tolist()], 1),
        Column("process", [frame_name(frame) if frame else "" for frame in processes], 5, left=True),
        Column(
            "module", ["(process)" if frame.kind is FrameKind.PROCESS else frame.module for frame in frames], 3, True
        ),
        Column("function", [name_of(frame) for frame in frames], left=True, room=24),
    ]
    return [column for column in columns if any(column.cells)]


def _changes(comparison: Comparison, weights: Pair, rows: NDArray[np.int64]) -> list[str]:
    """What a run, or else a second, has more of it: where shares are compared, this says whether others shrank."""
    if comparison.per is not Per.RUN and not all(extent.seconds for extent in comparison.extents):
        return [""] * len(rows)
    amount = _amount(comparison)
    before, after = (_absolute(comparison, weights, rows, side) for side in (BASE, AFTER))
    unit = "" if comparison.per is Per.RUN else "/s"
    return [f"{'+' if change > 0 else ''}{amount(change)}{unit}" for change in (after - before).tolist()]


def _amounts(comparison: Comparison, weights: Pair, rows: NDArray[np.int64], side: int) -> list[str]:
    """What is compared: shares, amounts a second, or amounts."""
    if comparison.per is Per.SHARE:
        shares = 100 * weights[side][rows] / comparison.extents[side].whole
        return [f"{share:.2f} %" for share in shares.tolist()]
    amount, unit = _amount(comparison), "" if comparison.per is Per.RUN else "/s"
    return [f"{amount(value)}{unit}" for value in _absolute(comparison, weights, rows, side).tolist()]


def _absolute(comparison: Comparison, weights: Pair, rows: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Weights of a side in nanoseconds where they are time, and by the second unless runs are compared."""
    extent = comparison.extents[side]
    seconds = 1.0 if comparison.per is Per.RUN else extent.seconds
    return (weights[side][rows] * (extent.unit / seconds)).astype(np.float64, copy=False)


def _amount(comparison: Comparison) -> Callable[[float], str]:
    """Samples are shown as the time that they stand for: their number says little where frequencies differ."""
    if comparison.timed:
        return lambda value: amount_ns(round(value))
    return lambda value: f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _times(ratio: float) -> str:
    if ratio in (0, np.inf):
        return "gone" if ratio == 0 else "new"
    return f"×{ratio:.2f}" if ratio < 100 else f"×{ratio:,.0f}"


__all__ = ["SELF", "TOTAL", "above", "chosen", "name_of", "ordered", "text"]
