"""What the app knows of each of its screens: that it asks for something, and shows the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.binding import BindingType
from textual.events import DescendantFocus, Resize
from textual.screen import Screen

from aperture_tui.tui import filter_words
from aperture_tui.tui.driver import forget
from aperture_tui.tui.terminal import SMALLEST
from aperture_tui.tui.widgets.header import Chip, Header
from aperture_tui.tui.widgets.keys import KeysLine
from aperture_tui.tui.widgets.rows import RowsView
from aperture_tui.tui.widgets.time_line import TimeLine

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.tui.app import ApertureApp
    from aperture_tui.tui.looking import Looking
    from aperture_tui.tui.model import ViewRequest, ViewSnapshot
    from aperture_tui.tui.views import View

_WIDTHS: Final = [(0, "-no-room"), (SMALLEST[0], "-narrow"), (80, "-normal"), (140, "-wide")]
_HEIGHTS: Final = [(0, "-no-lines"), (SMALLEST[1], "-flat"), (14, "-short"), (20, "-medium"), (32, "-tall")]
"""Classes that the screen has from so many columns and rows on."""
_TIME_LINE_FROM: Final = 8
"""Rows."""


class BaseScreen(Screen[None], inherit_bindings=False):
    """A screen below a header, over a line of keys. Subclasses say which view they are.

    PARTS: the widgets without which it is not whole.
    """

    VIEW: ClassVar[View]
    PARTS: ClassVar[tuple[type[Widget], ...]] = (Header, TimeLine, KeysLine)
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Widget] = []

    @property
    def aperture(self) -> ApertureApp:
        """The app."""
        return cast("ApertureApp", self.app)

    @property
    def is_whole(self) -> bool:
        """Whether all its parts are there: an answer may come before the first and after the last moment of that."""
        if not self.is_running:
            return False
        if len(self._parts) == len(self.PARTS) and all(part.is_attached for part in self._parts):
            return True  # to look for them is slow, and each answer asks
        self._parts = [found.first() for part in self.PARTS if (found := self.query(part))]
        return len(self._parts) == len(self.PARTS)

    @property
    def filtered(self) -> Chip:
        """What filters do to what is shown, for the header."""
        app = self.aperture
        if app.filtering.state is not None:
            return filter_words.chip(app.filtering.state, app.filtering.pace.dropped)
        ours = not app.recording and app.remote is None
        health = app.snapshot.health if app.snapshot is not None and not ours else ()
        return filter_words.chip_of_others(health, agents=app.remote is not None)

    @classmethod
    def needs(cls) -> frozenset[str]:
        """The collectors that it shows something of."""
        return frozenset()

    @property
    def main_part(self) -> Widget:
        """What has the focus when nothing else has a reason to."""
        raise NotImplementedError

    def request(self, looking: Looking) -> ViewRequest | None:
        """What to ask for, to show what is looked at; None while that is not known."""
        raise NotImplementedError

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot; None: nothing came yet."""
        raise NotImplementedError

    def show_heading(self) -> None:
        """The header and the line of time alone, as when only a key was pressed."""
        raise NotImplementedError

    def on_resize(self, event: Resize) -> None:
        """Where the line of time would leave no room for anything else, the header says the time.

        What was drawn in a size that the terminal no longer had stands nobody knows where.
        """
        forget(self.aperture._driver)
        self.set_class(event.size.height < _TIME_LINE_FROM, "-tiny")
        self.show_heading()
        self.call_after_refresh(self._take_focus)

    def _take_focus(self) -> None:
        """What has no room loses the focus; once there is room again, keys must be listened to."""
        if self.is_whole and self.focused is None and self.main_part.focusable:
            self.set_focus(self.main_part)

    def on_screen_resume(self) -> None:
        """Another view was shown before: what it changed, colours too, holds here as well.

        Whoever leaves at once comes here with a screen that gets no parts any more.
        """
        if not self.is_whole:
            return
        self.repaint_all()
        self.query_one(KeysLine).show()
        self.show(self.aperture.snapshot)
        self.aperture.ask()

    def repaint_all(self) -> None:
        """Draw in other colours."""
        for rows in self.query(RowsView):
            rows.repaint_all()

    def on_header_chosen(self, message: Header.Chosen) -> None:
        """Another view, as its key would."""
        self.aperture.action_numbered(message.number)

    def on_descendant_focus(self, _event: DescendantFocus) -> None:
        """Other keys work now."""
        if self.is_whole:
            self.query_one(KeysLine).show()
