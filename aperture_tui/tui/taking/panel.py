"""The panel for exports: formats, a name, how it goes. It stands over the view, whose time goes on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Input

from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, wrapped
from aperture_tui.tui.taking.job import State
from aperture_tui.tui.taking.names import target, with_suffix
from aperture_tui.tui.widgets.prompt import Field, Label
from aperture_tui.tui.widgets.rows import RowsView

if TYPE_CHECKING:
    from aperture_tui.tui.palette import Spans
    from aperture_tui.tui.taking.job import Progress
    from aperture_tui.tui.taking.subject import Choice

_LOOK_S: Final = 0.1
_NAME: Final = 12
"""Cells of a format's name."""
_OTHERS: Final = 3
"""Rows of a screen that the panel leaves: the header, something to look at, the keys."""
_SAID: Final = 3
"""Rows at most that say how it went."""
_LONGEST: Final = 1000


def format_row(choice: Choice, width: int, selected: bool, focused: bool) -> Spans:
    """One format; what there is none of is marked, and says what mends it."""
    ground = "@cursor" if selected and focused else "@bar"
    mark, name = "›" if selected else " ", fit(choice.form.name, _NAME)
    if choice.problem:
        return ((fit(f"{mark}× {name} {choice.problem}", width), f"muted{ground}"),)
    what = fit(choice.what, max(0, width - _NAME - 4))
    return ((fit(f"{mark}  ", 3), f"text{ground}"), (name, f"*text{ground}"), (f" {what}", f"text{ground}"))


def progress_words(progress: Progress, seconds: float, path: Path, opening: str) -> tuple[str, str]:
    """How an export goes: the words, and the key of their colour. opening: of a format."""
    match progress.state:
        case State.WORKING:
            share = f" {100 * progress.share:.0f} %" if progress.share else ""
            return f"{progress.words}{share}, {seconds:.0f} s; esc cancels", "accent"
        case State.DONE:
            near = path.name if str(path.parent) == os.getcwd() else str(path)
            then = opening.format(file=shlex.quote(near))
            lacks = f"; ! {progress.lacks[0]}" if progress.lacks else ""
            return f"{figures.size(progress.size)} written: {path}; {then}{lacks}", "*good"
        case State.EXISTS:
            return f"it exists: enter again replaces {path.name}, or type another name", "*warning"
        case State.FAILED:
            return f"! {progress.words}", "*error"
    return "cancelled: nothing was written", "warning"


