"""The table of processes: who uses the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.tui.cells import LEVELS, fit
from aperture_tui.tui.model import ProcessKey, ProcessLine
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.gauges import bar
from aperture_tui.tui.widgets.stacks import figure, is_enough

_PID: Final = 8
_CPU: Final = 8
_THREADS: Final = 5
_SHARE: Final = 12
_RECENT: Final = 10
_STACKS: Final = 8


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


def heading_row(columns: Columns, filtered: ProcessKey | None) -> Spans:
    """The names of the columns."""
    c = columns
    text = f"{'PID' if c.pid == _PID else '':>{c.pid}} {fit('PROCESS', c.name)}"
    text += f" {fit('CONTAINER', c.place)}" if c.place else ""
    text += f" {'THR':>{c.threads}}" if c.threads else ""
    text += f"{'CPU %':>{_CPU}}"
    text += f"{'STACK %':>{c.stacks}}" if c.stacks else ""
    text += f"  {fit('SHARE', c.share)}" if c.share else ""
    text += f"  {fit('RECENT', c.recent)}" if c.recent else ""
    return ((fit(text, c.width), "muted" if filtered is None else "accent"),)


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
    """Processes, most CPU first. The selection follows the process, not the row."""

    KEYS_TITLE = "the process table"
    DEFAULT_CSS = "ProcessTable { height: 8; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "only this process", key_display="enter"),
    ]

    class Chosen(Message):
        """A process was chosen: look at it alone."""

        def __init__(self, process: ProcessKey) -> None:
            super().__init__()
            self.process = process

    def __init__(self) -> None:
        super().__init__(id="processes")
        self._lines: tuple[ProcessLine, ...] = ()
        self._selected: ProcessKey | None = None
        self._filtered: ProcessKey | None = None
        self._recent = True

    def show(self, lines: tuple[ProcessLine, ...], filtered: ProcessKey | None, recent: bool = True) -> None:
        """Show these processes; filtered: the one that alone is looked at. recent: their last seconds are known."""
        self._lines, self._filtered, self._recent = lines, filtered, recent
        self.draw(self._rows_now)

    @property
    def selected(self) -> ProcessLine | None:
        """The process under the cursor."""
        return self._lines[self._index()] if self._lines else None

    def _index(self) -> int:
        return next((i for i, line in enumerate(self._lines) if line.key == self._selected), 0)

    def _rows_now(self) -> list[Spans]:
        width = self.size.width
        if self.size.height < 2:
            return []
        numbers = not self._lines or any(line.key.pid for line in self._lines)
        columns = Columns(width, numbers, self._recent)
        index = self._index()
        scale = max((line.share for line in self._lines), default=0.0)
        rows = [heading_row(columns, self._filtered)]
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

    def on_click(self, event: Click) -> None:
        """Select; a second click chooses."""
        index = self._top + event.y - 1
        if event.y >= 1 and index < len(self._lines):
            self._selected = self._lines[index].key
            self.draw(self._rows_now)
            if event.chain == 2:
                self.action_choose()
