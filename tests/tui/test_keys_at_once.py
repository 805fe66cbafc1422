"""Keys that come at once do what they do one by one, whatever opens or changes in between."""

from __future__ import annotations

import random
import time
import unicodedata
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from aperture_tui.tui.keys_in_turn import _PATIENCE_S, KeysInTurn
from tests.tui.scenes import app_of, waits
from tests.tui.screen import settled, text_of, until

SIZE = (120, 40)
NAMED = {"\r": "enter", "\x1b": "escape", "\x7f": "backspace", "\t": "tab", "←": "left", "→": "right", "↓": "down"}
ALPHABET = "12345jkhl\r\x7fvVSsit/n?\x1b\\T←→↓gG+-a"


def _event(typed: str) -> events.Key:
    if typed in NAMED:
        return events.Key(NAMED[typed], None)
    key = typed if typed.isalnum() else _character_to_key(typed)
    assert unicodedata.name(typed)
    return events.Key(key, typed)


async def _type(pilot: Pilot[Any], keys: str, at_once: bool) -> list[str]:
    """-> the screen that they lead to, without what passes by itself."""
    app = app_of(pilot)
    assert app._driver is not None
    for typed in keys:
        event = _event(typed)
        event.set_sender(app)
        app._driver.send_message(event)
        if not at_once:
            await pilot.pause()
            await until(pilot, lambda: app._taking_keys is not None and app._taking_keys.done(), "the end of a key")
            await settled(pilot)
    await pilot.pause()
    await until(pilot, lambda: app._taking_keys is not None and app._taking_keys.done(), "the end of the keys")
    app.clear_notifications()
    await settled(pilot)
    return text_of(app)


SEQUENCES = [
    "2vvS",
    "2jjj\rj\rj",
    "2js/main\rn",
    "/main\r",
    "/main\x1bj\r",
    "3jjs\r",
    "4j2jj",
    "2?\x1bj\r",
    "\\comm:postgres\r2jj\r",
    "2/wor\x7fk\rnn\r",
    "2jS\x1bj\r",
    "T←←\r2jj",
    "5s2vj\r",
]


def _random(seed: int) -> str:
    return "".join(random.Random(seed).choices(ALPHABET, k=9))


@pytest.mark.parametrize("keys", [*SEQUENCES, *map(_random, range(12))], ids=lambda keys: keys.encode("unicode_escape"))
async def test_at_once_is_as_one_by_one(keys: str) -> None:
    async with waits(SIZE) as pilot:
        slowly = await _type(pilot, keys, at_once=False)
    async with waits(SIZE) as pilot:
        assert await _type(pilot, keys, at_once=True) == slowly


async def _typed_while_nothing_is_answered(pilot: Pilot[Any], keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(pilot)
    monkeypatch.setattr(type(app), "is_answered", False)
    assert app._driver is not None
    for typed in keys:
        event = events.Key("ctrl+c", typed) if typed == "\x03" else _event(typed)
        event.set_sender(app)
        app._driver.send_message(event)


async def test_keys_wait_once_for_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async with waits(SIZE) as pilot:
        began = time.monotonic()
        await _typed_while_nothing_is_answered(pilot, "2jkjkjkjkjkjkjkjkjk4", monkeypatch)
        await until(pilot, lambda: app_of(pilot).current_mode == "locks")
        assert time.monotonic() - began < 10 * _PATIENCE_S


async def test_an_interrupt_overtakes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with waits(SIZE) as pilot:
        await _typed_while_nothing_is_answered(pilot, "2jkjkjkjkj4\x03", monkeypatch)
        await until(pilot, lambda: app_of(pilot)._exit)
        assert app_of(pilot).current_mode != "locks"


async def test_a_key_that_waits_while_it_ends_does_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ends(self: KeysInTurn) -> None:
        self.exit()

    taken: list[str] = []

    async def take(self: KeysInTurn, key: events.Key) -> bool:
        taken.append(key.key)
        return True

    monkeypatch.setattr(KeysInTurn, "_answered", ends)  # by a signal, say
    monkeypatch.setattr(KeysInTurn, "_take_key", take)
    async with waits(SIZE) as pilot:
        await _typed_while_nothing_is_answered(pilot, "/", monkeypatch)
        await until(pilot, lambda: app_of(pilot)._exit)
    assert not taken
