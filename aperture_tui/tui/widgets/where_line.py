"""The line in which a filter is typed: with completion, history, and what is wrong while it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from aperture_tui.profile.where import LONGEST, Where, WhereError, parse
from aperture_tui.store.passed import Passed
from aperture_tui.tui.cells import fit
from aperture_tui.tui.where_words import Known, completed, completions, said
from aperture_tui.tui.widgets.prompt import Field, Prompt


class WhereInput(Field):
    """Where the line is typed."""

    KEYS_TITLE = "the filter line"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.end_filter", "give up"),
        Binding("tab", "complete(1)", "complete"),
        Binding("shift+tab", "complete(-1)", "the completion before", show=False),
        Binding("right", "complete_or_move", "complete at the end", show=False),
        Binding("up", "recall(-1)", "the line before"),
        Binding("down", "recall(1)", "the line after", show=False),
    ]

    def __init__(self, text: str, known: Known, history: Sequence[str]) -> None:
        """known: names that values may be. history: lines that were used, oldest first."""
        super().__init__(text, compact=True, select_on_focus=False, max_length=LONGEST)
        self._known = known
        self._lines = [*history, text]
        self._line = len(history)
        self._typed, self._turn, self._given = text, 0, ""

    @property
    def offered(self) -> list[str]:
        """What the last word may become, while the cursor is behind it."""
        return completions(self.value, self._known) if self.cursor_position == len(self.value) else []

    def action_complete(self, step: int) -> None:
        """The first of what is offered, then the others in turn; of one alone what it offers in turn."""
        if self.value != self._given or len(completions(self._typed, self._known)) < 2:
            self._typed, self._turn = self.value, 0 if step > 0 else -1
        else:
            self._turn += step
        self._put(completed(self._typed, self._known, self._turn))
        self._given = self.value

    def action_complete_or_move(self) -> None:
        """At the end of the line complete it, else go to the right."""
        if self.offered:
            self.action_complete(1)
        else:
            self.action_cursor_right()

    def action_recall(self, step: int) -> None:
        """A line that was used before, or after, and in the end what was being typed."""
        if self._line == len(self._lines) - 1:
            self._lines[-1] = self.value
        self._line = max(0, min(len(self._lines) - 1, self._line + step))
        self._put(self._lines[self._line])

    def _put(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)


class WhereLine(Prompt):
    """The line. It goes away when it is applied or given up."""

    LABEL = " \\ "
    DEFAULT_CSS = """
    WhereLine Input, WhereLine Input:focus { width: 1fr; max-width: 60; }
    WhereLine Said { width: 1fr; }
    """

    class Chosen(Message):
        """The line that was typed; an empty one lets everything pass."""

        def __init__(self, where: Where) -> None:
            super().__init__()
            self.where = where

    def __init__(self, where: Where, passed: Passed | None, known: Known, history: Sequence[str]) -> None:
        """where, passed: what filters now, and how much it lets pass."""
        super().__init__(id="where")
        self._where, self._passed = where, passed
        self._known, self._history = known, history

    def field(self) -> Field:
        """Where the line is typed."""
        return WhereInput(self._where.text, self._known, self._history)

    def on_mount(self) -> None:
        """Say what may be typed."""
        self._say(self._where.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what it means as far as it is typed."""
        event.stop()
        self._say(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Apply it, if it can be read."""
        event.stop()
        try:
            self.post_message(self.Chosen(parse(event.value)))
        except WhereError as error:
            self._show(f"! at {error.place + 1}: {error.problem}", "*error")

    def _say(self, text: str) -> None:
        is_on = text == self._where.text
        self._show(*said(text, completions(text, self._known) if not is_on else [], self._passed, is_on))

    def _show(self, words: str, key: str) -> None:
        self.say(lambda width: ((fit(f" {words}", width), f"{key}@bar"),))
