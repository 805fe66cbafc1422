"""The screens in a browser: how soon they are there, how soon a key is answered, and what a page costs.

A real browser without a display takes far more of two cores than the pages do, so only times are measured in it. What
pages cost is measured with clients that read all they are sent and draw nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import procfs, profilers
from bench.figures import Figure, quantile
from bench.launch import END_S, FailedError, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bench.browser import Tab

_ADDRESS: Final = re.compile(rb"(http://[^/]+)/\?token=[\w-]+")
_START_S: Final = 30.0
_WIDTH, _HEIGHT = 1300, 800
"""Pixels: about 160 columns and 42 rows."""
_COLUMNS, _ROWS = 120, 40
_KEYS: Final = "12"
"""Two views, whose pictures differ nearly everywhere."""
_PAGES: Final = 4
_PAUSE_S: Final = 0.63
"""Between an answer and the next key: keys come at every phase of a refresh."""
_PATIENCE_S: Final = 10.0
_SETTLED_S: Final = 4.0
"""From when pages are opened until each has its first data."""
_MIB: Final = 1 << 20


def measure(scratch: Path, presses: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: that pages are watched for what they cost."""
    try:
        import aiohttp  # noqa: F401
        import textual_serve  # noqa: F401
    except ImportError as error:
        return [_missing("load to first data in a browser", "s", f"{error.name} is not installed")]
    return [
        *asyncio.run(_times(scratch, presses, tell)),
        *asyncio.run(_costs(scratch, seconds, tell)),
    ]


# -- in a browser


async def _times(scratch: Path, presses: int, tell: Callable[[str], None]) -> list[Figure]:
    from bench import browser

    first, sent, painted = (
        "load to first data in a browser",
        "key press to the frame in a browser",
        "key press to pixels",
    )
    try:
        if browser.found() is None:
            raise FailedError("no Chromium is installed")
        async with _serving(scratch) as (door, _), browser.running(scratch) as running:
            tell("web: loading the page three times in Chromium")
            tab = await running.tab(_WIDTH, _HEIGHT)
            loads = [await _load_s(tab, door) for _ in range(3)]  # one after the other: the page before ends
            tell(f"web: {presses} presses in Chromium")
            answers = [await _answer_ms(tab, _KEYS[n % 2]) for n in range(1, presses + 1)]
    except (FailedError, RuntimeError, TimeoutError, OSError) as error:
        return [_missing(first, "s", str(error)), _missing(sent, "ms", str(error))]
    words = f"{presses} presses, views 1 and 2, {_WIDTH}x{_HEIGHT} pixels"
    frames, pixels = [one for one, _ in answers], [one for _, one in answers]
    return [
        Figure(first, "aperture-top --web", "s", tuple(loads), why="the page, its font, its app, the first samples"),
        Figure(f"{sent}: p50", "aperture-top --web", "ms", (quantile(frames, 0.5),), why=words),
        Figure(f"{sent}: slowest", "aperture-top --web", "ms", (max(frames),), why=words),
        Figure(
            f"{painted}: p50", "aperture-top --web", "ms", (quantile(pixels, 0.5),), why="drawn by software; " + words
        ),
    ]


async def _load_s(tab: Tab, door: str) -> float:
    began = time.monotonic()
    await tab.go(door)
    await tab.until(lambda: any(b"of view" in data for _, data in tab.frames(began)), "samples")
    return next(at for at, data in tab.frames(began) if b"of view" in data) - began


async def _answer_ms(tab: Tab, key: str) -> tuple[float, float]:
    """Milliseconds from a key until the frame that it brings has come, and until the picture has changed."""
    await tab.call("Page.startScreencast", format="jpeg", quality=10, maxWidth=200, maxHeight=120)
    await _next_pictures(tab, _PAUSE_S)
    title = {"1": b"1 Overview", "2": b"2 CPU"}[key]
    pressed = time.monotonic()
    await tab.press(key)
    await tab.until(lambda: any(title in data for _, data in tab.frames(pressed)), "the view", _PATIENCE_S)
    came = next(at for at, data in tab.frames(pressed) if title in data)
    pictures = [at for at in await _next_pictures(tab, _PAUSE_S) if at >= came]
    await tab.call("Page.stopScreencast")
    tab.events.clear()
    if not pictures:
        raise FailedError("the browser painted nothing")
    return 1e3 * (came - pressed), 1e3 * (pictures[0] - pressed)


