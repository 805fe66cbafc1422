"""Histograms of latencies in plain text: a line for each power of two, with bars of eighths of a cell."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from aperture_tui.export.calls import errors_words
from aperture_tui.export.names import COUNTED, amount_ns
from aperture_tui.export.table import fitted, wrapped
from aperture_tui.profile.kinds import Kind

if TYPE_CHECKING:
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

KINDS: Final = (Kind.SYSCALL, Kind.LOCK)
"""The kinds whose events are buckets of latencies. Off-CPU time is summed by stack, whatever its length."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_BAR: Final = 60  # a wider bar says no more
_EMPTY: Final = 3  # a longer run of empty buckets is one line


def text(store: Store, query: Query, top: int, width: int) -> str:
    """The first `top` of the query's latencies, most first by its measure. Raises re.error."""
    found = store.latencies(query)
    if not found:
        return fitted(f"No {COUNTED[query.kind]} in this range.", width) + "\n"
    lines: list[str] = []
    for one in found[:top]:
        lines += [*histogram(one, query.kind, width), ""]
    lines += [f"and {len(found) - top:,} more (--top)"] if len(found) > top else lines.pop()
    return "".join(f"{fitted(line, width)}\n" for line in lines)


def histogram(one: Latency, kind: Kind, width: int) -> list[str]:
    """Whose it is, its quantiles, and a line for each bucket from the first to the last that is not empty."""
    lines = wrapped(f"{title(one, kind)}: {one.count:,} {COUNTED[kind]}, {amount_ns(one.time_ns)}", width)
    if errors := errors_words(one.outcomes):
        lines += wrapped(f"errors {one.errors:,}: {errors}", width, 2)
    quantiles = "  ".join(f"p{round(100 * q)} {amount_ns(one.quantile(q))}" for q in (0.5, 0.9, 0.99))
    lines += wrapped(f"{quantiles}  max {amount_ns(one.maximum_ns)}", width, 2, 2)
    return [*lines, *_buckets(one.histogram, width)]


def title(one: Latency, kind: Kind) -> str:
    """What was called or waited for, and by whom."""
    what = lock_name(one) if kind is Kind.LOCK else one.name or "[unknown]"
    return f"{what} of {one.process or '[unknown]'} {one.pid or ''}".rstrip()


def lock_name(one: Latency) -> str:
    """The kind of lock, its symbol if it has one, and its address."""
    return f"{one.name or '[unknown]'} {one.value:#x}"


def _buckets(counts: tuple[int, ...], width: int) -> list[str]:
    filled = [i for i, n in enumerate(counts) if n]
    if not filled:
        return []
    most = max(counts)
    places = range(filled[0], filled[-1] + 1)
    label_width = 2 + max(cell_len(_label(i)) for i in places)
    number_width = len(f"{most:,}")
    bar_width = max(1, min(_BAR, width - label_width - number_width - 4))
    lines = []
    for empty, run in itertools.groupby(places, lambda i: not counts[i]):
        buckets = list(run)
        if empty and len(buckets) > _EMPTY:
            lines.append(f"{'⋮':>{label_width}} {len(buckets)} empty buckets")
            continue
        lines += [
            f"{_label(i):>{label_width}} {bar(counts[i], most, bar_width)} {counts[i]:>{number_width},}"
            for i in buckets
        ]
    return lines


def _label(bucket: int) -> str:
    return f"{amount_ns(lower_bound(bucket))} –"


def lower_bound(bucket: int) -> int:
    """The shortest duration of a bucket, ns; the first holds what took no time as well."""
    return 1 << bucket if bucket else 0


def bar(n: int, most: int, width: int) -> str:
    """A bar of exactly `width` cells; whatever is not nothing has at least an eighth of one."""
    eighths = max(8 * width * n // most, 1 if n else 0)
    full, part = divmod(eighths, 8)
    return f"{'█' * full}{_EIGHTHS[part] if part else ''}".ljust(width)


__all__ = ["KINDS", "bar", "histogram", "lock_name", "lower_bound", "text", "title"]
