"""Times as people give them: `now`, `-15m`, ISO 8601."""

from __future__ import annotations

import argparse
import datetime
import re
from dataclasses import dataclass
from typing import Final

_UNITS_NS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_PART: Final = r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)"
_AGO: Final = re.compile(rf"-(?:{_PART})+", re.ASCII)
_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: absolute in Unix nanoseconds, or so long before now."""

    time_ns: int | None = None
    ago_ns: int = 0

    def resolve(self, now_ns: int) -> int:
        """Unix nanoseconds. now_ns: what "now" is; of a recording, its end."""
        return max(0, now_ns - self.ago_ns) if self.time_ns is None else self.time_ns


def moment(text: str) -> Moment:
    """A time of the command line. A time without a zone is local. Raises argparse.ArgumentTypeError."""
    if text == "now":
        return Moment()
    if _AGO.fullmatch(text):
        parts: list[tuple[str, str]] = re.findall(_PART, text, re.ASCII)
        return Moment(ago_ns=sum(round(float(number) * _UNITS_NS[unit]) for number, unit in parts))
    try:
        given = datetime.datetime.fromisoformat(text)
        passed = (given if given.tzinfo else given.astimezone()) - _EPOCH
    except (ValueError, OverflowError, OSError):
        passed = datetime.timedelta(-1)
    if passed < datetime.timedelta(0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: give now, -15m, -1h30m or 2026-01-31T12:00:00")
    # in whole numbers: a float of seconds has no room for microseconds
    return Moment((passed.days * 86400 + passed.seconds) * 10**9 + passed.microseconds * 1000)


def attached(argv: list[str], options: tuple[str, ...]) -> list[str]:
    """The command line with `--from -15m` made `--from=-15m`: argparse would take the value for an option."""
    out: list[str] = []
    waiting = ""
    for argument in argv:
        if waiting:
            out.append(f"{waiting}={argument}" if _AGO.fullmatch(argument) else waiting)
            if not _AGO.fullmatch(argument):
                out.append(argument)
            waiting = ""
        elif argument in options:
            waiting = argument
        else:
            out.append(argument)
    return [*out, waiting] if waiting else out
