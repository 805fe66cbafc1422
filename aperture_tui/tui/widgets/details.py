"""The line below the icicle: the selected frame in full."""

from __future__ import annotations

from collections.abc import Sequence

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.forms.model import FunctionLine, FunctionsView
from aperture_tui.tui.icicle.change import change
from aperture_tui.tui.model import SAMPLES, Box, FrameLabel, IcicleView, LatencyLine, Unit
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.line_details import line_rows
from aperture_tui.tui.widgets.rows import RowsView

_WORDS = {
    FrameKind.ROOT: "everything in view",
    FrameKind.PROCESS: "process",
    FrameKind.KERNEL: "kernel",
    FrameKind.NATIVE: "native",
    FrameKind.JIT: "compiled at run time",
    FrameKind.PYTHON: "Python",
    FrameKind.RUNTIME: "interpreted",
    FrameKind.GPU: "GPU",
    FrameKind.UNKNOWN: "unknown",
    FrameKind.THREAD: "thread",
    FrameKind.LOCK: "lock",
    FrameKind.TAG: "group",
}


def detail_rows(
    box: Box | None,
    parent: Box | None,
    view_total: int,
    width: int,
    height: int,
    below: int = 0,
    unit: Unit = SAMPLES,
    base_total: int | None = None,
    zoomed: int | None = None,
) -> list[Spans]:
    """What is known of a frame. parent: the box above, if it is shown; view_total: weight of the view, in its unit.
    base_total: that of what it is compared with, None for nothing.

    below: rows of the icicle that are out of sight, said at the end of the first row; less than 0 of those above.
    zoomed: weight under the zoom, None where it is the whole.
    """
    if height < 1:
        return []
    hidden = f" ▾ {below} below " if below > 0 else f" ▴ {-below} above " if below else ""
    words = hidden if width >= 30 else ""
    room = width - len(words)
    numbers = _numbers(box, parent, view_total, unit, base_total, zoomed) if box else []
    if box is None:
        rows = [_row([], room)]
    elif height == 1:
        rows = [_row(_in_one_row(box.label, numbers, room), room)]
    else:
        name = plain(box.label.function) or box.label.forms[0]
        rows = [_row([(f" {name}", "*text")], room), _row([(" ", "text"), *numbers, *_origin(box.label)], width)]
    rows[0] = (*rows[0], (words, "accent")) if words else rows[0]
    return rows + [_row([], width)] * (height - len(rows))


def _numbers(
    box: Box, parent: Box | None, view_total: int, unit: Unit, base_total: int | None, zoomed: int | None
) -> list[Span]:
    """Pairs of a number and its unit, the most wanted first."""
    if base_total is not None and box.was is not None:
        return _compared(box, box.was, view_total, base_total, unit)
    numbers: list[Span] = [
        (figures.percent(box.total, view_total), "*text"),
        (" of view", "muted"),
        (f"  {exact(box.total, unit.timed)}", "text"),
        (f" {unit.word}", "muted"),
    ]
    if box.own >= 0:
        numbers += [(f"  {exact(box.own, unit.timed)}", "text"), (" self", "muted")]
    if zoomed:
        numbers += [(f"  {figures.percent(box.total, zoomed)}", "text"), (" of zoom", "muted")]
    if parent is not None and parent.total:
        numbers += [(f"  {figures.percent(box.total, parent.total)}", "text"), (" of parent", "muted")]
    return numbers


def exact(weight: int, timed: bool) -> str:
    """Every digit of a count; of time as many as can be read."""
    return figures.latency(weight) if timed else f"{weight:,}"


