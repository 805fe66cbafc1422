"""The search line: a pattern is typed, what matches is highlighted as it is typed."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from aperture_tui.tui.cells import fit, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.search import LONGEST, Search, compile_search
from aperture_tui.tui.widgets.prompt import Field, Prompt

OF_FRAMES: Final = ("function, module or file", "n next  N previous  esc ends")
"""What is looked for, and the keys that there are then."""


def message_row(
    problem: str, search: Search | None, matching: Span, width: int, hints: tuple[str, str] = OF_FRAMES
) -> Spans:
    """What is to be said about the pattern. matching: how much it matches, and the style of that. hints: as above."""
    if problem:
        return ((fit(f" ! {problem}", width), "*error@bar"),)
    what, keys = hints
    if search is None:
        return ((fit(f" {what}; small letters match both cases", width), "muted@bar"),)
    text, key = matching
    first, *_, last = keys.split("  ")  # last: how to get out of it
    forms = (f" {text}   {keys}", f" {text}  {keys}", f" {text}  {first}  {last}", f" {text}  {last}", f" {text}")
    return ((fit(next((form for form in forms if width_of(form) <= width), forms[-1]), width), f"{key}@bar"),)


class PatternInput(Field):
    """Where the pattern is typed."""

    KEYS_TITLE = "the search line"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.end_search", "end the search")]


class SearchLine(Prompt):
    """The search line. It stays, without the focus, as long as a search is on."""

    LABEL = " /"

    class Changed(Message):
        """Another search; None while nothing is typed. A pattern that does not compile changes nothing."""

        def __init__(self, search: Search | None) -> None:
            super().__init__()
            self.search = search

    class Done(Message):
        """The pattern is complete: back to the icicle."""

    def __init__(self, text: str = "", hints: tuple[str, str] = OF_FRAMES) -> None:
        super().__init__(id="search")
        self._hints = hints
        self._text = text
        self._problem = ""
        self._search: Search | None = None

    def field(self) -> Field:
        """Where the pattern is typed."""
        return PatternInput(self._text, compact=True, select_on_focus=False, max_length=LONGEST)

    @property
    def problem(self) -> str:
        """Why the pattern is not one."""
        return self._problem

    def on_input_changed(self, event: Input.Changed) -> None:
        """Try the pattern as far as it is typed."""
        event.stop()
        try:
            self._search = compile_search(event.value) if event.value else None
        except ValueError as error:
            self._problem = str(error)
        else:
            self._problem = ""
            self.post_message(self.Changed(self._search))
        self.show("…", "muted")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the icicle, if there is something to look for."""
        event.stop()
        if not self._problem:
            self.post_message(self.Done())

    def show(self, matching: str, key: str) -> None:
        """Say how much matches, in this style."""
        self.say(lambda width: message_row(self._problem, self._search, (matching, key), width, self._hints))
