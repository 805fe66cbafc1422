"""Hosts: the machines that an aggregator knows, and the way from them to the other screens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from aperture_tui.store.remote.link import LinkState
from aperture_tui.tui.model import Baseline, ViewRequest, ViewSnapshot
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.screens.filterable import FILTER_KEY, Filterable
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.header import Header, Heading
from aperture_tui.tui.widgets.hosts import HostDetails, HostTable
from aperture_tui.tui.widgets.keys import KeysLine
from aperture_tui.tui.widgets.remote_line import RemoteFacts, RemoteLine
from aperture_tui.tui.widgets.search import PatternInput, SearchLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.looking import Looking

_HINTS: Final = ("host, service, version or problem", "enter keeps it  esc ends")


class HostsScreen(Filterable):
    """The list of machines over the whole screen, and the chosen one in full."""

    VIEW = ALL["hosts"]
    AUTO_FOCUS = "HostTable"
    PARTS = (*BaseScreen.PARTS, HostTable, HostDetails)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", priority=True),  # or what is typed right after it is lost
        FILTER_KEY,
        Binding("c", "compare", "compare others with it", show=False),
        Binding("escape,backspace", "end_search", "end the search", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Header(id="header")
        yield RemoteLine()
        yield HostTable()
        yield HostDetails(id="details")
        yield KeysLine()

    def on_mount(self) -> None:
        """The line of the aggregator is always there."""
        self.add_class("-recorded")

    @property
    def table(self) -> HostTable:
        """The list."""
        return self.query_one(HostTable)

    @property
    def main_part(self) -> Widget:
        """The list."""
        return self.table

    def request(self, looking: Looking) -> ViewRequest | None:
        """The machines, whatever is looked at."""
        return ViewRequest(width=0, processes=False, fleet=True)

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot; the machines as they were last, where it has none."""
        if snapshot is not None and snapshot.fleet is not None:
            self.table.show(self.narrowed(snapshot.fleet))
        remote = self.aperture.remote
        name = remote.name if remote is not None else ""
        if snapshot is not None and snapshot.error:
            self.table.say(f"{snapshot.error}; it is tried again", "error")
        elif self.table.fleet is None:
            self.table.say(f"asking {name}", "muted")
        elif self.leaves_out_all:
            self.table.say("no host passes the filter: esc takes it off, \\ changes it", "text")
        else:
            self.table.say(f"no host has pushed anything to {name} yet: aperture agent --remote {name}", "muted")
        self.show_heading()
        self._say_matching()

    def show_heading(self) -> None:
        """The header and the line of the aggregator alone, and how old everything is by now."""
        if not self.is_whole:
            return
        app, table = self.aperture, self.table
        base = app.looking.base
        heading = Heading(
            app.view_titles,
            self.VIEW.title,
            against=focus_words(base.focus) if base is not None and base.at_once else "",
            starting=words.starting(app.snapshot, app.waited_s, reading=app.is_reading),
            where=self.chip_of_machines(),
        )
        self.query_one(Header).show(heading)
        remote = app.remote
        if remote is not None:
            link, (full, brief) = remote.link(), self._counted()
            self.query_one(RemoteLine).show_remote(RemoteFacts(link, remote.name, full, briefly=brief))
            table.tick(lost=link.state is LinkState.LOST)
        self._describe()

    def _counted(self) -> tuple[str, str]:
        """ "1,012 hosts in 34 services, 3 stale", and "1,012 hosts"."""
        fleet = self.table.fleet
        if fleet is None:
            return "hosts", ""
        hosts, services, stale = len(fleet.hosts), self.table.services, self.table.stale
        brief = f"{hosts:,} host{'' if hosts == 1 else 's'}"
        told = f"{brief} in {services:,} service{'' if services == 1 else 's'}"
        return f"{told}, {stale:,} stale" if stale else told, brief

    def _describe(self) -> None:
        self.query_one(HostDetails).show(self.table.selected, self.table.now_ns, self.aperture.now_ns())

    # -- keys

    def on_host_table_selected(self) -> None:
        """Another row."""
        if self.is_whole:
            self._describe()

    def on_host_table_chosen(self, message: HostTable.Chosen) -> None:
        """Look at these machines."""
        self.aperture.look_at(message.focus)

    def action_compare(self) -> None:
        """Compare whatever is looked at with the same time of these machines from here on; or no more, if it is so."""
        app, line = self.aperture, self.table.selected
        if line is not None:
            base = Baseline(0, 0, focus=line.focus)
            app.looking = replace(app.looking, base=None if app.looking.base == base else base)
            self.show_heading()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is typed belongs to the line that has it."""
        return action not in ("search", "filter") or not isinstance(self.focused, Input)

    # -- search

    async def action_search(self) -> None:
        """Type a pattern."""
        if not self.query(SearchLine):
            await self.mount(SearchLine(hints=_HINTS), before="#keys")
            self.add_class("-searching")
        self.set_focus(self.query_one(PatternInput))

    def action_end_search(self) -> None:
        """Out of the export; else all machines again: first of the search, then of the filter."""
        typing = isinstance(self.focused, Input)  # it is of the line that has the keys
        if not typing and self.aperture.leave_export():
            return
        if not self.query(SearchLine) and not self.table.is_searched:
            self.take_filter_off()
        for line in self.query(SearchLine):
            self.set_focus(self.table)
            line.remove()
            self.remove_class("-searching")
        self.table.search("")

    def on_search_line_changed(self, message: SearchLine.Changed) -> None:
        """Those that match, as it is typed."""
        self.table.search(message.search.source if message.search is not None else "")
        self._say_matching()

    def on_search_line_done(self) -> None:
        """Back to the list."""
        if not self.table.is_searched:
            self.action_end_search()
        self.set_focus(self.table)

    def _say_matching(self) -> None:
        fleet = self.table.fleet
        if fleet is not None:
            for line in self.query(SearchLine):
                line.show(f"{self.table.shown:,} of {len(fleet.hosts):,} hosts match", "text")
