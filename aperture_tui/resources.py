"""Where the files that are not Python lie: BPF programs, wire definitions, themes, what filters are written with."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `bpf`, `proto`, `sdk` or `themes`: inside an installed wheel, or beside the package in a checkout.

    Raises FileNotFoundError when the installation lacks it.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"this installation lacks its {name!r} folder: reinstall aperture-tui")
