"""Disks without room."""

from __future__ import annotations

import contextlib
from pathlib import Path


def fill(disk: Path) -> None:
    """With one file that is all else."""
    with (disk / "all else").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
