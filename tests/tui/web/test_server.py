"""The server as a browser meets it, and as whoever should not come in does."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from aperture_tui.profile.kinds import Kind
from aperture_tui.store.base import Store
from aperture_tui.tui.driver import line_of
from aperture_tui.tui.web.page import LARGEST, Page
from aperture_tui.tui.web.server import MOST_PAGES
from aperture_tui.tui.web.shared import shared
from aperture_tui.tui.web.wants import Wants
from tests.tui.synthetic import SyntheticStore
from tests.tui.web.serving import Served, entered, opened, serving, until

pytest.importorskip("textual_serve", reason="no textual-serve: pip install 'aperture-tui[web]'")


def over(store: Store | None = None, **more: Any) -> Callable[[], dict[str, Any]]:
    """Pages over one store."""
    one = shared(store or SyntheticStore())  # type: ignore[arg-type]
    return lambda: {"connect": lambda: one, "title_host": "build-7", **more}


# -- who may come in


async def test_a_token_is_changed_for_a_cookie() -> None:
    """It does not stay in the address, and no script can read what it became."""
    async with serving(over()) as served, aiohttp.ClientSession() as session:
        async with session.get(served.door, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == f"/{served.admission.base}/"
            cookie = response.headers["Set-Cookie"]
        assert served.admission.token not in cookie
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert parts == {"httponly", "samesite=strict", f"path=/{served.admission.base}/"}


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%ff%00", "?token=a&token=b"])
async def test_without_the_token_there_is_nothing(query: str) -> None:
    """And it is said on the server, without the token."""
    async with serving(over()) as served, aiohttp.ClientSession() as session:
        async with session.get(f"{served.origin}/{query}") as response:
            assert response.status == 403
            assert "Set-Cookie" not in response.headers
        assert served.said == ["refused a request from 127.0.0.1: no valid token"]


@pytest.mark.parametrize(
    "path", ["", "ws", "files/page.js", "files/js/textual.js", "download/x", "files/../ws", "other"]
)
async def test_nothing_is_given_without_the_cookie(path: str) -> None:
    """Not even whether it is there."""
    async with serving(over()) as served, aiohttp.ClientSession() as session:
        for url in (f"{served.base}{path}", f"{served.origin}/{path or 'ws'}"):
            for cookies in ({}, {served.admission.cookie_name: "wrong"}, {"other": served.admission.cookie}):
                headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
                async with session.get(url, headers=headers) as response:
                    assert response.status == 403
        assert not served.pages


async def test_a_rebound_name_is_refused() -> None:
    """Even with the token, or the cookie: whose page that is is not known."""
    async with serving(over()) as served, entered(served) as session:
        for url in (served.door, served.base, f"{served.base}ws"):
            async with session.get(url, headers={"Host": "evil.example"}) as response:
                assert response.status == 403
        async with session.get(served.base, headers={"Host": f"build-7:{served.port}"}) as response:
            assert response.status == 200
        assert "another host's name" in served.said[0]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "null", "http://localhost:{port}", None]
)
async def test_a_foreign_page_cannot_open_the_socket(origin: str | None) -> None:
    """With the cookie, as a browser would send it for a page of the same host."""
    async with serving(over()) as served, entered(served) as session:
        headers = {} if origin is None else {"Origin": origin.format(port=served.port)}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{served.base}ws", headers=headers)
        assert refused.value.status == 403
        assert not served.pages
        assert served.said == ["refused a request from 127.0.0.1: a page of another site"]


async def test_every_answer_forbids_frames_and_what_is_from_elsewhere() -> None:
    """Those without a cookie, and errors, too."""
    async with serving(over()) as served, entered(served) as session:
        for url, status in (
            (served.base, 200),
            (f"{served.base}files/page.js", 200),
            (f"{served.base}files/fonts/RobotoMono-VariableFont_wght.ttf", 200),
            (f"{served.base}files/none", 404),
            (f"{served.base}files/", 404),
            (f"{served.base}download/none", 404),
            (f"{served.origin}/", 403),
        ):
            async with session.get(url) as response:
                assert response.status == status, url
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "http" not in policy
                assert response.headers["X-Frame-Options"] == "DENY"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                is_code = "/files/" in url and status == 200
                assert response.headers["Cache-Control"].startswith("private" if is_code else "no-store")
                assert "Server" not in response.headers
        async with session.get(served.base) as response:
            page = await response.text()
        assert "http:" not in page
        assert "https:" not in page
        assert "<style" not in page


async def test_refusals_are_told_now_and_then() -> None:
    """Whoever knocks for ever does not fill a disk."""
    async with serving(over()) as served, aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.get(served.origin) as response:
                assert response.status == 403
        assert len(served.said) == 1


# -- pages


async def test_a_page_shows_the_screens_and_takes_keys_and_the_mouse() -> None:
    """Keys, an escape alone, a click on the header's second view, another size."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.see("build-7", "gunicorn")
        await screen.press("?")
        await screen.see(r"compare with this")
        await screen.press("\x1b")
        await screen.press("2")  # a key of its own, however soon: Alt and a key are one message
        await screen.see(r"2 CPU")
        await screen.press("1")
        await screen.see(r"1 Overview")
        (page,) = served.pages
        await until(lambda: _app(page).current_mode == "overview", "the overview")
        await screen.press("\x1b[<0;26;1M\x1b[<0;26;1m")
        await until(lambda: _app(page).current_mode == "cpu", "the view that was clicked at")
        await screen.say("resize", {"width": 60, "height": 20})
        await until(lambda: _app(page).size == (60, 20), "the new size")


