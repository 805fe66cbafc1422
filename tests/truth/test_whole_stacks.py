"""User stacks of programs without frame pointers are whole, in order, and distributed as perf sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from aperture_tui.profile.kinds import Flag
from tests.truth import perf
from tests.truth.known import KNOWN, Check, Known
from tests.truth.programs import NotBuilt
from tests.truth.stacks import (
    ANY,
    Stack,
    collapsed,
    differences,
    follows,
    inwards,
    named,
    noise_floor,
    overlap,
    plain,
    why,
)
from tests.truth.watching import Calls, Watched, watch

pytestmark = pytest.mark.bpf

_WHOLE: Final = 0.99
_IN_ORDER: Final = 0.99
_A_CHANGE: Final = 10
"""Samples, so milliseconds, that a dlopen or an exec may cost beyond the hundredth: it counts on a busy machine."""
_OVERLAP: Final = 0.95
_MOST_RUNS: Final = 3
_PERF_KNOWS: Final = 0.97
"""Samples that perf itself unwinds to the outermost function: with fewer it is no reference."""
_ROOTLESS: Final = ("(no outermost function)",)


def programs(check: Check) -> Callable[[Callable[..., None]], Any]:
    """Asks it of every program; of those whose limit it is beyond, it has to fail."""

    def parameter(known: Known) -> Any:
        failing = (AssertionError, pytest.fail.Exception)
        marks = [pytest.mark.xfail(reason=known.limit, strict=True, raises=failing)] if check in known.fails else []
        return pytest.param(known, id=known.name, marks=marks)

    return pytest.mark.parametrize("known", [parameter(known) for known in KNOWN])


@programs("whole")
def test_stacks_are_whole(known: Known, watched: Watched) -> None:
    reasons: Counter[str] = Counter()
    broken: Counter[Stack] = Counter()
    for (calls, flags), n in watched.ours.items():
        reasons[why(flags)] += n
        if not flags & Flag.WHOLE:
            broken[tuple(call.function for call in calls)] += n
    examples = "\n".join(f"  {n} {' '.join(stack)}" for stack, n in broken.most_common(5))
    missing = reasons.total() - reasons["whole"]
    allowed = max((1 - _WHOLE) * reasons.total(), _A_CHANGE * known.changes)
    assert missing <= allowed, f"{dict(reasons.most_common())}\n{examples}"


@programs("in order")
def test_callers_are_in_order(known: Known, watched: Watched) -> None:
    """A hundredth of few samples is soon more: what differs in one run is looked at again in the sum of more."""
    for runs in range(1, _MOST_RUNS + 1):
        if not (problems := out_of_order(known, watched)):
            return
        if runs < _MOST_RUNS:
            watched = summed(watched, watch([known])[known.name])
    pytest.fail("\n".join(problems))


def out_of_order(known: Known, watched: Watched) -> list[str]:
    """What is wrong with the order of callers, in words."""
    stacks = stacks_of(known, our_calls(watched))
    problems = []
    for leaf in dict.fromkeys(chain[-1] for chain in known.chains):
        chains = [chain for chain in known.chains if chain[-1] == leaf]
        with_leaf = Counter({stack: n for stack, n in stacks.items() if leaf in stack})
        wrong = Counter({s: n for s, n in with_leaf.items() if not any(follows(s, chain) for chain in chains)})
        if with_leaf.total() <= 0.003 * stacks.total():
            problems.append(f"hardly a sample of {leaf}; lost {watched.lost}")
        if wrong.total() > max((1 - _IN_ORDER) * with_leaf.total(), _A_CHANGE * known.changes):
            problems.append(f"{wrong.total()} of {with_leaf.total()} to {leaf} are wrong:")
            problems += [f"  {n} {' '.join(stack)}" for stack, n in wrong.most_common(5)]
    return problems + [f"{n} cannot be: {' '.join(stack)}" for stack, n in stacks.items() if known.never & set(stack)]


@programs("as perf")
def test_stacks_are_distributed_as_perf_sees_them(known: Known, watched: Watched) -> None:
    """Both sample at fixed rates, and a program's loops may fall in with one of them for a while: what differs in one
    run is looked at again in the sum of more."""
    if reason := known.no_perf or perf.missing():
        pytest.skip(reason)
    for runs in range(1, _MOST_RUNS + 1):
        ours, theirs, perf_knows = comparable(known, our_calls(watched), watched.theirs)
        assert perf_knows >= _PERF_KNOWS, f"perf unwinds {perf_knows:.1%} only: no reference"
        least = min(_OVERLAP, noise_floor(ours, theirs))  # the latter where a busy machine left few samples
        found = overlap(ours, theirs)
        if found >= least:
            return
        if runs < _MOST_RUNS:
            watched = summed(watched, watch([known])[known.name])
    pytest.fail(f"{found:.3f}, not {least:.3f}; lost {watched.lost}:\n{differences(ours, theirs)}")


def summed(some: Watched, more: Watched | NotBuilt) -> Watched:
    """The samples of two runs of a program."""
    assert isinstance(more, Watched)
    return Watched(some.ours + more.ours, some.theirs + more.theirs, some.printed, some.lost + more.lost)


@programs("guessed")
def test_what_was_guessed_is_marked(known: Known, watched: Watched) -> None:
    """A caller found by its frame pointer alone says so, and none else does."""
    wrong = Counter[Stack]()
    for (calls, flags), n in watched.ours.items():
        stack = named(calls, known.own)
        uncovered = ANY in known.guessed or not known.guessed.isdisjoint(stack)
        if uncovered != bool(flags & (Flag.GUESSED | Flag.FRAME_POINTERS)):
            wrong[stack] += n
    examples = "\n".join(f"  {n} {' '.join(stack)}" for stack, n in wrong.most_common(5))
    assert wrong.total() <= max(0.01 * sum(watched.ours.values()), _A_CHANGE * known.changes), examples


@pytest.mark.parametrize("known", [known for known in KNOWN if known.libraries], ids=lambda known: known.name)
def test_a_library_came_to_lie_where_another_one_was(known: Known, watched: Watched) -> None:
    """Else the tests of that program would say less than they seem to."""
    first, second = (int(address, 16) >> 12 for address in watched.printed.split())
    if first != second:
        pytest.skip("the kernel gave the second library another place")


def our_calls(watched: Watched) -> Counter[Calls]:
    """Our stacks, whatever their flags."""
    out: Counter[Calls] = Counter()
    for (calls, _), n in watched.ours.items():
        out[calls] += n
    return out


def stacks_of(known: Known, calls: Counter[Calls], both: frozenset[str] | None = None) -> Counter[Stack]:
    """Stacks by name."""
    out: Counter[Stack] = Counter()
    for stack, n in calls.items():
        out[named(stack, known.own, both)] += n
    return out


def comparable(
    known: Known, ours: Counter[Calls], theirs: Counter[Calls]
) -> tuple[Counter[Stack], Counter[Stack], float]:
    """Our distribution, perf's, and the share of samples in which perf reached an outermost function.

    Those in which it did not are left out of its distribution; of ours they stay, and count against us.
    """
    both = frozenset() if known.own_only else names(ours) & names(theirs)
    mine: Counter[Stack] = Counter()
    for stack, n in stacks_of(known, ours, both).items():
        mine[collapsed(inwards(stack, known.roots) or _ROOTLESS)] += n
    reference: Counter[Stack] = Counter()
    for stack, n in stacks_of(known, theirs, both).items():
        if (cut := inwards(stack, known.roots)) is not None:
            reference[collapsed(cut)] += n
    return mine, reference, reference.total() / max(theirs.total(), 1)


def names(stacks: Counter[Calls]) -> frozenset[str]:
    """The functions that a profiler names somewhere."""
    return frozenset(plain(call.function) for calls in stacks for call in calls if call.function)
