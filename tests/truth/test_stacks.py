"""The comparison itself: what makes two stacks the same, and two distributions alike."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.truth.stacks import (
    ANY,
    UNNAMED,
    Call,
    Stack,
    collapsed,
    differences,
    follows,
    inwards,
    named,
    noise_floor,
    overlap,
    plain,
)

distributions = st.dictionaries(
    st.lists(st.sampled_from("abc"), max_size=3).map(tuple), st.integers(1, 1000), min_size=1, max_size=8
).map(Counter)


@given(distributions, distributions)
def test_an_overlap_is_a_share_and_the_same_from_both_sides(some: Counter[Stack], others: Counter[Stack]) -> None:
    assert 0 <= overlap(some, others) <= 1
    assert overlap(some, others) == overlap(others, some)


@given(distributions, st.integers(1, 50))
def test_equal_distributions_overlap_wholly_whatever_their_sizes(some: Counter[Stack], times: int) -> None:
    assert overlap(some, Counter({stack: n * times for stack, n in some.items()})) == 1


@given(distributions, distributions)
def test_only_equal_distributions_overlap_wholly(some: Counter[Stack], others: Counter[Stack]) -> None:
    n, m = some.total(), others.total()
    equal = all(some[stack] * m == others[stack] * n for stack in some | others)
    assert (overlap(some, others) == 1) == equal


def test_an_overlap_by_hand() -> None:
    some: Counter[Stack] = Counter({("main", "a"): 3, ("main", "b"): 1})
    assert overlap(some, Counter({("main", "a"): 1, ("main", "b"): 1})) == 0.75
    assert overlap(some, Counter({("main",): 9})) == 0


def test_two_samplings_of_one_program_are_above_the_noise_floor_and_another_is_not() -> None:
    pick = random.Random(1)
    stacks: list[Stack] = [("main", f"f{i}") for i in range(12)]
    weights = [2.0**-i for i in range(12)]

    def sampling(n: int, skew: float = 1) -> Counter[Stack]:
        return Counter(pick.choices(stacks, [weights[0] * skew, *weights[1:]], k=n))

    for n, m in ((500, 500), (3500, 3500), (500, 3500)):
        overlaps = [overlap(a, b) - noise_floor(a, b) for a, b in ((sampling(n), sampling(m)) for _ in range(200))]
        assert min(overlaps) > 0
        assert sum(overlaps) / 200 < 0.1, "not so low that it would say nothing"
        other = sampling(m, skew=2)
        assert overlap(sampling(n), other) < noise_floor(sampling(n), other)


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no samples"):
        overlap(Counter(), Counter({("main",): 1}))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("work", "work"),
        ("work.isra.0", "work"),
        ("work.part.0.constprop.12", "work"),
        ("work.cold", "work"),
        ("work(int) [clone .cold]", "work(int)"),
        ("core::work.llvm.123456", "core::work"),
        ("memcpy@@GLIBC_2.14", "memcpy"),
        ("labs@plt", "labs@plt"),
        ("__read", "read"),
        ("_init", "init"),
        ("__vdso_clock_gettime", "clock_gettime"),
        ("_", "_"),
        ("main.leaf", "main.leaf"),
        ("a::coldest", "a::coldest"),
    ],
)
def test_a_plain_name(told: str, name: str) -> None:
    assert plain(told) == name


def test_only_the_program_s_own_functions_count_without_a_name() -> None:
    calls = [Call("start_thread", "libc.so.6"), Call("", "libc.so.6"), Call("work", "own"), Call("", "own")]
    assert named(calls, {"own"}) == ("start_thread", "work", UNNAMED)
    assert named(calls, {"own"}, known={"work"}) == ("work", UNNAMED)


def test_stacks_are_cut_at_the_outermost_known_function() -> None:
    assert inwards(("_start", "main", "work", "main"), {"main", "thread"}) == ("main", "work", "main")
    assert inwards(("_start", "work"), {"main", "thread"}) is None


def test_recursion_is_one_call() -> None:
    assert collapsed(("main", "down", "down", "down", "work", "down")) == ("main", "down", "work", "down")


@pytest.mark.parametrize(
    ("stack", "chain", "right"),
    [
        ("start main a b", "main a b", True),
        ("start main a b inner kernel", "main a b", True),
        ("main b", "main a b", False),
        ("main a x b", "main a b", False),
        ("a b", "main a b", False),
        ("main a", "main a b", False),
        ("main a a a b", "main a a a b", True),
        ("main a a b", "main a a a b", False),
        ("main a b", f"main {ANY} b", True),
        ("main b", f"main {ANY} b", True),
        ("main x y z b c", f"main {ANY} b c", True),
        ("main x y z c", f"main {ANY} b c", False),
        ("main b x b", f"main {ANY} b", True),
        ("main a b x a b", "main a b", False),
    ],
)
def test_whether_a_stack_follows_a_chain(stack: str, chain: str, right: bool) -> None:
    assert follows(tuple(stack.split()), chain.split()) == right


def test_differences_name_the_worst_stack_first() -> None:
    some: Counter[Stack] = Counter({("main", "a"): 80, ("main", "b"): 10, ("main", "d"): 10})
    told = differences(some, Counter({("main", "a"): 20, ("main", "b"): 10, ("main", "c"): 70}))
    assert [line.split()[-1] for line in told.splitlines()] == ["c", "a", "d", "b"]