async def test_what_was_drawn_in_an_old_size_is_not_taken_for_drawn() -> None:
    """A browser has its new size before the app knows, and so long pictures of the old one come out anyhow."""
    async with serving(over()) as served, entered(served) as session, opened(served, session, 100, 30) as screen:
        await screen.see("of view")
        (page,) = served.pages
        app, driver, _ = page._running.result()
        drawn = copy.deepcopy(driver.thin._rows)  # type: ignore[attr-defined]
        await screen.say("resize", {"width": 60, "height": 20})
        await until(lambda: app.screen.size == (60, 20), "the new size")
        await until(lambda: app.snapshot.request.width == 60, "boxes of that width")
        await asyncio.sleep(0.5)  # until they have been drawn
        resized = app._check_resize

        def late() -> None:
            """This is drawn before the screen knows of its size, and so comes out anyhow."""
            driver.thin._rows.update(drawn)  # type: ignore[attr-defined]
            resized()

        app._check_resize = late  # type: ignore[method-assign]
        screen.text = ""
        await screen.say("resize", {"width": 100, "height": 30})
        await screen.see("1 Overview", "Memory", "gunicorn")


async def test_two_pages_show_the_same_and_look_at_different_things() -> None:
    """One store; what one page chooses is its own. Collectors stay for both."""
    told: list[frozenset[str]] = []
    wants = Wants(told.append)
    store = shared(SyntheticStore())  # type: ignore[arg-type]
    options = lambda: {"connect": lambda: store, "want": wants.reader().want}  # noqa: E731
    async with (
        serving(options) as served,
        entered(served) as session,
        opened(served, session) as one,
        opened(served, session) as other,
    ):
        await one.press("2")
        await other.press("2")
        samples = [(await screen.see(r"of view\s+([\d,]+) samples"))[1] for screen in (one, other)]
        assert samples[0] == samples[1] != "0"
        await other.press("4")
        await until(lambda: bool(told) and "lock" in told[-1], "locks are wanted")
        assert {_app(page).current_mode for page in served.pages} == {"cpu", "locks"}
        both = {Kind.CPU, Kind.LOCK}
        await until(lambda: {_app(page)._asked.kind for page in served.pages} == both, "what each has asked for")


