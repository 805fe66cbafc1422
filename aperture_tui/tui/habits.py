"""What a person has set up, and the part of the app that lives by it: keys, mouse, themes, what was there last time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme

from aperture_tui.tui import mouse
from aperture_tui.tui.driver import forget
from aperture_tui.tui.keymap.keymap import Changes, Keymap
from aperture_tui.tui.keymap.layouts import LAYOUTS
from aperture_tui.tui.look import Look, looks
from aperture_tui.tui.palette import Palette
from aperture_tui.tui.resuming import Sitting, sitting_of
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.keys import live_keys

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.widget import Widget

    from aperture_tui.tui.looking import Looking

_NOTICE_S: Final = 12.0
_NOTICES: Final = 3
"""More of them would hide what is looked at."""


@dataclass(frozen=True)
class Habits:
    """What somebody has set up.

    keys: by the ids of bindings. layout: one of `LAYOUTS`. looks: by name, the shipped ones too; None for
    these alone. ascii: draw with ASCII. marks: kinds of boxes by letters too. window_s: what is looked at first, None
    for all; 0 is what the app says itself. notices: what was wrong, a line each. sitting: what was looked at last time.
    """

    keys: Changes = field(default_factory=dict)
    layout: str = LAYOUTS[0]
    mouse: bool = True
    looks: Mapping[str, Look] | None = None
    ascii: bool = False
    marks: bool = False
    window_s: float | None = 0.0
    notices: tuple[str, ...] = ()
    sitting: Sitting | None = None


class Habitual(App[None]):
    """An app that has habits. Subclasses have what is looked at."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+p", "command_palette", "palette", show=False, priority=True),
        Binding("ctrl+t", "mouse", "mouse on or off", show=False),
    ]
    habits = Habits()
    looking: Looking
    colours: Colours
    """Those of the terminal."""

    def live_with(self, habits: Habits) -> None:
        """Take them over; before anything is on the screen."""
        self.habits = habits
        self._keymap_of_user = Keymap(habits.keys, habits.layout)
        self._keymap_of_user.rebind(self, type(self), type(self))
        if habits.window_s != 0:
            self.looking = replace(self.looking, window_s=habits.window_s)
        if habits.sitting is not None:
            self.looking = habits.sitting.looked_at(self.looking, with_window=habits.window_s == 0)

    def on_mount(self) -> None:
        """Say what was wrong."""
        notices = self.habits.notices
        for line in notices[:_NOTICES]:
            self.notify(line, severity="warning", timeout=_NOTICE_S, markup=False)
        if len(notices) > _NOTICES:
            self.notify(f"{len(notices) - _NOTICES} more: aperture-top --print-config", timeout=_NOTICE_S)

    @property
    def looks(self) -> Mapping[str, Look]:
        """All themes by name, the user's too."""
        return looks() if self.habits.looks is None else self.habits.looks

    def wear(self, chosen: Look) -> None:
        """Begin in this look; any of the others may be changed to."""
        self.palette = self.palette_of(chosen)
        for one in self.looks.values():
            self.register_theme(one.theme(self.colours is not Colours.RGB))
        self.theme = chosen.name

    def palette_of(self, look: Look) -> Palette:
        """The styles of a look, drawn as it is wished for."""
        return Palette(look, self.colours, self.habits.ascii, self.habits.marks)

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Ours alone: Textual's own have no colours for frames and gauges."""
        known = super().available_themes
        return {name: known[name] for name in self.looks if name in known} or known

    @property
    def current_theme(self) -> Theme:
        """Each widget asks several times whether it is dark, and Textual 8.2.8 puts all themes together for that."""
        known = self._registered_themes.get(self.theme)
        return super().current_theme if known is None else known

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        """Give each node the user's keys when it comes in. Textual 8.2.8 has no public place for that."""
        super()._register_child(parent, child, before, after)
        screen = next((node for node in child.ancestors_with_self if isinstance(node, Screen)), child)
        self._keymap_of_user.rebind(child, type(screen), type(self))

    def sitting(self) -> Sitting:
        """What to keep for the next time."""
        return sitting_of(self.looking, self.current_mode, self.theme)

    def action_mouse(self) -> None:
        """The mouse for the app, or for the terminal."""
        on = not mouse.is_on(self._driver)
        if not mouse.switch(self._driver, on):
            self.notify("this terminal's mouse cannot be switched", timeout=2)
            return
        forget(self._driver)
        self.notify("mouse on" if on else "mouse off: text can be selected", timeout=2)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that has a key, and those that lost theirs, then Textual's own."""
        for key in live_keys(screen):
            title = f"{key.does[0].upper()}{key.does[1:]}"
            run = partial(self.run_action, key.action, key.node)
            yield SystemCommand(title, f"{' or '.join(key.keys) or 'no key'}, {key.place}", run)
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Keys"):
                yield command
