"""Two selections of events side by side: by function, with what samples can say of the difference."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.export import folded
from aperture_tui.export.collected import IMPORT, collected, kind_name, losses_of, time_range
from aperture_tui.export.names import COUNTED, amount_ns, whole_share
from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.comparable import Extent, Per, scale
from aperture_tui.profile.difference import Carrier, Functions, Pair, by_function, functions
from aperture_tui.profile.kinds import UNRECORDED, FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.significance import Evidence, evidence
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.where import OF_STACKS, Bound, Key, Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aperture_tui.store.base import Store

BASE, AFTER = 0, 1
"""The sides of whatever has two."""
SLICES: Final = 32
"""Parts of equal length of each side: how much they differ is how much a side varies by itself."""
_CLOSER: Final = 3
"""How often that is looked at more closely which has samples in a small part of its time alone."""
_STACKS: Final = 0.05  # of all stacks: so many more whole ones on one side move totals visibly
_NAMES: Final = ("BASE", "AFTER")
_OF_WORK: Final = OF_STACKS | {Key.NAME, Key.TAG, Key.TID, Key.THREAD}
"""What a term of a filter line may be about that is of one event."""


@dataclass(frozen=True)
class Side:
    """A query to a store. label: what it is called, most often its file."""

    label: str
    store: Store
    query: Query


@dataclass(frozen=True)
class Comparison:
    """Both sides by function.

    extents: of the weights. samples: how many on each side. periods_ns: the time that a sample stands for, on average,
    0 where there are none or where it is not known. Of other events both are 0. by_self, by_total: what samples say;
    None where weights are not of samples, and chance cannot be told from change: calls and waits are all counted, and
    none is like another.
    """

    sides: tuple[Side, Side]
    per: Per
    extents: tuple[Extent, Extent]
    samples: tuple[int, int]
    periods_ns: tuple[float, float]
    functions: Functions
    by_self: Evidence | None
    by_total: Evidence | None
    without_modules: int | None = None

    @property
    def query(self) -> Query:
        """That of the second side; the first differs in its range alone."""
        return self.sides[AFTER].query

    @property
    def scale(self) -> float:
        """What weights of the second side are multiplied by to stand beside the first (profile.comparable)."""
        return scale(self.per, *self.extents)

    @property
    def timed(self) -> bool:
        """Whether weights times the unit of their extent are nanoseconds."""
        if self.query.measure is Measure.TIME:
            return True
        return self.query.kind is Kind.CPU and _are_known(self.periods_ns, self.samples)

    def points(self, weights: Pair) -> NDArray[np.float64]:
        """The change of each function in percent of the first side's whole, (n,); NaN where that is unknown."""
        if math.isnan(self.scale):
            return np.full(len(weights.before), np.nan)
        points = (weights.after * self.scale - weights.before) * (100 / self.extents[BASE].whole)
        return points.astype(np.float64, copy=False)

    def ratio(self, weights: Pair) -> NDArray[np.float64]:
        """How many times as much, (n,): infinite of what is new, 0 of what is gone, NaN where that is unknown."""
        with np.errstate(divide="ignore", invalid="ignore"):
            out: NDArray[np.float64] = weights.after * self.scale / weights.before
        return out


def compared(base: Side, after: Side, per: Per) -> Comparison:
    """Both sides by function. Raises re.error."""
    sides = (base, after)
    trees, counts, told = _carried(sides, Carrier(Symbols()), per)
    without = _without_modules(told)
    if without is not None:
        trees, counts, told = _carried(sides, Carrier(Symbols(), modules=False), per)
    times = [_seconds(side) for side in sides]
    if base.query.kind is not Kind.CPU:
        before, now = (Extent(tree.weight, seconds) for tree, seconds in zip(trees, times, strict=True))
        return Comparison(sides, per, (before, now), (0, 0), (0.0, 0.0), told, None, None, without)
    periods = _period_ns(base), _period_ns(after)
    own, total = zip(*(_by_slice(side, told) for side in counts), strict=True)
    samples = int(own[BASE][:, 0].sum()), int(own[AFTER][:, 0].sum())
    units = periods if _are_known(periods, samples) else (1.0, 1.0)  # of files that tell no durations
    of_samples = [Extent(*of) for of in zip(samples, times, units, strict=True)]
    extents = [
        extent if base.query.measure is Measure.COUNT else replace(extent, whole=tree.weight, unit=1.0)
        for extent, tree in zip(of_samples, trees, strict=True)
    ]
    times_as_many = scale(per, of_samples[BASE], of_samples[AFTER])
    by_self, by_total = (evidence(before, now, times_as_many, per) for before, now in (own, total))
    return Comparison(sides, per, (extents[BASE], extents[AFTER]), samples, periods, told, by_self, by_total, without)


