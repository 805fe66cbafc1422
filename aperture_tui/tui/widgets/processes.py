"""The table of processes: who uses the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import LEVELS, fit
from aperture_tui.tui.model import ProcessKey, ProcessLine
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.gauges import bar
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.placing import aligned
from aperture_tui.tui.widgets.stacks import figure, is_enough

_PID: Final = 8
_CPU: Final = 8
_THREADS: Final = 5
_SHARE: Final = 12
_RECENT: Final = 10
_STACKS: Final = 9

SORTS: Final = ("cpu", "stacks", "threads", "place", "name", "pid")
"""What `s` goes through, where there is such a column. The most come first, of stacks the least whole; names by the
alphabet, PIDs as they are counted."""


class Title(NamedTuple):
    """The name of a column, from which cell on it stands and in how many. sort: one of SORTS, "" for none.

    left: aligned to the left.
    """

    text: str
    sort: str
    at: int
    width: int
    left: bool = False


class Columns:
    """The columns that a width has room for; what is too much for all of them stays free at the right.

    numbers: processes have some, and with them threads and a container. recent: their last seconds are known.
    """

    def __init__(self, width: int, numbers: bool = True, recent: bool = True) -> None:
        self.width = width
        self.pid = _PID if numbers else 1
        room = width - self.pid - _CPU - 2
        self.share = _SHARE if room >= 34 else 0
        self.recent = _RECENT if recent and room >= 58 else 0
        self.threads = _THREADS if numbers and room >= 48 else 0
        self.stacks = _STACKS if room >= 70 else 0
        room -= self.stacks
        room -= sum(n + 2 for n in (self.share, self.recent, self.threads) if n)
        self.place = min(24, room * 2 // 5) if numbers and room >= 24 else 0
        room -= self.place + 1 if self.place else 0
        self.name = min(room, 30)
        self.share += min(room - self.name, 12) if self.share else 0

    @property
    def titles(self) -> tuple[Title, ...]:
        """The names of those that there are, from left to right."""
        is_numbered = self.pid == _PID
        found: list[Title] = []
        at = 0
        for gap, text, sort, width, left in (
            (0, "PID", "pid", self.pid if is_numbered else 0, False),
            (1 if is_numbered else self.pid + 1, "PROCESS", "name", self.name, True),
            (1, "CONTAINER", "place", self.place, True),
            (1, "THR", "threads", self.threads, False),
            (0, "CPU %", "cpu", _CPU, False),
            (0, "STACK %", "stacks", self.stacks, False),
            (2, "SHARE", "", self.share, True),
            (2, "RECENT", "", self.recent, True),
        ):
            if width > 0:
                found.append(Title(text, sort, at + gap, width, left))
                at += gap + width
        return tuple(found)

    @property
    def sorts(self) -> tuple[str, ...]:
        """What there is of SORTS."""
        there = {title.sort for title in self.titles}
        return tuple(sort for sort in SORTS if sort in there)


def heading_row(columns: Columns, filtered: ProcessKey | None, sort: str = SORTS[0]) -> Spans:
    """The names of the columns; ▼ marks what the rows are sorted by."""
    key = "muted" if filtered is None else "accent"
    spans: list[Span] = []
    at = 0
    for title in columns.titles:
        mark = "▼" if title.sort == sort else ""
        text = f"{fit(title.text, min(len(title.text), title.width - len(mark)))}{mark}"
        spans.append((" " * (title.at - at), key))
        spans.append((aligned(text, title.width, title.left), "accent" if mark else key))
        at = title.at + title.width
    return exactly(spans, columns.width, key)


def ordered(lines: Sequence[ProcessLine], sort: str) -> list[ProcessLine]:
    """The processes by one of SORTS; they come by CPU, and of equal ones that order is kept."""
    by: dict[str, Callable[[ProcessLine], Any]] = {
        "pid": lambda line: line.key.pid,
        "name": lambda line: line.key.name,
        "place": lambda line: (not line.place, line.place),
        "threads": lambda line: -line.threads,
        "stacks": lambda line: 2.0 if line.stacks.share is None else line.stacks.share,
    }
    return sorted(lines, key=by[sort]) if sort in by else list(lines)


def process_row(line: ProcessLine, columns: Columns, selected: bool, focused: bool, scale: float, mono: bool) -> Spans:
    """One process. scale: the share that fills the bar."""
    c = columns
    ground = "@cursor" if selected and focused else ""
    strong = "*text" if selected else "text"
    mark = "›" if selected else " "
    spans: list[Span] = [(f"{mark}{line.key.pid or '':>{c.pid - 1}} ", f"muted{ground}")]
    spans.append((fit(line.key.name or "?", c.name), f"{strong}{ground}"))
    if c.place:
        spans.append((f" {fit(line.place, c.place)}", f"muted{ground}"))
    if c.threads:
        spans.append((f" {line.threads:>{c.threads}}", f"muted{ground}"))
    percent = "?" if line.cores is None else f"{100 * line.cores:.1f}"
    spans.append((f"{percent:>{_CPU}}", f"{strong}{ground}"))
    if c.stacks:
        text = figure(line.stacks).replace(" %", "") if line.stacks.weight else ""
        spans.append((f"{text:>{c.stacks}}", f"{'muted' if is_enough(line.stacks) else 'warning'}{ground}"))
    on = f"text{ground}"
    if c.share:
        filled = [(line.share / scale if scale else 0.0, "user")]
        spans += [("  ", on), *bar(filled, c.share, mono, ground.removeprefix("@"))]
    if c.recent:
        spans += [("  ", on), (_spark(line.recent, c.recent), f"user{ground}")]
    used = sum(cell_len(text) for text, _ in spans)
    spans.append((" " * max(0, c.width - used), on))
    return tuple(spans)


def _spark(values: Sequence[float], width: int) -> str:
    """The last seconds, one cell each, against the highest of them or one core."""
    values = values[-width:]
    top = max((*values, 1.0))
    cells = "".join(LEVELS[min(8, max(1 if v > 0 else 0, round(8 * v / top)))] for v in values)
    return cells.rjust(width)


class ProcessTable(CursorTable):
    """Processes, most CPU first until they are sorted otherwise. The selection follows the process, not the row."""

    KEYS_TITLE = "the process table"
    DEFAULT_CSS = "ProcessTable { height: 8; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "only this process", key_display="enter"),
        Binding("s", "sort", "sort"),
    ]

    class Chosen(Message):
        """A process was chosen: look at it alone."""

        def __init__(self, process: ProcessKey) -> None:
            super().__init__()
            self.process = process

    def __init__(self) -> None:
        super().__init__(id="processes")
        self._every: tuple[ProcessLine, ...] = ()
        self._lines: list[ProcessLine] = []
        self._sort = SORTS[0]
        self._selected: ProcessKey | None = None
        self._filtered: ProcessKey | None = None
        self._recent = True

    def show(self, lines: tuple[ProcessLine, ...], filtered: ProcessKey | None, recent: bool = True) -> None:
        """Show these processes; filtered: the one that alone is looked at. recent: their last seconds are known."""
        self._every, self._filtered, self._recent = lines, filtered, recent
        self._lines = ordered(lines, self.sort)
        self.draw(self._rows_now)

    @property
    def selected(self) -> ProcessLine | None:
        """The process under the cursor."""
        return self._lines[self._index()] if self._lines else None

    def _index(self) -> int:
        return next((i for i, line in enumerate(self._lines) if line.key == self._selected), 0)

    @property
    def sort(self) -> str:
        """What the rows are sorted by: the CPU where the present width lacks the column of what was asked for."""
        return self._sort if self._sort in self._columns.sorts else SORTS[0]

    @property
    def _columns(self) -> Columns:
        numbers = not self._every or any(line.key.pid for line in self._every)
        return Columns(self.size.width, numbers, self._recent)

    def _rows_now(self) -> list[Spans]:
        columns, sort = self._columns, self.sort
        self._lines = ordered(self._every, sort)
        if self.size.height < 2:
            return []
        index = self._index()
        scale = max((line.share for line in self._lines), default=0.0)
        rows = [heading_row(columns, self._filtered, sort)]
        for i in self.in_sight(index, len(self._lines)):
            rows.append(process_row(self._lines[i], columns, i == index, self.has_focus, scale, self.palette.mono))
        return rows

    def action_move(self, by: int) -> None:
        """Select another process."""
        if self._lines:
            self._selected = self._lines[max(0, min(len(self._lines) - 1, self._index() + by))].key
            self.draw(self._rows_now)

    def action_choose(self) -> None:
        """Look at the selected process alone."""
        if self.selected is not None:
            self.post_message(self.Chosen(self.selected.key))

    def action_sort(self) -> None:
        """Sort by the next of SORTS."""
        sorts = self._columns.sorts
        self.sort_by(sorts[(sorts.index(self.sort) + 1) % len(sorts)])

    def sort_by(self, name: str) -> None:
        """Sort by one of SORTS."""
        self._sort = name
        self.draw(self._rows_now)

    def on_click(self, event: Click) -> None:
        """Select, a second click chooses; on a heading, sort by it."""
        index = self._top + event.y - 1
        if event.y == 0:
            here = (one for one in self._columns.titles if one.at <= event.x < one.at + one.width)
            if sort := next((one.sort for one in here), ""):
                self.sort_by(sort)
        elif index < len(self._lines):
            self._selected = self._lines[index].key
            self.draw(self._rows_now)
            if event.chain == 2:
                self.action_choose()
