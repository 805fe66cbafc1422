"""The events of a `perf script`: which of them are samples of the CPU, and what one of them stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from aperture_tui.profile.text import clean

_HYBRID: Final = re.compile(r"cpu(?:_core|_atom|_lowpower)?/([^/,]+)(?:,[^/]*)?/[A-Za-z]*")
_MODIFIED: Final = re.compile(r"([^:]+):[ukhIGHpPSDWebR]+")
_CLOCKS: Final = frozenset({"cpu-clock", "task-clock"})
_CYCLES: Final = frozenset({"cycles", "cpu-cycles", "ref-cycles", "bus-cycles", "r3c", "r003c"})
_NAMED: Final = 3  # of the events that are left out


class Chosen(NamedTuple):
    """Which events are shown. names: of the file's, by their numbers; timed: their period is nanoseconds.

    message: which they are, and which are not shown.
    """

    names: tuple[int, ...]
    timed: bool
    message: str


def plain_name(event: str) -> str:
    """An event without its modifiers and its kind of core: `cycles` of `cpu_core/cycles/u` and of `cycles:ppp`."""
    if hybrid := _HYBRID.fullmatch(event):
        event = hybrid[1]
    if modified := _MODIFIED.fullmatch(event):
        event = modified[1]
    return event


def is_tracepoint(event: str) -> bool:
    """Whether it is `system:name`: what follows it in the line is no frame."""
    return ":" in plain_name(event)


def chosen(counts: Sequence[tuple[str, int]]) -> Chosen:
    """The first event that is a clock or counts cycles; where there is none, the first.

    counts: events and how many samples each has, in the file's order; at least one.
    """
    plain = [plain_name(event) for event, _ in counts]
    first = next((name for name in plain if name in _CLOCKS or name in _CYCLES), plain[0])
    names = tuple(i for i, name in enumerate(plain) if name == first)
    told = clean(first)[:60] if first else "an event that is not named"
    if first in _CLOCKS:
        message = f"samples of {told}"
    elif first in _CYCLES or not first:
        message = f"samples of {told}, without durations"
    else:
        message = f"each sample is one {told}, which is not time on the CPU"
    others = [(clean(event)[:60], n) for event, n in counts if plain_name(event) != first]
    return Chosen(names, first in _CLOCKS, message + _left_out(others))


def _left_out(others: list[tuple[str, int]]) -> str:
    if not others:
        return ""
    words = [f"{n:,} of {event}" for event, n in others[:_NAMED]]
    rest = sum(n for _, n in others[_NAMED:])
    return f"; not shown: {', '.join(words + [f'{rest:,} of other events'] * (rest > 0))}"
