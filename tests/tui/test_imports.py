"""Nothing heavy before the first paint."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import aperture_tui.tui.widgets

LATE = ("numpy", "grpc", "google", "psutil", "zstandard", "aperture_tui.session", "aperture_tui.collect")


def test_the_app_and_its_widgets_start_without_numpy() -> None:
    widgets = [f"aperture_tui.tui.widgets.{m.name}" for m in pkgutil.iter_modules(aperture_tui.tui.widgets.__path__)]
    code = f"import sys, aperture_tui.tui.app, {', '.join(widgets)}; print([m for m in {LATE!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
