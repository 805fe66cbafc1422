"""What two profilers say of one program, made comparable and compared. Pure functions.

A stack is a tuple of function names, root first. Two samplings of the same program never agree wholly: with n samples
each over k equally frequent stacks they overlap by about 1 - sqrt(k / (pi n)), so 3,500 samples of ten stacks by
0.97. Stacks are therefore cut to an identity with few values: names, not addresses; from `main` inwards; recursion
as one.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from typing import Final, NamedTuple

from aperture_tui.profile.kinds import STOPS, Flag, Stop, stop_of

Stack = tuple[str, ...]
"""Function names, root first."""

ANY: Final = "..."
"""In a chain: any number of functions, also none."""
UNNAMED: Final = "?"
"""A function of the program itself that has no name."""

_TRAMPOLINE: Final = "restore_rt"
_CLONE: Final = re.compile(r"(\.(cold|part|isra|constprop|lto_priv|llvm|localalias)(\.\d+)*)+$")


class Call(NamedTuple):
    """One frame as a profiler told it. function "" is one that it could not name; module is a file name."""

    function: str
    module: str


def why(flags: int) -> str:
    """In words, whether a stack is whole, and if not, why."""
    if flags & Flag.WHOLE:
        return "whole"
    stop = stop_of(flags)
    return STOPS[stop] if stop is not Stop.NONE else "not whole, and no reason given"


def plain(name: str) -> str:
    """A function's name without what compilers, linkers and profilers add to it.

    - `.cold`, `.isra.0`, `.part.1`, `.constprop.0`, …: pieces and copies that a compiler makes of one function.
    - ` [clone .cold]`, as demanglers write the same.
    - `@@GLIBC_2.34`: a symbol's version; perf tells it, we do not. `@plt` stays: it is other code.
    - `__vdso_`: the vdso's functions go by two names as well.
    - leading underscores: one function of the C library goes by `__read` and `read`, at the same address, and each
      profiler picks one.
    """
    name, at, version = name.partition("@")
    name = re.sub(r" \[clone [^]]*\]", "", name)
    name = _CLONE.sub("", name)
    name = name.removeprefix("__vdso_")
    return (name.lstrip("_") or name) + ("@plt" if at and version.endswith("plt") else "")


def named(calls: Iterable[Call], own: Set[str], known: Set[str] | None = None) -> Stack:
    """The functions that may be compared.

    All of those in the program's own files (`own`: file names) count, named or not. Of other files, the C library's
    for the most part, only those that both profilers name somewhere (`known`, plain names): what is stripped or
    has debug symbols elsewhere is seen by one and not by the other. The trampoline that a signal handler returns to is
    left out: whether it has a name depends on the debug symbols that are installed, and perf leaves it out of some.
    """
    out = []
    for function, module in calls:
        name = plain(function) if function else ""
        if module in own:
            out.append(name or UNNAMED)
        elif name and name != _TRAMPOLINE and (known is None or name in known):
            out.append(name)
    return tuple(out)


def inwards(stack: Stack, roots: Set[str]) -> Stack | None:
    """The stack from the first of these functions on; None if none is there."""
    for depth, name in enumerate(stack):
        if name in roots:
            return stack[depth:]
    return None


def collapsed(stack: Stack) -> Stack:
    """Direct recursion as one call: its depth would make a stack of its own out of every level."""
    return tuple(name for name, _ in itertools.groupby(stack))


def overlap(some: Counter[Stack], others: Counter[Stack]) -> float:
    """The part that two distributions have in common, sum(min(p, q)): 1 if they are equal, 0 if nothing is shared.

    Raises ValueError if one is empty.
    """
    n, m = some.total(), others.total()
    if n <= 0 or m <= 0:
        raise ValueError("no samples to compare")
    common = sum(min(count * m, others[stack] * n) for stack, count in some.items())
    return common / (n * m)


def noise_floor(some: Counter[Stack], others: Counter[Stack]) -> float:
    """What two samplings of one and the same distribution hardly ever overlap by less than.

    A stack's share p differs between samplings of n and m by a normal deviate of variance p (1 - p) (1 / n + 1 / m);
    an overlap lacks half the sum of the differences. Their mean is taken off, and three standard deviations of the
    largest: as the shares add up to one, the others follow that one. Raises ValueError if one is empty.
    """
    n, m = some.total(), others.total()
    if n <= 0 or m <= 0:
        raise ValueError("no samples to compare")
    shares = [count / (n + m) for count in (some + others).values()]
    deviations = [math.sqrt(p * (1 - p) * (1 / n + 1 / m)) for p in shares]
    return 1 - math.sqrt(2 / math.pi) * sum(deviations) / 2 - 3 * max(deviations)


def follows(stack: Stack, chain: Sequence[str]) -> bool:
    """Whether from the chain's first function to its last one the stack is as the chain says, nothing else between.

    What is before the first and after the last does not matter; ANY stands for any functions.
    """
    if chain[0] not in stack or chain[-1] not in stack:
        return False
    last = len(stack) - stack[::-1].index(chain[-1])
    return _matches(stack[stack.index(chain[0]) : last], tuple(chain))


def _matches(stack: Stack, chain: Stack) -> bool:
    reached = {0}  # places in the chain up to which what was read of the stack fits
    for name in stack:
        reached = _skip(reached, chain)
        reached = {i + (chain[i] != ANY) for i in reached if i < len(chain) and chain[i] in (ANY, name)}
    return len(chain) in _skip(reached, chain)


def _skip(reached: set[int], chain: Stack) -> set[int]:
    out = set(reached)
    for i in sorted(reached):
        while i < len(chain) and chain[i] == ANY:
            i += 1
            out.add(i)
    return out


def differences(ours: Counter[Stack], theirs: Counter[Stack], n: int = 8) -> str:
    """The stacks in which two distributions differ most, one a line: for a failure's message."""
    a, b = max(ours.total(), 1), max(theirs.total(), 1)
    by = {stack: ours[stack] / a - theirs[stack] / b for stack in ours | theirs}
    worst = sorted(by, key=lambda stack: -abs(by[stack]))[:n]
    return "\n".join(f"  {ours[s] / a:7.2%} ours {theirs[s] / b:7.2%} perf  {' '.join(s)}" for s in worst)
