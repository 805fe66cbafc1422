"""Keys in turn: each has gone all the way before the next one is looked at.

Textual hands a key to the widget that has the focus at that moment, and looks up what it does when it has come up
through all parents. Of keys that come at once, as over a slow line or from a script, those behind `/` were looked up
where no key of that name was, and those behind another view found nothing selected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from textual.app import App
from textual.events import Event, Key

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

_WAITING_KEYS: Final = 4096
"""More of them are not kept: nobody types them."""
_PATIENCE_S: Final = 0.3
"""How long one key waits for the one before it: for an answer of a store it may be long."""
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
        if len(self._waiting_keys) < _WAITING_KEYS:
            self._waiting_keys.append(event)
        if self._taking_keys is None or self._taking_keys.done():
            self._taking_keys = asyncio.create_task(self._take_keys())

    async def _take_keys(self) -> None:
        before = ""
        try:
            while self._waiting_keys and self.is_running:
                key = self._waiting_keys.popleft()
                if key.key != before:
                    await self._until_answered()
                before = key.key
                await self._take_key(key)
        except Exception as error:  # as Textual does with one in a handler
            self._handle_exception(error)

    async def _take_key(self, key: Key) -> None:
        """Do what it does, and wait for what comes of that."""
        screen, focused = self.screen, self.focused
        await super().on_event(key)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await _through(focused or screen)
                await _through(self.focused or self.screen)  # what the action has said
                if self.screen is not screen or self.focused is not focused:
                    painted = asyncio.Event()
                    self.call_after_refresh(painted.set)
                    await painted.wait()

    async def _until_answered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while not self.is_answered:
                    await asyncio.sleep(_LOOK_S)


async def _through(pump: MessagePump | None) -> None:
    """Wait until a widget and all above it have done what they have been told so far, one after the other."""
    while pump is not None:
        done = asyncio.Event()
        if pump.call_later(done.set):
            await done.wait()
        pump = pump._parent
