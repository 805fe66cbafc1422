"""The columns of a table of calls or waits: which there are, what stands in them, and which a width has room for."""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Container, Mapping
from typing import Final, NamedTuple

from aperture_tui.tui import figures
from aperture_tui.tui.cells import LEVELS, fit, plain, width_of
from aperture_tui.tui.model import LatencyLine
from aperture_tui.tui.palette import Span
from aperture_tui.tui.widgets.gauges import bar
from aperture_tui.tui.widgets.placing import Column, Placed, place

_LONG_NS: Final = 1_000_000_000
_VERY_LONG_NS: Final = 10 * _LONG_NS


class ColumnSet(enum.Enum):
    """Which table it is."""

    SYSCALLS = "system calls"
    LOCKS = "waits for locks"


class Whole(NamedTuple):
    """What the parts are parts of."""

    total_ns: int
    total_count: int
    range_ns: int
    by_count: bool = False
    """The bar is the share of the calls, not of the time."""
    mono: bool = False


def lock_label(name: str, address: int, width: int) -> str:
    """ "mutex table_lock", "mutex 0x7f3a12345678", "mutex …5678": what tells it apart is cut last."""
    name = plain(name)
    words = name.split(" ")
    kind_words = 1
    if words[0] == "kernel":
        kind_words = 3 if words[2:3] in (["read"], ["write"]) else 2
    elif words[:2] == ["futex", "pi"]:
        kind_words = 2
    if len(words) > kind_words:
        return name if width_of(name) <= width else " ".join(words[kind_words:])
    if not address:
        return f"{name} ?"
    digits = f"{address:x}"
    if width_of(name) + len(digits) + 3 <= width:
        return f"{name} 0x{digits}"
    for kind in (name, name.removeprefix("kernel ")):
        room = width - width_of(kind) - 1
        if room >= 5:
            return f"{kind} …{digits[1 - room :]}"
    return f"…{digits[1 - width :]}"


def in_flight_text(threads: int, age_ns: int, at_least: bool, width: int, mono: bool = False) -> str:
    """ "3 · 40 s"; "3 · ≥40 s" for at least; without colours ! from a second on, !! from ten. The age is never cut."""
    age = f"{'≥' if at_least else ''}{figures.latency(age_ns)}"
    sign = "!!" if age_ns > _VERY_LONG_NS else "!" if age_ns > _LONG_NS else ""
    sign = sign if mono else ""
    n = figures.short(threads)
    forms = (f"{sign} {n} · {age}".strip(), f"{sign}{n} · {age}", f"{sign}{n}·{age}", f"{sign}…·{age}")
    return next((form for form in forms if len(form) <= width), f"{sign}{age}")


def _process(line: LatencyLine, _: Whole, width: int) -> list[Span]:
    name = line.told.process or "?"
    thread = f"/{line.key.tid}" if line.key.tid else ""
    return [(f"{fit(name, max(1, min(width_of(name), width - len(thread))))}{thread}", "text")]


