"""The prompt for a time: what is typed is said in full before it is gone to."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from aperture_tui.profile import times
from aperture_tui.tui.cells import fit
from aperture_tui.tui.palette import Span
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.wall_clock import moment, passed
from aperture_tui.tui.widgets.prompt import Field, Prompt

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


class TimeInput(Field):
    """Where the time is typed."""

    KEYS_TITLE = "the time prompt"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.end_go_to", "go nowhere")]


class TimePrompt(Prompt):
    """The prompt. It goes away when a time is chosen."""

    LABEL = " go to "
    DEFAULT_CSS = "TimePrompt Input, TimePrompt Input:focus { max-width: 26; }"

    class Chosen(Message):
        """A moment was chosen, Unix nanoseconds; None: none."""

        def __init__(self, at_ns: int | None) -> None:
            super().__init__()
            self.at_ns = at_ns

    def __init__(self, held: Held, now_ns: int) -> None:
        """held: what can be looked at. now_ns: what day it is."""
        super().__init__(id="go-to")
        self._held, self._now_ns = held, now_ns

    def field(self) -> Field:
        """Where the time is typed."""
        return TimeInput("", compact=True, max_length=_LONGEST)

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
        words, key = answer(text, self._held, self._now_ns)
        self.say(lambda width: ((fit(f" {words}", width), f"{key}@bar"),))