async def test_a_page_that_is_closed_ends() -> None:
    """Its thread too, and what it has drawn is let go, so that pages can come and go all day."""
    left: list[weakref.ref[Any]] = []
    threads: list[threading.Thread] = []

    async def one_page(served: Served, session: aiohttp.ClientSession) -> None:
        async with opened(served, session) as screen:
            await screen.see(r"gunicorn")
            (page,) = served.pages
            assert page._thread.is_alive()
            threads.append(page._thread)
            left.extend(map(weakref.ref, (page, _app(page), *(w._styles_cache for w in _app(page).screen.children))))

    async with serving(over()) as served, entered(served) as session:
        for _ in range(3):
            await one_page(served, session)
            await until(lambda: not served.pages, "the end of the page")
        await until(lambda: not any(thread.is_alive() for thread in threads), "the end of their threads")
        assert len(left) > 20

        def all_gone() -> bool:
            gc.collect()
            return not any(ref() for ref in left)

        await until(all_gone, lambda: f"the end of {[ref() for ref in left if ref()]}")


async def test_a_page_that_is_quit_says_so() -> None:
    """The browser is told, and the place is free."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.see(r"gunicorn")
        await screen.press("q")
        assert await screen.ended() == 1000
        await until(lambda: not served.pages, "the end of the page")


async def test_the_ninth_page_is_told_in_one_line() -> None:
    """And has its place once another one is closed."""
    async with serving(over()) as served, entered(served) as session:
        pages = [opened(served, session, 40, 10) for _ in range(MOST_PAGES)]
        screens = [await page.__aenter__() for page in pages]
        await until(lambda: len(served.pages) == MOST_PAGES, "all pages")
        async with opened(served, session) as ninth:
            assert await ninth.ended() == 1013
            assert "8 pages are open, and there can be no more" in ninth.text
            assert len(served.pages) == MOST_PAGES
        await screens[0].close()
        await until(lambda: len(served.pages) < MOST_PAGES, "a free place")
        async with opened(served, session) as again:
            await again.see("gunicorn")
        for page in pages:
            await page.__aexit__(None, None, None)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "[",
        "{}",
        "[]",
        '["stdin"]',
        '["stdin", 1]',
        '["resize", {"width": "a", "height": 1}]',
        '["exit"]',
        "[" * 9000,
    ],
)
async def test_what_no_page_says_ends_the_page_alone(words: str) -> None:
    """Whoever has the cookie cannot harm the others with it."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as other:
        await other.see("gunicorn")
        ws = await session.ws_connect(f"{served.base}ws", headers={"Origin": served.origin})
        await ws.send_str(words)
        while not ws.closed:
            await ws.receive()
        assert ws.close_code == 1003
        await other.press("2")
        await other.see("2 CPU")


async def test_sizes_and_messages_are_bounded() -> None:
    """A screen of a billion cells, and text of megabytes."""
    async with serving(over()) as served, entered(served) as session:
        async with opened(served, session, 999_999_999, 999_999_999) as screen:
            await until(lambda: bool(served.pages), "a page")
            (page,) = served.pages
            await until(lambda: page._running.done(), "its app")
            await until(lambda: _app(page).size == LARGEST, "a size that can be drawn")
            await screen.say("resize", {"width": -5, "height": 0})
            await until(lambda: _app(page).size == (1, 1), "the smallest size")
        async with opened(served, session) as screen:
            await screen.press("x" * 100_000)
            assert await screen.ended() in (1009, 1006), (
                "it is told why, if what it still sends does not cut it off first"
            )


async def test_a_browser_that_does_not_read_holds_up_nobody() -> None:
    """What waits for it is bounded; when it reads again it sees what is now, and the others never waited."""
    async with (
        serving(over()) as served,
        entered(served) as session,
        opened(served, session, 300, 80) as slow,
        opened(served, session) as quick,
    ):
        await slow.see("gunicorn")
        await quick.see("gunicorn")
        page = next(page for page in served.pages if _app(page).size.width == 300)
        slow.acknowledges = False
        line = line_of(_app(page)._driver)
        for round_ in range(60):  # 300 x 80 cells anew each time, 60 KB
            await slow.press("\x0c" + ("2" if round_ % 2 else "1"))
            await asyncio.sleep(0.1)
            assert page.outgoing._waiting_bytes < 1 << 20
            if line.is_behind:
                break
        await until(lambda: line.is_behind, "that pictures are left out")
        began = time.monotonic()
        await quick.press("2")
        await quick.see("2 CPU")
        assert time.monotonic() - began < 5
        await slow.press("4")
        await until(lambda: _app(page).current_mode == "locks", "the view behind the picture")
        assert "kernel locks" not in slow.text
        slow.text = ""
        await slow.answer()
        await slow.see("4 Locks")


