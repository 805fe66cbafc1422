"""What the views of calls and of locks share: a table, the histogram of its selected row, and an icicle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import DescendantFocus

from aperture_tui.tui import figures
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import LatencyLine, ViewSnapshot
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.widgets.caption import Caption
from aperture_tui.tui.widgets.details import Details
from aperture_tui.tui.widgets.histogram import HistogramView, bucket_bounds
from aperture_tui.tui.widgets.latencies import ColumnSet, LatencyTable
from aperture_tui.tui.widgets.search import SearchLine

if TYPE_CHECKING:
    from textual.widget import Widget


class LatencyScreen(ViewScreen):
    """The table first; the rest where there is room. Subclasses say what is chosen by enter, and what the stacks are.

    TABLE, COLUMNS: the table and its columns. WORD: what its rows count.
    """

    TABLE: ClassVar[type[LatencyTable]]
    COLUMNS: ClassVar[ColumnSet]
    WORD: ClassVar[str] = ""
    PARTS = (*ViewScreen.PARTS, LatencyTable, HistogramView, Caption)
    AUTO_FOCUS = "LatencyTable"

    def body(self) -> ComposeResult:
        """Table and histogram, icicle."""
        with Container(id="tables"):
            yield self.TABLE(id="latencies")
            yield HistogramView(id="histogram")
        yield Caption(id="caption")
        yield Icicle(self.describe_selection)
        yield FunctionTable(self.describe_selection)

    @property
    def table(self) -> LatencyTable:
        """The table of this view."""
        return self.query_one(LatencyTable)

    @property
    def main_part(self) -> Widget:
        """The table, while there is one."""
        return self.table if self.table.display else self.tree_part

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot."""
        if snapshot is not None and snapshot.request.kind is self.VIEW.kind:
            self._show_table(snapshot)
        super().show(snapshot)

    def _show_table(self, snapshot: ViewSnapshot) -> None:
        told = snapshot.latencies
        empty = not told.lines
        was_empty = self.has_class("-nothing")
        self.set_class(empty, "-nothing")
        self.set_class(not empty and self.has_stacks(snapshot), "-stacks")
        self.call_after_refresh(self.show_crumbs)  # the icicle may have come, or gone
        without = frozenset({"RECENT"} if snapshot.pushed is not None else ())
        if told.lines and not any(line.key.pid for line in told.lines):
            without |= {"PID"}
        shown = told._replace(lines=self._matching(told.lines))
        self.table.show(shown, snapshot.range_ns, self.COLUMNS, without)
        self.query_one(Caption).show(self.caption(snapshot))
        self._show_selected()
        if was_empty and not empty and self.focused in (None, self.icicle):
            self.call_after_refresh(self._focus_main)

    def _focus_main(self) -> None:
        if self.focused in (None, self.icicle):
            self.set_focus(self.main_part)

    def _matching(self, lines: tuple[LatencyLine, ...]) -> tuple[LatencyLine, ...]:
        """Those that match the search; all, if it is of something else."""
        search = self.aperture.looking.search
        return (_matching(lines, search.source) if search else ()) or lines

    def show_matching(self, snapshot: ViewSnapshot) -> None:
        """How many rows match, and how much of the icicle."""
        search, view = self.aperture.looking.search, snapshot.icicle
        if search is None or (view is not None and view.total and view.matching):
            super().show_matching(snapshot)
            return
        found, lines = _matching(snapshot.latencies.lines, search.source), snapshot.latencies.lines
        for line in self.query(SearchLine):
            line.show(f"{len(found)} of {len(lines)} rows match" if found else "no row matches: all are shown", "text")

    def has_stacks(self, snapshot: ViewSnapshot) -> bool:
        """Whether there is an icicle to show."""
        raise NotImplementedError

    def caption(self, snapshot: ViewSnapshot) -> str:
        """What the icicle is of."""
        raise NotImplementedError

    def amount(self, snapshot: ViewSnapshot) -> str:
        """How many there are in the table."""
        told = snapshot.latencies
        known = told.lines or words.is_running(self.VIEW.kind, snapshot)
        cut = f", {told.left_out:,} small rows cut" if told.left_out else ""
        return f"{figures.count(told.total_count) if known else '?'} {self.WORD}{cut}"

    def _show_selected(self) -> None:
        line = self.table.selected
        title = f"{line.key.name} · {line.process.words}" if line else ""
        self.query_one(HistogramView).show(line.told if line else None, title)
        self.describe_selection()

    def describe_selection(self) -> None:
        """The frame under the cursor while the icicle has the focus, else the row."""
        if not self.is_whole or self.has_class("-nothing") or self.focused is self.tree_part:
            super().describe_selection()
            return
        if self.describe_chosen():
            return
        self.query_one(Details).show_line(self.table.selected)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Other keys work now, and something else is described."""
        super().on_descendant_focus(event)
        if self.is_whole:
            self.describe_selection()

    def on_histogram_view_chosen(self, message: HistogramView.Chosen) -> None:
        """What took as long as this alone, or again all."""
        self.switch_terms(*bucket_bounds(message.bucket))

    def on_latency_table_selected(self) -> None:
        """Another row."""
        if self.is_whole:
            self._show_selected()


def _matching(lines: tuple[LatencyLine, ...], pattern: str) -> tuple[LatencyLine, ...]:
    found = re.compile(pattern).search
    return tuple(line for line in lines if found(line.key.name) or found(line.told.process))
