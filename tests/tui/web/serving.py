"""A server in this process, and what comes to it as a browser would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp

from aperture_tui.tui.web.admission import Admission
from aperture_tui.tui.web.page import Page
from aperture_tui.tui.web.server import Server
from bench.terminal import VisibleText

PATIENCE_S = 20.0
"""Only there to end a test that has failed."""


class Served:
    """A running server. said: the lines it has told."""

    def __init__(self, server: Server, admission: Admission, port: int, said: list[str]) -> None:
        self.server, self.admission, self.port, self.said = server, admission, port, said
        self.origin = f"http://127.0.0.1:{port}"
        self.base = f"{self.origin}/{admission.base}/"
        self.door = f"{self.origin}/?token={admission.token}"

    @property
    def pages(self) -> list[Page]:
        """Those that are open."""
        return list(self.server._pages)


@contextlib.asynccontextmanager
async def serving(options: Callable[[], dict[str, Any]]) -> AsyncIterator[Served]:
    """A server whose pages are made with these options."""

    @contextlib.contextmanager
    def source() -> Iterator[dict[str, Any]]:
        yield options()

    said: list[str] = []
    admission = Admission.fresh(frozenset({"build-7"}))
    server = Server(source, admission, said.append)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    running = asyncio.create_task(server.run([listening]))
    try:
        yield Served(server, admission, port, said)
    finally:
        server.stop()
        await asyncio.wait_for(running, PATIENCE_S)
        listening.close()


@contextlib.asynccontextmanager
async def entered(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser that has changed the token for a cookie."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(served.door) as response:
            assert response.status == 200
            assert str(response.url) == served.base
        yield session


class Screen:
    """One page as a browser has it. acknowledges: whether it says that it has what it was sent."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._visible = VisibleText()
        self.text = ""
        self.messages: list[Any] = []
        self.unanswered: list[bytes] = []
        self.acknowledges = True
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.text += self._visible.feed(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))
            elif message.type is aiohttp.WSMsgType.PING:
                if self.acknowledges:
                    await self._ws.pong(message.data)
                else:
                    self.unanswered.append(message.data)

    async def see(self, *patterns: str) -> re.Match[str]:
        """Wait for texts, in any order: parts of a picture are drawn as they are ready. -> the last of them.

        What came before they were all there is forgotten.
        """
        found: list[re.Match[str] | None] = []

        def is_there() -> bool:
            found[:] = [re.search(pattern, self.text) for pattern in patterns]
            return None not in found

        await until(is_there, lambda: f"{' and '.join(patterns)} in {self.text[-2000:]}")
        matches = [match for match in found if match is not None]
        self.text = self.text[max(match.end() for match in matches) :]
        return matches[-1]

    async def say(self, *words: Any) -> None:
        """A message of the page."""
        await self._ws.send_str(json.dumps(words))

    async def press(self, keys: str) -> None:
        """As a terminal says it."""
        await self.say("stdin", keys)

    async def answer(self) -> None:
        """From now on say what it has."""
        self.acknowledges = True
        for data in self.unanswered:
            await self._ws.pong(data)

    async def ended(self) -> int | None:
        """Wait for the server to close it -> why."""
        await until(lambda: self._ws.closed, "the end of the page")
        return self._ws.close_code

    async def close(self) -> None:
        """Leave."""
        await self._ws.close()
        await asyncio.gather(self._reading, return_exceptions=True)


@contextlib.asynccontextmanager
async def opened(
    served: Served, session: aiohttp.ClientSession, width: int = 120, height: int = 40
) -> AsyncIterator[Screen]:
    """A page of that browser."""
    ws = await session.ws_connect(
        f"{served.base}ws?width={width}&height={height}",
        headers={"Origin": served.origin},
        autoping=False,
        max_msg_size=0,
    )
    screen = Screen(ws)
    try:
        yield screen
    finally:
        await screen.close()


async def until(holds: Callable[[], bool], what: str | Callable[[], str]) -> None:
    """Wait for something."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while not holds():
        assert loop.time() < end, f"never came: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(0.01)
