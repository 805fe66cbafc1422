"""Moving through time: what the keys of `time_keys` do, and the prompt for a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aperture_tui.tui.screens.base import BaseScreen
from aperture_tui.tui.widgets.time_line import TimeLine
from aperture_tui.tui.widgets.time_prompt import TimeInput, TimePrompt

if TYPE_CHECKING:
    from aperture_tui.tui.looking import Looking
    from aperture_tui.tui.playhead import Playhead


class InTime(BaseScreen):
    """A screen that shows something of a window of time."""

    def look(self, looking: Looking) -> None:
        """Look at something else."""
        self.aperture.look(looking)
        self.show_heading()

    def on_time_line_chosen(self, message: TimeLine.Chosen) -> None:
        """The moment that was clicked at."""
        self.at(self.aperture.looking.time.to(message.at_ns, self.aperture.held))

    def at(self, time: Playhead) -> None:
        """Look at another moment."""
        self.look(replace(self.aperture.looking, time=time))

    def action_freeze(self) -> None:
        """Stop or resume time on the screen; collecting goes on."""
        app = self.aperture
        time = app.looking.time
        shown_ns = app.snapshot.end_ns if app.snapshot else 0
        self.at(time.newest() if app.looking.past else time.frozen(shown_ns))

    def action_play(self) -> None:
        """Let time pass, or stand still."""
        self.at(self.aperture.looking.time.toggled(self.aperture.held))

    def action_step(self, seconds: int) -> None:
        """So many seconds later, or earlier."""
        self.at(self.aperture.looking.time.stepped(seconds, self.aperture.held))

    def action_step_part(self, parts: int) -> None:
        """So many sixtieths of the window later, or earlier."""
        app = self.aperture
        self.at(app.looking.time.stepped(parts * app.looking.window_of(app.held) / 60, app.held))

    def action_beginning(self) -> None:
        """The first that is held."""
        held = self.aperture.held
        self.at(self.aperture.looking.time.to(held.first_ns, held))

    def action_newest(self) -> None:
        """The end of a recording; live, follow the time that passes."""
        self.at(self.aperture.looking.time.newest())

    def action_speed(self, step: int) -> None:
        """Play faster or slower."""
        self.aperture.play_on()
        self.at(self.aperture.looking.time.faster(step))

    async def action_go_to(self) -> None:
        """Type a time."""
        if not self.query(TimePrompt):
            await self.mount(TimePrompt(self.aperture.held, self.aperture.now_ns()), before="#keys")
            self.add_class("-going")
        self.set_focus(self.query_one(TimeInput))

    def action_end_go_to(self) -> None:
        """No other time."""
        for prompt in self.query(TimePrompt):
            self.set_focus(self.main_part)
            prompt.remove()
            self.remove_class("-going")

    def on_time_prompt_chosen(self, message: TimePrompt.Chosen) -> None:
        """The time that was typed."""
        self.action_end_go_to()
        if message.at_ns is not None:
            self.at(self.aperture.looking.time.to(message.at_ns, self.aperture.held))

    def action_window(self, step: int) -> None:
        """A longer or a shorter window."""
        self.look(self.aperture.looking.longer(step, long=self.aperture.remote is not None))