async def _next_pictures(tab: Tab, seconds: float) -> list[float]:
    """When the browser painted, of all that is known so far and the next seconds; each picture is asked for."""
    asked: set[int] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for one in [event for event in tab.events if event.method == "Page.screencastFrame"]:
            number = one.params["sessionId"]
            if number not in asked:
                asked.add(number)
                with contextlib.suppress(RuntimeError):  # it was asked for before
                    await tab.call("Page.screencastFrameAck", sessionId=number)
        await asyncio.sleep(0.005)
    return [event.at_s for event in tab.events if event.method == "Page.screencastFrame"]


# -- without one


async def _costs(scratch: Path, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    cpu, memory, sent = "CPU of a page, 2 Hz, 120x40 (of one core)", "memory of a page", "bytes to a page, 120x40"
    try:
        async with _serving(scratch) as (door, pid), contextlib.AsyncExitStack() as stack:
            tell(f"web: no page, then {_PAGES}, for {seconds:.0f} s each")
            await asyncio.sleep(seconds / 4)
            base_cpu, base_rss = await _cpu_percent(pid, seconds), procfs.rss_bytes(pid)
            pages = [await stack.enter_async_context(_page(door))]
            await asyncio.sleep(_SETTLED_S)
            one_rss = procfs.rss_bytes(pid)
            pages += [await stack.enter_async_context(_page(door)) for _ in range(_PAGES - 1)]
            await asyncio.sleep(_SETTLED_S)
            more_rss = procfs.rss_bytes(pid)
            before = [page["bytes"] for page in pages]
            with_cpu = await _cpu_percent(pid, seconds)
            bytes_each = tuple((page["bytes"] - was) / seconds / 1e3 for page, was in zip(pages, before, strict=True))
            if min(bytes_each) == 0:
                raise FailedError("a page was sent nothing")
    except (FailedError, OSError) as error:
        return [_missing(name, unit, str(error)) for name, unit in ((cpu, "%"), (memory, "MB"), (sent, "KB/s"))]
    words = f"{_PAGES} pages less none, over {seconds:.0f} s, live"
    growth = f"{_PAGES} pages less one, and what was collected in the {_SETTLED_S:.0f} s between"
    return [
        Figure(cpu, "aperture-top --web", "%", ((with_cpu - base_cpu) / _PAGES,), why=words),
        Figure("CPU without a page (of one core)", "aperture-top --web", "%", (base_cpu,), why="collecting alone"),
        Figure(memory, "aperture-top --web", "MB", ((more_rss - one_rss) / (_PAGES - 1) / _MIB,), why=growth),
        Figure("resident memory without a page", "aperture-top --web", "MB", (base_rss / _MIB,)),
        Figure(sent, "aperture-top --web", "KB/s", bytes_each, why="before compression"),
    ]


async def _cpu_percent(pid: int, seconds: float) -> float:
    before, began = procfs.cpu_ns(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (procfs.cpu_ns(pid) - before) / ((time.monotonic() - began) * 1e9)


@contextlib.asynccontextmanager
async def _page(door: str) -> AsyncIterator[dict[str, int]]:
    """A page that reads and draws nothing -> how many bytes it has been sent."""
    import aiohttp

    read = {"bytes": 0}
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, not of a name
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(door) as response:
            base = str(response.url)
        origin = base.rstrip("/").rpartition("/")[0]
        where = f"{base}ws?width={_COLUMNS}&height={_ROWS}"
        async with session.ws_connect(where, headers={"Origin": origin}, max_msg_size=0) as ws:
            reading = asyncio.create_task(_read(ws, read))
            try:
                yield read
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


async def _read(ws: Any, read: dict[str, int]) -> None:
    async for message in ws:
        read["bytes"] += len(message.data)


@contextlib.asynccontextmanager
async def _serving(scratch: Path) -> AsyncIterator[tuple[str, int]]:
    """A running `aperture-top --web` on this machine -> the address with its token, and its pid. Raises FailedError."""
    errors = scratch / "web.stderr"
    command = [profilers.beside_python("aperture-top"), "--web", "127.0.0.1:0"]
    with errors.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
    try:
        until = time.monotonic() + _START_S
        while (found := _ADDRESS.search(errors.read_bytes())) is None:
            if process.poll() is not None or time.monotonic() > until:
                raise FailedError(errors.read_text("utf-8", "replace").strip() or "it did not start")
            await asyncio.sleep(0.02)
        yield found[0].decode(), process.pid
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
            await asyncio.to_thread(process.wait, END_S)


def _missing(measure: str, unit: str, why: str) -> Figure:
    return Figure(measure, "aperture-top --web", unit, why=why)
