"""Nothing heavy before the first paint."""

from __future__ import annotations

import gc
import pkgutil
import subprocess
import sys

import pytest

import aperture_tui.tui.widgets
from aperture_tui.tui import app
from aperture_tui.tui.views import ALL
from tests.tui.screen import running, until
from tests.tui.synthetic import SyntheticStore

LATE = ("numpy", "grpc", "google", "psutil", "zstandard", "aperture_tui.session", "aperture_tui.collect")


def test_the_app_and_its_widgets_start_without_numpy() -> None:
    widgets = [f"aperture_tui.tui.widgets.{m.name}" for m in pkgutil.iter_modules(aperture_tui.tui.widgets.__path__)]
    code = f"import sys, aperture_tui.tui.app, {', '.join(widgets)}; print([m for m in {LATE!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_picture_needs_the_first_view_alone() -> None:
    """What the other views and the export panel are made of is read when they are opened."""
    modules = "aperture_tui.tui.app, aperture_tui.tui.screens.overview"
    code = f"import sys, {modules}; print([m for m in sys.modules if m.startswith('aperture_tui')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = [f"aperture_tui.tui.screens.{view.module}" for name, view in ALL.items() if name != "overview"]
    assert [name for name in (*others, "aperture_tui.tui.taking.panel") if f"'{name}'" in done.stdout] == []
    assert "'aperture_tui.tui.screens.overview'" in done.stdout


async def test_garbage_is_collected_from_when_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, it would look through all that was imported, again and again."""
    monkeypatch.setattr(app, "_STARTED_S", 0.5)
    gc.disable()
    try:
        async with running((120, 40), SyntheticStore()) as pilot:
            await until(pilot, gc.isenabled)
    finally:
        gc.enable()
