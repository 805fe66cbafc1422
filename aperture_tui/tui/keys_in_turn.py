"""Keys in turn: each has gone all the way before the next one is looked at.

Textual hands a key to the widget that has the focus at that moment, and looks up what it does when it has come up
through all parents. Of keys that come at once, as over a slow line or from a script, those behind `/` were looked up
where no key of that name was, and those behind another view found nothing selected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

from textual.app import App
from textual.events import Event, Key

if TYPE_CHECKING:
    from textual.message_pump import MessagePump
    from textual.screen import Screen
    from textual.widget import Widget

_WAITING_KEYS: Final = 4096
"""More of them are not kept: nobody types them."""
_PATIENCE_S: Final = 0.3
"""How long one key waits for the one before it, as for an answer of a store; if in vain, those behind it do not."""
_INTERRUPT: Final = "ctrl+c"
_LOOK_S: Final = 0.005


class KeysInTurn(App[None]):
    """An app that keys cannot overtake each other in. `is_answered`: subclasses say whether a key's picture is there.

    The same key again does not wait for the picture: of one that is held down only the last one is wanted.
    """

    def __init__(self, *, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._waiting_keys: deque[Key] = deque()
        self._taking_keys: asyncio.Task[None] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the screen shows what the last key asked for, as far as that can be expected."""
        return True

    async def on_event(self, event: Event) -> None:
        """Keys wait for those before them, everything else goes its way."""
        if not isinstance(event, Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if event.key == _INTERRUPT:  # whatever was typed before
            self._waiting_keys.clear()
            await super().on_event(event)
            return
        if len(self._waiting_keys) < _WAITING_KEYS:
            self._waiting_keys.append(event)
        if self._taking_keys is None or self._taking_keys.done():
            self._taking_keys = asyncio.create_task(self._take_keys())

    async def _take_keys(self) -> None:
        before, patient = "", True
        try:
            while self._waiting_keys and self.is_running:
                key = self._waiting_keys.popleft()
                if patient and key.key != before:
                    patient = await _within(self._answered())
                if self._exit:  # meanwhile: what it would be for is being taken down
                    return
                before = key.key
                patient = await self._take_key(key) and patient
        except Exception as error:  # as Textual does with one in a handler
            self._handle_exception(error)

    async def _take_key(self, key: Key) -> bool:
        """Do what it does -> whether that was done in time."""
        screen, focused = self.screen, self.focused
        await super().on_event(key)
        return await _within(self._done(screen, focused))

    async def _done(self, screen: Screen[object], focused: Widget | None) -> None:
        """Wait for what comes of a key. screen, focused: when it came."""
        await _through(focused or screen)
        await _through(self.focused or self.screen)  # what the action has said
        if self.screen is not screen or self.focused is not focused:
            painted = asyncio.Event()
            self.call_after_refresh(painted.set)
            await painted.wait()

    async def _answered(self) -> None:
        while not self.is_answered:
            await asyncio.sleep(_LOOK_S)


async def _within(waiting: Coroutine[None, None, None]) -> bool:
    """Wait, but not long -> whether it came."""
    try:
        await asyncio.wait_for(waiting, _PATIENCE_S)
    except TimeoutError:
        return False
    return True


async def _through(pump: MessagePump | None) -> None:
    """Wait until a widget and all above it have done what they have been told so far, one after the other."""
    while pump is not None:
        done = asyncio.Event()
        if pump.call_later(done.set):
            await done.wait()
        pump = pump._parent
