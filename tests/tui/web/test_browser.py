"""In a real browser: Chromium, headless, driven as a person would drive it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aperture_tui.tui.web.page import Page
from aperture_tui.tui.web.shared import shared
from bench import browser
from bench.browser import Browser, Tab
from tests.tui.synthetic import SyntheticStore
from tests.tui.web.serving import Served, serving, until

pytest.importorskip("textual_serve", reason="no textual-serve: pip install 'aperture-tui[web]'")
pytestmark = pytest.mark.skipif(
    browser.found() is None, reason="no Chromium: apt-get install chromium-headless-shell (or chromium)"
)


def _options() -> dict[str, Any]:
    store = shared(SyntheticStore())  # type: ignore[arg-type]
    return {"connect": lambda: store, "title_host": "build-7"}


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[tuple[Served, Browser]]:
    """A server whose data stands still, and a browser that has not been there."""
    async with serving(_options) as served, browser.running(folder) as running:
        yield served, running


async def opened(served: Served, running: Browser) -> tuple[Tab, Page]:
    """Through the door, until the first data has been drawn."""
    tab = await running.tab()
    await tab.go(served.door)
    await until(lambda: b"gunicorn" in _shown(tab), lambda: f"data in {_shown(tab)[-500:]!r}")
    page = next(iter(served.pages))
    await _still(tab)
    return tab, page


async def test_a_key_changes_the_picture(tmp_path: Path) -> None:
    """From the keyboard to pixels, without a click before; and back to the very same picture."""
    async with browsing(tmp_path) as (served, running):
        tab, page = await opened(served, running)
        overview = await _still(tab)
        seen = len(_shown(tab))
        await tab.press("2")
        await until(lambda: b"2 CPU" in _shown(tab)[seen:], "the view of the CPU")
        cpu = await _still(tab)
        assert cpu != overview
        assert _app(page).current_mode == "cpu"
        await tab.press("1")
        await until(lambda: _app(page).current_mode == "overview", "the overview")
        assert await _still(tab) == overview


async def test_what_the_browser_keeps_and_where_it_goes(tmp_path: Path) -> None:
    """No token in the address or behind the arrow back, no cookie for scripts, nothing from elsewhere, no complaint."""
    async with browsing(tmp_path) as (served, running):
        tab, _ = await opened(served, running)
        assert await tab.value("location.href") == served.base
        assert await tab.value("document.cookie") == ""
        history = (await tab.call("Page.getNavigationHistory"))["entries"]  # where one can go back to
        assert [entry["url"] for entry in history] == ["about:blank", served.base]
        asked = {said.params["request"]["url"] for said in tab.events if said.method == "Network.requestWillBeSent"}
        assert len(asked) > 5
        assert all(url.startswith((served.origin, "data:")) for url in asked), asked
        await tab.press("F1")
        assert not _complaints(tab)


async def test_keys_that_browsers_would_take_reach_the_app(tmp_path: Path) -> None:
    """Printing, searching in the page, its help and loading it again are the app's keys here."""
    async with browsing(tmp_path) as (served, running):
        tab, page = await opened(served, running)
        got: list[str] = []
        app = _app(page)
        handle = app.on_event

        async def noted(event: Any) -> None:
            if type(event).__name__ == "Key" and event.key not in got:  # some come by twice
                got.append(event.key)
            await handle(event)

        app.on_event = noted
        await tab.press("p", control=True)
        await until(lambda: type(app.screen).__name__ == "CommandPalette", "the palette")
        await tab.press("Escape")
        await until(lambda: type(app.screen).__name__ == "OverviewScreen", "the overview")
        for key in ("F1", "F3", "F5", "Tab", "ArrowDown"):
            await tab.press(key)
        await tab.press("/")
        for key in "read":
            await tab.press(key)
        await until(lambda: app.looking.search is not None and app.looking.search.text == "read", "the search")
        assert got[:7] == ["ctrl+p", "escape", "f1", "f3", "f5", "tab", "down"]
        assert await tab.value("performance.getEntriesByType('navigation')[0].type") == "navigate"
        assert len(served.pages) == 1


async def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    """One line, and no page."""
    async with browsing(tmp_path) as (served, running):
        tab = await running.tab()
        for url in (f"{served.origin}/?token=wrong", served.origin, served.base):
            await tab.go(url)
            await tab.until_value("document.body.innerText.startsWith('Open the address that aperture-top printed')")
        assert not served.pages
        assert (await tab.call("Network.getAllCookies"))["cookies"] == []


