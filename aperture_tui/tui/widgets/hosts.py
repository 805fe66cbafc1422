"""The list of an aggregator's machines: who pushes, who does not any more, what is lost, what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from aperture_tui.store.remote.link import Fleet, Focus, is_stale
from aperture_tui.tui import figures, wall_clock
from aperture_tui.tui.cells import fit, plain, width_of, wrapped
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.remote import service_words
from aperture_tui.tui.widgets.cursor import CursorTable
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.host_columns import COLUMNS, Now, age, columns
from aperture_tui.tui.widgets.host_lines import SORTS, HostLine, lines
from aperture_tui.tui.widgets.placing import Placed, headings, place, table_row
from aperture_tui.tui.widgets.rows import RowsView

_GROUPED_SORTS: Final = ("name", "hosts", "stale", "last seen", "lost", "events", "problem", "version")
"""What `s` goes through where machines stand together by service."""


def detail_rows(line: HostLine | None, now_ns: int, today_ns: int, width: int, height: int) -> list[Spans]:
    """A row in full: what it is; what is wrong with it. today_ns: what day it is here."""
    if height < 1:
        return []
    blank: list[Spans] = [((" " * width, "text"),)]
    if line is None:
        return blank * height
    if height == 1:
        name = [(f" {plain(line.name)}", "*text"), ("  ", "text")]
        return [exactly([*name, *_wrong(line, now_ns)], width)]
    rows = (_facts(line, today_ns), _wrong(line, now_ns))
    return [exactly([(" ", "text"), *row], width) for row in rows] + blank * (height - 2)


def _facts(line: HostLine, today_ns: int) -> list[Span]:
    facts = [plain(service_words(line.service)) if line.host else f"{line.hosts:,} hosts"]
    facts += [f"Linux {plain(line.kernel)}"] if line.kernel else []
    facts += [f"{line.cpus:,} CPUs"] if line.cpus else []
    facts += [figures.size(line.memory_bytes)] if line.memory_bytes else []
    facts += [f"pushes every {figures.duration(line.interval_ms * 1e6)}"] if line.interval_ms else []
    since = wall_clock.moment(line.first_ns, today_ns)
    facts += [f"{figures.count(line.events)} events since {since}" if since else "no events"]
    spans: list[Span] = [(plain(line.name), "*text")]
    for i, fact in enumerate(facts):
        spans += [("  │ " if i else "  ", "faint"), (fact, "text")]
    return spans


def _wrong(line: HostLine, now_ns: int) -> list[Span]:
    wrong: list[Span] = []
    if line.host and is_stale(line.seen_ns, line.interval_ms, now_ns):
        wrong.append((f"not heard of for {age(line.seen_ns, now_ns)}", "*warning"))
    elif line.stale and not line.host:
        wrong.append((f"{line.stale:,} not heard of any more", "*warning"))
    if line.lost:
        wrong.append((f"lost {figures.count(line.lost)} events", "*error"))
    if line.problem:
        wrong.append((plain(line.problem), "warning"))
    if not wrong:
        return [("nothing is known to be wrong", "muted")]
    return [span for i, one in enumerate(wrong) for span in ([("  │ ", "faint")] if i else []) + [one]]


class HostTable(CursorTable):
    """Machines, or services with their machines below. The selection follows the name, not the row."""

    KEYS_TITLE = "the list of hosts"
    DEFAULT_CSS = "HostTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "look at it", key_display="enter"),
        Binding("o", "group", "by service"),
        Binding("s", "sort", "sort"),
        Binding("right,l", "unfold(True)", "show the hosts of a service", show=False),
        Binding("left,h", "unfold(False)", "hide the hosts of a service", show=False),
    ]

    class Selected(Message):
        """Another row is under the cursor, or the same one has other numbers."""

    class Chosen(Message):
        """Enter or a second click: look at these machines."""

        def __init__(self, focus: Focus) -> None:
            super().__init__()
            self.focus = focus

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(id="hosts")
        self._clock = clock
        self._fleet: Fleet | None = None
        self._came = 0.0
        self._lost = False
        self._second = 0
        self.services = self.stale = 0
        """How many services there are; how many machines are not heard of any more."""
        self._lines: list[HostLine] = []
        self._sort = SORTS[0]
        self._pattern = ""
        self._grouped = False
        self._unfolded: frozenset[str] = frozenset()
        self._chosen: tuple[str, str] | None = None
        self._index = 0
        self._longest: dict[str, int] = {}
        self._words: Span = ("", "muted")

    def show(self, fleet: Fleet) -> None:
        """Show these machines."""
        if fleet is not self._fleet:
            self._fleet, self._came = fleet, self._clock()
            self.services = len({host.service for host in fleet.hosts})
            self._count()
            self._arrange()

    def say(self, words: str, key: str) -> None:
        """What stands in place of the rows while there are none."""
        self._words = words, key
        if not self._lines:
            self.draw(self._rows_now)

    def search(self, pattern: str) -> None:
        """Show those alone that this matches; all of "". It compiles."""
        self._pattern = pattern
        self._arrange()

    @property
    def selected(self) -> HostLine | None:
        """The row under the cursor."""
        return self._lines[self._index] if self._lines else None

    @property
    def fleet(self) -> Fleet | None:
        """The machines, shown or not; None while they are not known."""
        return self._fleet

    @property
    def shown(self) -> int:
        """How many machines match."""
        return sum(line.hosts for line in self._lines if not line.inside)

    @property
    def is_searched(self) -> bool:
        """Whether only those that match are shown."""
        return bool(self._pattern)

    @property
    def now_ns(self) -> int:
        """The aggregator's clock, as far as is known: while it is lost, as it was when it last answered."""
        if self._fleet is None:
            return 0
        return self._fleet.now_ns + (0 if self._lost else round((self._clock() - self._came) * 1e9))

    def tick(self, lost: bool) -> None:
        """Time has passed. lost: who has pushed meanwhile is not known."""
        self._lost = lost
        second = self.now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._count()
            self.redraw()

    # -- for itself

    def _count(self) -> None:
        hosts, now_ns = self._fleet.hosts if self._fleet else (), self.now_ns
        self.stale = sum(is_stale(host.seen_ns, host.interval_ms, now_ns) for host in hosts)

    def _arrange(self) -> None:
        """Put in order, find the cursor's row again, draw."""
        if self._fleet is None:
            return
        self._lines = lines(self._fleet, self._sort, self._pattern, self._grouped, self._unfolded)
        found = (i for i, line in enumerate(self._lines) if (line.host, line.service) == self._chosen)
        gone = 0 if self._chosen is None else max(0, min(self._index, len(self._lines) - 1))
        self._index = next(found, gone)
        names = max((width_of(line.name) for line in self._lines), default=0)
        services = max((width_of(service_words(line.service)) for line in self._lines), default=0)
        self._longest = {"HOST": names, "SERVICE": names + 4 if self._grouped else services}
        self._tell()

    def _tell(self) -> None:
        self.post_message(self.Selected())
        self.draw(self._rows_now)

    def _placed(self) -> tuple[Placed[HostLine, Now], ...]:
        return place(columns(self._grouped, self._longest), self.size.width, self._sort)

    def _rows_now(self) -> list[Spans]:
        width = self.size.width
        if self.size.height < 2:
            return []
        placed, now = self._placed(), Now(self.now_ns, not self.palette.rich)
        rows = [headings(placed, width, self._sort)]
        for i in self.in_sight(self._index, len(self._lines)):
            rows.append(table_row(self._lines[i], placed, width, now, i == self._index, self.has_focus))
        if not self._lines:
            known = self._fleet is not None and bool(self._fleet.hosts)
            words, key = ("no host matches", "muted") if known else self._words
            rows += [((fit(f" {line}", width), key),) for line in wrapped(words, width - 1)]
        return rows

    def _choose(self, index: int) -> None:
        if self._lines:
            self._index = max(0, min(len(self._lines) - 1, index))
            line = self._lines[self._index]
            self._chosen = line.host, line.service
            self._tell()

    def sort_by(self, name: str) -> None:
        """Sort by what a column is called there. Raises ValueError for what none is sorted by."""
        if not any(column.sort == name for column in COLUMNS[self._grouped] if column.sort):
            raise ValueError(f"no column is sorted by {name!r}")
        self._sort = name
        self._arrange()

    # -- keys

    def action_move(self, by: int) -> None:
        """Select another row."""
        self._choose(self._index + by)

    def action_choose(self) -> None:
        """Look at the selected machine, or at those of the selected service."""
        if self.selected is not None:
            self.post_message(self.Chosen(self.selected.focus))

    def action_group(self) -> None:
        """Machines by service, or each by itself. The cursor stays with the service."""
        at = self.selected
        self._grouped = not self._grouped
        if not any(column.sort == self._sort for column in COLUMNS[self._grouped]):
            self._sort = SORTS[0]
        if at is not None and self._grouped and at.service not in self._unfolded:
            self._chosen = "", at.service
        elif at is not None and not at.host and self._fleet is not None:
            first = (line for line in lines(self._fleet, self._sort, self._pattern) if line.service == at.service)
            self._chosen = next(((line.host, line.service) for line in first), None)
        self._arrange()

    def action_sort(self) -> None:
        """Sort by the next of what there is."""
        sorts = _GROUPED_SORTS if self._grouped else SORTS
        at = sorts.index(self._sort) if self._sort in sorts else -1
        self.sort_by(sorts[(at + 1) % len(sorts)])

    def action_unfold(self, unfold: bool) -> None:
        """Show the machines of the selected service below it, or hide them."""
        at = self.selected
        if at is None or not self._grouped:
            return
        self._unfolded = self._unfolded | {at.service} if unfold else self._unfolded - {at.service}
        if not unfold:
            self._chosen = "", at.service
        self._arrange()

    def on_click(self, event: Click) -> None:
        """Select, a second click chooses; on a heading, sort by it."""
        index = self._top + event.y - 1
        if event.y == 0:
            sort = next((p.column.sort for p in self._placed() if p.at <= event.x < p.at + p.width), "")
            if sort:
                self.sort_by(sort)
        elif index < len(self._lines):
            self._choose(index)
            if event.chain == 2:
                self.action_choose()


class HostDetails(RowsView):
    """The selected row in full."""

    DEFAULT_CSS = "HostDetails { height: 2; }"

    def show(self, line: HostLine | None, now_ns: int, today_ns: int) -> None:
        """Say this."""
        self.draw(lambda: detail_rows(line, now_ns, today_ns, self.size.width, self.size.height))
