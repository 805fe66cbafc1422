"""The histogram of how long calls or waits took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from textual.events import Click
from textual.message import Message

from aperture_tui.export.names import errno_name
from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.profile.where import Bound
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.gauges import history
from aperture_tui.tui.widgets.rows import RowsView

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_HALVES: Final = " ▌▌▌▌▌███"
"""Consoles without colours seldom have a font with the eighths."""
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_FEW: Final = 6
"""In fewer rows than this, columns show more than some of the buckets would."""
_LEAST_BAR: Final = 8


def histogram_rows(latency: Latency | None, width: int, height: int, mono: bool = False) -> list[Spans]:
    """A row for each bucket from the shortest to the longest that is not empty, then the quantiles and the errors.

    Where that is too much, runs of empty buckets share a row, and then the emptier end is left out; where only few
    would be left, a column for each. Not more than `height` rows.
    """
    if height < 1 or width < 1:
        return []
    if latency is None or not any(latency.histogram):
        words = " nothing is selected" if latency is None else " nothing has ended in view"
        return [((fit(words, width), "muted"),)]
    feet = foot_rows(latency, width)
    room = height - len(feet)
    if _stand_in_columns(latency, room):
        return _column_rows(latency, feet, width, height)
    return _bucket_rows(latency, width, room, mono) + feet


def bucket_at(latency: Latency | None, size: tuple[int, int], place: tuple[int, int]) -> int | None:
    """The bucket at a place (column, row) of `histogram_rows` of that size; None for none, or an empty one."""
    (width, height), (x, y) = size, place
    if height < 1 or width < 1 or latency is None or not any(latency.histogram):
        return None
    feet = foot_rows(latency, width)
    room = height - len(feet)
    if _stand_in_columns(latency, room):
        columns = _columns(latency, width)
        at = columns.start + x - 1 if y < max(1, room) else -1
        return at if at in columns and latency.histogram[at] else None
    shown, _ = kept(latency.histogram, room)
    return shown[y].start if y < len(shown) and latency.histogram[shown[y].start] else None


def bucket_bounds(bucket: int) -> tuple[Bound, ...]:
    """What the filter line says of all that is in a bucket, and of nothing else."""
    least = [Bound(">=", 1 << bucket)] if bucket > 0 else []
    below = [Bound("<", 1 << bucket + 1)] if bucket < BUCKETS - 1 else []
    return (*least, *below)


def _stand_in_columns(latency: Latency, room: int) -> bool:
    return len(_folded(latency.histogram)) > room < _FEW


def title_row(latency: Latency | None, title: str, width: int) -> Spans:
    """What it is the histogram of, how many there are, how long they took together and on average."""
    words = f" {plain(title)} "
    if latency is None:
        return ((fit(words, width), "*text"),)
    mean = figures.latency(latency.time_ns / latency.count) if latency.count else "–"
    of = f" {figures.short(latency.count)} · {figures.latency(latency.time_ns)} in all · {mean} mean"
    name = min(width, width_of(words))
    return ((fit(words, name), "*text"), (fit(of, width - name), "muted"))


def bucket_label(buckets: range) -> str:
    """ "512 ns–1 µs", "1–2 µs": from their first duration to the first beyond them, in two digits."""
    low, high = _edge(buckets.start), _edge(buckets.stop)
    if buckets.stop == BUCKETS:
        return f"≥ {low}"
    if buckets.start == 0:
        return f"< {high}"
    number, unit = low.split(" ")
    return f"{number}–{high}" if high.endswith(f" {unit}") else f"{low}–{high}"


def _edge(i: int) -> str:
    return figures.latency(2**i).replace(".0 ", " ")


def _folded(histogram: Sequence[int]) -> list[range]:
    """The buckets from the first to the last that is not empty; runs of empty ones are one."""
    filled = [i for i, n in enumerate(histogram) if n]
    rows: list[range] = []
    for i, nearest in zip(filled, [filled[0], *filled], strict=False):
        if nearest + 1 < i:
            rows.append(range(nearest + 1, i))
        rows.append(range(i, i + 1))
    return rows


def kept(histogram: Sequence[int], room: int) -> tuple[list[range], bool]:
    """Which buckets each of at most `room` rows stands for, and whether some with something in them have none.

    All, if there is room; else with empty runs folded; else without the end that is emptier. Of two that are as empty
    the shorter one gives way, because what took long is what is looked for.
    """
    folded = _folded(histogram)
    if folded[-1].stop - folded[0].start <= room:
        return [range(i, i + 1) for i in range(folded[0].start, folded[-1].stop)], False
    if len(folded) <= room:
        return folded, False
    while len(folded) > max(1, room - 1) or not histogram[folded[0].start] or not histogram[folded[-1].start]:
        del folded[0 if histogram[folded[0].start] <= histogram[folded[-1].start] else -1]
    return folded, True


def _bucket_rows(latency: Latency, width: int, room: int, mono: bool) -> list[Spans]:
    """room: at least 1."""
    counts = latency.histogram
    shown, cut = kept(counts, room)
    marks = _marks(latency)
    labels = [bucket_label(buckets) for buckets in shown]
    label = max(map(len, labels))
    side = max((len(" ".join(marks[b.start])) + 3 for b in shown if b.start in marks), default=0)
    length = width - label - 16
    side = side if length - side >= _LEAST_BAR else 0
    share = length >= _LEAST_BAR // 2
    length = max(0, length - side if share else length + 8)
    top, total = max(counts[b.start] for b in shown), sum(counts)
    rows = []
    for buckets, name in zip(shown, labels, strict=True):
        n = counts[buckets.start]
        row: list[Span] = [(f" {name:>{label}} ", "muted")]
        row.append((_bar(n / top, length, mono), "user"))
        row.append((f" {figures.short(n):>5}", "text" if n else "muted"))
        if share:
            row.append((f" {figures.share(n, total) if n else '':>6} ", "text"))
            row.append((fit(f" ◂ {' '.join(marks[buckets.start])}" if buckets.start in marks else "", side), "accent"))
        rows.append(exactly(row, width))
    return [*rows, _left_out(counts, shown[0].start, shown[-1].stop, width)] if cut else rows


def _left_out(counts: Sequence[int], first: int, end: int, width: int) -> Spans:
    below, above = sum(counts[:first]), sum(counts[end:])
    parts = [f"{figures.short(below)} shorter ({figures.share(below, sum(counts))})"] if below else []
    parts += [f"{figures.short(above)} longer ({figures.share(above, sum(counts))})"] if above else []
    return ((fit(f" … not shown: {', '.join(parts)}", width), "warning"),)


def _bar(share: float, length: int, mono: bool) -> str:
    """Of `length` cells, to an eighth of one; what is not nothing can be seen."""
    eighths = max(1, round(8 * length * share)) if share > 0 else 0
    parts = _HALVES if mono else _EIGHTHS
    return fit("█" * (eighths // 8) + parts[eighths % 8].strip(), length)


def _marks(latency: Latency) -> dict[int, list[str]]:
    """Bucket -> which quantiles lie in it."""
    marks: dict[int, list[str]] = {}
    for name, q in _QUANTILES.items():
        marks.setdefault(_bucket_of(latency.histogram, q), []).append(name)
    last = max(i for i, n in enumerate(latency.histogram) if n)
    marks.setdefault(last, []).append("max")
    return marks


def _bucket_of(histogram: Sequence[int], q: float) -> int:
    """The bucket that a quantile is in: it is exact, where the quantile itself is interpolated."""
    wanted, passed = q * sum(histogram), 0
    for i, n in enumerate(histogram):
        passed += n
        if n and passed >= wanted:
            return i
    return BUCKETS - 1


# -- below the buckets


def foot_rows(latency: Latency, width: int) -> list[Spans]:
    """The quantiles, and the errors beside them, or in a second row where there is no room."""
    quantiles = _quantiles(latency, width)
    used = sum(width_of(text) for text, _ in quantiles)
    if not latency.outcomes:
        return [exactly(quantiles, width)]
    errors = error_words(latency.outcomes)
    if used + 3 + width_of(errors) <= width:
        return [exactly([*quantiles, (f"   {errors}", "warning")], width)]
    return [exactly(quantiles, width), ((fit(f" {error_words(latency.outcomes, width - 1)}", width), "warning"),)]


def error_words(outcomes: Mapping[int, int], width: int = 1000) -> str:
    """ "ENOENT 1.2k, EAGAIN 5", most first; "ENOENT 1.2k, 4 others 17" where there is no room for all."""
    most = sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{errno_name(number)} {figures.short(n)}" for number, n in most]
    for shown in range(len(words), 0, -1):
        rest = [n for _, n in most[shown:]]
        more = [f"{len(rest)} other{'s' if len(rest) > 1 else ''} {figures.short(sum(rest))}"] if rest else []
        text = ", ".join([*words[:shown], *more])
        if width_of(text) <= width:
            return text
    return f"{figures.short(sum(outcomes.values()))} errors"


def _quantiles(latency: Latency, width: int) -> list[Span]:
    """As many as there is room for, the maximum first of all.

    ~: interpolated, and off by less than a factor of two; the maximum is exact.
    """
    names = list(_QUANTILES)
    while True:
        spans: list[Span] = []
        for name in names:
            spans += [(f" {name} ", "muted"), (f"~{figures.latency(latency.quantile(_QUANTILES[name]))} ", "text")]
        spans += [(" max ", "muted"), (figures.latency(latency.maximum_ns), "*text")]
        if not names or sum(width_of(text) for text, _ in spans) <= width:
            return spans
        del names[1 if len(names) > 2 else 0]


def _column_rows(latency: Latency, feet: Sequence[Spans], width: int, height: int) -> list[Spans]:
    """A column for each bucket, and beside it its ends; then the quantiles, in one row beside it, and the errors."""
    columns = _columns(latency, width)
    first, end = columns.start, columns.stop
    counts = latency.histogram[first:end]
    top = max(counts)
    hidden = sum(latency.histogram[:first])
    ends = f" {_edge(first) if first else '0 ns'} … {_edge(end) if end < BUCKETS else '∞'}"
    ends += f", {figures.short(hidden)} shorter" if hidden else ""
    feet = feet[: height - 1]
    picture = history([n / top if n else None for n in counts], len(counts), height - len(feet))
    shape: list[Span] = [(f" {picture[-1]}", "user"), (ends, "muted")]
    if height == 1:
        used = len(counts) + 1
        room = width - used - width_of(ends)
        quantiles = _quantiles(latency, room)
        if sum(width_of(text) for text, _ in quantiles) > room:  # the longest says most of what the ends say
            shape, quantiles = shape[:1], _quantiles(latency, width - used)
        return [exactly([*shape, *quantiles], width)]
    return [*(exactly([(f" {row}", "user")], width) for row in picture[:-1]), exactly(shape, width), *feet]


def _columns(latency: Latency, width: int) -> range:
    """The buckets that have a column, the longest ones."""
    filled = [i for i, n in enumerate(latency.histogram) if n]
    end = filled[-1] + 1
    return range(max(filled[0], end - max(1, width - 20)), end)


def exactly(spans: Sequence[Span], width: int, key: str = "text") -> Spans:
    """A row of `width` cells: cut, or filled with spaces of this key."""
    out: list[Span] = []
    free = width
    for text, one in spans:
        if free > 0:
            cells = width_of(text)
            out.append((text if cells <= free else fit(text, free), one))
            free -= min(cells, free)
    return (*out, (" " * free, key)) if free > 0 else tuple(out)


class HistogramView(RowsView):
    """The histogram of the selected calls or waits; a click chooses a bucket."""

    DEFAULT_CSS = "HistogramView { height: 1fr; }"

    class Chosen(Message):
        """A bucket that is not empty."""

        def __init__(self, bucket: int) -> None:
            super().__init__()
            self.bucket = bucket

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._latency: Latency | None = None

    def show(self, latency: Latency | None, title: str) -> None:
        """Show this one."""
        self._latency = latency
        self.draw(lambda: self._rows_now(latency, title))

    def _rows_now(self, latency: Latency | None, title: str) -> list[Spans]:
        width, height = self.size.width, self.size.height
        if height < 2:
            return histogram_rows(latency, width, height, self.palette.mono)
        rows = histogram_rows(latency, width, height - 1, self.palette.mono)
        return [title_row(latency, title, width), *rows]

    def on_click(self, event: Click) -> None:
        """Choose the bucket that stands there."""
        width, height = self.size
        title = int(height > 1)
        if event.y < title or event.chain > 1:  # the second of two would take the first back
            return
        found = bucket_at(self._latency, (width, height - title), (event.x, event.y - title))
        if found is not None:
            self.post_message(self.Chosen(found))
