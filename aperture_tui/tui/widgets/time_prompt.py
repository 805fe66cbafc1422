"""The prompt for a time: what is typed is said in full before it is gone to."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from aperture_tui.profile import times
from aperture_tui.tui.cells import fit
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.wall_clock import moment, passed
from aperture_tui.tui.widgets.rows import RowsView

_LONGEST = 40


def meant(text: str, held: Held) -> int | None:
    """The moment that a text means, Unix nanoseconds; None while nothing is typed. Raises ValueError in words."""
    text = text.strip()
    if not text:
        return None
    try:
        return times.moment(text).resolve(held.end_ns, held.start_ns)
    except (OverflowError, OSError) as error:  # a recording whose times are in no calendar
        raise ValueError("that is in no calendar") from error


def answer(text: str, held: Held, now_ns: int) -> Span:
    """What there is to say of a text: what it means, or why it means nothing."""
    try:
        at = meant(text, held)
    except ValueError as error:
        return f"! {error}", "*error"
    if not held.end_ns:
        return "there is no time to go to: nothing is held", "muted"
    if at is None:
        return "-20m before the end, 14:03, 14:03:20, 2026-01-31T14:03, now is the end", "muted"
    if at < held.start_ns:
        return f"{moment(at, now_ns)} is before the beginning, {moment(held.start_ns, now_ns)}", "warning"
    if at > held.end_ns:
        return f"{moment(at, now_ns)} is after the end, {moment(held.end_ns, now_ns)}", "warning"
    return f"{moment(at, now_ns)}, {passed(held.end_ns - at)} before the end   enter goes there", "text"


class TimeLabel(RowsView):
    """The word before the time."""

    DEFAULT_CSS = "TimeLabel { height: 1; width: 7; }"

    def on_mount(self) -> None:
        """Draw it."""
        self.show_rows([((" go to ", "*accent@bar"),)])


class TimeAnswer(RowsView):
    """The words behind the time."""

    DEFAULT_CSS = "TimeAnswer { height: 1; width: 2fr; }"


class TimeInput(Input):
    """Where the time is typed."""

    KEYS_TITLE = "the time prompt"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.end_go_to", "go nowhere")]


class TimePrompt(Horizontal):
    """The prompt. It goes away when a time is chosen."""

    DEFAULT_CSS = """
    TimePrompt { height: 1; background: $surface; }
    TimePrompt TimeInput, TimePrompt TimeInput:focus {
        border: none; height: 1; padding: 0; width: 1fr; max-width: 26; background: $surface; color: $foreground;
    }
    """

    class Chosen(Message):
        """A moment was chosen, Unix nanoseconds; None: none."""

        def __init__(self, at_ns: int | None) -> None:
            super().__init__()
            self.at_ns = at_ns

    def __init__(self, held: Held, now_ns: int) -> None:
        """held: what can be looked at. now_ns: what day it is."""
        super().__init__(id="go-to")
        self._held, self._now_ns = held, now_ns

    def compose(self) -> ComposeResult:
        """Word, time, words."""
        yield TimeLabel()
        yield TimeInput("", compact=True, max_length=_LONGEST)
        yield TimeAnswer()

    def on_mount(self) -> None:
        """Say what may be typed."""
        self._say("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what it means as far as it is typed."""
        event.stop()
        self._say(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there, if it is a time."""
        event.stop()
        try:
            self.post_message(self.Chosen(meant(event.value, self._held)))
        except ValueError:
            self._say(event.value)

    def _say(self, text: str) -> None:
        said = self.query_one(TimeAnswer)
        words, key = answer(text, self._held, self._now_ns)
        said.draw(lambda: _answer_rows(words, key, said.size.width))


def _answer_rows(words: str, key: str, width: int) -> list[Spans]:
    return [((fit(f" {words}", width), f"{key}@bar"),)]
