"""Chance: exact computations for small numbers, and simulations with a fixed seed for the rest."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aperture_tui.profile.comparable import Per
from aperture_tui.profile.significance import (
    FALSE,
    FEWEST,
    adjusted,
    effect,
    evidence,
    p_values,
    smallest_visible,
    spread,
    tails,
    widened,
)

SLICES = 32


def p_value(before: int, after: int, scale: float, wholes: tuple[int, int] | None) -> float:
    return float(p_values(np.array([before]), np.array([after]), scale, wholes)[0])


def fisher(before: int, after: int, wholes: tuple[int, int]) -> Fraction:
    """Twice the smaller tail of the hypergeometric distribution, in whole numbers."""
    m, n = before + after, sum(wholes)
    chance = [Fraction(comb(wholes[1], k) * comb(wholes[0], m - k), comb(n, m)) for k in range(m + 1)]
    return min(Fraction(1), 2 * min(sum(chance[: after + 1], Fraction()), sum(chance[after:], Fraction())))


def fisher_of_many(before: int, after: int, wholes: tuple[int, int]) -> float:
    """The same by logarithms of factorials."""

    def ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    m = before + after
    ks = range(max(0, m - wholes[0]), min(m, wholes[1]) + 1)
    chance = {k: math.exp(ways(wholes[1], k) + ways(wholes[0], m - k) - ways(sum(wholes), m)) for k in ks}
    return min(1, 2 * min(math.fsum(chance[k] for k in ks if side * (k - after) >= 0) for side in (1, -1)))


def binomial(before: int, after: int, q: Fraction) -> Fraction:
    m = before + after
    chance = [comb(m, k) * q**k * (1 - q) ** (m - k) for k in range(m + 1)]
    return min(Fraction(1), 2 * min(sum(chance[: after + 1], Fraction()), sum(chance[after:], Fraction())))


class TestOneFunction:
    @given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300), st.integers(0, 300))
    def test_small_shares_are_those_of_fishers_exact_test(self, before: int, after: int, more: int, rest: int) -> None:
        wholes = before + more + 1, after + rest + 1
        if before + after >= FEWEST:
            got = p_value(before, after, wholes[0] / wholes[1], wholes)
            assert got == pytest.approx(float(fisher(before, after, wholes)), rel=1e-9)

    @given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 9), st.integers(1, 9))
    def test_small_rates_are_those_of_two_poisson_means(self, before: int, after: int, one: int, other: int) -> None:
        if before + after >= FEWEST:
            got = p_value(before, after, one / other, None)
            assert got == pytest.approx(float(binomial(before, after, Fraction(other, one + other))), rel=1e-9)

    @pytest.mark.parametrize("wholes", [(4000, 4000), (3000, 9000), (4000, 1000)])
    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
    def test_large_counts_agree_with_the_exact_test(self, wholes: tuple[int, int], share: float) -> None:
        """Within a tenth of the logarithm, which is all that is asked of a probability."""
        for points in (-3, -1.5, 0, 1.5, 3):
            before, after = round(wholes[0] * share), round(wholes[1] * (share + points / 100))
            exact = fisher_of_many(before, after, wholes)
            got = p_value(before, after, wholes[0] / wholes[1], wholes)
            if exact > 1e-12:
                assert math.log(got) == pytest.approx(math.log(exact), rel=0.1, abs=0.1)

    def test_an_example_of_the_handbook(self) -> None:
        """NIST 7.3.3: 38 of 200 and 52 of 200 have z = -1.676, without the continuity correction that we make."""
        got = p_value(52, 38, 1, (200, 200))
        assert got == pytest.approx(float(fisher(52, 38, (200, 200))), rel=1e-9)
        assert float(tails(np.array([1.676]))[0]) < got < 1.3 * 0.0937

    @pytest.mark.parametrize("wholes", [(19_000, 1000), (50_000, 500), (20_000, 20_000)])
    @pytest.mark.parametrize("without", [(15, 5), (40, 0), (8, 6)])
    def test_what_nearly_all_samples_have_is_judged_by_the_few_without_it(
        self, wholes: tuple[int, int], without: tuple[int, int]
    ) -> None:
        """Taken for normal, 15 of 19,000 and 5 of 1,000 had less than a tenth of their probability."""
        having = wholes[0] - without[0], wholes[1] - without[1]
        exact = fisher_of_many(*without, wholes)
        assert p_value(*having, wholes[0] / wholes[1], wholes) == pytest.approx(exact, rel=1e-6)

    def test_few_samples_are_not_tested(self) -> None:
        assert math.isnan(p_value(0, FEWEST - 1, 1, (100, 100)))
        assert p_value(0, FEWEST, 1, (100, 100)) < 0.05

    def test_what_has_all_samples_on_both_sides_has_not_changed(self) -> None:
        assert p_value(5000, 9000, 5 / 9, (5000, 9000)) == 1

    def test_a_huge_change_has_a_small_probability_and_none_is_zero(self) -> None:
        assert 0 < p_value(0, 10**6, 1, (10**6, 10**6)) < 1e-200
        assert 0 < p_value(0, 300, 1e-4, None) <= 1

    @pytest.mark.parametrize("wholes", [None, (10**15, 10**6)])
    def test_a_side_without_end_costs_no_more(self, wholes: tuple[int, int] | None) -> None:
        """A hundred samples beside 10^11, of which 100 are expected, were 10^11 numbers in memory."""
        assert p_value(10**11 - 100, 100, 1e9, wholes) > 0.9
        assert 1e-6 < p_value(10**11 - 140, 140, 1e9, wholes) < 1e-3
        assert p_value(10**11 - 10**5, 10**5, 1e9, wholes) < 1e-200
        assert 1e-6 < p_value(60, 10**11 - 60, 1e-9, wholes and wholes[::-1]) < 1e-3


class TestMany:
    def test_benjamini_and_hochberg_of_their_own_paper(self) -> None:
        """15 comparisons of which 4 are discoveries at 5 % (1995, section 4): q is below 0.05 of the first four."""
        p = [
            0.0001,
            0.0004,
            0.0019,
            0.0095,
            0.0201,
            0.0278,
            0.0298,
            0.0344,
            0.0459,
            0.324,
            0.4262,
            0.5719,
            0.6528,
            0.759,
            1,
        ]
        q = adjusted(np.array(p[::-1]))[::-1]
        assert (q < 0.05).tolist() == [True] * 4 + [False] * 11
        assert q[0] == pytest.approx(0.0015)

    @given(st.lists(st.none() | st.floats(1e-300, 1), max_size=30))
    def test_by_its_definition(self, told: list[float | None]) -> None:
        p = np.array([np.nan if value is None else value for value in told])
        tested = sorted(value for value in told if value is not None)
        steps = [value * len(tested) / (rank + 1) for rank, value in enumerate(tested)]
        for value, got in zip(told, adjusted(p).tolist(), strict=True):
            if value is None:
                assert math.isnan(got)
            else:
                last = max(i for i, other in enumerate(tested) if other == value)
                assert got == pytest.approx(min(1, *steps[last:]))


class TestSpread:
    def test_independent_samples_have_their_own_variance(self) -> None:
        rng = np.random.default_rng(1)
        counts = rng.multinomial(200, [0.5, 0.3, 0.2], 4000)[np.newaxis].reshape(125, SLICES, 3).astype(np.int64)
        got = np.mean([spread(one, one.sum(axis=1).astype(float)) for one in counts], axis=0)
        assert got == pytest.approx(200 * SLICES * np.array([0.25, 0.21, 0.16]), rel=0.05)

    def test_a_function_that_is_the_same_in_all_slices_does_not_vary(self) -> None:
        assert spread(np.full((SLICES, 1), 7), np.full(SLICES, 70.0)).tolist() == [0]

    def test_what_comes_in_bursts_counts_as_fewer_samples(self) -> None:
        """All samples of a slice are of one function: ten of them say no more than one."""
        one = np.zeros((SLICES, 3), np.int64)
        one[:, 0] = 10
        one[::2, 1] = one[1::2, 2] = 10
        assert effect(one, one, 1, shares=True) == pytest.approx(10 * SLICES / (SLICES - 1))

    @pytest.mark.parametrize(("t", "freedom", "p"), [(2.040, 31, 0.05), (3.633, 31, 0.001), (2.861, 19, 0.01)])
    def test_probabilities_are_students(self, t: float, freedom: int, p: float) -> None:
        """Against the table of NIST 1.3.6.7.2."""
        normal = tails(np.array([2 * t]))
        assert widened(normal, np.array([4.0]), freedom)[0] == pytest.approx(p, rel=0.02)

    def test_what_is_not_tested_stays_so(self) -> None:
        assert math.isnan(widened(np.array([np.nan]), np.array([2.0]), 31)[0])
        assert widened(np.array([0.5]), np.array([1.0]), 31)[0] == 0.5


def steady(rng: np.random.Generator, samples: int, shares: NDArray[np.float64], burst: int) -> NDArray[np.int64]:
    """A steady program in slices: `burst` samples in a row are of one function. (SLICES, 1 + n)."""
    runs = rng.multinomial(max(1, samples // burst // SLICES), shares, SLICES) * burst
    return np.column_stack([runs.sum(axis=1), runs]).astype(np.int64)


class TestSimulated:
    """A program of 200 functions with shares like those of real ones: few large, many small."""

    shares = np.arange(1, 201) ** -1.2 / (np.arange(1, 201) ** -1.2).sum()

    @pytest.mark.parametrize(
        ("per", "burst"), [(Per.SHARE, 1), (Per.SECOND, 1), (Per.RUN, 1), (Per.SHARE, 20), (Per.SECOND, 20)]
    )
    def test_halves_of_a_steady_program_do_not_differ(self, per: Per, burst: int) -> None:
        """400 comparisons: the part of them with any mark at all stays about the nominal rate, or below.

        A run has its phases on both sides: there samples are taken for independent.
        """
        rng = np.random.default_rng(7)
        alarms = 0
        for _ in range(400):
            base, after = (steady(rng, 20_000, self.shares, burst) for _ in range(2))
            wholes = int(base[:, 0].sum()), int(after[:, 0].sum())
            alarms += bool(evidence(base, after, wholes[0] / wholes[1], per).significant.any())
        assert alarms <= 400 * FALSE * 1.5

    @pytest.mark.parametrize("bursts", [2, 3, 10])
    def test_a_program_that_works_in_few_slices_does_not_differ_from_itself(self, bursts: int) -> None:
        """Slices without samples were counted as if they said that it is the same in them: up to 98 % had a mark."""
        rng = np.random.default_rng(5)
        alarms = 0
        for _ in range(100):
            base, after = np.zeros((2, SLICES, 201), np.int64)
            for side in (base, after):
                at = rng.choice(SLICES, bursts, replace=False)
                side[at] = steady(rng, 32_000, self.shares, 20)[:bursts]
            wholes = int(base[:, 0].sum()), int(after[:, 0].sum())
            alarms += bool(evidence(base, after, wholes[0] / wholes[1], Per.SHARE).significant.any())
        assert alarms <= 100 * FALSE * 1.5

    def test_bursts_taken_for_independent_samples_would_differ(self) -> None:
        """What the slices are for."""
        rng = np.random.default_rng(7)
        base, after = (steady(rng, 20_000, self.shares, 20) for _ in range(2))
        alone = evidence(base.sum(axis=0, keepdims=True), after.sum(axis=0, keepdims=True), 1, Per.SHARE)
        assert alone.significant.sum() > 5
        assert not evidence(base, after, 1, Per.SHARE).significant.any()

    @pytest.mark.parametrize("at", [0, 20])
    def test_three_points_more_are_found(self, at: int) -> None:
        rng = np.random.default_rng(11)
        changed = self.shares * (1 - 0.03 / (1 - self.shares[at]))
        changed[at] = self.shares[at] + 0.03
        found = false = 0
        for _ in range(100):
            base, after = steady(rng, 20_000, self.shares, 1), steady(rng, 20_000, changed, 1)
            significant = evidence(base, after, base[:, 0].sum() / after[:, 0].sum(), Per.SHARE).significant
            found += bool(significant[at])
            false += int(np.delete(significant, at).sum())
        assert found >= 95
        assert false <= 60  # the shares of all others are a little smaller, most of all the largest

    def test_a_side_without_samples_says_nothing(self) -> None:
        base = steady(np.random.default_rng(1), 1000, self.shares, 1)
        told = evidence(base, np.zeros_like(base), math.nan, Per.SHARE)
        assert told.tested == 0
        assert not told.significant.any()


def test_the_smallest_visible_change_is_found_every_second_time() -> None:
    wholes = 3000, 3000
    points = smallest_visible(wholes)
    rng = np.random.default_rng(3)
    before = rng.binomial(wholes[0], 0.5 - points / 200, 2000)
    after = rng.binomial(wholes[1], 0.5 + points / 200, 2000)
    assert np.mean(p_values(before, after, 1, wholes) < FALSE) == pytest.approx(0.5, abs=0.05)
    assert math.isnan(smallest_visible((0, 9)))
