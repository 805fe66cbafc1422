"""The pages over HTTP, and clients that nobody would wish for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest

from aperture_tui.fleet.aggregator.pages import MOST_HEAD_BYTES, MOST_OPEN, Limits, Page, Pages
from tests.fleet.aggregator import over_http

LARGE = b"x" * (4 << 20)


async def hello() -> Page:
    return Page(b"hello\n")


async def large() -> Page:
    return Page(LARGE)


async def broken() -> Page:
    raise RuntimeError("secret\nwords")


@contextlib.asynccontextmanager
async def pages(limits: Limits | None = None) -> AsyncIterator[Pages]:
    made = Pages({"/hello": hello, "/large": large, "/broken": broken}, limits)
    await made.start("127.0.0.1", 0)
    try:
        yield made
    finally:
        await made.stop()


async def get(made: Pages, path: str, method: str = "GET") -> over_http.Answer:
    return await asyncio.to_thread(over_http.get, made.port, path, method)


async def said(made: Pages, request: bytes) -> over_http.Answer:
    return await asyncio.to_thread(over_http.said, made.port, request)


def connected(made: Pages) -> socket.socket:
    return socket.create_connection(("127.0.0.1", made.port), timeout=30)


async def test_a_page_is_got_and_its_head_alone() -> None:
    async with pages() as made:
        found = await get(made, "/hello?what=ever")
        assert (found.status, found.body) == (200, b"hello\n")
        assert found.headers["content-length"] == "6"
        assert found.headers["connection"] == "close"
        head = await get(made, "/hello", "HEAD")
        assert (head.status, head.body, head.headers) == (200, b"", found.headers)
        assert (await get(made, "/large")).body == LARGE


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    async with pages() as made:
        found = await get(made, "/hello", method)
        assert found.status == 405
        assert found.headers["allow"] == "get, head"


@pytest.mark.parametrize(
    "path", ["/", "/hello/", "/Hello", "/hello/../hello", "/../../etc/passwd", "//hello", "/%68ello", "/hello%00"]
)
async def test_a_page_is_found_by_its_whole_name_alone(path: str) -> None:
    async with pages() as made:
        assert (await get(made, path)).status == 404


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"GET /hello HTTP/2.0\r\n\r\n",
        b"GET  /hello HTTP/1.1\r\n\r\n",
        b"GET hello HTTP/1.1\r\n\r\n",
        b"GET /hel\x00lo HTTP/1.1\r\n\r\n",
        b"get /hello HTTP/1.1\r\n\r\n",
        b"GET /h\xc3\xa4llo HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(request_: bytes) -> None:
    async with pages() as made:
        assert (await said(made, request_)).status == 400
        assert (await get(made, "/hello")).status == 200


async def test_a_head_is_limited_and_a_body_is_not_read() -> None:
    async with pages(Limits(whole_s=60, linger_s=60)) as made:
        start = b"GET /hello HTTP/1.1\r\nX: "
        fits = start + b"x" * (MOST_HEAD_BYTES - len(start) - 4) + b"\r\n\r\n"
        assert (await said(made, fits)).status == 200
        assert (await said(made, start + b"x" * 5 * MOST_HEAD_BYTES)).status == 431
        body = b"x" * (32 << 20)  # more than any socket holds
        found = await said(made, b"GET /hello HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (found.status, found.body) == (200, b"hello\n")  # although it never looked at it


async def test_who_says_nothing_is_told_so_and_let_go() -> None:
    async with pages(Limits(head_s=0.05)) as made:
        for words in (b"", b"GET /hello HTT"):
            assert (await said(made, words)).status == 408


async def test_who_reads_nothing_is_let_go() -> None:
    async with pages(Limits(whole_s=0.05)) as made:
        with connected(made) as client:
            client.sendall(b"GET /large HTTP/1.1\r\n\r\n")  # before it is let in: its time has not begun
            async with asyncio.timeout(30):
                while not made.open:
                    await asyncio.sleep(0)
                while made.open:
                    await asyncio.sleep(0)


async def test_of_many_that_say_nothing_the_first_makes_room() -> None:
    async with pages(Limits(head_s=600, whole_s=600)) as made:
        silent: list[socket.socket] = []
        try:
            for _ in range(2 * MOST_OPEN):
                silent.append(await asyncio.to_thread(connected, made))
            for gone in silent[:MOST_OPEN]:
                assert await asyncio.to_thread(gone.recv, 1) == b""
            assert made.open == MOST_OPEN
            assert (await get(made, "/hello")).status == 200
            last = silent[-1]
            await asyncio.to_thread(last.sendall, b"GET /hello HTTP/1.1\r\n\r\n")
            assert (await asyncio.to_thread(over_http.read, last)).status == 200
        finally:
            for one in silent:
                one.close()


async def test_a_mistake_of_ours_is_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with pages() as made:
        found = await get(made, "/broken")
        assert found.status == 500
        assert b"secret" not in found.body
        assert (await get(made, "/hello")).status == 200
    assert r"/broken: RuntimeError: secret\nwords" in caplog.text


async def test_it_ends_although_somebody_is_there() -> None:
    before = asyncio.all_tasks()
    async with pages(Limits(head_s=600, whole_s=600)) as made:
        client = await asyncio.to_thread(connected, made)
        async with asyncio.timeout(30):
            while not made.open:
                await asyncio.sleep(0)
        port = made.port
    with client, contextlib.suppress(ConnectionResetError):
        assert await asyncio.to_thread(client.recv, 1) == b""
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(partial(socket.create_connection, ("127.0.0.1", port), timeout=5))
