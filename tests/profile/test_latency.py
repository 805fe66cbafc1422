"""Histograms and quantiles against the durations that they are of."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.latency import BUCKETS, Latency, bucket, quantile

END = 1 << BUCKETS
"""The first duration that is longer than all that have a bucket of twice the one before."""

durations = st.one_of(
    st.integers(0, END - 1), st.integers(0, BUCKETS - 1).flatmap(lambda i: st.integers(1 << i, (2 << i) - 1))
)
huge = st.integers(0, (1 << 64) - 1) | durations
shares = st.floats(0, 1)


def histogram_of(took: list[int]) -> list[int]:
    out = [0] * BUCKETS
    for ns in took:
        out[bucket(ns)] += 1
    return out


def of_all(took: list[int], q: float) -> int:
    return quantile(histogram_of(took), q, min(took), max(took))


def true_quantile(took: list[int], q: float) -> int:
    """The shortest duration that this part of them does not exceed."""
    return sorted(took)[max(1, math.ceil(q * len(took))) - 1]


@given(huge)
def test_a_bucket_is_a_power_of_two_and_the_last_has_no_end(ns: int) -> None:
    i = bucket(ns)
    assert 0 <= i < BUCKETS
    assert ns < 2 << i or i == BUCKETS - 1
    assert ns >= 1 << i or i == 0


@given(st.lists(durations, min_size=1, max_size=30), shares)
def test_a_quantile_is_within_a_factor_of_two(took: list[int], q: float) -> None:
    true = true_quantile(took, q)
    got = of_all(took, q)
    assert got < 2 * max(true, 1)
    assert true < 2 * max(got, 1)


@given(st.lists(durations, min_size=1, max_size=30), shares)
def test_not_knowing_the_shortest_does_not_cost_the_factor_of_two(took: list[int], q: float) -> None:
    lowest = bucket(min(took))
    got, true = quantile(histogram_of(took), q, 1 << lowest if lowest else 0, max(took)), true_quantile(took, q)
    assert got < 2 * max(true, 1)
    assert true < 2 * max(got, 1)


@given(st.lists(huge, min_size=1, max_size=30), st.lists(shares, min_size=2, max_size=6))
def test_more_of_them_took_no_less_and_all_lie_between_the_shortest_and_the_longest(
    took: list[int], parts: list[float]
) -> None:
    found = [of_all(took, q) for q in sorted(parts)]
    assert found == sorted(found)
    assert min(took) <= found[0]
    assert found[-1] <= max(took)


@given(st.lists(huge, min_size=1, max_size=30))
def test_the_whole_took_no_more_than_the_longest_and_at_least_half_of_it(took: list[int]) -> None:
    assert max(took) // 2 <= of_all(took, 1.0) <= max(took)


@given(huge, st.integers(1, 1 << 40), shares)
def test_what_always_took_the_same_took_that(ns: int, times: int, q: float) -> None:
    histogram = [0] * BUCKETS
    histogram[bucket(ns)] = times
    assert quantile(histogram, q, ns, ns) == ns


@given(shares)
def test_of_nothing_all_took_nothing(q: float) -> None:
    assert quantile([0] * BUCKETS, q, 0, 0) == 0
    assert Latency(1, 0, "sh", "read").quantile(q) == 0


def test_the_middle_of_a_bucket_is_in_the_middle_of_its_scale() -> None:
    histogram = [0] * BUCKETS
    histogram[10] = histogram[20] = 100
    found = [quantile(histogram, q, 0, 1 << 30) for q in (0.25, 0.75)]
    assert found == [int(1024 * 2**0.5), int(2**20 * 2**0.5)]


def test_all_failures_together_are_the_errors() -> None:
    assert Latency(1, 0, "sh", "read", outcomes={4: 2, 110: 3}).errors == 5
    assert Latency(1, 0, "sh", "read").errors == 0
