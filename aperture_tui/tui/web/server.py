"""The server: the door, the page, its socket, its files; nothing without the cookie.

Raises ImportError when it is imported without the extra `web`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from aiohttp import WSCloseCode, WSMsgType, web

from aperture_tui.profile.text import clean
from aperture_tui.tui.web.admission import Admission, is_own_page
from aperture_tui.tui.web.deliveries import Delivery
from aperture_tui.tui.web.page import Page, Source

MOST_PAGES: Final = 8
_AGAIN_S: Final = 0.1
_STOP_S: Final = 1.0
_HEARTBEAT_S: Final = 30.0
"""How often a silent browser is asked whether it is there; it has half of that to answer."""
_MOST_INPUT: Final = 64 << 10
_CHUNK: Final = 64 << 10
_TELL_S: Final = 5.0

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), clipboard-read=()",
    "Cache-Control": "no-store",
}
"""Inline styles are the terminal's own (xterm.js); there is nothing in the page that anybody else could write."""
_OURS: Final = {"page.js": "text/javascript", "page.css": "text/css"}
_THEIRS: Final = {
    "js/textual.js": "text/javascript",
    "css/xterm.css": "text/css",
    "fonts/RobotoMono-VariableFont_wght.ttf": "font/ttf",
}
"""Of textual-serve: the terminal in the browser, which speaks Textual's protocol."""
_KEPT: Final = "private, max-age=86400, immutable"
"""The files are the same for everybody, and until the end of the server they do not change."""
_TERMINAL: Final = files("textual_serve") / "static"
_PAGE: Final = files("aperture_tui.tui.web") / "files"
_NO_ENTRY: Final = "Open the address that aperture-top printed when it began, by pasting it: it has the token.\n"
_FULL: Final = f"\x1b[?25l {MOST_PAGES} pages are open, and there can be no more: close one, and load this one again."


