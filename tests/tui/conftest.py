"""Every test has the same terminal, whatever it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from aperture_tui.tui.keys_in_turn import KeysInTurn


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Truecolor, UTC."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's pilot waits after each key until the process takes no CPU time: long, and never on a busy machine.

    Its queues are waited for all the same, and `screen.settled` waits for what a test needs.
    """

    async def briefly(*_: float) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    monkeypatch.setattr("textual.pilot.wait_for_idle", briefly)
    monkeypatch.setattr("textual.app.wait_for_idle", briefly)


@pytest.fixture(autouse=True)
def each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot goes on when a key has gone all the way."""
    press = KeysInTurn._press_keys

    async def pressed(app: KeysInTurn, keys: Iterable[str]) -> None:
        for key in keys:
            await press(app, [key])
            while app._taking_keys is not None and not app._taking_keys.done():
                await asyncio.sleep(0.001)

    monkeypatch.setattr(KeysInTurn, "_press_keys", pressed)