async def test_a_foreign_page_is_refused(tmp_path: Path) -> None:
    """Another server of the same machine, in a browser that has our cookie: the worst neighbour that there is.

    It gets neither a socket, nor a picture in a frame, nor an answer, nor the cookie.
    """
    sent: list[str] = []

    async def neighbour(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Cookie", ""))
        return web.Response(text="<!DOCTYPE html><title>other</title>", content_type="text/html")

    async with browsing(tmp_path) as (served, running):
        _, page = await opened(served, running)
        other = web.Application()
        other.router.add_get("/{any:.*}", neighbour)
        runner = web.AppRunner(other)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            tab = await running.tab()
            await tab.go(f"http://127.0.0.1:{port}/")
            await tab.until_value("document.title === 'other'")
            where = served.base.replace("http", "ws") + "ws"
            assert await tab.value(_SOCKET.format(where=where)) == "closed"
            assert "refused a request from 127.0.0.1: a page of another site" in served.said
            assert await tab.value(_FETCH.format(where=served.base)) == "refused"
            assert await tab.value(_FRAME.format(where=served.base)) == "nothing to be seen"
            assert served.pages == [page]
        finally:
            await runner.cleanup()
    assert sent
    assert set(sent) == {""}


_SOCKET = """new Promise((done) => {{
  const ws = new WebSocket("{where}?width=80&height=24");
  ws.onmessage = () => done("message"); ws.onclose = () => done("closed");
}})"""
_FETCH = 'fetch("{where}", {{credentials: "include"}}).then(() => "answer", () => "refused")'
_FRAME = """new Promise((done) => {{
  const frame = document.createElement("iframe");
  frame.src = "{where}";
  frame.onload = () => {{
    let seen = "nothing to be seen";
    try {{ seen = frame.contentDocument.body.innerHTML || seen; }} catch {{ }}
    done(seen);
  }};
  document.body.append(frame);
}})"""


async def test_an_export_is_saved_by_the_browser(tmp_path: Path) -> None:
    """And the page stays as it is."""
    folder = tmp_path / "downloads"
    async with browsing(tmp_path) as (served, running):
        tab, page = await opened(served, running)
        before = await _still(tab)
        await running.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
        running_app = page._running.result()
        file = io.StringIO("main;read 5\n")
        running_app.loop.call_soon_threadsafe(
            lambda: running_app.app.deliver_text(file, save_filename="busy.folded", mime_type="text/html")
        )
        await until(lambda: (folder / "busy.folded").exists(), "the file")
        assert (folder / "busy.folded").read_text() == "main;read 5\n"
        assert served.pages == [page]
        assert await tab.value("location.href") == served.base
        assert await _still(tab) == before


async def test_a_page_fits_its_window_and_ends_with_it(tmp_path: Path) -> None:
    """Another size, then none."""
    async with browsing(tmp_path) as (served, running):
        tab, page = await opened(served, running)
        columns = _app(page).size.width
        await tab.size(640, 400)
        await until(lambda: 0 < _app(page).size.width < columns, "fewer columns")
        await _still(tab)
        await tab.go("about:blank")
        await until(lambda: not served.pages, "the end of the page")


async def test_a_page_that_has_ended_says_so_and_can_be_loaded_again(tmp_path: Path) -> None:
    """With its last picture, and a button."""
    async with browsing(tmp_path) as (served, running):
        tab, _ = await opened(served, running)
        await tab.press("q")
        await tab.until_value("getComputedStyle(document.querySelector('#ended')).display === 'block'")
        await until(lambda: not served.pages, "the end of the page")
        seen = len(_shown(tab))
        await tab.value("document.querySelector('#again').click()")
        await until(lambda: b"gunicorn" in _shown(tab)[seen:], "the screens again")


def _app(page: Page) -> Any:
    return page._running.result().app


def _shown(tab: Tab) -> bytes:
    return b"".join(data for _, data in tab.frames())


def _complaints(tab: Tab) -> list[str]:
    """What the browser has found wrong with the page, but for what it lacks itself."""
    wrong: list[str] = []
    for said in tab.events:
        if said.method == "Runtime.exceptionThrown":
            wrong.append(str(said.params))
        elif said.method == "Log.entryAdded" and "WebGL" not in said.params["entry"]["text"]:
            wrong.append(str(said.params["entry"]))
    return wrong


async def _still(tab: Tab) -> bytes:
    """The picture, once it no longer changes."""
    last, same = b"", 0
    for _ in range(100):
        now = await tab.picture()
        same = same + 1 if now == last else 0
        if same == 3:
            return now
        last = now
        await asyncio.sleep(0.1)
    raise AssertionError("the picture never stands still")