def _pid(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    return [(str(line.key.pid) if line.key.pid else "?", "muted")]


def _name(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    return [(line.key.name or "?", "text")]


def _lock(line: LatencyLine, _: Whole, width: int) -> list[Span]:
    return [(lock_label(line.key.name or "?", line.key.value, width), "text")]


def _per_second(line: LatencyLine, whole: Whole, _: int) -> list[Span]:
    known = whole.range_ns > 0
    return [(figures.rate(line.told.count * 1e9 / whole.range_ns) if known else "?", "text")]


def _count(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    return [(figures.short(line.told.count), "text")]


def _failed(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    if not line.told.count:
        return [("–", "muted")]
    share = figures.share(line.told.errors, line.told.count)
    return [(share.removesuffix(" %"), "text" if line.told.errors else "muted")]


def _timed_out(line: LatencyLine) -> int:
    return line.told.outcomes.get(errno.ETIMEDOUT, 0)


def _timeouts(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    n = _timed_out(line)
    return [(figures.short(n), "text" if n else "muted")]


def _length(of: Callable[[LatencyLine], float]) -> Callable[[LatencyLine, Whole, int], list[Span]]:
    """A cell for a duration; nothing that ended has none."""

    def cell(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
        return [(figures.latency(of(line)), "text") if line.told.count else ("–", "muted")]

    return cell


def _minimum(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    if not line.told.count:
        return [("–", "muted")]
    return [(f"{'' if line.told.minimum_exact else '≥'}{figures.latency(line.told.minimum_ns)}", "text")]


def _share(line: LatencyLine, whole: Whole, width: int) -> list[Span]:
    part, of = (line.told.count, whole.total_count) if whole.by_count else (line.told.time_ns, whole.total_ns)
    return bar([(min(1.0, part / of) if of > 0 else 0.0, "user")], width, whole.mono)


def _held_by(line: LatencyLine, _whole: Whole, _width: int) -> list[Span]:
    if not line.holders:
        return [("?", "muted")]
    more = f" +{len(line.holders) - 1}" if len(line.holders) > 1 else ""
    return [(f"{line.holders[0][0]}{more}", "text")]


def _age(line: LatencyLine) -> float:
    return line.in_flight.maximum_ns if line.in_flight else -1


def _in_flight(line: LatencyLine, whole: Whole, width: int) -> list[Span]:
    if line.in_flight is None:
        return [("", "text")]
    age = line.in_flight.maximum_ns
    text = in_flight_text(line.in_flight.count, age, line.in_flight.at_least, width, whole.mono)
    return [(text, "*error" if age > _VERY_LONG_NS else "warning" if age > _LONG_NS else "text")]


def _recent(line: LatencyLine, _: Whole, width: int) -> list[Span]:
    """The last seconds, one cell each, against the highest of them."""
    values = line.recent[-width:]
    top = max(values, default=0.0)
    return [("".join(LEVELS[max(1, round(8 * v / top)) if v > 0 else 0] for v in values), "user")]


def _quantile(q: float) -> Callable[[LatencyLine], float]:
    return lambda line: line.told.quantile(q)


def _errors_share(line: LatencyLine) -> float:
    return line.told.errors / line.told.count if line.told.count else 0.0


def _time(line: LatencyLine) -> float:
    return line.told.time_ns


def _calls(line: LatencyLine) -> float:
    return line.told.count


def _longest(line: LatencyLine) -> float:
    return line.told.maximum_ns


# ~: a quantile is interpolated within its bucket, and off by less than a factor of two.
_TOTAL: Final = Column("TOTAL", "total", 1, 7, 7, _length(_time), _time)
_FLIGHT: Final = Column("IN FLIGHT", "in flight", 2, 11, 13, _in_flight, _age)
_PROCESS: Final = Column("PROCESS", "process", 3, 8, 16, _process, left=True)
_P50: Final = Column("~P50", "p50", 10, 7, 7, _length(_quantile(0.5)), _quantile(0.5))
_P99: Final = Column("~P99", "p99", 5, 7, 7, _length(_quantile(0.99)), _quantile(0.99))
_MAX: Final = Column("MAX", "max", 7, 7, 7, _length(_longest), _longest)

COLUMNS: Final[Mapping[ColumnSet, tuple[Column[LatencyLine, Whole], ...]]] = {
    ColumnSet.SYSCALLS: (
        Column("PID", "pid", 8, 7, 7, _pid, lambda line: -line.key.pid),
        _PROCESS,
        Column("SYSCALL", "name", 0, 8, 18, _name, left=True),
        Column("CALLS/S", "calls", 5, 8, 8, _per_second, _calls),
        Column("ERR %", "errors", 6, 6, 6, _failed, _errors_share),
        _TOTAL,
        Column("SHARE", "", 9, 8, 16, _share, left=True),
        _P50,
        _P99._replace(rank=4),
        _MAX,
        _FLIGHT,
        Column("RECENT", "", 11, 8, 30, _recent),
    ),
    ColumnSet.LOCKS: (
        Column("LOCK", "name", 0, 9, 34, _lock, left=True, part=0.2),
        _PROCESS,
        Column("WAITS", "calls", 4, 6, 6, _count, _calls),
        _TOTAL,
        Column("SHARE", "", 9, 8, 16, _share, left=True),
        Column("MIN", "min", 8, 8, 8, _minimum, lambda line: line.told.minimum_ns),
        _P99,
        _MAX,
        Column("TIMEOUTS", "errors", 6, 9, 9, _timeouts, _timed_out),
        Column("HELD BY", "", 3, 7, 12, _held_by),
        _FLIGHT,
    ),
}
"""The columns of each table, from left to right."""


def columns(
    width: int, which: ColumnSet, sort: str = "total", without: Container[str] = ()
) -> tuple[Placed[LatencyLine, Whole], ...]:
    """The columns that a width has room for; the one that is sorted by stays as long as any but the name.

    What is left over goes to those that gain by it, the most important first. without: titles of those that would be
    empty.
    """
    return place([column for column in COLUMNS[which] if column.title not in without], width, sort)
