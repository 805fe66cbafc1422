"""A line to type in: a word before it, and words behind that say what was typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.widgets import Input

from aperture_tui.tui.cells import width_of
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.widgets.rows import RowsView


class Label(RowsView):
    """The word before what is typed."""

    DEFAULT_CSS = "Label { height: 1; }"

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word
        self.styles.width = width_of(word)

    def on_mount(self) -> None:
        """Draw it."""
        self.show_rows([((self._word, "*accent@bar"),)])


class Said(RowsView):
    """The words behind what is typed."""

    DEFAULT_CSS = "Said { height: 1; width: 2fr; }"


class Field(Input):
    """Where it is typed. The cursor stands still: one that blinks is two pictures a second, over SSH as well."""

    cursor_blink = reactive(False, init=False)


class Prompt(Horizontal):
    """The line. Subclasses say what stands before it, and answer the messages of their `field`."""

    LABEL: ClassVar[str] = ""
    DEFAULT_CSS = """
    Prompt { height: 1; background: $surface; }
    Prompt Input, Prompt Input:focus {
        border: none; height: 1; padding: 0; width: 1fr; max-width: 30; background: $surface; color: $foreground;
    }
    """

    def field(self) -> Field:
        """Where it is typed."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Word, field, words."""
        yield Label(self.LABEL)
        yield self.field()
        yield Said()

    def say(self, row: Callable[[int], Spans]) -> None:
        """Say this behind it. row: of a width in cells."""
        said = self.query_one(Said)
        said.draw(lambda: [row(said.size.width)])
