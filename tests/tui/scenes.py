"""Every screen, by name: what it is opened over and the keys that lead there. A new screen is one line of SCENES.

tests/tui/test_every_screen.py has a picture of each, tests/tui/test_every_key.py presses all of its keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import pytest
from textual.pilot import Pilot

from aperture_tui.tui.app import ApertureApp
from tests.store.served import serving
from tests.tui.filters import Still
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import running, settled
from tests.tui.waiting import filled

Size = tuple[int, int]
Opener = Callable[[Size], AbstractAsyncContextManager[Pilot[Any]]]


def samples(size: Size) -> AbstractAsyncContextManager[Pilot[Any]]:
    """A store of samples."""
    return running(size)


def waits(size: Size) -> AbstractAsyncContextManager[Pilot[Any]]:
    """Calls, waits for locks and waits off the CPU, some of which go on."""
    return running(size, filled(in_flight=True))


def gpus(size: Size) -> AbstractAsyncContextManager[Pilot[Any]]:
    """What GPUs did."""
    return running(size, synthetic())


@contextlib.asynccontextmanager
async def filters(size: Size) -> AsyncIterator[Pilot[Any]]:
    """Filters that have been at work for some seconds."""
    still, now = Still(), [100.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aperture_tui.tui.app.EVERY_S", 1e6)
        async with running(size, filters=lambda: still) as pilot:
            app = app_of(pilot)
            app.filtering._clock = lambda: now[0]
            app._note_filters()
            for gone in (90, 80, 20, 20, 50, 60):
                now[0] += 0.5
                still.go_on(gone, 5, 0, 0, 0, 0, 0)
                app._note_filters()
            yield pilot


@contextlib.asynccontextmanager
async def fleet(size: Size) -> AsyncIterator[Pilot[Any]]:
    """An aggregator's machines."""
    from tests.tui import test_remote as remote

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ApertureApp, "now_ns", lambda _: remote.NOW_NS)
        clocks = "aperture_tui.store.remote.following.Following.now_ns"
        patch.setattr(clocks, lambda self: remote.NOW_NS if self._clocks else 0)
        hosts = "aperture_tui.tui.widgets.hosts.HostTable.now_ns"
        patch.setattr(hosts, property(lambda self: remote.NOW_NS if self._fleet else 0))
        for least in ("_LEAST_S", "_FLEET_S"):
            patch.setattr(f"aperture_tui.tui.remote_answer.{least}", 0.05)
        aggregator = remote.Served(filled(in_flight=True), remote.HOSTS, now_ns=lambda: remote.NOW_NS)
        with serving(aggregator) as address:
            async with remote.remote(address, size) as pilot:
                yield pilot


class Scene(NamedTuple):
    """What a screen is opened over, and the keys that lead to it."""

    opened: Opener
    keys: tuple[str, ...] = ()


SCENES: Final[dict[str, Scene]] = {
    "overview": Scene(samples),
    "cpu": Scene(samples, ("2", "down", "down")),
    "zoomed": Scene(samples, ("2", *["down"] * 6, "enter")),
    "search": Scene(samples, ("2", "slash", *"read", "enter")),
    "searching": Scene(samples, ("2", "slash", *"read(")),
    "frozen": Scene(samples, ("space",)),
    "compared": Scene(samples, ("2", "c", "1", "tab", "down", "enter", "2", "down")),
    "syscalls": Scene(waits, ("3", "down", "down")),
    "locks": Scene(waits, ("4", "down")),
    "wakers": Scene(waits, ("4", "enter", "w")),
    "offcpu": Scene(waits, ("5", "down", "down")),
    "threads": Scene(waits, ("5", "t")),
    "filters": Scene(filters, ("6", "down")),
    "filter-details": Scene(filters, ("6", "down", "down", "down", "enter")),
    "gpu": Scene(gpus, ("7",)),
    "gpu-zoomed": Scene(gpus, ("7", *["left_square_bracket"] * 3, "enter", "enter", "enter", "down")),
    "gpu-kernels": Scene(gpus, ("7", "p", "down")),
    "gpu-copies": Scene(gpus, ("7", "p", "p")),
    "gpu-idle": Scene(gpus, ("7", *"ppp")),
    "gpu-devices": Scene(gpus, ("7", *"pppp")),
    "gpu-stacks": Scene(gpus, ("7", "P", "down", "down")),
    "hosts": Scene(fleet, ("down", "down")),
    "host": Scene(fleet, ("enter",)),
    "fleet": Scene(fleet, ("f", "1")),
    "help": Scene(samples, ("question_mark",)),
    "health": Scene(samples, ("exclamation_mark",)),
}


def app_of(pilot: Pilot[Any]) -> ApertureApp:
    """The app under a pilot."""
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """One after the other, each for what the one before has led to."""
    for key in keys:
        await pilot.press(key)
        if app_of(pilot)._exit:
            return
        await settled(pilot)
    if app_of(pilot).remote is not None and (view := app_of(pilot)._view) is not None:
        view.show_heading()
        await pilot.pause()


@contextlib.asynccontextmanager
async def shown(scene: Scene, size: Size) -> AsyncIterator[Pilot[Any]]:
    """The scene on a terminal of this size."""
    async with scene.opened(size) as pilot:
        await press(pilot, *scene.keys)
        yield pilot