class Server:
    """Serves pages of a source. One loop uses it.

    say: told what happens, in one line.
    """

    def __init__(self, source: Source, admission: Admission, say: Callable[[str], None]) -> None:
        self._source = source
        self._admission = admission
        self._say = say
        self._pages: set[Page] = set()
        self._refused, self._told_at = 0, -_TELL_S
        self._stopping = asyncio.Event()

    async def run(self, sockets: Iterable[socket.socket]) -> None:
        """Serve at these, until `stop`."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=_STOP_S)
        await runner.setup()
        try:
            for one in sockets:
                await web.SockSite(runner, one).start()
            await self._stopping.wait()
        finally:
            await asyncio.gather(*(page.stop(_STOP_S) for page in self._pages))
            await runner.cleanup()

    def stop(self) -> None:
        """End all pages, then the server."""
        self._stopping.set()

    def application(self) -> web.Application:
        """The routes. Nothing but the door is found without knowing where."""
        app = web.Application(middlewares=[self._guard], client_max_size=_CHUNK)
        app.on_response_prepare.append(_harden)
        base = f"/{self._admission.base}"
        app.add_routes(
            [
                web.get("/", self._door),
                web.get(f"{base}/", self._page),
                web.get(f"{base}/ws", self._socket, allow_head=False),
                web.get(f"{base}/files/{{name:.+}}", self._file),
                web.get(f"{base}/download/{{key}}", self._download, allow_head=False),
            ]
        )
        return app

    # -- who may come in

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every request: it must mean this machine, and have the cookie unless it is at the door."""
        if not self._admission.is_here(request.headers.get("Host", "")):
            raise self._refusal(request, "another host's name", "This is not the host that you mean.\n")
        if request.path != "/":
            given = request.cookies.get(self._admission.cookie_name, "")
            if not self._admission.is_cookie(given):
                raise self._refusal(request, "no valid cookie", _NO_ENTRY)
        return await handler(request)

    def _refusal(self, request: web.Request, why: str, words: str) -> web.HTTPForbidden:
        self._refused += 1
        if (now := time.monotonic()) - self._told_at >= _TELL_S:
            more = f", {self._refused} in all" if self._refused > 1 else ""
            self._say(f"refused a request from {clean(str(request.remote))}: {why}{more}")
            self._told_at = now
        return web.HTTPForbidden(text=words)

    async def _door(self, request: web.Request) -> web.StreamResponse:
        """A token for a cookie, and on to the page, so that the token does not stay in the address bar."""
        if not self._admission.is_token(request.query.get("token", "")):
            raise self._refusal(request, "no valid token", _NO_ENTRY)
        base = f"/{self._admission.base}/"
        response = web.Response(status=303, headers={"Location": base})
        response.set_cookie(
            self._admission.cookie_name, self._admission.cookie, path=base, httponly=True, samesite="Strict"
        )
        return response

    # -- the page

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        text = (_PAGE / "page.html").read_text("utf-8")
        return web.Response(text=text, content_type="text/html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """One of those that the page has; no others can be named."""
        name = request.match_info["name"]
        if name in _OURS:
            body = (_PAGE / name).read_bytes()
        elif name in _THEIRS:
            body = (_TERMINAL / name).read_bytes()
        else:
            raise web.HTTPNotFound
        response = web.Response(body=body, content_type=(_OURS | _THEIRS)[name], charset="utf-8")
        response.headers["Cache-Control"] = _KEPT
        response.enable_compression()
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not is_own_page(request.headers.get("Origin", ""), request.headers.get("Host", "")):
            raise self._refusal(request, "a page of another site", "This page may not.\n")
        ws = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, autoping=False, max_msg_size=_MOST_INPUT)
        await ws.prepare(request)
        if len(self._pages) >= MOST_PAGES:
            await ws.send_bytes(_FULL.encode())
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return ws
        loop, something = asyncio.get_running_loop(), asyncio.Event()
        size = _number(request.query.get("width"), 80), _number(request.query.get("height"), 24)
        page = Page(self._source, size, lambda: _wake(loop, something))
        self._pages.add(page)
        page.start()
        sending = asyncio.create_task(_send(ws, page, something))
        try:
            await _receive(ws, page)
        finally:
            sending.cancel()
            await self._end(page)
            await asyncio.gather(sending, return_exceptions=True)
        return ws

    async def _end(self, page: Page) -> None:
        """A page counts until nothing of it is left."""
        await asyncio.shield(page.stop(_STOP_S))
        if not page.has_ended:
            self._say("a page does not end, and keeps its place until it does")
        while not page.has_ended:  # on a busy machine it may not even have begun
            await asyncio.sleep(_AGAIN_S)
        self._pages.discard(page)
        if page.failure:
            self._say(f"a page ended: {page.failure}")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that was exported: once, and only to be saved."""
        key = request.match_info["key"]
        delivery = next((found for page in self._pages if (found := page.deliveries.take(key))), None)
        if delivery is None:
            raise web.HTTPNotFound(text="This file has been fetched, or its page is closed.\n")
        response = web.StreamResponse()
        response.content_type = "application/octet-stream"
        name = quote(clean(delivery.file_name))
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        await response.prepare(request)
        await _write_out(response, delivery)
        return response


async def _write_out(response: web.StreamResponse, delivery: Delivery) -> None:
    """Raises what keeps the file from being read, having told the app: the browser then has a broken download."""
    try:
        while data := await asyncio.to_thread(delivery.read, _CHUNK):
            await response.write(data)
        await response.write_eof()
    except BaseException as error:
        delivery.end(error)
        raise
    delivery.end()


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update({name: words for name, words in _HEADERS.items() if name not in response.headers})
    response.headers.pop("Server", None)


def _wake(loop: asyncio.AbstractEventLoop, something: asyncio.Event) -> None:
    """Any thread."""
    with contextlib.suppress(RuntimeError):  # the server has ended
        loop.call_soon_threadsafe(something.set)


async def _send(ws: web.WebSocketResponse, page: Page, something: asyncio.Event) -> None:
    """What the page has for the browser, until it has ended. Behind each piece of output goes a ping: its number."""
    try:
        while True:
            await something.wait()
            something.clear()
            for message in page.messages():
                await ws.send_str(json.dumps(message))
            while (flight := page.outgoing.take()) is not None:
                await ws.send_bytes(flight.data)
                await ws.ping(b"%d" % flight.number)
            page.catch_up()
            if page.has_ended:
                if page.failure:
                    await ws.send_bytes(f"\x1b[H\x1b[2K {page.failure}".encode("utf-8", "replace"))
                await ws.close()
                return
    except ConnectionError:
        return  # who reads finds out as well


async def _receive(ws: web.WebSocketResponse, page: Page) -> None:
    """What the browser has for the page, until it goes, or says what makes no sense."""
    async for message in ws:
        if message.type is WSMsgType.PONG:
            page.arrived(_number(bytes(message.data).decode("ascii", "replace"), 0))
        elif message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type is not WSMsgType.TEXT or not await _dealt_with(ws, page, message.data):
            await ws.close(code=WSCloseCode.UNSUPPORTED_DATA)
            return


async def _dealt_with(ws: web.WebSocketResponse, page: Page, text: str) -> bool:
    """Whether it was something that pages say."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    match said:
        case ["stdin", str(typed)]:
            await page.feed(typed)
        case ["resize", {"width": int(columns), "height": int(rows)}]:
            await page.resize(columns, rows)
        case ["focus"] | ["blur"]:
            await page.focus(said == ["focus"])
        case ["ping", str(word)]:
            await ws.send_str(json.dumps(["pong", word[:32]]))
        case _:
            return False
    return True


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else otherwise


def serve(source: Source, admission: Admission, sockets: Iterable[socket.socket], on_stop: Callable[..., None]) -> None:
    """Serve until stopped. on_stop: given what stops it; any thread may call that.

    What was imported and made until now stays: no collection of garbage need look at it again.
    """
    import gc

    gc.collect()
    gc.freeze()

    async def run() -> None:
        server = Server(source, admission, lambda words: print(f"aperture-top: {words}", file=sys.stderr, flush=True))
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(server.stop)

        on_stop(stop)
        await server.run(sockets)

    asyncio.run(run())


__all__ = ["MOST_PAGES", "Server", "serve"]