class FormatList(RowsView, can_focus=True):
    """The formats, one of them under the cursor."""

    KEYS_TITLE = "the formats"
    DEFAULT_CSS = "FormatList { height: 1; width: 100%; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("home", "move(-100)", "first", show=False),
        Binding("end", "move(100)", "last", show=False),
    ]

    class Chosen(Message):
        """A second click: write it."""

    def __init__(self, choices: Sequence[Choice], at: int, selected: Callable[[], None]) -> None:
        """selected: called when another format is under the cursor. A call and not a message: keys that were pressed
        right after it are of that format.
        """
        super().__init__()
        self.choices = choices
        self.at = at
        self._tell_selected = selected
        self._top = 0

    def show(self, choices: Sequence[Choice]) -> None:
        """What there is of each may have changed."""
        self.choices = choices
        self.draw(self._rows_now)

    @property
    def selected(self) -> Choice:
        """The format under the cursor."""
        return self.choices[self.at]

    def _rows_now(self) -> list[Spans]:
        room = max(1, self.size.height)
        self._top = max(min(self._top, self.at), self.at - room + 1)
        shown = range(self._top, min(len(self.choices), self._top + room))
        return [format_row(self.choices[i], self.size.width, i == self.at, self.has_focus) for i in shown]

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the cursor, or hide it."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def action_move(self, by: int) -> None:
        """Put the cursor so many rows further down."""
        self.at = max(0, min(len(self.choices) - 1, self.at + by))
        self.redraw()
        self._tell_selected()

    def on_click(self, event: Click) -> None:
        """Select; a second click writes."""
        self.action_move(self._top + event.y - self.at)
        if event.chain == 2:
            self.post_message(self.Chosen())

    def on_mouse_scroll_down(self) -> None:
        """A row further down."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """A row further up."""
        self.action_move(-1)


class NameInput(Field):
    """Where the name is typed."""

    KEYS_TITLE = "the name of the file"


class Line(RowsView):
    """Rows of words."""

    DEFAULT_CSS = "Line { height: 1; width: 100%; background: $surface; }"


class ExportPanel(Container):
    """The panel. It asks for an export, and shows how that goes; whoever mounts it does it.

    offered: what there is to export now: words for it, and the formats. name: of a file, for a suffix.
    """

    KEYS_TITLE = "the export panel"
    DEFAULT_CSS = """
    ExportPanel { layer: above; dock: bottom; height: auto; margin: 0 0 1 0; background: $surface; }
    ExportPanel Horizontal { height: 1; background: $surface; }
    ExportPanel Input, ExportPanel Input:focus {
        border: none; height: 1; padding: 0; width: 1fr; background: $surface; color: $foreground;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "write", "write it", key_display="enter"),
        Binding("escape", "leave", "close or cancel", key_display="esc"),
        Binding("tab,shift+tab", "other_part", "format or name", show=False),
    ]

    class Wanted(Message):
        """Write this."""

        def __init__(self, choice: Choice, path: Path, replace: bool) -> None:
            super().__init__()
            self.choice, self.path, self.replace = choice, path, replace

    class Cancelled(Message):
        """Not any more."""

    class Left(Message):
        """The panel has nothing to do any more."""

    def __init__(
        self, offered: Callable[[], tuple[str, Sequence[Choice]]], name: Callable[[str], str], first: str = ""
    ) -> None:
        """first: the format under the cursor, "" for the first that there is."""
        super().__init__(id="export")
        self._offered, self._named = offered, name
        _, choices = offered()
        able = [i for i, one in enumerate(choices) if not one.problem]
        at = next((i for i in able if choices[i].form.name == first), able[0])
        self._list = FormatList(choices, at, self._format_selected)
        self._suffix = choices[at].form.suffix
        self._input = NameInput(name(self._suffix), compact=True, select_on_focus=False, max_length=_LONGEST)
        self._title, self._said = Line(), Line()
        self._watch: Callable[[], tuple[Progress, float, Path]] | None = None
        self._state: State | None = None
        self._refused: Path | None = None
        self._words = "", "muted"
        self._opening = ""
        self._typed = self._auto = self._input.value

    def compose(self) -> ComposeResult:
        """What is exported; the formats; the name; how it goes."""
        yield self._title
        yield self._list
        with Horizontal():
            yield Label(" file ")
            yield self._input
        yield self._said

    def on_mount(self) -> None:
        """Follow what is looked at."""
        self.set_interval(_LOOK_S * 5, self._show)
        self._polling = self.set_interval(_LOOK_S, self._look, pause=True)
        self._list.focus()
        self._show()
        self._hint()

    def on_resize(self, _event: Resize) -> None:
        """There is other room."""
        self._say(*self._words)

    def _make_room(self, said: int = 1) -> None:
        """Of what the words leave the formats get what they need."""
        room = max(1, min(len(self._list.choices), self.screen.size.height - _OTHERS - 2 - said))
        self._said.styles.height, self._list.styles.height = said, room

    def _show(self) -> None:
        """What is exported, as long as nothing is being exported."""
        if self._state is not None:
            return
        words, choices = self._offered()
        if self._input.value == self._auto and not self._input.has_focus:
            self._set_name(self._named(self._suffix))
        self._title.draw(lambda: [((fit(f" Export {words}", self._title.size.width), "*accent@bar"),)])
        self._list.show(choices)

    def _set_name(self, name: str, own: bool = False) -> None:
        """Another name in the field. own: somebody has typed it, or a part of it; else it follows what is exported."""
        self._auto = self._auto if own else name
        self._typed = self._input.value = name

    def _say(self, words: str, key: str) -> None:
        self._words = words, key
        width = max(1, self.size.width - 2)
        lines = wrapped(words, width)
        lines = [*lines[: _SAID - 1], " ".join(lines[_SAID - 1 :])] if len(lines) > _SAID else lines
        self._make_room(len(lines))
        self._said.draw(lambda: [((fit(f" {line}", width + 2), f"{key}@bar"),) for line in lines])

    def _hint(self) -> None:
        problem = self._list.selected.problem
        if problem:
            self._say(f"! {problem}", "warning")
        else:
            self._say("enter writes, tab: name, esc closes", "muted")

    # -- an export

    def follow(self, watch: Callable[[], tuple[Progress, float, Path]]) -> None:
        """Show how an export goes. watch: how it stands, the seconds that it took, its file."""
        self._watch = watch
        self._polling.resume()
        self._look()

    def take_focus(self) -> None:
        """Have the keys again."""
        self._list.focus()

    def refuse(self, words: str) -> None:
        """Say why there is none."""
        self._state = None
        self._say(f"! {words}", "*error")

    def _look(self) -> None:
        if self._watch is None:
            return
        progress, seconds, path = self._watch()
        self._state = progress.state
        self._say(*progress_words(progress, seconds, path, self._opening))
        if progress.state is not State.WORKING:
            self._polling.pause()
            self._refused = path if progress.state is State.EXISTS else None

    def _again(self) -> None:
        """Choose anew, after one."""
        if self._state is not State.WORKING:
            self._state = self._watch = self._refused = None
            self._show()
            self._hint()

    def _format_selected(self) -> None:
        """Another format: the name ends as its files do."""
        suffix = self._list.selected.form.suffix
        own = self._input.value != self._auto
        self._set_name(with_suffix(self._input.value, self._suffix, suffix), own)
        self._suffix = suffix
        self._again()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another name."""
        event.stop()
        if self._input.value != self._typed:  # the word of what was set here comes later than the keys behind it
            self._typed = self._input.value
            self._again()

    def on_format_list_chosen(self, event: FormatList.Chosen) -> None:
        """This one."""
        event.stop()
        self.action_write()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name is right."""
        event.stop()
        self.action_write()

    def action_write(self) -> None:
        """Write it; once it is written, close."""
        if self._state is State.WORKING:
            return
        if self._state is State.DONE:
            self.post_message(self.Left())
            return
        self._show()  # what is looked at may be something else since the last time
        choice = self._list.selected
        if choice.problem:
            self._hint()
            return
        try:
            path = target(self._input.value)
        except ValueError as error:
            self.refuse(str(error))
            return
        self._opening, self._state = choice.form.opening, State.WORKING
        self.post_message(self.Wanted(choice, path, replace=path == self._refused))

    def action_other_part(self) -> None:
        """From the formats to the name, and back."""
        (self._list if self._input.has_focus else self._input).focus()

    def action_leave(self) -> None:
        """End the export that is at work; else close."""
        self.post_message(self.Cancelled() if self._state is State.WORKING else self.Left())
