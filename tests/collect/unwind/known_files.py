"""Files that the tests of this folder give to the unwinder, and their keys."""

from __future__ import annotations

from pathlib import Path

from aperture_tui.symbolize.images import ImageKey


def libc() -> Path:
    """The C library of this process: its table is large."""
    text = Path("/proc/self/maps").read_text()
    return Path(next(line.split()[-1] for line in text.splitlines() if "libc.so" in line or "libc-" in line))


def key_of(path: Path) -> ImageKey:
    """What the unwinder knows a file by."""
    return ImageKey.of(path.stat())
