"""One page: an app in a thread of its own, whose terminal is a browser."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from textual._styles_cache import StylesCache

from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.driver import thinned
from aperture_tui.tui.presenter import one_line
from aperture_tui.tui.web.deliveries import Deliveries, Delivery
from aperture_tui.tui.web.driver import PageDriver, driver_of
from aperture_tui.tui.web.outgoing import Outgoing

if TYPE_CHECKING:
    from textual.driver import Driver

_MOST_MESSAGES: Final = 16
_TAKEN_S: Final = 5.0
"""How long one input may take before the next one is read all the same."""
LARGEST: Final = (512, 256)
"""Columns and rows: what a page says of its size is not believed beyond."""

Source = Callable[[], AbstractContextManager[dict[str, Any]]]
"""Gives what one app is told of what it shows, for as long as its page is there."""


class _Running(NamedTuple):
    """An app that takes input, and the loop of its thread."""

    app: PageApp
    driver: PageDriver
    loop: asyncio.AbstractEventLoop


class PageApp(ApertureApp):
    """The app on one page among several of this process."""

    CSS_PATH = "../aperture.tcss"

    def __init__(self, page: Page, **options: Any) -> None:
        self._page = page
        super().__init__(**options)
        # Textual puts its own in the place of the process's streams and takes them away again in the order in which
        # apps end, which is any order here: the streams stay what they are.
        self._capture_stdout = sys.stdout  # type: ignore[assignment]
        self._capture_stderr = sys.stderr  # type: ignore[assignment]

    def get_driver_class(self) -> type[Driver]:
        """This page's, which writes only what differs."""
        return thinned(driver_of(self._page))

    def on_ready(self) -> None:
        """The first picture is there. What was typed before waits for it; and who ends earlier may not end at all."""
        self._page.started(self)

    def settle(self) -> None:
        """Nothing stays for ever: what is frozen of a page would not be freed when it ends."""


class Page:
    """One page. `write`, `open_url`, `deliver` and `started` belong to its own thread, everything else to the server's.

    source: what it shows. size: columns and rows. wake: called in its thread when there is something to send, or it has
    ended. has_ended: whether nothing of it is left. failure: why, in one line; "" if it was asked to.
    """

    def __init__(self, source: Source, size: tuple[int, int], wake: Callable[[], None]) -> None:
        self._source = source
        self._size = sized(*size)
        self._wake = wake
        self._running: Future[_Running] = Future()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._messages: deque[list[Any]] = deque(maxlen=_MOST_MESSAGES)
        self.outgoing = Outgoing()
        self.deliveries = Deliveries()
        self.failure = ""
        self.has_ended = False

    def start(self) -> None:
        """Run the app."""
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._source() as options:
                app = PageApp(self, **options)
                asyncio.run(app.run_async(size=self._size))
                self.failure = app.failure or ("" if app._exception is None else one_line(app._exception))
        except Exception as error:  # of this page alone: the others and the server go on
            self.failure = one_line(error)
        finally:
            self.deliveries.close()
            self._running.cancel()
            # Textual keeps the last thousand of what widgets have drawn by this, those of pages that have ended as well
            StylesCache.get_inner_outer.cache_clear()
            self.has_ended = True
            self._wake()

    # -- in its thread

    def started(self, app: PageApp) -> None:
        """The app takes input."""
        self._running.set_result(_Running(app, cast("PageDriver", app._driver), asyncio.get_running_loop()))
        if self._stopping:
            app.exit()

    def write(self, data: bytes) -> None:
        """Output. Never waits."""
        self.outgoing.put(data)
        self._wake()

    @property
    def waiting(self) -> int:
        """Writes that wait for the browser."""
        return self.outgoing.waiting

    def open_url(self, url: str, new_tab: bool) -> None:
        """Have the browser go there."""
        self._messages.append(["open_url", {"url": url, "new_tab": new_tab}])
        self._wake()

    def deliver(self, delivery: Delivery) -> None:
        """Have the browser fetch a file: it stays on its page, because what comes is to be saved."""
        self.open_url(f"download/{self.deliveries.add(delivery)}", new_tab=False)

    # -- in the server's thread

    async def feed(self, text: str) -> None:
        """What was typed; returns when it has been dealt with, so that no input piles up."""
        await self._do(lambda driver: driver.feed(text))

    async def resize(self, columns: int, rows: int) -> None:
        """Another size."""
        size = sized(columns, rows)
        await self._do(lambda driver: driver.resize(*size))

    async def focus(self, has_focus: bool) -> None:
        """The keyboard is the page's, or not."""
        await self._do(lambda driver: driver.focus(has_focus))

    async def _do(self, work: Callable[[PageDriver], None]) -> None:
        """Once the app takes input. What is too slow is not waited for, and what has ended does nothing."""
        try:
            running = await asyncio.shield(asyncio.wrap_future(self._running))
            await asyncio.wait_for(asyncio.wrap_future(_in_its_loop(running, work)), _TAKEN_S)
        except (asyncio.CancelledError, TimeoutError):
            server = asyncio.current_task()
            if server is not None and server.cancelling():
                raise

    def arrived(self, number: int) -> None:
        """The browser has so many pieces."""
        self.outgoing.arrived(number)
        self._wake()

    def catch_up(self) -> None:
        """A browser that was left behind gets a whole picture, once it has what is on its way."""
        if self.outgoing.wants_whole():
            self._call(lambda app: app.action_redraw())

    def _call(self, work: Callable[[PageApp], None]) -> None:
        """In its loop, if the app is there."""
        if self._running.done() and not self._running.cancelled():
            app, _, loop = self._running.result()
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(work, app)

    def messages(self) -> list[list[Any]]:
        """Those for the browser, once."""
        return [self._messages.popleft() for _ in range(len(self._messages))]

    async def stop(self, timeout_s: float) -> None:
        """End it, and wait for that a while. Its thread cannot keep the process."""
        self._stopping = True
        self._call(lambda app: app.exit())
        now = asyncio.get_running_loop().time
        until = now() + timeout_s
        while not self.has_ended and now() < until:
            await asyncio.sleep(0.01)


def _in_its_loop(running: _Running, work: Callable[[PageDriver], None]) -> Future[None]:
    doing = _doing(running, work)
    try:
        return asyncio.run_coroutine_threadsafe(doing, running.loop)
    except RuntimeError:  # it has just been closed
        doing.close()
        ended: Future[None] = Future()
        ended.cancel()
        return ended


async def _doing(running: _Running, work: Callable[[PageDriver], None]) -> None:
    """When the screen has come to what is asked of it here, it has dealt with the work."""
    work(running.driver)
    await asyncio.sleep(0)  # drivers hand over what they have in the next round
    dealt_with = asyncio.Event()
    if running.app.is_running and running.app.screen.call_later(dealt_with.set):
        await dealt_with.wait()


def sized(columns: int, rows: int) -> tuple[int, int]:
    """A size that can be drawn."""
    return max(1, min(columns, LARGEST[0])), max(1, min(rows, LARGEST[1]))
