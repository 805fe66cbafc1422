"""Filters: the programs that decide about events, what they take away, what they cost, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize

from aperture_tui.filters.opening import problem
from aperture_tui.tui import filter_words
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.filter_columns import FilterLine
from aperture_tui.tui.widgets.filter_details import FilterDetails, FilterLog
from aperture_tui.tui.widgets.filters import FilterTable
from aperture_tui.tui.widgets.header import Header, Heading
from aperture_tui.tui.widgets.keys import KeysLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.looking import Looking

_KEPT: Final = ("on or off", "load its file anew")
"""What a narrow line of keys keeps."""


class FiltersScreen(BaseScreen):
    """The chain in order; below it the selected filter in full, and its log."""

    VIEW = ALL["filters"]
    KEYS_TITLE = "the filters"
    AUTO_FOCUS = "FilterTable"
    PARTS = (Header, KeysLine, FilterTable, FilterDetails, FilterLog)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "switch", "on or off"),
        Binding("r", "reload", "load its file anew"),
        Binding("tab", "app.focus_next", "other part"),
        Binding("shift+tab", "app.focus_previous", "other part", show=False),
        Binding("escape,backspace", "back", "back to the list", show=False),
        Binding("exclamation_mark", "app.health", "health in full", show=False, key_display="!"),
    ]

    _shown = ""
    """The filter whose details are shown."""

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Header(id="header")
        yield FilterTable()
        with Container(id="filter"):
            yield FilterDetails(id="filter-details")
            yield FilterLog(id="filter-log")
        yield KeysLine(_KEPT)

    @property
    def table(self) -> FilterTable:
        """The list."""
        return self.query_one(FilterTable)

    @property
    def main_part(self) -> Widget:
        """The list."""
        return self.table

    def request(self, looking: Looking) -> ViewRequest | None:
        """Nothing but how everything is: what filters do is not asked of a store."""
        remote = self.aperture.remote is not None
        return ViewRequest(0, end_ns=looking.time.at_ns, processes=False, fleet=remote)

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Whatever the answer: filters tell of themselves."""
        self.show_filters()

    def show_heading(self) -> None:
        """The header alone."""
        if not self.is_whole:
            return
        app = self.aperture
        heading = Heading(
            app.view_titles,
            self.VIEW.title,
            host=app.title_host if app.remote is None and not app.recording else "",
            pinned=app.pinned,
            starting=words.starting(app.snapshot, app.waited_s, app.recording, app.is_reading),
            filtered=self.filtered,
        )
        self.query_one(Header).show(heading)

    def show_filters(self) -> None:
        """How they stand now."""
        if not self.is_whole:
            return
        self.show_heading()
        filtering = self.aperture.filtering
        state = filtering.state
        if self.has_class("-nothing") is not (state is None):
            self.set_class(state is None, "-nothing")
            self.query_one(KeysLine).show()
        if state is None:
            remote = self.aperture.remote is not None
            starting = filtering.possible and self.aperture.snapshot is None
            none = [("…", "muted")] if starting else filter_words.none(filtering.possible, remote, problem())
            self.table.say(none)
            return
        lines = [FilterLine(one, filtering.of(one.name)) for one in state.filters]
        self.table.show(lines)
        self._make_room(len(lines))
        self._show_selected()

    def _make_room(self, rows: int) -> None:
        """The list takes what it needs, up to half of the screen, and a little more where that is not much."""
        room = self.size.height - 2
        height = min(rows + 1, max(2, room - 3 if self.has_class("-flat") else room // 2))
        if self.table.styles.height is None or self.table.styles.height.value != height:
            self.table.styles.height = height

    def _show_selected(self) -> None:
        line, state = self.table.selected, self.aperture.filtering.state
        if line is None or state is None:
            return
        details, log = self.query_one(FilterDetails), self.query_one(FilterLog)
        if line.state.name != self._shown:
            self._shown = line.state.name
            details.begin()
            log.begin()
        details.show_filter(line, state.limits)
        log.show_lines(line.state.log, line.state.log_suppressed, state.limits)

    def on_resize(self, event: Resize) -> None:
        """The list may have other room."""
        super().on_resize(event)
        self.show_filters()

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there are no filters, or what they judged stands, there is nothing to switch."""
        state = self.aperture.filtering.state
        return action not in ("switch", "reload") or (state is not None and not state.fixed)

    def on_filter_table_selected(self) -> None:
        """Another one."""
        self._show_selected()

    def on_filter_table_chosen(self) -> None:
        """Read of it; where there is little room, of it alone."""
        self.add_class("-reading")
        self.set_focus(self.query_one(FilterDetails))

    def on_filter_table_switched(self) -> None:
        """A click at its switch."""
        self.action_switch()

    def action_back(self) -> None:
        """Out of the export; else to the list."""
        if self.aperture.leave_export():
            return
        self.remove_class("-reading")
        self.set_focus(self.table)

    def action_switch(self) -> None:
        """Switch the selected one on or off."""
        line, state = self.table.selected, self.aperture.filtering.state
        if line is not None and state is not None and not state.fixed:
            self.aperture.filtering.switch(line.state.name, not line.state.on)
            self.show_filters()

    def action_reload(self) -> None:
        """Put to work what the file of the selected one has now."""
        line = self.table.selected
        if line is not None:
            self.aperture.filtering.reload(line.state.name)
            self.show_filters()
