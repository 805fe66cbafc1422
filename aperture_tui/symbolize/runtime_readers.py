"""The runtimes whose own data are read."""

from __future__ import annotations

from aperture_tui.symbolize.hotspot import reader as hotspot
from aperture_tui.symbolize.runtime_frames import Opener
from aperture_tui.symbolize.v8 import reader as v8


def openers() -> dict[str, Opener]:
    """What opens processes for one thread, by the names of `runtimes.Runtime`."""
    return {"java": hotspot.opener(), "node": v8.opener()}
