"""Numbers in words, in as few cells as a reader needs."""

from __future__ import annotations


def percent(part: float, whole: float) -> str:
    """A share: "12.3 %", "0.04 %" where one decimal would say nothing, "–" of nothing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.2f} %" if 0 < abs(share) < 0.1 else f"{share:.1f} %"


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
    """A time span: "350 µs", "12 ms", "1.4 s", "12 s", "3 min", "2 h"."""
    seconds = ns / 1e9
    if seconds < 0.0005:
        return f"{ns / 1e3:.0f} µs"
    if seconds < 0.9995:
        return f"{ns / 1e6:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def window(seconds: float | None) -> str:
    """A choice of window: "10 s", "5 min", "all"."""
    if seconds is None:
        return "all"
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
