"""What the app takes for its terminal: a page in a browser, by the protocol of Textual's own web driver.

What a page is sent: output as binary messages, and `["open_url", {"url": …, "new_tab": …}]`. What it sends:
`["stdin", text]`, `["resize", {"width": …, "height": …}]`, `["focus"]`, `["blur"]`, `["ping", text]`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, Literal, Protocol, TextIO

from textual import events
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.geometry import Size

from aperture_tui.tui.line import Line

if TYPE_CHECKING:
    from textual.app import App

    from aperture_tui.tui.web.deliveries import Delivery

_ESCAPE: Final = "\x1b"
"""Alone in a message it is the key: a page sends all that one key says in one message, so Alt and a key as well. How
soon the next message comes says nothing, for a network and a busy app bring them late and together.
"""
_ESCAPE_S: Final = 0.12
"""When an escape at the end of a longer message was the key: a little after Textual's ESCDELAY."""
_BACKLOG: Final = 3
"""Writes that may wait for a browser without its being behind."""
_BEGIN: Final = (
    "\x1b[?1049h"  # the alternate screen
    "\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h"  # the mouse, all of it, by SGR
    "\x1b[?25l"  # no cursor
    "\x1b[?2004h"  # pasted text is marked
    "\x1b[?2026$p"  # asks whether pictures can be synchronized
)


class Browser(Protocol):
    """Where a driver writes to."""

    def write(self, data: bytes) -> None:
        """Output. Never waits."""
        ...

    def open_url(self, url: str, new_tab: bool) -> None:
        """Have the browser go there."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Have the browser fetch a file."""
        ...

    @property
    def waiting(self) -> int:
        """Writes that wait."""
        ...


class _PageLine(Line):
    """The line to a browser: what waits for it here is known as well."""

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser

    @property
    def is_behind(self) -> bool:
        """Whether one more picture would only wait."""
        return self._browser.waiting >= _BACKLOG or super().is_behind


class PageDriver(Driver):
    """One page. Everything happens in the thread of its app. browser: set by `driver_of`."""

    browser: ClassVar[Browser]

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._parser = XTermParser(debug)

    @property
    def is_web(self) -> bool:
        """Files go to the browser, not to the disk of this machine."""
        return True

    def made_line(self) -> Line:
        """The line to the browser."""
        return _PageLine(self.browser)

    def write(self, data: str) -> None:
        """Output."""
        if data:
            self.browser.write(data.encode("utf-8", "replace"))

    def start_application_mode(self) -> None:
        """Take the page."""
        self.write(_BEGIN)
        self.resize(*(self._size or (80, 24)))

    def disable_input(self) -> None:
        """Nothing to be done: who reads from the browser ends with the app."""

    def stop_application_mode(self) -> None:
        """Leave the last picture on the page."""

    # -- from the browser

    def feed(self, text: str) -> None:
        """What was typed or done with the mouse, as a terminal says it."""
        if text == _ESCAPE:
            self.process_message(events.Key("escape", _ESCAPE))
            return
        self._process(self._parser.feed(text))
        asyncio.get_running_loop().call_later(_ESCAPE_S, lambda: self._process(self._parser.tick()))

    def _process(self, found: Any) -> None:
        for message in found:
            self.process_message(message)

    def resize(self, columns: int, rows: int) -> None:
        """The page has another size."""
        self._size = columns, rows
        size = Size(columns, rows)
        self.send_message(events.Resize(size, size))

    def focus(self, has_focus: bool) -> None:
        """The page has the keyboard, or not."""
        self.send_message(events.AppFocus() if has_focus else events.AppBlur())

    # -- to the browser

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """In the browser; never one on this machine."""
        if url.startswith(("http://", "https://")):
            self.browser.open_url(url, new_tab)

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",  # never opened: it would be our page
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """A file for the browser."""
        from aperture_tui.tui.web.deliveries import Delivery

        self.browser.deliver(
            Delivery(binary, save_path.name, mime_type or "", encoding or "utf-8", self._app, delivery_key, name)
        )


def driver_of(browser: Browser) -> type[PageDriver]:
    """The driver of this page."""
    return type("PageDriver", (PageDriver,), {"browser": browser})
