"""Screens that a filter line narrows: its key, the line while it is typed, and what the header says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from aperture_tui.profile.where import EVERYTHING, OF_MACHINES, AnyTerm, Where, WhereError, parse
from aperture_tui.store.passed import Passed
from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.where_words import chip, known_of
from aperture_tui.tui.widgets.where_line import WhereInput, WhereLine

if TYPE_CHECKING:
    from aperture_tui.store.remote.link import Fleet
    from aperture_tui.tui.widgets.header import Chip


FILTER_KEY: Final = Binding("backslash,f4", "filter", "filter", show=False, key_display="\\", priority=True)
"""Before any other, as that of the search: or what is typed right after it is lost."""


class Filterable(BaseScreen):
    """The line is the same on all of them, and is kept from one to the next."""

    _of_machines: Passed | None = None

    async def action_filter(self) -> None:
        """Type a filter line."""
        app = self.aperture
        if not self.query(WhereLine):
            passed = app.snapshot.passed if app.snapshot is not None else None
            line = WhereLine(app.looking.where, passed, known_of(app.snapshot), app.where_history.lines)
            await self.mount(line, before="#keys")
            self.add_class("-filtering")
        self.set_focus(self.query_one(WhereInput))

    def action_end_filter(self) -> None:
        """Leave the filter as it is."""
        for line in self.query(WhereLine):
            self.set_focus(self.main_part)
            line.remove()
            self.remove_class("-filtering")

    def on_where_line_chosen(self, message: WhereLine.Chosen) -> None:
        """The line that was typed."""
        self._filter_by(message.where)

    def switch_terms(self, *terms: AnyTerm) -> None:
        """What was clicked at: as if these terms were typed into the line, or taken out of it where they are in it."""
        try:
            where = parse(self.aperture.looking.where.switched(terms).text)
        except WhereError as error:
            self.aperture.notify(f"the filter line: {error.problem}", severity="warning", markup=False)
        else:
            self._filter_by(where)

    def _filter_by(self, where: Where) -> None:
        app = self.aperture
        self.action_end_filter()
        if where:
            app.where_history.add(where.text)
            if app.where_history.problem:
                app.notify(f"the history of filter lines is {app.where_history.problem}", timeout=4)
        app.look(app.looking.filtered(where))
        self.show(app.snapshot)

    def where_chip(self, passed: Passed | None) -> Chip:
        """What the header says. passed: how much it lets pass, None while that is not known."""
        return chip(self.aperture.looking.where, self.VIEW.kind, passed, self.size.width)

    # -- of a list of machines

    def narrowed(self, fleet: Fleet) -> Fleet:
        """The machines that the terms about machines let pass."""
        where = self.aperture.looking.where
        hosts = tuple(host for host in fleet.hosts if where.takes(host.name, host.service))
        self._of_machines = Passed(len(hosts), len(fleet.hosts))
        return replace(fleet, hosts=hosts)

    @property
    def leaves_out_all(self) -> bool:
        """Whether there are machines, but none that pass."""
        return self._of_machines is not None and self._of_machines.whole > self._of_machines.shown == 0

    def take_filter_off(self) -> None:
        """Everything again."""
        app = self.aperture
        if app.looking.where:
            app.look(app.looking.filtered(EVERYTHING))
            self.show(app.snapshot)

    def chip_of_machines(self) -> Chip:
        """What the header of such a list says: nothing of terms that are not about machines."""
        where = Where(self.aperture.looking.where.about(OF_MACHINES))
        return chip(where or EVERYTHING, self.VIEW.kind, self._of_machines, self.size.width)