class _Counts(NamedTuple):
    """Samples of a slice of time. own, total: by frame id."""

    whole: int
    own: NDArray[np.int64]
    total: NDArray[np.int64]


def _carried(
    sides: tuple[Side, Side], carrier: Carrier, per: Per
) -> tuple[tuple[CallTree, ...], tuple[list[_Counts], ...], Functions]:
    trees, counts = zip(*(_trees(side, carrier, per) for side in sides), strict=True)
    return trees, counts, functions(*trees)


def _trees(side: Side, carrier: Carrier, per: Per) -> tuple[CallTree, list[_Counts]]:
    """All stacks of a side in its measure, and of samples how many in each slice of time."""
    if side.query.kind is not Kind.CPU:
        moved = [carrier.tree(tree, _leaf(leaf)) for leaf, tree in folded.parts(side.store, side.query)]
        nothing = CallTree(carrier.symbols, carrier.symbols.trie, np.zeros(1, np.int64))
        return reduce(CallTree.merge, moved, nothing), []
    return carrier.tree(side.store.call_tree(side.query)), _sliced(side, carrier, closer=per is Per.SHARE)


def _leaf(name: str) -> Frame | None:
    return Frame(name, kind=FrameKind.KERNEL) if name else None


def _sliced(side: Side, carrier: Carrier, closer: bool) -> list[_Counts]:
    """The samples of a side in slices of equal length; the first and the last reach as far as the query does.

    closer: slices without samples say nothing, as where shares are compared. Then those of a program that ran for a
    small part of the time are of that part.
    """
    start, end = time_range(side.store, side.query)
    first, last = side.query.start_ns, side.query.end_ns
    for _ in range(1 + _CLOSER):
        edges = [start + (end - start) * i // SLICES for i in range(SLICES + 1)]
        ranges = list(itertools.pairwise([first, *edges[1:-1], last]))
        slices = [_counted(side, carrier, *of) for of in ranges]
        filled = [i for i, one in enumerate(slices) if one.whole]
        if not closer or not filled or 2 * (filled[-1] - filled[0] + 1) > SLICES or end - start < SLICES:
            break
        (first, _), (_, last) = ranges[filled[0]], ranges[filled[-1]]
        start, end = edges[filled[0]], edges[filled[-1] + 1]
    return slices


def _counted(side: Side, carrier: Carrier, start_ns: int | None, end_ns: int | None) -> _Counts:
    query = replace(side.query, measure=Measure.COUNT, start_ns=start_ns, end_ns=end_ns)
    tree = carrier.tree(side.store.call_tree(query))
    return _Counts(tree.weight, *by_function(tree))


def _by_slice(slices: Sequence[_Counts], told: Functions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Self and total counts, (slices, 1 + n) each: the whole of a slice before those of its functions."""
    own = np.zeros((len(slices), 1 + len(told.frame)), np.int64)
    total = own.copy()
    for i, one in enumerate(slices):
        own[i, 0] = total[i, 0] = one.whole
        known = told.frame < len(one.own)  # the frames that the tables had when it was counted
        own[i, 1:][known], total[i, 1:][known] = one.own[told.frame[known]], one.total[told.frame[known]]
    return own, total


def _seconds(side: Side) -> float:
    """How long was looked at; 0 where that is not known, as all is of one moment."""
    start, end = time_range(side.store, side.query)
    return (end - start) / 1e9 if end - start > 1 else 0.0


def _period_ns(side: Side) -> float:
    uses = side.store.processes(side.query)
    count = sum(use.count for use in uses)
    return sum(use.time_ns for use in uses) / count if count else 0.0


def _are_known(periods_ns: Sequence[float], samples: Sequence[int]) -> bool:
    """Whether the samples of both sides stand for a time; those of a side that has none may."""
    return all(period > 0 or not n for period, n in zip(periods_ns, samples, strict=True))


def losses(side: Side) -> list[str]:
    """What the recording lacks of these events, in words."""
    out = []
    for loss in losses_of(side.store, (side.query.kind,)):
        out += [loss.message] if loss.message and loss.source != IMPORT else []  # what it is, is no loss
        out += [f"{loss.source}: {cause}: {n:,}" for cause, n in loss.counts.items()]
    return out


def caveats(comparison: Comparison) -> list[str]:
    """How the sides were made differently, each a line: what is no change of the program may look like one."""
    base, after = comparison.sides
    stores = base.store, after.store
    told = (
        _told("kernel", *(", ".join(sorted({host.kernel for host in store.hosts()})) for store in stores)),
        _told("CPUs", *(", ".join(str(host.cpus) for host in store.hosts()) for store in stores)),
        _told("events", *(", ".join(kind_name(kind) for kind in collected(store)) for store in stores)),
        _told("frequency", *(f"{1e9 / period:.0f} Hz" if period else "" for period in comparison.periods_ns)),
        _durations(comparison),
        _modules(comparison.without_modules),
        _completeness(base, after),
        _unrecorded(base, after),
        _overlap(base, after),
    )
    return [line for line in told if line]


def _told(what: str, before: str, now: str) -> str:
    return f"{what}: {before} in BASE, {now} in AFTER" if before and now and before != now else ""


def _durations(comparison: Comparison) -> str:
    if comparison.timed or comparison.query.kind is not Kind.CPU or comparison.per is Per.SHARE:
        return ""
    unknown = [_NAMES[i] for i in (BASE, AFTER) if comparison.samples[i] and not comparison.periods_ns[i]]
    return f"how long a sample stands for is not known in {' and '.join(unknown)}: numbers of samples are compared"


def _modules(without: int | None) -> str:
    return "" if without is None else f"{_NAMES[without]} tells no modules: functions are the same by their names alone"


def _without_modules(told: Functions) -> int | None:
    """The side that tells none, as folded stacks do, where the other one does: nearly all would be new or gone."""
    frames = told.symbols.frames[told.frame]
    real = ~np.isin(frames["kind"], (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.UNKNOWN))
    have = [bool(np.any(frames["module"][real & (weights > 0)])) for weights in told.total]
    if have[BASE] == have[AFTER] or not all((weights[real] > 0).any() for weights in told.total):
        return None
    return BASE if have[AFTER] else AFTER


def _completeness(base: Side, after: Side) -> str:
    before, now = (side.store.completeness(side.query) for side in (base, after))
    if before.share is None or now.share is None or abs(before.share - now.share) < _STACKS:
        return ""
    return _told(f"whole stacks, of {COUNTED[base.query.kind]}", whole_share(before), whole_share(now))


def _unrecorded(base: Side, after: Side) -> str:
    """Of what GPUs did: for how long nobody knows it, which looks like less work."""
    if after.query.kind not in (Kind.GPU_KERNEL, Kind.GPU_COPY):
        return ""
    before, now = (sum(use.time_ns for use in side.store.processes(_unknown(side.query))) for side in (base, after))
    if not before and not now:
        return ""
    times = f"{amount_ns(before)} in BASE, {amount_ns(now)} in AFTER"
    return f"not recorded, of what programs had GPUs do, by program and GPU: {times}"


def _unknown(query: Query) -> Query:
    """For the stretches that nobody recorded of the same programs: they have neither a name nor a stack."""
    terms = (term for term in query.where.but(_OF_WORK).terms if not isinstance(term, Bound))
    query = replace(query, kind=Kind.GPU_KERNEL, role=UNRECORDED, measure=Measure.TIME, where=Where(tuple(terms)))
    return replace(query, name=None, value=None, frame=None, tids=(), tags=(), without_tags=())


def _overlap(base: Side, after: Side) -> str:
    if base.store is not after.store:
        return ""
    (a, b), (c, d) = (time_range(side.store, side.query) for side in (base, after))
    shared = min(b, d) - max(a, c)
    return f"both sides are of one recording and share {shared / 1e9:.3g} s" if shared > 0 else ""


__all__ = ["AFTER", "BASE", "Comparison", "Side", "caveats", "compared", "losses"]
