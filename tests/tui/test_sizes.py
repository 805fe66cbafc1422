"""Every screen from 40x10 to 300x80, with names that try to break it: no row is wider than its part of the screen."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.base import Store
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.widgets.rows import RowsView
from tests.tui import waiting
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import running, settled, text_of
from tests.tui.synthetic import SyntheticStore

SIZES = [(40, 10), (61, 17), (80, 24), (132, 43), (200, 50), (300, 80)]
HOSTILE_NAMES = (
    "视频转码服务器", "한국어이름", "ｆｕｌｌｗｉｄｔｈ", "e\u0301te\u0301\u0301\u0301", "❤\ufe0f", "🇫🇷🇩🇪",
    "👩\u200d👩\u200d👧\u200d👦 家族", "\u202eevil\u202c", "\x1b[31mred\x1b[0m", "tab\there\nline", "\u0301\u0301lead",
    "ไทยกำลัง", "हिन्दी", "العربية", "𒀀𒁀", "ﷺ", "a" * 300, "", " ", "\U000e0001", "½\u00adsoft", "\ud7ff\ue000",
    "１\u3000２", "⼀\u3099",
)  # fmt: skip


def hostile(text: str) -> str:
    """The same name as it comes from somebody who means no good; always the same for one name."""
    return (
        f"{HOSTILE_NAMES[zlib.crc32(text.encode('utf-8', 'replace')) % len(HOSTILE_NAMES)]}{text[:3]}" if text else text
    )


@pytest.fixture
def bad_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is named has another name."""
    intern = Symbols.string

    def string(self: Symbols, text: str | bytes) -> int:
        return intern(self, hostile(text.decode("utf-8", "replace") if isinstance(text, bytes) else text))

    waiting._batch.cache_clear()
    monkeypatch.setattr(Symbols, "string", string)
    yield
    waiting._batch.cache_clear()


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def width_of_row(row: Spans) -> int:
    return sum(cell_len(text) for text, _ in row)


def assert_whole(app: ApertureApp) -> None:
    """Each row is as wide as its part, or ends before; what stands on the screen fills it exactly."""
    text_of(app)
    for part in app.screen.query(RowsView):
        for row in part.shown_rows:
            told = "".join(text for text, _ in row)
            if part.display and part.size.width and part.region.height:
                assert width_of_row(row) <= part.size.width, f"{part!r} at {app.size}: {told!r}"
            assert told.isprintable(), f"{part!r}: {told!r}"


async def _look_at_everything(pilot: Pilot[Any]) -> None:
    """All views, each part of them with the focus, what can be opened, and a search."""
    app = _app(pilot)
    for view in ("overview", "cpu", "syscalls", "locks", "offcpu", "gpu", "filters"):
        app.action_view(view)
        await settled(pilot)
        assert_whole(app)
        for key in ("tab", "down", "end", "right"):
            await pilot.press(key)
            assert_whole(app)
        if view == "gpu":
            for _ in range(6):
                await pilot.press("p")
                await settled(pilot)
                assert_whole(app)
        for key in ("question_mark", "exclamation_mark"):
            await pilot.press(key)
            await pilot.pause()
            assert_whole(app)
            await pilot.press("escape")
    app.action_view("cpu")
    await settled(pilot)
    await pilot.press("slash", *"a视")
    await settled(pilot)
    assert_whole(app)


STORES: dict[str, Callable[[], Store]] = {
    "processes": SyntheticStore,
    "waits": lambda: waiting.filled(in_flight=True),
    "gpu": synthetic,
}


@pytest.mark.usefixtures("bad_names")
@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen_holds_every_name(size: tuple[int, int], name: str) -> None:
    async with running(size, STORES[name]()) as pilot:
        await _look_at_everything(pilot)


@pytest.mark.usefixtures("bad_names")
async def test_every_screen_holds_while_the_terminal_changes_its_size() -> None:
    async with running((120, 40), waiting.filled(in_flight=True)) as pilot:
        for view in "12345":
            await pilot.press(view)
            for size in (*SIZES, (40, 10), (20, 5), (10, 3), (120, 40)):
                await pilot.resize_terminal(*size)
                await pilot.pause(0.02)
                if _app(pilot).screen._compositor.size == _app(pilot).size:  # else it is still the one before
                    text_of(_app(pilot))
            await settled(pilot)
            assert_whole(_app(pilot))


@pytest.mark.parametrize("size", [(40, 10), (300, 80)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_without_colours_it_holds_as_well(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, bad_names: None
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(size, waiting.filled(in_flight=True)) as pilot:
        await _look_at_everything(pilot)


@pytest.mark.parametrize("view", ["overview", "cpu", "syscalls", "locks", "offcpu", "filters"])
async def test_who_had_no_room_for_anything_has_the_keys_again_with_room(view: str) -> None:
    """As in a pane that somebody makes small and large again."""
    async with running((80, 24), SyntheticStore()) as pilot:
        app = _app(pilot)
        app.action_view(view)
        await settled(pilot)
        for size in ((19, 4), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
        await settled(pilot)
        assert app.screen.focused is not None
