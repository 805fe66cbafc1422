"""One filter in full, and what it says: rows that are read, and scroll. Pure, but for the widgets at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from aperture_tui.tui import figures, wall_clock
from aperture_tui.tui.cells import fit, wrapped
from aperture_tui.tui.filter_words import full_state, if_it_fails
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.rows import RowsView

if TYPE_CHECKING:
    from aperture_tui.filters.log import Line
    from aperture_tui.filters.told import Limits
    from aperture_tui.tui.widgets.filter_columns import FilterLine

_LABEL: Final = 10
_LEVELS: Final = {"ERROR": ("error", "*error"), "WARNING": ("warn", "warning"), "DEBUG": ("debug", "muted")}
_OURS: Final = "aperture: "
"""Before what is said of a filter, not by it."""
_HASH: Final = 16  # digits


def detail_rows(line: FilterLine, limits: Limits, width: int) -> list[Spans]:
    """Everything that is known of a filter, what matters most first; nothing is cut off but at the right."""
    state, program = line.state, line.state.at_work.program
    facts = [("state", *full_state(state))]
    if state.reload_error:
        facts.append(("reload", f"its file has changed, but the old version goes on: {state.reload_error}", "warning"))
    elif state.reloading:
        facts.append(("reload", "its file is being made ready", "accent"))
    facts.append(("events", _events(line), "text"))
    if words := _unjudged(line):
        facts.append(("", words, "warning"))
    facts.append(("cost", _cost(line, limits), "text"))
    facts.append(("config", state.spec.config, "text"))
    facts.append(("tags", ", ".join(program.tags) or "none", "text" if program.tags else "muted"))
    version = f"{program.sha256[:_HASH]}, {figures.size(program.size)}, filter ABI {program.abi}"
    facts.append(("version", version, "text"))
    facts.append(("file", str(state.spec.path), "text"))
    facts.append(("on error", if_it_fails(state), "text"))
    facts.append(("limits", _limits(limits), "muted"))
    return [row for label, text, key in facts for row in _fact(label, text, key, width)]


def _events(line: FilterLine) -> str:
    told = line.told
    parts = [f"{told.events_in:,} in", f"{told.events_out:,} out", f"{told.dropped:,} dropped"]
    if told.events_in and told.dropped:
        parts[-1] += f" ({figures.share(told.dropped, told.events_in)})"
    parts += [f"{told.tagged:,} tagged"] if told.tagged or line.state.at_work.program.tags else []
    parts += [f"{told.weighed:,} given more weight"] if told.weighed else []
    return ", ".join(parts)


def _unjudged(line: FilterLine) -> str:
    told = line.told
    parts = [
        f"{told.unfiltered:,} passed unfiltered" if told.unfiltered else "",
        f"{told.lost:,} lost while it failed" if told.lost else "",
        f"{told.saturated:,} with more weight than fits a record" if told.saturated else "",
    ]
    return ", ".join(filter(None, parts))


def _cost(line: FilterLine, limits: Limits) -> str:
    told, memory = line.told, line.state.at_work.memory_bytes
    each = told.ns_per_event
    parts = [f"{figures.latency(each)} an event" if each is not None else "no event yet", f"{told.calls:,} calls"]
    parts += [f"{told.errors:,} errors" if told.errors != 1 else "1 error"]
    parts += [f"begun anew {told.restarts:,} times"] if told.restarts else []
    parts.append(f"{figures.size(memory)} of {figures.size(limits.memory_bytes)}" if memory else "no memory now")
    return ", ".join(parts)


def _limits(limits: Limits) -> str:
    memory, call = figures.size(limits.memory_bytes), figures.latency(limits.call_ns)
    return f"{memory} of memory, about {call} a call, {limits.log_lines} lines a second in the log"


def _fact(label: str, text: str, key: str, width: int) -> list[Spans]:
    lines = wrapped(text, max(1, width - _LABEL - 1))
    labels = [label, *[""] * (len(lines) - 1)]
    return [
        exactly([(fit(f" {name}", _LABEL), "muted"), (one, key)], width)
        for name, one in zip(labels, lines, strict=True)
    ]


def log_rows(lines: Sequence[Line], width: int) -> list[Spans]:
    """What was said, oldest first: when, how grave, and the words, in as many rows as they need."""
    return [row for line in lines for row in _said(line, width)]


def _said(line: Line, width: int) -> list[Spans]:
    word, key = _LEVELS.get(line.level.name, ("info", "text"))
    head: list[Span] = [(f" {wall_clock.clock(line.time_ns)} ", "muted"), (f"{word:<6}", key)]
    used = sum(len(text) for text, _ in head)
    if width - used < 20:
        head, used = [(" ", key)], 1
    parts = wrapped(f"{_OURS if line.ours else ''}{line.text}", max(1, width - used))
    rest: list[Span] = [(" " * used, key)]
    return [exactly([*(rest if i else head), (part, key)], width) for i, part in enumerate(parts)]


class Reading(RowsView, can_focus=True):
    """A title, and rows below it that scroll by keys and wheel. ENDS: the last are shown, until somebody scrolls up."""

    ENDS: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "read(-1)", "up", show=False),
        Binding("down,j", "read(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "read(-100000)", "first", show=False),
        Binding("end", "read(100000)", "last", show=False),
    ]

    _content: Callable[[int], Sequence[Spans]]
    _title = ""
    _below = 0
    """Rows after the last one that is shown, if ENDS; else _above is kept."""
    _above = 0
    _most = 0

    def show(self, title: str, content: Callable[[int], Sequence[Spans]], more: int = 0) -> None:
        """Show this. content: rows of a width. more: how many of them are new, and below what was there before."""
        self._title, self._content = title, content
        if self._below:
            self._below += more
        self.draw(self._rows_now)

    def begin(self) -> None:
        """It is of something else now: from its beginning, or its end."""
        self._above = self._below = 0

    def _rows_now(self) -> list[Spans]:
        width, room = self.size.width, self.size.height - 1
        if room < 0:
            return []
        rows = self._content(width)
        self._most = max(0, len(rows) - room)
        if self.ENDS:
            self._below = min(self._below, self._most)
            self._above = self._most - self._below
        self._above = min(self._above, self._most)
        shown = rows[self._above : self._above + room]
        return [self._heading(width, len(rows) - self._above - len(shown)), *shown]

    def _heading(self, width: int, below: int) -> Spans:
        hidden = " ".join([f"↑ {self._above}"] * (self._above > 0) + [f"↓ {below}"] * (below > 0))
        right = f" {hidden} " if hidden else ""
        title = fit(f" {self._title}", max(0, width - len(right)))
        return exactly([(title, "*accent@bar" if self.has_focus else "accent@bar"), (right, "muted@bar")], width)

    def on_focus(self) -> None:
        """Show that the keys are here."""
        self.redraw()

    def on_blur(self) -> None:
        """They are not any more."""
        self.redraw()

    def action_read(self, rows: int) -> None:
        """So many rows further down."""
        self._above = max(0, min(self._most, self._above + rows))
        self._below = self._most - self._above
        self.redraw()

    def action_page(self, pages: int) -> None:
        """A page up or down."""
        self.action_read(pages * max(1, self.size.height - 2))

    def on_mouse_scroll_down(self) -> None:
        """Further down."""
        self.action_read(1)

    def on_mouse_scroll_up(self) -> None:
        """Further up."""
        self.action_read(-1)


class FilterDetails(Reading):
    """The selected filter in full."""

    KEYS_TITLE = "the details"

    def show_filter(self, line: FilterLine, limits: Limits) -> None:
        """Show this one."""
        self.show(line.state.name, lambda width: detail_rows(line, limits, width))


class FilterLog(Reading):
    """What the selected filter says, newest last."""

    KEYS_TITLE = "the log"
    ENDS = True

    _lines: tuple[Line, ...] = ()

    def show_lines(self, lines: tuple[Line, ...], suppressed: int, limits: Limits) -> None:
        """Show these. suppressed: how many there were too many of."""
        before = self._lines[-1] if self._lines else None
        new = next((i for i, line in enumerate(reversed(lines)) if line is before), len(lines))
        more = len(log_rows(lines[len(lines) - new :], self.size.width)) if new and self.size.width else 0
        self._lines = lines
        title = "Log"
        if suppressed:
            title += f": {figures.count(suppressed)} lines beyond {limits.log_lines} a second are not here"
        empty: list[Spans] = [((" it has said nothing", "muted"),)]
        self.show(title, lambda width: log_rows(lines, width) or empty, more)

    def begin(self) -> None:
        """Of another filter."""
        super().begin()
        self._lines = ()