def _compared(box: Box, was: int, view_total: int, base_total: int, unit: Unit) -> list[Span]:
    """The same of a box that is compared."""
    points = 100 * change(box.total, was, view_total, base_total, absolute=False)
    more = figures.amount(abs(box.total - was), unit.timed)
    return [
        (f"{points:+.2f}", "*text"),
        (" points", "muted"),
        (f"  {figures.percent(was, base_total)} → {figures.percent(box.total, view_total)}", "text"),
        (" of view", "muted"),
        (f"  {'-' if box.total < was else '+'}{more}", "text"),
        (f" {unit.word}", "muted"),
        (f"  {figures.amount(was, unit.timed)} → {figures.amount(box.total, unit.timed)}", "text"),
        ("", "muted"),
    ]


def _in_one_row(label: FrameLabel, numbers: list[Span], width: int) -> list[Span]:
    """The name, and as many of the numbers as leave room for it."""
    numbers = list(numbers)
    room = width - 1 - sum(width_of(text) for text, _ in numbers)
    while len(numbers) > 2 and room < min(24, width // 2):
        room += sum(width_of(text) for text, _ in numbers[-2:])
        del numbers[-2:]
    return [(f" {fit(label.forms[0], max(0, room - 1))} ", "text"), *numbers]


def _origin(label: FrameLabel) -> list[Span]:
    spans: list[Span] = [("  │ ", "faint"), (_WORDS[label.kind], "accent")]
    if label.module:
        spans.append((f"  {plain(label.module)}", "text"))
    if label.file:
        spans.append((f"  {plain(label.file)}{f':{label.line}' if label.line else ''}", "muted"))
    return spans


def _row(spans: list[Span], width: int) -> Spans:
    out: list[Span] = []
    left = width
    for text, key in spans:
        cells = width_of(text)
        out.append((text, key) if cells <= left else (fit(text, left), key))
        left -= min(cells, left)
        if not left:
            break
    return (*out, (" " * left, "text")) if left else tuple(out)


def function_rows(line: FunctionLine | None, view: FunctionsView | None, width: int, height: int) -> list[Spans]:
    """What is known of a function, as of the box of a frame."""
    if line is None or view is None:
        return [_row([], width)] * height
    box = Box(0, width, -1, line.label, line.total, line.own, line.total_was)
    zoomed = view.zoomed if view.zoomed != view.whole else None
    return detail_rows(box, None, view.whole, width, height, 0, view.unit, view.base_total, zoomed)


def words_rows(name: str, facts: Sequence[str], width: int, height: int) -> list[Spans]:
    """A name and facts about it: the name in a row of its own where there are two."""
    if height < 1:
        return []
    told = "  ".join(filter(None, map(plain, facts)))
    if height == 1:
        room = max(min(width_of(plain(name)), width // 2), width - width_of(told) - 4) if name else 0
        return [
            _row([(f" {fit(name, max(0, min(room, width_of(plain(name)))))} ", "*text"), (f" {told}", "text")], width)
        ]
    rows: list[Spans] = [_row([(f" {plain(name)}", "*text")], width), _row([(f" {told}", "text")], width)]
    return rows + [((" " * width, "text"),)] * (height - 2)


class Details(RowsView):
    """What is selected, in full."""

    DEFAULT_CSS = "Details { height: 2; }"

    def show(self, view: IcicleView | None, box: Box | None, parent: Box | None, below: int = 0) -> None:
        """Describe this box of a view."""
        total, unit = (view.total, view.unit) if view is not None else (0, SAMPLES)
        base = view.base_total if view is not None else None
        zoomed = view.zoomed if view is not None and view.zoom else None
        self.draw(lambda: detail_rows(box, parent, total, self.size.width, self.size.height, below, unit, base, zoomed))

    def show_function(self, line: FunctionLine | None, view: FunctionsView | None) -> None:
        """Describe this row of the table of functions."""
        self.draw(lambda: function_rows(line, view, self.size.width, self.size.height))

    def show_line(self, line: LatencyLine | None) -> None:
        """Describe this row of a table."""
        self.draw(lambda: line_rows(line, self.size.width, self.size.height))

    def show_words(self, name: str, facts: Sequence[str]) -> None:
        """Say a name, and facts about it."""
        self.draw(lambda: words_rows(name, facts, self.size.width, self.size.height))
