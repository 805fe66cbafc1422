"""A headless Chromium, driven by its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NAMES: Final = ("chromium-headless-shell", "chromium", "google-chrome")
_LISTENS: Final = re.compile(rb"DevTools listening on (ws://\S+)")
_START_S: Final = 30.0
_ANSWER_S: Final = 30.0
_CODES: Final = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "ArrowDown": 40,
    "ArrowUp": 38,
    "F1": 112,
    "F3": 114,
    "F4": 115,
    "F5": 116,
}
"""Windows virtual key codes of keys that are no characters."""
_CONTROL: Final = 2


def found() -> str | None:
    """The command of a browser, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Said(NamedTuple):
    """An event of the browser, and time.monotonic() when it came."""

    method: str
    params: dict[str, Any]
    at_s: float


class Tab:
    """One page of the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[Said] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Raises RuntimeError where the browser says no."""
        return await self._browser.call(method, params, self._session)

    async def go(self, url: str) -> None:
        """Navigate."""
        await self.call("Page.navigate", url=url)

    async def size(self, width: int, height: int) -> None:
        """Pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def value(self, expression: str) -> Any:
        """What JavaScript gives for this."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return told["result"].get("value")

    async def press(self, key: str, control: bool = False) -> None:
        """A key: a character, or a name of `_CODES`."""
        code = _CODES.get(key) or ord(key.upper())
        named = key in _CODES
        told: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": _CONTROL if control else 0}
        text = {} if control or (named and key != "Enter") else {"text": "\r" if key == "Enter" else key}
        await self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **told, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    async def picture(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    def frames(self, after_s: float = 0.0) -> list[tuple[float, bytes]]:
        """What came by web sockets since then: (time.monotonic(), payload)."""
        return [
            (said.at_s, _payload(said.params["response"]))
            for said in self.events
            if said.method == "Network.webSocketFrameReceived" and said.at_s >= after_s
        ]

    async def until(self, holds: Callable[[], bool], what: str, timeout_s: float = _ANSWER_S) -> None:
        """Wait for something of the events. Raises TimeoutError."""
        until = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > until:
                raise TimeoutError(f"never seen: {what}")
            await asyncio.sleep(0.005)

    async def until_value(self, expression: str, timeout_s: float = _ANSWER_S) -> None:
        """Wait until JavaScript says that it holds. Raises TimeoutError."""
        until = time.monotonic() + timeout_s
        while not await self.value(expression):
            if time.monotonic() > until:
                raise TimeoutError(f"never true: {expression}")
            await asyncio.sleep(0.02)


def _payload(response: dict[str, Any]) -> bytes:
    data = response["payloadData"]
    return base64.b64decode(data) if response["opcode"] == 2 else data.encode()


class Browser:
    """A running browser. One loop uses it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def tab(self, width: int = 1280, height: int = 800) -> Tab:
        """A new page, of so many pixels."""
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attached = await self.call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        tab = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        await tab.size(width, height)
        return tab

    async def call(self, method: str, params: dict[str, Any], session: str = "") -> dict[str, Any]:
        """Raises RuntimeError where the browser says no."""
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._ws.send_json(
            {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        )
        told = await asyncio.wait_for(answer, _ANSWER_S)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error'].get('message')}")
        result: dict[str, Any] = told["result"]
        return result

    async def listen(self) -> None:
        """Take what the browser says, until it ends."""
        async for message in self._ws:
            told, at_s = json.loads(message.data), time.monotonic()
            if "id" in told:
                if (answer := self._answers.pop(told["id"])) and not answer.done():
                    answer.set_result(told)
            elif (tab := self._tabs.get(told.get("sessionId", ""))) is not None:
                tab.events.append(Said(told["method"], told["params"], at_s))


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Browser]:
    """A browser that has its files in a folder, for as long as it is needed. Raises RuntimeError."""
    command = found()
    if command is None:
        raise RuntimeError("no browser")
    # no sandbox: root has none there, and only pages of our own are opened
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"]
    errors = folder / "chromium.log"
    with errors.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            command,
            *arguments,
            f"--user-data-dir={folder / 'profile'}",
            "about:blank",
            stderr=log,
            stdout=log,
            start_new_session=True,  # the command is a shell script, and the browser many processes
        )
    try:
        address = await _address(errors, process)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0, heartbeat=None) as ws,
        ):
            browser = Browser(ws)
            listening = asyncio.create_task(browser.listen())
            try:
                yield browser
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _address(errors: Path, process: asyncio.subprocess.Process) -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.returncode is None:
        if told := _LISTENS.search(errors.read_bytes()):
            return told[1].decode()
        await asyncio.sleep(0.02)
    raise RuntimeError(f"the browser did not start: {errors.read_text('utf-8', 'replace')[-500:]}")
