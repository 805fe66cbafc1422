"""Lanes as rows: a column's height is how busy the lane was in it; what is wide enough has its name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from aperture_tui.tui import figures
from aperture_tui.tui.cells import LEVELS, fit, width_of
from aperture_tui.tui.gpu.kernel_names import shortened
from aperture_tui.tui.gpu.model import Engine, Lane, Lanes, Stretch
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.histogram import exactly

COLOURS: Final = {
    Engine.ANY: "history",
    Engine.COMPUTE: "good",
    Engine.COPY_IN: "memory",
    Engine.COPY_OUT: "swap",
    Engine.COPY: "user",
    Engine.MEMSET: "iowait",
}
WORDS: Final = {
    Engine.ANY: "",
    Engine.COMPUTE: "compute",
    Engine.COPY_IN: "copy in",
    Engine.COPY_OUT: "copy out",
    Engine.COPY: "copy",
    Engine.MEMSET: "memset",
}
_SHORT: Final = {Engine.COMPUTE: "run", Engine.COPY_IN: "in", Engine.COPY_OUT: "out", Engine.MEMSET: "set"}
_SHARE: Final = 7
_IDLE: Final = "·"
_UNRECORDED: Final = "?"
_EMPTY: Final = {_IDLE: "faint", " ": "faint", _UNRECORDED: "warning"}
_FULL: Final = 0.9
"""A column that is so busy may be a part of a box with a name."""
_WHOLE: Final = 0.999
"""So much of a column is all of it: its edges are whole nanoseconds."""
_BOX: Final = 5
"""Cells of the narrowest box."""
_FINE_NS: Final = 1_000_000_000
"""Of shorter stretches microseconds are told."""
_TICK: Final = 12
"""Cells between two marks of the axis, at least."""


class Cursor(NamedTuple):
    """Where the cursor is: in which lane, and in which column."""

    row: int
    column: int


def label_width(width: int) -> int:
    """Cells before the columns."""
    return 24 + _SHARE if width >= 100 else 15 + _SHARE if width >= 60 else 9


def plot_width(width: int) -> int:
    """Columns that a width has room for."""
    return max(1, width - label_width(width))


def column_of(at_ns: int, stretch: Stretch, columns: int) -> int:
    """The column that a moment is in; of what is out of sight the nearest."""
    return max(0, min(columns - 1, (at_ns - stretch.start_ns) * columns // stretch.length_ns))


def moment_of(column: int, stretch: Stretch, columns: int) -> int:
    """The middle of a column, Unix nanoseconds."""
    return stretch.start_ns + (2 * column + 1) * stretch.length_ns // (2 * columns)


def lane_row(lane: Lane, names: Sequence[str], width: int, cursor: int | None, focused: bool, mono: bool) -> Spans:
    """One lane, exactly `width` cells. cursor: its column, None if it is in another lane."""
    spans = _label(lane, width, cursor is not None)
    columns = width - sum(width_of(text) for text, _ in spans)
    cells = _columns(lane, names, mono)
    if cursor is not None and focused:
        cells = _marked(cells, cursor)
    return exactly([*spans, *cells], width) if len(lane.busy) != columns else (*spans, *cells)


def _label(lane: Lane, width: int, selected: bool) -> list[Span]:
    key, mark = lane.key, "›" if selected else " "
    strong = "*text" if selected else "text"
    if width < 60:
        stream = f"GPU {key.device}" if key.engine is Engine.ANY else f" {key.stream} {_SHORT.get(key.engine, 'copy')}"
        return [(fit(f"{mark}{stream}", label_width(width)), strong)]
    room = label_width(width) - _SHARE
    if key.engine is Engine.ANY:
        text = f"{mark}GPU {key.device}"
    else:
        text = f"{mark} {'stream ' if width >= 100 else ''}{key.stream} {WORDS[key.engine]}"
    return [(fit(text, room), strong), (f"{_share(lane):>{_SHARE - 1}} ", "muted")]


def _share(lane: Lane) -> str:
    """Of the stretch, in which it was busy: at least, where not all of it was recorded."""
    missing = any(lane.unrecorded)
    if lane.partial or (missing and not lane.share):
        return "?"
    share = figures.share(lane.share, 1.0) if lane.share else "0 %"
    if not missing:
        return share
    return "≥0 %" if share.startswith("<") else f"≥{share}"


def _columns(lane: Lane, names: Sequence[str], mono: bool) -> list[Span]:
    """The bars, and boxes in their place."""
    colour, cells = COLOURS[lane.key.engine], _cells(lane)
    spans: list[Span] = []
    at = 0
    for begin, end in _boxes(lane):
        spans += _bars(cells[at:begin], colour)
        spans.append(_box(names[lane.largest[begin]], end - begin, colour, mono))
        at = end
    return spans + _bars(cells[at:], colour)


def _cells(lane: Lane) -> list[str]:
    """A bar for each column that was busy; else what says that it was idle, was not recorded, or is not drawn."""
    nothing = " " if lane.partial else _IDLE
    empty = [_UNRECORDED if share else nothing for share in lane.unrecorded] or [nothing] * len(lane.busy)
    return [
        LEVELS[min(8, max(1, round(8 * share)))] if share > 0 else none
        for share, none in zip(lane.busy, empty, strict=True)
    ]


def _bars(cells: Sequence[str], colour: str) -> list[Span]:
    of_key = groupby(cells, lambda cell: _EMPTY.get(cell, colour))
    return [("".join(some), key) for key, some in of_key]


def _box(name: str, width: int, colour: str, mono: bool) -> Span:
    """The separator in the first cell, then the name; without colours a bar goes on behind it."""
    text = shortened(name, width - 1)
    if mono:
        return (f"|{text}{'█' * (width - 1 - width_of(text))}", colour)
    return (f"▏{fit(text, width - 1)}", f"background@{colour}")


def _boxes(lane: Lane) -> list[tuple[int, int]]:
    """Columns, half-open, that are full of one kernel; each run of it by itself where it is wide enough."""
    if lane.key.engine is Engine.ANY:
        return []
    out: list[tuple[int, int]] = []
    at = 0
    for key, some in groupby(zip(lane.largest, lane.busy, strict=True), lambda one: one[0] if one[1] >= _FULL else -1):
        end = at + len(list(some))
        if key >= 0 and end - at >= _BOX:
            out += _apart(lane.begun, at, end)
        at = end
    return out


def _apart(begun: Sequence[int], at: int, end: int) -> list[tuple[int, int]]:
    """One box for each that began, or one for all of them."""
    cuts = [at, *(i for i in range(at + 1, end) if begun[i]), end]
    boxes = list(pairwise(cuts))
    return boxes if all(b - a >= _BOX for a, b in boxes) else [(at, end)]


def _marked(spans: Sequence[Span], column: int) -> list[Span]:
    """The same with the cell of the cursor apart."""
    out: list[Span] = []
    at = 0
    for text, key in spans:
        i = column - at
        if 0 <= i < len(text) and width_of(text) == len(text):
            parts = ((text[:i], key), (text[i], "*text@cursor"), (text[i + 1 :], key))
            out += [part for part in parts if part[0]]
        else:
            out.append((text, key))
        at += width_of(text)
    return out


def axis_row(stretch: Stretch, width: int, cursor: int | None) -> Spans:
    """Marks of time since the beginning of the stretch; ▲ where the cursor is."""
    left, columns = label_width(width), plot_width(width)
    cells = [" "] * columns
    step = _step(stretch.length_ns, columns)
    for tick in range(0, stretch.length_ns, step):
        at = tick * columns // stretch.length_ns
        text = f"│{figures.latency(tick) if tick else '0'}"
        if at + len(text) <= columns:
            cells[at : at + len(text)] = text
    line = "".join(cells)
    if cursor is None or not 0 <= cursor < columns:
        return ((" " * left, "faint"), (line, "muted"))
    return ((" " * left, "faint"), (line[:cursor], "muted"), ("▲", "*accent"), (line[cursor + 1 :], "muted"))


def _step(length_ns: int, columns: int) -> int:
    """A round time that takes _TICK cells or more."""
    least = max(1, length_ns * _TICK // columns)
    scale = int(10 ** (len(str(least)) - 1))
    return next(scale * n for n in (1, 2, 5, 10) if scale * n >= least)


def note_row(lanes: Lanes, width: int) -> Spans | None:
    """What is not drawn, and why; None if everything is."""
    said = [_sampled(lanes, width)] if lanes.stand_for else []
    parts = [f"{executions(lanes.sums)} told only as sums"] if lanes.sums else []
    if lanes.since_ns > lanes.window.start_ns:
        missing = figures.duration(lanes.since_ns - lanes.window.start_ns)
        parts.append(f"the first {missing} (too many; [ shortens the window)")
    parts += [f"{lanes.left_out:,} more lanes"] if lanes.left_out else []
    said += [f"not drawn: {', '.join(parts)}"] if parts else []
    return ((fit(f" {'; '.join(said)}", width), "warning"),) if said else None


def _sampled(lanes: Lanes, width: int) -> str:
    stand = f"drawn {'stands' if lanes.sampled == 1 else 'stand'} for {lanes.stand_for:,}"
    full = f"sampled: {executions(lanes.sampled)} {stand}"
    return full if width_of(full) < width else f"{lanes.sampled:,} {stand}"


def executions(n: int) -> str:
    """So many."""
    return f"{n:,} execution{'' if n == 1 else 's'}"


def lanes_rows(
    lanes: Lanes, width: int, height: int, cursor: Cursor, top: int = 0, focused: bool = False, mono: bool = False
) -> list[Spans]:
    """The lanes from `top` on, what is not drawn, and the axis below them. At most `height` rows."""
    if height < 1 or width < 1 or not lanes.lanes:
        return []
    note = note_row(lanes, width) if height > 3 else None
    room = max(1, height - 1 - (note is not None))
    rows = [
        lane_row(lane, lanes.names, width, cursor.column if i == cursor.row else None, focused, mono)
        for i, lane in enumerate(lanes.lanes[top : top + room], top)
    ]
    if height > 1:
        rows += [note] if note is not None else []
        rows.append(axis_row(lanes.stretch, width, cursor.column if focused else None))
    return rows


def cell_words(lanes: Lanes, cursor: Cursor) -> tuple[str, str, list[str]]:
    """What is under the cursor: a name, whose lane it is, and facts."""
    if cursor.row >= len(lanes.lanes):
        return "", "", []
    lane = lanes.lanes[cursor.row]
    key, i = lane.key, min(cursor.column, len(lane.busy) - 1)
    of_stream = "" if key.engine is Engine.ANY else f", stream {key.stream}, {WORDS[key.engine]}"
    where = f"GPU {key.device}{of_stream}"
    since_ns = moment_of(i, lanes.stretch, len(lane.busy)) - lanes.window.start_ns
    at = f"at +{since_ns / 1e9:.{3 if lanes.stretch.length_ns > _FINE_NS else 6}f} s"
    missing = lane.unrecorded[i] if lane.unrecorded else 0.0
    part = [f"{figures.share(missing, 1.0)} of it not recorded"] if 0 < missing < _WHOLE else []
    if lane.largest[i] < 0:
        what = "not recorded" if missing >= _WHOLE else "not known" if lane.partial or missing else "idle"
        return what, where, [*part, at]
    busy = f"{'≥ ' if lane.partial or missing else ''}{figures.share(lane.busy[i], 1.0)} busy"
    facts = [figures.latency(lane.longest_ns[i]), busy, *part]
    facts += [f"{lane.begun[i]:,} begin here"] if lane.begun[i] > 1 else []
    return lanes.names[lane.largest[i]], where, [*facts, at]
