"""The runtimes whose own data are read."""

from __future__ import annotations

from typing import Final

from aperture_tui.symbolize.runtime_frames import Opener

OPENERS: Final[dict[str, Opener]] = {}
"""By the names of `runtimes.Runtime`."""
