"""A small HTTP server in the event loop, for those who watch over an aggregator: few pages, made when asked for.

One request a connection, GET and HEAD, nothing of a body is read. A page is found by its whole name, and nothing is
ever looked for on a disk. What is slow is ended, and of many at once the one that came first makes room.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple

from aperture_tui.fleet.aggregator.refusal import LOG
from aperture_tui.profile.text import clean

PLAIN: Final = "text/plain; charset=utf-8"
MOST_OPEN: Final = 32
MOST_HEAD_BYTES: Final = 8 << 10
_END: Final = b"\r\n\r\n"
_REQUEST: Final = re.compile(rb"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.[01]\r\n")


class Page(NamedTuple):
    """An answer. content: of what kind the body is."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content: str = PLAIN


class Limits(NamedTuple):
    """head_s: until the head of a request is there. whole_s: until the answer is sent and the other side has ended.
    linger_s: how long what it still sends is thrown away, as it would not see the answer otherwise.
    """

    head_s: float = 5.0
    whole_s: float = 20.0
    linger_s: float = 1.0


class _Request(NamedTuple):
    method: str
    path: str


class Pages:
    """Belongs to the event loop's thread. pages: what makes each, by its path."""

    def __init__(self, pages: Mapping[str, Callable[[], Awaitable[Page]]], limits: Limits | None = None) -> None:
        self._pages = pages
        self._limits = limits or Limits()
        self._open: dict[asyncio.Task[None], None] = {}  # the one that came first at the beginning
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def open(self) -> int:
        """Connections that are open."""
        return len(self._open)

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` is then which. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=MOST_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end what is open."""
        if self._server is None:
            return
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_OPEN:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open[task] = None
        task.add_done_callback(partial(self._done, writer))

    def _done(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        """Also of what was cancelled before it began. All that a client was to have is sent by now."""
        self._open.pop(task, None)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._limits.whole_s):
                await self._exchange(reader, writer)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request: _Request | Page
        try:
            async with asyncio.timeout(self._limits.head_s):
                request = _request(await reader.readuntil(_END))
        except TimeoutError:
            request = _said(HTTPStatus.REQUEST_TIMEOUT, f"no whole request within {self._limits.head_s:g} s")
        except asyncio.LimitOverrunError:
            words = f"a head of more than {MOST_HEAD_BYTES:,} bytes"
            request = _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, words)
        page = request if isinstance(request, Page) else await self._page(request)
        body = b"" if isinstance(request, _Request) and request.method == "HEAD" else page.body
        writer.write(_head(page) + body)
        writer.write_eof()
        await _sent(writer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_s):
                while await reader.read(MOST_HEAD_BYTES):
                    pass

    async def _page(self, request: _Request) -> Page:
        make = self._pages.get(request.path)
        if make is None:
            return _said(HTTPStatus.NOT_FOUND, f"there is {', '.join(self._pages)}")
        if request.method not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD alone")
        try:
            return await make()
        except Exception as error:  # a mistake of ours: it is told, and the next one is answered
            LOG.error("%s: %s: %s", request.path, type(error).__name__, clean(str(error)))
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "this page could not be made: the log says why")


def _request(head: bytes) -> _Request | Page:
    found = _REQUEST.match(head)
    if found is None:
        return _said(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1")
    return _Request(found[1].decode("ascii"), found[2].partition(b"?")[0].decode("ascii"))


def _said(status: HTTPStatus, words: str) -> Page:
    return Page(f"{words}\n".encode(), status)


def _head(page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content}",
        f"Content-Length: {len(page.body)}",
        *(["Allow: GET, HEAD"] if page.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _sent(writer: asyncio.StreamWriter) -> None:
    """Until nothing waits here any more: draining returns when there is room for more."""
    writer.transport.set_write_buffer_limits(high=0)
    await writer.drain()