async def test_a_page_whose_app_fails_says_why() -> None:
    """In the browser and on the server, in one line; the others go on."""
    fails = [False, True]

    def options() -> dict[str, Any]:
        if fails.pop(0):
            raise RuntimeError("the store\nhas gone")
        return over()()

    async with serving(options) as served, entered(served) as session, opened(served, session) as good:
        await good.see("gunicorn")
        async with opened(served, session) as bad:
            await bad.ended()
            assert "the store has gone" in bad.text
        await until(lambda: "a page ended: the store has gone" in served.said, "a line on the server")
        await good.press("2")
        await good.see("2 CPU")


async def test_stopping_ends_all_pages() -> None:
    """Soon, and each browser is told."""
    async with (
        serving(over()) as served,
        entered(served) as session,
        opened(served, session) as one,
        opened(served, session) as other,
    ):
        await one.see("gunicorn")
        await other.see("gunicorn")
        threads = [page._thread for page in served.pages]
        served.server.stop()
        await one.ended()
        await other.ended()
        assert len(threads) == 2
        await until(lambda: not any(thread.is_alive() for thread in threads), "the end of their threads")


# -- files


async def test_an_export_is_fetched_once_and_with_the_cookie() -> None:
    """As a file to be saved, whatever it is; nothing is written on this machine."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.see("gunicorn")
        (page,) = served.pages
        content = "<svg onload='alert(1)'>é</svg>" * 10_000
        app = _app(page)
        _in_its_loop(page, lambda: app.deliver_text(io.StringIO(content), save_filename="bad \x1b[2J\r\nname.svg"))
        await until(lambda: bool(screen.messages), "word of the file")
        assert screen.messages[0][0] == "open_url"
        where = screen.messages[0][1]["url"]
        assert screen.messages[0][1]["new_tab"] is False
        async with aiohttp.ClientSession() as stranger, stranger.get(served.base + where) as response:
            assert response.status == 403
        async with session.get(served.base + where) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/octet-stream"
            disposition = response.headers["Content-Disposition"]
            assert disposition.startswith("attachment; ")
            assert disposition.isprintable()
            assert (await response.read()).decode() == content
        async with session.get(served.base + where) as response:
            assert response.status == 404


async def test_files_that_nobody_fetches_are_let_go() -> None:
    """The newest few wait; with the page all go."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.see("gunicorn")
        (page,) = served.pages
        made = [io.BytesIO(b"x") for _ in range(20)]
        for one in made:
            _in_its_loop(page, lambda one=one: _app(page).deliver_binary(one, save_filename="x.bin"))
        await until(lambda: sum(one.closed for one in made) == 12, "the oldest are closed")
        await screen.close()
        await until(lambda: all(one.closed for one in made), "all are closed")


async def test_links_are_followed_in_the_browser_alone() -> None:
    """A server must not open windows on its own machine, nor have a browser run what is no address."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.see("gunicorn")
        (page,) = served.pages
        for url in ("javascript:alert(1)", "file:///etc/passwd", "https://example.net/"):
            _in_its_loop(page, lambda url=url: _app(page).open_url(url))
        await until(lambda: bool(screen.messages), "a link")
        assert screen.messages == [["open_url", {"url": "https://example.net/", "new_tab": True}]]


def _app(page: Page) -> Any:
    return page._running.result().app


def _in_its_loop(page: Page, work: Callable[[], Any]) -> None:
    page._running.result().loop.call_soon_threadsafe(work)


async def test_the_ping_of_the_page_is_answered() -> None:
    """It measures how far the server is."""
    async with serving(over()) as served, entered(served) as session, opened(served, session) as screen:
        await screen.say("ping", "123")
        await until(lambda: ["pong", "123"] in screen.messages, "the answer")
