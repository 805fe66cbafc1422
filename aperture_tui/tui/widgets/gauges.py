"""Gauges of the host: bars of now, and the history of the range in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from aperture_tui.profile.host import HostSample
from aperture_tui.tui import figures
from aperture_tui.tui.cells import LEVELS, fit, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.rows import RowsView

_CPU: Final = ("user", "system", "iowait", "steal")
_LETTERS: Final = {"user": "|", "system": "#", "iowait": "~", "steal": "!", "memory": "|", "swap": "|"}
_NAME: Final = 9
_VALUE: Final = 8
_BAR: Final = (12, 32)
_LEGEND: Final = 38  # cells of the longest legend: all bars are as long as that one's

Reading = Callable[[HostSample], float | None]


def bar(parts: Sequence[tuple[float, str]], width: int, mono: bool = False, ground: str = "") -> list[Span]:
    """A bar of `width` cells. parts: (share of the whole bar, colour), left to right; ground: what it stands on.

    A thin line that ends on halves of a cell. Without colours each part has a letter.
    """
    if mono:
        return _letter_bar(parts, width)
    on = f"@{ground}" if ground else ""
    spans: list[Span] = []
    at = 0  # half cells drawn so far
    for i, (_, colour) in enumerate(parts):
        end = min(2 * width, round(2 * width * _share_so_far(parts, i + 1)))
        whole = end // 2 - at // 2
        if whole > 0:
            spans.append(("━" * whole, f"{colour}{on}"))
        at = max(at, end)
    cells = at // 2
    if at % 2:
        spans.append(("╸", f"{parts[-1][1]}{on}"))
        cells += 1
    if cells < width:
        spans.append(("━" * (width - cells), f"track{on}"))
    return spans


def _share_so_far(parts: Sequence[tuple[float, str]], n: int) -> float:
    return sum(max(0.0, share) for share, _ in parts[:n])


def _letter_bar(parts: Sequence[tuple[float, str]], width: int) -> list[Span]:
    inner = width - 2
    if inner < 1:
        return [(" " * width, "text")]
    text = ""
    for i, (_, colour) in enumerate(parts):
        end = min(inner, round(inner * _share_so_far(parts, i + 1)))
        text += _LETTERS.get(colour, "|") * (end - len(text))
    return [(f"[{text:<{inner}}]", "text")]


def history(values: Sequence[float | None], width: int, height: int) -> list[str]:
    """A curve of shares (0 to 1), filled to the ground: `height` rows of `width` cells, newest at the right.

    Fewer values than columns are stretched, more are averaged; None is unknown and left blank.
    """
    levels = [None if v is None else min(1.0, max(0.0, v)) * 8 * height for v in resampled(values, width)]
    rows = []
    for row in range(height):
        base = 8 * (height - 1 - row)
        cells = [
            " " if level is None else LEVELS[min(8, max(0, round(level) - base, 1 if not base else 0))]
            for level in levels
        ]
        rows.append("".join(cells))
    return rows


def resampled(values: Sequence[float | None], width: int) -> list[float | None]:
    """`width` values that span the same range."""
    n = len(values)
    if not n:
        return [None] * width
    out: list[float | None] = []
    for x in range(width):
        chunk = values[x * n // width : max(x * n // width + 1, (x + 1) * n // width)]
        known = [v for v in chunk if v is not None]
        out.append(sum(known) / len(known) if known else None)
    return out


def gauge_rows(samples: Sequence[HostSample], width: int, height: int, mono: bool = False) -> list[Spans]:
    """CPU, memory, swap and load in at most four rows, with the history of the CPU beside them where there is room."""
    if height <= 0 or width < 20:
        return []
    if not samples:
        return [((fit(" no readings of the host in view", width), "muted"),)]
    side = min(width // 3, 72) if width >= 100 and height > 1 else 0
    main = width - side
    newest = samples[-1]
    rows = [row(newest, main, mono) for row in (_cpu_row, _memory_row, _swap_row, _load_row)][:height]
    if not side:
        return rows
    curve = history([busy(s) for s in samples], side - 8, len(rows))
    scale = ["100 %", *[""] * (len(rows) - 2), "0"]
    return [
        (*row, (f"{mark:>6} ", "muted"), (line, "history"), (" ", "text"))
        for row, mark, line in zip(rows, scale, curve, strict=True)
    ]


def busy(sample: HostSample) -> float | None:
    """The share of the CPUs that works: user and system."""
    if sample.cpu_user is None or sample.cpu_system is None:
        return None
    return sample.cpu_user + sample.cpu_system


def _row(
    name: str, value: str, parts: Sequence[tuple[float, str]], legend: list[Span], width: int, mono: bool
) -> Spans:
    """name, value, bar, legend; the legend gives way before the bar does."""
    head: list[Span] = [(fit(f" {name}", _NAME), "muted"), (f"{value:>{_VALUE}}  ", "*text")]
    room = width - _NAME - _VALUE - 3
    if room <= 0:
        return ((fit(f" {name} {value}", width), "text"),)
    words = sum(width_of(text) for text, _ in legend)
    length = min(room, max(_BAR[0], min(_BAR[1], room - _LEGEND)))
    if length + words > room:
        legend, words = [], 0
    fill = " " * (room - words - length + 1)
    return (*head, *bar(parts, length, mono), *legend, (fill, "text"))


def _cpu_row(sample: HostSample, width: int, mono: bool) -> Spans:
    shares = {name: getattr(sample, f"cpu_{name}") for name in _CPU}
    now = busy(sample)
    legend: list[Span] = [("  ", "text")]
    for name, share in shares.items():
        if share is None or share >= 0.005:
            mark = f"{_LETTERS[name]} " if mono else ""
            legend += [(f"{mark}{name} ", name), ("?  " if share is None else f"{100 * share:.0f}  ", "text")]
    parts = [(share or 0.0, name) for name, share in shares.items()]
    return _row("CPU", "?" if now is None else figures.percent(now, 1), parts, legend, width, mono)


def _memory_row(sample: HostSample, width: int, mono: bool) -> Spans:
    return _bytes_row("Memory", sample.memory_used_bytes, sample.memory_total_bytes, "memory", width, mono)


def _swap_row(sample: HostSample, width: int, mono: bool) -> Spans:
    if sample.swap_total_bytes == 0:
        return ((fit(" Swap", _NAME), "muted"), (fit(f"{'none':>{_VALUE}}", width - _NAME), "muted"))
    return _bytes_row("Swap", sample.swap_used_bytes, sample.swap_total_bytes, "swap", width, mono)


def _bytes_row(name: str, used: int | None, total: int | None, colour: str, width: int, mono: bool) -> Spans:
    if used is None or not total:
        return _row(name, "?", [], [], width, mono)
    legend: list[Span] = [(f"  {figures.size(used)}", "text"), (f" of {figures.size(total)}", "muted")]
    return _row(name, figures.percent(used, total), [(used / total, colour)], legend, width, mono)


def _load_row(sample: HostSample, width: int, mono: bool) -> Spans:
    if sample.load is None:
        return ((fit(" Load", _NAME), "muted"), (fit(f"{'?':>{_VALUE}}", width - _NAME), "text"))
    one, five, fifteen = (f"{load:.2f}" for load in sample.load)
    head = ((fit(" Load", _NAME), "muted"), (f"{one:>{_VALUE}}", "*text"))
    words = f"  {five}  {fifteen}   over 1, 5 and 15 min"
    return (*head, (fit(words, max(0, width - _NAME - max(_VALUE, len(one)))), "muted"))


class Gauges(RowsView):
    """The gauges of the host."""

    DEFAULT_CSS = "Gauges { height: 4; }"

    def show(self, samples: Sequence[HostSample]) -> None:
        """Show these readings, oldest first."""
        self.draw(lambda: gauge_rows(samples, self.size.width, self.size.height, self.palette.shapes))
