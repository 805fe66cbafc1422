"""Times as people give them: `now`, `-15m`, `14:03`, ISO 8601."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Final

_UNITS_NS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_PART: Final = r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)"
_AGO: Final = re.compile(rf"-(?:{_PART})+", re.ASCII)
_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?", re.ASCII)
_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)
_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: absolute in Unix nanoseconds, a local time of some day, or so long before now."""

    time_ns: int | None = None
    ago_ns: int = 0
    of_day: datetime.time | None = None

    def resolve(self, now_ns: int, start_ns: int | None = None) -> int:
        """Unix nanoseconds. now_ns: what "now" is; of a recording, its end. start_ns: where what is held begins.

        A time of day is the last one that is held; where none is, the one nearest to what is held, or to now.
        """
        if self.time_ns is not None:
            return self.time_ns
        if self.of_day is None:
            return max(0, now_ns - self.ago_ns)
        first_ns = now_ns if start_ns is None else min(start_ns, now_ns)
        return min(_around(self.of_day, now_ns), key=lambda t: (max(first_ns - t, t - now_ns, 0), -t))


def is_ago(text: str) -> bool:
    """Whether a text says how long before now, as `-15m` does."""
    return _AGO.fullmatch(text) is not None


def moment(text: str) -> Moment:
    """What a text means. A time without a zone is local. Raises ValueError in words for whoever typed it."""
    if text == "now":
        return Moment()
    if is_ago(text):
        parts: list[tuple[str, str]] = re.findall(_PART, text, re.ASCII)
        return Moment(ago_ns=sum(round(float(number) * _UNITS_NS[unit]) for number, unit in parts))
    try:
        if found := _OF_DAY.fullmatch(text):
            hour, minute, second, part = found.groups("0")
            return Moment(of_day=datetime.time(int(hour), int(minute), int(second), int(part.ljust(6, "0"))))
        given = datetime.datetime.fromisoformat(text)
        time_ns = _unix_ns(given if given.tzinfo else given.astimezone())
    except (ValueError, OverflowError, OSError):
        time_ns = -1
    if not 0 <= time_ns < 1 << 63:
        raise ValueError(f"{text!r} is not a time: give now, -15m, -1h30m, 14:03 or 2026-01-31T12:00:00")
    return Moment(time_ns)


def _around(of_day: datetime.time, now_ns: int) -> list[int]:
    """That time of the day before, of the same day and of the next one, Unix nanoseconds.

    Where clocks go back it comes twice.
    """
    today = datetime.datetime.fromtimestamp(now_ns // 10**9).date()
    days = [today + n * _DAY for n in (-1, 0, 1)]
    times = [datetime.datetime.combine(day, of_day.replace(fold=fold)) for day in days for fold in (0, 1)]
    return [max(0, _unix_ns(time.astimezone())) for time in times]


def _unix_ns(aware: datetime.datetime) -> int:
    passed = aware - _EPOCH
    # in whole numbers: a float of seconds has no room for microseconds
    return (passed.days * 86400 + passed.seconds) * 10**9 + passed.microseconds * 1000
