"""A running app under a pilot, and its screen as plain text."""

from __future__ import annotations

import difflib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual.pilot import Pilot

from aperture_tui.store.base import Store
from aperture_tui.tui.app import ApertureApp
from tests.tui.synthetic import SyntheticStore

GOLDEN = Path(__file__).parent / "golden"


def text_of(app: ApertureApp) -> list[str]:
    """What stands on the screen, row by row; every row has exactly the width of the terminal."""
    rows = ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]
    assert {cell_len(row) for row in rows} == {app.size.width}, "a row breaks the screen"
    return rows


async def until(pilot: Pilot[Any], condition: Callable[[], bool], what: str = "the screen") -> None:
    """Wait for something; the number of rounds is only there to end a test that has failed."""
    for _ in range(400):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise AssertionError(f"never came: {what}\n" + "\n".join(text_of(pilot.app)))  # type: ignore[arg-type]


def _is_at_work(app: ApertureApp) -> bool:
    """Whether messages, a layout or what follows a picture wait: on a busy machine for longer than a pause."""
    screen = app.screen
    waits = screen._layout_required or screen._dirty_widgets or screen._callbacks
    queued = any(node.message_queue_size for node in (app, *screen.walk_children(with_self=True)))
    return bool(waits) or queued or screen._compositor.size != app.size


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until what the user looks at is what is shown."""
    app = pilot.app
    assert isinstance(app, ApertureApp)

    def shown() -> bool:
        view, snapshot = app._view, app.snapshot
        if view is None or snapshot is None or not view.is_mounted:
            return False
        if snapshot.fatal:
            return True
        read = snapshot.density is None or not snapshot.density.more
        return read and snapshot.request == view.request(app.looking)

    await until(pilot, shown, "an answer to what is looked at")
    before: list[str] = []
    same = 0
    for _ in range(200):  # what is still on its way inside of the app: messages, layouts
        now = [] if _is_at_work(app) else text_of(app)
        same = same + 1 if now and now == before else 0
        if same == 3:
            return
        before = now
        await pilot.pause(0.02)


@asynccontextmanager
async def running(
    size: tuple[int, int] = (120, 40), store: Store | Callable[[], Store] | None = None, **options: Any
) -> AsyncIterator[Pilot[None]]:
    """An app with an answer on its screen. The data stands still unless the store's clock moves."""
    store = store or SyntheticStore()
    connect = store if callable(store) else lambda: store
    app = ApertureApp(connect, title_host="build-7", **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield pilot


def assert_golden(name: str, rows: list[str]) -> None:
    """Compare with a committed text; APERTURE_GOLDEN=write writes it instead."""
    file = GOLDEN / f"{name}.txt"
    text = "\n".join(row.rstrip() for row in rows) + "\n"
    if os.environ.get("APERTURE_GOLDEN") == "write":
        file.write_text(text, "utf-8")
    wanted = file.read_text("utf-8")
    lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), "wanted", "shown", lineterm="", n=0)
    assert text == wanted, f"{file.name} differs; look at it, then APERTURE_GOLDEN=write make test\n" + "\n".join(lines)
