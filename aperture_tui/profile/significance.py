"""Whether counts of samples differ by more than chance.

A profile is a sample: the same program has other counts the next time. Under the hypothesis that nothing has changed
a function's samples fall to the two sides as their extents do, so with m samples on both sides together and a share q
of the extents, those of `after` have mean m q. Shares are compared by Fisher's exact test (hypergeometric) and by the
pooled test of two proportions where counts are large (NIST/SEMATECH e-Handbook, 7.3.3,
https://www.itl.nist.gov/div898/handbook/prc/section3/prc33.htm); rates by the conditional test of two Poisson means
(binomial; Przyborowski and Wilenski, Biometrika 31, 1940).

All of this is for samples that are independent of each other. Those of a program that does one thing for a second and
another for the next are not: `spread` measures by how much, from slices of time (Rao and Scott, A simple method for the
analysis of clustered binary data, Biometrics 48, 1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.comparable import Per

FALSE: Final = 0.01
"""Of the functions that are marked, the part that may be so by chance (false discovery rate)."""
FEWEST: Final = 10
"""Functions with fewer samples, both sides together, are not tested: of as many functions as a profile has, hardly a
difference of theirs could be significant."""
_SMALL: Final = 100  # expected samples on one side, with or without a function, up to which the exact one is summed up
_REACH: Final = 1000  # a hundred standard deviations where the mean is _SMALL
_TRUSTED: Final = 8
_SMALLEST_P: Final = 1e-300

Weights = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What samples say of the changes of functions, (n,) each.

    p: the probability of such a change by chance; NaN of functions with fewer than FEWEST samples. q: the same with
    regard to how many functions were compared (`adjusted`).
    """

    p: Numbers
    q: Numbers

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(n,): the change is more than chance."""
        return self.q < FALSE  # of NaN this is False

    @property
    def tested(self) -> int:
        """How many functions had enough samples."""
        return int(np.count_nonzero(~np.isnan(self.p)))


def evidence(before: Weights, after: Weights, scale: float, per: Per) -> Evidence:
    """Of samples in slices of time, (slices, 1 + n): the first column is the whole of a slice, the others functions.

    scale: profile.comparable.scale of these samples; NaN where a side is empty, and then nothing is tested. The same
    work done once goes through its phases on both sides alike: there only, slices that differ say nothing.
    """
    counts = before.sum(axis=0), after.sum(axis=0)
    if math.isnan(scale):
        p = np.full(len(counts[0]) - 1, np.nan)
        return Evidence(p, p)
    wholes = (int(counts[0][0]), int(counts[1][0])) if per is Per.SHARE else None
    p = p_values(counts[0][1:], counts[1][1:], scale, wholes)
    shares = per is Per.SHARE
    slices = min(int(np.count_nonzero(_extents(side[:, 0], shares))) for side in (before, after))
    if per is not Per.RUN and slices > 1:
        p = widened(p, effect(before, after, scale, shares), slices - 1)
    return Evidence(p, adjusted(p))


def p_values(before: Weights, after: Weights, scale: float, wholes: tuple[int, int] | None) -> Numbers:
    """The probability of a difference as large as this, or larger, by chance: (n,), NaN of fewer than FEWEST samples.

    before, after: samples of each function, (n,). scale: extent of the first side over that of the second
    (profile.comparable). wholes: all samples of each side, where shares are compared; None where rates are.
    Two-sided: twice the smaller tail.
    """
    both = before + after
    q = 1 / (1 + scale)
    variance = both * q * (1 - q)
    if wholes:
        variance = variance * (sum(wholes) - both) / max(sum(wholes) - 1, 1)
    distance = np.maximum(np.abs(after - both * q) - 0.5, 0)  # 0.5: counts are whole numbers
    z = np.divide(distance, np.sqrt(variance), out=np.zeros(len(both)), where=variance > 0)
    p = tails(z)
    rare = np.minimum(both, sum(wholes) - both) if wholes else both  # what nearly all samples have is as the few others
    small = np.flatnonzero(rare * min(q, 1 - q) < _SMALL)
    small = small[np.argsort(both[small], kind="stable")]
    for rows in np.split(small, np.flatnonzero(np.diff(both[small])) + 1) if len(small) else ():
        p[rows] = _exact(after[rows], int(both[rows[0]]), scale, wholes)
    p[both < FEWEST] = np.nan
    return p


def _exact(after: Weights, m: int, scale: float, wholes: tuple[int, int] | None) -> Numbers:
    """Twice the smaller tail of the distribution of m samples to two sides, for those that have `after` on the second.

    The distribution comes from the ratios of its neighbours, in logarithms: binomial (m - k) / (k + 1) / scale,
    hypergeometric (m - k) (W2 - k) / ((k + 1) (W1 - m + k + 1)). It is summed up _REACH around its mean: m may be huge
    where one side is, and beyond that nothing is left of it.
    """
    low, high = (max(0, m - wholes[0]), min(m, wholes[1])) if wholes else (0, m)
    mean = round(m / (1 + scale))
    low, high = max(low, min(mean - _REACH, high)), min(high, max(mean + _REACH, low))
    k = np.arange(low, high, dtype=np.float64)
    odds = (wholes[1] - k) / (wholes[0] - m + k + 1) if wholes else np.full(len(k), 1 / scale)
    logarithm = np.concatenate([[0.0], np.cumsum(np.log((m - k) / (k + 1) * odds))])
    chances = np.exp(logarithm - logarithm.max())
    chances /= chances.sum()
    tail = np.minimum(np.cumsum(chances), np.cumsum(chances[::-1])[::-1])
    out: Numbers = np.clip(2 * tail[np.clip(after, low, high) - low], _SMALLEST_P, 1)
    return out


def spread(counts: Weights, extents: Numbers) -> Numbers:
    """The variance of the samples of functions, (n,), as slices of time of one side have it.

    counts: (slices, n). extents: (slices,), what their counts are compared with: all samples of the slice where shares
    are, else 1; of at least two more than 0. The variance of a ratio estimator: a function whose part is the same in
    all slices has that of independent samples.
    """
    slices = np.count_nonzero(extents)  # one without samples says nothing of shares
    part = counts.sum(axis=0) / max(float(extents.sum()), 1)
    residual = counts - np.outer(extents, part)
    out: Numbers = slices / (slices - 1) * np.square(residual).sum(axis=0)
    return out


def effect(before: Weights, after: Weights, scale: float, shares: bool) -> Numbers:
    """How many times the variance of independent samples a difference really has, at least 1: the design effect.

    before, after: (slices, n), samples of functions, whose first column is the whole of the slice. (n - 1,).
    """
    expected = measured = np.zeros(before.shape[1] - 1)
    for counts, factor in ((before, 1.0), (after, scale)):
        whole, of_functions = counts[:, 0], counts[:, 1:]
        samples = of_functions.sum(axis=0)
        other = 1 - samples / max(int(whole.sum()), 1) if shares else 1.0
        expected = expected + factor**2 * samples * other
        measured = measured + factor**2 * spread(of_functions, _extents(whole, shares))
    out: Numbers = np.divide(measured, expected, out=np.ones(len(expected)), where=expected > 0)
    return np.maximum(out, 1)


def _extents(wholes: Weights, shares: bool) -> Numbers:
    """Of slices with so many samples: as of `spread`."""
    return wholes.astype(np.float64) if shares else np.ones(len(wholes))


def widened(p: Numbers, times: Numbers, freedom: int) -> Numbers:
    """The probabilities where variances are so many times as large; both (n,).

    The factor is an estimate with so many degrees of freedom: the deviate has Student's distribution, which Wallace's
    transformation makes normal (Annals of Mathematical Statistics 30, 1959; off by less than 0.01 of a deviate here).
    That a function does not vary by more than independent samples do is believed from _TRUSTED degrees on alone.
    """
    rows = np.flatnonzero(((times > 1) | (freedom < _TRUSTED)) & (p < 1))
    normal = NormalDist().inv_cdf
    z = np.array([-normal(max(value, _SMALLEST_P) / 2) for value in p[rows].tolist()])
    squared = z**2 / times[rows]
    deviate = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(squared / freedom))
    out = p.copy()
    out[rows] = tails(deviate)
    return out


def tails(z: Numbers) -> Numbers:
    """Both tails of the normal distribution beyond a deviate, at least 1e-300."""
    return np.array([max(math.erfc(value / math.sqrt(2)), _SMALLEST_P) for value in z.tolist()])


def adjusted(p: Numbers) -> Numbers:
    """For each of many comparisons the rate of false discoveries at which it is one: (n,), NaN where p is.

    Benjamini and Hochberg: the k-th smallest of m times m / k, and no larger than any behind it
    (https://en.wikipedia.org/wiki/False_discovery_rate#Benjamini%E2%80%93Hochberg_procedure).
    """
    out = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
    return out


def smallest_visible(wholes: tuple[int, int]) -> float:
    """The change of a share, in points, that a single test finds with an even chance, of a function with half of all.

    Functions with smaller shares need less; wholes: samples of each side, NaN where one has none.
    """
    if not min(wholes):
        return math.nan
    deviate = NormalDist().inv_cdf(1 - FALSE / 2)
    return 100 * deviate * math.sqrt(0.25 * (1 / wholes[0] + 1 / wholes[1]))


__all__ = [
    "FALSE",
    "FEWEST",
    "Evidence",
    "adjusted",
    "effect",
    "evidence",
    "p_values",
    "smallest_visible",
    "spread",
    "tails",
    "widened",
]
