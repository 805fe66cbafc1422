"""What the numbers of a pprof file mean: which of a sample's values is its weight, and which its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.text import clean

_UNITS_NS: Final = {
    "nanoseconds": 1,
    "microseconds": 1_000,
    "milliseconds": 1_000_000,
    "seconds": 1_000_000_000,
}
_SAMPLES: Final = frozenset({"samples", "sample", "cpu", "count"})
_ON_CPU: Final = frozenset({"cpu", "wall"})
_BLOCKED: Final = frozenset({("contentions", "delay"), ("waits", "time")})  # Go's block and mutex profiles, and ours

_NOT_CPU: Final = ", which is not time on the CPU"
_NAMED: Final = 4  # of the types that are not shown


class ValueType(NamedTuple):
    """What one of a sample's values counts, and in what unit."""

    type: str
    unit: str

    @property
    def ns(self) -> int:
        """Nanoseconds of its unit; 0 if it is no time."""
        return _UNITS_NS.get(self.unit, 0)

    def __str__(self) -> str:
        """For people."""
        return f"{clean(self.type)[:60]} ({clean(self.unit)[:20]})"


@dataclass(frozen=True)
class Meaning:
    """How to read a sample. weight, time: which of its values; None if it has none of that sort.

    time_ns: nanoseconds of one unit of that value. period_ns: time on CPU that one sample stands for, 0 if unknown:
    it stands in for either, where one is missing. message: what is shown, and what is not, in words.
    """

    kind: Kind
    weight: int | None
    time: int | None
    time_ns: int
    period_ns: int
    message: str

    def of(self, values: Sequence[int]) -> tuple[int, int]:
        """Weight and nanoseconds of a sample. values: as many as there are types."""
        time = values[self.time] * self.time_ns if self.time is not None else 0
        if self.weight is None:
            return max(1, round(time / self.period_ns)) if self.period_ns and time > 0 else 1, time
        weight = values[self.weight]
        return weight, time if self.time is not None else weight * self.period_ns


def meaning(types: Sequence[ValueType], default: str, period_type: ValueType, period: int) -> Meaning:
    """The values that are shown: of the type that the file names as its default, of its last one else.

    types: at least one. default: "" if the file names none.
    """
    named = [i for i, one in enumerate(types) if one.type == default]
    main = named[0] if named else len(types) - 1
    shown = types[main]
    period_ns = period_type.ns * period if 0 < period < 1 << 53 else 0
    if shown.ns:
        counts = [i for i, one in enumerate(types) if one.unit == "count"]
        weight = max((i for i in counts if i < main), default=counts[0] if counts else None)
        blocked = weight is not None and (types[weight].type, shown.type) in _BLOCKED
        words = "" if blocked or shown.type in _ON_CPU else _NOT_CPU
        words += "" if counts or period_ns else "; samples are not counted, each row is taken for one"
        kind = Kind.OFFCPU if blocked else Kind.CPU
        return Meaning(kind, weight, main, shown.ns, period_ns, _told(types, (main, weight), words))
    times = [i for i, one in enumerate(types) if one.ns]
    if times and any(shown.type == count for count, _ in _BLOCKED):
        return meaning(types, types[times[0]].type, period_type, period)
    if shown.unit == "count" and shown.type in _SAMPLES:
        time = times[0] if times else None
        scale = types[time].ns if time is not None else 0
        return Meaning(Kind.CPU, main, time, scale, period_ns, _told(types, (main, time)))
    return Meaning(Kind.CPU, main, None, 0, 0, _told(types, (main, None), _NOT_CPU))


def _told(types: Sequence[ValueType], shown: tuple[int | None, int | None], words: str = "") -> str:
    used = ", ".join(str(one) for i, one in enumerate(types) if i in shown)
    others = [str(one) for i, one in enumerate(types) if i not in shown]
    rest = f"; not shown: {', '.join(others[:_NAMED])}" + ", …" * (len(others) > _NAMED) if others else ""
    return f"pprof: {used}{words}{rest}"
