"""Numbers in words, in as few cells as a reader needs."""

from __future__ import annotations

from typing import Final

_LENGTHS: Final = (
    ("µs", 1e3, 999.5), ("ms", 1e6, 999.5), ("s", 1e9, 119.5), ("min", 60e9, 119.5), ("h", 3600e9, 99.5),
    ("d", 86400e9, 999.5),
)  # fmt: skip
"""A unit, its length in ns, and how many are too many of it."""


def percent(part: float, whole: float) -> str:
    """A share: "12.3 %", "0.04 %" where one decimal would say nothing, "–" of nothing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.2f} %" if 0 < abs(share) < 0.1 else f"{share:.1f} %"


def share(part: float, whole: float) -> str:
    """A share in at most 6 cells: "48 %", "3.5 %"; "<0.1 %" and ">99 %" of what is not quite none or all."""
    if not whole:
        return "–"
    n = 100 * part / whole
    if not part or part == whole:
        return f"{n:.0f} %"
    return "<0.1 %" if n < 0.1 else f"{n:.1f} %" if n < 9.95 else ">99 %" if 99.5 <= n < 100 else f"{n:.0f} %"


def count(n: int) -> str:
    """ "9,876", "12,345", "1.24 M"."""
    if abs(n) < 1_000_000:
        return f"{n:,}"
    return f"{n / 1e6:.2f} M" if abs(n) < 1e9 else f"{n / 1e9:.2f} G"


def size(n: float) -> str:
    """Bytes: "512 B", "62 MB", "15.6 GB" (powers of 1024)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n) < 999.5:
            return f"{n:.0f} {unit}" if unit in ("B", "kB") or abs(n) >= 99.5 else f"{n:.3g} {unit}"
        n /= 1024
    return f"{n:.3g} TB" if n < 999.5 else f"{n:,.0f} TB"


def duration(ns: float) -> str:
    """A time span: "350 µs", "12 ms", "1.4 s", "12 s", "3 min", "2 h", "3 d"."""
    seconds = ns / 1e9
    if seconds < 0.0005:
        return f"{ns / 1e3:.0f} µs"
    if seconds < 0.9995:
        return f"{ns / 1e6:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} d"


def age(ns: float) -> str:
    """How long ago, in whole seconds while it is few of them: "now", "4 s", "119 s", "12 min"."""
    seconds = int(ns // 1_000_000_000)
    if seconds < 120:
        return f"{seconds} s" if seconds > 0 else "now"
    return duration(ns)


def latency(ns: float) -> str:
    """How long a call or a wait took, in at most 7 cells: "512 ns", "1.5 µs", "33 ms", "40 s", "119 min", "292 y"."""
    if ns < 999.5:
        return f"{ns:.0f} ns"
    for unit, length, most in _LENGTHS:
        n = ns / length
        if n < most:
            return f"{n:.1f} {unit}" if n < 9.95 else f"{n:.0f} {unit}"
    return f"{ns / 31_557_600e9:.0f} y"


def short(n: float) -> str:
    """A count in at most 5 cells: "999", "12.3k", "1.24M", "9.22E"."""
    if abs(n) < 999.5:
        return f"{n:.0f}"
    for unit in "kMGTP":
        n /= 1000
        if abs(n) < 999.5:
            return f"{n:.3g}{unit}"
    return f"{n / 1000:.3g}E"


def rate(n: float) -> str:
    """Events a second, in at most 5 cells: "0", "<0.01", "0.25", "4.2", "12.3k"."""
    if n <= 0:
        return "0"
    if n < 0.01:
        return "<0.01"
    return f"{n:.2f}" if n < 0.995 else f"{n:.1f}" if n < 9.95 else short(n)


def amount(n: int, timed: bool) -> str:
    """A weight: "24,000", or as nanoseconds "1.5 ms"."""
    return latency(n) if timed else count(n)


def window(seconds: float | None) -> str:
    """A choice of window: "10 s", "5 min", "6 h", "7 d", "all"."""
    if seconds is None:
        return "all"
    if seconds < 120:
        return f"{seconds:g} s"
    unit, length = next(one for one in (("d", 86400), ("h", 3600), ("min", 60)) if seconds >= one[1])
    return f"{seconds / length:g} {unit}"
